"""Short names of masters, as people read them: ``flat B 2026-01-16, ATR585M, -10 °C, gain 100``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from calmasters.frame import FrameType, Geometry, Value, format_value
from calmasters.planning.grouping import Group

__all__ = ["label_of", "short_names"]

#: Keywords of a short name: before its first comma, and after it. Others appear only where two
#: names would be equal.
_FIRST: Final[Mapping[FrameType, tuple[str, ...]]] = {
    FrameType.BIAS: (),
    FrameType.DARK: ("EXPOSURE",),
    FrameType.FLAT: ("FILTER", "DATE"),
}
_SECOND: Final = ("INSTRUME", "SET-TEMP", "GAIN")

#: Keywords whose values explain themselves.
_BARE: Final = frozenset({"FILTER", "DATE", "INSTRUME", "READOUTM", "TELESCOP", "FLATKIND"})
_UNITS: Final = {"EXPOSURE": "s", "SET-TEMP": "°C"}


def short_names(groups: Iterable[Group]) -> list[str]:
    """Name the masters of groups for people; no two names are equal.

    Parameters
    ----------
    groups : iterable of Group

    Returns
    -------
    list of str
        In the order of the groups, such as ``dark 300 s, ATR585M, -10 °C, gain 100``.
    """
    groups = list(groups)
    alike: dict[str, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        alike[_name(group)].append(index)
    names = [""] * len(groups)
    for name, indices in alike.items():
        members = [_details(groups[index]) for index in indices]
        for index, details in zip(indices, members, strict=True):
            differing = [
                text
                for key, text in details.items()
                if any(other.get(key) != text for other in members)
            ]
            names[index] = ", ".join((name, *differing))
    return names


def label_of(type_: FrameType, keywords: Mapping[str, Value]) -> str:
    """Return the part of a name before its first comma: ``dark 60 s``, ``flat B 2026-01-16``."""
    return " ".join((type_.value, *_texts(keywords, _FIRST[type_])))


def _name(group: Group) -> str:
    first = label_of(group.type, group.keywords)
    return ", ".join((first, *_texts(group.keywords, _SECOND)))


def _texts(keywords: Mapping[str, Value], names: Iterable[str]) -> Iterator[str]:
    yield from (_text(name, keywords[name]) for name in names if name in keywords)


def _details(group: Group) -> dict[str, str]:
    """Give what a name does not have: further keywords, binning, size, Bayer pattern."""
    used = {*_FIRST[group.type], *_SECOND}
    details = {
        keyword: _text(keyword, value)
        for keyword, value in group.keywords.items()
        if keyword not in used
    }
    details |= {keyword: _text(keyword, value) for keyword, value in group.labels}
    return details | _geometry_details(group.geometry)


def _geometry_details(geometry: Geometry) -> dict[str, str]:
    return {
        "binning": f"binned {geometry.xbinning}x{geometry.ybinning}",
        "size": f"{geometry.width}x{geometry.height}",
        "bayerpat": geometry.bayerpat or "no Bayer pattern",
    }


def _text(keyword: str, value: Value) -> str:
    text = format_value(keyword, value)
    if keyword in _UNITS and not isinstance(value, str):
        return f"{text.rstrip('0').rstrip('.')} {_UNITS[keyword]}"
    return text if keyword in _BARE else f"{keyword.lower()} {text}"
