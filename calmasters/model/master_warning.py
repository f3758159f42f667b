"""What a person should know before trusting a master: a sentence, and what it is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

__all__ = ["MasterWarning", "WarningKind"]


class WarningKind(StrEnum):
    """What a warning is about."""

    #: Bias or dark: none matches, or its factor is uncertain.
    CALIBRATION = "calibration"
    #: How bright frames are.
    LEVEL = "level"
    #: Frames that differ from the others of their group, or a group that changes.
    OUTLIERS = "outliers"
    #: How many frames there are.
    FRAME_COUNT = "frame_count"
    #: Samples that could not serve as they are: not finite, outside of the range, alike.
    SAMPLES = "samples"
    #: Said by a version that did not say what a warning is about.
    OTHER = "other"


#: How earlier versions marked warnings about levels and frame counts.
_OLD_LEVEL: Final = "levels: "


@dataclass(frozen=True, slots=True)
class MasterWarning:
    """A warning about one master.

    Attributes
    ----------
    kind : WarningKind
    text : str
        A sentence that a person can act on.
    """

    kind: WarningKind
    text: str

    def __str__(self) -> str:
        return self.text

    @classmethod
    def from_json(cls, stored: Mapping[str, str] | str) -> Self:
        """Read a warning as job files and records have it; plain text is of an older version."""
        if isinstance(stored, str):
            kind = WarningKind.LEVEL if stored.startswith(_OLD_LEVEL) else WarningKind.OTHER
            return cls(kind, stored.removeprefix(_OLD_LEVEL))
        return cls(WarningKind(stored["kind"]), stored["text"])
