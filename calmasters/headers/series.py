"""Series: several frames of one camera as the planes of one FITS image (a cube)."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from calmasters.headers.fits_cards import Cards, CardValue, ImageHeader, axes_of, number_of
from calmasters.headers.nights import utc_of

__all__ = ["SERIES_CARDS", "plane_header", "planes_of", "series_problem"]

#: Number of planes of a colour image.
_COLOURS: Final = 3
#: Andor's programs: number of frames of a kinetic series.
_LENGTH: Final = "NUMKIN"
#: Seconds from the start of a frame to that of the next one: kinetic cycle, accumulation cycle.
_CADENCE: Final = ("KCT", "ACT")
#: A damaged or malicious header may declare any number.
_MOST_PLANES: Final = 100_000
#: Cards that decide whether an image is a series.
SERIES_CARDS: Final = ("NAXIS", "NAXIS3", "NAXIS4", _LENGTH)


def planes_of(cards: Cards) -> int:
    """Return the number of frames of a series; 0 for a single image.

    Three planes are the colours of one image, if the header does not say that it is a series.
    """
    if cards.get("NAXIS") not in (3, 4):
        return 0
    axes = [int(number_of(cards.get(name, 1)) or 0) for name in ("NAXIS3", "NAXIS4")]
    planes = axes[0] * axes[1]
    if planes < 2:
        return 0
    is_colour = _COLOURS in (axes[0], planes) and number_of(cards.get(_LENGTH)) != planes
    return 0 if is_colour else planes


def series_problem(header: ImageHeader) -> str:
    """Return why the planes of a series cannot be read one by one, and what to do; or empty."""
    planes = planes_of(header.cards)
    if planes > _MOST_PLANES:
        return f"declares {planes} frames (limit {_MOST_PLANES}); split it into several files"
    if header.packing == "xisf":
        return f"is a series of {planes} frames in an XISF file; save it as FITS"
    if header.packing:
        return f"is a series of {planes} frames in a compressed file; unpack it"
    return ""


def plane_header(header: ImageHeader, plane: int) -> ImageHeader:
    """Return the header of one frame of a series, as if it had a file of its own.

    Where the header has a cadence, times are those of this frame. An EXPTIME that is the sum of all
    frames gives way to EXPOSURE.

    Parameters
    ----------
    header : ImageHeader
        Of a file that is not packed.
    plane : int
        From 1.
    """
    width, height = axes_of(header.cards)[:2]
    count = planes_of(header.cards)
    size = abs(int(header.cards["BITPIX"])) // 8 * width * height
    cards: dict[str, CardValue] = {**header.cards, "NAXIS": 2}
    for name in ("NAXIS3", "NAXIS4"):
        cards.pop(name, None)
    total, single = (number_of(cards.get(name)) for name in ("EXPTIME", "EXPOSURE"))
    if total and single and abs(total - count * single) <= 1e-3 * total:
        del cards["EXPTIME"]
    cadences = filter(None, (number_of(cards.get(name)) for name in _CADENCE))
    later = timedelta(seconds=(plane - 1) * max(0.0, next(cadences, 0.0)))
    if later:
        if start := utc_of(cards):
            cards["DATE-OBS"] = (start + later).isoformat()
        with suppress(KeyError, TypeError, ValueError):
            local = datetime.fromisoformat(str(cards["DATE-LOC"]))
            cards["DATE-LOC"] = (local + later).isoformat()
    start_of_data = header.data_offset + (plane - 1) * size
    return header._replace(cards=cards, data_offset=start_of_data, end_of_data=start_of_data + size)
