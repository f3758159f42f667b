"""Check the image that Siril made, and collect its statistics."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from calmasters.engines.image_stats import pixel_statistics
from calmasters.engines.siril.program import Version
from calmasters.errors import EngineError
from calmasters.images.raw_frame import Image
from calmasters.model.job import MasterJob
from calmasters.model.master_record import FrameStatistics, MasterStatistics
from calmasters.model.master_warning import MasterWarning

__all__ = ["last_lines", "master_statistics", "read_result"]

#: Number of the last log lines in the message of a failed job.
_LAST_LINES: Final = 12

_REJECTED: Final = re.compile(r"channel #0: ([\d.]+)% - ([\d.]+)%")


def read_result(path: Path, job: MasterJob) -> Image:
    """Read and check the image that Siril has stacked.

    Returns
    -------
    (height, width) array of float32
        As Siril wrote it: a calibrated flat can have samples outside [0, 1].

    Raises
    ------
    EngineError
        If it is missing, truncated, or not the master of ``job``.
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
            f"{job.master}: Siril's master has (height, width) {image.shape} and samples of "
            f"{image.dtype.name}, expected {expected} and finite floats"
        )
    return np.ascontiguousarray(image, np.float32)


def last_lines(log: str) -> str:
    """Return the last lines of Siril's log, without its progress."""
    lines = [line.removeprefix("log: ") for line in log.splitlines() if line.startswith("log: ")]
    return "\n    ".join(lines[-_LAST_LINES:])


def master_statistics(
    job: MasterJob,
    image: Image,
    log: str,
    version: Version,
    seconds: float,
    warnings: Sequence[MasterWarning],
) -> MasterStatistics:
    """Return the statistics of a master.

    Parameters
    ----------
    job : MasterJob
    image : (height, width) array of float32
        The master, in [0, 1].
    log : str
        The output of Siril.
    version : Version
    seconds : float
        Duration.
    warnings : sequence of MasterWarning
        Warnings about its input and result.

    Notes
    -----
    Siril reports only the total share of rejected samples, to 0.001 %, and no counts of frames.
    """
    low, high = _rejected(job, log)
    return MasterStatistics(
        frames=tuple(FrameStatistics(frame.path, low=None, high=None) for frame in job.frames),
        **pixel_statistics(image, job.geometry),
        seconds=seconds,
        versions={"Siril": version.text},
        warnings=tuple(warnings),
        rejected_low=low,
        rejected_high=high,
    )


def _rejected(job: MasterJob, log: str) -> tuple[int | None, int | None]:
    match = _REJECTED.search(log)
    if not match:
        return None, None
    samples = job.geometry.width * job.geometry.height * len(job.frames)
    low, high = (round(float(percent) / 100 * samples) for percent in match.groups())
    return low, high
