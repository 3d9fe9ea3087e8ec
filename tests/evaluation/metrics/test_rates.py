import pandas as pd
import pytest

from netchu.core.errors import NetchuError
from netchu.evaluation.metrics.edits import ERROR_CLASSES, score_lines
from netchu.evaluation.metrics.rates import MIN_GROUPS, PARTS_PER_WRITER, group_sums, summarise
from netchu.evaluation.metrics.registry import METRICS, sum_columns


def summary(truths: list[str], readings: list[str]) -> dict[str, float | int]:
    return summarise(score_lines(truths, readings), [str(i) for i in range(len(truths))], 50, 1)


def test_rates_are_of_corpus_totals_and_not_means_of_lines():
    result = summary(["a", "bcdefghij"], ["x", "bcdefghij"])
    assert result["cer"] == 0.1
    assert result["wer"] == 0.5
    assert result["ser"] == 0.5
    assert (result["lines"], result["characters"], result["words"], result["groups"]) == (
        2,
        10,
        2,
        2,
    )


def test_every_metric_lies_in_its_interval_and_error_classes_add_up_to_cer():
    result = summary(["Tổ 3, ấp Đông"] * 3 + ["hoà"], ["to 8 ap Dông", "", "Tổ 3, ấp Đông", "hòa"])
    for name in (metric.name for metric in METRICS):
        assert result[f"{name}_low"] <= result[name] <= result[f"{name}_high"], name
    total = sum(result[f"{name}_errors"] for name in ERROR_CLASSES)
    assert total == pytest.approx(result["cer"], abs=1e-5)
    assert result["cer_folded"] < result["cer"]


# With distinct sums, a metric with the numerator or denominator of another has another value.
SUMS = {
    "lines": 7, "characters": 1009, "words": 211, "edits": 101, "word_edits": 53, "wrong": 5,
    "folded_edits": 83, "folded_word_edits": 43, "folded_wrong": 4, "kalapa": 3.5, "loops": 2,
    "base": 31, "mark": 17, "tone": 13, "case": 11, "digit": 9, "space": 8, "punctuation": 6,
    "missing": 29, "extra": 19,
}  # fmt: skip
RATIOS = {
    "cer": 101 / 1009, "wer": 53 / 211, "ser": 5 / 7, "cer_folded": 83 / 1009,
    "wer_folded": 43 / 211, "ser_folded": 4 / 7, "kalapa_score": 3.5 / 7, "loop_rate": 2 / 7,
    "base_errors": 31 / 1009, "mark_errors": 17 / 1009, "tone_errors": 13 / 1009,
    "case_errors": 11 / 1009, "digit_errors": 9 / 1009, "space_errors": 8 / 1009,
    "punctuation_errors": 6 / 1009, "missing": 29 / 1009, "extra": 19 / 1009,
}  # fmt: skip


def test_every_metric_is_the_ratio_of_its_own_sums():
    result = summarise(pd.DataFrame([SUMS]), ["An"], 20, 1)
    assert {metric.name for metric in METRICS} == set(RATIOS)
    for name, ratio in RATIOS.items():
        assert result[name] == result[f"{name}_low"] == result[f"{name}_high"] == round(ratio, 6)
    assert (result["lines"], result["characters"], result["words"]) == (7, 1009, 211)
    assert [metric.name for metric in METRICS if not metric.lower_is_better] == ["kalapa_score"]


def test_the_interval_is_that_of_resampled_groups():
    # Two writers, without and with errors: a resample has 0, half or all of the errors, each
    # extreme with a probability of a quarter.
    scored = score_lines(["abcdefghij"] * 4, ["abcdefghij"] * 2 + ["Xbcdefghij"] * 2)
    result = summarise(scored, ["An", "An", "Bo", "Bo"], 400, 1)
    assert (result["cer"], result["cer_low"], result["cer_high"]) == (0.05, 0, 0.1)
    assert (result["ser"], result["ser_low"], result["ser_high"]) == (0.5, 0, 1)
    assert result["groups"] == 2


def test_kalapa_score_is_the_mean_of_the_lines_scores():
    assert summary(["abcdefghij", "ab"], ["abcdefghiX", "ab"])["kalapa_score"] == 0.925


def test_intervals_depend_only_on_the_seed():
    truths = ["a" * (5 + i % 7) for i in range(40)]
    readings = [t if i % 3 else "X" * (i % 5) + t[i % 5 :] for i, t in enumerate(truths)]
    scored, groups = score_lines(truths, readings), [str(i) for i in range(40)]
    first = summarise(scored, groups, 400, 1)
    assert first["cer_low"] < first["cer"] < first["cer_high"]
    assert first == summarise(scored, groups, 400, 1)
    assert first != summarise(scored, groups, 400, 2)


def test_correlated_errors_of_a_writer_widen_the_interval():
    truths, writers = ["abcdefghij"] * 40, [str(i // 10) for i in range(40)]
    readings = ["abcdefghij" if int(writer) % 2 else "XXXXXfghij" for writer in writers]
    scored = score_lines(truths, readings)
    by_line = summarise(scored, [str(i) for i in range(40)], 400, 1)
    by_writer = summarise(scored, writers, 400, 1)
    assert by_writer["cer_high"] - by_writer["cer_low"] > by_line["cer_high"] - by_line["cer_low"]


def test_no_line_and_missing_counts_are_errors():
    scored = score_lines(["a"], ["a"])
    with pytest.raises(NetchuError, match="no line"):
        summarise(scored.iloc[:0], [], 10, 1)
    with pytest.raises(NetchuError, match="edits: not a number"):
        summarise(scored.astype(float).assign(edits=float("nan")), ["1"], 10, 1)


@pytest.mark.parametrize("writers", [1, 3, MIN_GROUPS, 40])
def test_sums_by_group_add_up_to_the_totals_in_any_order_of_lines(writers):
    number = 400
    lines = pd.DataFrame(
        {
            "id": [f"line-{i}" for i in range(number)],
            "source": "s",
            "writer": [f"hand {i % writers}" for i in range(number)],
        }
    )
    truths = ["abc d"] * number
    scored = score_lines(truths, ["abc" if i % 3 else "abc d" for i in range(number)])
    sums = group_sums(scored, lines)
    assert {name: sum(sums[name]) for name in sum_columns()} == scored[
        sum_columns()
    ].sum().to_dict()
    shuffled = lines.sample(frac=1, random_state=1)
    assert group_sums(scored.loc[shuffled.index], shuffled) == sums
    expected = {1: number, 3: 3 * PARTS_PER_WRITER, MIN_GROUPS: MIN_GROUPS, 40: 40}[writers]
    assert len(sums["lines"]) == expected
