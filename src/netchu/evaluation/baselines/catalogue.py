"""All baselines, by their names in params.yaml."""

from __future__ import annotations

from netchu.evaluation.baselines import kraken, pylaia, tesseract, vietocr
from netchu.evaluation.baselines.base import Baseline

BASELINES: dict[str, Baseline] = {
    "tesseract": tesseract.BASELINE,
    "vietocr_transformer": vietocr.TRANSFORMER,
    "vietocr_seq2seq": vietocr.SEQ2SEQ,
    "kraken": kraken.BASELINE,
    "pylaia": pylaia.BASELINE,
}
