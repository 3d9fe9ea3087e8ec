"""What a report was made from: written by the stage, and true of the committed reports."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import small_report
from compositions import PROFILES, ROOT, composed, instances
from netchu.core.errors import NetchuError
from netchu.core.files import hash_file
from netchu.core.params import Params, parse_config
from netchu.report.build import build_report
from netchu.report.lineage import FILE, PACKAGES, code_names, write_lineage

SECTIONS = {"params": ["params.yaml"], "code": [], "lines": [], "texts": [], "machines": [],
            "environment": ["python", *PACKAGES, "requirements.lock"]}  # fmt: skip
committed = pytest.mark.parametrize(
    "folder", sorted(p.parent for p in ROOT.glob("reports/*/metrics.json")), ids=lambda p: p.name
)


def check(folder):
    """Fail where a report and its lineage do not fit, or a gap has no reason."""
    lineage = json.loads((folder / FILE).read_text(encoding="utf-8"))
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert lineage["profile"] == metrics["profile"] == folder.name
    for name, digest in lineage["files"].items():
        assert hash_file(folder / name) == digest, f"{folder.name}/{name} is another than in {FILE}"
    assert set(lineage["files"]) == {"metrics.json", "speed.json"}
    unknown = lineage["unknown"]
    assert all(unknown.values())
    for section, keys in SECTIONS.items():
        # A profile without sources of texts has no hash of them.
        assert lineage[section] or section in unknown or section == "texts", section
        for key in keys:
            assert (key in lineage[section]) != (f"{section}/{key}" in unknown), key


@committed
def test_a_committed_report_fits_its_lineage(folder):
    check(folder)


@committed
@pytest.mark.parametrize("edited", ["metrics.json", "speed.json"])
def test_an_edited_report_does_not_fit(folder, edited, tmp_path):
    copy = tmp_path / folder.name
    copy.mkdir()
    for name in (FILE, "metrics.json", "speed.json"):
        shutil.copy(folder / name, copy)
    with (copy / edited).open("a") as file:
        file.write("\n")
    with pytest.raises(AssertionError, match=f"{edited} is another"):
        check(copy)


@pytest.mark.parametrize("profile", PROFILES)
def test_the_code_is_that_of_the_profiles_stages(profile):
    params = parse_config(Params, yaml.safe_load(composed(profile)), "params.yaml")
    deps = {dep for instance in instances(profile) for dep in instance.deps}
    assert [f"fingerprints/code/{name}" for name in code_names(params)] == sorted(
        dep for dep in deps if dep.startswith("fingerprints/code/")
    )


@pytest.fixture
def reported(project_folder):
    """A report of two systems and its fingerprints, without those of `language`."""
    params = small_report.params()
    small_report.write_profile(params, netchu_small=0.1, crnn_vgg=0.5)
    build_report(params, small_report.MODELS, params.report_folder)
    Path("params.yaml").write_text("# A comment.\nprofile: tiny\nseed: 7\n")
    Path("requirements.lock").write_text("torch==2\n")
    for name in set(code_names(params)) - {"language"}:
        write(f"fingerprints/code/{name}", f"hash of {name}\n")
    write("fingerprints/tiny/lines/pretrain@crnn_vgg.json", '{"drawn": "12"}')
    write("fingerprints/tiny/lines/evaluate.json", '{"held": "34"}')
    write("fingerprints/tiny/raw/language.json", '{"vi_news": "56"}')
    return params


def write(name, text):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def lineage_of(params):
    write_lineage(params, params.report_folder)
    return json.loads((params.report_folder / FILE).read_text(encoding="utf-8"))


def test_lineage_names_what_a_report_was_made_from(reported):
    found = lineage_of(reported)
    check(reported.report_folder)
    assert found["code"]["finetune@crnn_vgg"] == "hash of finetune@crnn_vgg"
    assert found["lines"] == {"drawn": "12", "held": "34"}
    assert found["texts"] == {"vi_news": "56"}
    assert found["machines"] == ["a small machine"]
    assert found["environment"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["environment"]["requirements.lock"] == hash_file(Path("requirements.lock"))
    assert found["unknown"] == {"code/language": "not there when the report was built"}
    assert lineage_of(reported) == found


def test_a_comment_in_params_is_no_other_lineage_and_a_value_is(reported):
    first = lineage_of(reported)
    write("params.yaml", "profile: tiny\nseed: 7\n")
    assert lineage_of(reported) == first
    write("params.yaml", "profile: tiny\nseed: 8\n")
    assert lineage_of(reported)["params"] != first["params"]


def test_a_damaged_fingerprint_is_named(reported):
    write("fingerprints/tiny/lines/evaluate.json", "{")
    with pytest.raises(NetchuError, match=r"evaluate\.json is damaged .*dvc repro"):
        write_lineage(reported, reported.report_folder)


def test_the_stage_writes_the_lineage(reported):
    from dataclasses import asdict

    write("params.yaml", yaml.safe_dump(json.loads(json.dumps(asdict(reported)))))
    command = [sys.executable, str(ROOT / "stages" / "report.py")]
    subprocess.run(command, check=True, capture_output=True)
    check(reported.report_folder)
