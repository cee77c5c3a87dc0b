"""How numbers are written: per cent, points, intervals, probabilities, counts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

MINUS = "−"  # the minus sign, as wide as a plus


def percent(value: float | None, digits: int = 1) -> str:
    """Write a fraction in per cent, without the sign; a question mark for None."""
    return "?" if value is None else f"{100 * value:.{digits}f}"


def number(value: float, digits: int = 1, *, signed: bool = False) -> str:
    """Write a number with a real minus sign; with ``signed`` a positive one gets its plus."""
    rounded = round(value, digits) + 0.0  # + 0.0 turns −0.0 into 0.0
    sign = "+" if signed and rounded else "-"
    return f"{rounded:{sign}.{digits}f}".replace("-", MINUS)


def significant(value: float, *, signed: bool = False) -> str:
    """Write a number in somebody's own units, with three significant digits: ``1,230``, ``0.12``.

    Example:

    >>> significant(1234.5), significant(0.1234), significant(3)
    ('1,234', '0.123', '3.00')
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if abs(value) >= 1e9 or abs(value) < 1e-4:
        text = f"{value:{'+' if signed else '-'}.2e}"
    else:
        digits = max(0, 2 - math.floor(math.log10(abs(value))))
        text = f"{value:{'+' if signed else '-'},.{digits}f}"
    return text.replace("-", MINUS)


def points(fraction: float, *, signed: bool = False) -> str:
    """Write a difference of fractions in percentage points: ``1.0 point``, ``+2.3 points``."""
    text = number(100 * fraction, signed=signed)
    return f"{text} point" if text.lstrip(f"+{MINUS}") == "1.0" else f"{text} points"


def point_range(interval: Mapping[str, Any], *, signed: bool = True) -> str:
    """Write the ends of an interval in points, ``−0.3 to +1.2``."""
    return " to ".join(number(100 * interval[end], signed=signed) for end in ("low", "high"))


def score(interval: Mapping[str, Any]) -> str:
    """Write a score as ``94.8 % (92.1 to 96.3)``; without the interval where it is unknown."""
    if interval["low"] is None or interval["high"] is None:
        return f"{percent(interval['mean'])} %"
    return (
        f"{percent(interval['mean'])} % ({percent(interval['low'])} to {percent(interval['high'])})"
    )


def probability(value: float) -> str:
    """Write a probability in per cent so that it never reads as certain."""
    if value < 0.001:
        return "below 0.1 %"
    return "above 99.9 %" if value > 0.999 else f"{percent(value)} %"


def p_value(value: float) -> str:
    """Write a p-value: ``p < 0.001``, ``p = 0.034``."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"


def about(count: float, *, up: bool = False) -> str:
    """Write a count rounded, or rounded ``up``, to two digits: ``2,300``."""
    unit = 10 ** max(0, int(math.log10(count)) - 1)
    return f"{(math.ceil if up else round)(count / unit) * unit:,}"


def mean_count(count: float) -> str:
    """Write a count that may be a mean: ``1,234``, ``12.4``."""
    return f"{round(count, 1):,.6g}"


def enumerated(names: Sequence[str], conjunction: str = "and") -> str:
    """Join names: ``a``, ``a and b``, ``a, b and c``."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {conjunction} {names[-1]}"
