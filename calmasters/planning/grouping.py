"""Frames to groups: what is combined with what, and what is left out and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from calmasters.frame import (
    Frame,
    FrameType,
    Geometry,
    Status,
    Traits,
    Value,
    Verdict,
    format_value,
)
from calmasters.headers.frame_types import canonical_type
from calmasters.settings import Settings

__all__ = [
    "CALIBRATION_TYPES",
    "Group",
    "Identity",
    "Key",
    "group_frames",
    "identity",
    "judge",
    "sound_frames",
]

#: The types that make masters.
CALIBRATION_TYPES = (FrameType.BIAS, FrameType.DARK, FrameType.FLAT)

#: Keywords and their values as text; an absent optional keyword is absent.
Key: TypeAlias = tuple[tuple[str, str], ...]

#: What tells a group from others: type, keywords and geometry.
Identity: TypeAlias = tuple[FrameType, Key, Geometry]


@dataclass(frozen=True)
class Group:
    """Frames that make one master.

    Attributes
    ----------
    type : FrameType
    key : Key
        The group's keywords without TYPE, in the order of the configuration.
    geometry : Geometry
    frames : tuple of Frame
        In order of observation time, then path.
    """

    type: FrameType
    key: Key
    geometry: Geometry
    frames: tuple[Frame, ...]

    @property
    def keywords(self) -> Mapping[str, Value]:
        """The group's keywords with their typed values."""
        return {keyword: self.frames[0].keywords[keyword] for keyword, _ in self.key}


def group_frames(frames: Iterable[Frame], settings: Settings) -> list[Group]:
    """Sort sound calibration frames into groups of equal keywords and geometry.

    Frames that :func:`judge` finds fault with are left out.
    """
    members: dict[Identity, list[Frame]] = defaultdict(list)
    for traits, alike in sound_frames(frames, settings).items():
        if found := identity(traits, settings):
            members[found] += alike
    return [
        Group(*found, frames=tuple(sorted(group, key=_time_order)))
        for found, group in sorted(members.items(), key=_identity_order)
    ]


def sound_frames(frames: Iterable[Frame], settings: Settings) -> dict[Traits, list[Frame]]:
    """Give the frames that :func:`judge` finds no fault with, by their traits."""
    alike: dict[Traits, list[Frame]] = defaultdict(list)
    for frame in frames:
        if not (frame.excluded or frame.copy_of):
            alike[frame.traits].append(frame)
    return {traits: few for traits, few in alike.items() if _judge_traits(traits, settings) is None}


def identity(traits: Traits, settings: Settings) -> Identity | None:
    """Tell the group that a header puts its frame into, also where that cannot serve.

    None where the header does not tell.
    """
    kind = str(traits.keywords.get("TYPE", ""))
    if kind not in settings.required_keywords or traits.geometry is None or traits.master:
        return None
    if any(_lacking(traits, kind, settings)):
        return None
    return FrameType(kind), _key(traits, kind, settings), traits.geometry


def _time_order(frame: Frame) -> tuple[str, str]:
    # Frames without a time come last: '~' sorts behind every digit.
    return frame.date_obs or "~", frame.path


def _identity_order(item: tuple[Identity, object]) -> tuple[object, ...]:
    (kind, key, geometry), _ = item
    return CALIBRATION_TYPES.index(kind), key, str(geometry)


def _key(traits: Traits, kind: str, settings: Settings) -> Key:
    return tuple(
        (keyword, format_value(keyword, traits.keywords[keyword]))
        for keyword in settings.required_keywords[kind]
        if keyword != "TYPE" and keyword in traits.keywords
    )


# --- frames that make no master -------------------------------------------------------------------


def judge(frame: Frame, settings: Settings) -> Verdict | None:
    """Say why a frame is ignored or refused; None for a sound calibration frame."""
    if frame.excluded:
        return Verdict(Status.IGNORED, frame.excluded)
    if frame.copy_of:
        return Verdict(Status.IGNORED, f"is a copy of {frame.copy_of}", "copies of other frames")
    return _judge_traits(frame.traits, settings)


def _judge_traits(traits: Traits, settings: Settings) -> Verdict | None:
    kind = str(traits.keywords.get("TYPE", ""))
    if kind and kind in _canonical(settings.ignored_types):
        return Verdict(Status.IGNORED, f"type {kind}")
    faults = [*_faults(traits, kind, settings)]
    if not faults:
        return None
    reasons, remedies = zip(*faults, strict=True)
    return Verdict(
        Status.REFUSED,
        ". ".join("; ".join(filter(None, fault)) for fault in faults),
        ". ".join(dict.fromkeys(filter(None, remedies))) or reasons[0],
    )


@cache
def _canonical(types: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(canonical_type, types))


def _faults(traits: Traits, kind: str, settings: Settings) -> Iterator[tuple[str, str]]:
    """Find what is wrong with frames, each with its remedy."""
    for problem in traits.problems:
        found, _, remedy = problem.partition("; ")
        yield found, remedy
    if traits.geometry is None:
        return
    if traits.master:
        yield (
            "is a master, not a raw frame",
            "move it to a directory named in library, or exclude it",
        )
    elif not kind:
        yield (
            "has no frame type",
            "set IMAGETYP in the capture program, or name its folder TYPE_bias, TYPE_dark "
            "or TYPE_flat, or set folder_types: true for folders named Bias, Darks, Flats",
        )
    elif kind not in settings.required_keywords:
        yield f"is of type '{kind}'", "add the type to ignored_types to pass over such frames"
    else:
        yield from _lacking(traits, kind, settings)


def _lacking(traits: Traits, kind: str, settings: Settings) -> Iterator[tuple[str, str]]:
    lacking = [
        keyword
        for keyword in settings.required_keywords[kind]
        if keyword not in traits.keywords and keyword not in settings.optional_keywords
    ]
    if lacking:
        names = ", ".join(lacking)
        yield (
            f"lacks {names}",
            f"add {names} to optional_keywords where your camera writes none, or name the card "
            f"that has it in keyword_aliases, or the folder {lacking[0]}_value",
        )
