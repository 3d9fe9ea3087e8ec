"""Reading and writing `metrics.json`: only finite numbers, and equal content is equal bytes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from netchu.core.errors import NetchuError
from netchu.core.files import new_file

_NUMBERS = re.compile(r"\[\n[-+\d.eE,\s]*\]")
"""A list of nothing but numbers; the line break tells it from a bracket in a text."""


def write_metrics(content: dict[str, Any], path: Path) -> None:
    """Write JSON with sorted keys and every list of numbers on one line.

    Raises:
        NetchuError: a number is NaN or infinite.
    """
    try:
        text = json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True, allow_nan=False)
    except ValueError:
        raise NetchuError(
            f"{path}: a value is not a number (NaN or infinite); score the readings again"
        ) from None
    text = _NUMBERS.sub(lambda numbers: "[" + " ".join(numbers[0][1:-1].split()) + "]", text)
    with new_file(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")


def read_metrics(path: Path) -> dict[str, Any]:
    """Return the content of a `metrics.json`, given as the file or its folder.

    Raises:
        NetchuError: the file is missing, is not a JSON object, or holds NaN or infinity.
    """
    file = path / "metrics.json" if path.is_dir() else path
    try:
        content = json.loads(file.read_text(encoding="utf-8"), parse_constant=_refuse)
    except FileNotFoundError:
        raise NetchuError(f"{file} is not here; run 'dvc repro' to make it") from None
    except _NotANumberError as error:
        raise NetchuError(f"{file} holds {error}, which is not a number; make it again") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise NetchuError(f"{file} is not JSON ({error}); run 'dvc repro' to make it") from None
    if not isinstance(content, dict):
        raise NetchuError(f"{file} is not a JSON object; name a metrics.json")
    return content


class _NotANumberError(Exception):
    pass


def _refuse(constant: str) -> float:
    raise _NotANumberError(constant)
