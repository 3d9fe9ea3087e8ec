"""What makes a network's confidences mean what they say, fitted to labelled lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from netchu.core.codec import Codec
from netchu.data.batches import frame_batches
from netchu.decoding.beam import BeamDecoder
from netchu.decoding.scaling import softmax
from netchu.inference.exported_model import SCALES
from netchu.models.ctc import CTCRecogniser
from netchu.release.calibration import (
    Scales,
    calibrate,
    fit_scales,
    gather,
    judge,
    scale_errors,
)


@dataclass(frozen=True)
class Fitted:
    """What makes confidences mean what they say.

    calibration: the temperature and the errors that are left. scales, decoder: of texts that are
    found with a language model, and the errors there; None and empty without one.
    """

    calibration: dict[str, float]
    scales: Scales | None
    decoder: dict[str, float]

    def card(self) -> dict[str, Any]:
        """What `ExportedModel` reads of it."""
        temperature = {"temperature": self.calibration["temperature"]}
        return temperature | ({SCALES: self.scales._asdict()} if self.scales else {})


def calibrated(
    recogniser: CTCRecogniser, lines: pd.DataFrame, language_model: Path | None
) -> Fitted:
    """Fit temperature and scales of a network, as it will be exported, to labelled lines.

    Raises:
        NetchuError: nothing was read on the lines.
    """
    codec = Codec(recogniser.alphabet)
    read = list(_logits(recogniser, lines))
    calibration = calibrate(gather(read, codec))
    if language_model is None:
        return Fitted(calibration, None, {})
    probable = ((softmax(logits, calibration["temperature"]), text) for logits, text in read)
    judged = judge(probable, codec, BeamDecoder(recogniser.alphabet, language_model).decode)
    return Fitted(calibration, fit_scales(judged), scale_errors(judged))


@torch.inference_mode()
def _logits(
    recogniser: CTCRecogniser, lines: pd.DataFrame
) -> Iterator[tuple[NDArray[np.float32], str]]:
    for batch in frame_batches(lines, recogniser.preprocessing, 8):
        logits_BTV = recogniser(batch.images_BCHW).float().numpy()
        yield from zip(logits_BTV, batch.texts, strict=True)
