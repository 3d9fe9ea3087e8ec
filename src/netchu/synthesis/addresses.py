"""Random addresses as people write them on forms.

The frequencies of two styles were measured on the training lines of Kalapa and of Cinnamon; those
of the third are made up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from netchu.data.parse.vi_forms import FormTexts
from netchu.synthesis.syllables import random_syllable, to_new_style

Rng = np.random.Generator

PROVINCES = Path(__file__).with_name("provinces.txt")

UNIT_TYPES = ("Đường", "Phường", "Xã", "Thị trấn", "Quận", "Huyện", "Thị xã", "Thành phố",
              "Đặc khu")  # fmt: skip
"""Types of street and administrative unit that a part of an address may start with."""
TO_SPACES = str.maketrans(",.-–", "    ")
JOINED_PREFIXES = ("P", "Q", "F", "P.", "Q.")
"""Abbreviations that are written without a space before a number: P2, Q.1."""
CITIES = ("Hồ Chí Minh", "Hà Nội", "Đà Nẵng", "Hải Phòng", "Cần Thơ", "Huế")


def _weighted(weights: Mapping[str, int]) -> tuple[str, ...]:
    """Return each choice as many times as its weight, for `choose`."""
    return tuple(choice for choice, weight in weights.items() for _ in range(weight))


SMALL_UNITS = _weighted(
    {"Thôn": 30, "Tổ": 16, "Ấp": 17, "Khu": 6, "Xóm": 5, "Khu phố": 5, "KP": 4, "Khóm": 2}
    | {"Tổ dân phố": 3, "TDP": 3, "Lô": 3, "Ngõ": 3, "Đội": 2, "Khối": 2, "Bản": 2, "Phố": 2}
    | {"Ngách": 1, "Hẻm": 1, "Kiệt": 1, "Buôn": 1, "Căn hộ": 1, "Phòng": 1, "Tầng": 1}
    | {"Chung cư": 1, "C/c": 1, "KCN": 1, "Quốc lộ": 1, "QL": 1, "Cụm": 1}
)
NUMBERED = ("Tổ", "Khu", "Khu phố", "KP", "Tổ dân phố", "TDP", "Lô", "Đội", "Ngách", "Hẻm", "Kiệt",
            "Căn hộ", "Phòng", "Tầng", "Quốc lộ", "QL")  # fmt: skip
"""Small units that mostly have a number; the others mostly have a name."""


@dataclass(frozen=True)
class AddressStyle:
    """How addresses are written on one kind of form. Numbers are probabilities.

    Args:
        house: the address starts with a house number and a street.
        small_unit: if not, that it starts with a unit smaller than a ward (hamlet, block, flat).
        lower: the name of the small unit's type starts in lower case.
        second: the address has another small unit.
        kept: a ward or district is not omitted.
        slash: the house number contains a slash.
        new_style: tones are placed as in hoà, not hòa.
        titled: every word is capitalised and there is no punctuation.
        separators: choices of what separates the parts.
        house_prefixes: choices of what precedes a house number.
        forms: unit type, or province -> choices of how it is written; '' omits the type.
    """

    house: float
    small_unit: float
    lower: float
    second: float
    kept: float
    slash: float
    new_style: float
    titled: bool
    separators: tuple[str, ...]
    house_prefixes: tuple[str, ...]
    forms: Mapping[str, tuple[str, ...]]


FULL = AddressStyle(
    house=0.58, small_unit=0.85, lower=0.12, second=0.15, kept=0.97, slash=0.3, new_style=0.6,
    titled=False,
    separators=(", ",),
    house_prefixes=_weighted({"": 18, "Số": 10, "số": 1, "Số nhà": 1}),
    forms={
        "Đường": _weighted({"": 18, "đường": 3, "Đường": 1, "phố": 1}),
        "Phường": _weighted({"Phường": 26, "phường": 1, "P.": 1}),
        "Xã": _weighted({"Xã": 12, "xã": 1}),
        "Thị trấn": _weighted({"Thị trấn": 9, "TT": 1}),
        "Quận": ("Quận",),
        "Huyện": _weighted({"Huyện": 20, "": 1}),
        "Thị xã": _weighted({"Thị Xã": 4, "Thị xã": 3, "TX": 1}),
        "Thành phố": _weighted({"Thành Phố": 5, "Thành phố": 4, "TP": 1, "TP.": 1}),
        "Đặc khu": ("Đặc khu",),
        "Hồ Chí Minh": ("TP Hồ Chí Minh",),
        "Bà Rịa Vũng Tàu": ("Bà Rịa - Vũng Tàu",),
        "Thừa Thiên Huế": ("Thừa Thiên - Huế", "Thừa Thiên Huế"),
    },
)  # fmt: skip
"""With all types of unit and separated by commas, as in Cinnamon."""

BARE = AddressStyle(
    house=0.2, small_unit=0.57, lower=0.0, second=0.1, kept=0.97, slash=0.55, new_style=1.0,
    titled=True,
    separators=(" ",),
    house_prefixes=_weighted({"": 16, "Số": 2, "Số nhà": 1}),
    forms={
        "Đường": _weighted({"": 12, "Đường": 1}),
        "Phường": _weighted({"": 12, "Phường": 1, "P": 2}),
        "Xã": _weighted({"": 12, "Xã": 1}),
        "Thị trấn": _weighted({"": 1, "Thị trấn": 3, "Tt": 1}),
        "Quận": _weighted({"": 18, "Quận": 1, "Q": 1}),
        "Huyện": _weighted({"": 40, "Huyện": 1}),
        "Thị xã": _weighted({"": 4, "Thị xã": 4, "Tx": 1}),
        "Thành phố": _weighted({"Thành phố": 3, "Tp": 2}),
        "Đặc khu": ("Đặc khu", ""),
        "Hồ Chí Minh": _weighted({"Hồ Chí Minh": 1, "Tp Hồ Chí Minh": 3}),
    },
)  # fmt: skip
"""Mostly names alone, capitalised and without punctuation, as in Kalapa."""

FREE = AddressStyle(
    house=0.6, small_unit=0.5, lower=0.4, second=0.1, kept=0.8, slash=0.3, new_style=0.5,
    titled=False,
    separators=_weighted({", ": 4, " ": 3, " - ": 1, " – ": 1, ",": 1}),
    house_prefixes=("", "", "Số", "số", "Số nhà", "SN", "sn", "Nhà số"),
    forms={
        "Đường": ("Đường", "đường", "Đ.", "đ.", "phố", "Phố", ""),
        "Phường": ("Phường", "phường", "P.", "P", "F", ""),
        "Xã": ("Xã", "xã", "X.", ""),
        "Thị trấn": ("Thị trấn", "thị trấn", "TT", "TT.", ""),
        "Quận": ("Quận", "quận", "Q.", "Q", ""),
        "Huyện": ("Huyện", "huyện", "H.", ""),
        "Thị xã": ("Thị xã", "thị xã", "TX", "Tx", "TX.", ""),
        "Thành phố": ("Thành phố", "thành phố", "TP", "TP.", "Tp", "Tp.", ""),
        "Đặc khu": ("Đặc khu", "đặc khu", "ĐK"),
        "Tỉnh": _weighted({"": 8, "tỉnh": 1, "Tỉnh": 1, "T.": 1}),
        "TP": _weighted({"": 3, "TP": 1, "TP.": 1, "Tp.": 1, "Thành phố": 1, "thành phố": 1}),
        "Hồ Chí Minh": ("TPHCM", "TP.HCM", "TP HCM", "Tp. HCM", "HCM", "TP. Hồ Chí Minh",
                        "Hồ Chí Minh"),
    },
)  # fmt: skip
"""With abbreviations and omissions of many sorts."""

STYLES = (FULL, FULL, BARE, BARE, FREE)
ALL_CAPITALS = 0.05
"""Share of free lines in capitals alone."""

SINCE_2025 = 0.5
"""Share of the addresses with the wards and provinces since July 2025 and without a district."""

POST_OFFICES = 0.05
"""Share of the addresses that are those of post offices, as they stand."""

IN_TOWN = 0.85
"""Share of the houses that lie in towns, where more people live per street."""


def choose(rng: Rng, choices: Sequence[str]) -> str:
    """Return one of `choices`, all equally likely."""
    return choices[int(rng.integers(len(choices)))]


def _made_up_name(rng: Rng) -> str:
    """Return a place name of one to three random syllables."""
    return " ".join(random_syllable(rng).capitalize() for _ in range(int(rng.integers(1, 4))))


@dataclass(frozen=True)
class Gazetteer:
    """Streets and wards to draw addresses from.

    Addresses are strings such as 'Đường X, Phường Y, Quận Z, Tỉnh', or the same without a street.
    If `streets` is empty, all names are made up but the province.

    Args:
        provinces: names of all provinces.
        towns: streets of towns.
        streets: all streets.
        wards: each ward and commune once.
        wards_2025: each ward and commune since July 2025 with its province: 'Phường X, Tỉnh'.
        post_offices: addresses that are written as they stand.
    """

    provinces: Sequence[str]
    towns: Sequence[str] = ()
    streets: Sequence[str] = ()
    wards: Sequence[str] = ()
    wards_2025: Sequence[str] = ()
    post_offices: Sequence[str] = ()

    @classmethod
    def from_addresses(cls, addresses: Sequence[str], forms: FormTexts | None = None) -> Gazetteer:
        """Return the gazetteer of addresses as `vietnam_dataset.texts` returns them.

        With `forms` it also has the units since July 2025 and post offices.
        """
        streets = [address for address in addresses if address.startswith("Đường ")]
        towns = [street for street in streets if ", Phường " in street] or streets
        wards = dict.fromkeys(
            address.partition(", ")[2] if address.startswith("Đường ") else address
            for address in addresses
        )
        provinces = PROVINCES.read_text(encoding="utf-8").splitlines()
        if forms is None:
            return cls(provinces, towns, streets, tuple(wards))
        today = tuple(_without_province_type(ward) for ward in forms.wards)
        return cls(provinces, towns, streets, tuple(wards), today, forms.addresses)

    def draw(self, rng: Rng, street: bool) -> str:
        """Return a random address with a street, mostly in a town, or without a street."""
        if not self.streets:
            made_up = self._make_up(rng)
            return made_up if street else made_up.partition(", ")[2]
        if self.wards_2025 and rng.random() < SINCE_2025:
            ward = choose(rng, self.wards_2025)
            return f"{choose(rng, self.towns).split(', ')[0]}, {ward}" if street else ward
        if not street:
            return choose(rng, self.wards)
        return choose(rng, self.towns if rng.random() < IN_TOWN else self.streets)

    def _make_up(self, rng: Rng) -> str:
        ward = choose(rng, ["Phường", "Xã", "Thị trấn"])
        district = choose(rng, ["Quận", "Huyện", "Thị xã", "Thành phố"])
        names = [_made_up_name(rng), _made_up_name(rng), _made_up_name(rng)]
        if ward == "Phường" and rng.random() < 0.2:
            names[1] = str(int(rng.integers(1, 25)))
        if district == "Quận" and rng.random() < 0.3:
            names[2] = str(int(rng.integers(1, 13)))
        province = choose(rng, self.provinces)
        return f"Đường {names[0]}, {ward} {names[1]}, {district} {names[2]}, {province}"


def _without_province_type(ward: str) -> str:
    """Return 'Xã X, Tỉnh Y' or 'Phường X, Thành phố Y' without the type of the province."""
    name, _, province = ward.partition(", ")
    return f"{name}, {province.removeprefix('Tỉnh ').removeprefix('Thành phố ')}"


def random_address(rng: Rng, gazetteer: Gazetteer) -> str:
    """Return an address as people write it on a form, in a random style."""
    if gazetteer.post_offices and rng.random() < POST_OFFICES:
        return choose(rng, gazetteer.post_offices)
    style = STYLES[int(rng.integers(len(STYLES)))]
    has_house = rng.random() < style.house
    *parts, province = gazetteer.draw(rng, street=has_house).split(", ")
    first = []
    if has_house:
        first = [_house(rng, _format_part(rng, parts.pop(0), style), style)]
    elif rng.random() < style.small_unit:
        first = [_small_unit(rng, gazetteer, style.lower)]
    if first and rng.random() < style.second:
        first.append(_small_unit(rng, gazetteer, lower=0.7))
    written = [_format_part(rng, part, style) for part in parts if rng.random() < style.kept]
    separator = choose(rng, style.separators)
    text = separator.join([*first, *written, _format_province(rng, province, style)])
    if rng.random() < style.new_style:
        text = to_new_style(text)
    if style.titled:
        return " ".join(word.capitalize() for word in text.translate(TO_SPACES).split())
    return text.upper() if style is FREE and rng.random() < ALL_CAPITALS else text


def _split_type(part: str) -> tuple[str, str]:
    """Split 'Phường Cống Vị' into ('Phường', 'Cống Vị'); an unknown type of unit is ''."""
    for unit_type in UNIT_TYPES:
        if part.lower().startswith(unit_type.lower() + " "):
            return unit_type, part[len(unit_type) + 1 :]
    return "", part


def _format_part(rng: Rng, part: str, style: AddressStyle) -> str:
    """Write a part of an address as the style does: 'Phường 2' as 'P2'."""
    unit_type, name = _split_type(part)
    form = choose(rng, style.forms[unit_type]) if unit_type else ""
    if name[0].isdigit() or name.startswith("Số "):  # alone it would look like another number
        return f"{form}{name}" if form in JOINED_PREFIXES else f"{form or unit_type} {name}"
    return f"{form} {name}".strip()


def _house(rng: Rng, street: str, style: AddressStyle) -> str:
    """Return a house number and its street: 'Số 12/3A Lê Lợi'."""
    number = _random_number(rng, 3)
    for share in (style.slash, 0.2, 0.1):
        if rng.random() >= share:
            break
        number += f"/{_random_number(rng, 2.3)}"
    suffix = rng.random()
    if suffix < 0.12:
        number += choose(rng, "AAAABBBCCDEFGHK")
    elif suffix < 0.14:
        number += f"-{_random_number(rng, 2)}"
    elif suffix < 0.16:
        number = choose(rng, "ABCDEHK") + number
    separator = ", " if style is FULL and rng.random() < 0.1 else " "
    return f"{choose(rng, style.house_prefixes)} {number}{separator}{street}".strip()


def _small_unit(rng: Rng, gazetteer: Gazetteer, lower: float) -> str:
    """Return a unit smaller than a ward, 'Tổ 6' or 'Thôn An Định'.

    `lower` is the probability that its type starts in lower case.
    """
    unit_type = choose(rng, SMALL_UNITS)
    if rng.random() < (0.9 if unit_type in NUMBERED else 0.25):
        name = _random_number(rng, 1.3) + (choose(rng, "ABC") if rng.random() < 0.04 else "")
    else:
        _, name = _split_type(gazetteer.draw(rng, street=False).split(", ", 1)[0])
    if rng.random() < lower and unit_type[1].islower():
        unit_type = unit_type[0].lower() + unit_type[1:]
    return f"{unit_type} {name}"


def _random_number(rng: Rng, digits: float) -> str:
    """Return a whole number below 10 ** digits; small ones are more frequent."""
    return str(int(10 ** rng.uniform(0, digits)))


def _format_province(rng: Rng, name: str, style: AddressStyle) -> str:
    if name in style.forms:
        return choose(rng, style.forms[name])
    forms = style.forms.get("TP" if name in CITIES else "Tỉnh", ("",))
    return f"{choose(rng, forms)} {name}".strip()
