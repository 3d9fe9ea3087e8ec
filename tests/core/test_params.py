import ast
from pathlib import Path

import pytest
import yaml

from compositions import PROFILES, ROOT, composed
from netchu.core import params as params_module
from netchu.core.errors import NetchuError
from netchu.core.params import Params, PhaseParams, SystemParams, load_params, parse_config
from netchu.data.fetch import SOURCES
from netchu.models import NETWORKS, network_class


def test_params_yaml_is_the_laptop_composition():
    committed = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    assert committed == yaml.safe_load(composed("laptop"))
    assert load_params(ROOT / "params.yaml").profile == "laptop"


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_composes_into_params_and_configs(profile, tmp_path):
    (tmp_path / "params.yaml").write_text(composed(profile), encoding="utf-8")
    params = load_params(tmp_path / "params.yaml")
    assert params.profile == profile
    for name, system in params.systems.items():
        kind = network_class(params.network(name))
        assert system.start in params.systems
        assert isinstance(parse_config(kind.config_class, system.model, name), kind.config_class)
    assert set(params.sources) <= set(SOURCES)


def test_every_network_is_a_system_of_some_profile():
    profiles = [parse_config(Params, yaml.safe_load(composed(name)), name) for name in PROFILES]
    assert {each.network(name) for each in profiles for name in each.systems} == set(NETWORKS)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_name_in_a_profile_is_defined(profile, tmp_path):
    (tmp_path / "params.yaml").write_text(composed(profile), encoding="utf-8")
    params = load_params(tmp_path / "params.yaml")
    phases = [p for s in params.systems.values()
              for p in (*s.pretrain.values(), *s.finetune.values())]  # fmt: skip
    named = {name for phase in phases for name in phase.datasets}
    named |= {*params.evaluate.datasets, *params.report.gallery}
    assert named <= set(params.datasets)
    home = f"data/{profile}"
    for dataset in params.datasets.values():
        if dataset.source == "synthetic":
            assert dataset.input.removeprefix(f"{home}/synthetic/") in params.synthetic
        else:
            assert dataset.input == f"{home}/raw/{dataset.source}"
            assert dataset.source in params.sources
    for kind in params.synthetic.values():
        assert {*kind.datasets, *kind.papers} <= set(params.datasets)
        assert {corpus.removeprefix(f"{home}/raw/") for corpus in kind.corpora} <= set(
            params.sources
        )


@pytest.mark.parametrize("profile", PROFILES)
def test_the_committed_gallery_shows_no_research_data(profile):
    params = parse_config(Params, yaml.safe_load(composed(profile)), profile)
    for name in params.report.gallery:
        assert params.is_fully_synthetic(name)


def changed(path, value):
    """The laptop's params with one key set."""
    content = yaml.safe_load(composed("laptop"))
    inner = content
    *way, last = path
    for part in way:
        inner = inner[part]
    inner[last] = value
    return content


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("sead",), 1, r"unknown key sead; did you mean 'seed'\?"),
        (("compute", "thread"), 1, r"unknown key compute.thread; did you mean 'threads'\?"),
        (("trainer", "stratgy"), "ddp", r"did you mean 'strategy'\?"),
        (("synthetic", "address", "hight"), 3, r"synthetic.address.hight; did you mean 'height'\?"),
        (("systems", "trocr", "finetune", "phase1", "epoch"), 3, r"did you mean 'epochs'\?"),
        (("systems", "trocr", "colour"), 3, r"systems.trocr.colour \(known: model, pretrain"),
        (("seed",), "many", r"seed: .*integer.* got 'many'"),
        (("compute", "isa"), "SSE", r"compute.isa: .*'AVX2' or 'native'.* got 'SSE'"),
        (
            ("systems", "trocr", "finetune", "phase1", "optimizer"),
            "sgd",
            r"finetune.phase1.optimizer: .*'sgd'",
        ),
        (("profile",), "../elsewhere", r"profile: '../elsewhere' cannot be the name of a folder"),
        (("seed",), -1, r"seed: .*greater than or equal to 0, got -1"),
        (("compute", "threads"), 0, r"compute.threads: .*equal to 1, got 0"),
        (("synthesis",), {"workers": 0}, r"synthesis.workers: .*equal to 1, got 0"),
        (("synthetic", "address", "count"), 0, r"synthetic.address.count: .*equal to 1, got 0"),
        (("synthetic", "address", "distortion"), 1.5, r"distortion: .*equal to 1, got 1.5"),
        (("synthetic", "address", "papers"), ["shrot"], r"papers: .*did you mean 'short'\?"),
        (("datasets", "short", "levels"), ["lines"], r"levels.0: .*'line' or 'paragraph', got"),
        (("datasets", "short", "val_share"), -0.1, r"val_share: .*equal to 0, got -0.1"),
        (("datasets", "short", "val_share"), 0.9, r"datasets.short: val_share 0.9 and test_share"),
        (("systems", "trocr", "start"), "netchu_smal", r"trocr.start: .*mean 'netchu_small'\?"),
        (("systems", "trocr", "network"), "trcr", r"systems.trocr.network: .*mean 'trocr'\?"),
        (("evaluate", "datasets"), ["kalapa"], r"evaluate.datasets: unknown dataset 'kalapa' \(kn"),
        (("evaluate", "resamples"), 0, r"evaluate.resamples: .*equal to 1, got 0"),
        (("report", "gallery"), ["kalapa"], r"report.gallery: unknown dataset 'kalapa' \(known: "),
        (
            ("exports", "nets"),
            {"network": "trocr"},
            r"exports: unknown system 'nets' \(kn",
        ),
    ],
)
def test_the_error_names_a_wrong_key_or_value_and_the_closest_key(path, value, said):
    with pytest.raises(NetchuError, match=said) as caught:
        parse_config(Params, changed(path, value), "params.yaml")
    assert str(caught.value).startswith("params.yaml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("batch_size", 0, "equal to 1, got 0"),
        ("batch_size", 2.5, "fractional part, got 2.5"),
        ("epochs", -1, "equal to 1, got -1"),
        ("steps_per_epoch", 0, "equal to 1, got 0"),
        ("learning_rate", float("nan"), "finite number, got nan"),
        ("learning_rate", float("inf"), "finite number, got inf"),
        ("learning_rate", -0.1, "greater than 0, got -0.1"),
        ("learning_rate", 0, "greater than 0, got 0"),
        ("weight_decay", -0.1, "equal to 0, got -0.1"),
        ("warmup", 1.5, "equal to 1, got 1.5"),
        ("clip", 0, "greater than 0, got 0"),
        ("augmentation_strength", [0.5, 2], "equal to 1, got 2"),
        ("levels", ["lines"], "'word', 'line' or 'paragraph', got 'lines'"),
        ("concat_prob", -1, "equal to 0, got -1"),
        ("ema_decay", float("nan"), "finite number, got nan"),
        ("folds", 0, "equal to 1, got 0"),
        ("val_lines", 0, "equal to 1, got 0"),
        ("datasets", ["shorts"], "unknown dataset 'shorts'; did you mean 'short'?"),
        ("dataset_weights", {"short": float("nan")}, "finite number, got nan"),
    ],
)
def test_a_wrong_value_of_a_phase_is_one_line_with_its_key(key, value, said):
    path = ("systems", "trocr", "finetune", "phase1", key)
    with pytest.raises(NetchuError) as caught:
        parse_config(Params, changed(path, value), "params.yaml")
    told = str(caught.value)
    assert told.startswith(f"params.yaml: systems.trocr.finetune.phase1.{key}")
    assert said in told
    assert "\n" not in told
    assert len(told) < 160


def test_an_unknown_key_with_a_similar_one_lists_no_others():
    with pytest.raises(NetchuError) as caught:
        parse_config(Params, changed(("sead",), 1), "params.yaml")
    assert str(caught.value) == "params.yaml: unknown key sead; did you mean 'seed'?"


def test_an_error_between_keys_does_not_repeat_the_parameters():
    with pytest.raises(NetchuError) as caught:
        parse_config(Params, changed(("exports",), {"trocr": {"network": "x"}}), "params.yaml")
    assert str(caught.value) == (
        "params.yaml: exports.trocr.network is x, but the system's network is trocr"
    )


def test_a_file_that_is_not_utf_8_or_a_folder_is_one_line(tmp_path):
    (tmp_path / "params.yaml").write_bytes("profile: hồ sơ".encode("utf-16"))
    with pytest.raises(NetchuError, match=r"params.yaml is not UTF-8 \(.* at byte 0\); save it as"):
        load_params(tmp_path / "params.yaml")
    with pytest.raises(NetchuError, match="cannot be read: Is a directory; check the file"):
        load_params(tmp_path)


def test_the_error_names_a_missing_key():
    with pytest.raises(NetchuError, match=r"phase: the key epochs is missing"):
        parse_config(PhaseParams, {"datasets": ["a"], "steps_per_epoch": 1}, "phase")


@pytest.mark.parametrize("name", NETWORKS)
def test_the_error_names_an_unknown_key_of_a_network(name):
    kind = network_class(name).config_class
    with pytest.raises(NetchuError, match=r"unknown key colour \(known: \w+"):
        parse_config(kind, {"colour": 1}, f"systems.{name}.model")


def test_the_error_names_a_nested_key_and_the_closest_one():
    kind = network_class("effnet_seq2seq").config_class
    with pytest.raises(NetchuError, match=r"members.0.strid; did you mean 'stride'\?"):
        parse_config(kind, {"members": [{"backbone": "a", "strid": 8}]}, "effnet")


@pytest.mark.parametrize("what", ["system", "dataset", "synthetic_dataset"])
def test_an_unknown_name_lists_the_known_ones(what):
    params = parse_config(Params, yaml.safe_load(composed("laptop")), "laptop")
    with pytest.raises(NetchuError, match=r"unknown .*'nope'; params.yaml has: \w+, \w+"):
        getattr(params, what)("nope")


def test_an_unknown_network_lists_the_known_ones():
    with pytest.raises(NetchuError, match="unknown network 'vietocr'; known: crnn_residual, "):
        network_class("vietocr")


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "is not here; run in the repository's root"), ("a: [", "is not YAML"), ("", "content")],
)
def test_a_missing_or_invalid_file_is_an_error(tmp_path, content, said):
    file = tmp_path / "params.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(NetchuError, match=said):
        load_params(file)


def test_datasets_made_of_research_data_are_not_fully_synthetic():
    params = parse_config(Params, yaml.safe_load(composed("ablation")), "ablation")
    assert not any(params.is_fully_synthetic(name) for name in params.datasets)
    assert parse_config(Params, yaml.safe_load(composed("laptop")), "laptop").is_fully_synthetic(
        "address"
    )


def test_every_parameter_has_a_docstring():
    """The documentation of params.yaml is made of these."""
    module = ast.parse(Path(params_module.__file__).read_text(encoding="utf-8"))
    for cls in (node for node in module.body if isinstance(node, ast.ClassDef)):
        assert ast.get_docstring(cls), cls.name
        for node, following in zip(cls.body, [*cls.body[1:], None], strict=True):
            if isinstance(node, ast.AnnAssign):
                value = getattr(following, "value", None)
                documented = isinstance(value, ast.Constant) and isinstance(value.value, str)
                assert documented, f"{cls.name}.{node.target.id}"


@pytest.mark.parametrize(
    ("datasets", "weights", "message"),
    [
        (["a", "b", "a"], {}, "a is named twice"),
        (["a"], {"b": 2}, "dataset_weights names b"),
        (["a"], {"a": 0}, "dataset_weights are greater than 0"),
    ],
)
def test_a_wrong_weight_of_a_dataset_is_refused(datasets, weights, message):
    phase = {"datasets": datasets, "dataset_weights": weights, "epochs": 1, "steps_per_epoch": 1,
             "batch_size": 1, "learning_rate": 0.1}  # fmt: skip
    with pytest.raises(NetchuError, match=message):
        parse_config(PhaseParams, phase, "phase")


@pytest.mark.parametrize(
    ("exports", "message"),
    [
        ({"netchu_small": {"network": "crnn_vgg"}}, "the system's network is netchu_small"),
        ({"nobody": {"network": "crnn_vgg"}}, r"exports: unknown system .nobody. "),
    ],
)
def test_an_export_that_does_not_fit_its_system_is_refused(exports, message):
    params = yaml.safe_load(composed("laptop")) | {"exports": exports}
    with pytest.raises(NetchuError, match=message):
        parse_config(Params, params, "params.yaml")


def test_phases_whose_names_do_not_sort_in_their_order_are_an_error():
    # DVC takes mappings that differ in their order only for equal, so the order is in the names.
    phase = {"datasets": ["a"], "epochs": 1, "steps_per_epoch": 1}
    system = {"model": {}, "pretrain": {}, "finetune": {"phase2": phase, "phase1": phase}}
    with pytest.raises(NetchuError, match="phase phase1 sorts before phase2; phases run in"):
        parse_config(SystemParams, system, "system")
    system["finetune"] = {"phase1": phase, "phase2": phase}
    assert list(parse_config(SystemParams, system, "system").finetune) == ["phase1", "phase2"]
