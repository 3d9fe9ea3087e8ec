"""Numbers as people read them, the same in every table; '–' where a number is not known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNKNOWN = "–"


def percent(ratio: float | None) -> str:
    """0.0512 as '5.1 %'."""
    return UNKNOWN if ratio is None else f"{100 * ratio:.1f} %"


def confidence_interval(rates: Mapping[str, Any], rate: str = "cer") -> str:
    """The 95 % interval of a rate: '4.8–5.9'."""
    if rate not in rates:
        return UNKNOWN
    return f"{100 * rates[rate + '_low']:.1f}–{100 * rates[rate + '_high']:.1f}"


def three_decimals(value: float | None) -> str:
    """A figure between 0 and 1, to the thousandth."""
    return UNKNOWN if value is None else f"{value:.3f}"


def percentage_points(change: float) -> str:
    """A difference of two rates in percentage points, with its sign: '−3.5'."""
    return f"{100 * change:+.1f}".replace("-", "−")


def magnitude(number: float | None) -> str:
    """2034567 as '2.03 M', a thousand times that as '2.03 G'."""
    if number is None:
        return UNKNOWN
    return f"{number / 1e9:.2f} G" if number >= 1e9 else f"{number / 1e6:.2f} M"


def megabytes(size: float | None) -> str:
    """Megabytes with two digits after the point."""
    return UNKNOWN if size is None else f"{size:.2f}"


def milliseconds(time: float | None) -> str:
    """Milliseconds, to the tenth below ten."""
    if time is None:
        return UNKNOWN
    return f"{time:.1f}" if time < 10 else thousands(time)


def thousands(number: float | None) -> str:
    """A whole number with a narrow gap at the thousands."""
    return UNKNOWN if number is None else f"{number:,.0f}".replace(",", " ")


def duration(seconds: float | None) -> str:
    """Seconds as '45 s', '3 min 20 s' or '2 h 5 min'."""
    if seconds is None:
        return UNKNOWN
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
