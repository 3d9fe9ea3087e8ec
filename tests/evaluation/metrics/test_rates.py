import pandas as pd
import pytest

from netchu.core.errors import NetchuError
from netchu.evaluation.metrics.edits import CLASSES, score
from netchu.evaluation.metrics.rates import FEWEST, PARTS, RATES, SUMS, group_sums, summarise


def rates(truths: list[str], readings: list[str]) -> dict[str, float | int]:
    return summarise(score(truths, readings), [str(i) for i in range(len(truths))], 50, 1)


def test_rates_divide_totals_not_lines():
    result = rates(["a", "bcdefghij"], ["x", "bcdefghij"])
    assert result["cer"] == 0.1
    assert result["wer"] == 0.5
    assert result["ser"] == 0.5
    assert (result["lines"], result["characters"], result["words"], result["groups"]) == (
        2,
        10,
        2,
        2,
    )


def test_every_rate_has_an_interval_around_it_and_classes_add_up():
    result = rates(["Tổ 3, ấp Đông"] * 3 + ["hoà"], ["to 8 ap Dông", "", "Tổ 3, ấp Đông", "hòa"])
    for rate in RATES:
        assert result[f"{rate}_low"] <= result[rate] <= result[f"{rate}_high"], rate
    total = sum(result[f"{name}_errors"] for name in CLASSES)
    assert total == pytest.approx(result["cer"], abs=1e-5)
    assert result["cer_folded"] < result["cer"]


def test_kalapas_score_is_the_mean_of_lines():
    assert rates(["abcdefghij", "ab"], ["abcdefghiX", "ab"])["kalapa_score"] == 0.925


def test_intervals_depend_on_the_seed_alone():
    truths = ["a" * (5 + i % 7) for i in range(40)]
    readings = [t if i % 3 else "X" * (i % 5) + t[i % 5 :] for i, t in enumerate(truths)]
    scored, groups = score(truths, readings), [str(i) for i in range(40)]
    first = summarise(scored, groups, 400, 1)
    assert first["cer_low"] < first["cer"] < first["cer_high"]
    assert first == summarise(scored, groups, 400, 1)
    assert first != summarise(scored, groups, 400, 2)


def test_writers_that_err_alike_widen_the_interval():
    truths, hands = ["abcdefghij"] * 40, [str(i // 10) for i in range(40)]
    readings = ["abcdefghij" if int(hand) % 2 else "XXXXXfghij" for hand in hands]
    scored = score(truths, readings)
    by_line = summarise(scored, [str(i) for i in range(40)], 400, 1)
    by_hand = summarise(scored, hands, 400, 1)
    assert by_hand["cer_high"] - by_hand["cer_low"] > by_line["cer_high"] - by_line["cer_low"]


def test_nothing_and_holes_are_never_averaged_over():
    scored = score(["a"], ["a"])
    with pytest.raises(NetchuError, match="no line"):
        summarise(scored.iloc[:0], [], 10, 1)
    with pytest.raises(NetchuError, match="edits: not a number"):
        summarise(scored.astype(float).assign(edits=float("nan")), ["1"], 10, 1)


@pytest.mark.parametrize("writers", [1, 3, FEWEST, 40])
def test_sums_by_group_keep_the_totals_and_are_the_same_for_all_systems(writers):
    number = 400
    lines = pd.DataFrame(
        {
            "id": [f"line-{i}" for i in range(number)],
            "source": "s",
            "writer": [f"hand {i % writers}" for i in range(number)],
        }
    )
    truths = ["abc d"] * number
    scored = score(truths, ["abc" if i % 3 else "abc d" for i in range(number)])
    sums = group_sums(scored, lines)
    assert {name: sum(sums[name]) for name in SUMS} == scored[list(SUMS)].sum().to_dict()
    shuffled = lines.sample(frac=1, random_state=1)
    assert group_sums(scored.loc[shuffled.index], shuffled) == sums
    expected = {1: number, 3: 3 * PARTS, FEWEST: FEWEST, 40: 40}[writers]
    assert len(sums["lines"]) == expected
