"""The lines that benchmarks of accuracy read."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from netchu.core.errors import NetchuError
from netchu.data.line_table import read_table


def validation_lines(folder: Path, most: int | None = None) -> pd.DataFrame:
    """Return the validation lines of a table, without words and paragraphs.

    With `most`, at most so many are drawn, always the same ones.

    Raises:
        NetchuError: the table has none.
    """
    found = read_table(folder, where={"split": ("val",), "level": ("line",)})
    if found.empty:
        raise NetchuError(f"{folder} has no validation lines; name another table")
    return found if most is None else found.sample(min(most, len(found)), random_state=1)
