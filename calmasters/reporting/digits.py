"""Numbers as readers need them: with the digits that mean something, and without exponents."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from calmasters.errors import plain_number
from calmasters.frame import Value, format_value
from calmasters.quality.digits import with_uncertainty
from calmasters.quality.estimate import Estimate
from calmasters.quality.quality_record import Range

__all__ = [
    "keyword_value",
    "measured",
    "range_text",
    "setting_value",
    "short",
    "short_with_uncertainty",
    "temperature",
]

#: Numbers from here on are written with a power of ten, and smaller ones as 0.
_LARGE: Final = 1e7
_SMALL: Final = 1e-6

_SUPERSCRIPTS: Final = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")

_UNITS: Final[Mapping[str, str]] = {
    "EXPOSURE": "s",
    "SET-TEMP": "°C",
    "CCD-TEMP": "°C",
    "FOCALLEN": "mm",
}


def short(value: float | None) -> str:
    """Write a number with three digits, from 100 to 1000 with one decimal.

    Integers are whole, and 0.4 has no zeros after it. The text is empty where there is no number.

    >>> short(28095.31), short(612.34), short(0.7966), short(5.0)
    ('28095', '612.3', '0.797', '5')
    """
    if value is None or not math.isfinite(value):
        return ""
    size = abs(value)
    if size < _SMALL:
        return "0"
    power = math.floor(math.log10(size))
    if size >= _LARGE:
        exponent = str(power).translate(_SUPERSCRIPTS)
        return f"{value / 10.0**power:.2f} \N{MULTIPLICATION SIGN} 10{exponent}"
    if value == int(value):
        return str(int(value))
    digits = f"{value:.{1 if power == 2 else max(0, 2 - power)}f}"
    return min(digits, plain_number(value, 9), key=len)


def measured(estimate: Estimate) -> str:
    """Write an estimate with as many digits as its uncertainty has; empty without a number."""
    return "" if estimate.known is None else short_with_uncertainty(*estimate.known)


def short_with_uncertainty(value: float, uncertainty: float | None) -> str:
    """Write a number to the second digit of its uncertainty; short where there is none."""
    return with_uncertainty(value, uncertainty) if uncertainty else short(value)


def range_text(limits: Range) -> str:
    """Write the expected values of a number: ``0.3 to 1.1``, ``at most 3``; empty without limit."""
    low, high = (None if each is None else plain_number(each, 4) for each in limits)
    if low is not None and high is not None:
        return f"{low} to {high}"
    if low is not None:
        return f"at least {low}"
    return "" if high is None else f"at most {high}"


def temperature(celsius: float | None) -> str:
    """Write a temperature to a tenth of a degree; empty where it is not known."""
    return "" if celsius is None else f"{round(celsius, 1) + 0.0:.1f}"


def keyword_value(keyword: str, value: Value) -> str:
    """Write the value of a keyword with its unit.

    >>> keyword_value("FOCALLEN", 479.99998474), keyword_value("SET-TEMP", -10.0)
    ('480 mm', '-10 °C')
    """
    if isinstance(value, str):
        return format_value(keyword, value)
    return f"{plain_number(value + 0.0)} {_UNITS.get(keyword, '')}".rstrip()


def setting_value(value: Any) -> str:
    """Write a parameter as in ``config.yaml``."""
    if isinstance(value, bool):
        return str(value).lower()
    return plain_number(value) if isinstance(value, float) else str(value)
