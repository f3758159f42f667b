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
    "SIGNED",
    "bounds_of",
    "has_floats",
    "has_own_scale",
    "is_bottom_up",
    "is_plain",
    "is_signed",
    "reading_of",
]

#: The file's first row is the lowest one (ROWORDER): rows are reversed on reading.
BOTTOM_UP: Final = "bottom-up"
#: Integers without BZERO: the samples are physical values, and not codes around half the range.
SIGNED: Final = "signed"
#: Floating-point samples that are ADU of a 16-bit camera: 65535 is white.
ADU16: Final = "adu16"
#: Integers of 32 bits that are such ADU.
ADU16_IN_32_BITS: Final = "32-bit integers as ADU"

_UNIT: Final = (0.0, 1.0)


def is_plain(header: ImageHeader) -> bool:
    """Return whether samples are unsigned integers of 16 bits, and the first row is the top one.

    So most cameras write them. False where that is not certain at first sight.
    """
    cards = header.cards
    return (
        cards.get("BITPIX") == 16
        and cards.get("BZERO") == 1 << 15
        and cards.get("BSCALE", 1) == 1
        and cards.get("ROWORDER", "TOP-DOWN") == "TOP-DOWN"
    )


def is_bottom_up(header: ImageHeader) -> bool:
    """Return whether the first row of the file is the lowest one.

    XISF files have the top row first; a ROWORDER card there is that of the FITS file before.
    """
    order = header.cards.get("ROWORDER")
    is_named = isinstance(order, str) and order.strip().upper() == "BOTTOM-UP"
    return is_named and header.packing != "xisf"


def is_signed(cards: Cards) -> bool:
    """Return whether integers of 16 or 32 bits are stored without the BZERO of unsigned ones."""
    return cards.get("BZERO", 0) == 0 and cards.get("BSCALE", 1) == 1 and _bits(cards) in (16, 32)


def has_floats(cards: Cards) -> bool:
    """Return whether samples are floating-point numbers."""
    return _bits(cards) < 0


def has_own_scale(header: ImageHeader) -> bool:
    """Return whether only the samples of a file say which range they have.

    These are floating-point samples of FITS, and integers of 32 bits.
    """
    cards = header.cards
    if _bits(cards) == 32:
        return cards.get("BSCALE", 1) == 1 and cards.get("BZERO", 0) in (0, 1 << 31)
    return has_floats(cards) and header.packing != "xisf"


def _bits(cards: Cards) -> int:
    """Return BITPIX; 0 if it is not an integer."""
    bits = cards.get("BITPIX")
    return bits if isinstance(bits, int) else 0


def bounds_of(header: ImageHeader) -> tuple[float, float]:
    """Return the range of floating-point samples of an XISF file (XISF 1.0, section 11.5).

    Raises
    ------
    FrameError
        If the bounds are not two numbers, the lower one first.
    """
    if header.packing != "xisf" or not has_floats(header.cards):
        return _UNIT
    text = header.attributes.get("bounds", "0:1")
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
        yield SIGNED
    if (bounds := bounds_of(header)) != _UNIT:
        yield "bounds {:.10g}:{:.10g}".format(*bounds)
    if is_bottom_up(header):
        yield BOTTOM_UP
