// /openapi.json for people.

import { make } from "./reading.js";

const told = await (await fetch("/openapi.json")).json();

document.getElementById("example").textContent =
  `curl -s -F images=@photo.jpg ${location.origin}/api/read\n` +
  `curl -s -H 'Content-Type: application/json' -d '{"images": ["'$(base64 -w0 photo.jpg)'"]}' ${location.origin}/api/read`;

/** References to `components` replaced by what they name. */
function resolved(value) {
  if (Array.isArray(value)) return value.map(resolved);
  if (value === null || typeof value !== "object") return value;
  if (value.$ref)
    return resolved(
      value.$ref
        .slice(2)
        .split("/")
        .reduce((place, step) => place[step], told),
    );
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, resolved(part)]));
}

const list = (pairs) =>
  make(
    "dl",
    {},
    ...pairs.flatMap(([term, text]) => [
      make("dt", {}, make("code", {}, term)),
      make("dd", {}, text),
    ]),
  );

const schemas = (content) =>
  Object.entries(content ?? {}).flatMap(([kind, { schema }]) => [
    make("p", {}, make("code", {}, kind)),
    ...(schema ? [make("pre", {}, JSON.stringify(resolved(schema), null, 2))] : []),
  ]);

for (const [path, methods] of Object.entries(told.paths)) {
  for (const [method, route] of Object.entries(methods)) {
    const about = make("div", {}, route.description ?? "");
    if (route.parameters) {
      about.append(
        make("h3", {}, "Parameters"),
        list(
          route.parameters.map((p) => [
            p.name,
            `${p.in}, ${p.schema.type}${p.required ? ", needed" : ""}. ${p.description ?? ""}`,
          ]),
        ),
      );
    }
    if (route.requestBody)
      about.append(make("h3", {}, "Body"), ...schemas(route.requestBody.content));
    about.append(
      make("h3", {}, "Answers"),
      list(
        Object.entries(route.responses).map(([status, { description }]) => [status, description]),
      ),
    );
    const good = Object.entries(route.responses).find(([status]) => status.startsWith("2"));
    about.append(...schemas(good[1].content));
    document
      .getElementById("routes")
      .append(
        make(
          "details",
          {},
          make(
            "summary",
            {},
            make("b", {}, method.toUpperCase()),
            make("code", {}, path),
            route.summary ?? "",
          ),
          about,
        ),
      );
  }
}
