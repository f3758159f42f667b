"""A job that continues after its run was killed must not overwrite masters of another run."""

from __future__ import annotations

from pathlib import Path

from calmasters.errors import EngineError
from calmasters.model.job import MasterJob
from calmasters.model.layout import LOCK

__all__ = ["TakeoverGuard"]


class TakeoverGuard:
    """Checks that the job file and the lock of the run do not change while a master is made.

    When a run is killed, its jobs can continue; another run can then take the lock and start the
    same master.

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
        """Raise EngineError if the job file was written again, or another run has the lock."""
        if [*map(_content, self._files)] != self._before:
            raise EngineError(
                f"{self._job.master}: another run has taken over while it was made, so it was "
                "discarded; run again"
            )


def _content(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""
