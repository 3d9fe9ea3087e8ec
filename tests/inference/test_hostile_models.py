"""Model folders that are damaged on purpose: one line, soon, and no text of a wrong network."""

import json
import os
import time
import zipfile

import numpy as np
import pytest
from onnx import TensorProto, helper, load_model, numpy_helper, save_model

import language
from bar_model import HEIGHT, write_bar_model
from netchu.core.errors import NetchuError
from netchu.decoding.language_model import LANGUAGE_MODEL, LanguageModel
from netchu.inference import exported_model
from netchu.inference.exported_model import SHIPPED_MODEL, ExportedModel
from netchu.inference.weights import check_finite

GREY = {"variant": "grey", "height": HEIGHT}


@pytest.fixture
def folder(tmp_path):
    return write_bar_model(tmp_path / "bars")


def refused(folder, match):
    """Load the model, which has to fail in one line and within two seconds."""
    begin = time.monotonic()
    with pytest.raises(NetchuError, match=match) as caught:
        ExportedModel(folder)
    assert time.monotonic() - begin < 2
    assert "\n" not in str(caught.value).strip()
    assert str(folder) in str(caught.value)
    assert len(str(caught.value)) < len(str(folder)) + 300


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"alphabet": 5}, "alphabet: no text"),
        ({"alphabet": ""}, "alphabet: no text"),
        ({"alphabet": "aa"}, "a character stands there twice"),
        ({"alphabet": "ab\x00"}, "cannot be printed"),
        ({"step": "4"}, "step: no number from 1 to 1024, '4'"),
        ({"step": 0}, "step: no number"),
        ({"step": -5}, "step: no number"),
        ({"step": float("nan")}, "step: no number"),
        ({"step": True}, "step: no number"),
        ({"step": 16}, "gives 16 steps for 64 px, but model.json says 16 px a step"),
        ({"temperature": float("nan")}, "temperature: no number"),
        ({"temperature": 0}, "temperature: no number"),
        ({"temperature": 1e9}, "temperature: no number"),
        ({"preprocessing": 5}, "preprocessing: no mapping"),
        ({"preprocessing": GREY | {"hight": 3}}, "preprocessing: no mapping of variant, height"),
        ({"preprocessing": GREY | {"variant": "gray"}}, "preprocessing.variant: not one of grey"),
        ({"preprocessing": GREY | {"height": 10**9}}, "height: no integer from 1 to 1024"),
        ({"preprocessing": GREY | {"height": 0}}, "height: no integer"),
        ({"preprocessing": GREY | {"height": -5}}, "height: no integer"),
        ({"preprocessing": GREY | {"height": 32.0}}, "height: no integer"),
        ({"preprocessing": GREY | {"height": "32"}}, "height: no integer"),
        ({"preprocessing": GREY | {"height": 64}}, "takes no grey images of 64 px"),
        ({"preprocessing": GREY | {"max_width": 10**9}}, "max_width: no integer"),
        ({"preprocessing": GREY | {"max_width": 33}}, "max_width: no multiple of 32"),
        ({"scales": [1]}, "scales: no mapping"),
        ({"scales": {"lines": [1]}}, "scales.lines: no list of slope"),
        ({"scales": {"lines": [float("inf"), 0]}}, "scales.lines slope: no number"),
        ({"scales": {"characters": [1, 1e9]}}, "scales.characters intercept: no number"),
        ({"figures": [1]}, "figures: no mapping"),
        ({"weights": 5}, "weights: no text"),
    ],
)
def test_a_value_of_the_card_that_is_out_of_its_bounds(tmp_path, changes, told):
    refused(write_bar_model(tmp_path / "bars", **changes), told)


@pytest.mark.parametrize("key", ["alphabet", "step", "temperature", "preprocessing"])
def test_a_value_that_the_card_lacks(folder, key):
    card = json.loads((folder / "model.json").read_text())
    del card[key]
    (folder / "model.json").write_text(json.dumps(card))
    refused(folder, f"{key} is missing")


def test_a_card_nested_a_hundred_thousand_times(folder):
    (folder / "model.json").write_text("[" * 100_000 + "]" * 100_000)
    refused(folder, "nested too deeply")


def test_a_card_of_a_terabyte(folder):
    os.truncate(folder / "model.json", 10**12)
    refused(folder, r"model\.json is larger than")


@pytest.mark.parametrize("name", ["model.json", "model.onnx", LANGUAGE_MODEL, "other"])
def test_a_pipe_is_not_waited_for(folder, name):
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    refused(folder, rf"{name} is not a regular file")


def test_a_device_is_not_read(folder):
    (folder / "model.json").unlink()
    (folder / "model.json").symlink_to("/dev/zero")
    refused(folder, r"model\.json is not a regular file")


def network(folder, nodes, constants=(), *, name="images", shape=("B", 1, HEIGHT, "W"), **options):
    """Replace the network by these nodes, from `images` to `logits`."""
    graph = helper.make_graph(
        nodes,
        "hostile",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["B", "T", 9])],
        list(constants),
    )
    opset = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8, **options)
    save_model(model, folder / "model.onnx")


def endless_loop():
    """A loop that goes on as long as its condition, which is always true."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Add", ["x", "x"], ["y"])],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
        ],
    )
    return helper.make_node("Loop", ["", "true", "images"], ["logits"], body=body)


TRUE = numpy_helper.from_array(np.array(True), "true")


def test_an_endless_loop_is_refused_before_it_is_loaded(folder):
    network(folder, [endless_loop()], [TRUE])
    refused(folder, r"model\.onnx is not a network of netchu \(the operator 'Loop'\)")


@pytest.mark.parametrize(
    ("node", "told"),
    [
        (helper.make_node("RandomNormal", [], ["logits"], shape=[10**6] * 3), "'RandomNormal'"),
        (helper.make_node("Scaler", ["images"], ["logits"], domain="ai.onnx.ml"), "'Scaler'"),
        (helper.make_node("Add", ["images"], ["logits"], domain="mine"), "operators of 'mine'"),
        (helper.make_node("If", ["images"], ["logits"]), "the operator 'If'"),
    ],
)
def test_an_operator_that_no_network_has(folder, node, told):
    network(folder, [node])
    refused(folder, told)


def test_functions_of_its_own(folder):
    function = helper.make_function(
        "mine", "Relu", ["x"], ["y"], [helper.make_node("Abs", ["x"], ["y"])],
        [helper.make_opsetid("", 17)],
    )  # fmt: skip
    network(folder, [helper.make_node("Relu", ["images"], ["logits"])], functions=[function])
    refused(folder, "functions of its own")


@pytest.mark.parametrize("location", ["../model.onnx", "/etc/passwd", "a/b", "..", "a\\b"])
def test_weights_in_another_folder(folder, location):
    model = load_model(folder / "model.onnx")
    tensor = model.graph.initializer[3]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    refused(folder, "weights in another folder")


def test_every_cut_of_a_network_is_one_line(folder):
    content = (folder / "model.onnx").read_bytes()
    for length in range(0, len(content), 37):
        (folder / "model.onnx").write_bytes(content[:length])
        refused(folder, r"export it again")


def test_every_flipped_byte_of_a_network_is_one_line_or_harmless(folder):
    content = (folder / "model.onnx").read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(content), 150):
        changed = bytearray(content)
        changed[place] ^= int(rng.integers(1, 256))
        (folder / "model.onnx").write_bytes(bytes(changed))
        try:
            ExportedModel(folder)
        except NetchuError as error:
            assert "\n" not in str(error).strip()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"name": "photos"}, "takes no grey images of 32 px"),
        ({"shape": ("B", 3, HEIGHT, "W")}, "takes no grey images of 32 px"),
        ({"shape": ("B", 1, 48, "W")}, "takes no grey images of 32 px"),
        ({"shape": ("B", HEIGHT, "W")}, "takes no grey images of 32 px"),
    ],
)
def test_a_network_that_takes_something_else(folder, options, told):
    nodes = [helper.make_node("Relu", [options.get("name", "images")], ["logits"])]
    network(folder, nodes, **options)
    refused(folder, rf"({told}|cannot be loaded)")


def test_a_network_whose_values_are_not_finite(folder):
    model = load_model(folder / "model.onnx")
    (bias,) = (t for t in model.graph.initializer if t.name == "bias")
    bias.CopyFrom(numpy_helper.from_array(np.full(9, np.nan, np.float32), "bias"))
    save_model(model, folder / "model.onnx")
    refused(folder, "gives values that are not finite")


def test_reading_of_empty_paper_ends_in_time(folder, monkeypatch):
    monkeypatch.setattr(exported_model, "SMOKE_SECONDS", 0.5)
    monkeypatch.setattr(exported_model, "check_graph", lambda network: None)
    network(folder, [endless_loop()], [TRUE])
    refused(folder, r"cannot read empty paper \(takes more than")


def safetensors(path, header, data=b""):
    content = json.dumps(header).encode() if isinstance(header, dict) else header
    path.write_bytes(len(content).to_bytes(8, "little") + content + data)


def tensor(dtype="F32", shape=(1,), offsets=(0, 4)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize(
    ("header", "data", "told"),
    [
        ({"a": tensor()}, np.float32(np.nan).tobytes(), "a is not finite"),
        ({"a": tensor("F16", offsets=(0, 2))}, np.float16(np.inf).tobytes(), "a is not finite"),
        ({"a": tensor(offsets=(0, 10**12))}, bytes(4), "a lies outside the file"),
        ({"a": tensor(offsets=(-8, -4))}, bytes(4), "a lies outside the file"),
        ({"a": 5}, bytes(4), "not a safetensors file"),
        (b"[" * 10_000, b"", "not a safetensors file"),
        (b"", b"", "not a safetensors file"),
    ],
)
def test_weights_that_are_not_finite_or_not_there(folder, header, data, told):
    safetensors(folder / "model.safetensors", header, data)
    refused(folder, rf"model\.safetensors is damaged \({told}\)")


def test_a_header_of_weights_longer_than_the_file(folder):
    (folder / "model.safetensors").write_bytes((2**60).to_bytes(8, "little"))
    refused(folder, "longer than the file")


def test_the_shipped_weights_are_finite():
    check_finite(SHIPPED_MODEL / "model.safetensors")


@pytest.fixture
def language_model(tmp_path):
    file = tmp_path / LANGUAGE_MODEL
    language.write(file)
    LanguageModel(file)
    return file


def not_a_language_model(file, match):
    begin = time.monotonic()
    with pytest.raises(NetchuError, match=match) as caught:
        LanguageModel(file)
    assert time.monotonic() - begin < 2
    assert "\n" not in str(caught.value)


def with_header(shape, dtype="|u1", data=b""):
    """Bytes of an array file that says it has this shape."""
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


@pytest.mark.parametrize(
    "shape", ["(4, 10**12)", "(4, 1000000000000)", "(-4, 10)", "(4, -1)", "(10, 10)", "()"]
)
def test_an_array_of_another_shape_than_its_bytes(language_model, shape):
    with zipfile.ZipFile(language_model) as archive:
        arrays = {name: archive.read(name) for name in archive.namelist()}
    arrays["addresses.npy"] = with_header(shape, data=bytes(100))
    with zipfile.ZipFile(language_model, "w") as archive:
        for name, content in arrays.items():
            archive.writestr(name, content)
    not_a_language_model(language_model, "is not a language model")


def test_an_encrypted_language_model(language_model):
    content = bytearray(language_model.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.find(signature)
        while place >= 0:
            content[place + offset] |= 1
            place = content.find(signature, place + 4)
    language_model.write_bytes(content)
    not_a_language_model(language_model, "is not a language model .*encrypted")


@pytest.mark.parametrize("symbols", ["", "aa", "".join(map(chr, range(300, 600)))])
def test_symbols_that_do_not_fit_a_byte(language_model, symbols):
    with np.load(language_model) as arrays:
        content = dict(arrays)
    np.savez(language_model, **(content | {"symbols": np.array(symbols)}))
    not_a_language_model(language_model, "is not a language model")


def test_n_grams_without_an_end(language_model):
    with np.load(language_model) as arrays:
        content = dict(arrays)
    chain = np.zeros((4, 1000), np.uint8)
    chain[0, 1:], chain[1, :-1] = 1, 1  # each node has one child by the same symbol
    np.savez(language_model, **(content | {"addresses": chain}))
    not_a_language_model(language_model, "n-grams of more than 16 symbols")


def test_every_flipped_byte_of_a_language_model_is_one_line_or_harmless(language_model):
    content = language_model.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(content), 200):
        changed = bytearray(content)
        changed[place] ^= int(rng.integers(1, 256))
        language_model.write_bytes(bytes(changed))
        try:
            LanguageModel(language_model)
        except NetchuError as error:
            assert "\n" not in str(error)


def test_a_language_model_that_is_a_pipe(tmp_path):
    os.mkfifo(tmp_path / LANGUAGE_MODEL)
    not_a_language_model(tmp_path / LANGUAGE_MODEL, "is not a regular file")
