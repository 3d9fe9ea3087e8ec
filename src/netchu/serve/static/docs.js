// Shows /openapi.json.

import { make } from "./reading.js";

const openapi = await (await fetch("openapi.json")).json();

const read = new URL("api/read", location.href);
document.getElementById("example").textContent =
  `curl -s -F images=@photo.jpg ${read}\n` +
  `curl -s -H 'Content-Type: application/json' -d '{"images": ["'$(base64 -w0 photo.jpg)'"]}' ${read}`;

/** Replace references to `components` by what they refer to. */
function resolve(value) {
  if (Array.isArray(value)) return value.map(resolve);
  if (value === null || typeof value !== "object") return value;
  if (value.$ref)
    return resolve(
      value.$ref
        .slice(2)
        .split("/")
        .reduce((part, step) => part[step], openapi),
    );
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, resolve(part)]));
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
  Object.entries(content ?? {}).flatMap(([mediaType, { schema }]) => [
    make("p", {}, make("code", {}, mediaType)),
    ...(schema ? [make("pre", {}, JSON.stringify(resolve(schema), null, 2))] : []),
  ]);

for (const [path, methods] of Object.entries(openapi.paths)) {
  for (const [method, route] of Object.entries(methods)) {
    const details = make("div", {}, route.description ?? "");
    if (route.parameters) {
      details.append(
        make("h3", {}, "Parameters"),
        list(
          route.parameters.map((p) => [
            p.name,
            `${p.in}, ${p.schema.type}${p.required ? ", required" : ""}. ${p.description ?? ""}`,
          ]),
        ),
      );
    }
    if (route.requestBody)
      details.append(make("h3", {}, "Body"), ...schemas(route.requestBody.content));
    details.append(
      make("h3", {}, "Responses"),
      list(
        Object.entries(route.responses).map(([status, { description }]) => [status, description]),
      ),
    );
    const success = Object.entries(route.responses).find(([status]) => status.startsWith("2"));
    details.append(...schemas(success[1].content));
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
          details,
        ),
      );
  }
}
