"""Read keywords from the names of folders and files: ``KEY_value`` tokens and frame types."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, lru_cache
from pathlib import PurePath
from typing import Final

from calmasters.frame import FrameType
from calmasters.headers.frame_types import frame_type, may_have_type, types_in_name

__all__ = [
    "key_pattern",
    "master_type_from_name",
    "path_tokens",
    "type_from_folder",
    "type_from_name",
    "type_of_file",
    "typed_folder",
]

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
#: Keys whose values are removed before a name is searched for a type. OFFSET is not one of them,
#: since it is also a word for bias frames: a number after it decides.
_SETTINGS: Final = frozenset(
    {"INSTRUME", "SET-TEMP", "GAIN", "READOUTM", "FILTER", "EXPOSURE", "TELESCOP", "FOCALLEN"}
    | _KEYS.keys()
)
_MASTER_NAME: Final = re.compile(
    r"(?:master|super)[ _-]?(flat[ _-]?dark|bias|dark|flat)", re.IGNORECASE
)

_DIGITS: Final = re.compile(r"\d+")
_setting_and_value: Final = re.compile(
    f"(?:{'|'.join(map(re.escape, sorted(_SETTINGS, reverse=True)))})-"
).match


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
    packed = path.suffix.lower() in (".fz", ".gz", ".bz2")
    return PurePath(path.stem).stem if packed else path.stem


# --- types ----------------------------------------------------------------------------------------


def master_type_from_name(path: PurePath) -> FrameType | None:
    """Return the type in the file name of a master: ``masterDark_…``, ``superbias``."""
    match = _MASTER_NAME.match(path.name)
    return frame_type(match[1]) if match else None


def type_from_name(path: PurePath) -> FrameType | None:
    """Return the type that a file name has: ``bias-0001.fit``, ``2026-01-15_Flat_V_003.fits``."""
    return type_of_file(path.name)


def type_of_file(name: str) -> FrameType | None:
    """Return the type that a file name has, without a folder; see :func:`type_from_name`."""
    if not may_have_type(name):
        return None
    # Names of a series differ in their numbers, which decide only after the word offset.
    return _cached_type(name if "offset" in name.lower() else _DIGITS.sub("1", name))


@lru_cache(4096)
def _cached_type(name: str) -> FrameType | None:
    types = types_in_name(_without_tokens(_stem(PurePath(name))))
    return types[0] if len(types) == 1 else None


def type_from_folder(path: PurePath) -> FrameType | None:
    """Return the type that the innermost folder with a type has: ``Darks``, ``flat_Ha``.

    Parameters
    ----------
    path : PurePath
        All of its folders count: it must be relative to the scanned directory.
    """
    named = typed_folder(path)
    return named[1] if named else None


def typed_folder(path: PurePath) -> tuple[str, FrameType] | None:
    """Return the name and type of the innermost folder with a type.

    None if there is no such folder, or if it has several types, such as ``Darks and Flats``.
    """
    for folder in reversed(path.parent.parts):
        if may_have_type(folder) and (types := types_in_name(_without_tokens(folder))):
            return (folder, types[0]) if len(types) == 1 else None
    return None


def _without_tokens(name: str) -> str:
    """Remove ``KEY_value`` and ``KEY-value`` tokens, whose values are no words for types."""
    kept: list[str] = []
    tokens = iter(name.split("_"))
    for token in tokens:
        if token in _SETTINGS:
            next(tokens, "")
        elif not _setting_and_value(token):
            kept.append(token)
    return "_".join(kept)
