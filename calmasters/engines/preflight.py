"""What a job needs, looked at before a program is started that takes long to find it missing."""

from __future__ import annotations

from pathlib import Path

from calmasters.errors import EngineError
from calmasters.model.job import MasterJob

__all__ = ["require_frames"]


def require_frames(job: MasterJob, input_dir: Path) -> None:
    """Refuse a job whose frames are not as they were when it was planned.

    Raises
    ------
    EngineError
        Naming the first frame that is gone or has another size.
    """
    for frame in job.frames:
        path = input_dir / frame.path
        found = path.stat().st_size if path.is_file() else "no file"
        if found != frame.size:
            raise EngineError(
                f"{job.master}: {path} had {frame.size} bytes when the job was planned, now there "
                f"is {found}; run again, so that the plan is made anew"
            )
