"""An exported model: a folder with the network `model.onnx` and its card `model.json`.

If the folder also has `language_model.npz`, texts are decoded with that language model.
"""

from __future__ import annotations

import os
import stat
import threading
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
from netchu.decoding.scaling import NO_SCALING, PlattScaling, softmax
from netchu.imaging.preparation import WIDTH_STEP, Prepared
from netchu.inference.exported_card import ExportedCard, read_exported_card
from netchu.inference.onnx_graph import check_graph
from netchu.inference.weights import check_finite

NETWORK, WEIGHTS = "model.onnx", "model.safetensors"

SHIPPED_MODEL = Path(str(files("netchu"))) / "shipped"
"""Folder of the model that comes with the package."""

WINDOW = 4096
OVERLAP = 256
"""Pixels. To bound memory, a wider image is read in windows that overlap by twice OVERLAP. The
result is that of the whole image if the receptive field reaches no farther than OVERLAP."""

SMOKE_SECONDS = 20.0
"""Longest time in which a model reads a small piece of empty paper when it is loaded."""

MAX_LOST_STEPS = 2
"""Time steps that poolings without padding may take from a line."""


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
        _check_files(folder)
        card = read_exported_card(folder)
        self.alphabet = card.alphabet
        self.preprocessing = card.preprocessing
        self.step = card.step
        self.temperature = card.temperature
        self.scales = card.scales
        self.figures: dict[str, Any] = card.figures
        file = folder / LANGUAGE_MODEL
        self.language_model = file if file.is_file() else None
        self._session = _load_session(folder, threads)
        try:
            _check_signature(self._session, card, folder)
        except UnicodeDecodeError:
            raise NetchuError(f"{folder / NETWORK} is damaged; export it again") from None
        _read_empty_paper(self._session, card, folder)

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


def _check_files(folder: Path) -> None:
    """Check that a model is there, and that nothing in its folder is a device or a pipe."""
    if not os.path.lexists(folder / CARD):
        raise NetchuError(
            f"{folder} has no exported model; name a folder with {NETWORK} and {CARD}"
        )
    for path in sorted(folder.iterdir()):
        try:
            mode = path.stat().st_mode
        except OSError as error:
            raise NetchuError(
                f"{path} cannot be read ({error.strerror}); export the model again"
            ) from None
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise NetchuError(f"{path} is not a regular file; export the model again")


def _load_session(folder: Path, threads: int) -> Any:
    network = folder / NETWORK
    if not network.is_file():
        raise NetchuError(f"{network} is missing; export the model, or name an exported one")
    try:
        check_graph(network)
    except ValueError as error:
        raise NetchuError(
            f"{network} is not a network of netchu ({error}); export it again"
        ) from None
    if (folder / WEIGHTS).is_file():
        try:
            check_finite(folder / WEIGHTS)
        except ValueError as error:
            raise NetchuError(f"{folder / WEIGHTS} is damaged ({error}); export it again") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # the error below says in one line what went wrong
    try:
        return onnxruntime.InferenceSession(
            str(network), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's exception classes are not part of its public API
        reason = " ".join(str(error).split())
        raise NetchuError(f"{network} cannot be loaded ({reason}); export it again") from None


def _check_signature(session: Any, card: ExportedCard, folder: Path) -> None:
    """Check names, types and shapes of what goes into the network and comes out of it.

    Raises:
        NetchuError: they are not those of the card.
        UnicodeDecodeError: a name is damaged.
    """
    if session.get_modelmeta().custom_metadata_map.get("weights") != card.weights:
        raise NetchuError(
            f"{folder}: {NETWORK} and {CARD} belong to two different models; export it again"
        )
    inputs = [(i.name, i.type, *i.shape[1:3]) for i in session.get_inputs() if len(i.shape) == 4]
    if inputs != [("images", "tensor(float)", 1, card.preprocessing.height)]:
        raise NetchuError(
            f"{folder}: {NETWORK} takes no grey images of {card.preprocessing.height} px, as "
            f"{CARD} says; export it again"
        )
    outputs = [(o.name, o.type) for o in session.get_outputs() if len(o.shape) == 3]
    if outputs != [("logits", "tensor(float)")]:
        raise NetchuError(f"{folder}: {NETWORK} does not end in one 'logits'; export it again")
    classes = session.get_outputs()[0].shape[-1]
    if classes != len(card.alphabet) + 1:
        raise NetchuError(
            f"{folder}: {NETWORK} has {classes} classes, but {CARD} lists "
            f"{len(card.alphabet)} characters; export it again"
        )


def _read_empty_paper(session: Any, card: ExportedCard, folder: Path) -> None:
    """Run the network once: within a time limit, with finite values and the steps of the card."""
    width = 2 * WIDTH_STEP
    paper_BCHW = np.zeros((1, 1, card.preprocessing.height, width), np.float32)
    options = onnxruntime.RunOptions()
    options.log_severity_level = 4
    timer = threading.Timer(SMOKE_SECONDS, setattr, (options, "terminate", True))
    timer.daemon = True
    timer.start()
    try:
        (logits_BTV,) = session.run(["logits"], {"images": paper_BCHW}, options)
    except Exception as error:
        reason = " ".join(str(error).split())
        if options.terminate:
            reason = f"takes more than {SMOKE_SECONDS:.0f} s"
        raise NetchuError(
            f"{folder}: {NETWORK} cannot read empty paper ({reason}); export it again"
        ) from None
    finally:
        timer.cancel()
    steps = logits_BTV.shape[1]
    if logits_BTV.shape[0] != 1 or abs(steps - width / card.step) > MAX_LOST_STEPS:
        raise NetchuError(
            f"{folder}: {NETWORK} gives {steps} steps for {width} px, but {CARD} says "
            f"{card.step:g} px a step; export it again"
        )
    if not np.isfinite(logits_BTV).all():
        raise NetchuError(f"{folder}: {NETWORK} gives values that are not finite; train it again")
