"""Drawing of the sample lines that come with the package (`netchu samples`).

All fonts of the source `fonts` are under the SIL Open Font License, which does not extend to text
that is drawn with them.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from netchu.core.errors import NetchuError
from netchu.data.parse.fonts import font_families
from netchu.serve.samples import SHIPPED_SAMPLES
from netchu.synthesis.font_renderer import render_with_font
from netchu.synthesis.paper import simulate_photo

LINES = {
    "mali": ("Thôn Bình An, Xã Vĩnh Hòa, Cần Thơ", "Số 12 Ngõ 5, Phố Huế, Hà Nội"),
    "patrick-hand": ("Có công mài sắt, có ngày nên kim", "86 Đường Lê Lợi, Quận 1"),
    "pangolin": ("Xóm 4, Xã Nghi Lộc, Nghệ An", "Thôn Đông, Xã Vĩnh Hòa"),
    "playpen-sans": ("7 Lý Thường Kiệt, Huế", "Tổ 7, Phường Tân Lập, Nha Trang"),
    "itim": ("215 Trần Hưng Đạo, Đà Nẵng", "Ấp 3, Xã Mỹ Hạnh, Long An"),
    "dancing-script": ("Khối 9, Phường Quang Trung, Vinh", "Hẻm 41 Nguyễn Trãi, Đà Lạt"),
}
"""Texts of the samples, by the font family that draws them."""

HEIGHT = 72
"""Pixels."""
STRENGTH = 0.25
"""Strength of the simulated defects of pen and photo, 0 to 1."""
JPEG_QUALITY = 70


def draw(folder: Path) -> None:
    """Draw the samples with the fonts in `folder` and write them into the package.

    Raises:
        NetchuError: a font is missing.
    """
    files = font_families(folder)
    SHIPPED_SAMPLES.mkdir(exist_ok=True)
    for family, texts in LINES.items():
        if family not in files:
            raise NetchuError(f"{folder} has no font {family}; fetch the source 'fonts'")
        for number, text in enumerate(texts, start=1):
            rng = np.random.default_rng([number, *family.encode()])
            font = next(file for file in files[family] if file.stem.endswith("400Regular"))
            ink_HW = render_with_font(text, font, HEIGHT, rng, STRENGTH)
            image_HW = simulate_photo(ink_HW, HEIGHT, rng, STRENGTH)
            quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
            _, encoded = cv2.imencode(".jpg", image_HW, quality)
            (SHIPPED_SAMPLES / f"{family}-{number}.jpg").write_bytes(encoded.tobytes())
