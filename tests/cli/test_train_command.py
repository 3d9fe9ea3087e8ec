"""`netchu train`: its options, its summary and its errors."""

import sys
from pathlib import Path

from typer.testing import CliRunner

from netchu.cli import app
from netchu.data.line_table import Skipped


def run(*arguments):
    return CliRunner().invoke(app.app, [*arguments])


def test_a_missing_package_is_an_error_that_names_the_extra(monkeypatch):
    monkeypatch.delitem(sys.modules, "netchu.release.fine_tuning", raising=False)
    monkeypatch.setattr("netchu.core.runtime.set_compute_environment", lambda compute: None)
    monkeypatch.setitem(sys.modules, "torch", None)
    done = run("train", "--csv", "mine.csv")
    assert done.exit_code == 2
    assert done.stderr == (
        "netchu: training needs torch, which reading does not: pip install 'netchu[train]'\n"
    )


def test_the_summary_names_lines_characters_and_both_cers(monkeypatch):
    from netchu.release import fine_tuning

    rates = {"cer": 0.2, "cer_low": 0.1, "cer_high": 0.30001, "lines": 4}
    skipped = [Skipped(f"csv-{n:06d}", "empty label") for n in range(1, 13)]
    asked = {}

    def fine_tune(table, out, **wishes):
        asked.update(wishes, table=table, out=out)
        counts = {"train": 22, "val": 4, "test": 4}
        others = rates | {"lines": 64}
        return fine_tuning.FineTuning(
            counts,
            "ẽß",
            skipped,
            rates,
            rates | {"cer": 0.05},
            others,
            others | {"cer": 0.205},
            0.5,
        )

    monkeypatch.setattr("netchu.core.runtime.set_compute_environment", lambda compute: None)
    monkeypatch.setattr(fine_tuning, "fine_tune", fine_tune)
    done = run("train", "--csv", "lines/mine.csv", "--minutes", "3")
    assert done.exit_code == 0
    assert asked == {
        "table": Path("lines/mine.csv"), "out": Path("mine-model"), "images": None,
        "model": None, "minutes": 3.0,
    }  # fmt: skip
    assert done.stdout == (
        "22 lines for training, 4 for choosing the epoch\n"
        "new characters: ẽ ß\n"
        "CER on 4 held-out lines: 20.0 % (10.0–30.0) before, 5.0 % (10.0–30.0) after\n"
        "CER on 64 generated lines, which stand for other hands: 20.0 % (10.0–30.0) before, "
        "20.5 % (10.0–30.0) after\n"
        "use it with: netchu read --model mine-model PATH...\n"
    )
    told = done.stderr.splitlines()
    assert told[0] == "left out: row 1: empty label"
    assert told[10] == "left out: 12 in all, see mine-model/skipped.csv"
    assert told[11].startswith("fewer than 30 held-out lines")


def test_a_gain_that_held_out_lines_do_not_confirm_is_a_warning(capsys):
    from netchu.cli.train import _print_summary
    from netchu.release.fine_tuning import FineTuning

    rates = {"cer": 0.2, "cer_low": 0.1, "cer_high": 0.3, "lines": 64}
    counts = {"train": 99, "val": 40, "test": 40}
    _print_summary(FineTuning(counts, "", [], rates, rates, rates, rates, 1.0), Path("m"))
    assert capsys.readouterr().err == (
        "the held-out lines do not confirm the gain: compare both models on other lines\n"
    )


def test_forgetting_is_a_warning(capsys):
    from netchu.cli.train import _print_summary
    from netchu.release.fine_tuning import FineTuning

    rates = {"cer": 0.2, "cer_low": 0.1, "cer_high": 0.3, "lines": 64}
    better, worse = rates | {"cer": 0.1}, rates | {"cer": 0.22}
    counts = {"train": 99, "val": 40, "test": 40}
    _print_summary(FineTuning(counts, "", [], rates, better, rates, worse, 1.0), Path("m"))
    assert capsys.readouterr().err == (
        "other hands are read worse by more than a point: use the model that it started from for "
        "them, or add lines by other writers\n"
    )
