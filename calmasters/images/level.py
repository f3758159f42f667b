"""Measure the level of an image without reading all of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from calmasters.errors import FrameError
from calmasters.frame_layout import FrameLayout
from calmasters.images.open_frame import open_frame

__all__ = ["middle_level"]

#: Rows that are read from the middle of the image.
_ROWS = 16


def middle_level(path: Path, layout: FrameLayout | None = None) -> float | None:
    """Return the median of some rows from the middle, in 16-bit ADU; None if it cannot be read.

    Parameters
    ----------
    path : Path
        A FITS or XISF file.
    layout : FrameLayout, optional
        Of a raw frame; the level is that after the subtraction of its overscan.
    """
    try:
        pedestal_adu = layout.pedestal_adu if layout else 0.0
        with open_frame(path, layout=layout, pedestal_adu=pedestal_adu) as frame:
            rows = min(_ROWS, frame.height)
            start = (frame.height - rows) // 2 * frame.width
            samples = frame.read(start, rows * frame.width).samples
            return float(np.median(samples)) * 65535
    except (FrameError, OSError):
        return None
