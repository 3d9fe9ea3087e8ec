from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netchu.decoding.greedy import MAX_ALTERNATIVES, MIN_ALTERNATIVE_PROBABILITY, greedy_decode

CLASSES = 6
paths = st.lists(st.integers(0, CLASSES - 1), max_size=30)


def probabilities(path, seed=0):
    """Random rows that sum to 1 and are highest where `path` says."""
    rows_TV = np.random.default_rng(seed).dirichlet(np.ones(CLASSES), len(path))
    for row_V, best in zip(rows_TV, path, strict=True):
        top = int(row_V.argmax())
        row_V[[top, best]] = row_V[[best, top]]
    return rows_TV.astype(np.float32).reshape(-1, CLASSES)


@given(paths, st.integers(0, 99))
def test_repeats_are_merged_and_blanks_dropped(path, seed):
    written = [i for i, _ in groupby(path) if i]
    assert [e.id for e in greedy_decode(probabilities(path, seed))] == written


@given(paths, st.integers(0, 99))
def test_emission_has_its_time_steps_and_their_highest_probability(path, seed):
    rows_TV = probabilities(path, seed)
    end = 0
    for emission in greedy_decode(rows_TV):
        assert end <= emission.begin < emission.end <= len(path)
        end = emission.end
        assert set(path[emission.begin : end]) == {emission.id}
        assert path[emission.begin - 1 : emission.begin] != [emission.id]
        assert path[end : end + 1] != [emission.id]
        assert emission.probability == rows_TV[emission.begin : end, emission.id].max()


@given(paths, st.integers(0, 99))
def test_alternatives_are_the_other_classes_of_the_best_step_in_order(path, seed):
    rows_TV = probabilities(path, seed)
    for emission in greedy_decode(rows_TV):
        ids, confidences = (
            zip(*emission.alternatives, strict=True) if emission.alternatives else ((), ())
        )
        assert not {0, emission.id} & set(ids)
        assert list(confidences) == sorted(confidences, reverse=True)
        steps = range(emission.begin, emission.end)
        row_V = next(rows_TV[t] for t in steps if rows_TV[t, emission.id] == emission.probability)
        assert confidences == tuple(row_V[list(ids)])
        likely = np.delete(row_V, [0, emission.id]) >= MIN_ALTERNATIVE_PROBABILITY
        assert len(ids) == min(MAX_ALTERNATIVES, likely.sum())


def test_blank_may_be_any_class():
    assert [e.id for e in greedy_decode(probabilities([0, 0, 5, 0]), blank=5)] == [0, 0]


def test_no_time_steps_give_no_emissions():
    assert greedy_decode(np.zeros((0, CLASSES), np.float32)) == []


def test_a_repeated_letter_needs_a_blank_in_between():
    rows_TV = np.full((4, 3), 0.1, np.float32)
    rows_TV[[0, 1, 3], 2] = 0.8
    rows_TV[2, 0] = 0.8
    rows_TV[1, 2] = 0.7
    first, second = greedy_decode(rows_TV)
    assert (first.begin, first.end, second.begin, second.end) == (0, 2, 3, 4)
    assert first.probability == pytest.approx(0.8)
    assert first.alternatives == ((1, pytest.approx(0.1)),)


def test_of_equally_probable_alternatives_the_first_classes_are_kept():
    rows_TV = np.full((1, 80), 0.01, np.float32)
    rows_TV[0, 70] = 0.21
    (emission,) = greedy_decode(rows_TV)
    assert [id for id, _ in emission.alternatives] == list(range(1, 1 + MAX_ALTERNATIVES))
