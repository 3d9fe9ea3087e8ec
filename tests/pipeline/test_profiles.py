"""`netchu profile`: params.yaml is composed, described, and not overwritten where it has edits."""

import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from compositions import ROOT
from netchu.cli.app import app
from netchu.core.errors import NetchuError
from netchu.core.params import load_params
from netchu.pipeline.profiles import edits, switch_profile


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A folder with conf/ and a params.yaml of the laptop profile."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    monkeypatch.chdir(tmp_path)
    switch_profile("laptop")
    return tmp_path


def edit(old="learning_rate: 0.003", new="learning_rate: 0.004"):
    path = Path("params.yaml")
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")


def test_the_committed_params_are_those_of_a_profile():
    assert edits((ROOT / "params.yaml").read_text(encoding="utf-8")) == {}
    assert (ROOT / "params.yaml").read_text(encoding="utf-8").startswith("# Profile laptop, ")


def test_dvc_does_not_compose_params_again():
    assert "hydra" not in (ROOT / ".dvc" / "config").read_text(encoding="utf-8")


def test_switching_writes_all_parameters_of_the_other_profile():
    switch_profile("real")
    assert load_params().profile == "real"
    assert edits(Path("params.yaml").read_text(encoding="utf-8")) == {}


def test_edits_are_listed_and_not_overwritten():
    edit()
    key = "systems.netchu_small.pretrain.phase1.learning_rate"
    text = Path("params.yaml").read_text(encoding="utf-8")
    assert edits(text) == {key: (0.003, 0.004)}
    with pytest.raises(NetchuError, match=rf"has edits \({key}\).*netchu profile real --discard"):
        switch_profile("real")
    assert Path("params.yaml").read_text(encoding="utf-8") == text
    switch_profile("real", discard=True)
    assert load_params().profile == "real"


def test_keys_that_were_added_and_removed_are_edits():
    values = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    values["compute"]["workers"] = 2
    del values["trainer"]["precision"]
    assert edits(yaml.safe_dump(values)) == {
        "trainer.precision": ("32-true", None), "compute.workers": (None, 2),
    }  # fmt: skip


@pytest.mark.parametrize("text", ["seed: [", "- a", "seed: 1", ""])
def test_a_file_that_is_no_params_is_an_error(text):
    with pytest.raises(NetchuError, match=r"params\.yaml"):
        edits(text)


def test_an_unknown_profile_lists_the_known_ones():
    with pytest.raises(
        NetchuError, match="no profile 'huge' in conf/profile; it has ablation, gpu, laptop"
    ):
        switch_profile("huge")


def test_another_name_of_the_profile_alone_is_refused():
    edit("profile: laptop", "profile: real")
    with pytest.raises(NetchuError, match=r"another profile than real; .*netchu profile"):
        load_params()


@pytest.mark.parametrize("name", ["2", "null", "a,b", "thử", "o'brien", "mine"])
def test_a_profile_may_have_any_name(name):
    text = Path("conf/profile/smoke.yaml").read_text(encoding="utf-8")
    text = text.replace("data/smoke/synthetic/words", f'"data/{name}/synthetic/words"')
    text = text.replace("profile: smoke", f'profile: "{name}"')
    Path(f"conf/profile/{name}.yaml").write_text(text, encoding="utf-8")
    switch_profile(name)
    assert load_params().profile == name
    assert edits(Path("params.yaml").read_text(encoding="utf-8")) == {}


def test_a_copied_profile_that_names_another_is_refused():
    shutil.copy("conf/profile/smoke.yaml", "conf/profile/mine.yaml")
    before = Path("params.yaml").read_bytes()
    with pytest.raises(NetchuError, match=r"conf/profile/mine\.yaml has the key 'profile: smoke'"):
        switch_profile("mine")
    assert Path("params.yaml").read_bytes() == before


def test_a_wrong_profile_is_not_written():
    path = Path("conf/profile/smoke.yaml")
    text = path.read_text(encoding="utf-8").replace("batch_size:", "batch_sise:", 1)
    path.write_text(text, encoding="utf-8")
    before = Path("params.yaml").read_bytes()
    with pytest.raises(NetchuError, match=r"conf/profile/smoke\.yaml: unknown key .*batch_sise"):
        switch_profile("smoke")
    assert Path("params.yaml").read_bytes() == before


def test_params_in_another_encoding_are_an_error_until_they_are_written_again():
    Path("params.yaml").write_bytes("profile: thử # \u00e9".encode("utf-16"))
    with pytest.raises(NetchuError, match=r"params\.yaml is not UTF-8"):
        switch_profile("real")
    result = CliRunner().invoke(app, ["profile"])
    assert result.exit_code == 2
    assert "params.yaml is not UTF-8" in result.stderr
    switch_profile("real", discard=True)
    assert load_params().profile == "real"


def test_the_documentation_says_how_long_each_profile_takes():
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    table = text.partition("| profile | trains | takes |")[2].partition("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    profiles = {row[0].partition("`")[2].partition("`")[0]: row[-1] for row in rows}
    assert sorted(profiles) == sorted(path.stem for path in Path("conf/profile").glob("*.yaml"))
    assert all("minutes" in time or time == "has not run yet" for time in profiles.values())


def test_the_command_says_which_profile_it_is():
    edit()
    result = CliRunner().invoke(app, ["profile"])
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "params.yaml: profile laptop, 1 key edited",
        "  systems.netchu_small.pretrain.phase1.learning_rate: 0.003 -> 0.004",
    ]
