"""How much room on the disk the masters to be made take, asked before the first is begun."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from calmasters.errors import OutputError
from calmasters.frame import FrameType
from calmasters.model.job import MasterJob
from calmasters.settings import Calibrated

__all__ = ["Room", "require_room", "room_for"]

#: A sample of a master, or of a calibrated flat: float32.
_SAMPLE_BYTES: Final = 4
#: Beside the pixels: a header, the JSON and the log, and what they say of each frame.
_BYTES_A_MASTER: Final = 32_768
_BYTES_A_FRAME: Final = 1_024


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes that a run takes on the disk of ``output_dir``, at most at a time.

    Attributes
    ----------
    masters : int
        The new ones: the old are kept until these are there.
    calibrated : int
        Calibrated flats, which PixInsight and Siril write before they combine them.
    copies : int
        Of old masters, where the disk knows no second names.
    """

    masters: int
    calibrated: int = 0
    copies: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return self.masters + self.calibrated + self.copies

    def __str__(self) -> str:
        parts = {
            "masters": self.masters,
            "calibrated flats": self.calibrated,
            "copies of the masters before": self.copies,
        }
        return ", ".join(f"{_told(size)} for {what}" for what, size in parts.items() if size)


def room_for(jobs: Sequence[MasterJob], calibrated: Calibrated, copies: int = 0) -> Room:
    """Work out the room that masters take.

    Parameters
    ----------
    jobs : sequence of MasterJob
        Those to be made.
    calibrated : Calibrated
        Where calibrated flats are not kept, those of one master are there at a time.
    copies : int
        Bytes of old masters to be copied.
    """
    at_a_time = max(map(_calibrated, jobs), default=0)
    kept = sum(map(_calibrated, filter(_keeps, jobs))) if calibrated.keep else 0
    return Room(sum(map(_master, jobs)), max(at_a_time, kept), copies)


def _image(job: MasterJob) -> int:
    return job.geometry.width * job.geometry.height * _SAMPLE_BYTES


def _master(job: MasterJob) -> int:
    recipe = job.recipe
    maps = recipe.engine == "native" and recipe.integration.generateRejectionMaps
    images = 3 if maps else 1
    return images * _image(job) + _BYTES_A_MASTER + len(job.frames) * _BYTES_A_FRAME


def _keeps(job: MasterJob) -> bool:
    return job.recipe.engine == "pixinsight"


def _calibrated(job: MasterJob) -> int:
    written = job.recipe.engine != "native" and (job.bias or job.dark)
    return len(job.frames) * _image(job) if job.type is FrameType.FLAT and written else 0


def require_room(room: Room, output_dir: Path) -> None:
    """Refuse what the disk cannot hold.

    Raises
    ------
    OutputError
        With the room found, and what it is needed for.
    """
    free = shutil.disk_usage(output_dir).free
    if room.total > free:
        raise OutputError(
            f"output_dir '{output_dir}': {_told(free)} are free there, and what is to be made "
            f"needs {_told(room.total)} ({room}); make room, or choose another output_dir"
        )


def _told(size: float) -> str:
    """Write a size with three digits."""
    for unit in ("bytes", "kB", "MB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} GB" if size < 999.5 else f"{size:,.0f} GB"
