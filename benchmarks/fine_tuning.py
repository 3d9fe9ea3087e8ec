"""Does a model forget other hands when it is fine-tuned on the lines of one? CER before and after.

`python benchmarks/fine_tuning.py LINES...` fine-tunes the shipped model, as `netchu train` does, on
some validation lines of one writer in the first folder of line tables. It prints the CER (greedy)
of the writer's other lines, of lines of other writers in all tables, and of the generated lines
that `netchu train` reports, each before and after, and the processor time of the fine-tuning.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from pathlib import Path

from netchu.core.errors import NetchuError, one_line_errors
from netchu.core.params import ComputeParams
from netchu.core.runtime import set_compute_environment

set_compute_environment(ComputeParams(threads=1, isa="native"))

import pandas as pd  # noqa: E402
from validation import validation_lines  # noqa: E402

from netchu.evaluation.metrics.edits import score_lines  # noqa: E402
from netchu.inference.exported_model import SHIPPED_MODEL  # noqa: E402
from netchu.models.model_card import read_card  # noqa: E402
from netchu.models.model_folder import load_model  # noqa: E402
from netchu.models.transcription import read_lines  # noqa: E402
from netchu.release.fine_tuning import fine_tune  # noqa: E402

MAX_OTHERS = 60
"""Lines of other writers from each table."""


def main() -> None:
    """Fine-tune on the lines of one writer and print the rates before and after."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lines", type=Path, nargs="+")
    parser.add_argument("--writer", help="by default the one with the most lines")
    parser.add_argument("--count", type=int, default=16, help="lines to fine-tune on")
    parser.add_argument("--minutes", type=float, default=10.0)
    arguments = parser.parse_args()
    with one_line_errors(), tempfile.TemporaryDirectory() as temporary:
        tables = [validation_lines(folder) for folder in arguments.lines]
        writer = arguments.writer or str(tables[0]["writer"].value_counts().index[0])
        is_own = tables[0]["writer"] == writer
        own = tables[0][is_own].sample(frac=1, random_state=0)
        if len(own) <= arguments.count:
            raise NetchuError(f"writer {writer} has only {len(own)} lines; name another --count")
        tables[0] = tables[0][~is_own]
        others = pd.concat(
            [table.sample(min(MAX_OTHERS, len(table)), random_state=0) for table in tables]
        )
        sets = {"the writer's other lines": own[arguments.count :], "lines of others": others}
        table = write_csv(own[: arguments.count], Path(temporary))
        started = time.process_time()
        out = Path(temporary) / "model"
        done = fine_tune(table, out, minutes=arguments.minutes)
        seconds = time.process_time() - started
        for name, lines in sets.items():
            before, after = cer(SHIPPED_MODEL, lines), cer(out, lines)
            print(f"{name} ({len(lines)}): {before:.2f} → {after:.2f} %")
        general = [100 * rates["cer"] for rates in (done.general_before, done.general_after)]
        print(f"generated lines: {general[0]:.2f} → {general[1]:.2f} %")
        print(f"share {done.share:g}, {done.lines}, {seconds:.0f} s of processor time")


def write_csv(lines: pd.DataFrame, folder: Path) -> Path:
    """Write images and a table of their labels, as a user of `netchu train` has them."""
    path = folder / "mine.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("image", "label"))
        for number, (image, text) in enumerate(zip(lines["image"], lines["text"], strict=True)):
            (folder / f"{number}.png").write_bytes(image)
            rows.writerow((f"{number}.png", text))
    return path


def cer(model: Path, lines: pd.DataFrame) -> float:
    """Return the CER of a model in per cent, decoded greedily."""
    recogniser = load_model(model, read_card(model)["alphabet"])
    texts = [reading.text for reading in read_lines(recogniser, lines, batch_size=16)]
    scores = score_lines(lines["text"].tolist(), texts)
    return float(100 * scores["edits"].sum() / scores["characters"].sum())


if __name__ == "__main__":
    main()
