"""Suspect labels: lines that several systems read alike, and differently from their label.

When independently trained systems agree with each other and not with the label, the label is often
wrong. The list holds labels and images of research data, so it is written to a folder that git
ignores.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from netchu.core.errors import NetchuError
from netchu.core.params import Params
from netchu.core.spreadsheets import guard_formulas
from netchu.core.text import fold_tone_placement, normalise
from netchu.data.contact_sheet import contact_sheet
from netchu.data.line_table import Line, read_table
from netchu.evaluation.metrics.edits import score_lines
from netchu.evaluation.metrics.summary import lines_hash
from netchu.evaluation.metrics_io import read_metrics
from netchu.imaging.images import encode

MIN_AGREEING_SYSTEMS = 3

SUSPECT_COLUMNS = [
    "dataset", "level", "source", "writer", "id", "text", "reading", "edits", "systems",
]  # fmt: skip


def find_suspects(evaluations: Mapping[str, Path]) -> pd.DataFrame:
    """Find lines that MIN_AGREEING_SYSTEMS systems or more read alike, but not as labelled.

    A different placement of the tone is not a difference.

    Args:
        evaluations: folder of the evaluation by name of the system.

    Returns:
        One row a line with SUSPECT_COLUMNS; `systems` are names joined by spaces. Rows are sorted
        by number of systems, then by edits, both descending.

    Raises:
        NetchuError: there are too few systems, an evaluation has no readings, or the systems have
            read different lines.
    """
    if len(evaluations) < MIN_AGREEING_SYSTEMS:
        raise NetchuError(
            f"an audit needs {MIN_AGREEING_SYSTEMS} evaluated systems, and there are "
            f"{len(evaluations)}: {', '.join(evaluations) or 'none'}; run 'dvc repro'"
        )
    readings = {system: _read_predictions(system, folder) for system, folder in evaluations.items()}
    _check_same_lines(readings)
    rows = pd.concat([frame.assign(system=system) for system, frame in readings.items()])
    rows = rows.assign(
        expected=rows["text"].map(_fold), reading=rows["reading"].map(normalise),
        actual=rows["reading"].map(_fold),
    )  # fmt: skip
    wrong = rows[rows["expected"] != rows["actual"]]
    agreed = (
        wrong.groupby(["dataset", "level", "id", "text", "actual"], sort=False)
        .agg(
            source=("source", "first"), writer=("writer", "first"), reading=("reading", "first"),
            systems=("system", lambda names: " ".join(dict.fromkeys(names))),
            number=("system", "nunique"),
        )
        .reset_index()
    )  # fmt: skip
    agreed = agreed[agreed["number"] >= MIN_AGREEING_SYSTEMS]
    if agreed.empty:
        return pd.DataFrame(columns=SUSPECT_COLUMNS)
    edits = score_lines(agreed["text"].tolist(), agreed["reading"].tolist())["edits"].to_numpy()
    agreed = agreed.assign(edits=edits).sort_values(
        ["number", "edits", "dataset", "id"], ascending=[False, False, True, True]
    )
    return agreed[SUSPECT_COLUMNS].reset_index(drop=True)


def _fold(text: str) -> str:
    return fold_tone_placement(normalise(text))


def _read_predictions(system: str, folder: Path) -> pd.DataFrame:
    """Return the predictions of a system's main variant."""
    file = folder / "predictions.parquet"
    if not file.is_file():
        raise NetchuError(f"{file} is not here; evaluate {system}, or leave it out")
    try:
        frame = pd.read_parquet(file)
    except (OSError, ValueError) as error:
        raise NetchuError(f"{file} cannot be read ({error}); evaluate {system} again") from None
    frame = frame[frame["variant"] == read_metrics(folder).get("main")]
    if frame.empty or frame["reading"].isna().any():
        raise NetchuError(f"{file} lacks readings; evaluate {system} again")
    return frame


def _check_same_lines(readings: Mapping[str, pd.DataFrame]) -> None:
    first: dict[tuple[str, str], tuple[str, str]] = {}
    for system, frame in readings.items():
        for (dataset, level), part in frame.groupby(["dataset", "level"]):
            hashed = lines_hash(part)
            other, expected = first.setdefault((str(dataset), str(level)), (system, hashed))
            if hashed != expected:
                raise NetchuError(
                    f"{other} and {system} have read different lines of {dataset}/{level}; "
                    "evaluate both on the same lines, or leave one out"
                )


def write_audit(params: Params, suspects: pd.DataFrame, out: Path, *, sheet: bool) -> list[Path]:
    """Write `suspects.csv` into `out`, with a .gitignore for the folder.

    Args:
        params: of the profile that was evaluated.
        suspects: output of `find_suspects`.
        out: the folder.
        sheet: also draw the first lines' images into `sheet.png`, in the table's order.

    Returns:
        The files that were written.

    Raises:
        NetchuError: a line is in no line table of the profile.
    """
    drawn = contact_sheet(_load_lines(params, suspects)) if sheet and len(suspects) else None
    out.mkdir(parents=True, exist_ok=True)
    (out / ".gitignore").write_text("*\n", encoding="utf-8")
    table = out / "suspects.csv"
    guarded = suspects.map(lambda cell: guard_formulas(cell) if isinstance(cell, str) else cell)
    guarded.to_csv(table, index=False)
    if drawn is None:
        return [table]
    (out / "sheet.png").write_bytes(encode(drawn))
    return [table, out / "sheet.png"]


def _load_lines(params: Params, suspects: pd.DataFrame) -> list[Line]:
    columns = list(Line.__annotations__)
    tables = {
        str(dataset): read_table(
            params.lines / str(dataset), columns, {"id": set(part["id"])}
        ).set_index("id", drop=False)
        for dataset, part in suspects.groupby("dataset")
    }
    lines = []
    for dataset, name in zip(suspects["dataset"], suspects["id"], strict=True):
        if name not in tables[dataset].index:
            raise NetchuError(f"line {name} is not in {params.lines / dataset}; evaluate again")
        lines.append(Line(**tables[dataset].loc[name, columns].to_dict()))
    return lines
