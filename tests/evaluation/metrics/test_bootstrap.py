import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netchu.evaluation.metrics.bootstrap import (
    bootstrap_groups,
    paired_difference,
    quantile_interval,
    resample_weights,
)

counts = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 40)), min_size=1, max_size=30
)


def columns(rows):
    return tuple(np.array(column, np.float64) for column in zip(*rows, strict=True))


def test_groups_are_writers_where_known_and_lines_otherwise():
    lines = pd.DataFrame({"id": ["1", "2", "3"], "source": "s", "writer": ["An", "An", ""]})
    groups = bootstrap_groups(lines)
    assert groups[0] == groups[1] != groups[2]
    assert len(set(bootstrap_groups(lines.assign(writer="An")))) == 3
    two = lines.assign(writer=["An", "An", "Bo"])
    assert len(set(bootstrap_groups(two))) == 2
    # Writers and lines of the same name in two sources are different ones.
    sources = pd.DataFrame({"id": ["1", "1", "1", "2"], "source": list("stuu"),
                            "writer": ["An", "An", "Bo", "Bo"]})  # fmt: skip
    assert len(set(bootstrap_groups(sources))) == 3
    assert len(set(bootstrap_groups(sources.assign(writer="")))) == 4


def test_a_resample_has_as_many_groups_as_the_data():
    weights_RG = resample_weights(7, 500, 1)
    assert weights_RG.shape == (500, 7)
    assert (weights_RG.sum(1) == 7).all()
    assert weights_RG.mean() == 1
    assert (weights_RG == resample_weights(7, 500, 1)).all()
    assert (weights_RG != resample_weights(7, 500, 2)).any()


@settings(deadline=None, max_examples=50)
@given(counts)
def test_swapping_the_systems_negates_the_difference(rows):
    before_G, after_G, units_G = columns(rows)
    weights_RG = resample_weights(len(rows), 200, 1)
    there = paired_difference(before_G, after_G, units_G, weights_RG)
    back = paired_difference(after_G, before_G, units_G, weights_RG)
    assert (there.before, there.after) == (back.after, back.before)
    assert there.change == -back.change
    assert there.probability == pytest.approx(1 - back.probability)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    assert there.low - 1e-12 <= there.high
    assert 0 <= there.probability <= 1


@settings(deadline=None, max_examples=50)
@given(counts)
def test_a_system_does_not_differ_from_itself(rows):
    edits_G, _, units_G = columns(rows)
    found = paired_difference(edits_G, edits_G, units_G, resample_weights(len(rows), 100, 1))
    assert (found.change, found.low, found.high, found.probability) == (0, 0, 0, 0.5)


@settings(deadline=None, max_examples=30)
@given(counts)
def test_a_system_better_in_every_group_is_better_in_every_resample(rows):
    _, before_G, units_G = columns(rows)
    found = paired_difference(before_G + 1, before_G, units_G, resample_weights(len(rows), 100, 1))
    assert found.probability == 1
    assert found.high < 0


def test_the_interval_agrees_with_a_plain_bootstrap():
    # An independent computation, group by group with random.choice.
    rng = np.random.default_rng(3)
    before_G, after_G = rng.integers(0, 6, 40).astype(float), rng.integers(0, 6, 40).astype(float)
    units_G = rng.integers(5, 30, 40).astype(float)
    found = paired_difference(before_G, after_G, units_G, resample_weights(40, 8000, 1))
    changes = []
    for _ in range(8000):
        sample = rng.choice(40, 40)
        changes.append((after_G[sample] - before_G[sample]).sum() / units_G[sample].sum())
    low, high = np.quantile(changes, [0.025, 0.975])
    spread = np.std(changes)
    assert (found.low, found.high) == pytest.approx((low, high), abs=spread / 8)
    assert found.probability == pytest.approx(np.mean(np.array(changes) < 0), abs=0.03)
    assert found.change == pytest.approx((after_G - before_G).sum() / units_G.sum())


def test_an_interval_holds_the_middle_95_percent():
    assert quantile_interval(np.arange(1001.0)[::-1]) == (25, 975)


def test_a_difference_of_two_groups_by_hand():
    # Changes of the resamples: −2/20, −2/20, 2/60 and 0/40; ties count half.
    weights_RG = np.array([[2.0, 0], [2, 0], [0, 2], [1, 1]])
    before_G, after_G, units_G = np.array([1.0, 0]), np.array([0.0, 1]), np.array([10.0, 30])
    found = paired_difference(before_G, after_G, units_G, weights_RG)
    assert (found.before, found.after, found.change) == (1 / 40, 1 / 40, 0)
    assert found.probability == 0.625
    # Quantiles interpolate between the sorted changes, at 0.025 · 3 and 0.975 · 3 of the way.
    assert found.low == pytest.approx(-0.1)
    assert found.high == pytest.approx(0.925 / 30)
    score = paired_difference(before_G, after_G, units_G, weights_RG, lower_is_better=False)
    assert score.probability == 0.375


def test_difficulty_common_to_both_systems_cancels_out():
    hard_G = np.array([1.0, 30, 2, 40, 1, 35, 3, 28])
    units_G = np.full(8, 50.0)
    found = paired_difference(hard_G, hard_G - 1, units_G, resample_weights(8, 1000, 1))
    assert found.probability == 1
    assert found.high - found.low < 1e-12


def test_probability_of_a_score_is_that_of_a_higher_value():
    before_G, units_G = np.array([1.0, 2, 3]), np.full(3, 5.0)
    weights_RG = resample_weights(3, 100, 1)
    higher = paired_difference(before_G, before_G + 1, units_G, weights_RG, lower_is_better=False)
    assert higher.probability == 1
