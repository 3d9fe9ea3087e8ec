"""Lines and how they were read, for the datasets whose images may be shown."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

import cv2
import jiwer
import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from netchu.data.line_table import read_table
from netchu.evaluation.metrics.edits import score_lines
from netchu.imaging.images import decode
from netchu.report.gather import Findings, SystemResult

HEIGHT = 44
"""Pixels of the pictures in the gallery."""


Key = tuple[str, str]
"""(dataset, id) of a line."""


@dataclass(frozen=True)
class Picture:
    """One reading: of which system, with its edits coloured, how sure, and how wrong (a ratio)."""

    system: str
    reading: Markup
    confidence: float
    cer: float


@dataclass(frozen=True)
class Example:
    """A line as a data URI with its dataset and truth, and one or more readings of it."""

    image: str
    dataset: str
    truth: str
    readings: tuple[Picture, ...]


@dataclass(frozen=True)
class SystemGallery:
    """The lines a system read worst, and those it was surest of and wrong."""

    system: str
    worst: tuple[Example, ...]
    confident: tuple[Example, ...]


@dataclass(frozen=True)
class Gallery:
    """random: the same lines, drawn by seed from each dataset, as every system reads them."""

    random: tuple[Example, ...]
    systems: tuple[SystemGallery, ...]


def build_gallery(findings: Findings) -> Gallery:
    """The gallery of the datasets that may be shown; empty where none of them was read."""
    scored = {r.system: _scored(findings, r) for r in findings.results}
    scored = {system: frame for system, frame in scored.items() if not frame.empty}
    number = findings.params.report.gallery_lines
    random = _random(findings, scored, number)
    picks = {s: (_worst(frame, number), _sure(frame, number)) for s, frame in scored.items()}
    keys = set(random).union(*(set(a) | set(b) for a, b in picks.values()))
    images = _images(keys, findings)

    def examples(chosen: list[Key], shown: dict[str, pd.DataFrame]) -> tuple[Example, ...]:
        return tuple(_example(key, images[key], shown) for key in chosen)

    return Gallery(
        examples(random, scored),
        tuple(
            SystemGallery(system, *(examples(keys, {system: scored[system]}) for keys in chosen))
            for system, chosen in picks.items()
        ),
    )


def _scored(findings: Findings, result: SystemResult) -> pd.DataFrame:
    """The predictions that may be shown, by (dataset, id), with `cer`."""
    frame = result.predictions[result.predictions["dataset"].isin(findings.shown)]
    if frame.empty:
        return frame
    scored = score_lines(frame["text"].tolist(), frame["reading"].tolist())
    cer = (scored["edits"] / scored["characters"]).to_numpy()
    return frame.assign(cer=cer).set_index(["dataset", "id"]).sort_index()


def _random(findings: Findings, scored: dict[str, pd.DataFrame], number: int) -> list[Key]:
    """At most `number` lines of each dataset, in an order that depends on seed and line alone."""
    keys = sorted(
        set().union(*(frame.index for frame in scored.values())), key=lambda k: _order(findings, k)
    )
    datasets = sorted({dataset for dataset, _ in keys})
    return [k for dataset in datasets for k in [k for k in keys if k[0] == dataset][:number]]


def _order(findings: Findings, key: Key) -> str:
    return hashlib.sha256(f"{findings.params.seed} {key[0]} {key[1]}".encode()).hexdigest()


def _worst(frame: pd.DataFrame, number: int) -> list[Key]:
    wrong = frame[frame["cer"] > 0]
    return list(wrong.sort_values("cer", ascending=False, kind="stable").index[:number])


def _sure(frame: pd.DataFrame, number: int) -> list[Key]:
    wrong = frame[frame["cer"] > 0]
    return list(wrong.sort_values("confidence", ascending=False, kind="stable").index[:number])


def _images(keys: set[Key], findings: Findings) -> dict[Key, str]:
    """Data URIs of the lines' images, small WebPs."""
    images = {}
    for dataset in {dataset for dataset, _ in keys}:
        table = read_table(findings.params.lines / dataset, ["id", "image"]).set_index("id")
        encoded = table["image"]
        for key in keys:
            if key[0] == dataset:
                images[key] = _data_uri(encoded[key[1]], f"line {key[1]}")
    return images


def _data_uri(encoded: bytes, where: str) -> str:
    image_HW = decode(encoded, where)
    width = max(1, round(image_HW.shape[1] * HEIGHT / image_HW.shape[0]))
    small_HW = cv2.resize(image_HW, (width, HEIGHT), interpolation=cv2.INTER_AREA)
    _, webp = cv2.imencode(".webp", np.asarray(small_HW), [cv2.IMWRITE_WEBP_QUALITY, 60])
    return "data:image/webp;base64," + base64.b64encode(webp.tobytes()).decode()


def _example(key: Key, image: str, shown: dict[str, pd.DataFrame]) -> Example:
    """The line with the reading of every system that read it."""
    rows = {s: frame.loc[[key]].iloc[0] for s, frame in shown.items() if key in frame.index}
    readings = tuple(
        Picture(
            system,
            mark_edits(row["text"], row["reading"]),
            float(row["confidence"]),
            float(row["cer"]),
        )
        for system, row in rows.items()
    )
    return Example(image, key[0], next(iter(rows.values()))["text"], readings)


def mark_edits(truth: str, reading: str) -> Markup:
    """The reading with its edits marked: <mark> wrong (its title says what stood there), <ins>
    too much, <del> what is missing."""
    parts = []
    for chunk in jiwer.process_characters([truth], [reading]).alignments[0]:
        wanted = escape(truth[chunk.ref_start_idx : chunk.ref_end_idx])
        got = escape(reading[chunk.hyp_start_idx : chunk.hyp_end_idx])
        match chunk.type:
            case "equal":
                parts.append(got)
            case "substitute":
                parts.append(Markup('<mark title="{}">{}</mark>').format(wanted, got))
            case "insert":
                parts.append(Markup("<ins>{}</ins>").format(got))
            case _:
                parts.append(Markup("<del>{}</del>").format(wanted))
    return Markup("").join(parts)
