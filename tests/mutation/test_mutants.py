"""The mutation run finds what the tests of a small package miss."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
import mutants
from mutants import GROUPS, Group, Mutant, check_paths, is_equivalent, killed_share, without_effect
from mutmut.mutation.file_mutation import mutate_file_contents

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
        (["--sample", "100", "metrics"], 81, None),
        (["--sample", "100", "metrics"], 80, "a sample of 100 has to kill 81"),
        (["--sample", "100", "serve"], 68, None),
        (["--sample", "100", "serve"], 67, "a sample of 100 has to kill 68"),
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


def test_a_sample_is_drawn_by_the_commit_from_groups_with_fast_tests(monkeypatch):
    drawn = []
    commits = iter(["ab", "ab", *map(str, range(30))])

    def commit(command, **_):
        assert command == ["git", "rev-parse", "HEAD"]
        return SimpleNamespace(stdout=next(commits) + "\n")

    monkeypatch.setattr(mutants.subprocess, "run", commit)
    monkeypatch.setattr(
        mutants, "run_group", lambda *arguments: drawn.append(arguments[:4]) or [mutant(1)]
    )
    monkeypatch.setattr(sys, "argv", ["mutants.py", "--sample", "100"])
    for _ in range(32):
        with pytest.raises(SystemExit) as ended:
            mutants.main()
        assert ended.value.code == 0
    assert drawn[:2] == drawn[2:4]
    assert {name for name, *_ in drawn} == {name for name, group in GROUPS.items() if group.sampled}
    assert {count for _, _, count, _ in drawn} == {50}
    names = [f"mutant {number}" for number in range(300)]
    first, again, other = (mutants._draw(names, 50, seed) for seed in ("ab", "ab", "cd"))
    assert first == again != other
    assert len(set(first)) == 50


def test_a_group_that_cannot_be_run_fails_after_the_others_which_are_in_a_table(
    monkeypatch, capsys, tmp_path
):
    def run(name, *_):
        if name == "data":
            raise SystemExit("data: mutmut failed")
        return [mutant(1)] * 8 + [mutant(0), mutant(0, "other"), mutant(None)]

    equivalent = tmp_path / "equivalent.yaml"
    equivalent.write_text(yaml.safe_dump(KNOWN))
    monkeypatch.setattr(mutants, "EQUIVALENT", equivalent)
    monkeypatch.setattr(mutants, "run_group", run)
    monkeypatch.setattr(sys, "argv", ["mutants.py", "metrics", "data", "serve"])
    with pytest.raises(SystemExit, match=r"^metrics has to kill 90%; data: mutmut failed$"):
        mutants.main()
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")] == [
        "| group | mutants | killed | share | equivalent | minutes |",
        "| --- | --- | --- | --- | --- | --- |",
        "| metrics | 9 | 8 | 88.9 % | 1 | 0.0 |",
        "| serve | 9 | 8 | 88.9 % | 1 | 0.0 |",
    ]


def test_a_run_without_time_fails(monkeypatch):
    monkeypatch.setattr(mutants, "run_group", lambda *_: [mutant(None)])
    monkeypatch.setattr(sys, "argv", ["mutants.py", "--sample", "100", "--minutes", "1"])
    with pytest.raises(SystemExit, match="no mutant was tested"):
        mutants.main()


@pytest.mark.parametrize(("name", "group"), GROUPS.items())
def test_every_module_and_test_of_a_group_is_there(name, group):
    check_paths(name, group)


@pytest.mark.parametrize(
    ("group", "missing"),
    [
        (Group(("training/phase.py", "training/phases.py"), ("training",), 0.8),
         "src/netchu/training/phases.py"),
        (Group(("training",), ("training/test_phases.py",), 0.8), "tests/training/test_phases.py"),
    ],
)  # fmt: skip
def test_a_module_that_is_not_there_is_an_error(group, missing):
    with pytest.raises(SystemExit, match=f"{missing} is missing"):
        mutants.run_group("training", group)


def changed_lines(code):
    """Return the changed line of each mutant of a function `f`: those left out, and the others."""
    mutated = mutate_file_contents("f.py", code)
    before = code.splitlines()
    left_out, others = [], []
    for name in mutated.mutant_names:
        text = mutated.code.partition(f"def {name}(")[2].splitlines()[: len(before)]
        pairs = zip(text[1:], before[1:], strict=False)
        line = next((new.strip() for new, old in pairs if new != old), "the header")
        (left_out if name in without_effect(mutated.code) else others).append(line)
    return left_out, others


def test_mutants_of_a_messages_words_are_left_out():
    words, others = changed_lines(
        "def f(name, cer=1):\n"
        "    if cer > 2:\n"
        '        raise NetchuError(f"{name}: {cer + 1}", "bad")\n'
        '    print("a warning", name, file=sys.stderr)\n'
        '    print("a figure", cer)\n'
        '    raise HTTPException(401, "no key")\n'
    )
    assert {line.partition("(")[0] for line in words} == {"raise NetchuError", "print"}
    assert all("NetchuError" in line or "file=sys.stderr" in line for line in words)
    assert not any("NetchuError" in line for line in others)
    assert {"the header", "if cer >= 2:", "if cer > 3:", "print(None, cer)",
            'print("a warning", name, file=None)', "raise HTTPException(402, \"no key\")",
            "raise HTTPException(401, None)"} <= set(others)  # fmt: skip


def test_mutants_of_strict_are_left_out():
    left_out, others = changed_lines("def f(a, b):\n    return dict(zip(a, b, strict=True))\n")
    assert set(left_out) == {
        f"return dict(zip(a, b, {strict}))" for strict in ("strict=None", "", "strict=False")
    }
    assert {"return dict(zip(b, strict=True))", "return dict(zip(a, None, strict=True))"} <= set(
        others
    )


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
