"""What folder and file names say of a frame: ``KEY_value`` tokens, and words for its type."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import PurePath
from typing import Final

from calmasters.frame import FrameType
from calmasters.headers.frame_types import frame_type

__all__ = ["folder_type", "key_pattern", "name_type", "path_tokens"]

#: Keys that may stand in a name beside the canonical ones.
_KEYS: Final[Mapping[str, str]] = {
    "SETTEMP": "SET-TEMP",
    "EXP": "EXPOSURE",
    "EXPTIME": "EXPOSURE",
    "CAMERA": "INSTRUME",
    "IMAGETYP": "TYPE",
    "TYPE": "TYPE",
    "DATE": "DATE",
    "DATE-OBS": "DATE",
    "BIN": "BINNING",
    "BINNING": "BINNING",
}
_MASTER_NAME: Final = re.compile(
    r"(?:master|super)[ _-]?(flat[ _-]?dark|bias|dark|flat)", re.IGNORECASE
)


def path_tokens(path: PurePath, keywords: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Read the ``KEY_value`` and ``KEY-value`` tokens of folders and name, the innermost last.

    Parameters
    ----------
    path : PurePath
        Its last part loses its extension.
    keywords : iterable of str
        Canonical keywords to look for, beside their other names (``EXP``, ``SETTEMP``…).

    Yields
    ------
    keyword, text : str
        The canonical keyword (or ``BINNING``) and what stands behind it.
    """
    keys, begins = _keys(tuple(keywords))
    for part in (*path.parent.parts, _stem(path)):
        words = part.split("_")
        for word, following in zip(words, (*words[1:], ""), strict=True):
            if word in keys:
                yield keys[word], following.strip()
            elif found := begins(word):
                yield keys[found[1]], word[found.end() :].strip()


def key_pattern(keywords: Iterable[str]) -> re.Pattern[str]:
    """Make a pattern that finds something in every file name of which anything here reads more.

    Parameters
    ----------
    keywords : iterable of str
        As for :func:`path_tokens`.
    """
    keys = "|".join(map(re.escape, _keys(tuple(keywords))[0]))
    return re.compile(rf"(?:^|_)(?:{keys})[_-]|^(?i:master|super)")


@cache
def _keys(
    keywords: tuple[str, ...],
) -> tuple[dict[str, str], Callable[[str], re.Match[str] | None]]:
    """Give keys with their keywords, and what finds one at the beginning of ``KEY-value``.

    The longest first: DATE-OBS-2026-01-15 is DATE-OBS, not DATE.
    """
    keys = {**{keyword: keyword for keyword in keywords}, **_KEYS}
    longest_first = sorted(keys, key=len, reverse=True)
    return keys, re.compile(f"({'|'.join(map(re.escape, longest_first))})-").match


def _stem(path: PurePath) -> str:
    packed = path.suffix.lower() in (".fz", ".gz")
    return PurePath(path.stem).stem if packed else path.stem


def name_type(path: PurePath) -> FrameType | None:
    """Tell the type of a master by its name: ``masterDark_…``, ``superbias``."""
    found = _MASTER_NAME.match(path.name)
    return frame_type(found[1]) if found else None


def folder_type(path: PurePath) -> FrameType | None:
    """Tell the type by the innermost folder whose whole name is a word for one.

    Plurals count, dates and numbers beside the word do not: ``Darks``, ``bias frames``,
    ``FLAT_2026-01-15``, ``dark 300s``; but ``Dark Shark Nebula`` is no dark.
    """
    for folder in reversed(path.parent.parts):
        words = [word for word in re.split(r"[\s_-]+", folder) if not word[:1].isdigit()]
        if known := frame_type("".join(words)) or frame_type("".join(words).removesuffix("s")):
            return known
    return None
