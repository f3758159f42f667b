"""Why a master is to be made: what differs between its job and its record."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf
from pathlib import Path, PurePosixPath
from typing import Any, Final

from calmasters.errors import RecordError
from calmasters.headers.sample_scale import ADU16
from calmasters.model.job import FrameFile, MasterJob, UsedMaster, deciding, read_made_of
from calmasters.model.master_record import MasterRecord
from calmasters.planning.staleness import FileTimes, is_current

__all__ = ["format_reasons", "stale_reasons"]

#: Frames named of those that share a sentence, and masters.
_SHOWN: Final = 3
_MASTERS_SHOWN: Final = 10


def stale_reasons(jobs: Iterable[MasterJob], output_dir: Path) -> dict[str, tuple[str, ...]]:
    """Say why masters are to be made, by comparing each job with the record of its master.

    Parameters
    ----------
    jobs : iterable of MasterJob
        Those that flats use before the flats.
    output_dir : Path

    Returns
    -------
    dict of str to tuple of str
        The master's path to the reasons; current masters are left out.
    """
    reasons: dict[str, tuple[str, ...]] = {}
    times = FileTimes(output_dir)
    for job in jobs:
        sentences = [*_own_reasons(job, times), *_reasons_of_used(job, reasons, times)]
        if sentences:
            reasons[job.master] = tuple(sentences)
    return reasons


def _own_reasons(job: MasterJob, times: FileTimes) -> Iterator[str]:
    """Say why a master is stale whatever becomes of its bias and dark."""
    is_missing, path = times.of(job.master) == inf, times.folder / job.record
    made = read_made_of(path)
    if not is_missing and made is not None and made.digest == job.digest:
        if not is_current(job.master, made, times):
            yield f"its file is not complete: it has {times.size_of(job.master)} bytes"
        return
    try:
        record = MasterRecord.read(path)
    except (OSError, RecordError):
        if is_missing:
            yield "it is missing"
        else:
            yield "its record, the JSON file next to it, is missing or damaged"
        return
    if is_missing:
        yield "its file is missing"
    else:
        yield from _differences(record, job) or ["its job is another one"]


def _reasons_of_used(
    job: MasterJob, reasons: Mapping[str, object], times: FileTimes
) -> Iterator[str]:
    """Say what happened, or will happen, to the bias and dark of a flat."""
    made = read_made_of(times.folder / job.record) or job.made_of
    both = (("bias", job.bias, made.bias_job), ("dark", job.dark, made.dark_job))
    for kind, used, before in both:
        if used is None or used.origin == "library":
            continue
        if used.path in reasons:
            yield f"its {kind} is rebuilt"
        elif used.job and before and used.job != before:
            yield f"its {kind} is not the one it was made with: {_name(used)}"
        elif times.of(job.master) < times.of(used.path) < inf:
            yield f"its {kind} was written after it: {_name(used)}"


def _name(used: UsedMaster) -> str:
    return PurePosixPath(used.path).stem


# --- what differs ---------------------------------------------------------------------------------


def _differences(record: MasterRecord, job: MasterJob) -> list[str]:
    # Through JSON, as the record has been: tuples are lists there.
    recipe: dict[str, Any] = json.loads(json.dumps(job.recipe.deciding_fields))
    reasons = [
        *_frames([frame.file for frame in record.frames], job.frames),
        *_settings(deciding(record.recipe), recipe),
        *_changed_masters(record, job),
    ]
    if record.geometry.without_origin != job.geometry.without_origin:
        reasons.append(f"its frames are {job.geometry}")
    reasons += _settings(record.keywords, job.keywords)
    reasons += _settings(record.header, job.header)
    # Earlier versions read masters in FITS like the frames.
    if not reasons and job.recipe.float_range == ADU16:
        reasons.append("its bias and dark are read by their own scale now, not by float_range")
    return reasons


def _frames(before: Sequence[FrameFile], now: Sequence[FrameFile]) -> Iterator[str]:
    """Name frames that were added, removed, renamed or changed."""
    if before and bool(before[0].content) != bool(now[0].content):
        yield f"frames are identified by {'content' if now[0].content else 'time'} now"
        before = [frame._replace(content="") for frame in before]
        now = [frame._replace(content="") for frame in now]
    was_read = {frame.path: frame.read_as for frame in before}
    again = [each for each in now if was_read.get(each.path, each.read_as) != each.read_as]
    yield from _named("read in another way", [_read_as(frame) for frame in again])
    old, new = (
        {frame.path: frame._replace(read_as="").identity[1:] for frame in frames}
        for frames in (before, now)
    )
    added = {path: new[path] for path in new if path not in old}
    removed = {path: old[path] for path in old if path not in new}
    renamed = {
        path: other
        for path, identity in removed.items()
        for other, same in added.items()
        if identity == same
    }
    yield from _named("renamed", [f"{path} to {other}" for path, other in renamed.items()])
    yield from _named("added", [path for path in added if path not in renamed.values()])
    yield from _named("removed", [path for path in removed if path not in renamed])
    yield from _named("changed", [path for path in new if path in old and old[path] != new[path]])
    if not added and not removed and list(old) != list(new):
        yield "its frames are in another order"


def _read_as(frame: FrameFile) -> str:
    return f"{frame.path} ({frame.read_as or 'plain samples'})"


def _named(event: str, paths: Sequence[str]) -> Iterator[str]:
    if paths:
        more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
        count = f"{len(paths)} frame{'s' * (len(paths) > 1)}"
        yield f"{count} {event}: {', '.join(paths[:_SHOWN])}{more}"


def _settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    old, new = dict(_flat("", before)), dict(_flat("", now))
    for key in dict.fromkeys((*old, *new)):
        if old.get(key) != new.get(key):
            yield f"{key}: {old.get(key, 'not set')} is now {new.get(key, 'not set')}"


def _flat(prefix: str, tree: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Write nested settings as ``integration.sigmaHigh``."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}{key}.", value)
        else:
            yield f"{prefix}{key}", value


def _changed_masters(record: MasterRecord, job: MasterJob) -> Iterator[str]:
    pairs = (("bias", record.bias, job.bias), ("dark", record.dark, job.dark))
    for kind, before, now in pairs:
        if (before and (before.content or before.path)) == (now and (now.content or now.path)):
            if before and now and before.read_as != now.read_as:
                yield f"its {kind} is read in another way: {now.read_as or 'plain samples'}"
        elif before and now and before.path == now.path:
            yield f"its {kind} was replaced: {now.path}"
        else:
            names = (_name(each) if each else "none" for each in (before, now))
            yield f"its {kind}: {' is now '.join(names)}" + (f" ({now.why})" if now else "")
    if record.optimize_dark != job.optimize_dark:
        yield f"its dark is {'now' if job.optimize_dark else 'no longer'} scaled to each flat"


# --- as text --------------------------------------------------------------------------------------


def format_reasons(reasons: Mapping[str, Sequence[str]], short_names: Mapping[str, str]) -> str:
    """Write reasons as text; masters with the same reasons are listed together.

    Parameters
    ----------
    reasons : mapping of str to sequence of str
        As :func:`stale_reasons` gives them.
    short_names : mapping of str to str
        By the master's path.
    """
    alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for master, sentences in reasons.items():
        alike[tuple(sentences)].append(short_names[master])
    return "\n".join(
        line for sentences, names in alike.items() for line in _lines(names, sentences)
    )


def _lines(names: Sequence[str], sentences: Iterable[str]) -> Iterator[str]:
    yield from names[:_MASTERS_SHOWN]
    if len(names) > _MASTERS_SHOWN:
        yield f"and {len(names) - _MASTERS_SHOWN} more"
    yield from (f"    {sentence}" for sentence in sentences)
