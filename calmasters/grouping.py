"""Frames to groups: what is combined with what, and what is left out and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from calmasters.frame_types import canonical_type
from calmasters.frames import Frame, FrameType, Geometry, Status, Value, Verdict, format_value
from calmasters.settings import Settings

__all__ = ["CALIBRATION_TYPES", "Group", "Identity", "Key", "group_frames", "identity", "judge"]

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
    for frame in frames:
        if judge(frame, settings) is None and (found := identity(frame, settings)):
            members[found].append(frame)
    return [
        Group(*found, frames=tuple(sorted(group, key=_time_order)))
        for found, group in sorted(members.items(), key=_identity_order)
    ]


def identity(frame: Frame, settings: Settings) -> Identity | None:
    """Tell the group that a frame's header puts it into, also where it cannot serve.

    None where the header does not tell.
    """
    kind = str(frame.keywords.get("TYPE", ""))
    if kind not in settings.required_keywords or frame.geometry is None or frame.master:
        return None
    if any(_lacking(frame, kind, settings)):
        return None
    return FrameType(kind), _key(frame, FrameType(kind), settings), frame.geometry


def _time_order(frame: Frame) -> tuple[str, str]:
    # Frames without a time come last: '~' sorts behind every digit.
    return frame.date_obs or "~", frame.path


def _identity_order(item: tuple[Identity, object]) -> tuple[object, ...]:
    (kind, key, geometry), _ = item
    return CALIBRATION_TYPES.index(kind), key, str(geometry)


def _key(frame: Frame, kind: FrameType, settings: Settings) -> Key:
    return tuple(
        (keyword, format_value(keyword, frame.keywords[keyword]))
        for keyword in settings.required_keywords[kind.value]
        if keyword != "TYPE" and keyword in frame.keywords
    )


# --- frames that make no master -------------------------------------------------------------------


def judge(frame: Frame, settings: Settings) -> Verdict | None:
    """Say why a frame is ignored or refused; None for a sound calibration frame."""
    if frame.excluded:
        return Verdict(Status.IGNORED, frame.excluded)
    if frame.copy_of:
        return Verdict(Status.IGNORED, f"is a copy of {frame.copy_of}", "copies of other frames")
    kind = str(frame.keywords.get("TYPE", ""))
    if kind and kind in _canonical(settings.ignored_types):
        return Verdict(Status.IGNORED, f"type {kind}")
    faults = [*_faults(frame, kind, settings)]
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


def _faults(frame: Frame, kind: str, settings: Settings) -> Iterator[tuple[str, str]]:
    """Find what is wrong with a frame, each with its remedy."""
    for problem in frame.problems:
        found, _, remedy = problem.partition("; ")
        yield found, remedy
    if frame.geometry is None:
        return
    if frame.master:
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
        yield from _lacking(frame, kind, settings)


def _lacking(frame: Frame, kind: str, settings: Settings) -> Iterator[tuple[str, str]]:
    lacking = [
        keyword
        for keyword in settings.required_keywords[kind]
        if keyword not in frame.keywords and keyword not in settings.optional_keywords
    ]
    if lacking:
        names = ", ".join(lacking)
        yield (
            f"lacks {names}",
            f"add {names} to optional_keywords where your camera writes none, or name the card "
            f"that has it in keyword_aliases, or the folder {lacking[0]}_value",
        )
