"""Layouts: which samples of a file are the frame, where they go, and which are overscan.

The samples of most files are the frame as it is. Of others a layout says which are kept. Its
sections count rows as files are read: the top row first, also where a file has the lowest row
first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, Self

__all__ = ["LEVEL_TEXTS", "PEDESTAL_ADU", "FrameLayout", "FramePart", "Section"]

#: Added to samples from which the level of the overscan was subtracted: otherwise the noise around
#: 0 would be cut off. It cancels where a bias or dark is subtracted.
PEDESTAL_ADU: Final = 1000.0


#: How the level of the overscan is measured, in words.
LEVEL_TEXTS: Final[Mapping[str, str]] = {
    "median": "median of each line",
    "polynomial": "polynomial along the lines",
    "constant": "one median",
}


class Section(NamedTuple):
    """A rectangle of pixels, counted from 0; right and bottom are not included."""

    left: int
    right: int
    top: int
    bottom: int

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.bottom - self.top

    def is_inside(self, width: int, height: int) -> bool:
        """Return whether it has pixels, all of them in an image of this size."""
        return 0 <= self.left < self.right <= width and 0 <= self.top < self.bottom <= height

    def overlaps(self, other: Section) -> bool:
        """Return whether it shares a pixel with another one."""
        return not (
            self.right <= other.left
            or other.right <= self.left
            or self.bottom <= other.top
            or other.bottom <= self.top
        )

    def upside_down(self, height: int) -> Section:
        """Return it for an image of this height whose rows are reversed."""
        return self._replace(top=height - self.bottom, bottom=height - self.top)

    def __str__(self) -> str:
        """As in cards: ``[1:48,1:40]``."""
        return f"[{self.left + 1}:{self.right},{self.top + 1}:{self.bottom}]"


class FramePart(NamedTuple):
    """The part of a frame that one amplifier reads.

    Attributes
    ----------
    data : Section
        Its samples in the image of the file.
    x, y : int
        Column and row of the frame where the part begins.
    flip_x, flip_y : bool
        Its columns, or rows, are in the other order on the sensor.
    overscan : tuple of Section
        Samples that saw no light and give its level.
    image : int
        Number of the image in a file of several, from 0.
    name : str
        Name of the amplifier; empty where there is only one.
    """

    data: Section
    x: int = 0
    y: int = 0
    flip_x: bool = False
    flip_y: bool = False
    overscan: tuple[Section, ...] = ()
    image: int = 0
    name: str = ""

    @property
    def place(self) -> Section:
        """Its pixels in the frame."""
        return Section(self.x, self.x + self.data.width, self.y, self.y + self.data.height)

    @classmethod
    def from_json(cls, stored: Sequence[Any]) -> Self:
        """Read it as JSON has it: a list."""
        data, x, y, flip_x, flip_y, overscan, *rest = stored
        sections = tuple(Section(*each) for each in overscan)
        return cls(Section(*data), x, y, flip_x, flip_y, sections, *rest)


@dataclass(frozen=True, slots=True)
class FrameLayout:
    """The parts of a frame, and how their level is subtracted.

    Attributes
    ----------
    width, height : int
        Of the frame. Pixels that no part covers are 0.
    parts : tuple of FramePart
    level : str
        A key of :data:`LEVEL_TEXTS`; empty if no level is subtracted.
    pedestal_adu : float
        Added after the subtraction, 16-bit ADU.
    """

    width: int
    height: int
    parts: tuple[FramePart, ...]
    level: str = ""
    pedestal_adu: float = 0.0

    @classmethod
    def of(
        cls, width: int, height: int, parts: Sequence[FramePart], level: str = ""
    ) -> FrameLayout:
        """Build a layout; without an overscan no level is subtracted and no pedestal added."""
        if not level or not all(part.overscan for part in parts):
            bare = tuple(part._replace(overscan=()) for part in parts)
            return cls(width, height, bare)
        return cls(width, height, tuple(parts), level, PEDESTAL_ADU)

    @property
    def is_levelled(self) -> bool:
        """Whether the level of the overscan is subtracted."""
        return bool(self.level)

    @property
    def arrangement(self) -> frozenset[tuple[object, ...]]:
        """Where the amplifiers are in the frame, and how they are turned."""
        several = self.parts if len(self.parts) > 1 else ()
        return frozenset((part.place, part.flip_x, part.flip_y) for part in several)

    @property
    def cut(self) -> tuple[int, int] | None:
        """First column and row of the image that are in the frame; None of several amplifiers."""
        only = self.parts[0].data if len(self.parts) == 1 else None
        return only and (only.left, only.top)

    def upside_down(self, heights: Sequence[int]) -> FrameLayout:
        """Return it for files whose lowest row is the first.

        Parameters
        ----------
        heights : sequence of int
            Number of rows of each image in the file.
        """

        def turned(part: FramePart) -> FramePart:
            rows = heights[part.image]
            return part._replace(
                data=part.data.upside_down(rows),
                y=self.height - part.y - part.data.height,
                overscan=tuple(section.upside_down(rows) for section in part.overscan),
            )

        return replace(self, parts=tuple(map(turned, self.parts)))

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> FrameLayout:
        """Read it as job files, records and the header cache have it."""
        parts = tuple(FramePart.from_json(each) for each in stored["parts"])
        return cls(**{**stored, "parts": parts})

    def __str__(self) -> str:
        """``2 amplifiers, overscan subtracted (median of each line)``."""
        texts = [f"{len(self.parts)} amplifiers"] if len(self.parts) > 1 else []
        if self.is_levelled:
            texts.append(f"overscan subtracted ({LEVEL_TEXTS[self.level]})")
        elif not texts:
            texts.append(f"cut to {self.parts[0].data}")
        return ", ".join(texts)
