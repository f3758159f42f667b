"""What Siril made and what it said: looked at before it is believed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from calmasters.engines.image_stats import numbers_of
from calmasters.engines.siril.program import Version
from calmasters.errors import EngineError
from calmasters.images.raw_frame import Image
from calmasters.model.job import MasterJob
from calmasters.model.master_record import FrameStatistics, MasterStatistics
from calmasters.model.master_warning import MasterWarning

__all__ = ["describe", "last_lines", "read_result"]

#: How many of the log's last lines a failing job shows.
_LAST_LINES: Final = 12

_REJECTED: Final = re.compile(r"channel #0: ([\d.]+)% - ([\d.]+)%")


def read_result(path: Path, job: MasterJob) -> Image:
    """Read the image that Siril has stacked.

    Returns
    -------
    (height, width) array of float32
        As Siril left it: a calibrated flat may have samples outside [0, 1].

    Raises
    ------
    EngineError
        If it is not there, not whole, or not what ``job`` makes.
    """
    from astropy.io import fits

    try:
        with fits.open(path, memmap=False) as file:
            image = np.asarray(file[0].data)
    except (OSError, TypeError) as error:
        raise EngineError(
            f"{job.master}: Siril reported success, but its master cannot be read: {error}"
        ) from error
    expected = (job.geometry.height, job.geometry.width)
    if image.shape != expected or image.dtype.kind != "f" or not np.isfinite(image).all():
        raise EngineError(
            f"{job.master}: Siril has made {image.shape} samples (height, width) of "
            f"{image.dtype.name}; {expected} finite floats were expected"
        )
    return np.ascontiguousarray(image, np.float32)


def last_lines(log: str) -> str:
    """Give the end of what Siril said, without what it tells of its progress."""
    said = [line.removeprefix("log: ") for line in log.splitlines() if line.startswith("log: ")]
    return "\n    ".join(said[-_LAST_LINES:])


def describe(
    job: MasterJob,
    image: Image,
    log: str,
    version: Version,
    seconds: float,
    warnings: Sequence[MasterWarning],
) -> MasterStatistics:
    """Say what is known of a master.

    Parameters
    ----------
    job : MasterJob
    image : (height, width) array of float32
        The master, in [0, 1].
    log : str
        What Siril said.
    version : Version
    seconds : float
        Wall time it took.
    warnings : sequence of MasterWarning
        What weakens it.

    Notes
    -----
    Siril tells the share of samples that it rejected in all, to 0.001 %, and nothing of frames.
    """
    low, high = _rejected(job, log)
    return MasterStatistics(
        frames=tuple(FrameStatistics(frame.path, low=None, high=None) for frame in job.frames),
        **numbers_of(image, job.geometry),
        seconds=seconds,
        versions={"Siril": version.text},
        warnings=tuple(warnings),
        rejected_low=low,
        rejected_high=high,
    )


def _rejected(job: MasterJob, log: str) -> tuple[int | None, int | None]:
    found = _REJECTED.search(log)
    if not found:
        return None, None
    samples = job.geometry.width * job.geometry.height * len(job.frames)
    low, high = (round(float(percent) / 100 * samples) for percent in found.groups())
    return low, high
