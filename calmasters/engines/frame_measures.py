"""Levels of raw frames on a coarse grid, and their noise, from a few rows of each frame.

Frames of a group are compared by them before they are combined. At most 128 rows are read: a few
percent of a large frame.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from calmasters.engines.hot_pixels import HotPixels, find_hot_pixels
from calmasters.images.assembled_frame import AssembledFrame
from calmasters.images.open_frame import OpenedFrame
from calmasters.images.raw_frame import Image, RawFrame

__all__ = ["FrameMeasure", "measure_frame", "measure_frames", "measure_image"]

Cells: TypeAlias = NDArray[np.float64]

#: Largest number of cells in each direction, and the smallest side of a cell in pixels.
_CELLS: Final = 32
_CELL_SIDE: Final = 4

#: Largest number of parts of a cell's row, and the share of a cell's parts that are kept: those
#: with stars and hot pixels are the brightest.
_PARTS: Final = 8
_KEPT: Final = 0.75

#: Mean absolute difference of two samples with Gaussian noise of sigma 1.
_DIFFERENCE: Final = 2 / math.sqrt(math.pi)

#: Differences above this many times their median, and one ADU, are cut: hot pixels and stars.
_CUT: Final = 6.0

#: Standard deviation of rounding, in steps.
_ROUNDING: Final = 0.29

#: Share of the differences that are not 0 where values have a step: more than hot pixels have.
_STEPPING: Final = 0.001

#: Number of differences, about, that are used for their median.
_MEDIAN_SAMPLES: Final = 20_000

#: Samples of a complete frame that are read at once, and what rounding changes.
_READ_SAMPLES: Final = 1 << 19
_SAME: Final = 0.25 / 65535

#: One of this many pairs of rows is enough for the levels of a mosaic.
_MOSAIC_STEP: Final = 4
#: With fewer differences, the noise of the brightest tenth of the cells is not known well enough.
_FEWEST_DIFFERENCES: Final = 4096

#: Share of the level from which on noise is compared with that in the other direction.
_SCATTER: Final = 0.1

#: Bands of an image whose content is compared with that of other frames.
_BANDS: Final = 8

#: Largest number of rows in which hot pixels are looked for.
_HOT_ROWS: Final = 64

#: Usually the fewest samples have the highest value. Where the camera cuts higher ones off, they
#: are more than this many times those of the next lower value, and more than chance.
_PLATEAU_RATIO: Final = 2
_CHANCE_SAMPLES: Final = 16

#: Samples of a frame in which the step between values is looked for, and the fewest different
#: values: of fewer, all may be even by chance.
_STEP_SAMPLES: Final = 4096
_STEP_VALUES: Final = 6


@dataclass(frozen=True, slots=True)
class FrameMeasure:
    """A frame on a coarse grid.

    Attributes
    ----------
    level : float
        Median of the parts of all cells, in [0, 1].
    cells : (rows, columns) array of float64
        Mean levels without the brightest parts, in [0, 1].
    noise : float
        Standard deviation of a sample, from differences of samples of one colour in one row.
    cell_noise : float
        That of a cell's level.
    hot_pixels : HotPixels
    highest : float
        The highest sample, in [0, 1].
    plateau : float
        Share of the samples that have this value where the camera cuts higher ones off, and 0 where
        it does not; 1 if all samples are equal.
    white : float
        The sample from which on pixels are saturated, in [0, 1].
    overscan_adu : float or None
        Level of the overscan that was subtracted; None where it is not known, or there is none.
    step_adu : float
        Step between values of samples: 16 for 12 bits that are shifted; 0 where it is not known.
    mosaic : (2, 2) array of float64
        Mean levels of the samples in even and odd rows and columns, in [0, 1].
    top_noise : float
        Noise in the brightest cells, as a share of that in cells of the level with most noise.
    zeros : float
        Share of the samples that are 0.
    scatter : float
        The noise; where it is a large share of the level, the median difference of samples below
        each other if that is less: stripes along columns are no noise. In [0, 1].
    content : tuple of int
        Digests of the sums of the parts of all cells, in bands from top to bottom: the same for
        equal pixels, in any format.
    """

    level: float
    cells: Cells
    noise: float
    cell_noise: float
    hot_pixels: HotPixels
    highest: float = 1.0
    plateau: float = 0.0
    white: float = 1.0
    overscan_adu: float | None = None
    step_adu: float = 0.0
    mosaic: Cells = field(default_factory=lambda: np.ones((2, 2)))
    top_noise: float = 1.0
    zeros: float = 0.0
    scatter: float = 0.0
    content: tuple[int, ...] = ()


def measure_frames(frames: Sequence[OpenedFrame], threads: int) -> list[FrameMeasure]:
    """Measure opened frames in threads."""
    with ThreadPoolExecutor(threads) as pool:
        return [*pool.map(measure_frame, frames)]


def measure_frame(frame: OpenedFrame) -> FrameMeasure:
    """Measure an opened frame."""
    overscan_adu = frame.overscan_adu or None if isinstance(frame, AssembledFrame) else None
    measure = replace(_measure_rows(frame), white=frame.white, overscan_adu=overscan_adu)
    # In these rows all samples are equal: are they everywhere?
    return replace(measure, plateau=_share_of(measure, frame)) if measure.plateau == 1 else measure


def _share_of(measure: FrameMeasure, frame: OpenedFrame) -> float:
    """Return the share of all samples of a frame that are its highest sample."""
    starts = range(0, frame.size, _READ_SAMPLES)
    strips = (frame.read(at, min(_READ_SAMPLES, frame.size - at)).samples for at in starts)
    unlike = (abs(strip - measure.highest) > _SAME for strip in strips)
    return 1 - sum(map(int, map(np.count_nonzero, unlike))) / frame.size


def _measure_rows(frame: OpenedFrame) -> FrameMeasure:
    starts, rows, width = _pair_starts(frame.height), min(2, frame.height), frame.width
    if not (isinstance(frame, RawFrame) and frame.format.is_uint16):
        pairs = [frame.read(start * width, rows * width).samples for start in starts]
        return _measure(np.array(pairs).reshape(-1, rows, width))
    codes = np.empty((len(starts), rows * width), np.uint16)
    for start, pair in zip(starts, codes, strict=True):
        frame.read_codes(start * width, pair)
    stored = codes.view(">i2").astype(np.int16)
    measure = _measure(stored.reshape(-1, rows, width), zero=32768, unity=65535)
    return replace(measure, step_adu=_step_adu(stored.reshape(-1)))


def _step_adu(codes: NDArray[np.int16]) -> float:
    values = np.unique(codes[:: max(1, codes.size // _STEP_SAMPLES)])
    if len(values) < _STEP_VALUES:
        return 0.0
    return float(np.gcd.reduce(np.diff(values.astype(np.int64))))


def measure_image(image: Image) -> FrameMeasure:
    """Measure an image at the places where :func:`measure_frame` reads a frame of its size."""
    rows = min(2, len(image))
    return _measure(np.array([image[start : start + rows] for start in _pair_starts(len(image))]))


def _pair_starts(height: int) -> list[int]:
    """Return the first of two neighbouring rows, twice in each row of cells.

    Two rows contain all colours of a Bayer mosaic. The first is even.
    """
    bands = _cells_of(height)
    edges = np.linspace(0, height, 2 * bands + 1).astype(int)
    starts = (edges[:-1] + edges[1:]) // 2 - 1
    return [int(start) // 2 * 2 for start in starts.clip(0, max(0, height - 2))]


def _cells_of(side: int) -> int:
    return min(_CELLS, max(1, side // _CELL_SIDE))


def _measure(
    pairs: NDArray[np.float32 | np.int16], zero: float = 0.0, unity: float = 1.0
) -> FrameMeasure:
    """Measure pairs of rows, two pairs in each row of cells; samples are ``+ zero, / unity``."""
    count, rows, width = pairs.shape
    columns = _cells_of(width)
    parts = max(1, min(_PARTS, width // columns // 2))
    # Even, so that each part contains all colours.
    edges = 2 * np.linspace(0, width // 2, columns * parts + 1).astype(int)
    edges[-1] = width
    sums = np.add.reduceat(pairs.sum(axis=1, dtype=np.float32), edges[:-1], axis=1)
    samples_of_parts = rows * np.diff(edges)
    means = (sums / samples_of_parts + zero) / unity
    whole_adu = np.rint(means * samples_of_parts * 65535).astype(np.int64)
    bands = min(_BANDS, count)
    cells = means.reshape(count // 2, 2, columns, parts).swapaxes(1, 2)
    sorted_parts = np.sort(cells.reshape(count // 2, columns, -1), axis=2)
    kept = sorted_parts[..., : math.ceil(_KEPT * 2 * parts)]
    one_adu = unity / 65535
    differences, stored_noise = _differences(pairs[::2, 0].astype(np.float32), one_adu)
    noise = stored_noise / unity
    lines = pairs.reshape(-1, width)[:: math.ceil(count * rows / _HOT_ROWS)]
    hot_pixels = find_hot_pixels(lines, stored_noise, one_adu)
    samples = 2 * _KEPT * rows * width / columns
    cell_noise = noise / math.sqrt(samples)
    stored, plateau = _highest(pairs)
    highest = (stored + zero) / unity
    level = float(np.median(means))
    levels = kept.mean(axis=2)
    some, last = pairs[::_MOSAIC_STEP], min(1, width - 1)
    mosaic = [some[:, row, column::2].mean(dtype=float) for row in (0, -1) for column in (0, last)]
    return FrameMeasure(
        *(level, levels, noise, cell_noise, hot_pixels, highest, plateau),
        mosaic=(np.reshape(mosaic, (2, 2)) + zero) / unity,
        top_noise=_top_noise(differences, levels, edges[:-1:parts]),
        zeros=float(np.count_nonzero(pairs == -zero)) / pairs.size,
        scatter=noise if noise < _SCATTER * level else min(noise, _below_each_other(pairs) / unity),
        content=tuple(zlib.crc32(band.tobytes()) for band in np.array_split(whole_adu, bands)),
    )


def _below_each_other(pairs: NDArray[np.float32 | np.int16]) -> float:
    some = pairs[::_MOSAIC_STEP, :, ::_MOSAIC_STEP].astype(np.float32)
    return float(np.median(np.abs(some[:, 0] - some[:, -1])))


def _highest(samples: NDArray[np.float32 | np.int16]) -> tuple[float, float]:
    """Return the highest sample, and the share of samples on a plateau at this value."""
    highest = samples.max()
    is_highest = samples == highest
    count = int(np.count_nonzero(is_highest))
    if count == samples.size:
        return float(highest), 1.0
    if count <= _CHANCE_SAMPLES:
        return float(highest), 0.0
    below = samples[~is_highest]
    is_plateau = count > _PLATEAU_RATIO * np.count_nonzero(below == below.max())
    return float(highest), is_plateau * count / samples.size


def _top_noise(differences: Image, levels: Cells, starts: NDArray[np.int64]) -> float:
    """Compare the noise of the brightest tenth of the cells with the largest; 1 in small images."""
    if differences.size < _FEWEST_DIFFERENCES:
        return 1.0
    noise = np.add.reduceat(differences, starts, axis=1) / np.diff([*starts, differences.shape[1]])
    by_level = noise.reshape(-1)[np.argsort(levels, axis=None)]
    medians = np.median(by_level[noise.size % 10 :].reshape(10, -1), axis=1)
    largest = float(medians.max())
    return float(medians[-1]) / largest if largest else 1.0


def _differences(rows: Image, one_adu: float) -> tuple[Image, float]:
    """Return differences of samples two columns apart, which have one colour, and their noise.

    Those of hot pixels are cut.
    """
    differences = rows[:, 2:] - rows[:, :-2]
    if differences.size == 0:
        return differences, 0.0
    np.abs(differences, out=differences)
    step = max(1, differences.size // _MEDIAN_SAMPLES)
    some = differences.reshape(-1)[::step]
    middle = len(some) // 2
    positive = some[some > 0]
    # The step between values, where not only hot pixels differ: 257 ADU in frames of 8 bits.
    value_step = float(positive.min()) if len(positive) > _STEPPING * len(some) else 0.0
    # NumPy's median takes six times as long.
    cut = _CUT * float(np.partition(some, middle)[middle]) + max(value_step, one_adu)
    np.minimum(differences, np.float32(cut), out=differences)
    # A mean changes continuously with the noise; the median of integers does not.
    noise = float(differences.mean(dtype=np.float64) / _DIFFERENCE)
    return differences, max(noise, _ROUNDING * value_step)
