"""Frames to groups: what is combined with what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from calmasters.frame import Frame, FrameType, Geometry, Traits, Value, format_value
from calmasters.inventory.camera_keywords import (
    UNKNOWN_CAMERAS,
    CameraKeywords,
    missing_keywords,
)
from calmasters.inventory.verdicts import usable_frames
from calmasters.settings import Settings

__all__ = [
    "Group",
    "Identity",
    "Key",
    "group_frames",
    "identity",
]

#: The types that make masters, in order.
_TYPES: Final = (FrameType.BIAS, FrameType.DARK, FrameType.FLAT)

#: Keywords and their values as text; an absent keyword is absent.
Key: TypeAlias = tuple[tuple[str, str], ...]

#: What distinguishes a group: type, keywords and geometry.
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


def group_frames(
    frames: Iterable[Frame], settings: Settings, cameras: CameraKeywords = UNKNOWN_CAMERAS
) -> list[Group]:
    """Sort sound calibration frames into groups of equal keywords and geometry.

    Frames in which :func:`~calmasters.inventory.verdicts.check_frame` finds a fault are left out,
    and those of 8 bits where others of the group are finer.
    """
    members: dict[Identity, list[Frame]] = defaultdict(list)
    for traits, alike in usable_frames(frames, settings, cameras).items():
        if of_group := identity(traits, settings, cameras):
            members[of_group] += alike
    return [
        Group(*of_group, frames=tuple(sorted(_of_one_depth(group), key=_time_order)))
        for of_group, group in sorted(members.items(), key=_identity_order)
    ]


def identity(
    traits: Traits, settings: Settings, cameras: CameraKeywords = UNKNOWN_CAMERAS
) -> Identity | None:
    """Tell the group that a header puts its frame into, also where that cannot serve.

    None where the header does not say it.
    """
    kind = str(traits.keywords.get("TYPE", ""))
    if kind not in settings.required_keywords or traits.geometry is None or traits.master:
        return None
    if missing_keywords(traits, kind, settings, cameras):
        return None
    return FrameType(kind), _key(traits, kind, settings), traits.geometry


def _of_one_depth(frames: Sequence[Frame]) -> Sequence[Frame]:
    """Leave out frames of 8 bits where others are finer.

    Their steps are 257 ADU wide, and rounded in a way that depends on the camera. All other sample
    formats are brought to one scale exactly.
    """
    return [frame for frame in frames if not frame.traits.has_8_bits] or frames


def _time_order(frame: Frame) -> tuple[str, str]:
    # Frames without a time come last: '~' sorts behind every digit.
    return frame.date_obs or "~", frame.path


def _identity_order(item: tuple[Identity, object]) -> tuple[object, ...]:
    (kind, key, geometry), _ = item
    return _TYPES.index(kind), key, str(geometry)


def _key(traits: Traits, kind: str, settings: Settings) -> Key:
    return tuple(
        (keyword, format_value(keyword, traits.keywords[keyword]))
        for keyword in settings.required_keywords[kind]
        if keyword != "TYPE" and keyword in traits.keywords
    )
