"""An exported model that reads grey bars, where each shade is a letter."""

import json
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save_model

ALPHABET = "abcdefgh"
HEIGHT = 32
STEP = 4
BAR = 3 * STEP
"""Width in pixels of a bar and of the paper between bars."""


def write_bar_model(folder: Path, **changes) -> Path:
    """Write the model: class i is certain where the upper half of a time step is i/8 black."""
    folder.mkdir(parents=True, exist_ok=True)
    levels_V = np.arange(len(ALPHABET) + 1, dtype=np.float32) / len(ALPHABET)
    kernel_V111 = (2 * 900 * levels_V)[:, None, None, None]
    constants = {
        "begin": np.array([0], np.int64), "end": np.array([HEIGHT // 2], np.int64),
        "height": np.array([2], np.int64), "kernel": kernel_V111, "bias": -900 * levels_V**2,
    }  # fmt: skip
    nodes = [
        helper.make_node("Slice", ["images", "begin", "end", "height"], ["upper"]),
        helper.make_node(
            "AveragePool", ["upper"], ["pooled"],
            kernel_shape=[HEIGHT // 2, STEP], strides=[HEIGHT // 2, STEP],
        ),
        helper.make_node("Conv", ["pooled", "kernel", "bias"], ["scores"]),
        helper.make_node("Squeeze", ["scores", "height"], ["flat"]),
        helper.make_node("Transpose", ["flat"], ["logits"], perm=[0, 2, 1]),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "bars",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["B", 1, HEIGHT, "W"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["B", "T", len(levels_V)])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    save_model(helper.make_model(graph, opset_imports=opset, ir_version=8), folder / "model.onnx")
    card = {
        "network": "bars",
        "alphabet": ALPHABET,
        "preprocessing": {"variant": "grey", "height": HEIGHT, "max_width": 0},
        "step": STEP,
        "temperature": 1.0,
        "figures": {"cer": 0.0},
    }
    (folder / "model.json").write_text(json.dumps(card | changes), encoding="utf-8")
    return folder


def bars(text: str, scale: int = 1) -> np.ndarray:
    """Draw a text as bars, grey HW; it needs an h, whose black sets the contrast."""
    image_HW = np.full((HEIGHT, BAR * (2 * len(text) + 1)), 255, np.uint8)
    for index, letter in enumerate(text):
        left = BAR * (2 * index + 1)
        shade = 255 - round(255 * (ALPHABET.index(letter) + 1) / len(ALPHABET))
        image_HW[: HEIGHT // 2, left : left + BAR] = shade
    return image_HW.repeat(scale, 0).repeat(scale, 1)
