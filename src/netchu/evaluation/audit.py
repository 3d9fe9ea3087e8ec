"""Labels that several systems contradict with one voice: the first to look at again.

Three systems that learned apart and read the same thing are more often right than a label that says
another. What they find is a list to look at, and label and image of research data: it is written to
a folder that git ignores.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from netchu.core.errors import NetchuError
from netchu.core.params import Params
from netchu.core.text import fold_tone_placement, normalise
from netchu.data.contact_sheet import contact_sheet
from netchu.data.line_table import Line, read_table
from netchu.evaluation.metrics.edits import score
from netchu.evaluation.metrics.summary import lines_hash
from netchu.evaluation.metrics_io import read_figures
from netchu.imaging.images import encode

AGREE = 3
"""Systems that must have read the same."""

COLUMNS = ["dataset", "level", "source", "writer", "id", "text", "reading", "edits", "systems"]


def suspects(evaluations: Mapping[str, Path]) -> pd.DataFrame:
    """Lines that AGREE or more of the evaluated systems (name -> folder) read alike and otherwise.

    The placement of a tone makes no difference. Columns COLUMNS, `systems` joined by spaces; those
    with the most systems first, then those with the most edits.

    Raises:
        NetchuError: fewer systems, an evaluation without readings, or they read other lines.
    """
    if len(evaluations) < AGREE:
        raise NetchuError(
            f"an audit needs {AGREE} evaluated systems, and there are {len(evaluations)}: "
            f"{', '.join(evaluations) or 'none'}; run 'dvc repro'"
        )
    found = {system: _readings(system, folder) for system, folder in evaluations.items()}
    _check_lines(found)
    rows = pd.concat([frame.assign(system=system) for system, frame in found.items()])
    rows = rows.assign(
        wanted=rows["text"].map(_plain), reading=rows["reading"].map(normalise),
        read=rows["reading"].map(_plain),
    )  # fmt: skip
    wrong = rows[rows["wanted"] != rows["read"]]
    agreed = (
        wrong.groupby(["dataset", "level", "id", "text", "read"], sort=False)
        .agg(
            source=("source", "first"), writer=("writer", "first"), reading=("reading", "first"),
            systems=("system", lambda names: " ".join(dict.fromkeys(names))),
            number=("system", "nunique"),
        )
        .reset_index()
    )  # fmt: skip
    agreed = agreed[agreed["number"] >= AGREE]
    if agreed.empty:
        return pd.DataFrame(columns=COLUMNS)
    edits = score(agreed["text"].tolist(), agreed["reading"].tolist())["edits"].to_numpy()
    agreed = agreed.assign(edits=edits).sort_values(
        ["number", "edits", "dataset", "id"], ascending=[False, False, True, True]
    )
    return agreed[COLUMNS].reset_index(drop=True)


def _plain(text: str) -> str:
    return fold_tone_placement(normalise(text))


def _readings(system: str, folder: Path) -> pd.DataFrame:
    """The readings of a system's main variant."""
    file = folder / "predictions.parquet"
    if not file.is_file():
        raise NetchuError(f"{file} is not here; evaluate {system}, or leave it out")
    try:
        frame = pd.read_parquet(file)
    except (OSError, ValueError) as error:
        raise NetchuError(f"{file} cannot be read ({error}); evaluate {system} again") from None
    frame = frame[frame["variant"] == read_figures(folder).get("main")]
    if frame.empty or frame["reading"].isna().any():
        raise NetchuError(f"{file} lacks readings; evaluate {system} again")
    return frame


def _check_lines(found: Mapping[str, pd.DataFrame]) -> None:
    """Refuse systems that read other lines of the same dataset and level."""
    first: dict[tuple[str, str], tuple[str, str]] = {}
    for system, frame in found.items():
        for (dataset, level), part in frame.groupby(["dataset", "level"]):
            hashed = lines_hash(part)
            other, expected = first.setdefault((str(dataset), str(level)), (system, hashed))
            if hashed != expected:
                raise NetchuError(
                    f"{other} and {system} have read other lines of {dataset}/{level}; evaluate "
                    "both on the same lines, or leave one out"
                )


def write_audit(params: Params, found: pd.DataFrame, out: Path, *, sheet: bool) -> list[Path]:
    """Write `suspects.csv`, and `sheet.png` with the first lines' images, in the table's order.

    `out` gets a .gitignore of its own. Returns what was written.

    Raises:
        NetchuError: a line is in no line table of the profile.
    """
    drawn = contact_sheet(_lines(params, found)) if sheet and len(found) else None
    out.mkdir(parents=True, exist_ok=True)
    (out / ".gitignore").write_text("*\n", encoding="utf-8")
    table = out / "suspects.csv"
    found.to_csv(table, index=False)
    if drawn is None:
        return [table]
    (out / "sheet.png").write_bytes(encode(drawn))
    return [table, out / "sheet.png"]


def _lines(params: Params, found: pd.DataFrame) -> list[Line]:
    columns = list(Line.__annotations__)
    tables = {
        str(dataset): read_table(params.lines / str(dataset), columns).set_index("id", drop=False)
        for dataset in found["dataset"].unique()
    }
    lines = []
    for dataset, name in zip(found["dataset"], found["id"], strict=True):
        if name not in tables[dataset].index:
            raise NetchuError(f"line {name} is not in {params.lines / dataset}; evaluate again")
        lines.append(Line(**tables[dataset].loc[name, columns].to_dict()))
    return lines
