"""`metrics.json`: reading it with suspicion, writing it so that equal figures are equal bytes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from netchu.core.errors import NetchuError

_NUMBERS = re.compile(r"\[\n[-+\d.eE,\s]*\]")
"""A list of nothing but numbers; the line break tells it from a bracket in a text."""


def write_figures(content: dict[str, Any], path: Path) -> None:
    """Write JSON with sorted keys and every list of numbers on a line of its own.

    Raises:
        NetchuError: a figure is not a number (NaN or infinite).
    """
    try:
        text = json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True, allow_nan=False)
    except ValueError:
        raise NetchuError(
            f"{path}: a figure is not a number (NaN or infinite); score the readings again"
        ) from None
    text = _NUMBERS.sub(lambda numbers: "[" + " ".join(numbers[0][1:-1].split()) + "]", text)
    path.write_text(text + "\n", encoding="utf-8")


def read_figures(path: Path) -> dict[str, Any]:
    """The figures in a `metrics.json`, named itself or by its folder.

    Raises:
        NetchuError: it is not here, no JSON object, or holds NaN.
    """
    file = path / "metrics.json" if path.is_dir() else path
    try:
        content = json.loads(file.read_text(encoding="utf-8"), parse_constant=_refuse)
    except FileNotFoundError:
        raise NetchuError(f"{file} is not here; run 'dvc repro' to make it") from None
    except _NotANumberError as error:
        raise NetchuError(f"{file} holds {error}, which is no figure; make it anew") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise NetchuError(f"{file} is not JSON ({error}); run 'dvc repro' to make it") from None
    if not isinstance(content, dict):
        raise NetchuError(f"{file} holds no object of figures; name a metrics.json")
    return content


class _NotANumberError(Exception):
    pass


def _refuse(constant: str) -> float:
    raise _NotANumberError(constant)
