"""A job that outlives its run must not write over what another run makes."""

from __future__ import annotations

from pathlib import Path

from calmasters.errors import EngineError
from calmasters.model.job import MasterJob
from calmasters.model.layout import LOCK

__all__ = ["TakeoverGuard"]


class TakeoverGuard:
    """What must stay the same while a master is made: its job file, and the lock of its run.

    When a run is killed, its jobs can go on; another run may then take the lock and begin the same
    master.

    Parameters
    ----------
    job : MasterJob
    output_dir : Path
    """

    def __init__(self, job: MasterJob, output_dir: Path) -> None:
        self._job = job
        self._files = (output_dir / job.file, output_dir / LOCK)
        self._before = [*map(_content, self._files)]

    def require(self) -> None:
        """Refuse to go on where the job file was written again, or another run has the lock.

        Raises
        ------
        EngineError
            With what to do.
        """
        if [*map(_content, self._files)] != self._before:
            raise EngineError(
                f"{self._job.master}: another run has taken over while it was made, so it is not "
                "put in place; run again"
            )


def _content(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""
