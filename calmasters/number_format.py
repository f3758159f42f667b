"""Numbers in sentences, without exponents."""

from __future__ import annotations

from math import floor, isfinite, log10

__all__ = ["plain_number"]


def plain_number(value: float, digits: int = 6, *, sign: bool = False) -> str:
    """Write a number with some significant digits, or all of its integer part, and no exponent.

    Parameters
    ----------
    value : float
    digits : int
        Zeros at the end of decimals are left out.
    sign : bool
        Write the sign of positive numbers, too.

    >>> plain_number(-171.4, 2, sign=True), plain_number(0.0123456, 2), plain_number(4294967295)
    ('-171', '0.012', '4294967295')
    """
    decimals = max(0, digits - 1 - floor(log10(abs(value)))) if isfinite(value) and value else 0
    text = f"{value:{'+' if sign else ''}.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text
