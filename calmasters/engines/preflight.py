"""What is checked before an engine starts: settings it supports, frames as planned and sound."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from calmasters.engines.needs import EngineNeeds
from calmasters.errors import ConfigError, EngineError, FrameError
from calmasters.images.raw_frame import RawFrame
from calmasters.model.job import FrameFile, LeftOut, MasterJob
from calmasters.settings import BadFrames

__all__ = ["left_out_for", "require_enough", "require_frames", "require_supported", "survey"]


def require_supported(job: MasterJob, needs: EngineNeeds) -> None:
    """Refuse a job with settings that the engine does not support.

    Raises
    ------
    ConfigError
        Naming each of the settings, and what to choose.
    """
    if sentences := [*needs.unsupported(job)]:
        raise ConfigError("\n  ".join([f"{job.master}: {sentences[0]}", *sentences[1:]]))


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


def survey(job: MasterJob, input_dir: Path, rules: BadFrames) -> list[LeftOut]:
    """Find the frames of a job that cannot serve, for an engine that does not read them here.

    Raises
    ------
    EngineError
        As :func:`require_enough`.
    """
    left_out = []
    for file in job.frames:
        path = input_dir / file.path
        try:
            with RawFrame(path, job.recipe.float_range) as frame:
                frame.require_sound()
        except FrameError as error:
            left_out.append(left_out_for(file, path, error))
    require_enough(job, left_out, rules)
    return left_out


def left_out_for(file: FrameFile, path: Path, error: FrameError) -> LeftOut:
    """Put the reason into words that need no path."""
    return LeftOut(file.path, str(error).removeprefix(f"{path}: "))


def require_enough(job: MasterJob, left_out: Sequence[LeftOut], rules: BadFrames) -> None:
    """Raise where frames are not to be left out, or too few would remain.

    Raises
    ------
    EngineError
        With every bad frame and its reason.
    """
    if not left_out:
        return
    found = "\n  ".join(f"{frame.path}: {frame.reason}" for frame in left_out)
    if not rules.skip:
        raise EngineError(
            f"{job.name}: frames are bad, and on_bad_frame is fail; copy them again or leave them "
            f"out (exclude):\n  {found}"
        )
    left = len(job.frames) - len(left_out)
    if left < rules.minimum_frames:
        raise EngineError(
            f"{job.name}: {left} of {len(job.frames)} frames are left without the bad ones, and "
            f"minimum_frames is {rules.minimum_frames}; copy them again or take more:\n  {found}"
        )
