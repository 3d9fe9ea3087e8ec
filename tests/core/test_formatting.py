"""Formats of numbers: examples at the limits of each format."""

import pytest

from netchu.core import formatting
from netchu.core.formatting import UNKNOWN


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("percent", 0.0512, "5.1 %"),
        ("percent", 0, "0.0 %"),
        ("percent", 3.131, "313.1 %"),
        ("three_decimals", 0.5124, "0.512"),
        ("three_decimals", 0, "0.000"),
        ("percentage_points", -0.035, "−3.5"),
        ("percentage_points", 0.035, "+3.5"),
        ("magnitude", 2_034_567, "2.03 M"),
        ("magnitude", 999_999_999, "1000.00 M"),
        ("magnitude", 1_000_000_000, "1.00 G"),
        ("magnitude", 3_336_106_240, "3.34 G"),
        ("megabytes", 1.2549, "1.25"),
        ("milliseconds", 9.46, "9.5"),
        ("milliseconds", 10, "10"),
        ("milliseconds", 12.4, "12"),
        ("milliseconds", 1234.5, "1 234"),
        ("thousands", 999, "999"),
        ("thousands", 1_234_567, "1 234 567"),
        ("duration", 0.4, "0 s"),
        ("duration", 59.4, "59 s"),
        ("duration", 59.6, "1 min 0 s"),
        ("duration", 200, "3 min 20 s"),
        ("duration", 3599, "59 min 59 s"),
        ("duration", 3600, "1 h 0 min"),
        ("duration", 2 * 3600 + 5 * 60 + 59, "2 h 5 min"),
    ],
)
def test_a_number_is_formatted(name, value, text):
    assert getattr(formatting, name)(value) == text


@pytest.mark.parametrize(
    "name", ["percent", "three_decimals", "magnitude", "megabytes", "milliseconds", "thousands",
             "duration"],
)  # fmt: skip
def test_an_unknown_number_is_a_dash(name):
    assert getattr(formatting, name)(None) == UNKNOWN == "–"


def test_an_interval_is_that_of_its_rate():
    rates = {"cer": 0.05, "cer_low": 0.0484, "cer_high": 0.0586, "wer": 0.2, "wer_low": 0.1,
             "wer_high": 0.31}  # fmt: skip
    assert formatting.confidence_interval(rates) == "4.8–5.9"
    assert formatting.confidence_interval(rates, "wer") == "10.0–31.0"
    assert formatting.confidence_interval(rates, "ser") == UNKNOWN
