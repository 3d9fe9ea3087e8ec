"""A trained recogniser as files that read without torch.

There is one copy of the weights: `model.safetensors`, which torch loads, kernels and matrices in
half precision. The graph `model.onnx` points into it and widens the weights again, which
onnxruntime does once, on loading; so it computes what torch computes, in single precision.
"""

from __future__ import annotations

import json
import shutil
import warnings
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pandas as pd
import torch
from onnxscript import optimizer
from torch import Tensor
from torch.onnx.errors import OnnxExporterError

from netchu.core.codec import Codec
from netchu.core.errors import NetchuError
from netchu.data.batches import frame_batches
from netchu.decoding.greedy import greedy_decode
from netchu.decoding.language_model import LANGUAGE_MODEL
from netchu.decoding.readings import joint_probability
from netchu.decoding.scaling import softmax
from netchu.imaging.preparation import WIDTH_STEP
from netchu.inference.exported_model import NETWORK, ExportedModel, make_decoder
from netchu.models.base import Recogniser
from netchu.models.ctc import CTCRecogniser
from netchu.models.model_folder import save_model, weights_hash

WEIGHTS = "model.safetensors"
OPSET = 20
"""The first with GELU as one operator; onnxruntime has it since 1.17."""

_SMALL = 1024
"""Constants of so many numbers at most are computed on exporting: shapes, not weights."""


def export(
    recogniser: Recogniser,
    folder: Path,
    card: dict[str, Any],
    temperature: float = 1.0,
    language_model: Path | None = None,
) -> None:
    """Write `model.safetensors`, `model.onnx` and `model.json` into `folder`, all or none of them.

    The graph takes `images` (B, 1, H, W), float32, W a multiple of 32, and gives `logits`
    (B, T, V). `load_model` reads the folder too. `card` adds what else the card should say;
    `temperature` divides the logits before a softmax; a `language_model` is copied into `folder`.

    Raises:
        NetchuError: no CTC network, one that torch cannot trace (crnn_residual with two layers), or
            a weight that half precision cannot hold.
    """
    if not isinstance(recogniser, CTCRecogniser):
        raise NetchuError(f"{recogniser.network} is no CTC network; only those are exported")
    light = rounded(recogniser)
    graph = _graph(light)
    for parameter in light.parameters():
        parameter.data = _half(parameter.data)
    own = {
        "preprocessing": asdict(light.preprocessing),
        "step": step(light),
        "temperature": temperature,
    }
    partial = folder.with_name(folder.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_model(light, partial, card | own)
    (partial / WEIGHTS).chmod(0o644)  # safetensors lets nobody else read what it writes
    _point_into(graph, partial / WEIGHTS)
    graph.metadata_props.add(key="weights", value=weights_hash(partial))
    onnx.save(graph, partial / NETWORK)
    if language_model:
        shutil.copyfile(language_model, partial / LANGUAGE_MODEL)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


@torch.inference_mode()
def compare(recogniser: CTCRecogniser, folder: Path, lines: pd.DataFrame) -> pd.DataFrame:
    """Read `lines` (of a line table) with torch and with the exported model in `folder`.

    One row for each line: id, text (the truth), torch and exported (the readings), confidence (the
    exported one's), decoded and decoded_confidence (what a `Reader` gives, which has a language
    model where the folder holds one), apart (the greatest difference of a probability). With
    `load_model(folder)` the readings must be equal; with the recogniser before rounding they show
    what that costs.
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


def rounded(recogniser: CTCRecogniser) -> CTCRecogniser:
    """A copy as it will be read: without the head of training, weights rounded as exported."""
    kind = type(recogniser)
    config = replace(recogniser.config, shortcut=0.0)
    copy = kind(kind.without_pretrained(config), recogniser.alphabet)
    weights = {
        name: _half(weight)
        for name, weight in recogniser.state_dict().items()
        if not name.startswith("shortcut_head.")
    }
    if lost := [name for name, weight in weights.items() if not weight.isfinite().all()]:
        raise NetchuError(
            f"{recogniser.network}: half precision cannot hold {lost[0]}; train again"
        )
    copy.load_state_dict(weights)
    copy.config = config
    copy.eval()
    return copy


def step(recogniser: CTCRecogniser) -> float:
    """Pixels of prepared width for each CTC time step."""
    far = 1024 * WIDTH_STEP
    return round(far / recogniser.time_steps(far), 2)


def _half(weight: Tensor) -> Tensor:
    """A weight as exported; vectors stay as they are: they are light, and variances are tiny."""
    return weight.half() if weight.dim() > 1 else weight


def _graph(recogniser: CTCRecogniser) -> Any:
    """The network as an ONNX model whose weights have the names that torch gives them."""
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
                optimize=False,  # would merge weights, which then are no longer torch's
                verbose=False,
            )
    except OnnxExporterError:
        raise NetchuError(
            f"{recogniser.network} cannot be written as ONNX with this config; "
            "export a network without recurrent layers, as netchu_small"
        ) from None
    optimizer.fold_constants(
        program.model,
        input_size_limit=_SMALL,
        output_size_limit=_SMALL,
        should_fold=lambda node: False if node.op_type == "Transpose" else None,
    )
    optimizer.remove_unused_nodes(program.model)
    model = program.model_proto
    _forget_origins(model)
    return model


def _forget_origins(model: Any) -> None:
    """Drop what tells where the graph came from (stack traces with paths) and shapes of the sample
    that it was traced with."""
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


class _Place(NamedTuple):
    """Where a tensor lies in a safetensors file: its type there, first byte, number of bytes."""

    kind: str
    offset: int
    length: int


def _places(path: Path) -> dict[str, _Place]:
    """Where the tensors of a safetensors file lie: 8 bytes of length, a JSON header, the data."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    return {
        name: _Place(entry["dtype"], 8 + length + first, end - first)
        for name, entry in header.items()
        if name != "__metadata__"
        for first, end in (entry["data_offsets"],)
    }


def _point_into(model: Any, weights: Path) -> None:
    """Let the model's initialisers lie in the file `weights`; those in half are cast on loading."""
    places = _places(weights)
    casts = []
    for tensor in model.graph.initializer:
        if tensor.name not in places:
            continue
        place = places[tensor.name]
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        entries = {"location": weights.name, "offset": place.offset, "length": place.length}
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=str(value))
        if place.kind == "F16":
            name = tensor.name
            tensor.name, tensor.data_type = f"{name}.half", onnx.TensorProto.FLOAT16
            cast = onnx.helper.make_node("Cast", [tensor.name], [name], to=onnx.TensorProto.FLOAT)
            casts.append(cast)
    nodes = [*casts, *model.graph.node]
    model.graph.ClearField("node")
    model.graph.node.extend(nodes)
