"""The metrics of an evaluation, each declared once.

`metrics.json`, the leaderboard, the tables of the report, the paired comparison, MLflow runs and
the check that a rebuilt report reproduces a committed one are all derived from METRICS. To add a
metric, add an entry here and, if `edits.score_lines` has no column for its sums, the column there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netchu.core import formatting

COUNTS = ("lines", "characters", "words")
"""Columns of `score_lines` that count reference units; `metrics.json` holds their totals."""


@dataclass(frozen=True)
class Metric:
    """A corpus rate: the sum of one column of `score_lines` divided by the sum of another.

    Attributes:
        name: key in `metrics.json`; with `_low` and `_high` behind it, the ends of its interval.
        numerator: column that is summed over all lines.
        denominator: column that its sum is divided by, one of COUNTS.
        title: heading in tables, label in charts.
        lower_is_better: False for a score.
        as_percentage: tables show percent; otherwise a number between 0 and 1.
        compared: a main metric. Its sums by writer are stored for the paired comparison, MLflow
            shows it for each dataset, and a rebuilt report has to reproduce it.
        decides: a system whose value is significantly worse fails a comparison and is not promoted;
            exactly one compared metric decides.
        tables: tables of the report with a column for it.
        breakdown: the split of the character errors of which it is one part: by what is wrong with
            the character, or by edit operation (substitutions are the rest).
    """

    name: str
    numerator: str
    denominator: str
    title: str
    lower_is_better: bool = True
    as_percentage: bool = True
    compared: bool = False
    decides: bool = False
    tables: tuple[Literal["leaderboard", "variants"], ...] = ()
    breakdown: Literal["", "class", "operation"] = ""

    def sort_key(self, value: float) -> float:
        """Return a key that sorts the best value first."""
        return value if self.lower_is_better else -value

    def format(self, value: float | None) -> str:
        """Return `value` as tables show it; '–' where it is None."""
        return formatting.percent(value) if self.as_percentage else formatting.three_decimals(value)


CER = Metric(
    "cer", "edits", "characters", "CER",
    compared=True, decides=True, tables=("leaderboard", "variants"),
)  # fmt: skip

METRICS: tuple[Metric, ...] = (
    CER,
    Metric("wer", "word_edits", "words", "WER", compared=True, tables=("leaderboard", "variants")),
    Metric("ser", "wrong", "lines", "SER", compared=True, tables=("leaderboard",)),
    Metric("cer_folded", "folded_edits", "characters", "CER, tones folded",
           tables=("leaderboard",)),
    Metric("wer_folded", "folded_word_edits", "words", "WER, tones folded"),
    Metric("ser_folded", "folded_wrong", "lines", "SER, tones folded"),
    Metric("kalapa_score", "kalapa", "lines", "Kalapa score",
           lower_is_better=False, as_percentage=False, tables=("leaderboard",)),
    Metric("loop_rate", "loops", "lines", "loops", tables=("variants",)),
    Metric("base_errors", "base", "characters", "letter", breakdown="class"),
    Metric("mark_errors", "mark", "characters", "vowel mark, đ", breakdown="class"),
    Metric("tone_errors", "tone", "characters", "tone", breakdown="class"),
    Metric("case_errors", "case", "characters", "case", breakdown="class"),
    Metric("digit_errors", "digit", "characters", "digit", breakdown="class"),
    Metric("space_errors", "space", "characters", "space", breakdown="class"),
    Metric("punctuation_errors", "punctuation", "characters", "punctuation", breakdown="class"),
    Metric("missing", "missing", "characters", "missing", breakdown="operation"),
    Metric("extra", "extra", "characters", "too much", breakdown="operation"),
)  # fmt: skip


def compared_metrics() -> list[Metric]:
    """Return the main metrics, the deciding one first."""
    return sorted((m for m in METRICS if m.compared), key=lambda metric: not metric.decides)


def deciding_metric() -> Metric:
    """Return the metric that decides a comparison and a promotion."""
    return next(metric for metric in METRICS if metric.decides)


def shown_metrics() -> list[Metric]:
    """Return the metrics that stand in a table; MLflow shows them over all lines."""
    return [metric for metric in METRICS if metric.compared or metric.tables]


def find_metric(name: str) -> Metric:
    """Return the metric with the key `name`."""
    return next(metric for metric in METRICS if metric.name == name)


def table_metrics(table: Literal["leaderboard", "variants"]) -> list[Metric]:
    """Return the metrics with a column in a table of the report."""
    return [metric for metric in METRICS if table in metric.tables]


def breakdown_metrics(breakdown: Literal["class", "operation"]) -> list[Metric]:
    """Return the parts of one split of the character errors."""
    return [metric for metric in METRICS if metric.breakdown == breakdown]


def sum_columns() -> list[str]:
    """Return the columns of `score_lines` that are stored by writer, for paired comparisons."""
    columns = [c for metric in compared_metrics() for c in (metric.numerator, metric.denominator)]
    return list(dict.fromkeys([*columns, "lines"]))
