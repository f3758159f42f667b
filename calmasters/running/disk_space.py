"""The disk space that the masters to be made need, checked before the first is begun."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from calmasters.engines import needs_of
from calmasters.engines.needs import image_bytes
from calmasters.errors import OutputError
from calmasters.model.job import MasterJob
from calmasters.settings import Calibrated

__all__ = ["DiskNeed", "disk_need", "require_disk_space"]

#: Beside the pixels: a header, the JSON and the log, and what they say of each frame.
_BYTES_A_MASTER: Final = 32_768
_BYTES_A_FRAME: Final = 1_024


@dataclass(frozen=True, slots=True)
class DiskNeed:
    """Bytes that a run takes on the disk of ``output_dir``, at most at the same time.

    Attributes
    ----------
    masters : int
        The new ones: the old are kept until these are there.
    calibrated : int
        Calibrated flats, which some engines write before they combine them.
    copies : int
        Of previous masters, where the file system has no hard links.
    frames : int
        Rewritten frames of one master, for engines that need plain files: camera raws, series,
        frames with an overscan or several amplifiers.
    """

    masters: int
    calibrated: int = 0
    copies: int = 0
    frames: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return self.masters + self.calibrated + self.copies + self.frames

    def __str__(self) -> str:
        parts = {
            "masters": self.masters,
            "calibrated flats": self.calibrated,
            "copies of previous masters": self.copies,
            "rewritten frames": self.frames,
        }
        return ", ".join(f"{_size(size)} for {what}" for what, size in parts.items() if size)


def disk_need(jobs: Sequence[MasterJob], calibrated: Calibrated, copies: int = 0) -> DiskNeed:
    """Add up the disk space that masters need.

    Parameters
    ----------
    jobs : sequence of MasterJob
        Those to be made.
    calibrated : Calibrated
        Where calibrated flats are not kept, only those of one master are there at the same time.
    copies : int
        Bytes of previous masters to be copied.
    """
    at_a_time = max(map(_calibrated, jobs), default=0)
    kept = sum(map(_calibrated, filter(_keeps_calibrated, jobs))) if calibrated.keep else 0
    frames = max((needs_of(job.recipe.engine).rewritten_bytes(job) for job in jobs), default=0)
    return DiskNeed(sum(map(_master, jobs)), max(at_a_time, kept), copies, frames)


def _master(job: MasterJob) -> int:
    images = image_bytes(job) + needs_of(job.recipe.engine).map_bytes(job)
    return images + _BYTES_A_MASTER + len(job.frames) * _BYTES_A_FRAME


def _calibrated(job: MasterJob) -> int:
    return needs_of(job.recipe.engine).calibrated_bytes(job)


def _keeps_calibrated(job: MasterJob) -> bool:
    return needs_of(job.recipe.engine).keeps_calibrated


def require_disk_space(need: DiskNeed, output_dir: Path) -> None:
    """Refuse what does not fit on the disk.

    Raises
    ------
    OutputError
        With the space that is free, and what is needed for what.
    """
    free = shutil.disk_usage(output_dir).free
    if need.total > free:
        raise OutputError(
            f"output_dir '{output_dir}': what is to be made needs {_size(need.total)} ({need}), "
            f"only {_size(free)} free; free disk space, or choose another output_dir"
        )


def _size(size: float) -> str:
    """Write a size with three digits."""
    for unit in ("bytes", "kB", "MB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} GB" if size < 999.5 else f"{size:,.0f} GB"
