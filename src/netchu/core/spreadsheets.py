"""Text in CSV files that a spreadsheet must not take for a formula."""

from __future__ import annotations

import re

_FORMULA = re.compile(r'(^|[;,\t\r\n])(?=[\s"]*[=+\-@＝＋－＠|%])')
"""The start of each cell that looks like a formula, whatever the table is split at."""

_GUARD = "\u200b"
"""Zero-width space: spreadsheets show text behind it, and `text.normalise` removes it."""


def guard_formulas(text: str) -> str:
    """Return `text` with a zero-width space before each part that begins like a formula.

    Parts begin behind commas, semicolons and tabs, too: quotes written for one separator do not
    protect a table that is split at another, and `;"=` begins a cell with `=` then.
    """
    return _FORMULA.sub(rf"\1{_GUARD}", text)
