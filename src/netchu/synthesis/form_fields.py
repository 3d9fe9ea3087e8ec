"""Random fields of forms: names of persons, schools, dates, and numbers of many sorts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from netchu.data.parse.vi_forms import FormTexts
from netchu.synthesis.addresses import choose

Rng = np.random.Generator

FAMILY_NAMES = {
    "Nguyễn": 38, "Trần": 11, "Lê": 9, "Phạm": 7, "Hoàng": 3, "Huỳnh": 3, "Phan": 4, "Vũ": 2,
    "Võ": 2, "Đặng": 2, "Bùi": 2, "Đỗ": 2, "Hồ": 1, "Ngô": 1, "Dương": 1, "Lý": 1, "Đinh": 1,
    "Đoàn": 1, "Trịnh": 1, "Trương": 1, "Lâm": 1, "Mai": 1, "Đào": 1, "Cao": 1, "Tô": 1, "Hà": 1,
    "Lương": 1, "Lưu": 1, "Châu": 1, "Tạ": 1, "Phùng": 1, "Vương": 1, "Tống": 1, "Kiều": 1,
    "Quách": 1, "Thái": 1, "Chu": 1, "La": 1, "Nông": 1, "Triệu": 1, "H'": 1, "Y": 1,
}  # fmt: skip
"""Family name -> about how many in a hundred have it."""

_FAMILY = tuple(FAMILY_NAMES)
_FAMILY_SHARES = np.array(tuple(FAMILY_NAMES.values())) / sum(FAMILY_NAMES.values())

MIDDLE_NAMES = ("Văn", "Thị", "Đình", "Hữu", "Đức", "Quang", "Minh", "Ngọc", "Thanh", "Xuân",
                "Công", "Quốc", "Thu", "Hồng", "Thị Thu", "Thị Ngọc", "Thị Kim", "Bá")  # fmt: skip
LEVELS = ("Trường THPT", "Trường THCS", "Trường Tiểu học", "THPT", "THCS", "Trường TH", "TH",
          "Trường Mầm non", "Trường PTDTNT", "THPT Chuyên", "Trường Cao đẳng nghề")  # fmt: skip
HEROES = (
    "Nguyễn Huệ", "Lê Hồng Phong", "Trần Phú", "Chu Văn An", "Nguyễn Trãi", "Lê Quý Đôn",
    "Phan Bội Châu", "Nguyễn Du", "Hai Bà Trưng", "Võ Thị Sáu", "Kim Đồng", "Lê Lợi",
    "Nguyễn Bỉnh Khiêm", "Lương Thế Vinh", "Trần Hưng Đạo", "Lý Thường Kiệt", "Quang Trung",
)  # fmt: skip
"""People after whom schools are named."""

ANSWERS = ("Nam", "Nữ", "Kinh", "Tày", "Việt Nam", "Không", "Có", "Độc thân", "Đã kết hôn",
           "Giáo viên", "Nông dân", "Công nhân", "Kỹ sư", "Sinh viên", "Học sinh", "Kế toán",
           "Nội trợ", "Bác sĩ", "Y tá", "Lái xe", "Buôn bán", "Tự do", "12/12", "Đại học",
           "Nhân viên văn phòng", "Phật giáo", "Công giáo", "Hưu trí")  # fmt: skip
NAME_LABELS = ("Họ và tên:", "Họ tên:", "Tên:", "Ông", "Bà", "Ông/Bà:", "Người nhận:", "Chủ hộ:",
               "Mẹ:", "Cha:", "Em", "Thầy", "Cô", "Người khai:", "Anh", "Chị")  # fmt: skip
DATE_LABELS = ("Ngày sinh:", "Sinh ngày", "NS:", "Ngày cấp:", "ngày", "Ngày", "sinh ngày")
PHONE_LABELS = ("SĐT:", "ĐT:", "Điện thoại:", "Số điện thoại:", "Tel:", "DĐ:", "Zalo:")
ID_LABELS = ("Số CCCD:", "CCCD:", "CMND số:", "Số định danh:", "CMND:", "Mã số thuế:", "MST:",
             "Số tài khoản:", "STK:", "Số hộ chiếu:", "Mã số BHXH:", "MSSV:", "Số báo danh:",
             "SBD:", "Biển số:")  # fmt: skip
PHONE_STARTS = ("09", "03", "07", "08", "05", "024", "028", "+84 9", "+84 3")

ALL_CAPITALS = 0.2
"""Share of names in capitals alone, as many forms ask for."""


def random_field(rng: Rng, forms: FormTexts) -> str:
    """Return what a person writes into one field, sometimes with the field's label."""
    field = _FIELDS[int(rng.choice(len(_FIELDS), p=_SHARES))]
    return field(rng, forms)


def random_name(rng: Rng, forms: FormTexts) -> str:
    """Return the full name of a person."""
    family = _FAMILY[int(rng.choice(len(_FAMILY), p=_FAMILY_SHARES))]
    given = choose(rng, forms.given_names)
    if rng.random() < 0.45:  # a middle name of its own, and the last syllable of a given name
        given = f"{choose(rng, MIDDLE_NAMES)} {given.split()[-1]}"
    name = f"{family} {given}"
    return name.upper() if rng.random() < ALL_CAPITALS else name


def random_date(rng: Rng) -> str:
    """Return a date in one of the ways in which dates are written."""
    day, month = int(rng.integers(1, 32)), int(rng.integers(1, 13))
    year = int(rng.integers(1940, 2027))
    way = rng.random()
    if way < 0.2:
        return f"ngày {day:02d} tháng {month:02d} năm {year}"
    if way < 0.3:
        return f"{day}/{month}/{year % 100:02d}"
    if way < 0.36:
        return f"tháng {month}/{year}"
    if way < 0.42:
        return f"năm {year}"
    separator = choose(rng, ("/", "/", "/", "-", ".", " / "))
    zeros = "02d" if rng.random() < 0.7 else "d"
    return f"{day:{zeros}}{separator}{month:{zeros}}{separator}{year}"


def _name(rng: Rng, forms: FormTexts) -> str:
    return _labelled(rng, NAME_LABELS, random_name(rng, forms), 0.35)


def _school(rng: Rng, forms: FormTexts) -> str:
    if rng.random() < 0.4:
        return choose(rng, forms.schools)
    place = (
        choose(rng, HEROES)
        if rng.random() < 0.5
        else choose(rng, forms.wards).split(", ")[0].split(" ", 1)[1]
    )
    school = f"{choose(rng, LEVELS)} {place}"
    if rng.random() < 0.3:
        group = choose(rng, "ABCD") + (str(int(rng.integers(1, 10))) if rng.random() < 0.6 else "")
        school = f"Lớp {int(rng.integers(1, 13))}{group}, {school}"
    return school


def _date(rng: Rng, forms: FormTexts) -> str:
    if rng.random() < 0.15:
        place = choose(rng, forms.wards).split(", ")[1].removeprefix("Tỉnh ")
        day, month = int(rng.integers(1, 32)), int(rng.integers(1, 13))
        year = int(rng.integers(1990, 2027))
        return f"{place.removeprefix('Thành phố ')}, ngày {day} tháng {month} năm {year}"
    return _labelled(rng, DATE_LABELS, random_date(rng), 0.3)


def _phone(rng: Rng, forms: FormTexts) -> str:
    start = choose(rng, PHONE_STARTS)
    if start.startswith("02"):
        text = f"({start}) {_digits(rng, 4)} {_digits(rng, 4)}"
        text = text if rng.random() < 0.5 else text.translate({40: None, 41: None})
    else:
        rest = 10 - len(start) if start.startswith("0") else 8
        text = _grouped(rng, start + _digits(rng, rest), (4, 3, 3))
    return _labelled(rng, PHONE_LABELS, text, 0.4)


def _identity(rng: Rng, forms: FormTexts) -> str:
    sort = rng.random()
    if sort < 0.45:
        text = _grouped(rng, f"0{_digits(rng, 11)}", (3, 3, 3, 3))
    elif sort < 0.65:
        text = _grouped(rng, _digits(rng, 9), (3, 3, 3))
    elif sort < 0.75:
        text = choose(rng, "BCKN") + _digits(rng, 7)
    elif sort < 0.85:
        plate = f"{int(rng.integers(11, 100))}{choose(rng, 'ABCDEFGHKLMNPSTUVXYZ')}"
        text = f"{plate}-{_digits(rng, 3)}.{_digits(rng, 2)}"
    elif sort < 0.95:
        text = _digits(rng, 10) + (f"-{_digits(rng, 3)}" if rng.random() < 0.3 else "")
    else:
        text = (
            choose(rng, ("GD", "HS", "DN", "TE", "HT")) + f"4 {_digits(rng, 2)} {_digits(rng, 8)}"
        )
    return _labelled(rng, ID_LABELS, text, 0.4)


def _money(rng: Rng, forms: FormTexts) -> str:
    value = int(10 ** rng.uniform(1, 5)) * int(rng.choice((10, 100, 1000, 1000)))
    text = f"{value:,}".replace(",", choose(rng, (".", ".", ",", " ")))
    return f"{text}{choose(rng, ('đ', ' đ', ' đồng', ' VNĐ', '', ' VND'))}"


def _answer(rng: Rng, forms: FormTexts) -> str:
    return choose(rng, ANSWERS)


def _labelled(rng: Rng, labels: tuple[str, ...], text: str, share: float) -> str:
    """Return `text`, after one of the labels in `share` of the cases."""
    return f"{choose(rng, labels)} {text}" if rng.random() < share else text


def _digits(rng: Rng, count: int) -> str:
    return "".join(str(digit) for digit in rng.integers(0, 10, count))


def _grouped(rng: Rng, text: str, sizes: tuple[int, ...]) -> str:
    """Return a number as it is, or in groups of the given sizes; the last takes what is left."""
    if rng.random() < 0.5:
        return text
    separator = choose(rng, (" ", " ", ".", "-"))
    parts = []
    for size in sizes[:-1]:
        parts.append(text[:size])
        text = text[size:]
    return separator.join([*parts, text])


_FIELDS: tuple[Callable[[Rng, FormTexts], str], ...] = (
    _name, _school, _date, _phone, _identity, _money, _answer,
)  # fmt: skip
_SHARES = (0.4, 0.14, 0.14, 0.1, 0.1, 0.06, 0.06)
