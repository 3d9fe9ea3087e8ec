"""A small language model of a few addresses and sentences."""

from pathlib import Path

from netchu.release.ngrams import Corpora, mixture_components, write_language_model

TOWNS = ["Hà Nội", "Hải Phòng", "Đà Nẵng", "Tổ 12 Thôn An Định", "Số 7, phố Huế"]
PROSE = ["nhà em có một con mèo", "trời hôm nay rất đẹp, em đi học"]


def write(path: Path) -> Path:
    """Write the model to `path`, and return it."""
    write_language_model(
        mixture_components(Corpora(TOWNS * 60, PROSE * 20, ["nội", "nối"], PROSE * 20)), path
    )
    return path
