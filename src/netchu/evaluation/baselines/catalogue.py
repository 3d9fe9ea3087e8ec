"""All baselines, by their names in params.yaml."""

from __future__ import annotations

from netchu.evaluation.baselines import asterocr, tesseract, vietocr
from netchu.evaluation.baselines.base import Baseline

BASELINES: dict[str, Baseline] = {
    "asterocr": asterocr.BASELINE,
    "tesseract": tesseract.BASELINE,
    "vietocr_transformer": vietocr.TRANSFORMER,
    "vietocr_seq2seq": vietocr.SEQ2SEQ,
}
