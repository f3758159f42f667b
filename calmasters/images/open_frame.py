"""Open a raw frame, whatever the layout of its file."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from calmasters.frame_layout import FrameLayout
from calmasters.images.assembled_frame import AssembledFrame
from calmasters.images.raw_frame import RawFrame

__all__ = ["OpenedFrame", "open_frame"]

#: A frame that is read in strips.
OpenedFrame: TypeAlias = RawFrame | AssembledFrame


def open_frame(
    path: Path,
    float_range: str = "auto",
    layout: FrameLayout | None = None,
    pedestal_adu: float = 0.0,
) -> OpenedFrame:
    """Open a raw frame; use the result as a context manager.

    Parameters
    ----------
    path : Path
    float_range : {'auto', 'unit', 'adu16'}
        Range of floating-point samples of FITS files.
    layout : FrameLayout, optional
        Of a file whose samples are not the frame as it is.
    pedestal_adu : float, optional
        What is added to the samples of such a frame.

    Raises
    ------
    FrameError
        If the file cannot be used; the message gives the reason.
    """
    if layout is None:
        return RawFrame(path, float_range)
    return AssembledFrame(path, layout, float_range, pedestal_adu)
