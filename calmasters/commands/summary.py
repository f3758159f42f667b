"""What a person wants to know of a directory of frames, as text."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain, pairwise
from pathlib import PurePath

import pandas as pd

from calmasters.frame import FrameType, format_value
from calmasters.headers.fits_cards import number_of
from calmasters.inventory.camera_keywords import absence_sentences
from calmasters.inventory.suggestions import settings_as_yaml
from calmasters.inventory.table import column_text
from calmasters.inventory.unused_frames import ignored_by_reason, refused_by_remedy
from calmasters.model.job import MasterJob
from calmasters.planning.near_misses import Difference
from calmasters.planning.planner import Decision

__all__ = ["summarize"]

#: Paths shown of each kind of refusal; inventory.csv has them all.
_SHOWN = 3


def summarize(decision: Decision) -> str:
    """Tell the frames by type, the refusals by remedy, the masters, and what to shoot next."""
    sections = (
        ("Frames", _counts(decision)),
        ("Refused", _refusals(decision)),
        ("Settings that make refused frames usable", _suggestions(decision)),
        ("Left out", _ignored(decision)),
        ("Masters", _masters(decision.jobs)),
        ("What to shoot next", _wanted(decision)),
        ("Near misses", _near_misses(decision)),
        ("Warnings", _warnings(decision)),
    )
    return "\n".join(
        f"{title}\n{body}\n"
        for title, lines in sections
        if (body := "\n".join(f"  {line}" for line in lines))
    )


def _counts(decision: Decision) -> Iterator[str]:
    table = decision.inventory
    kinds = column_text(table["TYPE"]).replace("", "unknown")
    for kind, counts in pd.crosstab(kinds, column_text(table["status"])).iterrows():
        by_status = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
        yield f"{kind:8} {counts.sum():6}  ({by_status})"


def _refusals(decision: Decision) -> Iterator[str]:
    """Group refused frames by their remedy."""
    for remedy, frames in refused_by_remedy(decision.inventory, decision.verdicts):
        yield f"{_frames(len(frames))}: {remedy}"
        yield from _examples(frames)


def _suggestions(decision: Decision) -> Iterator[str]:
    """Write settings as YAML, to be pasted into ``config.yaml``."""
    if decision.suggested:
        yield from settings_as_yaml(decision.suggested).splitlines()


def _examples(frames: pd.DataFrame) -> Iterator[str]:
    for path, reason in frames["reason"].head(_SHOWN).items():
        yield f"    {path}: {reason}"
    if len(frames) > _SHOWN:
        yield f"    and {len(frames) - _SHOWN} more, see inventory.csv"


def _ignored(decision: Decision) -> Iterator[str]:
    counts = ignored_by_reason(decision.inventory, decision.verdicts)
    for reason, count in counts.items():
        yield f"{_frames(count)}: {reason}"


def _masters(jobs: Iterable[MasterJob]) -> Iterator[str]:
    for job in jobs:
        yield f"{job.name}: {_frames(len(job.frames))}"
        for kind, used in (("bias", job.bias), ("dark", job.dark)):
            if used:
                yield f"    {kind}: {PurePath(used.path).stem}; {used.why}"
        for warning in job.warnings:
            yield f"    {warning}"


def _wanted(decision: Decision) -> Iterator[str]:
    """Name what is missing: groups too small, flats without a bias or a dark."""
    for group in decision.not_made:
        yield f"{group.name}: {group.reason}"
    for job in decision.jobs:
        if job.type is FrameType.FLAT:
            lacking = [kind for kind in ("bias", "dark") if getattr(job, kind) is None]
            if lacking:
                settings = ", ".join(
                    f"{key} {value}"
                    for key, value in job.keywords.items()
                    if key not in ("DATE", "FILTER")
                )
                yield f"{' and '.join(lacking)} frames for {job.name}: {settings}"


def _near_misses(decision: Decision) -> Iterator[str]:
    """Name groups too small that differ from another in one keyword, and what would join them."""
    small = {group.name for group in decision.not_made}
    if not small:
        return
    for keyword, members in _differing_in_one(decision):
        members.sort(key=lambda member: (number_of(member[0]) or 0.0, *member))
        for (theirs, one), (ours, other) in pairwise(members):
            difference = Difference(keyword, ours, theirs)
            setting = difference.setting("required_keywords")
            if setting and not small.isdisjoint((one, other)):
                yield f"{one} and {other} ({difference}): if they belong together, {setting}"


def _differing_in_one(decision: Decision) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Give groups that are equal in all keywords but one: that one, their values and names."""
    groups = [
        *((job.name, job.keywords, job.geometry) for job in decision.jobs),
        *((group.name, group.keywords, group.geometry) for group in decision.not_made),
    ]
    keywords = dict.fromkeys(chain(*(values for _, values, _ in groups)))
    for keyword in keywords:
        alike: dict[tuple[object, ...], list[tuple[str, str]]] = defaultdict(list)
        for name, values, geometry in groups:
            written = {key: format_value(key, value) for key, value in values.items()}
            own = written.pop(keyword, "")
            kind = PurePath(name).name.partition("_")[0]
            # No setting joins frames of two sizes or binnings.
            alike[kind, geometry, *written.items()].append((own, name))
        yield from ((keyword, members) for members in alike.values())


def _warnings(decision: Decision) -> Iterator[str]:
    yield from absence_sentences(decision.absent_keywords)
    yield from decision.warnings
    warned = [frame for frame in decision.frames if frame.warnings]
    for text, count in Counter(frame.warnings[0] for frame in warned).most_common(_SHOWN):
        yield f"{_frames(count)}: {text}"


def _frames(count: int) -> str:
    return f"{count} {'frame' if count == 1 else 'frames'}"
