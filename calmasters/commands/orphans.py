"""Masters in ``output_dir`` that the plan does not make: why, and whether a flat uses them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from calmasters.errors import RecordError
from calmasters.frame import FrameType
from calmasters.inventory.scan import scan_masters
from calmasters.model.layout import unplanned
from calmasters.model.master_record import MasterRecord
from calmasters.planning.kept_masters import fate_of_frames
from calmasters.planning.planner import Decision
from calmasters.running.set_aside import set_aside
from calmasters.settings import Settings

__all__ = ["Orphan", "find_orphans", "list_orphans", "set_aside_unused"]

_KINDS: Final = (FrameType.BIAS, FrameType.DARK, FrameType.FLAT)


@dataclass(frozen=True)
class Orphan:
    """A master that no job makes any more.

    Attributes
    ----------
    path : str
        Relative to ``output_dir``.
    reason : str
        Why no job makes it.
    used_by : tuple of str
        Names of the flats that are calibrated with it.
    """

    path: str
    reason: str
    used_by: tuple[str, ...]


def find_orphans(decision: Decision, settings: Settings) -> list[Orphan]:
    """Find the masters of ``output_dir`` that are not in the plan, by path."""
    made = {job.master for job in decision.jobs}
    paths = (file.path for file in scan_masters(settings, _KINDS))
    return [
        Orphan(path, _reason(path, decision, settings.output_dir), _users(path, decision))
        for path in unplanned(paths, made, settings.output_dir)
    ]


def _users(path: str, decision: Decision) -> tuple[str, ...]:
    return tuple(
        job.name
        for job in decision.jobs
        if any(used and used.path == path for used in (job.bias, job.dark))
    )


def _reason(path: str, decision: Decision, output_dir: Path) -> str:
    name = PurePosixPath(path).stem
    for job in decision.jobs:
        if PurePosixPath(job.name).name == name:
            return f"it is made as {job.master} now (layout, master_format)"
    for group in decision.not_made:
        if PurePosixPath(group.name).name == name:
            return group.reason
    frames = _frames(output_dir / path)
    if not frames:
        return "it has no record beside it: this workflow did not make it"
    there = [path for path in frames if path in decision.verdicts]
    return fate_of_frames(there, decision.verdicts, gone=len(frames) - len(there))


def _frames(master: Path) -> tuple[str, ...]:
    """Read in a master's record what it was made of."""
    try:
        return tuple(frame.path for frame in MasterRecord.read(master.with_suffix(".json")).frames)
    except (OSError, RecordError):
        return ()


def list_orphans(orphans: list[Orphan]) -> str:
    """Write orphans as text."""
    if not orphans:
        return "No orphans: every master is made by the plan."
    return "\n".join(line for orphan in orphans for line in _lines(orphan))


def _lines(orphan: Orphan) -> Iterator[str]:
    yield orphan.path
    yield f"    {orphan.reason}"
    yield f"    used by {', '.join(orphan.used_by)}" if orphan.used_by else "    used by no flat"


def set_aside_unused(orphans: list[Orphan], output_dir: Path) -> Mapping[Path, Path]:
    """Move the orphans that no flat uses, as :func:`~calmasters.running.set_aside.set_aside`."""
    return set_aside((orphan.path for orphan in orphans if not orphan.used_by), output_dir)
