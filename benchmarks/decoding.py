"""Does the language model help? Greedy decoding beside the beam, on validation lines.

`python benchmarks/decoding.py MODEL LINES...`, where MODEL is an exported model with a language
model and LINES are folders of line tables. Of each table: the rates of both, in per cent, their
difference with a 95 % interval by a bootstrap that draws the same writers (or lines) for both, the
rate of edits among the digits alone, and milliseconds of one core per line.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from netchu.core.codec import Codec
from netchu.core.errors import NetchuError, one_line_errors
from netchu.data.line_table import read_table
from netchu.decoding.greedy import DecodeFunction, greedy_decode
from netchu.evaluation.metrics.bootstrap import (
    bootstrap_groups,
    paired_difference,
    resample_weights,
)
from netchu.evaluation.metrics.edits import score_lines
from netchu.imaging.images import decode
from netchu.imaging.preparation import prepare
from netchu.inference.exported_model import ExportedModel, make_decoder

RESAMPLES = 2000


def main() -> None:
    """Read the flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("lines", type=Path, nargs="+")
    parser.add_argument("--most", type=int, default=300, help="lines of each table")
    flags = parser.parse_args()
    with one_line_errors():
        model = ExportedModel(flags.model)
        if model.language_model is None:
            raise NetchuError(f"{flags.model} holds no language model; name a model that does")
        for folder in flags.lines:
            compare(model, folder, flags.most)


def compare(model: ExportedModel, folder: Path, most: int) -> None:
    """Print one table's rates."""
    table = read_table(folder)
    chosen = table[(table["split"] == "val") & (table["level"] == "line")]
    if chosen.empty:
        raise NetchuError(f"{folder} has no validation line; name another table")
    lines = chosen.sample(min(most, len(chosen)), random_state=1).reset_index(drop=True)
    probabilities = [
        model.probabilities(prepare(decode(image, name), model.preprocessing)[None])[0]
        for image, name in zip(lines["image"], lines["id"], strict=True)
    ]
    codec = Codec(model.alphabet)
    truths = lines["text"].tolist()
    plain, plain_ms = read(probabilities, greedy_decode, codec)
    helped, helped_ms = read(probabilities, make_decoder(model)[0], codec)
    scores = score_lines(truths, plain), score_lines(truths, helped)
    groups, names = pd.factorize(np.asarray(bootstrap_groups(lines), dtype=object))
    weights_RG = resample_weights(len(names), RESAMPLES, 1)
    print(f"{folder.name}: {len(lines)} lines; greedy {plain_ms:.2f} ms, beam {helped_ms:.2f} ms")
    for name, edits, units in (("CER", "edits", "characters"), ("WER", "word_edits", "words"),
                               ("SER", "wrong", "lines")):  # fmt: skip
        sums = [np.bincount(groups, s[edits]) for s in scores]
        found = paired_difference(*sums, np.bincount(groups, scores[0][units]), weights_RG)
        before, after, low, high = (
            100 * x for x in (found.before, found.after, found.low, found.high)
        )
        print(f"  {name} {before:6.2f} → {after:6.2f}  ({low:+.2f} … {high:+.2f})")
    numbered = [i for i, truth in enumerate(truths) if digits(truth)]
    if numbered:
        rates = [digit_rate(truths, texts, numbered) for texts in (plain, helped)]
        print(f"  digits {rates[0]:.2f} → {rates[1]:.2f}")


def read(
    probabilities: Sequence[NDArray[np.float32]], decode_line: DecodeFunction, codec: Codec
) -> tuple[list[str], float]:
    """The texts, and the milliseconds of one core that a line takes in the median."""
    texts, seconds = [], []
    for probabilities_TV in probabilities:
        begin = time.thread_time()
        ids = [emission.id for emission in decode_line(probabilities_TV)]
        seconds.append(time.thread_time() - begin)
        texts.append(codec.decode(ids))
    return texts, 1000 * float(np.median(seconds))


def digits(text: str) -> str:
    """The digits of a text."""
    return "".join(letter for letter in text if letter.isdigit())


def digit_rate(truths: Sequence[str], texts: Sequence[str], chosen: Sequence[int]) -> float:
    """CER in per cent of the digits alone."""
    scored = score_lines([digits(truths[i]) for i in chosen], [digits(texts[i]) for i in chosen])
    return float(100 * scored["edits"].sum() / scored["characters"].sum())


if __name__ == "__main__":
    main()
