"""Exported models: torch and ONNX Runtime read with one copy of the weights."""

import subprocess
import sys
from collections import Counter
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info
from safetensors.torch import load_file

from netchu.core.errors import NetchuError
from netchu.core.fingerprints import PACKAGE
from netchu.inference.exported_model import ExportedModel
from netchu.models.model_card import read_card
from netchu.models.model_folder import load_model, weights_hash
from netchu.release import onnx_export
from netchu.release.onnx_export import (
    eight_bit_weights,
    export_recogniser,
    read_with_both,
    round_weights,
)
from netchu.training.stage import build_recogniser
from small_project import as_table, drawn_lines, params

# Convolutions of 16 channels and more are in 8 bits.
MODEL = {"height": 32, "channels": [16, 16, 24, 24], "mixers": 1}


def made(system="netchu_small", model=MODEL, seed=7):
    """Return a recogniser whose normalisation layers are not the identity, as after training."""
    rows = {system: {"model": model, "pretrain": {}, "finetune": {}}}
    recogniser = build_recogniser(params(seed=seed, systems=rows), system).eval()
    torch.manual_seed(seed)
    for name, weights in recogniser.state_dict().items():
        if name.endswith("running_var"):
            weights.uniform_(0.01, 2)
        elif name.endswith("running_mean"):
            weights.normal_(0, 0.3)
    return recogniser


LINES = as_table(drawn_lines("val", 9))


@pytest.fixture(scope="module")
def trained():
    return made()


@pytest.fixture(scope="module")
def folder(trained, tmp_path_factory):
    out = tmp_path_factory.mktemp("exported") / "model"
    export_recogniser(trained, out, {"figures": {"cer": 0.5}}, LINES, temperature=0.8)
    return out


def test_the_folder_holds_three_files_and_nothing_else(folder):
    assert sorted(p.name for p in folder.parent.rglob("*") if p.is_file()) == [
        "model.json", "model.onnx", "model.safetensors",
    ]  # fmt: skip


def test_the_card_has_all_that_a_reader_needs(folder, trained):
    card = read_card(folder)
    assert card["network"] == "netchu_small"
    assert card["alphabet"] == trained.alphabet
    assert card["preprocessing"] == {"variant": "grey", "height": 32, "max_width": 0}
    assert card["step"] == 4
    assert card["temperature"] == 0.8
    assert card["figures"] == {"cer": 0.5}


def test_graph_and_card_name_the_hash_of_the_weights(folder):
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    named = session.get_modelmeta().custom_metadata_map["weights"]
    assert named == read_card(folder)["weights"] == weights_hash(folder)


@pytest.mark.parametrize(("batch", "width"), [(1, 32), (3, 256), (2, 992)])
@pytest.mark.parametrize("fold", [False, True])
def test_the_graph_gives_the_logits_of_torch(trained, tmp_path, batch, width, fold):
    # In single precision, before ranges are measured: only sums are rounded differently.
    rng = np.random.default_rng(batch)
    images = rng.random((batch, 1, 32, width), np.float32)
    rounded = round_weights(trained)
    with torch.inference_mode():
        expected = rounded(torch.from_numpy(images)).numpy()
    graph = onnx_export._graph(rounded)
    if fold:
        onnx_export._fold_norms(graph, eight_bit_weights(rounded))
        norms = sum(node.op_type == "BatchNormalization" for node in graph.graph.node)
        assert norms == 1  # that of the first convolution, which is not in 8 bits
        linear = {"mixers.0.widen.weight", "mixers.0.narrow.weight"}
        assert onnx_export._transpose_matrices(graph.graph, eight_bit_weights(rounded)) == linear
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    (logits,) = session.run(["logits"], {"images": images})
    assert logits.shape == (batch, trained.time_steps(width), trained.codec.size)
    np.testing.assert_allclose(logits, expected, atol=2e-5)


def test_the_exported_graph_is_close_to_torch(folder):
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    recogniser = load_model(folder)
    for image in onnx_export._images(recogniser, LINES):
        with torch.inference_mode():
            expected = recogniser(torch.from_numpy(image)).numpy()
        (logits,) = session.run(["logits"], {"images": image})
        assert np.abs(logits - expected).mean() < 0.03 * expected.std()


def test_a_weight_that_is_used_otherwise_is_named(trained):
    rounded = round_weights(trained)
    graph = onnx_export._graph(rounded)
    names = eight_bit_weights(rounded) | {"mixers.0.norm.weight"}
    with pytest.raises(NetchuError, match=r"^mixers\.0\.norm\.weight cannot be in 8 bits"):
        onnx_export._quantise(graph, names, [])


def test_convolutions_and_linear_layers_compute_in_8_bits(folder, tmp_path):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    onnxruntime.InferenceSession(str(folder / "model.onnx"), options)
    nodes = onnx.load(tmp_path / "optimised.onnx", load_external_data=False).graph.node
    found = Counter(node.op_type for node in nodes)
    assert len(eight_bit_weights(load_model(folder))) == 9 + 2
    assert found["QLinearConv"] == 9 + 3  # and instead of average pooling
    assert found["MatMulIntegerToFloat"] == 2  # those of the mixer
    assert found["MatMul"] == 1  # the last layer
    weights = {node.input[0] for node in nodes if node.op_type == "Transpose"}
    assert not any("weight" in name for name in weights)  # transposed on loading
    assert found["QLinearAdd"] == 3
    assert found["Conv"] == 2  # the first one, and that of the mixer
    assert not any("Pool" in name for name in found)


def pooling_in_8_bits(height, kernel, strides, pads=(0, 0, 0, 0)):
    """A graph that averages three channels of images, between rounding to 8 bits."""
    nodes = []
    for name in ("images", "averages"):
        rounded = [f"{name}_rounded", f"{name}_scale", "zero"]
        nodes.append(make_node("QuantizeLinear", [name, *rounded[1:]], rounded[:1]))
        nodes.append(make_node("DequantizeLinear", rounded, [f"{name}_8"]))
        if name == "images":
            nodes.append(make_node(
                "AveragePool", ["images_8"], ["averages"], "pooling", kernel_shape=kernel,
                strides=strides, pads=pads, ceil_mode=1, count_include_pad=1,
            ))  # fmt: skip
    graph = make_graph(
        nodes,
        "pooling",
        [make_tensor_value_info("images", onnx.TensorProto.FLOAT, ["batch", 3, height, "width"])],
        [make_tensor_value_info("averages_8", onnx.TensorProto.FLOAT, ["batch", 3, None, None])],
        [
            numpy_helper.from_array(np.float32(0.009262), "images_scale"),
            numpy_helper.from_array(np.float32(0.008274), "averages_scale"),
            numpy_helper.from_array(np.uint8(0), "zero"),
        ],
    )
    return make_model(graph, opset_imports=[make_opsetid("", onnx_export.OPSET)], ir_version=10)


def averages(graph, height):
    images = np.random.default_rng(1).uniform(0, 2, (2, 3, height, 32)).astype(np.float32)
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    return session.run(None, {"images": images})[0]


@pytest.mark.parametrize(("kernel", "strides"), [([2, 2], [2, 2]), ([2, 1], [2, 1])])
def test_a_convolution_of_single_channels_gives_the_averages_of_a_pooling(kernel, strides):
    graph = pooling_in_8_bits(8, kernel, strides)
    expected = averages(graph, 8)
    onnx_export._pool_by_convolution(graph)
    operators = [node.op_type for node in graph.graph.node]
    assert operators.count("Conv") == 1 and "AveragePool" not in operators
    found = averages(graph, 8)
    assert found.shape == (2, 3, 4, 32 // strides[1])
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("height", "pads"), [(7, (0, 0, 0, 0)), (8, (1, 0, 1, 0))])
def test_a_pooling_with_incomplete_windows_stays(height, pads):
    graph = pooling_in_8_bits(height, [2, 1], [2, 1], pads)
    before = graph.SerializeToString()
    onnx_export._pool_by_convolution(graph)
    assert graph.SerializeToString() == before


def test_a_pooling_in_single_precision_stays():
    graph = pooling_in_8_bits(8, [2, 1], [2, 1])
    del graph.graph.node[:2]  # no rounding before it
    graph.graph.node[0].input[0] = "images"
    before = graph.SerializeToString()
    onnx_export._pool_by_convolution(graph)
    assert graph.SerializeToString() == before


def test_the_weights_are_stored_once_in_8_and_16_bits(folder):
    graph = onnx.load(folder / "model.onnx", load_external_data=False).graph
    assert max((len(t.raw_data) for t in graph.initializer), default=0) < 1024
    pointers = {e.value for t in graph.initializer for e in t.external_data if e.key == "location"}
    assert pointers == {"model.safetensors"}
    weights = load_file(folder / "model.safetensors")
    kinds = {name: weight.dtype for name, weight in weights.items()}
    eight = {name for name, kind in kinds.items() if kind == torch.int8}
    assert eight == eight_bit_weights(load_model(folder))
    assert {kinds[name + ".scale"] for name in eight} == {torch.float32}
    assert "backbone.0.weight" not in eight and "backbone.3.first.weight" in eight
    assert "head.weight" not in eight and "mixers.0.widen.weight" in eight
    assert {kinds[name] for name, w in weights.items() if w.dim() > 1} - {torch.int8} == {
        torch.float16
    }
    assert kinds["backbone.1.running_var"] == torch.float32


def test_torch_loads_the_rounded_weights(folder, trained):
    again = load_model(folder)
    assert {p.dtype for p in again.parameters()} == {torch.float32}
    assert not any(name.startswith("shortcut_head") for name in again.state_dict())
    expected = round_weights(trained).state_dict()
    eight = eight_bit_weights(again)
    for name, weight in again.state_dict().items():
        assert torch.equal(weight, expected[name]), name
        before = trained.state_dict()[name].float()
        # Half a step of the largest weight of a channel in 8 bits.
        step = before.abs().flatten(1).amax(1).max() / 128 if name in eight else 1e-6
        torch.testing.assert_close(weight.float(), before, rtol=1e-3, atol=float(step))


def test_exporting_does_not_change_the_recogniser(folder, trained):
    assert {p.dtype for p in trained.parameters()} == {torch.float32}
    assert trained.shortcut_head is not None
    assert trained.config.shortcut > 0


def test_the_graph_contains_no_paths(folder):
    written = (folder / "model.onnx").read_bytes()
    for trace in (str(PACKAGE), str(folder), "site-packages", ".py", "stack_trace"):
        assert trace.encode() not in written


def test_lines_are_read_with_torch_and_the_exported_model(folder):
    compared = read_with_both(load_model(folder), folder, LINES)
    assert sorted(compared["id"]) == sorted(LINES["id"])
    assert compared["exported"].str.len().max() > 0
    assert compared["apart"].max() < 0.005
    assert compared["confidence"].between(0, 1).all()
    assert compared["decoded"].tolist() == compared["exported"].tolist()  # no language model
    assert compared["decoded_confidence"].tolist() == pytest.approx(compared["confidence"].tolist())


def test_another_network_reads_differently(folder):
    compared = read_with_both(made(seed=8), folder, as_table(drawn_lines("val", 3)))
    assert compared["exported"].tolist() != compared["torch"].tolist()
    assert compared["apart"].max() > 0.02


def test_probabilities_are_at_the_temperature_of_the_card(folder):
    images = np.random.default_rng(3).random((1, 32, 160), np.float32)
    with torch.inference_mode():
        logits = load_model(folder)(torch.from_numpy(images[:, None]))
    np.testing.assert_allclose(
        ExportedModel(folder).probabilities(images), (logits / 0.8).softmax(-1), atol=0.1
    )


def test_a_failed_export_keeps_the_former_one(folder, trained, monkeypatch):
    before = {p.name: p.read_bytes() for p in folder.iterdir()}

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(onnx_export, "_graph", lambda _: onnx.ModelProto())
    monkeypatch.setattr(onnx_export.onnx, "save", full)
    with pytest.raises(OSError, match="no space"):
        export_recogniser(trained, folder, {}, LINES)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_a_weight_too_large_for_half_precision_is_named(tmp_path):
    recogniser = made()
    recogniser.head.weight.data[0, 0] = 1e6
    with pytest.raises(NetchuError, match=r"head\.weight is too large for half precision"):
        export_recogniser(recogniser, tmp_path / "out", {}, LINES)
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_cannot_be_traced_is_an_error_of_one_line(tmp_path, monkeypatch):
    def fails(*_, **__):
        raise torch.onnx.errors.OnnxExporterError("stack expects\neach tensor to be equal size")

    monkeypatch.setattr(torch.onnx, "export", fails)
    with pytest.raises(NetchuError, match="netchu_small cannot be written as ONNX") as error:
        export_recogniser(made(), tmp_path / "out", {}, LINES)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_only_ctc_networks_can_be_exported(tmp_path):
    with pytest.raises(NetchuError, match="trocr is not a CTC network"):
        export_recogniser(SimpleNamespace(network="trocr"), tmp_path / "out", {}, LINES)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("system", "model"),
    [
        ("crnn_residual", {"height": 96, "width": 0.125, "layers": 1}),
        ("crnn_vgg", {"height": 32, "width": 0.125, "batch_norm": True, "weights": "none",
                      "hidden": 16, "layers": 1}),
    ],
)  # fmt: skip
def test_recurrent_networks_can_be_exported(system, model, tmp_path):
    export_recogniser(made(system, model), tmp_path / "model", {}, LINES)
    compared = read_with_both(load_model(tmp_path / "model"), tmp_path / "model", LINES)
    assert compared["apart"].max() < 0.2


@pytest.mark.slow
def test_another_process_writes_the_same_bytes(folder, tmp_path):
    code = (
        "from pathlib import Path; from test_onnx_export import LINES, made;"
        "from netchu.release.onnx_export import export_recogniser;"
        f"out = Path({str(tmp_path / 'again')!r});"
        "export_recogniser(made(), out, {'figures': {'cer': 0.5}}, LINES, 0.8)"
    )
    paths = [p for p in sys.path if p]
    subprocess.run([sys.executable, "-c", f"import sys; sys.path += {paths!r}; {code}"], check=True)
    for path in folder.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name
