// Shows readings: text with its uncertain letters, and buttons to copy and to correct it.

import { addCorrection } from "./api.js";
import { percent, word } from "./words.js";

const UNCERTAIN_BELOW = 0.9;

/** A new element with properties and children; text never becomes markup. */
export function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Show a model's reading of an image. `light(n)` highlights line n, and -1 none. */
export function showReading(item, model, reading, { heading, collecting, light, say }) {
  const lines = reading.lines ?? [];
  const shown = make("div", { className: lines.length > 1 ? "reading several" : "reading" });
  if (heading) shown.append(make("h2", {}, word("readBy", model)));
  if (reading.failure) {
    shown.append(make("p", { className: "failed" }, word(reading.failure)));
    return shown;
  }
  const all = { item, reading, collecting, light, say };
  lines.forEach((line, number) => shown.append(showLine(line, number, lines.length, all)));
  const unread = reading.unread?.length;
  if (!lines.length && !unread) shown.append(make("p", { className: "empty" }, word("blank")));
  if (unread) shown.append(make("p", { className: "unread" }, word("unread", unread)));
  if (lines.length !== 1) shown.append(facts(lines.length ? null : { text: "", box: null }, all));
  return shown;
}

/** A row of facts and buttons about the photo, and about `line` if there is one. */
function facts(line, { item, reading, collecting, say }, ofPhoto = true) {
  const row = make("div", { className: "facts" });
  if (line?.text)
    row.append(
      make("span", {}, word("whole", percent(line.confidence))),
      make("span", {}, word("unsure", uncertain(line).length)),
    );
  if (ofPhoto) row.append(make("span", {}, `${Math.round(reading.milliseconds)} ms`));
  if (ofPhoto && reading.text) row.append(action("copy", () => copy(reading.text, say)));
  if (line && collecting) row.append(corrector(item, line, reading.turns, row, say));
  return row;
}

const uncertain = (line) => line.characters.filter((character) => character.confidence < UNCERTAIN_BELOW);

function showLine(line, number, count, all) {
  const text = make(
    "p",
    { className: "text", lang: "vi" },
    make("span", { className: "hidden-text" }, line.text),
    ...words(line.characters),
  );
  const block = make("div", { className: "line" }, text, facts(line, all, count === 1));
  block.dataset.line = number;
  if (count > 1) {
    for (const event of ["pointerenter", "focusin"])
      block.addEventListener(event, () => all.light(number));
    for (const event of ["pointerleave", "focusout"])
      block.addEventListener(event, () => all.light(-1));
  }
  return block;
}

/** Group letters into words. */
function words(characters) {
  const shown = [];
  let open = null;
  for (const character of characters) {
    if (character.text === " ") open = null;
    else if (!open) shown.push((open = make("span", { className: "word" })));
    (open ?? { append: (letter) => shown.push(letter) }).append(glyph(character));
  }
  return shown;
}

/** A letter. Uncertain ones are buttons; screen readers read the whole text instead of the others. */
function glyph(character) {
  const isUncertain = character.confidence < UNCERTAIN_BELOW;
  const shown = make(isUncertain ? "button" : "span", { className: "glyph" }, character.text);
  shown.letter = character;
  if (isUncertain) {
    shown.type = "button";
    shown.setAttribute("aria-label", describe(character));
  } else {
    shown.setAttribute("aria-hidden", "true");
  }
  return shown;
}

function describe({ text, confidence, alternatives }) {
  const name = (letter) => (letter === " " ? word("space") : letter);
  const others = alternatives
    .map((other) => `${name(other.text)} ${percent(other.confidence)}`)
    .join(", ");
  return word("letter", name(text), percent(confidence), others);
}

/** Show the alternatives of a letter while the pointer or the focus is on it. */
export function showAlternatives(root, tip) {
  const hide = () => {
    tip.hidden = true;
  };
  const show = (event) => {
    const shown = event.target.closest?.(".glyph");
    if (!shown) return hide();
    const { text, confidence, alternatives } = shown.letter;
    tip.replaceChildren(
      ...[{ text, confidence }, ...alternatives].map((other) =>
        make(
          "span",
          {},
          make("b", { lang: "vi" }, other.text === " " ? "␣" : other.text),
          percent(other.confidence),
        ),
      ),
    );
    tip.hidden = false;
    const place = shown.getBoundingClientRect();
    const left = place.left + place.width / 2 - tip.offsetWidth / 2;
    tip.style.left = `${Math.max(8, Math.min(left, window.innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${place.top > tip.offsetHeight + 8 ? place.top - tip.offsetHeight - 4 : place.bottom + 6}px`;
  };
  root.addEventListener("pointerover", show);
  root.addEventListener("focusin", show);
  root.addEventListener("pointerleave", hide);
  root.addEventListener("focusout", hide);
  window.addEventListener("scroll", hide, { passive: true });
  window.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
  });
}

function action(name, act) {
  const button = make("button", { type: "button", className: "plain" }, word(name));
  button.addEventListener("click", () => act(button));
  return button;
}

async function copy(text, say) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // pages over plain HTTP may not use the clipboard
    const area = make("textarea", { value: text });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say(word("copied"));
}

/** A button that opens a form under `row` to correct a line. */
function corrector(item, line, turns, row, say) {
  return action("correct", (button) => {
    const input = make("input", { value: line.text, lang: "vi", maxLength: 500, required: true });
    input.setAttribute("aria-label", word("correctLabel"));
    const cancel = action("cancel", () => close());
    const form = make(
      "form",
      { className: "correct" },
      input,
      make("button", {}, word("save")),
      cancel,
    );
    const close = () => {
      form.remove();
      button.hidden = false;
      button.focus();
    };
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        say(word("saved", await addCorrection(item.blob, line.box, input.value, turns)));
        close();
      } catch (failure) {
        say(word(failure.message === "badImage" ? "notSaved" : failure.message), true);
      }
    });
    form.addEventListener("keydown", (event) => {
      if (event.key === "Escape") close();
    });
    button.hidden = true;
    row.after(form);
    input.select();
  });
}
