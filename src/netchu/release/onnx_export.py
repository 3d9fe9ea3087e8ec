"""Export of a recogniser to ONNX, to read without torch.

There is one copy of the weights: `model.safetensors`, with kernels and matrices in half precision,
which torch loads too. The graph `model.onnx` refers to it and casts the weights to single
precision, which ONNX Runtime does once, when it loads the model.
"""

from __future__ import annotations

import shutil
import warnings
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import torch
from onnxscript import optimizer
from torch import Tensor
from torch.onnx.errors import OnnxExporterError

from netchu.core.codec import Codec
from netchu.core.errors import NetchuError
from netchu.core.files import new_folder
from netchu.data.batches import frame_batches
from netchu.decoding.greedy import greedy_decode
from netchu.decoding.language_model import LANGUAGE_MODEL
from netchu.decoding.readings import joint_probability
from netchu.decoding.scaling import softmax
from netchu.imaging.preparation import WIDTH_STEP
from netchu.inference.exported_model import NETWORK, WEIGHTS, ExportedModel, make_decoder
from netchu.inference.weights import tensor_locations
from netchu.models.base import Recogniser
from netchu.models.ctc import CTCRecogniser
from netchu.models.model_folder import save_model, weights_hash

OPSET = 20
"""The first with GELU as one operator; ONNX Runtime supports it since 1.17."""

_MAX_FOLDED = 1024
"""Constants of at most so many numbers are folded on export: shapes, not weights."""


def export_recogniser(
    recogniser: Recogniser,
    folder: Path,
    card: dict[str, Any],
    temperature: float = 1.0,
    language_model: Path | None = None,
) -> None:
    """Write `model.safetensors`, `model.onnx` and `model.json` into `folder`.

    The graph takes `images` (B, 1, H, W), float32, W a multiple of 32, and returns `logits`
    (B, T, V). `load_model` can load the folder too.

    Args:
        recogniser: a CTC network.
        folder: is replaced, or unchanged if the export fails.
        card: further keys of the card.
        temperature: divides the logits before the softmax; it goes to the card.
        language_model: a file to copy into the folder.

    Raises:
        NetchuError: the network is no CTC network, torch cannot trace it (crnn_residual with two
            layers), or a weight is too large for half precision.
    """
    if not isinstance(recogniser, CTCRecogniser):
        raise NetchuError(f"{recogniser.network} is not a CTC network; only those can be exported")
    exported = round_weights(recogniser)
    graph = _graph(exported)
    for parameter in exported.parameters():
        parameter.data = _half_precision(parameter.data)
    own = {
        "preprocessing": asdict(exported.preprocessing),
        "step": pixels_per_step(exported),
        "temperature": temperature,
    }
    with new_folder(folder) as partial:
        save_model(exported, partial, card | own)
        (partial / WEIGHTS).chmod(0o644)  # safetensors makes the file readable for its owner only
        _refer_to_weights(graph, partial / WEIGHTS)
        graph.metadata_props.add(key="weights", value=weights_hash(partial))
        onnx.save(graph, partial / NETWORK)
        if language_model:
            shutil.copyfile(language_model, partial / LANGUAGE_MODEL)


@torch.inference_mode()
def read_with_both(recogniser: CTCRecogniser, folder: Path, lines: pd.DataFrame) -> pd.DataFrame:
    """Read `lines` of a line table with torch and with the exported model in `folder`.

    With `load_model(folder)` as the recogniser, the readings must be equal; with the recogniser
    before the export, they show what rounding costs.

    Returns:
        One row per line: `id`; `text`, the truth; `torch` and `exported`, the greedy readings;
        `confidence` of the latter; `decoded` and `decoded_confidence`, as from a `Reader`, which
        uses the language model in the folder if there is one; `apart`, the largest difference of
        a probability.
    """
    exported = ExportedModel(folder)
    codec = Codec(exported.alphabet)
    decode, scale = make_decoder(exported)
    rows = []
    for batch in frame_batches(lines, exported.preprocessing, 8):
        logits_BTV = recogniser(batch.images_BCHW).float()
        ours_BTV = softmax(logits_BTV.numpy(), exported.temperature)
        theirs_BTV = exported.probabilities(batch.images_BCHW[:, 0].numpy())
        apart_B = np.abs(ours_BTV - theirs_BTV).max((1, 2))
        for place, (line, text) in enumerate(zip(batch.ids, batch.texts, strict=True)):
            ours, theirs = greedy_decode(ours_BTV[place]), greedy_decode(theirs_BTV[place])
            decoded = decode(theirs_BTV[place])
            rows.append(
                {
                    "id": line,
                    "text": text,
                    "torch": codec.decode(e.id for e in ours),
                    "exported": codec.decode(e.id for e in theirs),
                    "confidence": joint_probability([e.probability for e in theirs]),
                    "decoded": codec.decode(e.id for e in decoded),
                    "decoded_confidence": scale.apply(
                        joint_probability([e.probability for e in decoded])
                    ),
                    "apart": float(apart_B[place]),
                }
            )
    return pd.DataFrame(rows)


def round_weights(recogniser: CTCRecogniser) -> CTCRecogniser:
    """Return a copy as it is exported: without the shortcut head, weights in half precision.

    Raises:
        NetchuError: a weight is too large for half precision.
    """
    recogniser_class = type(recogniser)
    config = replace(recogniser.config, shortcut=0.0)
    copy = recogniser_class(recogniser_class.without_pretrained(config), recogniser.alphabet)
    weights = {
        name: _half_precision(weight)
        for name, weight in recogniser.state_dict().items()
        if not name.startswith("shortcut_head.")
    }
    if lost := [name for name, weight in weights.items() if not weight.isfinite().all()]:
        raise NetchuError(
            f"{recogniser.network}: {lost[0]} is too large for half precision; train again"
        )
    copy.load_state_dict(weights)
    copy.config = config
    copy.eval()
    return copy


def pixels_per_step(recogniser: CTCRecogniser) -> float:
    """Return the pixels of prepared width per time step."""
    width = 1024 * WIDTH_STEP
    return round(width / recogniser.time_steps(width), 2)


def _half_precision(weight: Tensor) -> Tensor:
    """Return a weight as exported; vectors keep their precision, since variances may be tiny."""
    return weight.half() if weight.dim() > 1 else weight


def _graph(recogniser: CTCRecogniser) -> Any:
    """Return the network as an ONNX model whose weights have their names in torch."""
    height = recogniser.preprocessing.height
    batch = torch.export.Dim("batch", min=1, max=4096)
    width = WIDTH_STEP * torch.export.Dim("width", min=1, max=1024)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program: Any = torch.onnx.export(
                recogniser,
                (torch.zeros(2, 1, height, 6 * WIDTH_STEP),),
                dynamo=True,
                input_names=["images"],
                output_names=["logits"],
                dynamic_shapes=({0: batch, 3: width},),
                opset_version=OPSET,
                optimize=False,  # it would merge weights, whose names then differ from torch's
                verbose=False,
            )
    except OnnxExporterError:
        raise NetchuError(
            f"{recogniser.network} cannot be written as ONNX with this config; "
            "export a network without recurrent layers, such as netchu_small"
        ) from None
    optimizer.fold_constants(
        program.model,
        input_size_limit=_MAX_FOLDED,
        output_size_limit=_MAX_FOLDED,
        should_fold=lambda node: False if node.op_type == "Transpose" else None,
    )
    optimizer.remove_unused_nodes(program.model)
    model = program.model_proto
    _remove_metadata(model)
    return model


def _remove_metadata(model: Any) -> None:
    """Remove stack traces with paths, and the shapes of the images it was traced with."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    graph.ClearField("value_info")
    sides = (graph.input[0], ("batch", None, None, "width")), (graph.output[0], ("batch", "steps"))
    for value, names in sides:
        for dimension, name in zip(value.type.tensor_type.shape.dim, names, strict=False):
            if name:
                dimension.dim_param = name


def _refer_to_weights(model: Any, weights: Path) -> None:
    """Replace the model's initialisers by references into `weights`, with casts from float16."""
    locations = tensor_locations(weights)
    casts = []
    for tensor in model.graph.initializer:
        if tensor.name not in locations:
            continue
        location = locations[tensor.name]
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        entries = {"location": weights.name, "offset": location.offset, "length": location.length}
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=str(value))
        if location.dtype == "F16":
            name = tensor.name
            tensor.name, tensor.data_type = f"{name}.half", onnx.TensorProto.FLOAT16
            cast = onnx.helper.make_node("Cast", [tensor.name], [name], to=onnx.TensorProto.FLOAT)
            casts.append(cast)
    nodes = [*casts, *model.graph.node]
    model.graph.ClearField("node")
    model.graph.node.extend(nodes)
