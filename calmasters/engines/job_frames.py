"""Open the raw frames of a job."""

from __future__ import annotations

from pathlib import Path

from calmasters.images.open_frame import OpenedFrame, open_frame
from calmasters.model.job import MasterJob

__all__ = ["open_frame_of"]


def open_frame_of(job: MasterJob, path: Path) -> OpenedFrame:
    """Open a frame of a job as the job reads it; use the result as a context manager.

    Raises
    ------
    FrameError
        If the file cannot be used; the message gives the reason.
    """
    return open_frame(path, job.recipe.frame_range, job.geometry.layout, job.added_adu)
