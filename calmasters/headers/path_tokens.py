"""Read keywords from the names of folders and files: ``KEY_value`` tokens and frame types."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import PurePath
from typing import Final

from calmasters.frame import FrameType
from calmasters.headers.frame_types import frame_type

__all__ = ["key_pattern", "path_tokens", "type_from_folder", "type_from_name"]

#: Keys that are recognized in names, besides the canonical keywords.
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
    """Read the ``KEY_value`` and ``KEY-value`` tokens of folders and file name, in this order.

    Parameters
    ----------
    path : PurePath
        The extension of its last part is ignored.
    keywords : iterable of str
        Canonical keywords to search for, besides the other keys (``EXP``, ``SETTEMP``…).

    Yields
    ------
    keyword, text : str
        The canonical keyword (or ``BINNING``), and the text of its value.
    """
    keys, match_key = _keys(tuple(keywords))
    for part in (*path.parent.parts, _stem(path)):
        tokens = part.split("_")
        for token, following in zip(tokens, (*tokens[1:], ""), strict=True):
            if token in keys:
                yield keys[token], following.strip()
            elif key := match_key(token):
                yield keys[key[1]], token[key.end() :].strip()


def key_pattern(keywords: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern that matches every file name with a token or the name of a master.

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
    """Return the keyword of each key, and a function that matches the key of ``KEY-value``.

    The function prefers the longest key: DATE-OBS-2026-01-15 is DATE-OBS, not DATE.
    """
    keys = {**{keyword: keyword for keyword in keywords}, **_KEYS}
    longest_first = sorted(keys, key=len, reverse=True)
    return keys, re.compile(f"({'|'.join(map(re.escape, longest_first))})-").match


def _stem(path: PurePath) -> str:
    packed = path.suffix.lower() in (".fz", ".gz")
    return PurePath(path.stem).stem if packed else path.stem


def type_from_name(path: PurePath) -> FrameType | None:
    """Return the type in the file name of a master: ``masterDark_…``, ``superbias``."""
    match = _MASTER_NAME.match(path.name)
    return frame_type(match[1]) if match else None


def type_from_folder(path: PurePath) -> FrameType | None:
    """Return the type of the innermost folder whose complete name is a frame type.

    Plurals are accepted, dates and numbers are ignored: ``Darks``, ``bias frames``,
    ``FLAT_2026-01-15``, ``dark 300s``. ``Dark Shark Nebula`` is not a type.
    """
    for folder in reversed(path.parent.parts):
        parts = [part for part in re.split(r"[\s_-]+", folder) if not part[:1].isdigit()]
        if known := frame_type("".join(parts)) or frame_type("".join(parts).removesuffix("s")):
            return known
    return None
