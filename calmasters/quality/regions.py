"""Parts of a sensor with a gain and noise of their own: amplifiers, and the colours of a mosaic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calmasters.frame import Geometry
from calmasters.headers.amplifiers import Amplifier
from calmasters.quality.sample import Float32

__all__ = ["TILE_COLUMNS", "TILE_ROWS", "Region", "regions_of"]

#: Pixels of one tile: so few that the light changes linearly across it.
TILE_ROWS, TILE_COLUMNS = 16, 64

#: Smallest tile: with fewer pixels the noise of a tile is not measured, but guessed.
_SMALLEST = 8


@dataclass(frozen=True)
class Region:
    """The pixels of one amplifier and one colour, in a sample of frames.

    Attributes
    ----------
    amplifier : str
        Empty where frames name none.
    colour : str
        ``R``, ``G1``, ``G2`` or ``B``; empty without a mosaic.
    rows, columns : array of int
        Indices into a frame of the sample: complete tiles.
    tile : tuple of int
        Rows and columns of a tile.
    """

    amplifier: str
    colour: str
    rows: NDArray[np.intp]
    columns: slice
    tile: tuple[int, int]

    @property
    def name(self) -> str:
        """``amplifier 11, G1``; empty for a whole sensor without colours."""
        amplifier = f"amplifier {self.amplifier}" if self.amplifier else ""
        return ", ".join(filter(None, (amplifier, self.colour)))

    def tiles(self, frame: Float32) -> Float32:
        """Cut a frame of the sample into tiles: (tiles, rows, columns)."""
        height, width = self.tile
        plane = frame[self.rows, self.columns]
        grid = plane.reshape(len(self.rows) // height, height, -1, width)
        return np.ascontiguousarray(grid.swapaxes(1, 2)).reshape(-1, height, width)


def regions_of(
    rows: Sequence[int], geometry: Geometry, amplifiers: Sequence[Amplifier]
) -> list[Region]:
    """Divide a sample by amplifier and by colour.

    Parameters
    ----------
    rows : sequence of int
        The rows of the frame that the sample contains.
    geometry : Geometry
    amplifiers : sequence of Amplifier
        Empty where frames name none.

    Returns
    -------
    list of Region
        A part that is smaller than the smallest tile is left out.
    """
    whole = Amplifier("", 0, geometry.width, 0, geometry.height)
    step = 2 if geometry.bayerpat else 1
    found = []
    for amplifier in amplifiers or [whole]:
        for first_row in range(step):
            for first_column in range(step):
                region = _region(
                    np.asarray(rows), geometry.bayerpat, amplifier, (first_row, first_column)
                )
                if region:
                    found.append(region)
    return found


def _region(
    rows: NDArray[np.intp], pattern: str | None, amplifier: Amplifier, cell: tuple[int, int]
) -> Region | None:
    step = 2 if pattern else 1
    inside = (rows >= amplifier.top) & (rows < amplifier.bottom) & (rows % step == cell[0])
    places = np.flatnonzero(inside)
    # A tile must not reach across the gap between two bands of the sample.
    bands = np.split(places, np.flatnonzero(np.diff(rows[places]) != step) + 1)
    first = amplifier.left + (cell[1] - amplifier.left) % step
    wide = max(0, -(-(amplifier.right - first) // step))
    high = max(map(len, bands))
    tile = (min(TILE_ROWS, high), min(TILE_COLUMNS, wide))
    if min(tile) < _SMALLEST:
        return None
    last = first + wide // tile[1] * tile[1] * step
    kept = np.concatenate([band[: len(band) // tile[0] * tile[0]] for band in bands])
    colour = _colour(pattern, cell) if pattern else ""
    return Region(amplifier.name, colour, kept, slice(first, last, step), tile)


def _colour(pattern: str, cell: tuple[int, int]) -> str:
    place = 2 * cell[0] + cell[1]
    letter = pattern[place]
    return f"{letter}{pattern[: place + 1].count(letter)}" if letter == "G" else letter
