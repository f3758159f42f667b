"""Copies of frames as plain FITS files, for programs that do not read them, or in another way."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from calmasters.images.raw_frame import RawFrame, header_of

__all__ = ["write_plain_copy"]

_BLOCK: Final = 2880
#: Cards that say how samples are read; sizes and BITPIX are those of the image.
_CARDS: Final = ("BZERO", "BSCALE", "ROWORDER", "BAYERPAT")


def write_plain_copy(source: Path, target: Path, float_range: str = "auto") -> None:
    """Write a frame as a FITS file of one image, with the samples as they are stored.

    Parameters
    ----------
    source : Path
    target : Path
    float_range : {'auto', 'unit', 'adu16'}
        As for :class:`calmasters.images.raw_frame.RawFrame`.

    Raises
    ------
    FrameError
        If the frame cannot be read.
    """
    from astropy.io import fits

    known = header_of(source).cards
    with RawFrame(source, float_range) as frame, target.open("wb") as file:
        header = fits.Header(
            {
                "SIMPLE": True,
                "BITPIX": known["BITPIX"],
                "NAXIS": 2,
                "NAXIS1": frame.width,
                "NAXIS2": frame.height,
                **{name: known[name] for name in _CARDS if name in known},
            }
        )
        file.write(header.tostring().encode("ascii"))
        frame.write_stored(file)
        file.write(bytes(-file.tell() % _BLOCK))
