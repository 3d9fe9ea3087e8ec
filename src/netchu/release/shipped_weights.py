"""The model that comes with the package: the exported files and a model card.

`netchu ship SYSTEM` writes both after the stages export and evaluate of that system.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from netchu.core.errors import NetchuError
from netchu.core.files import new_folder, read_json
from netchu.core.formatting import confidence_interval, magnitude, megabytes, milliseconds, percent
from netchu.core.params import Params
from netchu.core.paths import CARD
from netchu.inference.exported_model import SHIPPED_MODEL
from netchu.models.export_files import EXPORT_FOLDER, read_export
from netchu.models.model_card import read_card

MODEL_CARD = "MODEL_CARD.md"
FILES = ("model.onnx", "model.safetensors", CARD, MODEL_CARD)
"""Files of a shipped model, which may have a language model too."""

MAX_MB = 8.0
"""Largest size of a shipped model in 10^6 bytes."""

TEMPLATE = """\
# {network}

Reads photos of Vietnamese handwriting offline, on one CPU core: `netchu read photo.jpg`.
{parameters} parameters, {size} MB, weights `{weights}`. Residual convolutions, convolutions along
the line, CTC; lines of {height} px height, one time step per {step:g} px, {letters} characters and
the blank. Convolutions and all linear layers but the last are stored and computed in 8 bits; other
weights are stored in half precision and computed in single precision.

## Metrics

Test lines are of writers that are not in the training set; for Cinnamon they are its official
second part. CER is the number of edits divided by the number of characters, over all lines.
Intervals are 95 % bootstrap intervals over writers, or over lines if the writers are unknown.
{decoding}:

{rates}
{language_model}{new_texts}{well_labelled}
Reading a line of 64×800 px from file to text takes {p50} ms on one core of {machine}.

On {val_lines} validation lines, which also chose the epoch and the temperature, the CER is {before}
before export and {after} after it. With the same weights, torch, which rounds the weights only,
reads {differently} of them differently.

## Confidences

The confidence of a character is its probability at temperature {temperature:g}. That of a line is
the product over its characters: the probability that the whole line is right. On lines that the
temperature was not fitted to, the expected calibration error is {character_ece} for characters and
{line_ece} for lines.
{language_model_confidences}If only the validation lines with the highest confidence are kept:

| kept | {shares} |
| --- | {rule} |
{rejects}

## Training data

{training}

The real lines are those of Kalapa OCR 2023 and Cinnamon AI (photographed and scanned addresses)
and HANDS-VNOnDB2018 (pen strokes, rendered as lines). They were published for research, without a
licence to redistribute; this package contains none of their images and labels. **The weights come
from research-only data. Whether they may be used for another purpose is not settled: ask the owners
of the three datasets before any commercial use.** Synthetic lines take their texts from lists of
streets and wards (MIT), Truyện Kiều (public domain), newspapers (research data), Wikipedia (CC
BY-SA 3.0) and the words of forms, and their handwriting from fonts (SIL OFL), from those pen
strokes and from the paper in those photos.

## Limitations

- The training data are modern Vietnamese by adults, mostly addresses and sentences from newspapers.
  Children's handwriting, old manuscripts, forms with print, formulas and other languages were not
  tested.
- The alphabet has {letters} characters. Any other character is read as one that looks similar.
- It was tested on few photos of whole pages. Lines are found by classical image processing, which
  fails if lines touch each other. Margins, slopes up to 8°, light ink on dark paper and pages
  turned by quarters are covered (`make bench-photos` measures them on generated photos). Large
  school calligraphy on squared paper, light pencil and lined notebooks are not: photos of them are
  missing from the training data, and they are often read badly.
- The lines of VNOnDB are rendered from strokes, and its writers copied texts of one collection:
  half of the training lines share four consecutive words with a line of a held-out writer. The
  handwriting of the test lines is new to the model, their texts only in part: for photos of other
  sentences, expect the CER of new texts.
{language}
- If an error can harm somebody, let a person check the text; the confidence says where to start.
"""


LANGUAGE_MODEL_METRICS = """
With its language model ({size}) of addresses and prose, which `netchu read` uses unless `--greedy`
is given:

{rates}

The language model was estimated from synthetic addresses, Truyện Kiều, all syllables{sentences},
and the labels of VNOnDB's training lines. Labels and sentences that share four consecutive words
with a validation or test line were left out. On the validation lines, which also chose its
parameters, it lowers the CER from {before} to {after}.
"""

NEW_TEXTS = """
Writers of several datasets copied the same texts. Of the test lines, those that share no four
consecutive words with any label of a training line:

{rates}
"""

WELL_LABELLED = """
Some labels are not what the image shows: words are missing in the image, or the label is of another
line. They were looked for among lines that the model before had read badly, so these figures are
somewhat too low; their ids are in `netchu/data/published_splits/mislabelled.csv`. Without them:

{rates}
"""

LANGUAGE_MODEL_CONFIDENCES = """\
With the language model, two Platt scalings are applied, one to confidences of characters and one
to those of lines; the errors are then {character_ece} and {line_ece}.
"""

SENTENCES = """, synthetic fields of
forms and foreign words, sentences of newspapers (research data) and Wikipedia (CC BY-SA 3.0)"""

WITHOUT_LANGUAGE_MODEL = """\
- It knows letters rather than words: names are read as well as other words, and an error may leave
  a syllable that does not exist."""

WITH_LANGUAGE_MODEL = """\
- With the language model, a rare name may be read as a more common word. Digits are never preferred
  to one another. If every letter matters, read with `--greedy`."""


def model_card(
    card: Mapping[str, Any],
    metrics: Mapping[str, Any],
    export: Mapping[str, Any],
    speed: Mapping[str, Any],
) -> str:
    """Return the model card in Markdown.

    Args:
        card: model.json of the exported model.
        metrics: metrics.json of the system's evaluation, decoded greedily.
        export: export.json, from `export_system`.
        speed: export.speed.json, from `time_export`.
    """
    calibration, reject, decoder = export["calibration"], export["reject"], export.get("decoder")
    lines = {name: rates["line"] for name, rates in metrics["datasets"].items() if "line" in rates}
    curves = [("CER", reject)] + ([("CER with the language model", decoder["reject"])]
                                  if decoder else [])  # fmt: skip
    return TEMPLATE.format(
        network=card["network"],
        parameters=magnitude(metrics["parameters"]),
        size=megabytes(export["size_mb"]),
        weights=card["weights"][:12],
        height=card["preprocessing"]["height"],
        step=card["step"],
        letters=len(card["alphabet"]),
        decoding="Greedy decoding, without the language model" if decoder else "Greedy decoding",
        rates=_table(lines),
        language_model=_language_model(export) if decoder else "",
        new_texts=_subset(NEW_TEXTS, export, "new_texts"),
        well_labelled=_subset(WELL_LABELLED, export, "well_labelled"),
        p50=milliseconds(speed["latency_64x800_p50_ms"]),
        machine=speed["machine"],
        val_lines=export["lines"],
        before=f"{100 * export['cer_before_export']:.2f} %",
        after=f"{100 * export['cer']:.2f} %",
        differently=percent(export["read_differently"]),
        temperature=calibration["temperature"],
        character_ece=percent(calibration["character_ece"]),
        line_ece=percent(calibration["line_ece"]),
        language_model_confidences=_confidences(decoder) if decoder else "",
        shares=" | ".join(f"{row['kept']} %" for row in reject),
        rule=" | ".join("---:" for _ in reject),
        rejects="\n".join(
            f"| {name} | {' | '.join(percent(row['cer']) for row in curve)} |"
            for name, curve in curves
        ),
        language=WITH_LANGUAGE_MODEL if decoder else WITHOUT_LANGUAGE_MODEL,
        training="\n".join(_phase(phase) for phase in card["training"]),
    )


def _language_model(export: Mapping[str, Any]) -> str:
    return LANGUAGE_MODEL_METRICS.format(
        size=f"{megabytes(export['language_model_mb'])} MB",
        rates=_table(export["test"]),
        sentences=SENTENCES if _has_sentences(export.get("texts", {})) else "",
        before=percent(export["cer"]),
        after=percent(export["decoder"]["cer"]),
    )


def _subset(template: str, export: Mapping[str, Any], key: str) -> str:
    """Return the rates of some of the test lines in both ways; '' if the export has none."""
    if not export.get(key):
        return ""
    ways = {"greedy": "greedy", "decoded": "with the language model"}
    if "decoder" not in export:
        ways.pop("decoded")
    rates = {
        f"{dataset}, {words}": rates[way]
        for dataset, rates in export[key].items()
        for way, words in ways.items()
    }
    return template.format(rates=_table(rates))


def _has_sentences(texts: Mapping[str, int]) -> bool:
    """Return whether a language model read more than labels, by the counts of its texts."""
    return any(not name.startswith("labels") and number for name, number in texts.items())


def _confidences(decoder: Mapping[str, Any]) -> str:
    return LANGUAGE_MODEL_CONFIDENCES.format(
        character_ece=percent(decoder["character_ece"]), line_ece=percent(decoder["line_ece"])
    )


def _table(datasets: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a table of rates by dataset."""
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
    """Replace `out` by the exported `system` and its card.

    Raises:
        NetchuError: a stage has not run, or the model is too large; `out` is unchanged.
    """
    home = params.models / system
    export_folder = home / EXPORT_FOLDER
    export, speed = read_export(home)
    metrics = read_json(home / "evaluation/metrics.json", "run 'dvc repro' before shipping")
    text = model_card(read_card(export_folder), metrics, export, speed)
    with new_folder(out) as partial:
        (partial / MODEL_CARD).write_text(text, encoding="utf-8")
        for path in export_folder.iterdir():
            shutil.copyfile(path, partial / path.name)
        size = sum(path.stat().st_size for path in partial.iterdir()) / 1e6
        if size > MAX_MB:
            raise NetchuError(
                f"{export_folder} has {size:.1f} MB, more than {MAX_MB:g}; ship a smaller network"
            )
    return out
