"""Formats of numbers, the same in every table; an unknown number is '–'."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNKNOWN = "–"


def percent(ratio: float | None) -> str:
    """Format a ratio in percent: 0.0512 as '5.1 %'."""
    return UNKNOWN if ratio is None else f"{100 * ratio:.1f} %"


def confidence_interval(rates: Mapping[str, Any], rate: str = "cer") -> str:
    """Format the 95 % interval of a rate, in percent: '4.8–5.9'."""
    if rate not in rates:
        return UNKNOWN
    return f"{100 * rates[rate + '_low']:.1f}–{100 * rates[rate + '_high']:.1f}"


def three_decimals(value: float | None) -> str:
    """Format a number between 0 and 1: '0.512'."""
    return UNKNOWN if value is None else f"{value:.3f}"


def percentage_points(change: float) -> str:
    """Format a difference of two ratios in percentage points, with its sign: '−3.5'."""
    return f"{100 * change:+.1f}".replace("-", "−")


def magnitude(number: float | None) -> str:
    """Format a large number in millions or billions: 2034567 as '2.03 M'."""
    if number is None:
        return UNKNOWN
    return f"{number / 1e9:.2f} G" if number >= 1e9 else f"{number / 1e6:.2f} M"


def megabytes(size: float | None) -> str:
    """Format a size in megabytes: '1.25'."""
    return UNKNOWN if size is None else f"{size:.2f}"


def milliseconds(time: float | None) -> str:
    """Format a time in milliseconds: '9.5', '12'."""
    if time is None:
        return UNKNOWN
    return f"{time:.1f}" if time < 10 else thousands(time)


def thousands(number: float | None) -> str:
    """Format a whole number with a space between thousands."""
    return UNKNOWN if number is None else f"{number:,.0f}".replace(",", " ")


def duration(seconds: float | None) -> str:
    """Format seconds as '45 s', '3 min 20 s' or '2 h 5 min'."""
    if seconds is None:
        return UNKNOWN
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
