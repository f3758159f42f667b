"""The words that capture programs have for a frame's type."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Final

from calmasters.frame import FrameType

__all__ = ["canonical_type", "frame_type", "says_master"]

#: Spellings after :func:`_squeezed`; a dark-flat is a dark.
_TYPES: Final[Mapping[str, FrameType]] = {
    **dict.fromkeys(("bias", "offset", "zero", "superbias"), FrameType.BIAS),
    **dict.fromkeys(("dark", "darkflat", "flatdark"), FrameType.DARK),
    **dict.fromkeys(("flat", "skyflat", "domeflat", "twilightflat", "flatlamp"), FrameType.FLAT),
    **dict.fromkeys(("light", "science", "object", "expose", "snapshot"), FrameType.LIGHT),
}
_MASTER: Final = ("master", "superbias")


def frame_type(text: str) -> FrameType | None:
    """Recognise a frame type in any program's spelling; None for anything else.

    >>> frame_type("Flat Field"), frame_type("Master Dark"), frame_type("Tricolor Image")
    (<FrameType.FLAT: 'flat'>, <FrameType.DARK: 'dark'>, None)
    """
    return _TYPES.get(_squeezed(text).removeprefix("master"))


def canonical_type(text: str) -> str:
    """Write a type as TYPE has it: a known one by its name, any other squeezed to one word."""
    return (frame_type(text) or _squeezed(text)).lower()


def says_master(text: str) -> bool:
    """Tell whether a type or a file's name is that of a master."""
    return _squeezed(text).startswith(_MASTER)


@cache
def _squeezed(text: str) -> str:
    """'Bias Frame', 'BIAS_FRAME' and 'bias' are one word; at least one word is left."""
    word = re.sub(r"[\s_-]+", "", text.casefold())
    return re.sub(r"(?<=.)(frames?|field|image)$", "", word)
