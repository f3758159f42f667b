"""Numbers as text, with as many digits as they have."""

from __future__ import annotations

import math
from typing import Final

from calmasters.errors import plain_number

__all__ = ["with_uncertainty"]

#: Digits of a number whose uncertainty is not known.
_DIGITS: Final = 3

#: An uncertainty below this is rounding of the arithmetic.
_LEAST: Final = 1e-9


def with_uncertainty(value: float, uncertainty: float | None, digits: int = _DIGITS) -> str:
    """Write a number with two digits of its uncertainty; with three digits where there is none.

    >>> with_uncertainty(0.45091, 0.00142), with_uncertainty(34612.7, 1234.5)
    ('0.4509 ± 0.0014', '34600 ± 1200')
    >>> with_uncertainty(-10.104270106606831, None)
    '-10.1'
    """
    if not uncertainty or not _LEAST < uncertainty < math.inf:
        return plain_number(value, digits)
    # 0.0095 has as many decimals as 0.010.
    decimals = 1 - math.floor(math.log10(float(f"{uncertainty:.1e}")))
    ends = (f"{round(each, decimals):.{max(0, decimals)}f}" for each in (value, uncertainty))
    return " ± ".join(ends)
