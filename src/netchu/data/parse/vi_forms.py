"""What people write on forms: names and wards (MIT), post offices and schools (research data).

The archive holds either the lists `forms_given_names.txt`, `forms_units_2025.txt`,
`forms_addresses_post.txt` and `forms_schools.txt`, one entry in each line, or the files of the
upstream repositories, `boy.txt`, `girl.txt`, `units.json`, `post_offices.tsx` and `schools.sql`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from netchu.core.errors import NetchuError
from netchu.core.text import ALPHABET, normalise
from netchu.data.archives import read_text, tar_members
from netchu.data.fetch.vi_forms import SOURCE


@dataclass(frozen=True)
class FormTexts:
    """Entries of forms, normalised, each once and within the alphabet.

    Attributes:
        given_names: middle and given name, 'Anh Khoa'.
        wards: the wards and communes since July 2025, 'Phường Ba Đình, Thành phố Hà Nội'.
        addresses: of post offices, as they write them, mostly with the districts of before.
        schools: names of universities and colleges.
    """

    given_names: tuple[str, ...]
    wards: tuple[str, ...]
    addresses: tuple[str, ...]
    schools: tuple[str, ...]


_OFFICE = re.compile(
    r'province: "([^"]*)",\s*district: "([^"]*)",\s*ward: "[^"]*",\s*detailAddress: "([^"]*)"'
)
_SCHOOL = re.compile(r"^\s*\(\s*'([^']*)'", re.MULTILINE)


def texts(folder: Path) -> FormTexts:
    """Return the entries of all lists.

    Raises:
        NetchuError: the archive is missing or damaged, or a list is missing or empty.
    """
    found: dict[str, list[str]] = {"given_names": [], "wards": [], "addresses": [], "schools": []}
    for path, content in tar_members(folder / SOURCE.file, SOURCE.name):
        if reader := _READERS.get(Path(path).name):
            name, read = reader
            found[name] += _entries(read(read_text(content, path, SOURCE.name)))
    if missing := [name for name, entries in found.items() if not entries]:
        raise NetchuError(
            f"{SOURCE.name}: {SOURCE.file} has no {missing[0].replace('_', ' ')}; "
            "download it again, or replace the copy in the mirror"
        )
    return FormTexts(**{name: tuple(dict.fromkeys(entries)) for name, entries in found.items()})


def _entries(lines: Iterable[str]) -> list[str]:
    normalised = map(normalise, lines)
    return [line for line in normalised if line and set(line) <= set(ALPHABET)]


def _units(content: str) -> list[str]:
    """Read the provinces and their wards: `[{FullName, Wards: [{FullName, …}], …}]`."""
    try:
        return [
            f"{ward['FullName']}, {province['FullName']}"
            for province in json.loads(content)
            for ward in province["Wards"]
        ]
    except (json.JSONDecodeError, KeyError, TypeError, RecursionError) as error:
        raise NetchuError(
            f"{SOURCE.name}: units.json is not a list of provinces ({error}); download it again"
        ) from None


def _offices(content: str) -> list[str]:
    return [
        ", ".join((address, district, province))
        for province, district, address in _OFFICE.findall(content)
    ]


_READERS: dict[str, tuple[str, Callable[[str], list[str]]]] = {
    "forms_given_names.txt": ("given_names", str.splitlines),
    "forms_units_2025.txt": ("wards", str.splitlines),
    "forms_addresses_post.txt": ("addresses", str.splitlines),
    "forms_schools.txt": ("schools", str.splitlines),
    "boy.txt": ("given_names", str.splitlines),
    "girl.txt": ("given_names", str.splitlines),
    "units.json": ("wards", _units),
    "post_offices.tsx": ("addresses", _offices),
    "schools.sql": ("schools", _SCHOOL.findall),
}
"""Name of a member -> the list that it belongs to, and how it is read."""
