"""Which masters are stale, and how Snakemake comes to see it.

The record next to a master says what it was made of, its job what it is to be made of: the master
is current where both agree, and no date decides alone. Snakemake compares times, so times have to
say the same as the records: **a job file is newer than a master that another job made, and not
newer than one that it made itself.** The checkpoint writes job files so, at the natural time or at
that of the master. Where somebody touched or copied files, times and records disagree; then the
plan does not hold, and the checkpoint sets the job files right.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from calmasters.atomic_files import temporary_folder, write_whole
from calmasters.errors import OutputError, RecordError
from calmasters.frame import FrameType
from calmasters.inventory.content_digests import ContentDigests
from calmasters.inventory.listing import kept_identities
from calmasters.inventory.scan import scan_masters
from calmasters.model.job import MadeOf, MasterJob, read_head, read_made_of
from calmasters.model.layout import (
    INVENTORY,
    JOBS,
    MASTERS,
    PLAN,
    TRIGGER_FOLDER,
    job_path_of,
    record_path,
    unplanned,
)
from calmasters.planning.plan_file import Plan
from calmasters.settings import Settings

__all__ = [
    "FileTimes",
    "is_current",
    "make_times_usable",
    "masters_to_rebuild",
    "plan_holds",
    "trigger_file",
    "write_job_files",
]

#: Steps in which a file is dated after another one, until the file system distinguishes them:
#: FAT counts times in steps of two seconds.
_STEPS_NS: Final = (1_000, 1_000_000, 1_000_000_000, 2_000_000_000)

#: How long the clock of a disk may take to pass a time that is not in the future, in seconds.
_TICK_LIMIT_S: Final = 10.0
_POLL_S: Final = 0.002


class FileTimes:
    """When files were modified, and their size; each is looked at once.

    Parameters
    ----------
    folder : Path
        What the files' paths are relative to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._times_ns: dict[str, float] = {}
        self._sizes: dict[str, int] = {}

    def of(self, path: str) -> float:
        """Give the time of a file in nanoseconds; infinite for a missing one."""
        if path not in self._times_ns:
            try:
                # Thousands of files are looked at; a Path for each would take as long again.
                status = os.stat(f"{self.folder}/{path}")  # noqa: PTH116
                self._times_ns[path], self._sizes[path] = status.st_mtime_ns, status.st_size
            except OSError:
                self._times_ns[path] = inf
        return self._times_ns[path]

    def size_of(self, path: str) -> int | None:
        """Give the size of a file in bytes; None for a missing one."""
        self.of(path)
        return self._sizes.get(path)

    def of_master(self, master: str) -> float:
        """Give the time of a master or of its record, the older one; infinite if one is missing."""
        both = self.of(master), self.of(record_path(master))
        return inf if inf in both else min(both)


def is_current(master: str, wanted: MadeOf, times: FileTimes) -> bool:
    """Return whether a master is complete and, by its record, made of what is wanted."""
    # Text: a Path for each of thousands of masters takes as long as reading it.
    head = read_head(f"{times.folder}/{record_path(master)}")
    if head is None:
        return False
    made = MadeOf(*(head.get(name, "") for name in MadeOf._fields))
    # Records of older versions do not have the size.
    size = str(times.size_of(master))
    return made.serves(wanted) and head.get("master_bytes", size) == size


def plan_holds(
    plan: Plan, settings: Settings, digest: str, times: FileTimes, digests: ContentDigests
) -> bool:
    """Return whether a plan is what would be decided now, and its files are as it left them.

    Parameters
    ----------
    plan : Plan
        As stored.
    settings : Settings
    digest : str
        Of the files and settings of now (:func:`calmasters.inventory.listing.list_files`).
    times : FileTimes
        Of ``output_dir``.
    digests : ContentDigests
    """
    # In the order of the planner.
    there = (*scan_masters(settings), *scan_masters(settings, [FrameType.FLAT]))
    files = {file.path: file for file in there}
    kept = {path: files[path] for path in unplanned(files, plan.masters, settings.output_dir)}
    used = {
        each.path: each.job
        for planned in plan.masters.values()
        for each in (planned.bias, planned.dark)
        if each and each.origin == "kept"
    }
    return (
        plan.digest == digest
        and plan.kept == tuple(kept)
        and used == kept_identities(map(kept.__getitem__, used), settings.output_dir, digests)
        and times.of(INVENTORY) < inf
        and all(
            _times_agree(master, planned.made_of, times) for master, planned in plan.masters.items()
        )
    )


def _times_agree(master: str, wanted: MadeOf, times: FileTimes) -> bool:
    """Return whether the times of a master and its job file say what its record says."""
    job_ns, made_ns = times.of(job_path_of(master)), times.of_master(master)
    if inf in (job_ns, made_ns):
        # Snakemake sees that a master is missing; only the checkpoint writes job files.
        return job_ns < inf
    # Snakemake takes the time 0 (1970) for no time at all.
    return made_ns != 0 and (job_ns <= made_ns) == is_current(master, wanted, times)


def masters_to_rebuild(plan: Plan, times: FileTimes) -> list[str]:
    """Give the masters that Snakemake would find stale by its own rule, in the plan's order.

    A master that is missing, or without its record; older than its job file, or than a bias or dark
    it uses; or that uses one of these. Only they are asked for, since every master that Snakemake
    looks at costs it a millisecond.
    """
    stale: set[str] = set()
    for master, planned in plan.masters.items():  # bias and darks come before flats
        both = filter(None, (planned.bias, planned.dark))
        used = {each.path for each in both if each.origin != "library"}
        inputs = [times.of(path) for path in (job_path_of(master), *used)]
        made_ns = times.of_master(master)
        if inf in (*inputs, made_ns) or max(inputs) > made_ns or used & stale:
            stale.add(master)
    return [master for master in plan.masters if master in stale]


# --- files whose times are set -------------------------------------------------------------------


def write_job_files(jobs: Iterable[MasterJob], output_dir: Path) -> None:
    """Write the job files that are not as they should be, in content or in time.

    Raises
    ------
    OutputError
        If a file cannot be made newer than a stale master.
    """
    written: dict[Path, float] = {}
    for job in jobs:
        path = output_dir / job.file
        times = FileTimes(output_dir)
        is_same = _says(path, job)
        made_ns = times.of_master(job.master)
        if made_ns == inf:
            if not is_same:
                write_whole(path, job.to_json(time.time_ns()))
        elif is_current(job.master, job.made_of, times):
            if not is_same:
                write_whole(path, job.to_json(time.time_ns()), mtime_ns=int(made_ns))
            elif times.of(job.file) > made_ns:
                os.utime(path, ns=(int(made_ns), int(made_ns)))
        elif not is_same or times.of(job.file) <= made_ns:
            write_whole(path, job.to_json(time.time_ns()))
            written[path] = made_ns
    for path, made_ns in written.items():
        _wait_until_newer(path, made_ns)


def _says(path: Path, job: MasterJob) -> bool:
    """Return whether a job file has all of a job, also what changes no pixel.

    Such as the origin of a bias whose frames are archived: the report and the scripts read it here.
    """
    try:
        return read_made_of(path) == job.made_of and MasterJob.read(path) == job
    except (OSError, RecordError):
        return False


def _wait_until_newer(path: Path, than_ns: float) -> None:
    """Date a file now until that is later than a time: at once, or with the disk's next tick."""
    deadline = time.monotonic() + _TICK_LIMIT_S
    while path.stat().st_mtime_ns <= than_ns:
        if time.monotonic() > deadline:
            raise OutputError(
                f"'{path}' cannot be made newer than the master that it is to rebuild: the clock of"
                " this disk is behind the master's time; set the clock, or touch the master, and"
                " run again"
            )
        time.sleep(_POLL_S)
        os.utime(path)


def make_times_usable(output_dir: Path, now_ns: int) -> None:
    """Give other times to files whose times Snakemake cannot use; their order stays.

    Files ahead of the disk's clock are dated just before now: Snakemake dates what a job makes at
    the end of the job, and refuses it where an input is newer. Files dated 0 (1970) are dated just
    after it, because Snakemake takes 0 for no time.

    Parameters
    ----------
    output_dir : Path
    now_ns : int
        By the clock of the disk.
    """
    ahead: dict[int, list[Path]] = defaultdict(list)
    for path in _own_files(output_dir):
        time_ns = path.stat().st_mtime_ns
        if time_ns > now_ns:
            ahead[time_ns].append(path)
        elif time_ns == 0:
            _date_just_after(path, 0)
    for steps, time_ns in enumerate(sorted(ahead, reverse=True)):
        for path in ahead[time_ns]:
            dated_ns = now_ns - steps * _STEPS_NS[0]
            os.utime(path, ns=(dated_ns, dated_ns))


def _own_files(output_dir: Path) -> Iterator[Path]:
    """Give the files that Snakemake compares: whatever the plan says, which may be missing."""
    yield from filter(Path.is_file, (output_dir / INVENTORY, output_dir / PLAN))
    for folder in (JOBS, MASTERS):
        yield from filter(Path.is_file, (output_dir / folder).rglob("*"))


def _date_just_after(path: Path, time_ns: int) -> None:
    """Date a file by the smallest step after a time that its file system distinguishes."""
    for step_ns in _STEPS_NS:
        os.utime(path, ns=(time_ns + step_ns, time_ns + step_ns))
        if path.stat().st_mtime_ns > time_ns:
            return


def trigger_file(output_dir: Path, *, is_preview: bool) -> tuple[TemporaryDirectory[str], Path]:
    """Make a file that is just newer than ``plan.json``: an input that makes the checkpoint stale.

    It is on the disk of ``plan.json``, since another one may count time in larger steps. A preview
    may not be able to write there, and takes the folder for temporary files; it needs a
    ``plan.json``, a run does not.

    Returns
    -------
    folder : TemporaryDirectory
        What removes the file.
    file : Path
    """
    try:
        (output_dir / TRIGGER_FOLDER).mkdir(parents=True, exist_ok=True)
        folder = temporary_folder(str(output_dir / TRIGGER_FOLDER))
    except OSError:
        if not is_preview:
            raise
        folder = temporary_folder()
    file, plan = Path(folder.name, "frames or settings have changed"), output_dir / PLAN
    file.touch()
    if not is_preview and not plan.exists():
        # Snakemake does not make a missing plan for a master that is there.
        plan.touch()
    if is_preview:
        # Here a preview changes what a run changes in `make_times_usable`: Snakemake would not
        # see a trigger that is newer than 0.
        for output in filter(Path.is_file, (plan, output_dir / INVENTORY)):
            if output.stat().st_mtime_ns == 0:
                with suppress(OSError):
                    _date_just_after(output, 0)
    _date_just_after(file, plan.stat().st_mtime_ns)
    if not is_preview:
        # The checkpoint's outputs must not be older, when it ends.
        probe = file.with_name("now")
        probe.touch()
        _wait_until_newer(probe, file.stat().st_mtime_ns - 1)
        probe.unlink()
    return folder, file
