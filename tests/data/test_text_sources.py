"""The two sources of text."""

import json
import unicodedata

import pytest

import archives
from netchu.core.errors import NetchuError
from netchu.data.parse import truyen_kieu, vietnam_dataset

PLACE = {
    "code": "HN",
    "name": "Hà Nội",
    "district": [
        {"name": "Ba Đình", "pre": "Quận", "street": ["10", "An Xá", "Bưởi"],
         "ward": [{"name": "Cống Vị", "pre": "Phường"}]},
        {"name": "Mê Linh", "pre": "Huyện", "street": [],
         "ward": [{"name": "Chi Đông", "pre": "Thị trấn"}, {"name": "Ŷ", "pre": "Xã"}]},
    ],
}  # fmt: skip


def test_verses_are_normalised(tmp_path):
    text = "Trăm năm trong cõi người ta,\n\n  Chữ tài\tchữ mệnh\nŷ\n"
    (tmp_path / "truyen_kieu.txt").write_text(unicodedata.normalize("NFD", text), encoding="utf-8")
    assert truyen_kieu.texts(tmp_path) == ["Trăm năm trong cõi người ta,", "Chữ tài chữ mệnh"]


def test_verses_that_were_not_fetched_are_an_error(tmp_path):
    with pytest.raises(NetchuError, match="no verses"):
        truyen_kieu.texts(tmp_path)


@pytest.mark.parametrize("top", ["", "./", "vietnam_dataset-f1bb0d/"])
def test_streets_and_wards_are_paired_into_addresses(tmp_path, top):
    files = {f"{top}data/HN.json": json.dumps(PLACE), f"{top}Index.json": "{}",
             f"{top}data/.DS_Store": b"\0\1"}  # fmt: skip
    archives.pack(tmp_path / "vietnam_dataset.tar.xz", files)
    assert vietnam_dataset.texts(tmp_path) == [
        "Đường 10, Phường Cống Vị, Quận Ba Đình, Hà Nội",
        "Đường An Xá, Phường Cống Vị, Quận Ba Đình, Hà Nội",
        "Đường Bưởi, Phường Cống Vị, Quận Ba Đình, Hà Nội",
        "Thị trấn Chi Đông, Huyện Mê Linh, Hà Nội",
    ]
