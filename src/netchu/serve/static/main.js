// The page: collects images and reads them.

import * as api from "./api.js";
import { Pad } from "./pad.js";
import { make, showAlternatives, showReading } from "./reading.js";
import { speak, word } from "./words.js";

const at = (id) => document.getElementById(id);
const pad = new Pad(at("canvas"));
const MAX_IMAGES = 50;

let server = null; // the response of /api/models
let items = []; // {name, blob, url, readings: {model: reading}, drawn}

function say(text, bad = false) {
  at("status").textContent = bad ? "" : text;
  at("alert").textContent = bad ? text : "";
}

function fail(failure) {
  if (failure.message === "locked") {
    at("lock").hidden = false;
    at("key").focus();
  }
  say(word(failure.message) ?? word("broken"), true);
}

// Input.

function take(found, drawn = false) {
  for (const item of items) URL.revokeObjectURL(item.url);
  items = found
    .slice(0, MAX_IMAGES)
    .map(({ name, blob }) => ({ name, blob, drawn, url: URL.createObjectURL(blob), readings: {} }));
  render();
  if (!drawn) {
    usePad(false);
    say(word("ready", items.length));
  }
}

function takeFiles(files) {
  if (files.length) take([...files].map((file) => ({ name: file.name, blob: file })));
}

function usePad(open) {
  at("pad").hidden = !open;
  at("sources").hidden = open;
}

at("draw").addEventListener("click", async () => {
  say(word("loading"));
  try {
    take(await api.samples());
  } catch (failure) {
    fail(failure);
  }
});
for (const [button, input] of [
  ["choose", "files"],
  ["photograph", "camera"],
]) {
  at(button).addEventListener("click", () => at(input).click());
  at(input).addEventListener("change", () => {
    takeFiles(at(input).files);
    at(input).value = "";
  });
}
at("write").addEventListener("click", () => {
  take([], true);
  usePad(true);
  say("");
  at("canvas").focus();
});
at("leave").addEventListener("click", () => {
  usePad(false);
  at("write").focus();
});
at("undo").addEventListener("click", () => pad.undo());
at("clear").addEventListener("click", () => {
  pad.clear();
  take([], true);
  say("");
});

at("photograph").hidden = !navigator.maxTouchPoints;

document.addEventListener("paste", (event) => takeFiles(event.clipboardData.files));
let depth = 0; // dragenter comes for every element under the pointer
const dropping = (by) => {
  depth = Math.max(0, depth + by);
  document.body.classList.toggle("dropping", depth > 0);
};
document.addEventListener("dragenter", () => dropping(1));
document.addEventListener("dragleave", () => dropping(-1));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  dropping(-depth);
  takeFiles(event.dataTransfer.files);
});

// Predict.

const selectedModels = () =>
  [at("model").value || "netchu", at("other").value].filter(
    (name, place, all) => name && all.indexOf(name) === place,
  );

async function predict() {
  if (!at("pad").hidden) {
    if (pad.empty) return say(word("noStroke"), true);
    take([{ name: "canvas.png", blob: await pad.blob() }], true);
  }
  if (!items.length) return say(word("noImages"), true);
  const begin = performance.now();
  const tasks = items.flatMap((item) => selectedModels().map((model) => ({ item, model })));
  at("predict").disabled = true;
  say(word("reading"));
  let gone = null;
  const work = async () => {
    for (let task = tasks.shift(); task; task = tasks.shift()) {
      const { item, model } = task;
      try {
        item.readings[model] = await api.read(item.blob, item.name, model);
      } catch (failure) {
        if (failure.message === "gone" || failure.message === "locked") {
          gone = failure;
          tasks.length = 0;
        } else item.readings[model] = { failure: failure.message, lines: [] };
      }
      redraw(item);
    }
  };
  await Promise.all([work(), work(), work(), work()]);
  at("predict").disabled = false;
  if (gone) return fail(gone);
  const bad = items.filter((item) =>
    Object.values(item.readings).some((reading) => reading.failure),
  ).length;
  const summary = word("done", items.length - bad, Math.round(performance.now() - begin));
  say(bad ? `${items.length > bad ? `${summary}. ` : ""}${word("someFailed", bad)}` : summary);
}
at("predict").addEventListener("click", predict);

// Output.

function render() {
  at("items").replaceChildren(...items.map(showItem));
}

/** Render one item again without touching the others, where a correction may be open. */
function redraw(item) {
  const number = items.indexOf(item);
  at("items").children[number]?.replaceWith(showItem(item, number));
}

function showItem(item, number) {
  const read = selectedModels().filter((model) => item.readings[model]);
  const entry = make("li");
  const light = (line) => {
    for (const shown of entry.querySelectorAll("[data-line]"))
      shown.classList.toggle("lit", Number(shown.dataset.line) === line);
  };
  if (!item.drawn) entry.append(picture(item, number, item.readings[read[0]], light));
  const options = {
    heading: read.length > 1 || at("model").length > 1,
    collecting: server?.collecting,
    light,
    say,
  };
  entry.append(
    make(
      "div",
      { className: "readings" },
      ...read.map((model) => {
        const collecting = options.collecting && !item.readings[model].pages;
        return showReading(item, model, item.readings[model], { ...options, collecting });
      }),
    ),
  );
  return entry;
}

function picture(item, number, reading, light) {
  const image = make("img", { src: item.url, alt: `${word("image", number + 1)}: ${item.name}` });
  const frame = make("div", { className: "frame" }, image);
  const marked = reading?.lines?.length > 1 || reading?.unread?.length;
  if (marked && !reading.pages) frame.append(boxes(reading, light));
  image.addEventListener("error", () => frame.remove()); // such as a TIFF, which few browsers show
  return make("figure", {}, frame, make("figcaption", {}, item.name));
}

function boxes({ size, lines, unread }, light) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${size[0]} ${size[1]}`);
  svg.setAttribute("aria-hidden", "true");
  const draw = ([left, top, right, bottom]) => {
    const rect = document.createElementNS(svg.namespaceURI, "rect");
    const places = { x: left, y: top, width: right - left, height: bottom - top };
    for (const [name, value] of Object.entries(places)) rect.setAttribute(name, value);
    svg.append(rect);
    return rect;
  };
  for (const box of unread) draw(box).classList.add("unread");
  lines.forEach(({ box }, number) => {
    const rect = draw(box);
    rect.dataset.line = number;
    rect.addEventListener("pointerenter", () => light(number));
    rect.addEventListener("pointerleave", () => light(-1));
  });
  return svg;
}

// Start.

async function open() {
  try {
    server = await api.models();
  } catch (failure) {
    return fail(failure);
  }
  at("lock").hidden = true;
  at("alert").textContent = "";
  const names = server.models.map((model) => model.name);
  at("model").replaceChildren(...names.map((name) => make("option", { value: name }, name)));
  at("other").replaceChildren(
    make("option", { value: "" }, word("nothing")),
    ...names.map((name) => make("option", { value: name }, name)),
  );
  at("models").hidden = names.length < 2;
  at("collecting").hidden = !server.collecting;
  at("version").textContent = `· netchu ${server.version}`;
}

at("lock").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("key", at("key").value);
  open();
});
for (const choice of ["model", "other"]) at(choice).addEventListener("change", render);

showAlternatives(at("items"), at("tip"));
speak(() => {
  if (at("other").options.length) at("other").options[0].textContent = word("nothing");
  render();
});
open();
