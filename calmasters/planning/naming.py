"""Group to file name: readable, safe on every system, never the same for two groups."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from calmasters.frame import format_value
from calmasters.planning.grouping import Group

__all__ = ["LONGEST_NAME", "name_groups"]

#: Characters of a name without extension; file systems take 255 bytes, temporary files need some.
LONGEST_NAME: Final = 180

_LONGEST_FOLDER: Final = 60
#: Devices on Windows, whatever stands behind a dot; names that begin as ours do are none.
_RESERVED: Final = re.compile(r"(CON|PRN|AUX|NUL|(COM|LPT)[0-9])(\..*)?", re.IGNORECASE)
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9 .+-]")


@dataclass(frozen=True)
class _Style:
    """How a layout writes names.

    Attributes
    ----------
    order : tuple of str
        Keywords in the order of the name; others follow in the order of the configuration.
    joint : str
        Between a keyword and its value.
    folders : mapping of str to str
        Keywords that make a folder of their own, the outermost first, with what stands before
        the value.
    """

    order: tuple[str, ...]
    joint: str
    folders: Mapping[str, str]


_STYLES: Final[Mapping[str, _Style]] = {
    "by-type": _Style(
        order=(
            *("EXPOSURE", "FILTER", "INSTRUME", "DATE"),
            *("SET-TEMP", "GAIN", "OFFSET", "READOUTM"),
        ),
        joint="-",
        folders={},
    ),
    "ap-library": _Style(
        order=("FILTER", "EXPOSURE", "GAIN", "OFFSET", "SET-TEMP", "FOCALLEN", "READOUTM"),
        joint="_",
        folders={"INSTRUME": "", "TELESCOP": "", "DATE": "DATE_"},
    ),
}


def name_groups(groups: Iterable[Group], layout: str = "by-type") -> list[str]:
    """Name the masters of one run's groups.

    ``masterDark_EXPOSURE-300.00_INSTRUME-ATR585M_SETTEMP--10.00_GAIN-100…``: characters other
    than letters, digits, space, ``.``, ``+`` and ``-`` become ``-``. Where that or the length
    lost something, or two names are equal on a system that ignores case,
    the name ends in a digest of the group's keywords and geometry.

    Parameters
    ----------
    groups : iterable of Group
    layout : {'by-type', 'ap-library'}
        The second gives names with folders, as the library of the ap-* tools has them:
        ``ATR585M/DATE_2026-01-15/masterFlat_FILTER_B_GAIN_100…``.
    """
    groups, style = list(groups), _STYLES[layout]
    names = [_name(group, style) for group in groups]
    count = Counter(name.casefold() for name in names)
    return [
        _with_digest(name, group) if count[name.casefold()] > 1 else name
        for group, name in zip(groups, names, strict=True)
    ]


def _name(group: Group, style: _Style) -> str:
    """Compose a name, with a digest where it lost something of the keywords."""
    texts = dict(group.key) | {key: format_value(key, value) for key, value in group.labels}
    values = {keyword: _UNSAFE.sub("-", value).strip(" .") for keyword, value in texts.items()}
    lossy = values != texts
    folders = [
        _folder(f"{before}{values.pop(keyword)}")
        for keyword, before in style.folders.items()
        if keyword in values
    ]
    parts = [f"master{group.type.value.capitalize()}"]
    for keyword in sorted(values, key=lambda keyword: _place(keyword, style.order)):
        name = _UNSAFE.sub("", keyword.replace("-", ""))
        parts.append(f"{name}{style.joint}{values[keyword]}")
    if (group.geometry.xbinning, group.geometry.ybinning) != (1, 1):
        parts.append(f"BIN{style.joint}{group.geometry.xbinning}x{group.geometry.ybinning}")
    file = "_".join(parts)
    long = len(file) > LONGEST_NAME or any(len(name) == _LONGEST_FOLDER for name in folders)
    path = "/".join((*folders, file))
    return _with_digest(path, group) if lossy or long else path


def _folder(text: str) -> str:
    name = text[:_LONGEST_FOLDER].strip(" .") or "-"
    return f"{name}-" if _RESERVED.fullmatch(name) else name


def _place(keyword: str, order: Sequence[str]) -> int:
    return order.index(keyword) if keyword in order else len(order)


def _with_digest(path: str, group: Group) -> str:
    parts = (group.type.value, group.key, str(group.geometry.without_origin))
    identity = repr((*parts, group.labels) if group.labels else parts)
    ending = f"_ID-{sha256(identity.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"
    folder, slash, file = path.rpartition("/")
    return folder + slash + file[: LONGEST_NAME - len(ending)].rstrip(" .") + ending
