"""Streets, wards, districts and provinces of Vietnam (MIT), as ends of addresses."""

from __future__ import annotations

import json
from itertools import cycle
from pathlib import Path
from typing import Any

from netchu.core.errors import NetchuError
from netchu.core.text import ALPHABET, normalise
from netchu.data.archives import tar_members
from netchu.data.fetch.vietnam_dataset import SOURCE


def texts(folder: Path) -> list[str]:
    """Return every street with a ward of its district: 'Đường X, Phường Y, Quận Z, Tỉnh'.

    A district without streets gives its wards alone, and the other way round. Addresses outside the
    alphabet are left out.

    Raises:
        NetchuError: the archive is missing, damaged or truncated, or a file is no list of
            districts.
    """
    found: list[str] = []
    for name, content in tar_members(folder / SOURCE.file, SOURCE.name):
        path = Path(name)
        if path.suffix == ".json" and path.parent.name == "data":
            try:
                province = json.loads(content)
                for district in province["district"]:
                    found += _district(district, province["name"])
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                reason = f"{type(error).__name__}: {error}"
                raise NetchuError(
                    f"{SOURCE.name}: {name} is no list of districts ({reason}); download it again"
                ) from None
    return [text for text in map(normalise, found) if set(text) <= set(ALPHABET)]


def _district(district: dict[str, Any], province: str) -> list[str]:
    """Pair streets and wards; the shorter list is cycled."""
    wards = [f"{ward['pre']} {ward['name']}".strip() for ward in district["ward"]]
    streets = [f"Đường {street}" for street in district["street"]]
    tail = f"{district['pre']} {district['name']}".strip() + f", {province}"
    if not wards or not streets:
        return [f"{part}, {tail}" for part in wards + streets]
    count = max(len(wards), len(streets))
    pairs = zip(cycle(streets), cycle(wards), range(count))
    return [f"{street}, {ward}, {tail}" for street, ward, _ in pairs]
