"""Does the language model help? Compare greedy decoding with beam search on validation lines.

`python benchmarks/decoding.py MODEL LINES...`: MODEL is an exported model with a language model,
LINES are folders of line tables. The output, per table, is the rates of both in per cent, a paired
95 % bootstrap interval of their difference (over writers, or lines where writers are unknown), the
CER of the digits alone, and milliseconds per line on one core.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from validation import validation_lines

from netchu.core.codec import Codec
from netchu.core.errors import NetchuError, one_line_errors
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
    """Compare both decoders on each table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("lines", type=Path, nargs="+")
    parser.add_argument(
        "--most", dest="max_lines", type=int, default=300, help="lines of each table"
    )
    arguments = parser.parse_args()
    with one_line_errors():
        model = ExportedModel(arguments.model)
        if model.language_model is None:
            raise NetchuError(f"{arguments.model} has no language model; name a model with one")
        for folder in arguments.lines:
            compare_decoders(model, folder, arguments.max_lines)


def compare_decoders(model: ExportedModel, folder: Path, max_lines: int) -> None:
    """Print the comparison on one table."""
    lines = validation_lines(folder, max_lines).reset_index(drop=True)
    probabilities = [
        model.probabilities(prepare(decode(image, name), model.preprocessing)[None])[0]
        for image, name in zip(lines["image"], lines["id"], strict=True)
    ]
    codec = Codec(model.alphabet)
    truths = lines["text"].tolist()
    greedy_texts, greedy_ms = decode_all(probabilities, greedy_decode, codec)
    beam_texts, beam_ms = decode_all(probabilities, make_decoder(model)[0], codec)
    scores = score_lines(truths, greedy_texts), score_lines(truths, beam_texts)
    groups, names = pd.factorize(np.asarray(bootstrap_groups(lines), dtype=object))
    weights_RG = resample_weights(len(names), RESAMPLES, 1)
    print(f"{folder.name}: {len(lines)} lines; greedy {greedy_ms:.2f} ms, beam {beam_ms:.2f} ms")
    for name, edits, units in (("CER", "edits", "characters"), ("WER", "word_edits", "words"),
                               ("SER", "wrong", "lines")):  # fmt: skip
        sums = [np.bincount(groups, s[edits]) for s in scores]
        found = paired_difference(*sums, np.bincount(groups, scores[0][units]), weights_RG)
        before, after, low, high = (
            100 * x for x in (found.before, found.after, found.low, found.high)
        )
        print(f"  {name} {before:6.2f} → {after:6.2f}  ({low:+.2f} … {high:+.2f})")
    with_digits = [i for i, truth in enumerate(truths) if digits(truth)]
    if with_digits:
        rates = [digit_rate(truths, texts, with_digits) for texts in (greedy_texts, beam_texts)]
        print(f"  digits {rates[0]:.2f} → {rates[1]:.2f}")


def decode_all(
    probabilities: Sequence[NDArray[np.float32]], decode_line: DecodeFunction, codec: Codec
) -> tuple[list[str], float]:
    """Return the texts, and the median milliseconds per line on one core."""
    texts, seconds = [], []
    for probabilities_TV in probabilities:
        begin = time.thread_time()
        ids = [emission.id for emission in decode_line(probabilities_TV)]
        seconds.append(time.thread_time() - begin)
        texts.append(codec.decode(ids))
    return texts, 1000 * float(np.median(seconds))


def digits(text: str) -> str:
    """Return the digits of a text."""
    return "".join(letter for letter in text if letter.isdigit())


def digit_rate(truths: Sequence[str], texts: Sequence[str], selected: Sequence[int]) -> float:
    """Return the CER of the digits of the `selected` lines in per cent."""
    scored = score_lines(
        [digits(truths[i]) for i in selected], [digits(texts[i]) for i in selected]
    )
    return float(100 * scored["edits"].sum() / scored["characters"].sum())


if __name__ == "__main__":
    main()
