"""The mutation run finds what the tests of a small package miss."""

import sys
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
import mutants
from mutants import Group, Mutant, is_equivalent, killed_share

CODE = "def rate(edits, units):\n    return edits / units\n"
KNOWN = [{"function": "netchu.rates.x_rate", "before": "a", "after": "b", "why": "the same"}]


def mutant(exit_code, before="a"):
    return Mutant("netchu.rates.x_rate__mutmut_1", "netchu.rates.x_rate", before, "b", exit_code)


def test_mutants_that_no_test_reaches_count_as_survivors():
    assert killed_share([mutant(1), mutant(0), mutant(33)], []) == (1, 3)


def test_equivalent_and_untested_mutants_do_not_count():
    assert is_equivalent(mutant(0), KNOWN)
    assert not is_equivalent(mutant(0, "other"), KNOWN)
    assert killed_share([mutant(1), mutant(0), mutant(0, "other"), mutant(None)], KNOWN) == (1, 2)


def test_each_equivalent_mutant_changes_code_that_is_there():
    for entry in yaml.safe_load(mutants.EQUIVALENT.read_text(encoding="utf-8")):
        module, _, _ = entry["function"].partition(".x")
        source = mutants.ROOT / "src" / f"{module.replace('.', '/')}.py"
        assert entry["before"] in source.read_text(encoding="utf-8"), entry
        assert entry["after"] != entry["before"]
        assert entry["why"]


@pytest.mark.parametrize(
    ("arguments", "killed", "message"),
    [
        (["metrics"], 90, None),
        (["metrics"], 89, "metrics has to kill 90%"),
        (["serve"], 80, None),
        (["serve"], 79, "serve has to kill 80%"),
        (["--sample", "100"], 70, None),
        (["--sample", "100"], 69, "a sample has to kill 70%"),
    ],
)
def test_too_many_survivors_fail(monkeypatch, capsys, arguments, killed, message):
    tested = [mutant(1)] * killed + [mutant(0)] * (100 - killed)
    monkeypatch.setattr(mutants, "run_group", lambda *_: tested)
    monkeypatch.setattr(sys, "argv", ["mutants.py", *arguments])
    with pytest.raises(SystemExit) as ended:
        mutants.main()
    assert ended.value.code == (message or 0)
    assert f"{killed} of 100 mutants killed" in capsys.readouterr().out


def test_a_run_without_time_fails(monkeypatch):
    monkeypatch.setattr(mutants, "run_group", lambda *_: [mutant(None)])
    monkeypatch.setattr(sys, "argv", ["mutants.py", "--sample", "100", "--minutes", "1"])
    with pytest.raises(SystemExit, match="no mutant was tested"):
        mutants.main()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("assertion", "survivors"), [("== 0.5", []), ("> 0", ["return edits * units"])]
)
def test_a_weak_test_lets_mutants_survive(tmp_path, monkeypatch, assertion, survivors):
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    monkeypatch.setattr(mutants, "WORK", tmp_path / ".mutants")
    for name, content in {
        "pyproject.toml": '[tool.pytest.ini_options]\ntestpaths = ["tests"]\n',
        "src/netchu/__init__.py": "",
        "src/netchu/rates.py": CODE,
        "tests/rates/test_rates.py": "from netchu.rates import rate\n\n\n"
        f"def test_rate():\n    assert rate(1, 2) {assertion}\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    tested = mutants.run_group("rates", Group(("rates.py",), ("rates",), 0.9))
    assert tested
    assert [mutant.after for mutant in tested if mutant.survived] == survivors
