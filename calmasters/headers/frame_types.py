"""Names that capture programs use for the types of frames."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Final

from calmasters.frame import FrameType

__all__ = ["canonical_type", "frame_type", "is_master_type"]

#: Names normalized by :func:`_normalized`; a dark-flat is a dark.
_TYPES: Final[Mapping[str, FrameType]] = {
    **dict.fromkeys(("bias", "offset", "zero", "superbias"), FrameType.BIAS),
    **dict.fromkeys(("dark", "darkflat", "flatdark"), FrameType.DARK),
    **dict.fromkeys(("flat", "skyflat", "domeflat", "twilightflat", "flatlamp"), FrameType.FLAT),
    **dict.fromkeys(("light", "science", "object", "expose", "snapshot"), FrameType.LIGHT),
}
_MASTER: Final = ("master", "superbias")


def frame_type(text: str) -> FrameType | None:
    """Return the frame type for any program's spelling; None for an unknown type.

    >>> frame_type("Flat Field"), frame_type("Master Dark"), frame_type("Tricolor Image")
    (<FrameType.FLAT: 'flat'>, <FrameType.DARK: 'dark'>, None)
    """
    return _TYPES.get(_normalized(text).removeprefix("master"))


def canonical_type(text: str) -> str:
    """Return the canonical TYPE: the name of a known type, else the normalized text."""
    return (frame_type(text) or _normalized(text)).lower()


def is_master_type(text: str) -> bool:
    """Return whether a type is that of a master."""
    return _normalized(text).startswith(_MASTER)


@cache
def _normalized(text: str) -> str:
    """Remove case, separators and the suffix: 'Bias Frame' and 'BIAS_FRAME' become 'bias'."""
    name = re.sub(r"[\s_-]+", "", text.casefold())
    return re.sub(r"(?<=.)(frames?|field|image)$", "", name)
