"""Check the master that PixInsight made, and collect its statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from calmasters.engines.dark_scaling import weak_factors
from calmasters.engines.image_stats import pixel_statistics
from calmasters.engines.pixinsight.status import Status
from calmasters.engines.preflight import CheckedFrames
from calmasters.engines.result_warnings import zero_pixels
from calmasters.errors import EngineError, FrameError
from calmasters.frame import FrameType
from calmasters.headers.image_header import read_cards
from calmasters.images.master_file import read_image
from calmasters.images.raw_frame import Image
from calmasters.model.job import FrameFile, MasterJob
from calmasters.model.master_record import FrameStatistics, MasterStatistics
from calmasters.model.master_warning import MasterWarning, WarningKind

__all__ = ["check_master", "master_statistics"]


def check_master(path: Path, job: MasterJob) -> Image:
    """Read and check the master that PixInsight has reported.

    Returns
    -------
    (height, width) array of float32
        In [0, 1].

    Raises
    ------
    EngineError
        If it is missing, truncated, or not the master of ``job``.
    """
    if not path.exists():
        raise EngineError(f"{job.master}: PixInsight reported success, but there is no master")
    try:
        image, not_finite = read_image(path)
        image_type = read_cards(path).get("IMAGETYP")
    except (OSError, FrameError) as error:
        raise EngineError(
            f"{job.master}: PixInsight reported success, but its master cannot be used: {error}"
        ) from error
    actual = (image.shape[1], image.shape[0], not_finite, image_type)
    expected = (job.geometry.width, job.geometry.height, 0, job.type.master_name)
    if actual != expected:
        raise EngineError(
            f"{job.master}: PixInsight's master has (width, height, NaNs, IMAGETYP) {actual}, "
            f"expected {expected}"
        )
    return image


def master_statistics(
    job: MasterJob,
    status: Status,
    image: Image,
    seconds: float,
    checked: CheckedFrames,
) -> MasterStatistics:
    """Return the statistics of a master.

    Parameters
    ----------
    job : MasterJob
    status : Status
        The report of PixInsight: rejected samples, factors of the dark, warnings.
    image : (height, width) array of float32
        The master, in [0, 1].
    seconds : float
        Duration.
    checked : CheckedFrames
        What was found in the frames before; those left out were not combined.
    """
    files = job.frames_without(checked.left_out)
    if not checked.subtracts_dark:
        status = replace(status, k=[0.0] * len(files))
    return MasterStatistics(
        frames=_frames(files, status),
        **pixel_statistics(image, job.geometry),
        seconds=seconds,
        versions={"PixInsight": status.version, "calmasters": version("calmasters")},
        warnings=(
            *(MasterWarning(WarningKind.OTHER, text) for text in status.warnings),
            *checked.warnings,
            *weak_factors(status.k, checked.scaling, checked.noise),
            *(zero_pixels(image) if job.type is FrameType.FLAT else ()),
        ),
        left_out=tuple(checked.left_out),
        differences=checked.differences,
    )


def _frames(files: Sequence[FrameFile], status: Status) -> tuple[FrameStatistics, ...]:
    """Return the statistics of each frame that PixInsight reports."""
    n = len(files)
    # Unknown counts are null: a missing report is not a report of nothing.
    rejected = status.rejected if len(status.rejected) == n else [(None, None)] * n
    factors = status.k if len(status.k) == n else [None] * n
    return tuple(
        FrameStatistics(frame.path, low=low, high=high, k=k)
        for frame, (low, high), k in zip(files, rejected, factors, strict=True)
    )
