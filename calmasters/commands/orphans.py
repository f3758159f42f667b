"""Masters in ``output_dir`` that the plan does not make: why, and whether a flat uses them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from calmasters.errors import RecordError
from calmasters.frame import FrameType, Status
from calmasters.inventory.scan import scan_masters
from calmasters.model.layout import ORPHANS
from calmasters.model.master_record import MasterRecord
from calmasters.planning.planner import Decision
from calmasters.settings import Settings

__all__ = ["Orphan", "find_orphans", "list_orphans", "set_aside"]

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
    files = scan_masters(settings, _KINDS)
    return [
        Orphan(
            file.path,
            _reason(file.path, decision, settings.output_dir),
            _users(file.path, decision),
        )
        for file in files
        if file.path not in made
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
    return _fate(frames, decision)


def _frames(master: Path) -> tuple[str, ...]:
    """Read in a master's record what it was made of."""
    try:
        return tuple(frame.path for frame in MasterRecord.read(master.with_suffix(".json")).frames)
    except (OSError, RecordError):
        return ()


def _fate(frames: tuple[str, ...], decision: Decision) -> str:
    """Say what became of the frames that a master was made of."""
    there = [path for path in frames if path in decision.verdicts]
    if not there:
        return "its frames are missing"
    verdicts = [decision.verdicts[path] for path in there]
    groups = sorted({each.group for each in verdicts if each.status is Status.USED})
    refused = [each.reason for each in verdicts if each.status is not Status.USED]
    missing = f"{len(frames) - len(there)} of its {len(frames)} frames are missing"
    parts = [missing] if len(there) < len(frames) else []
    parts += [f"its frames make {', '.join(groups)} now"] if groups else []
    parts += [f"{len(refused)} of its frames are left out: {refused[0]}"] if refused else []
    return "; ".join(parts)


def list_orphans(orphans: list[Orphan]) -> str:
    """Write orphans as text."""
    if not orphans:
        return "No orphans: every master is made by the plan."
    return "\n".join(line for orphan in orphans for line in _lines(orphan))


def _lines(orphan: Orphan) -> Iterator[str]:
    yield orphan.path
    yield f"    {orphan.reason}"
    yield f"    used by {', '.join(orphan.used_by)}" if orphan.used_by else "    used by no flat"


def set_aside(orphans: list[Orphan], output_dir: Path) -> Mapping[Path, Path]:
    """Move the orphans that no flat uses to ``output_dir/orphans``, with their records.

    Returns
    -------
    mapping of Path to Path
        From where each file went to where it is. No file there is overwritten.
    """
    moved: dict[Path, Path] = {}
    for orphan in orphans:
        if orphan.used_by:
            continue
        master = output_dir / orphan.path
        folder = output_dir / ORPHANS / PurePosixPath(orphan.path).parent
        folder.mkdir(parents=True, exist_ok=True)
        for file in (master, master.with_suffix(".json")):
            # The JSON may belong to the same master in another format.
            if file == master or (file.is_file() and not _shared(master)):
                moved[file] = file.rename(_free(folder / file.name))
    return moved


def _shared(master: Path) -> bool:
    """Return whether another master has the same name before the extension."""
    return any(
        other.suffix != ".json" and other.stem == master.stem for other in master.parent.iterdir()
    )


def _free(path: Path) -> Path:
    """Find a name that is not taken, by a number after it."""
    taken, number = path, 0
    while taken.exists():
        number += 1
        taken = path.with_name(f"{path.stem}.{number}{path.suffix}")
    return taken
