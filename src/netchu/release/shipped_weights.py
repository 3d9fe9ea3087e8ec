"""The model that comes with the package: the exported files and a card for people.

`netchu ship SYSTEM` writes both after the stages export and evaluate of that system.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from netchu.core.errors import NetchuError
from netchu.core.formatting import confidence_interval, magnitude, megabytes, milliseconds, percent
from netchu.core.params import Params
from netchu.core.paths import CARD
from netchu.inference.exported_model import SHIPPED_MODEL
from netchu.models.model_folder import read_card

MODEL_CARD = "MODEL_CARD.md"
FILES = ("model.onnx", "model.safetensors", CARD, MODEL_CARD)
"""What a shipped model consists of; a language model may stand beside them."""
LARGEST_MB = 8.0

TEMPLATE = """\
# {system}

Reads lines of Vietnamese handwriting from photos, offline, on one core: `netchu read photo.jpg`.
{parameters} parameters, {size} MB, weights `{weights}`. Residual convolutions, convolutions along
the line, CTC; {height} px high, one time step every {step:g} px, {letters} characters and the
blank. Weights are kept in half precision and computed with in single precision.

## How good it is

Lines of writers that it has never seen (Cinnamon: its official second part). CER is edits over
characters of all lines; intervals are 95 % bootstrap intervals over writers, or over lines where no
writer is known. {alone}:

{rates}
{decoder}
{p50} ms for a line of 64×800 px from file to text, one core of {machine}.

On {val_lines} validation lines, by which the epoch and the temperature were chosen: {before} CER
before export and {after} after; onnxruntime and torch read every one of them the same.

## What its confidence means

A character's confidence is its probability at temperature {temperature:g}, a line's the product of
its characters': how likely it is that all of it is right. Expected calibration error, on lines
that the temperature was not fitted on: {character_ece} of characters, {line_ece} of lines.
{decoder_confidence}Reading only the surest lines of the validation set:

| kept | {shares} |
| --- | {rule} |
{rejects}

## What it learned from

{training}

The real lines are those of Kalapa OCR 2023 and Cinnamon AI (photographed and scanned addresses)
and HANDS-VNOnDB2018 (pen strokes, drawn as lines). They were published for research, without a
licence to redistribute; no image and no label of them is in this package. **The weights come from
research-only data. Whether they may serve another purpose is not settled: ask the owners of the
three sets before you use them commercially.** Generated lines take their texts from lists of
streets and wards (MIT) and from Truyện Kiều (public domain), and their hands from fonts (SIL OFL),
from those pen strokes and from papers of those photos.

## Limits

- Modern Vietnamese by adults, mostly addresses and sentences of newspapers. Children's hands, old
  manuscripts, forms with print, formulas and other languages were not tested.
- It writes {letters} characters and nothing else; another one is read as what looks like it.
- It has read few photos of whole pages; finding lines is classical, and fails where lines touch.
- VNOnDB's lines are drawn from strokes, and its writers copied texts of one collection: half of the
  training lines share four words in a row with a line of a writer who was held out. Hands are new
  to it, texts are partly not; the figure says little about photos of other sentences.
{words}
- Where an error can harm somebody, let a person check; the confidence says where to look first.
"""


DECODER = """
With its language model ({size}), which knows how addresses and prose are spelled, as `netchu read`
reads unless it is asked for the network alone (`--greedy`):

{rates}

It has read generated addresses, Truyện Kiều, every syllable, and the labels of VNOnDB's training
lines that share no four words in a row with a line it is judged by. On the validation lines, by
which it was chosen, it takes the CER from {before} to {after}.
"""

DECODER_CONFIDENCE = """\
With the language model two scales take the temperature's place, one for characters and one for
lines; the errors are then {character_ece} of characters and {line_ece} of lines.
"""

LETTERS = """\
- It knows letters rather than words: names are read as well as other words, and a slip may leave
  a syllable that does not exist."""

WORDS = """\
- With the language model a rare name may be read as a commoner word; digits are never preferred to
  one another. Where every letter counts as it stands, read with `--greedy`."""


def model_card(
    card: Mapping[str, Any],
    metrics: Mapping[str, Any],
    export: Mapping[str, Any],
    speed: Mapping[str, Any],
) -> str:
    """The card for people, in Markdown.

    card: model.json of the exported model. metrics: metrics.json of its evaluation, greedy. export:
    what `releasing.release` measured. speed: what `releasing.time_reading` did.
    """
    calibration, reject, decoder = export["calibration"], export["reject"], export.get("decoder")
    lines = {name: rates["line"] for name, rates in metrics["datasets"].items() if "line" in rates}
    curves = [("CER", reject)] + ([("CER with the language model", decoder["reject"])]
                                  if decoder else [])  # fmt: skip
    return TEMPLATE.format(
        system=card["network"],
        parameters=magnitude(metrics["parameters"]),
        size=megabytes(export["size_mb"]),
        weights=card["weights"][:12],
        height=card["preprocessing"]["height"],
        step=card["step"],
        letters=len(card["alphabet"]),
        alone="The network alone" if decoder else "Greedy decoding",
        rates=_table(lines),
        decoder=_decoder(export) if decoder else "",
        p50=milliseconds(speed["latency_64x800_p50_ms"]),
        machine=speed["machine"],
        val_lines=export["lines"],
        before=f"{100 * export['cer_before_export']:.2f} %",
        after=f"{100 * export['cer']:.2f} %",
        temperature=calibration["temperature"],
        character_ece=percent(calibration["character_ece"]),
        line_ece=percent(calibration["line_ece"]),
        decoder_confidence=_decoder_confidence(decoder) if decoder else "",
        shares=" | ".join(f"{row['kept']} %" for row in reject),
        rule=" | ".join("---:" for _ in reject),
        rejects="\n".join(
            f"| {name} | {' | '.join(percent(row['cer']) for row in curve)} |"
            for name, curve in curves
        ),
        words=WORDS if decoder else LETTERS,
        training="\n".join(_phase(phase) for phase in card["training"]),
    )


def _decoder(export: Mapping[str, Any]) -> str:
    return DECODER.format(
        size=f"{megabytes(export['language_model_mb'])} MB",
        rates=_table(export["test"]),
        before=percent(export["cer"]),
        after=percent(export["decoder"]["cer"]),
    )


def _decoder_confidence(decoder: Mapping[str, Any]) -> str:
    return DECODER_CONFIDENCE.format(
        character_ece=percent(decoder["character_ece"]), line_ece=percent(decoder["line_ece"])
    )


def _table(datasets: Mapping[str, Mapping[str, Any]]) -> str:
    """Rates of lines by dataset."""
    rows = [
        f"| {name} | {rates['lines']} | {percent(rates['cer'])} | {confidence_interval(rates)} "
        f"| {percent(rates['wer'])} | {percent(rates['ser'])} |"
        for name, rates in sorted(datasets.items())
    ]
    head = "| lines of | lines | CER | 95 % interval | WER | SER |"
    return "\n".join([head, "| --- | ---: | ---: | ---: | ---: | ---: |", *rows])


def _phase(phase: Mapping[str, Any]) -> str:
    datasets = ", ".join(phase["phase"]["datasets"])
    seen = phase["images_seen_at_most"]
    return f"- {phase['stage']}: {phase['lines']:,} lines ({datasets}), {seen:,} images seen"


def ship(params: Params, system: str, out: Path = SHIPPED_MODEL) -> Path:
    """Put the exported `system` and its card into `out`, all of it or nothing.

    Raises:
        NetchuError: a stage has not run, or the model is larger than a package should be.
    """
    home = params.models / system
    partial = out.with_name(out.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _fill(partial, home)
        shutil.rmtree(out, ignore_errors=True)
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return out


def _fill(folder: Path, home: Path) -> None:
    metrics = _read(home / "evaluation" / "metrics.json")
    export, speed = _read(home / "export.json"), _read(home / "export.speed.json")
    text = model_card(read_card(home / "export"), metrics, export, speed)
    (folder / MODEL_CARD).write_text(text, encoding="utf-8")
    for path in (home / "export").iterdir():
        shutil.copyfile(path, folder / path.name)
    size = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    if size > LARGEST_MB:
        raise NetchuError(
            f"{home / 'export'} has {size:.1f} MB, more than {LARGEST_MB:g}; ship a smaller network"
        )


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NetchuError(f"{path} is missing; run 'dvc repro' before shipping") from None
