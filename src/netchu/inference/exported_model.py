"""An exported model: a folder with `model.onnx`, its weights, and the card `model.json`.

It may hold `language_model.npz`, too; then texts are decoded with it.
"""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from netchu.core.errors import NetchuError
from netchu.core.paths import CARD
from netchu.decoding.beam import BeamDecoder
from netchu.decoding.greedy import DecodeFunction, greedy_decode
from netchu.decoding.language_model import LANGUAGE_MODEL
from netchu.decoding.scaling import NO_SCALING, PlattScaling
from netchu.decoding.scaling import softmax
from netchu.imaging.preparation import Prepared, Preprocessing

NETWORK = "model.onnx"
SCALES = "scales"
SCALED = ("characters", "lines")

SHIPPED = Path(str(files("netchu"))) / "shipped"
"""The model that comes with the package."""

WINDOW = 4096
OVERLAP = 256
"""Pixels. A wider image is read in windows that overlap by twice OVERLAP, for bounded memory; a
network that sees no further than OVERLAP reads the same as in one piece."""


class ExportedModel:
    """A CTC network in onnxruntime. Threads may share it.

    alphabet: its characters, of which character i is class i + 1. preprocessing: how photos are
    prepared for it. step: pixels of prepared width for each time step. temperature: by which
    logits are divided, so that probabilities are neither too sure nor too unsure. language_model:
    the file of one, or None. scales: of the confidences of characters and of lines that are
    decoded with it. figures: how good it is, for people.
    """

    def __init__(self, folder: Path = SHIPPED, threads: int = 1) -> None:
        """Load the model in `folder`, to run on `threads` cores.

        Raises:
            NetchuError: there is no exported model, or it is damaged.
        """
        card = _read_card(folder)
        try:
            self.alphabet = str(card["alphabet"])
            self.preprocessing = Preprocessing(**card["preprocessing"])
            self.step = float(card["step"])
            self.temperature = float(card["temperature"])
            self.scales = {name: PlattScaling(*card.get(SCALES, {}).get(name, NO_SCALING)) for name in SCALED}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise NetchuError(
                f"{folder / CARD} is damaged ({type(error).__name__}: {error}); export it again"
            ) from None
        self.figures: dict[str, Any] = card.get("figures", {})
        file = folder / LANGUAGE_MODEL
        self.language_model = file if file.is_file() else None
        self._session = _session(folder / NETWORK, threads)
        if self._session.get_modelmeta().custom_metadata_map.get("weights") != card.get("weights"):
            raise NetchuError(f"{folder}: {NETWORK} and {CARD} are of two models; export it again")
        classes = self._session.get_outputs()[0].shape[-1]
        if classes != len(self.alphabet) + 1:
            raise NetchuError(
                f"{folder}: {NETWORK} has {classes} classes, but {CARD} names "
                f"{len(self.alphabet)} characters; export it again"
            )

    def probabilities(self, images_BHW: Prepared) -> NDArray[np.float32]:
        """Probabilities (B, T, V) of the classes at each time step; class 0 is the blank."""
        width = images_BHW.shape[2]
        if width <= WINDOW:
            return self._run(images_BHW)
        pieces = []
        for begin in range(0, width - 2 * OVERLAP, WINDOW - 2 * OVERLAP):
            end = min(begin + WINDOW, width)
            piece_BTV = self._run(images_BHW[:, :, begin:end])
            first = round(OVERLAP / self.step) if begin else 0
            last = round((end - begin - OVERLAP) / self.step) if end < width else None
            pieces.append(piece_BTV[:, first:last])
        return np.concatenate(pieces, axis=1)

    def _run(self, images_BHW: Prepared) -> NDArray[np.float32]:
        images_BCHW = np.ascontiguousarray(images_BHW[:, None])
        logits_BTV = self._session.run(["logits"], {"images": images_BCHW})[0]
        return softmax(logits_BTV, self.temperature)


def decoder(model: ExportedModel, alone: bool = False) -> tuple[DecodeFunction, PlattScaling]:
    """How texts are found with `model`, and the scale of whole lines' confidences.

    `alone`: without its language model.
    """
    if alone or model.language_model is None:
        return greedy_decode, NO_SCALING
    beam = BeamDecoder(model.alphabet, model.language_model, model.scales["characters"])
    return beam.decode, model.scales["lines"]


def _read_card(folder: Path) -> dict[str, Any]:
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except OSError:
        raise NetchuError(
            f"{folder} holds no exported model; name a folder with {NETWORK} and {CARD}"
        ) from None
    except ValueError as error:
        raise NetchuError(f"{folder / CARD} is damaged ({error}); export it again") from None
    if not isinstance(card, dict):
        raise NetchuError(f"{folder / CARD} is no card of a model; export it again")
    return card


def _session(network: Path, threads: int) -> Any:
    if not network.is_file():
        raise NetchuError(f"{network} is missing; export the model, or name an exported one")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is said below, in one line
    try:
        return onnxruntime.InferenceSession(
            str(network), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's own classes have no name that lasts
        raise NetchuError(f"{network} does not load ({error}); export it again") from None
