"""Names with which people mark frames that they do not want: ``BAD``, ``rejected``.

Such frames are used, since only their owner knows what the mark means; a warning gives the pattern
for ``exclude``.
"""

from __future__ import annotations

import re
from glob import escape
from pathlib import PurePath
from typing import Final

__all__ = ["exclude_pattern", "is_marked_name"]

_WORDS: Final = (
    "bad", "reject", "rejects", "rejected", "trash", "discard", "discarded", "deleted", "delete",
    "junk", "garbage", "unusable", "ausschuss", "schlecht", "papierkorb", "rejet", "rejets",
    "mauvais", "scarti", "descartados",
)  # fmt: skip
_WORD: Final = "|".join(_WORDS)
#: What may stand beside the mark in the name of a folder; 'Bad Homburg' is a town.
_BESIDE: Final = (
    r"bias(?:es)?|offsets?|darks?|flats?|lights?|frames?|subs?|files?|images?|fits|my|the|old"
)
_FOLDER: Final = re.compile(
    rf"(?:[\W\d_]|{_BESIDE})*(?:{_WORD})(?:[\W\d_]|{_BESIDE})*", re.IGNORECASE
)
_NAME: Final = re.compile(rf"(?:^|[ _-])(?:{_WORD})[ _.-]", re.IGNORECASE)


def is_marked_name(name: str) -> bool:
    """Return whether a file name marks a rejected frame: ``BAD_flat_0001.fits``."""
    return bool(_NAME.search(name))


def exclude_pattern(path: PurePath) -> str:
    """Return the pattern for ``exclude`` that leaves out a rejected frame and those like it.

    Parameters
    ----------
    path : PurePath
        Relative to the scanned directory.

    Returns
    -------
    str
        Empty if neither a folder nor the name marks the frame as rejected.

    Examples
    --------
    >>> exclude_pattern(PurePath("Flats/BAD/x.fits")), exclude_pattern(PurePath("BAD_x.fits"))
    ('BAD', 'BAD_*')
    """
    for folder in path.parent.parts:
        if _FOLDER.fullmatch(folder):
            return escape(folder)
    if match := _NAME.search(path.name):
        return f"{'*' if match.start() else ''}{match[0]}*"
    return ""
