"""Frames to groups: what is combined with what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from calmasters.frame import Frame, FrameType, Geometry, Traits, Value, format_value
from calmasters.frame_layout import FrameLayout
from calmasters.inventory.camera_keywords import (
    UNKNOWN_CAMERAS,
    CameraKeywords,
    missing_keywords,
)
from calmasters.inventory.verdicts import usable_frames
from calmasters.planning.splitting import ORIGIN, SPLITTING, Labels, belongs, split
from calmasters.settings import Settings

__all__ = [
    "Group",
    "Identity",
    "Key",
    "find_group",
    "group_frames",
    "identity",
    "mixed_keywords",
]

#: The types that make masters, in order.
_TYPES: Final = (FrameType.BIAS, FrameType.DARK, FrameType.FLAT)

#: Keywords and their values as text; an absent keyword is absent.
Key: TypeAlias = tuple[tuple[str, str], ...]

#: What frames of a group have in common: type, keywords, and geometry without position.
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
    labels : Labels
        What distinguishes it from other groups with the same keywords; see :mod:`.splitting`.
    """

    type: FrameType
    key: Key
    geometry: Geometry
    frames: tuple[Frame, ...]
    labels: Labels = ()

    @property
    def keywords(self) -> Mapping[str, Value]:
        """The group's keywords with their typed values."""
        return {keyword: self.frames[0].keywords[keyword] for keyword, _ in self.key}

    @property
    def pedestals_adu(self) -> Sequence[float]:
        """The different pedestals of its frames."""
        return sorted({frame.traits.pedestal_adu for frame in self.frames})

    @property
    def has_8_bits(self) -> bool:
        """Whether its frames have samples of 8 bits: all of them, or none."""
        return self.frames[0].traits.has_8_bits

    @property
    def identity(self) -> Identity:
        """What it has in common with groups that differ only in labels."""
        return self.type, self.key, self.geometry.without_layout.without_origin

    @property
    def unsplit(self) -> Group:
        """The group that would be made of its frames and those of groups with other labels."""
        return replace(self, geometry=self.geometry.without_origin, labels=())


def group_frames(
    frames: Iterable[Frame], settings: Settings, cameras: CameraKeywords = UNKNOWN_CAMERAS
) -> list[Group]:
    """Sort sound calibration frames into groups of equal keywords and geometry.

    Frames in which :func:`~calmasters.inventory.verdicts.check_frame` finds a fault are left out,
    those of 8 bits where others of the group are finer, and those of another layout than most.
    Flats that differ in a keyword of :data:`~calmasters.planning.splitting.SPLITTING` make several
    groups (``mixed: split``).
    """
    members: dict[Identity, dict[Traits, list[Frame]]] = defaultdict(dict)
    for traits, alike in usable_frames(frames, settings, cameras).items():
        if of_group := identity(traits, settings, cameras):
            members[of_group][traits] = alike
    return [
        group
        for of_group, by_traits in sorted(members.items(), key=_identity_order)
        for group in _split_group(of_group, by_traits, settings)
    ]


def _split_group(
    of_group: Identity, by_traits: Mapping[Traits, list[Frame]], settings: Settings
) -> Iterator[Group]:
    kind, key, geometry = of_group
    keywords = (*ORIGIN, *(SPLITTING[kind] if settings.mixed == "split" else ()))
    for labels, part in split(_by_time(by_traits), keywords):
        layout = _most_frequent_layout(part, by_traits)
        part = [each for each in part if each.geometry and each.geometry.layout == layout]
        known = [each.geometry for each in part if each.geometry]
        placed = replace(
            geometry,
            xorigin=_first_known(each.xorigin for each in known),
            yorigin=_first_known(each.yorigin for each in known),
            layout=layout,
        )
        frames = _of_one_depth([frame for traits in part for frame in by_traits[traits]])
        yield Group(kind, key, placed, tuple(sorted(frames, key=_time_order)), labels)


def _most_frequent_layout(
    part: Iterable[Traits], by_traits: Mapping[Traits, list[Frame]]
) -> FrameLayout | None:
    """Return the layout of most frames: those of others are not averaged with them."""
    counts: dict[FrameLayout | None, int] = {}
    for traits in part:
        layout = traits.geometry.layout if traits.geometry else None
        counts[layout] = counts.get(layout, 0) + len(by_traits[traits])
    return max(counts, key=lambda layout: counts[layout])


def _first_known(values: Iterable[int | None]) -> int | None:
    return next((value for value in values if value is not None), None)


def _by_time(by_traits: Mapping[Traits, Iterable[Frame]]) -> list[Traits]:
    """Order traits by their first frame."""
    if len(by_traits) == 1:
        return [*by_traits]
    return sorted(by_traits, key=lambda traits: min(map(_time_order, by_traits[traits])))


def find_group(traits: Traits, alike: Mapping[str, Group]) -> str:
    """Find the group of a frame that is not used; empty if there is none.

    Parameters
    ----------
    traits : Traits
    alike : mapping of str to Group
        Groups with the type, keywords and size of the frame, by name.
    """
    fitting = [name for name, group in alike.items() if belongs(traits, group.labels)]
    return max(fitting, key=lambda name: len(alike[name].labels), default="")


def mixed_keywords(group: Group) -> list[str]:
    """Return the keywords in which the frames of a group should not differ, but do."""
    traits = [*dict.fromkeys(frame.traits for frame in group.frames)]
    keywords = SPLITTING[group.type] or ("CAMERAID",)
    return [key for key in keywords if len([*split(traits, [key])]) > 1]


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
    geometry = traits.geometry.without_layout.without_origin
    return FrameType(kind), _key(traits, kind, settings), geometry


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
