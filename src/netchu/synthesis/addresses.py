"""Addresses as people write them on forms, in the shares that real lines have.

Two manners were measured on the training lines of Kalapa and of Cinnamon; a third is free.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from netchu.synthesis import syllables

Rng = np.random.Generator

PROVINCES = Path(__file__).with_name("provinces.txt")

KINDS = ("Đường", "Phường", "Xã", "Thị trấn", "Quận", "Huyện", "Thị xã", "Thành phố")
UNPUNCTUATED = str.maketrans(",.-–", "    ")
GLUED = ("P", "Q", "F", "P.", "Q.")
"""Forms that stand close to a number: P2, Q.1."""
CITIES = ("Hồ Chí Minh", "Hà Nội", "Đà Nẵng", "Hải Phòng", "Cần Thơ")


def _often(weights: Mapping[str, int]) -> tuple[str, ...]:
    """Choices that stand as often as they shall be drawn."""
    return tuple(choice for choice, weight in weights.items() for _ in range(weight))


PLACES = _often(
    {"Thôn": 30, "Tổ": 16, "Ấp": 17, "Khu": 6, "Xóm": 5, "Khu phố": 5, "KP": 4, "Khóm": 2}
    | {"Tổ dân phố": 3, "TDP": 3, "Lô": 3, "Ngõ": 3, "Đội": 2, "Khối": 2, "Bản": 2, "Phố": 2}
    | {"Ngách": 1, "Hẻm": 1, "Kiệt": 1, "Buôn": 1, "Căn hộ": 1, "Phòng": 1, "Tầng": 1}
    | {"Chung cư": 1, "C/c": 1, "KCN": 1, "Quốc lộ": 1, "QL": 1, "Cụm": 1}
)
NUMBERED = ("Tổ", "Khu", "Khu phố", "KP", "Tổ dân phố", "TDP", "Lô", "Đội", "Ngách", "Hẻm", "Kiệt",
            "Căn hộ", "Phòng", "Tầng", "Quốc lộ", "QL")  # fmt: skip
"""Places that go by a number; others mostly have a name."""


@dataclass(frozen=True)
class Manner:
    """How people fill in one kind of form. Numbers are shares.

    house: of the lines that begin with a house number and a street. place: of the others, that
    begin with a hamlet, a block, a flat. lower: of these, that begin small. second: have one more.
    kept: of the wards and districts that are written at all. slash: of the house numbers that have
    one. new_style: of the lines that write hoà, not hòa. titled: every word begins with a capital,
    and there is no punctuation. joints: what stands between the parts. houses: what stands before
    a house number. forms: the kind of a part, or a province -> how it is written; '' leaves the
    kind out.
    """

    house: float
    place: float
    lower: float
    second: float
    kept: float
    slash: float
    new_style: float
    titled: bool
    joints: tuple[str, ...]
    houses: tuple[str, ...]
    forms: Mapping[str, tuple[str, ...]]


FULL = Manner(
    house=0.58, place=0.85, lower=0.12, second=0.15, kept=0.97, slash=0.3, new_style=0.6,
    titled=False,
    joints=(", ",),
    houses=_often({"": 18, "Số": 10, "số": 1, "Số nhà": 1}),
    forms={
        "Đường": _often({"": 18, "đường": 3, "Đường": 1, "phố": 1}),
        "Phường": _often({"Phường": 26, "phường": 1, "P.": 1}),
        "Xã": _often({"Xã": 12, "xã": 1}),
        "Thị trấn": _often({"Thị trấn": 9, "TT": 1}),
        "Quận": ("Quận",),
        "Huyện": _often({"Huyện": 20, "": 1}),
        "Thị xã": _often({"Thị Xã": 4, "Thị xã": 3, "TX": 1}),
        "Thành phố": _often({"Thành Phố": 5, "Thành phố": 4, "TP": 1, "TP.": 1}),
        "Hồ Chí Minh": ("TP Hồ Chí Minh",),
        "Bà Rịa Vũng Tàu": ("Bà Rịa - Vũng Tàu",),
        "Thừa Thiên Huế": ("Thừa Thiên - Huế", "Thừa Thiên Huế"),
    },
)  # fmt: skip
"""Every part named and set off by a comma, as Cinnamon's lines are."""

BARE = Manner(
    house=0.2, place=0.57, lower=0.0, second=0.1, kept=0.97, slash=0.55, new_style=1.0,
    titled=True,
    joints=(" ",),
    houses=_often({"": 16, "Số": 2, "Số nhà": 1}),
    forms={
        "Đường": _often({"": 12, "Đường": 1}),
        "Phường": _often({"": 12, "Phường": 1, "P": 2}),
        "Xã": _often({"": 12, "Xã": 1}),
        "Thị trấn": _often({"": 1, "Thị trấn": 3, "Tt": 1}),
        "Quận": _often({"": 18, "Quận": 1, "Q": 1}),
        "Huyện": _often({"": 40, "Huyện": 1}),
        "Thị xã": _often({"": 4, "Thị xã": 4, "Tx": 1}),
        "Thành phố": _often({"Thành phố": 3, "Tp": 2}),
        "Hồ Chí Minh": _often({"Hồ Chí Minh": 1, "Tp Hồ Chí Minh": 3}),
    },
)  # fmt: skip
"""Names alone, in capitals and without punctuation, as Kalapa's lines are."""

FREE = Manner(
    house=0.6, place=0.5, lower=0.4, second=0.1, kept=0.8, slash=0.3, new_style=0.5,
    titled=False,
    joints=_often({", ": 4, " ": 3, " - ": 1, " – ": 1, ",": 1}),
    houses=("", "", "Số", "số", "Số nhà", "SN", "sn", "Nhà số"),
    forms={
        "Đường": ("Đường", "đường", "Đ.", "đ.", "phố", "Phố", ""),
        "Phường": ("Phường", "phường", "P.", "P", "F", ""),
        "Xã": ("Xã", "xã", "X.", ""),
        "Thị trấn": ("Thị trấn", "thị trấn", "TT", "TT.", ""),
        "Quận": ("Quận", "quận", "Q.", "Q", ""),
        "Huyện": ("Huyện", "huyện", "H.", ""),
        "Thị xã": ("Thị xã", "thị xã", "TX", "Tx", "TX.", ""),
        "Thành phố": ("Thành phố", "thành phố", "TP", "TP.", "Tp", "Tp.", ""),
        "Tỉnh": _often({"": 8, "tỉnh": 1, "Tỉnh": 1, "T.": 1}),
        "TP": _often({"": 3, "TP": 1, "TP.": 1, "Tp.": 1, "Thành phố": 1, "thành phố": 1}),
        "Hồ Chí Minh": ("TPHCM", "TP.HCM", "TP HCM", "Tp. HCM", "HCM", "TP. Hồ Chí Minh",
                        "Hồ Chí Minh"),
    },
)  # fmt: skip
"""Everybody's own way: shortened, joined, left out at will."""

MANNERS = (FULL, FULL, BARE, BARE, FREE)
SHOUTED = 0.05
"""Share of free lines in capitals alone."""
IN_TOWN = 0.85
"""Share of the houses that are looked for in towns, where people live closer than streets lie."""


def pick(rng: Rng, choices: Sequence[str]) -> str:
    """One of `choices`, each as likely as the others."""
    return choices[int(rng.integers(len(choices)))]


def _name(rng: Rng) -> str:
    """A made-up place name of one to three syllables."""
    return " ".join(syllables.draw(rng).capitalize() for _ in range(int(rng.integers(1, 4))))


@dataclass(frozen=True)
class Gazetteer:
    """Where addresses lie, as 'Đường X, Phường Y, Quận Z, Tỉnh' or without the street.

    towns: streets of towns; streets: all of them; wards: each ward and commune once. Where these
    are empty, names that no map has are made up in one of the provinces.
    """

    provinces: Sequence[str]
    towns: Sequence[str] = ()
    streets: Sequence[str] = ()
    wards: Sequence[str] = ()

    @classmethod
    def of(cls, tails: Sequence[str]) -> Gazetteer:
        """Sort addresses as `vietnam_dataset.texts` gives them."""
        streets = [tail for tail in tails if tail.startswith("Đường ")]
        towns = [tail for tail in streets if ", Phường " in tail] or streets
        wards = dict.fromkeys(
            tail.partition(", ")[2] if tail.startswith("Đường ") else tail for tail in tails
        )
        provinces = PROVINCES.read_text(encoding="utf-8").splitlines()
        return cls(provinces, towns, streets, tuple(wards))

    def draw(self, rng: Rng, street: bool) -> str:
        """An address with a street, mostly one in a town, or without one."""
        if not self.streets:
            made_up = self._make_up(rng)
            return made_up if street else made_up.partition(", ")[2]
        if not street:
            return pick(rng, self.wards)
        return pick(rng, self.towns if rng.random() < IN_TOWN else self.streets)

    def _make_up(self, rng: Rng) -> str:
        ward = pick(rng, ["Phường", "Xã", "Thị trấn"])
        district = pick(rng, ["Quận", "Huyện", "Thị xã", "Thành phố"])
        names = [_name(rng), _name(rng), _name(rng)]
        if ward == "Phường" and rng.random() < 0.2:
            names[1] = str(int(rng.integers(1, 25)))
        if district == "Quận" and rng.random() < 0.3:
            names[2] = str(int(rng.integers(1, 13)))
        province = pick(rng, self.provinces)
        return f"Đường {names[0]}, {ward} {names[1]}, {district} {names[2]}, {province}"


def draw_address(rng: Rng, gazetteer: Gazetteer) -> str:
    """An address as people write it on a form, in one of the manners."""
    manner = MANNERS[int(rng.integers(len(MANNERS)))]
    housed = rng.random() < manner.house
    *parts, province = gazetteer.draw(rng, street=housed).split(", ")
    first = []
    if housed:
        first = [_house(rng, _written(rng, parts.pop(0), manner), manner)]
    elif rng.random() < manner.place:
        first = [_place(rng, gazetteer, manner.lower)]
    if first and rng.random() < manner.second:
        first.append(_place(rng, gazetteer, lower=0.7))
    written = [_written(rng, part, manner) for part in parts if rng.random() < manner.kept]
    text = pick(rng, manner.joints).join([*first, *written, _province(rng, province, manner)])
    if rng.random() < manner.new_style:
        text = syllables.to_new_style(text)
    if manner.titled:
        return " ".join(word.capitalize() for word in text.translate(UNPUNCTUATED).split())
    return text.upper() if manner is FREE and rng.random() < SHOUTED else text


def _split_kind(part: str) -> tuple[str, str]:
    """'Phường Cống Vị' is ('Phường', 'Cống Vị'); a kind that is not known is ''."""
    for kind in KINDS:
        if part.lower().startswith(kind.lower() + " "):
            return kind, part[len(kind) + 1 :]
    return "", part


def _written(rng: Rng, part: str, manner: Manner) -> str:
    """A part of an address with its kind in the manner's form: 'Phường 2' as 'P2'."""
    kind, name = _split_kind(part)
    form = pick(rng, manner.forms[kind]) if kind else ""
    if name[0].isdigit() or name.startswith("Số "):  # alone it would read as another number
        return f"{form}{name}" if form in GLUED else f"{form or kind} {name}"
    return f"{form} {name}".strip()


def _house(rng: Rng, street: str, manner: Manner) -> str:
    """A house number and its street: 'Số 12/3A Lê Lợi'."""
    number = _count(rng, 3)
    for share in (manner.slash, 0.2, 0.1):
        if rng.random() >= share:
            break
        number += f"/{_count(rng, 2.3)}"
    kind = rng.random()
    if kind < 0.12:
        number += pick(rng, "AAAABBBCCDEFGHK")
    elif kind < 0.14:
        number += f"-{_count(rng, 2)}"
    elif kind < 0.16:
        number = pick(rng, "ABCDEHK") + number
    joint = ", " if manner is FULL and rng.random() < 0.1 else " "
    return f"{pick(rng, manner.houses)} {number}{joint}{street}".strip()


def _place(rng: Rng, gazetteer: Gazetteer, lower: float) -> str:
    """A place smaller than a ward, 'Tổ 6' or 'Thôn An Định'; `lower` of them begin small."""
    kind = pick(rng, PLACES)
    if rng.random() < (0.9 if kind in NUMBERED else 0.25):
        name = _count(rng, 1.3) + (pick(rng, "ABC") if rng.random() < 0.04 else "")
    else:
        _, name = _split_kind(gazetteer.draw(rng, street=False).split(", ", 1)[0])
    if rng.random() < lower and kind[1].islower():
        kind = kind[0].lower() + kind[1:]
    return f"{kind} {name}"


def _count(rng: Rng, digits: float) -> str:
    """A whole number below 10 ** digits, small ones more often."""
    return str(int(10 ** rng.uniform(0, digits)))


def _province(rng: Rng, name: str, manner: Manner) -> str:
    if name in manner.forms:
        return pick(rng, manner.forms[name])
    forms = manner.forms.get("TP" if name in CITIES else "Tỉnh", ("",))
    return f"{pick(rng, forms)} {name}".strip()
