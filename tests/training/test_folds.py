from collections import Counter

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

import small_project
from netchu.core.params import PhaseParams, parse_config
from netchu.training import folds
from netchu.training.phase import fit_phase
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
