"""How an image is to be read, as its header says it: scale, sign and order of the rows.

Most frames are plain: unsigned integers, or floating-point samples from 0 to 1, with the first row
first. Everything else has a name here, which is part of a job: it decides pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import Final

from calmasters.errors import FrameError
from calmasters.headers.fits_cards import Cards, ImageHeader, number_of

__all__ = [
    "ADU16",
    "ADU16_IN_32_BITS",
    "BOTTOM_UP",
    "bounds_of",
    "has_own_scale",
    "is_bottom_up",
    "is_signed",
    "reading_of",
]

#: The file's first row is the lowest one (ROWORDER): rows are reversed on reading.
BOTTOM_UP: Final = "bottom-up"
#: Integers without BZERO: the samples are physical values, and not codes around half the range.
_SIGNED: Final = "signed"
#: Floating-point samples, or 32-bit integers, that are ADU of a 16-bit camera: 65535 is white.
ADU16: Final = "adu16"
ADU16_IN_32_BITS: Final = "32-bit integers as ADU"

_UNIT: Final = (0.0, 1.0)


def is_bottom_up(header: ImageHeader) -> bool:
    """Return whether the first row of the file is the lowest one.

    XISF files have the top row first; a ROWORDER card there is that of the FITS file before.
    """
    order = str(header.cards.get("ROWORDER", "")).strip().upper()
    return order == "BOTTOM-UP" and header.packing != "xisf"


def is_signed(cards: Cards) -> bool:
    """Return whether integers of 16 or 32 bits are stored without the BZERO of unsigned ones."""
    is_unscaled = (cards.get("BZERO", 0), cards.get("BSCALE", 1)) == (0, 1)
    return is_unscaled and cards.get("BITPIX") in (16, 32)


def has_own_scale(header: ImageHeader) -> bool:
    """Return whether only the samples of a file say which range they have.

    These are floating-point samples of FITS, and integers of 32 bits.
    """
    cards, bits = header.cards, _bits(header.cards)
    if bits == 32:
        return cards.get("BSCALE", 1) == 1 and cards.get("BZERO", 0) in (0, 1 << 31)
    return bits < 0 and header.packing != "xisf"


def _bits(cards: Cards) -> int:
    """Return BITPIX; 0 if it is not a number."""
    return int(number_of(cards.get("BITPIX")) or 0)


def bounds_of(header: ImageHeader) -> tuple[float, float]:
    """Return the range of floating-point samples of an XISF file (XISF 1.0, section 11.5).

    Raises
    ------
    FrameError
        If the bounds are not two numbers, the lower one first.
    """
    text = header.attributes.get("bounds", "")
    if not text or _bits(header.cards) >= 0:
        return _UNIT
    bounds = [number_of(part) for part in text.split(":")]
    low, high = bounds if len(bounds) == 2 else (None, None)
    if low is None or high is None or not (low < high and isfinite(high - low)):
        raise FrameError(f"has the bounds '{text[:40]}'; they must be two numbers, such as 0:1")
    return low, high


def reading_of(header: ImageHeader) -> Iterator[str]:
    """Name everything in a header because of which an image is not read plainly.

    Raises
    ------
    FrameError
        If the bounds of an XISF file are not valid.
    """
    if is_signed(header.cards):
        yield _SIGNED
    if (bounds := bounds_of(header)) != _UNIT:
        yield "bounds {:g}:{:g}".format(*bounds)
    if is_bottom_up(header):
        yield BOTTOM_UP
