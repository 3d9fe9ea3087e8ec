"""Mutation testing with mutmut: change the code a little, and see whether a test fails.

    python tests/mutation/mutants.py                  all groups, `make mutants`
    python tests/mutation/mutants.py decoding data    two groups
    python tests/mutation/mutants.py --sample 60      mutants of two groups, drawn by the commit

A mutant that every test passes *survives*: what it changed could break unnoticed. Each group of
modules is tested with the tests of its own folder, and mutmut runs, for each mutant, only the tests
that call its function. `equivalent.yaml` lists survivors that behave as the original does. The exit
code is 1 if a group kills fewer mutants than it has to.

Left out are mutants that change nothing but the words of an error or a warning: the arguments of
`raise NetchuError(…)` and `raise ValueError(…)`, and what `print(…, file=sys.stderr)` prints. That
an error is raised, and when, is tested. So are those of `strict` in `zip(…, strict=True)`: like an
assertion, it fails only if other code is wrong.
"""

from __future__ import annotations

import argparse
import ast
import json
import math
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".mutants"
EQUIVALENT = Path(__file__).with_name("equivalent.yaml")

SAMPLED_GROUPS = 2
"""A sample covers so few groups, because the tests of each are run twice before its mutants."""

CHANCE = 3
"""So many standard deviations below the shares of its groups, a sample fails."""

SURVIVED = {0, 5, 33}
"""mutmut's exit codes of mutants that all tests pass, or that no test reaches."""

TIMED_OUT = {-24, 24, 36, 152, 255}
"""Those of mutants that were stopped, such as endless loops; they count as killed."""

NOT_RUN = {None, 2}


@dataclass(frozen=True)
class Group:
    """Modules that are mutated and tested together.

    Attributes:
        modules: files and folders below src/netchu.
        tests: files and folders below tests that are run.
        share: the share of the mutants that has to be killed.
        sampled: whether samples are drawn from the group; its tests take a minute at most.
        deselected: tests that fail where mutmut runs them, because they compare the imports of the
            code, or their own process with another, which imports code without mutants.
    """

    modules: tuple[str, ...]
    tests: tuple[str, ...]
    share: float
    sampled: bool = True
    deselected: tuple[str, ...] = ()


TEXT = ("codec", "formatting", "spreadsheets", "text")

GROUPS = {
    "metrics": Group(("evaluation/metrics",), ("evaluation/metrics",), 0.9),
    "evaluation": Group(
        tuple(
            f"evaluation/{name}.py"
            for name in ("audit", "comparison", "eval_subset", "evaluate", "gate", "latency",
                         "metrics_io", "reproduction")
        ),
        ("evaluation", "cli/test_audit_command.py", "cli/test_compare_command.py",
         "cli/test_verify_command.py"),
        0.9,
        sampled=False,
    ),
    "calibration": Group(("release/calibration.py",), ("release/test_calibration.py",), 0.9),
    "decoding": Group(("decoding",), ("decoding",), 0.9),
    "text": Group(
        tuple(f"core/{name}.py" for name in TEXT),
        tuple(f"core/test_{name}.py" for name in TEXT),
        0.8,
    ),
    "training": Group(
        tuple(
            f"training/{name}.py"
            for name in ("callbacks", "checkpoints", "data_module", "folds", "phase", "stage",
                         "stage_info")
        ),
        ("training",),
        0.8,
        sampled=False,
        deselected=(
            "training/test_bundle.py",
            "training/test_training.py::test_a_killed_process_resumes_from_its_last_epoch",
        ),
    ),
    "fine_tuning": Group(
        ("release/fine_tuning.py",), ("release/test_fine_tuning.py",), 0.8, sampled=False
    ),
    "data": Group(
        ("data/batches.py", "data/held_out.py", "data/splits.py"),
        ("data", "training/test_data_module.py"),
        0.8,
    ),
    "tracking": Group(
        ("tracking",), ("tracking", "evaluation/baselines/test_measuring.py"), 0.8, sampled=False
    ),
    "report": Group(
        ("report/leaderboard.py", "report/page_tables.py", "report/sections.py",
         "report/summary.py"),
        ("report",),
        0.8,
        sampled=False,
    ),
    "serve": Group(
        tuple(
            f"serve/{name}.py"
            for name in ("access", "addresses", "connections", "corrections", "crops", "queueing",
                         "settings", "tasks", "uploads", "worker_process")
        ),
        ("serve",),
        0.8,
        sampled=False,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A mutant that was tested.

    Attributes:
        name: as mutmut calls it; `mutmut show NAME` in the group's folder prints it.
        function: module and function, without the number that changes with every edit.
        before, after: the lines that differ.
        exit_code: mutmut's.
    """

    name: str
    function: str
    before: str
    after: str
    exit_code: int | None

    @property
    def survived(self) -> bool:
        """Whether every test passes."""
        return self.exit_code in SURVIVED


def run_group(
    name: str, group: Group, count: int = 0, seed: str = "", until: float = float("inf")
) -> list[Mutant]:
    """Test the mutants of a group and return them.

    Args:
        name: of the group's folder in WORK.
        group: what to mutate and to run.
        count: number of mutants to draw; 0 tests all of them.
        seed: of the draw.
        until: time (`time.monotonic`) at which the rest is left out.

    Raises:
        SystemExit: a module or a test file of the group is missing, the tests fail on the original,
            or mutmut does.
    """
    folder = WORK / name
    _prepare(folder, name, group)
    with chdir(folder):
        names = _mutant_names()
        names = _draw(names, count, seed) if count else names
        command = [sys.executable, "-m", "mutmut", "run", *names]
        with Path("log").open("w") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, process_group=0
            )
            try:
                code = process.wait(None if until == float("inf") else until - time.monotonic())
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 15)
                process.wait()
                code = 0
        if code:
            print(Path("log").read_text().replace("\r", "\n")[-4000:])
            raise SystemExit(f"{name}: mutmut failed; see {folder}/log")
        return [mutant for mutant in _results() if mutant.name in names]


def check_paths(name: str, group: Group) -> None:
    """Make sure that the modules and tests of a group are there.

    mutmut ignores patterns that fit no file, so a module that moved would not be tested any more.

    Raises:
        SystemExit: one is missing.
    """
    tests = (*group.tests, *(test.partition("::")[0] for test in group.deselected))
    for base, parts in (("src/netchu", group.modules), ("tests", tests)):
        for part in parts:
            if not (ROOT / base / part).exists():
                raise SystemExit(f"{name}: {base}/{part} is missing; correct GROUPS in {__file__}")


def _prepare(folder: Path, name: str, group: Group) -> None:
    """Make a project of links for mutmut, which finds its settings in the working directory."""
    check_paths(name, group)
    folder.mkdir(parents=True, exist_ok=True)
    copied = []
    for path in ROOT.iterdir():
        if path.name.startswith(".") or path.name in ("data", "models", "site", "pyproject.toml"):
            continue
        if not (folder / path.name).is_symlink():
            (folder / path.name).symlink_to(path)
        if path.name not in ("src", "tests"):
            copied.append(path.name)
    # Of DVC's folder the templates of its plots alone: its cache may be large.
    if (ROOT / ".dvc/plots").exists() and not (folder / ".dvc").exists():
        (folder / ".dvc").mkdir()
        (folder / ".dvc/plots").symlink_to(ROOT / ".dvc/plots")
    if (folder / ".dvc").exists():
        copied.append(".dvc")
    modules = [f"src/netchu/{part}{'' if part.endswith('.py') else '/*'}" for part in group.modules]
    settings = {
        "source_paths": ["src"],
        "only_mutate": modules,
        "also_copy": copied,
        "pytest_add_cli_args_test_selection": [f"tests/{part}" for part in group.tests],
        "pytest_add_cli_args": [
            "-p",
            "no:cacheprovider",
            *(f"--deselect=tests/{test}" for test in group.deselected),
        ],
        # Forking a process that has trained a network or started threads can hang.
        "process_isolation": "forkserver",
        "use_git_change_detection": False,
        "timeout_multiplier": 5.0,
        "timeout_constant": 12.0,
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    table = "\n".join(["", "[tool.mutmut]", *lines, ""])
    (folder / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text() + table)
    # mutmut keeps the results of mutants, also where their tests have changed since.
    shutil.rmtree(folder / "mutants", ignore_errors=True)


def _mutant_names() -> list[str]:
    """Return the names of the group's mutants that change more than a message or an assertion."""
    from mutmut.configuration import config, reset_config
    from mutmut.mutation.file_mutation import mutate_file_contents
    from mutmut.utils.format_utils import get_mutant_name

    reset_config()
    names: list[str] = []
    for path in sorted(Path("src/netchu").rglob("*.py")):
        if config().should_mutate(path):
            mutated = mutate_file_contents(str(path), path.read_text(encoding="utf-8"))
            left_out = without_effect(mutated.code)
            names += [get_mutant_name(path, n) for n in mutated.mutant_names if n not in left_out]
    return names


def without_effect(code: str) -> set[str]:
    """Return the mutants of a module that change only a message or `strict`; see above.

    Args:
        code: of the module as mutmut generated it, with the original and all mutants.
    """
    functions = {
        node.name: node
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    without = {name: _what_counts(node) for name, node in functions.items()}
    originals = {name: f"{name.rpartition('__mutmut_')[0]}__mutmut_orig" for name in functions}
    return {
        name
        for name, original in originals.items()
        if name != original and without[name] == without.get(original)
    }


def _what_counts(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    return [ast.dump(_Remover().visit(node)) for node in (function.args, *function.body)]


class _Remover(ast.NodeTransformer):
    """Removes the words of messages, and `strict`."""

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        call = node.exc
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("NetchuError", "ValueError"):
            call.args = []
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        streams = [ast.unparse(word.value) for word in node.keywords if word.arg == "file"]
        if ast.unparse(node.func) == "print" and streams == ["sys.stderr"]:
            node.args = []
        if ast.unparse(node.func) == "zip":
            node.keywords = [word for word in node.keywords if word.arg != "strict"]
        return self.generic_visit(node)


def _draw(names: list[str], count: int, seed: str) -> list[str]:
    return random.Random(seed).sample(names, min(count, len(names)))


def _results() -> list[Mutant]:
    from mutmut.mutation.diff_apply import get_diff_for_mutant

    mutants = []
    for meta in sorted(Path("mutants/src").rglob("*.py.meta")):
        path = meta.relative_to("mutants").with_suffix("")
        for name, code in json.loads(meta.read_text())["exit_code_by_key"].items():
            before, after = "", ""
            if code in SURVIVED:
                lines = get_diff_for_mutant(name, path=path).split("\n")[2:]
                before, after = (
                    "\n".join(line[1:].strip() for line in lines if line.startswith(sign))
                    for sign in "-+"
                )
            mutants.append(Mutant(name, name.rpartition("__mutmut_")[0], before, after, code))
    return mutants


def is_equivalent(mutant: Mutant, known: Sequence[dict[str, str]]) -> bool:
    """Return whether `equivalent.yaml` lists the mutant."""
    return any(
        (entry["function"], entry["before"], entry["after"])
        == (mutant.function, mutant.before, mutant.after)
        for entry in known
    )


def killed_share(mutants: Sequence[Mutant], known: Sequence[dict[str, str]]) -> tuple[int, int]:
    """Return how many mutants were killed, and how many of those tested are not equivalent."""
    tested = [
        mutant
        for mutant in mutants
        if mutant.exit_code not in NOT_RUN
        and not (mutant.survived and is_equivalent(mutant, known))
    ]
    return sum(not mutant.survived for mutant in tested), len(tested)


def _report(name: str, mutants: Sequence[Mutant], known: Sequence[dict[str, str]]) -> None:
    for mutant in mutants:
        if mutant.survived and not is_equivalent(mutant, known):
            reached = "" if mutant.exit_code == 0 else " (no test calls it)"
            print(f"\nsurvived: {mutant.name}{reached}")
            print("\n".join(f"  - {line}" for line in mutant.before.split("\n")))
            print("\n".join(f"  + {line}" for line in mutant.after.split("\n")))
    killed, tested = killed_share(mutants, known)
    left_out = sum(mutant.exit_code in NOT_RUN for mutant in mutants)
    equivalent = len(mutants) - left_out - tested
    timed_out = sum(mutant.exit_code in TIMED_OUT for mutant in mutants)
    print(
        f"\n{name}: {killed} of {tested} mutants killed ({_percent(killed, tested)}), "
        f"{timed_out} of them by time, {equivalent} equivalent, {left_out} not tested"
    )


def _percent(killed: int, tested: int) -> str:
    return f"{100 * killed / tested:.1f} %" if tested else "–"


def main() -> None:
    """Run the groups that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=", ".join(GROUPS))
    parser.add_argument("--sample", type=int, default=0, help="test so many mutants, drawn")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so long")
    options = parser.parse_args()
    if unknown := set(options.groups) - set(GROUPS):
        parser.error(f"no group {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    known = yaml.safe_load(EQUIVALENT.read_text(encoding="utf-8")) or []
    names, count = options.groups or list(GROUPS), 0
    started = time.monotonic()
    seed = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    if options.sample:
        names = options.groups or [name for name, group in GROUPS.items() if group.sampled]
        names = random.Random(seed).sample(names, min(SAMPLED_GROUPS, len(names)))
        count = -(-options.sample // len(names))
    failed, everything, table = [], [], []
    expected, variance = 0.0, 0.0
    for number, name in enumerate(names):
        # What is left of the time is divided among the groups that are left.
        until = started + options.minutes * 60
        until = time.monotonic() + (until - time.monotonic()) / (len(names) - number)
        begun = time.monotonic()
        try:
            mutants = run_group(name, GROUPS[name], count, seed, until)
        except SystemExit as error:
            failed.append(str(error))
            continue
        everything += mutants
        _report(name, mutants, known)
        killed, tested = killed_share(mutants, known)
        share = GROUPS[name].share
        table.append((name, tested, killed, _percent(killed, tested),
                      sum(mutant.survived for mutant in mutants) - (tested - killed),
                      f"{(time.monotonic() - begun) / 60:.1f}"))  # fmt: skip
        expected, variance = expected + share * tested, variance + share * (1 - share) * tested
        if not options.sample and killed < share * tested:
            failed.append(f"{name} has to kill {share:.0%}")
    killed, tested = killed_share(everything, known)
    if not tested:
        failed.append("no mutant was tested in the time; give it more --minutes")
    lowest = math.ceil(expected - CHANCE * math.sqrt(variance))
    if options.sample and killed < lowest:
        failed.append(f"a sample of {tested} has to kill {lowest}")
    print(f"\n{killed} of {tested} killed in {(time.monotonic() - started) / 60:.1f} minutes\n")
    for row in (
        ("group", "mutants", "killed", "share", "equivalent", "minutes"),
        ("---",) * 6,
        *table,
    ):
        print(f"| {' | '.join(map(str, row))} |")
    raise SystemExit("; ".join(failed) if failed else 0)


if __name__ == "__main__":
    main()
