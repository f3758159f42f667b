"""Checks before an engine starts and before its master is put in place.

Settings must be supported, frames unchanged and usable, and the job must still belong to its run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from calmasters.engines.needs import EngineNeeds
from calmasters.errors import ConfigError, EngineError, FrameError
from calmasters.images.raw_frame import RawFrame
from calmasters.model.job import FrameFile, LeftOut, MasterJob
from calmasters.model.layout import LOCK
from calmasters.settings import BadFrames

__all__ = [
    "TakeoverGuard",
    "find_bad_frames",
    "left_out_for",
    "require_enough",
    "require_frames",
    "require_supported",
]


def require_supported(job: MasterJob, needs: EngineNeeds) -> None:
    """Refuse a job with settings that the engine does not support.

    Raises
    ------
    ConfigError
        Names each of the settings, and the supported values.
    """
    if sentences := [*needs.unsupported(job)]:
        raise ConfigError("\n  ".join([f"{job.master}: {sentences[0]}", *sentences[1:]]))


def require_frames(job: MasterJob, input_dir: Path) -> None:
    """Refuse a job whose frames were changed after it was planned.

    Raises
    ------
    EngineError
        Names the first frame that is missing or has another size.
    """
    for frame in job.frames:
        path = input_dir / frame.path
        size = path.stat().st_size if path.is_file() else None
        if size != frame.size:
            now = "is missing" if size is None else f"has {size}"
            raise EngineError(
                f"{job.master}: {path} had {frame.size} bytes when the job was planned, and now "
                f"{now}: run again to plan it again"
            )


def find_bad_frames(job: MasterJob, input_dir: Path, rules: BadFrames) -> list[LeftOut]:
    """Read the frames of a job and find the bad ones, for engines that do not check them.

    Raises
    ------
    EngineError
        As :func:`require_enough`.
    """
    left_out = []
    for file in job.frames:
        path = input_dir / file.path
        try:
            with RawFrame(path, job.recipe.frame_range) as frame:
                frame.require_valid_samples()
        except FrameError as error:
            left_out.append(left_out_for(file, path, error))
    require_enough(job, left_out, rules)
    return left_out


def left_out_for(file: FrameFile, path: Path, error: FrameError) -> LeftOut:
    """Return a bad frame with the reason, which does not repeat its path."""
    return LeftOut(file.path, str(error).removeprefix(f"{path}: "))


def require_enough(job: MasterJob, left_out: Sequence[LeftOut], rules: BadFrames) -> None:
    """Refuse a job whose bad frames must not be left out, or that has too few good ones.

    Raises
    ------
    EngineError
        Names every bad frame with its reason.
    """
    if not left_out:
        return
    bad = "\n  ".join(f"{frame.path}: {frame.reason}" for frame in left_out)
    if not rules.skip:
        raise EngineError(
            f"{job.name}: {len(left_out)} of {len(job.frames)} frames are damaged, and "
            f"on_bad_frame is fail; copy them again or exclude them:\n  {bad}"
        )
    left = len(job.frames) - len(left_out)
    if left < rules.minimum_frames:
        raise EngineError(
            f"{job.name}: {left} of {len(job.frames)} frames are good, and minimum_frames is "
            f"{rules.minimum_frames}; copy the damaged ones again or take more:\n  {bad}"
        )


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
