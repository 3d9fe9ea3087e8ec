"""Images of lines with their readings, of the datasets that may be shown."""

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

IMAGE_HEIGHT = 44
"""Pixels of the images in the gallery."""

LineKey = tuple[str, str]
"""(dataset, id) of a line."""


@dataclass(frozen=True)
class GalleryReading:
    """A system's reading of a line with marked edits, its confidence and its CER."""

    system: str
    reading: Markup
    confidence: float
    cer: float


@dataclass(frozen=True)
class GalleryLine:
    """A line: its image as a data URI, its dataset, truth and readings."""

    image: str
    dataset: str
    truth: str
    readings: tuple[GalleryReading, ...]


@dataclass(frozen=True)
class SystemGallery:
    """The lines that a system read worst, and its most confident wrong readings."""

    system: str
    worst: tuple[GalleryLine, ...]
    confident: tuple[GalleryLine, ...]


@dataclass(frozen=True)
class Gallery:
    """Lines drawn at random from each dataset, read by every system, and lines by system."""

    random: tuple[GalleryLine, ...]
    systems: tuple[SystemGallery, ...]


def build_gallery(findings: Findings) -> Gallery:
    """Return the gallery of the datasets that may be shown; empty if none of them was read."""
    scored = {r.system: _scored(findings, r) for r in findings.results}
    scored = {system: frame for system, frame in scored.items() if not frame.empty}
    number = findings.params.report.gallery_lines
    random = _random(findings, scored, number)
    picks = {
        s: (_worst(frame, "cer", number), _worst(frame, "confidence", number))
        for s, frame in scored.items()
    }
    keys = set(random).union(*(set(a) | set(b) for a, b in picks.values()))
    images = _images(keys, findings)

    def gallery_lines(
        keys: list[LineKey], shown: dict[str, pd.DataFrame]
    ) -> tuple[GalleryLine, ...]:
        return tuple(_gallery_line(key, images[key], shown) for key in keys)

    return Gallery(
        gallery_lines(random, scored),
        tuple(
            SystemGallery(
                system, *(gallery_lines(keys, {system: scored[system]}) for keys in selected)
            )
            for system, selected in picks.items()
        ),
    )


def _scored(findings: Findings, result: SystemResult) -> pd.DataFrame:
    """Return the predictions that may be shown, by (dataset, id), with `cer`."""
    frame = result.predictions[result.predictions["dataset"].isin(findings.shown)]
    if frame.empty:
        return frame
    scored = score_lines(frame["text"].tolist(), frame["reading"].tolist())
    cer = (scored["edits"] / scored["characters"]).to_numpy()
    return frame.assign(cer=cer).set_index(["dataset", "id"]).sort_index()


def _random(findings: Findings, scored: dict[str, pd.DataFrame], number: int) -> list[LineKey]:
    """Return at most `number` lines of each dataset, ordered by a hash of seed and line."""
    keys = sorted(
        set().union(*(frame.index for frame in scored.values())), key=lambda k: _order(findings, k)
    )
    datasets = sorted({dataset for dataset, _ in keys})
    return [k for dataset in datasets for k in [k for k in keys if k[0] == dataset][:number]]


def _order(findings: Findings, key: LineKey) -> str:
    return hashlib.sha256(f"{findings.params.seed} {key[0]} {key[1]}".encode()).hexdigest()


def _worst(frame: pd.DataFrame, column: str, number: int) -> list[LineKey]:
    """Return the wrong readings with the largest values of `column`."""
    wrong = frame[frame["cer"] > 0]
    return list(wrong.sort_values(column, ascending=False, kind="stable").index[:number])


def _images(keys: set[LineKey], findings: Findings) -> dict[LineKey, str]:
    """Return the lines' images as data URIs of small WebP images."""
    images = {}
    for dataset in {dataset for dataset, _ in keys}:
        names = {name for of, name in keys if of == dataset}
        folder = findings.params.lines / dataset
        encoded = read_table(folder, ["id", "image"], {"id": names}).set_index("id")["image"]
        for name in names:
            images[dataset, name] = _data_uri(encoded[name], f"line {name}")
    return images


def _data_uri(encoded: bytes, where: str) -> str:
    image_HW = decode(encoded, where)
    width = max(1, round(image_HW.shape[1] * IMAGE_HEIGHT / image_HW.shape[0]))
    small_HW = cv2.resize(image_HW, (width, IMAGE_HEIGHT), interpolation=cv2.INTER_AREA)
    _, webp = cv2.imencode(".webp", np.asarray(small_HW), [cv2.IMWRITE_WEBP_QUALITY, 60])
    return "data:image/webp;base64," + base64.b64encode(webp.tobytes()).decode()


def _gallery_line(key: LineKey, image: str, shown: dict[str, pd.DataFrame]) -> GalleryLine:
    """Return a line with the reading of every system that read it."""
    rows = {s: frame.loc[[key]].iloc[0] for s, frame in shown.items() if key in frame.index}
    readings = tuple(
        GalleryReading(
            system,
            mark_edits(row["text"], row["reading"]),
            float(row["confidence"]),
            float(row["cer"]),
        )
        for system, row in rows.items()
    )
    return GalleryLine(image, key[0], next(iter(rows.values()))["text"], readings)


def mark_edits(truth: str, reading: str) -> Markup:
    """Return the reading as HTML with its edits marked.

    <mark> is a substitution, with the truth as its title; <ins> is an insertion, <del> a deletion.
    """
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
