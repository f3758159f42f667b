"""Sections of an image as cards give them: ``[1:2048,1:1024]``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from calmasters.frame_layout import Section
from calmasters.headers.fits_cards import Cards, CardValue

__all__ = ["CardSection", "is_unreadable", "section_of", "sections_in"]

_NUMBER: Final = r"(\d{1,9})(?:\.0*)?"
_AXIS: Final = rf"\s*(?:{_NUMBER}\s*:\s*{_NUMBER}|\*)\s*"
#: Some programs write other brackets, or none.
_SECTION: Final = re.compile(rf"(?<![\d.])[\[(]?{_AXIS},{_AXIS}(?![\d.:])[\])]?")
_NOT_ZERO: Final = re.compile("[1-9]")


class CardSection(NamedTuple):
    """First and last pixel of each axis, from 1; reversed if the first is above the last.

    An axis is empty for ``*``: all of it.
    """

    x: tuple[int, ...]
    y: tuple[int, ...]

    @property
    def reverses_x(self) -> bool:
        """Whether columns are counted backwards."""
        return bool(self.x) and self.x[0] > self.x[1]

    @property
    def reverses_y(self) -> bool:
        """Whether rows are counted backwards."""
        return bool(self.y) and self.y[0] > self.y[1]

    def in_image(self, width: int, height: int) -> Section:
        """Give its pixels in an image of this size, which it may exceed."""
        left, right = (min(self.x), max(self.x)) if self.x else (1, width)
        top, bottom = (min(self.y), max(self.y)) if self.y else (1, height)
        return Section(left - 1, right, top - 1, bottom)

    def binned(self, width: int, height: int, binning: tuple[int, int]) -> Section:
        """Give the binned pixels that are completely in a section of unbinned ones."""
        xbinning, ybinning = binning
        section = self.in_image(width * xbinning, height * ybinning)
        return Section(
            -(-section.left // xbinning),
            section.right // xbinning,
            -(-section.top // ybinning),
            section.bottom // ybinning,
        )

    def __str__(self) -> str:
        return f"[{','.join(':'.join(map(str, axis)) or '*' for axis in self)}]"


def sections_in(value: CardValue | None) -> Iterator[CardSection]:
    """Read all sections in the value of a card; ``[0:0,0:0]`` is none."""
    for found in _SECTION.finditer(str(value)):
        left, right, bottom, top = found.groups()
        x = (int(left), int(right)) if left else ()
        y = (int(bottom), int(top)) if bottom else ()
        if all(not axis or max(axis) for axis in (x, y)):
            yield CardSection(x, y)


def is_unreadable(value: CardValue | None) -> bool:
    """Return whether a value with numbers is no section, such as ``[49-56,1-48]``."""
    return bool(_NOT_ZERO.search(str(value))) and not any(sections_in(value))


def section_of(cards: Cards, name: str, sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Read the first and last pixel (from 1) of each axis; empty without a section."""
    for section in sections_in(cards.get(name)):
        left, right, top, bottom = section.in_image(*sizes)
        return [(left + 1, right), (top + 1, bottom)]
    return []
