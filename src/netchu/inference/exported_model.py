"""An exported model: a folder with the network `model.onnx` and its card `model.json`.

If the folder also has `language_model.npz`, texts are decoded with that language model.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from netchu.core.errors import NetchuError
from netchu.core.files import read_json
from netchu.core.paths import CARD
from netchu.decoding.beam import BeamDecoder
from netchu.decoding.greedy import DecodeFunction, greedy_decode
from netchu.decoding.language_model import LANGUAGE_MODEL
from netchu.decoding.scaling import NO_SCALING, PlattScaling, softmax
from netchu.imaging.preparation import Prepared, Preprocessing

NETWORK = "model.onnx"

SCALES = "scales"
"""Key of the card: the Platt scalings of the confidences, by what they scale."""

_SCALED = ("characters", "lines")

SHIPPED_MODEL = Path(str(files("netchu"))) / "shipped"
"""Folder of the model that comes with the package."""

WINDOW = 4096
OVERLAP = 256
"""Pixels. To bound memory, a wider image is read in windows that overlap by twice OVERLAP. The
result is that of the whole image if the receptive field reaches no farther than OVERLAP."""


class ExportedModel:
    """A CTC network in ONNX Runtime. Safe to share between threads.

    Attributes:
        alphabet: characters of the network; character i is class i + 1, class 0 is the blank.
        preprocessing: how images are prepared for the network.
        step: pixels of prepared width per time step.
        temperature: divides the logits before the softmax.
        language_model: file of the language model, or None.
        scales: Platt scalings of the confidences of characters and of lines that are decoded with
            the language model.
        figures: metrics of the model, as its card gives them.
    """

    def __init__(self, folder: Path = SHIPPED_MODEL, threads: int = 1) -> None:
        """Load the model in `folder`, to run on `threads` cores.

        Raises:
            NetchuError: the folder has no exported model, or a damaged one.
        """
        card = _read_card(folder)
        try:
            self.alphabet = str(card["alphabet"])
            self.preprocessing = Preprocessing(**card["preprocessing"])
            self.step = float(card["step"])
            self.temperature = float(card["temperature"])
            scales = card.get(SCALES, {})
            self.scales = {name: PlattScaling(*scales.get(name, NO_SCALING)) for name in _SCALED}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise NetchuError(
                f"{folder / CARD} is damaged ({type(error).__name__}: {error}); export it again"
            ) from None
        self.figures: dict[str, Any] = card.get("figures", {})
        file = folder / LANGUAGE_MODEL
        self.language_model = file if file.is_file() else None
        self._session = _load_session(folder / NETWORK, threads)
        if self._session.get_modelmeta().custom_metadata_map.get("weights") != card.get("weights"):
            raise NetchuError(
                f"{folder}: {NETWORK} and {CARD} belong to two different models; export it again"
            )
        classes = self._session.get_outputs()[0].shape[-1]
        if classes != len(self.alphabet) + 1:
            raise NetchuError(
                f"{folder}: {NETWORK} has {classes} classes, but {CARD} lists "
                f"{len(self.alphabet)} characters; export it again"
            )

    def probabilities(self, images_BHW: Prepared) -> NDArray[np.float32]:
        """Return the class probabilities (B, T, V) at each time step."""
        width = images_BHW.shape[2]
        if width <= WINDOW:
            return self._run(images_BHW)
        parts = []
        for begin in range(0, width - 2 * OVERLAP, WINDOW - 2 * OVERLAP):
            end = min(begin + WINDOW, width)
            part_BTV = self._run(images_BHW[:, :, begin:end])
            first = round(OVERLAP / self.step) if begin else 0
            last = round((end - begin - OVERLAP) / self.step) if end < width else None
            parts.append(part_BTV[:, first:last])
        return np.concatenate(parts, axis=1)

    def _run(self, images_BHW: Prepared) -> NDArray[np.float32]:
        images_BCHW = np.ascontiguousarray(images_BHW[:, None])
        logits_BTV = self._session.run(["logits"], {"images": images_BCHW})[0]
        return softmax(logits_BTV, self.temperature)


def make_decoder(model: ExportedModel, greedy: bool = False) -> tuple[DecodeFunction, PlattScaling]:
    """Return the decoder of a model, and the scaling of the confidences of whole lines.

    Args:
        model: the model whose output is decoded.
        greedy: decode without the model's language model.
    """
    if greedy or model.language_model is None:
        return greedy_decode, NO_SCALING
    beam = BeamDecoder(model.alphabet, model.language_model, model.scales["characters"])
    return beam.decode, model.scales["lines"]


def _read_card(folder: Path) -> dict[str, Any]:
    path = folder / CARD
    if not path.is_file():
        raise NetchuError(
            f"{folder} has no exported model; name a folder with {NETWORK} and {CARD}"
        )
    card = read_json(path, "export it again")
    if not isinstance(card, dict):
        raise NetchuError(f"{path} is not the card of a model; export it again")
    return card


def _load_session(network: Path, threads: int) -> Any:
    if not network.is_file():
        raise NetchuError(f"{network} is missing; export the model, or name an exported one")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # the error below says in one line what went wrong
    try:
        return onnxruntime.InferenceSession(
            str(network), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's exception classes are not part of its public API
        raise NetchuError(f"{network} cannot be loaded ({error}); export it again") from None
