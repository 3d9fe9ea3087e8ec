"""Export of a recogniser to ONNX, to read without torch.

There is one copy of the weights: `model.safetensors`, which torch loads too. The graph `model.onnx`
refers to it. Kernels of convolutions and matrices of linear layers are in 8 bits, and so is what
they are applied to; other matrices are in half precision and cast to single precision once, when
ONNX Runtime loads the model.
"""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import pandas as pd
import torch
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxscript import optimizer
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.onnx.errors import OnnxExporterError

from netchu.core.codec import Codec
from netchu.core.errors import NetchuError
from netchu.core.files import new_folder
from netchu.data.batches import frame_batches
from netchu.decoding.greedy import greedy_decode
from netchu.decoding.language_model import LANGUAGE_MODEL
from netchu.decoding.readings import joint_probability
from netchu.decoding.scaling import softmax
from netchu.imaging.preparation import WIDTH_STEP, Prepared
from netchu.inference.exported_model import NETWORK, WEIGHTS, ExportedModel, make_decoder
from netchu.inference.weights import TensorLocation, tensor_locations
from netchu.models.base import Recogniser
from netchu.models.ctc import CTCRecogniser
from netchu.models.eight_bit import SCALE, dequantise, quantise
from netchu.models.model_folder import weights_hash, write_card

OPSET = 20
"""The first with GELU as one operator; ONNX Runtime supports it since 1.17."""

MIN_CHANNELS = 16
"""Convolutions with fewer input channels, such as the first one, keep half precision: they cost
little, and their errors are in all that follows."""

QUANTISED = "_quantized"
"""What ONNX Runtime adds to the name of a weight in 8 bits."""

RANGE_LINES = 64
"""Lines that are enough to measure the ranges of what is rounded to 8 bits."""

_MAX_FOLDED = 1024
"""Constants of at most so many numbers are folded on export: shapes, not weights."""


def export_recogniser(
    recogniser: Recogniser,
    folder: Path,
    card: dict[str, Any],
    lines: pd.DataFrame,
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
        lines: rows of a line table on which the ranges of numbers in 8 bits are measured; no test
            lines.
        temperature: divides the logits before the softmax; it goes to the card.
        language_model: a file to copy into the folder.

    Raises:
        NetchuError: the network is no CTC network, torch cannot trace it (crnn_residual with two
            layers), or a weight is too large for half precision.
    """
    if not isinstance(recogniser, CTCRecogniser):
        raise NetchuError(f"{recogniser.network} is not a CTC network; only those can be exported")
    exported = round_weights(recogniser)
    sample = lines.sample(min(len(lines), RANGE_LINES), random_state=0)
    graph = _quantise(_graph(exported), eight_bit_weights(exported), _images(exported, sample))
    own = {
        "preprocessing": asdict(exported.preprocessing),
        "step": pixels_per_step(exported),
        "temperature": temperature,
    }
    with new_folder(folder) as partial:
        save_file(_stored_weights(exported), partial / WEIGHTS)
        (partial / WEIGHTS).chmod(0o644)  # safetensors makes the file readable for its owner only
        write_card(exported, partial, card | own)
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
    """Return a copy as it is exported: without the shortcut head, weights rounded as stored.

    Raises:
        NetchuError: a weight is too large for half precision.
    """
    recogniser_class = type(recogniser)
    config = replace(recogniser.config, shortcut=0.0)
    copy = recogniser_class(recogniser_class.without_pretrained(config), recogniser.alphabet)
    copy.load_state_dict({
        name: weight
        for name, weight in recogniser.state_dict().items()
        if not name.startswith("shortcut_head.")
    })  # fmt: skip
    stored = _stored_weights(copy)
    if lost := [name for name, weight in stored.items() if not weight.isfinite().all()]:
        raise NetchuError(
            f"{recogniser.network}: {lost[0]} is too large for half precision; train again"
        )
    copy.load_state_dict(dequantise(stored))
    copy.config = config
    copy.eval()
    return copy


def eight_bit_weights(recogniser: nn.Module) -> set[str]:
    """Return the names of the weights that are stored in 8 bits.

    They are those of 2-D convolutions and of all linear layers but `head`, whose outputs are the
    scores of the characters.
    """
    return {
        f"{name}.weight"
        for name, module in recogniser.named_modules()
        if (isinstance(module, nn.Conv2d) and module.in_channels >= MIN_CHANNELS)
        or (isinstance(module, nn.Linear) and name != "head")
    }


def _stored_weights(recogniser: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of `model.safetensors`.

    Vectors keep single precision, since variances may be tiny.
    """
    names = eight_bit_weights(recogniser)
    stored = {}
    for name, weight in recogniser.state_dict().items():
        kept = weight.detach().cpu().contiguous()
        if name in names:
            stored[name], stored[name + SCALE] = quantise(kept)
        else:
            stored[name] = kept.half() if kept.dim() > 1 else kept
    return stored


def pixels_per_step(recogniser: CTCRecogniser) -> float:
    """Return the pixels of prepared width per time step."""
    width = 1024 * WIDTH_STEP
    return round(width / recogniser.time_steps(width), 2)


def _images(recogniser: CTCRecogniser, lines: pd.DataFrame) -> list[Prepared]:
    """Return the prepared images (1, 1, H, W) of lines of a table."""
    batches = frame_batches(lines, recogniser.preprocessing, 1)
    return [batch.images_BCHW.numpy() for batch in batches]


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


def _quantise(model: Any, names: set[str], images: Iterable[Prepared]) -> Any:
    """Return the model with the weights in `names` and what they are applied to in 8 bits.

    Args:
        model: with weights in single precision.
        names: of kernels of convolutions and of matrices of linear layers; batch normalisation
            after a convolution becomes part of it.
        images: prepared lines that show the ranges of the numbers in between.
    """
    _fold_norms(model, names)
    transposed = _transpose_matrices(model.graph, names)
    nodes = _eight_bit_nodes(model.graph, names)
    if not nodes:
        return model
    taken = {node.input[1] for node in model.graph.node if node.name in nodes and node.input[1:]}
    if left := sorted(names - taken):
        raise NetchuError(f"{left[0]} cannot be in 8 bits: the graph uses it in another way")
    with TemporaryDirectory() as scratch, _quiet():
        whole, small = Path(scratch, "whole.onnx"), Path(scratch, "small.onnx")
        onnx.save(model, whole)
        quantize_static(
            whole, small, _Images(images), nodes_to_quantize=nodes, per_channel=True,
            reduce_range=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            extra_options={"OpTypesToExcludeOutputQuantization": ["MatMul"]},
        )  # fmt: skip
        quantised = onnx.load(small)
    _transpose_back(quantised.graph, transposed)
    _pool_by_convolution(quantised)
    _remove_metadata(quantised)
    return quantised


def _eight_bit_nodes(graph: Any, names: set[str]) -> list[str]:
    """Return the convolutions and matrix products with a weight in `names`, sums of the outputs of
    convolutions, and ReLUs after convolutions and such sums, which then cost nothing."""
    chosen: list[str] = []
    outputs: set[str] = set()
    for node in graph.node:  # in the order of computation
        if node.op_type == "MatMul" and node.input[1] in names:
            chosen.append(node.name)
            continue
        if node.op_type == "Conv":
            wanted = node.input[1] in names
        else:
            wanted = node.op_type in ("Add", "Relu") and outputs.issuperset(node.input)
        if wanted:
            chosen.append(node.name)
            outputs.update(node.output)
    return chosen


def _transpose_matrices(graph: Any, names: set[str]) -> set[str]:
    """Let matrix products take the weights in `names` directly, transposed; return their names.

    torch transposes the matrix of a linear layer by a node of its own, and ONNX Runtime quantises
    only weights that a product takes directly.
    """
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    nodes = [n for n in graph.node if n.op_type == "Transpose" and n.input[0] in names]
    for node in nodes:
        name = node.input[0]
        transposed = numpy_helper.to_array(tensors[name]).T.copy()
        tensors[name].CopyFrom(numpy_helper.from_array(transposed, name))
        for user in graph.node:
            for place, taken in enumerate(user.input):
                if taken == node.output[0]:
                    user.input[place] = name
        graph.node.remove(node)
    return {node.input[0] for node in nodes}


def _transpose_back(graph: Any, names: set[str]) -> None:
    """Store the quantised weights in `names` as torch does, before a node that transposes them.

    ONNX Runtime applies that node once, when it loads the model.
    """
    for tensor in graph.initializer:
        name = tensor.name.removesuffix(QUANTISED)
        if name not in names or name == tensor.name:
            continue
        stored = tensor.name
        restored = numpy_helper.to_array(tensor).T.copy()
        tensor.CopyFrom(numpy_helper.from_array(restored, stored))
        for node in graph.node:
            for place, taken in enumerate(node.input):
                if taken == stored:
                    node.input[place] = f"{stored}.transposed"
        graph.node.insert(
            0, onnx.helper.make_node("Transpose", [stored], [f"{stored}.transposed"], perm=[1, 0])
        )


def _pool_by_convolution(model: Any) -> None:
    """Replace average pooling in 8 bits by convolutions of single channels.

    The result is the same but for averages halfway between two steps of 8 bits. ONNX Runtime has
    fast code for these, and took a fifth of a network's time for three poolings. Where the
    height is no multiple of the kernel's, the pooling is left: it averages fewer rows at the lower
    edge. Widths always are, since those of lines are multiples of `WIDTH_STEP`.
    """
    graph = model.graph
    shapes = {
        value.name: value.type.tensor_type.shape.dim
        for value in onnx.shape_inference.infer_shapes(model).graph.value_info
    }
    producers = {name: node.op_type for node in graph.node for name in node.output}
    nodes = []
    for node in graph.node:
        if node.op_type != "AveragePool" or producers.get(node.input[0]) != "DequantizeLinear":
            nodes.append(node)
            continue
        _, channels, height, _ = (side.dim_value for side in shapes[node.input[0]])
        how = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        rows, columns = how["kernel_shape"]
        if height % rows or any(how.get("pads", ())):
            nodes.append(node)
            continue
        kernel = f"{node.output[0]}.kernel"
        parts = [f"{kernel}{suffix}" for suffix in (QUANTISED, "_scale", "_zero_point")]
        ones = np.ones((channels, 1, rows, columns), np.int8)
        values = ones, np.float32(1 / (rows * columns)), np.int8(0)
        graph.initializer.extend(map(numpy_helper.from_array, values, parts))
        nodes.append(onnx.helper.make_node("DequantizeLinear", parts, [kernel]))
        convolution = onnx.helper.make_node(
            "Conv", [node.input[0], kernel], node.output, node.name, group=channels,
            kernel_shape=[rows, columns], strides=how["strides"],
        )  # fmt: skip
        nodes.append(convolution)
    del graph.node[:]
    graph.node.extend(nodes)


class _Images(CalibrationDataReader):  # type: ignore[misc]
    """Inputs of the network, one after the other."""

    def __init__(self, images: Iterable[Prepared]) -> None:
        self.images = iter(images)

    def get_next(self) -> dict[str, Prepared] | None:
        image = next(self.images, None)
        return None if image is None else {"images": image}


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the advice of ONNX Runtime to optimise the model first, which renames its weights."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _fold_norms(model: Any, names: set[str]) -> None:
    """Make batch normalisation after a convolution with a weight in `names` part of it.

    A bias of zeros, as torch writes it for a convolution without one, is removed: ONNX Runtime
    would compute that convolution in single precision.
    """
    graph = model.graph
    tensors = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    norms = {n.input[0]: n for n in graph.node if n.op_type == "BatchNormalization"}
    for node in [n for n in graph.node if n.op_type == "Conv" and n.input[1] in names]:
        kernel, *biases = node.input[1:]
        bias_O = sum(tensors[name] for name in biases)
        if norm := norms.get(node.output[0]):
            gain_O, shift_O, mean_O, variance_O = (tensors[name] for name in norm.input[1:5])
            (epsilon,) = (a.f for a in norm.attribute if a.name == "epsilon")
            factor_O = gain_O / np.sqrt(variance_O + np.float32(epsilon))
            tensors[kernel] = tensors[kernel] * factor_O[:, None, None, None]
            bias_O = shift_O + (bias_O - mean_O) * factor_O
            node.output[0] = norm.output[0]
            graph.node.remove(norm)
        del node.input[2:]
        if np.any(bias_O):
            node.input.append(f"{kernel}.bias")
            tensors[f"{kernel}.bias"] = bias_O
    used = {name for node in graph.node for name in node.input}
    graph.ClearField("initializer")
    graph.initializer.extend(
        numpy_helper.from_array(tensor, name) for name, tensor in tensors.items() if name in used
    )


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
        name = tensor.name.removesuffix(QUANTISED)
        if name not in locations:
            continue
        location = locations[name]
        if location.dtype == "I8":
            _check_equal(tensor, weights, location)
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        entries = {"location": weights.name, "offset": location.offset, "length": location.length}
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=str(value))
        if location.dtype == "F16":
            tensor.name, tensor.data_type = f"{name}.half", onnx.TensorProto.FLOAT16
            cast = onnx.helper.make_node("Cast", [tensor.name], [name], to=onnx.TensorProto.FLOAT)
            casts.append(cast)
    nodes = [*casts, *model.graph.node]
    model.graph.ClearField("node")
    model.graph.node.extend(nodes)


def _check_equal(tensor: Any, weights: Path, location: TensorLocation) -> None:
    """Check that ONNX Runtime has rounded a weight as `quantise` has."""
    with weights.open("rb") as file:
        file.seek(location.offset)
        stored = file.read(location.length)
    if numpy_helper.to_array(tensor).tobytes() != stored:
        raise NetchuError(f"{tensor.name}: ONNX Runtime rounds it otherwise than it is stored")
