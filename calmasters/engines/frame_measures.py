"""Levels of raw frames on a coarse grid, and their noise, from a few rows of each frame.

Frames of a group are compared by them before they are combined. At most 128 rows are read: a few
percent of a large frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from calmasters.images.raw_frame import Image, RawFrame

__all__ = ["FrameMeasure", "measure_frame", "measure_frames", "measure_image"]

Cells: TypeAlias = NDArray[np.float64]

#: Largest number of cells in each direction, and the smallest side of a cell in pixels.
_CELLS: Final = 32
_CELL_SIDE: Final = 4

_ADU: Final = 1 / 65535

#: Mean absolute difference of two samples with Gaussian noise of sigma 1.
_DIFFERENCE: Final = 2 / np.sqrt(np.pi)

#: Differences above this many times their median are cut: hot pixels and stars.
_CUT: Final = 6.0

#: One of this many differences is used for their median.
_MEDIAN_STEP: Final = 7


@dataclass(frozen=True, slots=True)
class FrameMeasure:
    """A frame on a coarse grid.

    Attributes
    ----------
    cells : (rows, columns) array of float64
        Levels in [0, 1].
    noise : float
        Standard deviation of a sample, from differences of samples of one colour in one row.
    cell_noise : float
        That of a cell's level.
    """

    cells: Cells
    noise: float
    cell_noise: float

    @property
    def level(self) -> float:
        """Median of the cells."""
        return float(np.median(self.cells))


def measure_frames(frames: Sequence[RawFrame], threads: int) -> list[FrameMeasure]:
    """Measure opened frames in threads."""
    with ThreadPoolExecutor(threads) as pool:
        return [*pool.map(measure_frame, frames)]


def measure_frame(frame: RawFrame) -> FrameMeasure:
    """Measure an opened frame."""
    height, width = frame.height, frame.width
    pair = min(2, height) * width
    starts = _pair_starts(height)
    if not frame.format.is_uint16:
        return _measure(
            np.array([frame.read(start * width, pair).samples for start in starts]), width
        )
    codes = np.empty((len(starts), pair), np.uint16)
    for start, row in zip(starts, codes, strict=True):
        frame.read_codes(start * width, row)
    samples = codes.view(">i2").astype(np.float32)
    samples += 32768
    samples *= np.float32(_ADU)
    return _measure(samples, width)


def measure_image(image: Image) -> FrameMeasure:
    """Measure an image at the places where :func:`measure_frame` reads a frame of its size."""
    height, width = image.shape
    rows = min(2, height)
    pairs = [image[start : start + rows].reshape(-1) for start in _pair_starts(height)]
    return _measure(np.array(pairs), width)


def _pair_starts(height: int) -> list[int]:
    """Return the first of two neighbouring rows, twice in each row of cells.

    Two rows contain all colours of a Bayer mosaic.
    """
    bands = _cells_of(height)
    edges = np.linspace(0, height, 2 * bands + 1).astype(int)
    starts = (edges[:-1] + edges[1:]) // 2 - 1
    return [int(start) for start in starts.clip(0, max(0, height - 2))]


def _cells_of(side: int) -> int:
    return min(_CELLS, max(1, side // _CELL_SIDE))


def _measure(pairs: Image, width: int) -> FrameMeasure:
    """Measure samples of pairs of rows, two pairs in each row of cells."""
    rows = pairs.reshape(len(pairs) // 2, -1, width)
    edges = np.linspace(0, width, _cells_of(width) + 1).astype(int)
    sums = np.add.reduceat(rows, edges[:-1], axis=2)
    # The median of the rows: a star or a hot pixel is in one or two of them.
    cells = np.median(sums / np.diff(edges), axis=1)
    noise = _noise(rows[:, 0])
    samples = rows.shape[1] * width / cells.shape[1]
    # A median of means has up to 1.25 times the noise of the mean.
    return FrameMeasure(cells.astype(np.float64), noise, 1.25 * noise / float(np.sqrt(samples)))


def _noise(rows: Image) -> float:
    """Estimate the noise of a sample; samples two columns apart have one colour."""
    differences = np.abs(rows[:, 2:] - rows[:, :-2])
    if differences.size == 0:
        return 0.0
    usual = float(np.median(differences.reshape(-1)[::_MEDIAN_STEP]))
    # A mean changes continuously with the noise; a median of integers does not.
    cut = np.minimum(differences, np.float32(_CUT * usual + _ADU))
    return float(cut.mean(dtype=np.float64) / _DIFFERENCE)
