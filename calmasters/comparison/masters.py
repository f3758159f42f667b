"""How two masters of the same frames differ: their pixels and their header cards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from calmasters.errors import EngineError
from calmasters.headers.fits_cards import CardValue
from calmasters.headers.image_header import read_cards
from calmasters.images.master_file import read_image
from calmasters.images.raw_frame import Image

__all__ = ["ADU", "PixelDifference", "compare_cards", "compare_images", "compare_pixels"]

#: 1 in an image is this many ADU of 16 bits.
ADU: Final = 65535.0

#: Cards that say how the file is built, when and by which program it was written. ROWORDER is
#: compared separately: without it, the top row is the first one.
_OF_THE_FILE: Final = frozenset(
    {
        *("SIMPLE", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "NAXIS3", "EXTEND", "BZERO", "BSCALE"),
        *("DATE", "CREATOR", "PROGRAM", "SWCREATE", "HDUNAME", "EXTNAME", "COMMENT", "HISTORY"),
        *("CHECKSUM", "DATASUM", "COLORSPC", "RESOLUTN", "RESOUNIT", "ROWORDER"),
    }
)
_TOP_DOWN: Final = "TOP-DOWN"


@dataclass(frozen=True, slots=True)
class PixelDifference:
    """How the pixels of an image differ from those of a reference.

    Attributes
    ----------
    pixels : int
        Number of pixels that differ.
    all_pixels : int
    x, y : int
        Column and row of the largest difference, from 0 and from the first row of the file.
    found_adu, expected_adu : float
        That pixel, and the one of the reference, in 16-bit ADU.
    """

    pixels: int
    all_pixels: int
    x: int = 0
    y: int = 0
    found_adu: float = 0.0
    expected_adu: float = 0.0

    @property
    def largest_adu(self) -> float:
        """The largest difference, in 16-bit ADU."""
        return abs(self.found_adu - self.expected_adu)


def compare_images(found: Path, expected: Path) -> PixelDifference:
    """Compare the pixels of two masters' files; see :func:`compare_pixels`.

    Raises
    ------
    EngineError
        If their sizes differ.
    FrameError
        If a file cannot be read.
    """
    image, reference = (read_image(path)[0] for path in (found, expected))
    if image.shape != reference.shape:
        raise EngineError(
            f"'{found}' has (height, width) {image.shape}, and '{expected}' has {reference.shape}: "
            "they are not masters of the same frames"
        )
    return compare_pixels(image, reference)


def compare_pixels(image: Image, reference: Image) -> PixelDifference:
    """Compare two images of one size, pixel by pixel.

    Parameters
    ----------
    image, reference : (height, width) array of float32
        In [0, 1].
    """
    difference = np.abs(image.astype(np.float64) - reference)
    count = int(np.count_nonzero(difference))
    if not count:
        return PixelDifference(0, image.size)
    y, x = (int(index) for index in np.unravel_index(difference.argmax(), image.shape))
    levels = (ADU * float(each[y, x]) for each in (image, reference))
    return PixelDifference(count, image.size, x, y, *levels)


def compare_cards(
    found: Path, expected: Path
) -> Mapping[str, tuple[CardValue | None, CardValue | None]]:
    """Return the header cards that differ between two masters, without those of the file.

    Returns
    -------
    mapping of str to (CardValue or None, CardValue or None)
        By keyword, the value found and the value expected; None where there is no such card.
    """
    cards, reference = (read_cards(path) for path in (found, expected))
    keywords = {*cards, *reference} - _OF_THE_FILE
    pairs = {keyword: (cards.get(keyword), reference.get(keyword)) for keyword in keywords}
    pairs["ROWORDER"] = cards.get("ROWORDER", _TOP_DOWN), reference.get("ROWORDER", _TOP_DOWN)
    return {keyword: pairs[keyword] for keyword in sorted(pairs) if not _equal(*pairs[keyword])}


def _equal(found: CardValue | None, expected: CardValue | None) -> bool:
    if isinstance(found, str) and isinstance(expected, str):
        # Blanks at the end of a text do not count (FITS standard 4.0, section 4.2.1).
        return found.rstrip() == expected.rstrip()
    return found == expected and isinstance(found, bool) == isinstance(expected, bool)
