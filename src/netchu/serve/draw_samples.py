"""The sample lines that ship with the package, drawn anew.

`netchu samples FONTS` draws them with the folder of the source `fonts`. All of its families are
under the SIL Open Font License, which does not extend to what is drawn with them.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from netchu.core.errors import NetchuError
from netchu.data.parse.fonts import families
from netchu.serve.samples import SHIPPED
from netchu.synthesis import fonts
from netchu.synthesis.paper import photograph

LINES = {
    "mali": ("Thôn Bình An, Xã Vĩnh Hòa, Cần Thơ", "Số 12 Ngõ 5, Phố Huế, Hà Nội"),
    "patrick-hand": ("Có công mài sắt, có ngày nên kim", "86 Đường Lê Lợi, Quận 1"),
    "pangolin": ("Xóm 4, Xã Nghi Lộc, Nghệ An", "Thôn Đông, Xã Vĩnh Hòa"),
    "playpen-sans": ("7 Lý Thường Kiệt, Huế", "Tổ 7, Phường Tân Lập, Nha Trang"),
    "itim": ("215 Trần Hưng Đạo, Đà Nẵng", "Ấp 3, Xã Mỹ Hạnh, Long An"),
    "dancing-script": ("Khối 9, Phường Quang Trung, Vinh", "Hẻm 41 Nguyễn Trãi, Đà Lạt"),
}
"""Addresses and a proverb, by the family that writes them."""

HEIGHT = 72
DIFFICULTY = 0.25
QUALITY = 70
"""Of the JPEG files: some kB each."""


def draw(folder: Path) -> None:
    """Write the samples into the package with the fonts in `folder`.

    Raises:
        NetchuError: a font is missing.
    """
    files = families(folder)
    SHIPPED.mkdir(exist_ok=True)
    for family, texts in LINES.items():
        if family not in files:
            raise NetchuError(f"{folder}: there is no font {family}; fetch the source 'fonts'")
        for number, text in enumerate(texts, start=1):
            rng = np.random.default_rng([number, *family.encode()])
            font = next(file for file in files[family] if file.stem.endswith("400Regular"))
            ink_HW = fonts.write(text, font, HEIGHT, rng, DIFFICULTY)
            image_HW = photograph(ink_HW, HEIGHT, rng, DIFFICULTY)
            quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
            _, encoded = cv2.imencode(".jpg", image_HW, quality)
            (SHIPPED / f"{family}-{number}.jpg").write_bytes(encoded.tobytes())
