from collections import Counter
from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import small_project
from netchu.core.params import PhaseParams, parse_config
from netchu.training import folds
from netchu.training.phase import PhaseResult, fit_phase
from netchu.training.stage import build_recogniser
from small_project import as_table


def as_rows(rows):
    return pd.DataFrame(rows, columns=["writer", "text"])


lines_of = st.lists(
    st.tuples(st.sampled_from(("", "An", "Bình", "Chi", "Dũng")), st.sampled_from("abcdefgh")),
    min_size=1,
    max_size=30,
).map(as_rows)


@given(lines_of, st.integers(2, 4), st.integers(0, 5))
def test_the_lines_of_a_writer_or_a_text_are_in_one_fold(lines, number, seed):
    fold_of = folds.assign_folds(lines, number, seed)
    assert fold_of.between(0, number - 1).all()
    assert list(fold_of.index) == list(lines.index)
    known = lines["writer"] != ""
    for group in (lines[known].groupby("writer"), lines[~known].groupby("text")):
        for _, rows in group:
            assert fold_of[rows.index].nunique() == 1


def test_folds_are_of_equal_size_and_depend_on_the_seed():
    lines = as_rows([(f"hand {n}", "a") for n in range(20)])
    first = folds.assign_folds(lines, 4, 1)
    assert set(Counter(first).values()) == {5}
    assert first.equals(folds.assign_folds(lines, 4, 1))
    assert not first.equals(folds.assign_folds(lines, 4, 2))


def test_each_training_line_is_held_out_once(project_folder, monkeypatch):
    lines = as_table(
        small_project.drawn_lines("train", 8) + small_project.drawn_lines("val", 2)
        + small_project.drawn_lines("test", 2)
    )  # fmt: skip
    held = []

    def watched(recogniser, table, *rest):
        held.append(set(table.loc[table["split"] == "val", "id"]))
        assert set(table["id"]) == set(lines.loc[lines["split"] == "train", "id"])
        return fit_phase(recogniser, table, *rest)

    monkeypatch.setattr(folds, "fit_phase", watched)
    project = small_project.params()
    phase = parse_config(PhaseParams, small_project.PHASE | {"folds": 2}, "test")
    start = build_recogniser(project, "netchu_small")
    before = {name: value.clone() for name, value in start.state_dict().items()}
    result = folds.fit_best_fold(start, lines, phase, project, project_folder / "folds", 3)
    assert len(held) == 2
    assert held[0] | held[1] == set(lines.loc[lines["split"] == "train", "id"])
    assert not held[0] & held[1]
    assert len(result.fold_cers) == 2
    assert result.summary()["fold_val_cer"] == [round(cer, 6) for cer in result.fold_cers]
    assert all(value.equal(before[name]) for name, value in start.state_dict().items())


def test_the_fold_that_reads_the_validation_lines_best_is_kept(project_folder, monkeypatch):
    lines = as_table(small_project.drawn_lines("train", 8) + small_project.drawn_lines("val", 3))
    project = small_project.params()
    phase = parse_config(PhaseParams, small_project.PHASE | {"folds": 3, "val_lines": 2}, "test")
    fitted, read = [], []

    def fit(recogniser, table, of_phase, params, folder, seed, instruments, prefix):
        assert (of_phase, params) == (phase, project)
        fitted.append((recogniser, folder.name, seed, instruments, prefix))
        return PhaseResult(recogniser, phase, [], 1.5 * len(fitted), len(table))

    def cer(recogniser, val, of_phase):
        read.append((recogniser, sorted(val["split"]), of_phase))
        return [0.4, 0.2, 0.3][len(read) - 1]

    monkeypatch.setattr(folds, "fit_phase", fit)
    monkeypatch.setattr(folds, "_cer", cer)
    start = nn.Linear(1, 1)
    kept = folds.fit_best_fold(start, lines, phase, project, project_folder, 5, "watching")
    assert [one[1:] for one in fitted] == [
        (f"fold{fold}", 5 + fold, "watching", f"fold{fold}/") for fold in range(3)
    ]
    networks = [one[0] for one in fitted]
    assert len({id(network) for network in [start, *networks]}) == 4
    assert read == [(network, ["val", "val"], phase) for network in networks]
    assert kept.recogniser is networks[1]
    assert (kept.fold_cers, kept.seconds) == ([0.4, 0.2, 0.3], 9)


def test_a_fold_is_scored_by_the_cer_of_all_lines_together(monkeypatch):
    def read(recogniser, lines, batch_size):
        assert (recogniser, batch_size) == ("network", 7)
        return [SimpleNamespace(text=text) for text in ("hoà", "ấp 5 xx")]

    monkeypatch.setattr(folds, "read_lines", read)
    lines = pd.DataFrame({"text": ["hoạ", "ấp 5"]})
    assert folds._cer("network", lines, SimpleNamespace(batch_size=7)) == pytest.approx(4 / 7)
