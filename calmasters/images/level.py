"""Measure the level of an image without reading all of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from calmasters.errors import FrameError
from calmasters.images.raw_frame import RawFrame

__all__ = ["middle_level"]

#: Rows that are read from the middle of the image.
_ROWS = 16


def middle_level(path: Path) -> float | None:
    """Return the median of some rows from the middle, in 16-bit ADU; None if it cannot be read.

    Parameters
    ----------
    path : Path
        A FITS or XISF file.
    """
    try:
        with RawFrame(path) as frame:
            rows = min(_ROWS, frame.height)
            start = (frame.height - rows) // 2 * frame.width
            samples = frame.read(start, rows * frame.width).samples
            return float(np.median(samples)) * 65535
    except (FrameError, OSError):
        return None
