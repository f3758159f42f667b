"""All decisions together: what will be made of which frames, and what was left out and why."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import median
from time import time_ns
from typing import TYPE_CHECKING, Final

from calmasters.atomic_files import replacing, write_whole
from calmasters.errors import FrameError
from calmasters.frame import Frame, FrameType, Status, Value, Verdict
from calmasters.garbage import without_collection
from calmasters.inventory.content_digests import Contents
from calmasters.inventory.duplicates import without_copies
from calmasters.inventory.header_cache import HeaderCache
from calmasters.inventory.scan import ScannedFile, scan_masters
from calmasters.model.job import (
    ALGORITHM_VERSION,
    JOB_TIME_NS,
    FrameFile,
    LeftOut,
    MasterJob,
    Recipe,
    UsedMaster,
    beside,
    stored_digest,
)
from calmasters.model.master_record import weak_group
from calmasters.planning.grouping import Group, group_frames, identity, judge
from calmasters.planning.matching import Candidate, Match, candidate_of, match_flats
from calmasters.planning.naming import name_groups
from calmasters.planning.plan_file import Plan, PlannedMaster, mark_stale, scan
from calmasters.planning.stale_reasons import explain
from calmasters.running.disk_space import require_room, room_for
from calmasters.running.kept_masters import copies, keep
from calmasters.settings import Integration, Settings

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Decision", "NotMade", "decide", "require_sound", "write"]

#: Bad frames that an error names.
_SHOWN: Final = 10


@dataclass(frozen=True)
class NotMade:
    """A group that makes no master."""

    name: str
    keywords: Mapping[str, Value]
    frames: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Decision:
    """Everything decided: the plan, the jobs, and a verdict on every frame.

    Attributes
    ----------
    digest : str
    jobs : tuple of MasterJob
        Bias, dark, flat; by name.
    not_made : tuple of NotMade
    kept : tuple of str
    frames : tuple of Frame
    verdicts : mapping of str to Verdict
        By the frame's path.
    warnings : tuple of str
        About the libraries.
    keywords : tuple of str
        Keywords that only the configuration names; each has a column in the inventory.
    """

    digest: str
    jobs: tuple[MasterJob, ...]
    not_made: tuple[NotMade, ...]
    kept: tuple[str, ...]
    frames: tuple[Frame, ...]
    verdicts: Mapping[str, Verdict]
    warnings: tuple[str, ...]
    keywords: tuple[str, ...] = ()

    @cached_property
    def inventory(self) -> pd.DataFrame:
        """The frames and their verdicts as a table, built when first used."""
        # Imports pandas, which a run with nothing to do does not need.
        from calmasters.inventory.table import inventory_table

        return inventory_table(self.frames, self.verdicts, self.keywords)

    @cached_property
    def plan(self) -> Plan:
        """The part that the rules need."""
        masters = {job.master: PlannedMaster(job.digest, job.bias, job.dark) for job in self.jobs}
        return Plan(self.digest, masters, self.kept)


@without_collection()
def decide(
    settings: Settings, cache: HeaderCache | None = None, contents: Contents | None = None
) -> Decision:
    """Read what is new, group, match and name: the whole plan, in memory.

    Parameters
    ----------
    settings : Settings
    cache : HeaderCache, optional
    contents : Contents, optional
        Both to be saved by the caller; such as are not saved are used where left out.
    """
    contents = contents or Contents(settings)
    scanned = scan(settings, contents)
    cache = cache or HeaderCache(settings)
    frames = cache.read(scanned.frames, settings.input_dir, settings.exclude)
    frames = without_copies(frames, scanned.frames, settings, contents)
    groups = group_frames(frames, settings)
    named = dict(zip(name_groups(groups, settings.layout), groups, strict=True))
    made = {name: group for name, group in named.items() if _large_enough(group, settings)}
    recipes = _Recipes(settings)
    jobs = {name: _job(name, group, recipes.of(group)) for name, group in made.items()}
    masters = {job.master for job in jobs.values()}
    kept_files = [file for file in scan_masters(settings) if file.path not in masters]
    kept = cache.read(kept_files, settings.output_dir)
    library = cache.read(scanned.library, Path())
    candidates = [
        *(_run_candidate(jobs[name], group) for name, group in made.items() if not _flat(group)),
        *filter(None, (candidate_of(frame, "kept") for frame in kept)),
        *filter(None, (candidate_of(frame, "library") for frame in library)),
    ]
    flats = {name: group for name, group in made.items() if _flat(group)}
    matches = match_flats(flats.values(), candidates, settings)
    jobs |= {name: _matched(jobs[name], match) for name, match in zip(flats, matches, strict=True)}
    jobs = _with_contents(jobs, scanned.library, contents)
    verdicts = _verdicts(frames, named, settings)
    return Decision(
        digest=scanned.digest,
        jobs=tuple(_told(jobs.values(), verdicts)),
        not_made=tuple(_not_made(name, group) for name, group in named.items() if name not in made),
        kept=tuple(file.path for file in kept_files),
        frames=tuple(frames),
        verdicts=verdicts,
        warnings=tuple(_library_warnings(library)),
        keywords=settings.headers.extra,
    )


def _flat(group: Group) -> bool:
    return group.type is FrameType.FLAT


def _large_enough(group: Group, settings: Settings) -> bool:
    return len(group.frames) >= settings.minimum_frames


def _too_small(group: Group) -> str:
    count = len(group.frames)
    return f"only {count} {'frame' if count == 1 else 'frames'} of this group"


def _not_made(name: str, group: Group) -> NotMade:
    paths = tuple(frame.path for frame in group.frames)
    return NotMade(name, group.keywords, paths, _too_small(group))


def _verdicts(
    frames: Iterable[Frame], named: Mapping[str, Group], settings: Settings
) -> dict[str, Verdict]:
    verdicts: dict[str, Verdict] = {}
    for name, group in named.items():
        verdict = Verdict(Status.USED, group=name)
        if not _large_enough(group, settings):
            remedy = f"take at least {settings.minimum_frames} (minimum_frames)"
            reason = f"{_too_small(group)}: {remedy}"
            verdict = Verdict(Status.REFUSED, reason, remedy, name)
        verdicts |= dict.fromkeys((frame.path for frame in group.frames), verdict)
    names = {(group.type, group.key, group.geometry): name for name, group in named.items()}
    for frame in frames:
        if frame.path not in verdicts and (fault := judge(frame, settings)):
            found = identity(frame.traits, settings)
            verdicts[frame.path] = replace(fault, group=names.get(found, "") if found else "")
    return verdicts


def _told(jobs: Iterable[MasterJob], verdicts: Mapping[str, Verdict]) -> Iterator[MasterJob]:
    """Say what is to be known of jobs besides what decides them."""
    left_out: dict[str, list[LeftOut]] = defaultdict(list)
    for path, verdict in verdicts.items():
        if verdict.group and verdict.status is not Status.USED:
            left_out[verdict.group].append(LeftOut(path, verdict.reason))
    for job in jobs:
        warnings = (*job.warnings, *weak_group(job))
        yield replace(job, warnings=warnings, left_out=tuple(left_out[job.name]))


def require_sound(decision: Decision, settings: Settings) -> None:
    """Stop where a frame is damaged, if the configuration asks for that.

    Parameters
    ----------
    decision : Decision
    settings : Settings
        With ``on_bad_frame: skip`` nothing is looked at.

    Raises
    ------
    FrameError
        Naming the frames: those that the inventory refused, and those that engines left out of
        masters that are made.
    """
    if settings.on_bad_frame == "skip":
        return
    bad = [*_damaged(decision), *_left_out_before(decision.jobs, settings.output_dir)]
    if bad:
        more = f"and {len(bad) - _SHOWN} more: snakemake summary" if len(bad) > _SHOWN else ""
        raise FrameError(
            "\n  ".join(
                [
                    "frames are bad, and on_bad_frame is fail; copy them again, or leave them out "
                    "(exclude, on_bad_frame: skip):",
                    *(f"{frame.path}: {frame.reason}" for frame in bad[:_SHOWN]),
                    *filter(None, [more]),
                ]
            )
        )


def _damaged(decision: Decision) -> Iterator[LeftOut]:
    for frame in decision.frames:
        verdict = decision.verdicts[frame.path]
        if frame.problems and verdict.status is Status.REFUSED:
            yield LeftOut(frame.path, verdict.reason)


def _left_out_before(jobs: Iterable[MasterJob], output: Path) -> Iterator[LeftOut]:
    """Give what an engine left out of masters that are as their jobs say."""
    for job in jobs:
        told = output / beside(job.master)
        if stored_digest(told) == job.digest:
            made = json.loads(told.read_text(encoding="utf-8"))
            paths = {file.path for file in job.frames}
            found = (LeftOut(**frame) for frame in made.get("left_out", ()))
            yield from (frame for frame in found if frame.path in paths)


def _library_warnings(library: Iterable[Frame]) -> Iterator[str]:
    for frame in library:
        if frame.problems:
            yield f"library: {frame.path} {'; '.join(frame.problems)}"
        elif not frame.master:
            yield (
                f"library: {frame.path} is not used: neither its IMAGETYP, nor a count of frames, "
                "nor its name says that it is a master"
            )


# --- jobs -----------------------------------------------------------------------------------------


class _Recipes(dict[tuple[FrameType, Integration], Recipe]):
    """The recipes of a run, one object for all jobs that have the same."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def of(self, group: Group) -> Recipe:
        """Give the recipe for a group of frames."""
        integration = self._settings.integration[group.type.value]
        return self[group.type, integration.chosen_for(group.type, len(group.frames))]

    def __missing__(self, key: tuple[FrameType, Integration]) -> Recipe:
        (kind, integration), settings = key, self._settings
        further = settings.pixinsight.pixel_parameters if settings.engine == "pixinsight" else {}
        self[key] = Recipe(
            engine=settings.engine,
            algorithm_version=ALGORITHM_VERSION[settings.engine],
            integration=integration,
            calibration=settings.calibration.get(kind.value),
            float_range=settings.float_range,
            master_format=settings.master_format,
            layout=settings.layout,
            parameters=further,
        )
        return self[key]


def _job(name: str, group: Group, recipe: Recipe) -> MasterJob:
    return MasterJob(
        name=name,
        type=group.type,
        keywords=group.keywords,
        geometry=group.geometry,
        frames=tuple(FrameFile(*frame[:3], frame.content) for frame in group.frames),
        header=_summary_cards(group),
        recipe=recipe,
    )


def _matched(job: MasterJob, match: Match) -> MasterJob:
    return replace(
        job,
        bias=match.bias,
        dark=match.dark,
        optimize_dark=match.optimize_dark,
        warnings=match.warnings,
    )


def _with_contents(
    jobs: Mapping[str, MasterJob], library: Iterable[ScannedFile], contents: Contents
) -> dict[str, MasterJob]:
    """Identify the libraries' masters that flats use by what they hold, and only those."""
    used = {each.path for job in jobs.values() for each in (job.bias, job.dark) if each}
    chosen = contents.identify([file for file in library if file.path in used], Path())
    by_path = {file.path: file.content for file in chosen}

    def told(each: UsedMaster | None) -> UsedMaster | None:
        return each and replace(each, content=by_path.get(each.path, ""))

    return {
        name: replace(job, bias=told(job.bias), dark=told(job.dark)) for name, job in jobs.items()
    }


def _run_candidate(job: MasterJob, group: Group) -> Candidate:
    return Candidate(
        group.type,
        job.master,
        "run",
        group.frames[0].keywords,
        group.geometry,
        group.frames[0].date_obs or "",
    )


def _summary_cards(group: Group) -> dict[str, Value]:
    """Say what the frames have in common, for the master's header."""
    cards: dict[str, Value] = {}
    if exposures := _numbers(frame.keywords.get("EXPOSURE") for frame in group.frames):
        cards |= {"EXPTIME": median(exposures), "EXPOSURE": median(exposures)}
        if min(exposures) != max(exposures):
            cards |= {"EXPMIN": min(exposures), "EXPMAX": max(exposures)}
    if temperatures := _numbers(frame.ccd_temp_c for frame in group.frames):
        cards["CCD-TEMP"] = round(median(temperatures), 2)
    if group.frames[0].date_obs:
        cards["DATE-OBS"] = group.frames[0].date_obs
    if _flat(group):
        for keyword in ("TELESCOP", "FOCALLEN"):
            found = {frame.keywords.get(keyword, "") for frame in group.frames}
            if len(found) == 1:
                cards[keyword] = found.pop()
    return cards


def _numbers(values: Iterable[Value | None]) -> list[float]:
    return [float(value) for value in values if isinstance(value, int | float)]


# --- files ----------------------------------------------------------------------------------------


@without_collection()
def write(settings: Settings) -> Decision:
    """Decide, and write ``inventory.csv``, ``plan.json`` and the job files.

    A master that its job asks to be made again is dated before all job files, which tells Snakemake
    that it is stale, whatever clocks say and also where Snakemake's own records are lost.
    ``plan.json`` comes last: it vouches for the others.

    Raises
    ------
    OutputError
        If what is to be made cannot fit on the disk.
    """
    from calmasters.inventory.table import write_inventory

    cache, contents = HeaderCache(settings), Contents(settings)
    decision = decide(settings, cache, contents)
    output = settings.output_dir
    cache.save()
    contents.save()
    require_sound(decision, settings)
    why = explain(decision.jobs, output)
    stale = [job for job in decision.jobs if job.master in why]
    require_room(room_for(stale, settings.calibrated, copies(output, why)), output)
    for job in decision.jobs:
        _write_if_changed(output / job.file, job)
    for master in why:
        mark_stale(output / master)
    # Marked before: a copy has to be marked as well.
    keep(output, why)
    _remove_old_jobs(output, {job.file for job in decision.jobs})
    with replacing(output / "inventory.csv") as file:
        write_inventory(file, decision.inventory)
    write_whole(output / "plan.json", _plan_json(decision, why))
    return decision


def _write_if_changed(path: Path, job: MasterJob) -> None:
    if stored_digest(path) != job.digest:
        write_whole(path, job.to_json(time_ns()), mtime_ns=JOB_TIME_NS)


def _remove_old_jobs(output: Path, current: set[str]) -> None:
    for folder, _, names in os.walk(output / "jobs"):
        place = Path(folder).relative_to(output).as_posix()
        for name in names:
            if name.endswith(".json") and f"{place}/{name}" not in current:
                Path(folder, name).unlink()


def _plan_json(decision: Decision, why: Mapping[str, Iterable[str]]) -> str:
    """Write the plan, each thing that it says of a master on a line of its own.

    (With an ``indent`` Python's encoder is ten times as slow.)
    """
    masters = ((job.master, _planned(job, why.get(job.master, ()))) for job in decision.jobs)
    plan = {
        "version": "1",
        "digest": json.dumps(decision.digest),
        "masters": _object(masters, "  "),
        "not_made": json.dumps([asdict(group) for group in decision.not_made]),
        "kept": json.dumps(decision.kept),
        "warnings": json.dumps(decision.warnings),
    }
    return _object(plan.items(), " ") + "\n"


def _planned(job: MasterJob, why: Iterable[str]) -> str:
    said = {
        "type": job.type.value,
        "keywords": job.keywords,
        "geometry": asdict(job.geometry),
        "frames": [frame.path for frame in job.frames],
        "digest": job.digest,
        "recipe": job.recipe.fields,
        "bias": job.bias and asdict(job.bias),
        "dark": job.dark and asdict(job.dark),
        "optimize_dark": job.optimize_dark,
        "warnings": job.warnings,
        "left_out": [asdict(frame) for frame in job.left_out],
        "why": [*why],
    }
    return _object(((key, json.dumps(value)) for key, value in said.items()), "   ")


def _object(members: Iterable[tuple[str, str]], indent: str) -> str:
    """Write a JSON object from names and values that are JSON already."""
    lines = ",\n".join(f"{indent}{json.dumps(name)}: {value}" for name, value in members)
    return f"{{\n{lines}\n{indent[1:]}}}"
