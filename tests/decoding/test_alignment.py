from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netchu.decoding import alignment
from netchu.decoding.alignment import align_near_greedy
from plain_decoding import force_align

CLASSES = 5
texts = st.lists(st.integers(1, CLASSES - 1), max_size=8)


def rows(seed, ids, more, spread):
    """Random probabilities (T, V), with `more` steps than `ids` need."""
    steps = max(1, len(ids) + sum(a == b for a, b in pairwise(ids))) + more
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(CLASSES, spread), steps).astype(np.float32)


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 10**6), texts, st.integers(0, 12), st.sampled_from([0.01, 0.1, 1.0]))
def test_the_path_is_that_of_forced_alignment(seed, ids, more, spread):
    rows_TV = rows(seed, ids, more, spread)
    assert align_near_greedy(rows_TV, ids) == force_align(rows_TV, ids).tolist()


@settings(deadline=None)
@given(texts, st.integers(0, 6))
def test_of_equally_probable_paths_the_same_one_is_found(ids, more):
    rows_TV = np.full_like(rows(0, ids, more, 1.0), 1 / CLASSES)
    assert align_near_greedy(rows_TV, ids) == force_align(rows_TV, ids).tolist()


@settings(deadline=None)
@given(st.integers(0, 10**6), texts, st.integers(0, 6))
def test_blank_may_be_any_class(seed, ids, more):
    rows_TV = rows(seed, ids, more, 0.3)[:, ::-1]
    ids = [CLASSES - 1 - id for id in ids]
    found = align_near_greedy(rows_TV, ids, CLASSES - 1)
    assert found == force_align(rows_TV, ids, CLASSES - 1).tolist()


@pytest.mark.parametrize(("excess", "searches"), [(0, 1), (5, 1), (7, 2), (13, 3), (90, 5)])
def test_paths_near_the_greedy_one_are_searched_first(monkeypatch, excess, searches):
    # Classes are a blank, the letter of the text and the more probable one of the greedy text.
    limits = []
    search = alignment._cheapest_path
    monkeypatch.setattr(alignment, "_cheapest_path", lambda *a: limits.append(a[-1]) or search(*a))
    rows_TV = np.full((3, 3), 1e-30, np.float32)
    rows_TV[[0, 2], 0] = 1
    rows_TV[1, 1:] = np.exp(-excess), 1
    assert align_near_greedy(rows_TV, [1]) == [0, 1, 0]
    # What is less probable than 1e-30 costs 69 nats.
    assert limits == [6 * 2**i for i in range(searches)]
