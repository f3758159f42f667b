"""Frames with equal keywords that must not be averaged: other parts of a sensor, other flats.

A keyword that differs splits a group only where it differs, and only then it is part of the names:
names in sessions with one telescope do not change.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final, TypeAlias

from calmasters.frame import FrameType, Traits, Value

__all__ = ["ORIGIN", "SPLITTING", "Labels", "belongs", "split"]

#: Keywords that distinguish a group from others, with their values.
Labels: TypeAlias = tuple[tuple[str, Value], ...]

#: Position on the sensor, which is part of the geometry.
ORIGIN: Final = ("XORGSUBF", "YORGSUBF")
#: Keywords that split the frames of a type, in order: the first that differs comes first.
SPLITTING: Final[Mapping[FrameType, tuple[str, ...]]] = {
    FrameType.BIAS: (),
    FrameType.DARK: (),
    FrameType.FLAT: (
        "TELESCOP", "FOCALLEN", "CAMERAID", "ROTATOR", "GRATING", "SLIT", "FLATKIND",
    ),
}  # fmt: skip

#: Angles that differ less are the same position of a rotator, in degrees.
_ANGLE_TOLERANCE: Final = 2.0
#: Focal lengths that differ less are the same optics.
_FOCAL_TOLERANCE: Final = 0.02
_TURN: Final = 360.0
#: Texts that name nothing, without case and separators.
_UNSPECIFIC: Final = frozenset({"", "unknown", "none", "na", "nan", "null", "default", "telescope"})


def split(
    traits: Sequence[Traits], keywords: Sequence[str]
) -> Iterator[tuple[Labels, list[Traits]]]:
    """Split traits where keywords differ.

    Parameters
    ----------
    traits : sequence of Traits
        With equal keywords and size.
    keywords : sequence of str
        Of :data:`ORIGIN` and :data:`SPLITTING`.

    Yields
    ------
    labels : Labels
        The keywords that split, with their values (of several numbers the first, of several
        spellings that of the first traits); an absent keyword is absent.
    traits : list of Traits
    """
    # One traits, as most groups have, is not split.
    for number, keyword in enumerate(keywords if len(traits) > 1 else ()):
        clusters = _clusters(traits, keyword)
        if len(clusters) > 1:
            for value, members in clusters:
                label = () if value is None else ((keyword, value),)
                for labels, part in split(members, keywords[number + 1 :]):
                    yield (*label, *labels), part
            return
    yield (), list(traits)


def belongs(traits: Traits, labels: Labels) -> bool:
    """Return whether a frame could be one of those with these labels."""
    values = ((keyword, value, _value(traits, keyword)) for keyword, value in labels)
    return all(own is None or _are_alike(keyword, value, own) for keyword, value, own in values)


def _clusters(traits: Iterable[Traits], keyword: str) -> list[tuple[Value | None, list[Traits]]]:
    """Sort traits by a keyword; without a value they join the only value, or are on their own."""
    by_value: dict[Value | None, list[Traits]] = {}
    for each in traits:
        by_value.setdefault(_value(each, keyword), []).append(each)
    absent = by_value.pop(None, [])
    clusters: list[tuple[Value | None, list[Traits]]] = [
        (_label(keyword, values[0]), [each for value in values for each in by_value[value]])
        for values in _alike(keyword, [value for value in by_value if value is not None])
    ]
    clusters.sort(key=lambda cluster: _order(cluster[0]))
    if absent and len(clusters) == 1:
        clusters[0][1].extend(absent)
    elif absent:
        clusters.append((None, absent))
    return clusters


def _value(traits: Traits, keyword: str) -> Value | None:
    """Return what is compared; None for an absent or unspecific value."""
    if keyword in ORIGIN:
        geometry = traits.geometry
        return (geometry.xorigin, geometry.yorigin)[ORIGIN.index(keyword)] if geometry else None
    value = traits.keywords.get(keyword)
    if keyword in ("FOCALLEN", "ROTATOR"):
        is_known = isinstance(value, int | float) and (keyword == "ROTATOR" or value > 0)
        return value if is_known else None
    if keyword in ("GRATING", "SLIT"):
        # Decimals are a width or an angle, which is measured. 'None' is an empty position.
        return None if isinstance(value, float) else value
    return None if value is None or _plain(value) in _UNSPECIFIC else value


def _alike(keyword: str, values: Sequence[Value]) -> list[list[Value]]:
    """Group values so that all of a group count as equal to its first one."""
    ordered = sorted(values, key=_order)
    if keyword == "ROTATOR":
        # Begin after a wide gap, so that 359 and 1 degrees are neighbours.
        gaps = [not _are_alike(keyword, *pair) for pair in pairwise(ordered)]
        start = gaps.index(True) + 1 if True in gaps else 0
        ordered = ordered[start:] + ordered[:start]
    groups: list[list[Value]] = []
    for value in ordered:
        if groups and _are_alike(keyword, groups[-1][0], value):
            groups[-1].append(value)
        else:
            groups.append([value])
    return groups


def _order(value: Value | None) -> tuple[float, str]:
    return (0.0, _plain(value)) if isinstance(value, str) else (float(value or 0), "")


def _label(keyword: str, value: Value) -> Value:
    """Return the value for names: angles are rounded, and differ as they are 2 degrees apart."""
    return round(float(value)) % 360 if keyword == "ROTATOR" else value


def _are_alike(keyword: str, one: Value, other: Value) -> bool:
    if keyword == "ROTATOR":
        apart = abs(float(one) - float(other)) % _TURN
        return min(apart, _TURN - apart) <= _ANGLE_TOLERANCE + 1e-6
    if keyword == "FOCALLEN":
        shorter, longer = sorted((float(one), float(other)))
        return longer <= shorter * (1 + _FOCAL_TOLERANCE) + 1e-6
    return _plain(one) == _plain(other)


def _plain(value: Value) -> str:
    """Write a value without case and separators: 'Newton 200' and 'newton_200' are equal."""
    return re.sub(r"[\W_]+", "", str(value)).casefold()
