"""Why a master is to be made again, in words: what its job has that the master made has not."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf
from pathlib import Path, PurePosixPath
from typing import Any, Final

from calmasters.atomic_files import Times
from calmasters.frame import Geometry
from calmasters.model.job import STALE_TIME_NS, MasterJob, UsedMaster, beside, stored_digest

__all__ = ["explain", "told"]

#: Frames, or masters, named of those that share a sentence.
_SHOWN: Final = 3


def explain(jobs: Iterable[MasterJob], output_dir: Path) -> dict[str, tuple[str, ...]]:
    """Say why masters are to be made, by comparing each job with the JSON beside its master.

    Parameters
    ----------
    jobs : iterable of MasterJob
        Those that flats use before the flats.
    output_dir : Path

    Returns
    -------
    dict of str to tuple of str
        The master's path to the reasons; masters that are as their jobs say are left out.
    """
    found: dict[str, tuple[str, ...]] = {}
    times = Times(output_dir)
    for job in jobs:
        reasons = (*_reasons(job, output_dir, times), *_followed(job, found, times))
        if reasons:
            found[job.master] = reasons
    return found


def _reasons(job: MasterJob, output_dir: Path, times: Times) -> Iterator[str]:
    missing, told = times[job.master] == inf, output_dir / beside(job.master)
    if not missing and stored_digest(told) == job.digest:
        if times[job.master] == STALE_TIME_NS:
            yield "an earlier run was to make it again"
        return
    made = _made(told)
    if missing:
        yield "it is not there" if made is None else "its file is gone"
    elif made is None:
        yield "the JSON beside it, which tells what it is made of, is gone or damaged"
    else:
        yield from _differences(made, job) or ["its job is another"]


def _made(path: Path) -> dict[str, Any] | None:
    try:
        made: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return made if made["frames"] and made["recipe"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _followed(job: MasterJob, found: Mapping[str, object], times: Times) -> Iterator[str]:
    """Name the bias and dark that are made again too, or were after this master."""
    for kind, used in (("bias", job.bias), ("dark", job.dark)):
        if used is None or used.origin == "library":
            continue
        if used.path in found:
            yield f"its {kind} is made again: {_name(used)}"
        elif times[job.master] < times[used.path] < inf:
            yield f"its {kind} was written after it: {_name(used)}"


def _name(used: UsedMaster) -> str:
    return PurePosixPath(used.path).stem


# --- what differs ---------------------------------------------------------------------------------


def _differences(made: Mapping[str, Any], job: MasterJob) -> list[str]:
    now: dict[str, Any] = json.loads(job.to_json())
    return [
        *_frames(made["frames"], now["frames"]),
        *_settings(made["recipe"], now["recipe"]),
        *_used_masters(made, job),
        *_said(made, now),
    ]


def _frames(before: Sequence[dict[str, Any]], now: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Tell frames that came, went, were renamed or were written again."""
    if bool(before[0].get("content")) != bool(now[0]["content"]):
        yield f"frames are told by their {'content' if now[0]['content'] else 'time'} now"
        before = [frame | {"content": ""} for frame in before]
        now = [frame | {"content": ""} for frame in now]
    was = {frame["path"]: _identity(frame) for frame in before}
    has = {frame["path"]: _identity(frame) for frame in now}
    came = {path: has[path] for path in has if path not in was}
    went = {path: was[path] for path in was if path not in has}
    renamed = {
        old: new for old, identity in went.items() for new, same in came.items() if identity == same
    }
    yield from _named("renamed", [f"{old} to {new}" for old, new in renamed.items()])
    yield from _named("came", [path for path in came if path not in renamed.values()])
    yield from _named("went", [path for path in went if path not in renamed])
    changed = [path for path in has if path in was and was[path] != has[path]]
    yield from _named("written again", changed)
    if not came and not went and list(was) != list(has):
        yield "its frames are in another order"


def _identity(frame: Mapping[str, Any]) -> tuple[object, ...]:
    content = frame.get("content")
    return (content,) if content else (frame.get("size"), frame.get("mtime_ns"))


def _named(event: str, paths: Sequence[str]) -> Iterator[str]:
    if paths:
        more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
        count = f"{len(paths)} frame{'s' * (len(paths) > 1)}"
        yield f"{count} {event}: {', '.join(paths[:_SHOWN])}{more}"


def _settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    was, has = dict(_flat("", before)), dict(_flat("", now))
    for key in dict.fromkeys((*was, *has)):
        if was.get(key) != has.get(key):
            yield f"{key}: {was.get(key, 'not set')} is now {has.get(key, 'not set')}"


def _flat(prefix: str, tree: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Write nested settings as ``integration.sigmaHigh``."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}{key}.", value)
        else:
            yield f"{prefix}{key}", value


def _used_masters(made: Mapping[str, Any], job: MasterJob) -> Iterator[str]:
    for kind, used in (("bias", job.bias), ("dark", job.dark)):
        was = UsedMaster(**made[kind]) if made.get(kind) else None
        if (was and (was.content or was.path)) == (used and (used.content or used.path)):
            continue
        if was and used and was.path == used.path:
            yield f"its {kind} was replaced: {used.path}"
        else:
            names = (_name(each) if each else "none" for each in (was, used))
            yield f"its {kind}: {' is now '.join(names)}" + (f" ({used.why})" if used else "")
    if made.get("optimize_dark") != job.optimize_dark:
        yield f"its dark is {'now' if job.optimize_dark else 'no longer'} scaled to each flat"


def _said(made: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Tell what the headers of the frames say otherwise than they did."""
    if made.get("geometry") != now["geometry"]:
        yield f"its frames are {Geometry(**now['geometry'])}"
    for part in ("keywords", "header"):
        yield from _settings(made.get(part, {}), now[part])


# --- as text --------------------------------------------------------------------------------------


def told(found: Mapping[str, Sequence[str]]) -> str:
    """Write reasons as text; masters with the same reasons are told together."""
    alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for master, reasons in found.items():
        alike[tuple(reasons)].append(PurePosixPath(master).stem)
    return "\n".join(line for reasons, names in alike.items() for line in _lines(names, reasons))


def _lines(names: Sequence[str], reasons: Iterable[str]) -> Iterator[str]:
    yield from names[:_SHOWN]
    if len(names) > _SHOWN:
        yield f"and {len(names) - _SHOWN} more"
    yield from (f"    {reason}" for reason in reasons)
