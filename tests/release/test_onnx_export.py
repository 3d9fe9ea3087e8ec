"""Exported models: torch and ONNX Runtime read the same from one copy of the weights."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file

from netchu.core.errors import NetchuError
from netchu.core.fingerprints import PACKAGE
from netchu.inference.exported_model import ExportedModel
from netchu.models.model_card import read_card
from netchu.models.model_folder import load_model, weights_hash
from netchu.release import onnx_export
from netchu.release.onnx_export import export_recogniser, read_with_both, round_weights
from netchu.training.stage import build_recogniser
from small_project import MODEL, as_table, drawn_lines, params


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


@pytest.fixture(scope="module")
def trained():
    return made()


@pytest.fixture(scope="module")
def folder(trained, tmp_path_factory):
    out = tmp_path_factory.mktemp("exported") / "model"
    export_recogniser(trained, out, {"figures": {"cer": 0.5}}, temperature=0.8)
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
def test_onnx_runtime_gives_the_logits_of_torch(folder, trained, batch, width):
    rng = np.random.default_rng(batch)
    images = rng.random((batch, 1, 32, width), np.float32)
    with torch.inference_mode():
        expected = load_model(folder)(torch.from_numpy(images)).numpy()
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    (logits,) = session.run(["logits"], {"images": images})
    assert logits.shape == (batch, trained.time_steps(width), trained.codec.size)
    np.testing.assert_allclose(logits, expected, atol=2e-5)


def test_the_weights_are_stored_once_in_half_precision(folder):
    graph = onnx.load(folder / "model.onnx", load_external_data=False).graph
    assert max((len(t.raw_data) for t in graph.initializer), default=0) < 1024
    pointers = {e.value for t in graph.initializer for e in t.external_data if e.key == "location"}
    assert pointers == {"model.safetensors"}
    weights = load_file(folder / "model.safetensors")
    kinds = {name: (weight.dtype, weight.dim()) for name, weight in weights.items()}
    assert {kind for kind, dim in kinds.values() if dim > 1} == {torch.float16}
    assert kinds["backbone.1.running_var"] == (torch.float32, 1)


def test_torch_loads_the_rounded_weights(folder, trained):
    again = load_model(folder)
    assert {p.dtype for p in again.parameters()} == {torch.float32}
    assert not any(name.startswith("shortcut_head") for name in again.state_dict())
    expected = round_weights(trained).state_dict()
    for name, weight in again.state_dict().items():
        assert torch.equal(weight, expected[name]), name
        torch.testing.assert_close(
            weight.float(), trained.state_dict()[name].float(), rtol=1e-3, atol=1e-6
        )


def test_exporting_does_not_change_the_recogniser(folder, trained):
    assert {p.dtype for p in trained.parameters()} == {torch.float32}
    assert trained.shortcut_head is not None
    assert trained.config.shortcut > 0


def test_the_graph_contains_no_paths(folder):
    written = (folder / "model.onnx").read_bytes()
    for trace in (str(PACKAGE), str(folder), "site-packages", ".py", "stack_trace"):
        assert trace.encode() not in written


def test_torch_and_onnx_runtime_read_the_same(folder):
    lines = as_table(drawn_lines("val", 9))
    compared = read_with_both(load_model(folder), folder, lines)
    assert sorted(compared["id"]) == sorted(lines["id"])
    assert compared["exported"].tolist() == compared["torch"].tolist()
    assert compared["exported"].str.len().max() > 0
    assert compared["apart"].max() < 1e-4
    assert compared["confidence"].between(0, 1).all()
    assert compared["decoded"].tolist() == compared["exported"].tolist()  # no language model
    assert compared["decoded_confidence"].tolist() == pytest.approx(compared["confidence"].tolist())


def test_another_network_reads_differently(folder):
    compared = read_with_both(made(seed=8), folder, as_table(drawn_lines("val", 3)))
    assert compared["exported"].tolist() != compared["torch"].tolist()
    assert compared["apart"].max() > 1e-3


def test_probabilities_are_at_the_temperature_of_the_card(folder):
    images = np.random.default_rng(3).random((1, 32, 160), np.float32)
    with torch.inference_mode():
        logits = load_model(folder)(torch.from_numpy(images[:, None]))
    np.testing.assert_allclose(
        ExportedModel(folder).probabilities(images), (logits / 0.8).softmax(-1), atol=1e-5
    )


def test_a_failed_export_keeps_the_former_one(folder, trained, monkeypatch):
    before = {p.name: p.read_bytes() for p in folder.iterdir()}

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(onnx_export, "_graph", lambda _: onnx.ModelProto())
    monkeypatch.setattr(onnx_export.onnx, "save", full)
    with pytest.raises(OSError, match="no space"):
        export_recogniser(trained, folder, {})
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_a_weight_too_large_for_half_precision_is_named(tmp_path):
    recogniser = made()
    recogniser.head.weight.data[0, 0] = 1e6
    with pytest.raises(NetchuError, match=r"head\.weight is too large for half precision"):
        export_recogniser(recogniser, tmp_path / "out", {})
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_cannot_be_traced_is_an_error_of_one_line(tmp_path, monkeypatch):
    def fails(*_, **__):
        raise torch.onnx.errors.OnnxExporterError("stack expects\neach tensor to be equal size")

    monkeypatch.setattr(torch.onnx, "export", fails)
    with pytest.raises(NetchuError, match="netchu_small cannot be written as ONNX") as error:
        export_recogniser(made(), tmp_path / "out", {})
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_only_ctc_networks_can_be_exported(tmp_path):
    with pytest.raises(NetchuError, match="trocr is not a CTC network"):
        export_recogniser(SimpleNamespace(network="trocr"), tmp_path / "out", {})


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
    export_recogniser(made(system, model), tmp_path / "model", {})
    compared = read_with_both(load_model(tmp_path / "model"), tmp_path / "model",
                       as_table(drawn_lines("val", 6)))  # fmt: skip
    assert compared["exported"].tolist() == compared["torch"].tolist()
    assert compared["apart"].max() < 1e-4


@pytest.mark.slow
def test_another_process_writes_the_same_bytes(folder, tmp_path):
    code = (
        "from pathlib import Path; from test_onnx_export import made;"
        "from netchu.release.onnx_export import export_recogniser;"
        f"out = Path({str(tmp_path / 'again')!r});"
        "export_recogniser(made(), out, {'figures': {'cer': 0.5}}, 0.8)"
    )
    paths = [p for p in sys.path if p]
    subprocess.run([sys.executable, "-c", f"import sys; sys.path += {paths!r}; {code}"], check=True)
    for path in folder.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name
