"""The plan as the rules see it: whether it still holds, and which masters are stale."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from time import time, time_ns
from typing import Any

from calmasters import __version__
from calmasters.atomic_files import Times
from calmasters.engines import needs_of
from calmasters.garbage import without_collection
from calmasters.inventory.content_digests import Contents
from calmasters.inventory.scan import (
    ScannedFile,
    fingerprint,
    scan_frames,
    scan_library,
    scan_masters,
)
from calmasters.model.job import (
    STALE_TIME_NS,
    MasterJob,
    UsedMaster,
    beside,
    stored_digest,
)
from calmasters.settings import Settings

__all__ = [
    "Plan",
    "PlannedMaster",
    "Scan",
    "date_back",
    "is_ahead",
    "is_made",
    "job_file",
    "load_stale_jobs",
    "mark_stale",
    "outdate_plan",
    "scan",
    "unsettled",
]


@dataclass(frozen=True)
class Scan:
    """What lies in ``input_dir`` and the libraries, before any header is read."""

    frames: tuple[ScannedFile, ...]
    library: tuple[ScannedFile, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class PlannedMaster:
    """What the rules need to know of one master."""

    digest: str
    bias: UsedMaster | None
    dark: UsedMaster | None


@dataclass(frozen=True)
class Plan:
    """``plan.json`` as the rules see it.

    Attributes
    ----------
    digest : str
        Of the scan and the settings it was made from.
    masters : mapping of str to PlannedMaster
        By the master's path, relative to ``output_dir``.
    kept : tuple of str
        Bias and dark masters in ``output_dir`` that this plan does not make.
    """

    digest: str
    masters: Mapping[str, PlannedMaster]
    kept: tuple[str, ...]

    @classmethod
    def load(cls, path: Path) -> Plan:
        """Read ``plan.json``.

        Raises
        ------
        ValueError, KeyError, TypeError
            If the file is not a plan.
        """
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        masters = {
            master: PlannedMaster(entry["digest"], _used(entry["bias"]), _used(entry["dark"]))
            for master, entry in stored["masters"].items()
        }
        return cls(stored["digest"], masters, tuple(stored["kept"]))

    def is_current(self, settings: Settings, digest: str) -> bool:
        """Tell whether this plan is what would be decided now, what was written with it on disk.

        Parameters
        ----------
        settings : Settings
        digest : str
            Of the scan of now.
        """
        times = Times(settings.output_dir)
        return (
            self.digest == digest
            and self.kept == _kept(scan_masters(settings), self.masters)
            and all(times[file] < inf for file in ("inventory.csv", *map(job_file, self.masters)))
        )


def load_stale_jobs(output: Path, plan: Plan) -> list[MasterJob]:
    """Read the jobs of a plan whose masters are missing or were made by another job."""
    return [
        MasterJob.from_json((output / job_file(master)).read_text(encoding="utf-8"))
        for master, planned in plan.masters.items()
        if not (output / master).is_file() or not is_made(output, master, planned.digest)
    ]


def unsettled(output: Path, plan: Plan) -> list[str]:
    """Give the masters that Snakemake would find stale: those it has to look at.

    By its own rule: one that is missing, or lacks its JSON; that is older than its job file or
    than a bias or dark it uses; or that uses one of these. Each that Snakemake looks at costs it a
    millisecond.
    """
    times, found = Times(output), set[str]()
    for master, planned in plan.masters.items():  # bias and darks come before flats
        both = filter(None, (planned.bias, planned.dark))
        used = {each.path for each in both if each.origin != "library"}
        inputs = [times[path] for path in (job_file(master), *used)]
        outputs = times[master], times[beside(master)]
        if inf in (*inputs, *outputs) or max(inputs) > min(outputs) or used & found:
            found.add(master)
    return [master for master in plan.masters if master in found]


def job_file(master: str) -> str:
    """Give the job file of a master; both paths relative to ``output_dir``."""
    _, folder, name = beside(master).split("/", 2)
    return f"jobs/{folder.rpartition(' ')[2].lower()}/{name}"


def is_made(output: Path, master: str, digest: str) -> bool:
    """Tell whether the JSON beside a master says that it was made by a job with this digest."""
    return stored_digest(output / beside(master)) == digest


def _used(fields: Mapping[str, str] | None) -> UsedMaster | None:
    return UsedMaster(**fields) if fields else None


def _kept(files: Iterable[ScannedFile], made: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(file.path for file in files if file.path not in made)


@without_collection()
def scan(settings: Settings, contents: Contents | None = None) -> Scan:
    """Look at what is there, without reading headers; its digest tells whether a plan still holds.

    Parameters
    ----------
    settings : Settings
        With ``fingerprint: content`` files are told by what they hold.
    contents : Contents, optional
        To be saved by the caller; one that is not saved is used where left out.

    Raises
    ------
    ConfigError
        If ``input_dir`` or a library is missing, or no frame is found.
    """
    frames, library = scan_frames(settings), scan_library(settings)
    if settings.fingerprint == "content":
        contents = contents or Contents(settings)
        frames = contents.identify(frames, settings.input_dir)
        library = contents.identify(library, Path())
    listing = "\n".join(f"{file.path}\t{file.size}\t{file.version}" for file in frames + library)
    # Whether orphans are to be pruned decides nothing here.
    deciding = replace(settings, prune=False)
    decided_by = (deciding, needs_of(settings.engine).algorithm_version, __version__)
    return Scan(tuple(frames), tuple(library), fingerprint(listing, *decided_by))


# --- times ----------------------------------------------------------------------------------------


def is_ahead(path: Path) -> bool:
    """Tell whether a file is there and dated later than now: by another machine's clock."""
    try:
        return path.stat().st_mtime > time()
    except OSError:
        return False


def date_back(output: Path, plan: Plan) -> None:
    """Date masters now that the clock of another machine has dated later.

    Snakemake refuses a flat that is older than its bias. Those that are stale are known by another
    time (`STALE_TIME_NS`), so nothing is hidden by it.
    """
    ahead = [path for path in map(output.joinpath, (*plan.masters, *plan.kept)) if is_ahead(path)]
    now_ns = time_ns()
    for path in ahead:
        os.utime(path, ns=(now_ns, now_ns))


def outdate_plan(output: Path) -> None:
    """Date ``plan.json`` as stale, an empty one where there is none, as for masters."""
    output.mkdir(parents=True, exist_ok=True)
    path = output / "plan.json"
    path.touch()
    mark_stale(path)


def mark_stale(path: Path) -> None:
    """Date a file before all job files, if it is there."""
    if path.is_file():
        os.utime(path, ns=(STALE_TIME_NS, STALE_TIME_NS))
