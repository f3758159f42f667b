"""Read the geometry of an image from header cards, and check that it can be a raw frame."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from math import prod
from typing import Final

from calmasters.frame import Geometry
from calmasters.headers.fits_cards import Cards, first_of, number_of
from calmasters.headers.series import SERIES_CARDS, planes_of

__all__ = [
    "FLOAT_RANGE_REMEDY",
    "IMAGE_CARDS",
    "OWN_RANGE_REMEDY",
    "SERIES_REMEDY",
    "geometry_of",
    "image_problems",
]

#: What to do about float samples above 1 that may be ADU, and about a range that does not fit all.
FLOAT_RANGE_REMEDY: Final = "if they are 16-bit ADU, set float_range: adu16"
OWN_RANGE_REMEDY: Final = "set float_range: auto, or exclude it"
#: What to do about a series.
SERIES_REMEDY: Final = "to use each plane as a frame, set cubes: frames"

_X_BINNING: Final = ("XBINNING", "CCDXBIN", "BINX", "HBIN", "BINNING", "CCDSUM")
_Y_BINNING: Final = ("YBINNING", "CCDYBIN", "BINY", "VBIN", "BINNING", "CCDSUM")
_BAYER: Final = ("BAYERPAT", "COLORTYP", "CFAIMAGE", "MOSAIC")
_BAYER_PATTERNS: Final = frozenset({"RGGB", "BGGR", "GBRG", "GRBG"})
#: Cards of the position of a subframe on the sensor, by axis: in binned pixels from 0.
_ORIGINS: Final = (
    ("XORGSUBF", "ROIX", "ROI_X", "STARTX", "XSTART"),
    ("YORGSUBF", "ROIY", "ROI_Y", "STARTY", "YSTART"),
)
#: The same in unbinned pixels from 1.
_STARTS: Final = ("ESO DET WIN1 STRX", "ESO DET WIN1 STRY")
#: Sections of the sensor in unbinned pixels from 1: '[1001:1048,1:48]'.
_SECTIONS: Final = ("DETSEC", "CCDSEC")
#: The same as Andor's programs write it: '1001, 1048, 48, 1'.
_RECTANGLES: Final = ("SUBRECT",)
#: IRAF: pixel of the image = pixel of the sensor + this.
_OFFSETS: Final = ("LTV1", "LTV2")
#: Cards that this module reads.
IMAGE_CARDS: Final = (
    *SERIES_CARDS, "NAXIS1", "NAXIS2", "BITPIX", "BSCALE", "BZERO",
    *_X_BINNING, *_Y_BINNING, *_BAYER,
    *_ORIGINS[0], *_ORIGINS[1], *_STARTS, *_SECTIONS, *_RECTANGLES, *_OFFSETS,
)  # fmt: skip

_SAMPLE_BITS: Final = (8, 16, 32, -32, -64)


def geometry_of(cards: Cards) -> Geometry | None:
    """Read size, binning, Bayer pattern and position; None without a two-dimensional image."""
    axes = [cards.get(name) for name in ("NAXIS1", "NAXIS2")]
    if not all(type(axis) is int and axis > 0 for axis in axes):
        return None
    # Some programs write only XBINNING.
    binning = (
        _binning(cards, _X_BINNING, 0),
        _binning(cards, (*_Y_BINNING, *_X_BINNING), 1),
    )
    return Geometry(
        int(str(axes[0])),
        int(str(axes[1])),
        *binning,
        _bayer(cards),
        xorigin=_origin(cards, 0, binning[0]),
        yorigin=_origin(cards, 1, binning[1]),
    )


def _binning(cards: Cards, names: Iterable[str], axis: int) -> int:
    """Read 2, 2.0, '2', '2x2', '2*2' or '2 2'; 1 without a card."""
    numbers = re.findall(r"(\d+)(?:\.\d*)?", str(first_of(cards, names)[1] or ""))
    return max(1, int(numbers[min(axis, len(numbers) - 1)])) if numbers else 1


def _origin(cards: Cards, axis: int, binning: int) -> int | None:
    """Read the first column (axis 0) or row (axis 1) on the sensor, in binned pixels from 0."""
    origin = number_of(first_of(cards, _ORIGINS[axis])[1])
    if origin is not None:
        return round(origin)
    start = number_of(cards.get(_STARTS[axis]))
    for names in (_SECTIONS, _RECTANGLES):
        ends = re.findall(r"\d+", str(first_of(cards, names)[1] or ""))
        if start is None and len(ends) == 4:
            # A section that is read from the other side has its ends in the other order.
            start = min(map(int, ends[2 * axis : 2 * axis + 2]))
    if start is not None:
        return max(0, round(start) - 1) // binning
    offset = number_of(cards.get(_OFFSETS[axis]))
    return None if offset is None else max(0, round(-offset))


def _bayer(cards: Cards) -> str | None:
    pattern = str(first_of(cards, _BAYER)[1]).strip().upper()
    return pattern if pattern in _BAYER_PATTERNS else None


def image_problems(cards: Cards, geometry: Geometry | None) -> Iterator[str]:
    """List the reasons why an image cannot be used as a raw frame, each with what to do."""
    axes = cards.get("NAXIS")
    planes = prod(int(number_of(cards.get(name, 1)) or 0) for name in ("NAXIS3", "NAXIS4"))
    frames = planes_of(cards)
    if geometry is None or axes not in (2, 3, 4) or (axes == 4 and planes == 1):
        yield f"contains no two-dimensional image (NAXIS {axes}); exclude it"
    elif frames:
        yield f"is a series of {frames} frames in one file (a cube); {SERIES_REMEDY}"
    elif axes != 2 and planes != 1:
        yield (
            f"is a colour image of {planes} planes; use the raw frame, not debayered; "
            "split a series of frames into files with one frame each"
        )
    bits = cards.get("BITPIX", 16)
    if bits not in _SAMPLE_BITS:
        yield f"has an unknown sample format (BITPIX {bits}); BITPIX must be one of {_SAMPLE_BITS}"
    for name in ("BSCALE", "BZERO"):
        if number_of(cards.get(name, 0)) is None:
            yield f"is damaged: {name} is {cards[name]}, which is not a number; copy it again"
