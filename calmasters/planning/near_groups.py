"""Groups that differ only in nearly equal values, and the settings that would combine them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Final, TypeAlias

from calmasters.frame import FrameType, Value, format_value
from calmasters.headers.dialects import MEASURED
from calmasters.headers.values import rounded
from calmasters.inventory.faults import in_one_line
from calmasters.inventory.suggestions import combined_settings
from calmasters.model.master_record import ENOUGH_FRAMES
from calmasters.planning.grouping import Group, Identity
from calmasters.planning.near_misses import Difference, are_near, joining_step
from calmasters.settings import Settings

__all__ = ["NearGroups", "near_groups"]

#: Other notes compare these: nights, and names of filters.
_NOT_COMPARED: Final = frozenset({"DATE", "FILTER"})

#: The value of each keyword of a group, and of its Bayer pattern; None where it is absent.
_Values: TypeAlias = Mapping[str, Value | None]


@dataclass(frozen=True, slots=True)
class NearGroups:
    """Groups of one type that may belong together.

    Attributes
    ----------
    names : tuple of str
    frames : int
    sentence : str
    remedy : str
        What combines them.
    """

    names: tuple[str, ...]
    frames: int
    sentence: str
    remedy: str


def near_groups(
    named: Mapping[str, Group],
    short_names: Mapping[str, str],
    settings: Settings,
    joined: Container[Identity] = (),
) -> Iterator[NearGroups]:
    """Find small groups that differ from others only in spelling, jitter, or an absent value.

    Parameters
    ----------
    named : mapping of str to Group
        By the name of the master, also those that are too small for one.
    short_names : mapping of str to str
    settings : Settings
    joined : container of Identity
        Groups for which a setting is suggested already.
    """
    values = {
        name: {**group.keywords, "BAYERPAT": group.geometry.bayerpat}
        for name, group in named.items()
        if group.identity not in joined
    }
    exposures = {
        float(frame.keywords.get("EXPOSURE", 0))
        for group in named.values()
        if group.type is not FrameType.BIAS
        for frame in group.frames
    }
    for names in _alike(named, values):
        frames = sum(len(named[name].frames) for name in names)
        if min(len(named[name].frames) for name in names) >= ENOUGH_FRAMES:
            continue
        found = {
            keyword: several
            for keyword in dict.fromkeys(key for name in names for key in values[name])
            if len(several := _counts(keyword, names, values, named)) > 1
        }
        remedy = _remedy(found, settings, exposures)
        short = [short_names[name] for name in names]
        others = short[1] if len(short) == 2 else f"{len(short) - 1} more"
        what = " and ".join(f"{key} ({_text(several)})" for key, several in found.items())
        sentence = (
            f"{frames} {named[names[0]].type.value} frames are in {len(names)} groups that differ "
            f"only in {what}: {short[0]} and {others}; if they belong together, {remedy}"
        )
        yield NearGroups(tuple(names), frames, sentence, remedy)


def _alike(named: Mapping[str, Group], values: Mapping[str, _Values]) -> Iterator[Sequence[str]]:
    """Yield the names of groups that are equal but for near values, several at a time."""
    by_camera: dict[Hashable, list[str]] = defaultdict(list)
    for kind in FrameType:
        names = [name for name in values if named[name].type is kind]
        camera = _firsts("INSTRUME", names, values, named)
        for name in names:
            by_camera[kind, camera[values[name].get("INSTRUME")]].append(name)
    for names in by_camera.values():
        keywords = dict.fromkeys(key for name in names for key in values[name])
        firsts = {keyword: _firsts(keyword, names, values, named) for keyword in keywords}
        alike: dict[Hashable, list[str]] = defaultdict(list)
        for name in names:
            group = named[name]
            like = tuple(firsts[key][values[name].get(key)] for key in keywords)
            geometry = replace(group.geometry.without_origin, bayerpat=None)
            alike[like, geometry, group.labels].append(name)
        yield from (several for several in alike.values() if len(several) > 1)


def _firsts(
    keyword: str,
    names: Iterable[str],
    values: Mapping[str, _Values],
    named: Mapping[str, Group],
) -> dict[Value | None, Value | None]:
    """Give each value of a keyword the first of those that it nearly equals."""
    names = [*names]
    counts = _counts(keyword, names, values, named)
    firsts: dict[Value | None, Value | None] = {value: value for value in counts}
    sources = (named[name].frames[0].traits.sources.get(keyword) for name in names)
    if keyword in _NOT_COMPARED or MEASURED in sources:
        return firsts
    first: float | None = None
    for number in _numbers(counts):
        first = number if first is None or not are_near(keyword, first, number) else first
        firsts[number] = first
    kept: list[str] = []
    for text in _by_frames(counts):
        same = (each for each in kept if Difference(keyword, text, each).fix)
        firsts[text] = next(same, text)
        kept += [text] * (firsts[text] == text)
    known = {each for each in firsts.values() if each is not None}
    if None in firsts and len(known) == 1:
        (firsts[None],) = known
    return firsts


def _counts(
    keyword: str, names: Iterable[str], values: Mapping[str, _Values], named: Mapping[str, Group]
) -> Counter[Value | None]:
    """Count the frames of each value of a keyword."""
    counts: Counter[Value | None] = Counter()
    for name in names:
        counts[values[name].get(keyword)] += len(named[name].frames)
    return counts


def _numbers(values: Iterable[Value | None]) -> list[float]:
    return sorted(float(each) for each in values if isinstance(each, int | float))


def _by_frames(counts: Counter[Value | None]) -> list[str]:
    """Give the texts, that of most frames first; of several the first in the alphabet."""
    texts = [each for each in counts if isinstance(each, str)]
    return sorted(texts, key=lambda text: (-counts[text], text))


def _text(counts: Counter[Value | None]) -> str:
    numbers = _numbers(counts)
    ends = dict.fromkeys(f"{each:.6g}" for each in (numbers[:1] + numbers[-1:]))
    cause = ", which the program seems to have measured" * (len(numbers) > 1)
    found = [" to ".join(ends) + cause] * bool(numbers) + [
        f"'{each}'" for each in _by_frames(counts)
    ]
    return ", ".join(found + ["none"] * (None in counts))


def _remedy(
    found: Mapping[str, Counter[Value | None]], settings: Settings, exposures: Iterable[float]
) -> str:
    """Name all settings that make the values of each keyword one."""
    steps: dict[str, float] = {}
    aliases: list[dict[str, Any]] = []
    others: list[str] = []
    for keyword, counts in found.items():
        numbers, (first, *spelled) = _numbers(counts), (*_by_frames(counts), "")
        if len(numbers) > 1:
            step = joining_step(keyword, numbers)
            if step and (keyword != "EXPOSURE" or _keeps(exposures, step)):
                steps[keyword] = step
            else:
                others.append(
                    f"put them into a folder {keyword}_{max(numbers, key=counts.__getitem__):g} "
                    "and set path_keywords: override"
                )
        aliases += [
            Difference(keyword, text, first).fix or {"value_aliases": {keyword: {first: [text]}}}
            for text in spelled
            if text
        ]
        if None in counts:
            known = next(format_value(keyword, each) for each in counts if each is not None)
            others.append(
                f"write BAYERPAT {known} into the headers that lack it"
                if keyword == "BAYERPAT"
                else Difference(keyword, "", known).setting("required_keywords")
            )
    remedies = []
    if steps:
        every = {**settings.round, **steps}.items()
        remedies.append(f"set round: {{{', '.join(f'{key}: {step:g}' for key, step in every)}}}")
    if aliases:
        in_use = {key: getattr(settings, key) for fix in aliases for key in fix}
        remedies.append(f"set {in_one_line(reduce(combined_settings, aliases, in_use))}")
    return "; and ".join(remedies + others)


def _keeps(exposures: Iterable[float], step: float) -> bool:
    """Return whether rounding leaves each exposure above 0: darks are chosen and scaled by it."""
    return all(rounded(each, step) > 0 for each in exposures if each > 0)
