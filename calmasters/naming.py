"""Group to file name: readable, safe on every system, never the same for two groups."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from calmasters.grouping import Group

__all__ = ["LONGEST_NAME", "name_groups"]

#: Characters of a name without extension; file systems take 255 bytes, temporary files need some.
LONGEST_NAME: Final = 180

#: Keywords of a name in their order; others follow in the order of the configuration.
_ORDER: Final = (
    *("EXPOSURE", "FILTER", "INSTRUME", "DATE"),
    *("SET-TEMP", "GAIN", "OFFSET", "READOUTM"),
)
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9 .+-]")


def name_groups(groups: Iterable[Group]) -> list[str]:
    """Name the masters of one run's groups.

    ``masterDark_EXPOSURE-300.00_INSTRUME-ATR585M_SETTEMP--10.00_GAIN-100…``: characters other
    than letters, digits, space, ``.``, ``+`` and ``-`` become ``-``. Where that or the length
    lost something, or two names are equal on a system that does not tell upper from lower case,
    the name ends in a digest of the group's keywords and geometry.
    """
    groups = list(groups)
    names = [_name(group) for group in groups]
    count = Counter(name.casefold() for name in names)
    return [
        _with_digest(name, group) if count[name.casefold()] > 1 else name
        for group, name in zip(groups, names, strict=True)
    ]


def _name(group: Group) -> str:
    """Compose a name, with a digest where it lost something of the keywords."""
    words = [f"master{group.type.value.capitalize()}"]
    lossy = False
    for keyword, value in sorted(group.key, key=_place):
        clean = _UNSAFE.sub("-", value).strip(" .")
        lossy |= clean != value
        words.append(f"{_UNSAFE.sub('', keyword.replace('-', ''))}-{clean}")
    if (group.geometry.xbinning, group.geometry.ybinning) != (1, 1):
        words.append(f"BIN-{group.geometry.xbinning}x{group.geometry.ybinning}")
    name = "_".join(words)
    return _with_digest(name, group) if lossy or len(name) > LONGEST_NAME else name


def _place(item: tuple[str, str]) -> int:
    return _ORDER.index(item[0]) if item[0] in _ORDER else len(_ORDER)


def _with_digest(name: str, group: Group) -> str:
    identity = repr((group.type.value, group.key, str(group.geometry)))
    ending = f"_ID-{sha256(identity.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"
    return name[: LONGEST_NAME - len(ending)].rstrip(" .") + ending
