"""A fast search of the factor of a dark.

Most pixels of the thresholded dark are 0; their contribution to the noise of the frame is summed
once. The result differs from the reference's by rounding. Where that could change the float32 value
that the search compares, the complete image is evaluated as in the reference.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from calmasters.engines.dark_scaling import FEWEST_THERMAL_PIXELS
from calmasters.engines.native.compiled import kernels
from calmasters.engines.native.levels import image_mad, image_median
from calmasters.engines.native.reference import Float32
from calmasters.engines.native.reference_flats import (
    image_standard_deviation,
    minimize,
    threshold,
)

__all__ = ["DarkOptimizer", "Rows"]

#: Returns rows of an image as float32: the first one, and their number.
Rows: TypeAlias = Callable[[int, int], Float32]

#: Samples that are evaluated at once: in the cache.
_STRIP_SAMPLES: Final = 1 << 17

#: Relative rounding error of a sum of squares per row and column of the image, of this module and
#: the reference together: both add columns first, and each operation has an error of 2^-53.
_ROUNDING: Final = 16 * 2.0**-53

#: ``RUNS`` of ``moments.py``, which imports numba; this module must not.
_HOT_RUNS: Final = 64


class DarkOptimizer:
    """Finds the factor of one dark for any number of frames; can be used from several threads.

    Parameters
    ----------
    dark : (height, width) array of float32
        Master dark minus master bias.
    sigmas : float
        Pixels of the dark this many sigma above its noise are thermal pixels.
    window : int
        Side of the central square that is evaluated; 0 for the complete frame.
    cfa : bool
        Evaluate the means of the 2 x 2 cells of a Bayer mosaic.
    unsearched : float
        The factor of a dark with too few thermal pixels.
    exact : bool
        Evaluate every step on the complete image, as the reference does.
    """

    def __init__(
        self,
        dark: Float32,
        *,
        sigmas: float,
        window: int,
        cfa: bool,
        unsearched: float = 1.0,
        exact: bool = False,
    ) -> None:
        self._cfa, self._exact = cfa, exact
        self._unsearched = np.float32(unsearched)
        dark = box_mean(dark) if cfa else dark
        centre = image_median(dark)
        is_thermal = dark >= threshold(centre, image_mad(dark, centre), sigmas)
        self.thermal_pixels = int(np.count_nonzero(is_thermal))
        self._evaluated = _centre(dark.shape, window)
        self._is_hot = np.ascontiguousarray(is_thermal[self._evaluated])
        self._where = np.flatnonzero(self._is_hot)
        self._signal = np.ascontiguousarray(dark[self._evaluated]).reshape(-1)[self._where]

    @property
    def usable(self) -> bool:
        """Whether there are enough thermal pixels to search the factor."""
        return self.thermal_pixels >= FEWEST_THERMAL_PIXELS

    def fit(self, rows: Rows) -> np.float32:
        """Find the factor that leaves the least noise in a raw frame."""
        if not self.usable:
            return self._unsearched
        noise = _Noise(partial(self._target, rows), self._is_hot, self._where, self._signal)
        return minimize(noise.exact if self._exact else noise)

    def _target(self, rows: Rows, start: int, count: int) -> Float32:
        """Return rows of the evaluated part of a frame."""
        above, left = self._evaluated
        cell = 2 if self._cfa else 1
        raw = rows(cell * (above.start + start), cell * count)
        return np.ascontiguousarray((box_mean(raw) if self._cfa else raw)[:, left])


def _centre(shape: tuple[int, ...], window: int) -> tuple[slice, ...]:
    """Return the rows and columns of :func:`.reference_flats.centred_crop`."""
    sides = [(side, min(window or side, side)) for side in shape]
    starts = [(side - length) >> 1 for side, length in sides]
    return tuple(slice(s, s + length) for s, (_, length) in zip(starts, sides, strict=True))


class _Noise:
    """The noise of one frame for a factor of the dark: a faster :func:`dark_objective`."""

    def __init__(
        self,
        target: Rows,
        is_hot: NDArray[np.bool_],
        where: NDArray[np.intp],
        signal: Float32,
    ) -> None:
        self._target, self._where, self._signal = target, where, signal
        self._shape = height, width = is_hot.shape
        self._rounding = (height + width + len(signal) // _HOT_RUNS) * _ROUNDING
        # The rounding error is small for any value near the mean.
        sample = [target(row, 1) for row in range(0, height, 1 + height // 64)]
        self._centre = float(np.mean(sample, dtype=np.float64))
        columns, self._hot = np.zeros((2, width)), np.empty(len(where), np.float32)
        for start, strip, hot in self._strips():
            here = is_hot[start : start + len(strip)]
            kernels().cold_moments(strip, here, *strip.shape, self._centre, columns)
            self._hot[hot] = strip.reshape(-1)[where[hot] - start * width]
        self._cold_sum, self._cold_squares = columns.sum(axis=1).tolist()

    def _strips(self) -> Iterator[tuple[int, Float32, slice]]:
        """Yield the first row of each strip, its raw samples, and which hot pixels are there."""
        height, width = self._shape
        count = max(1, _STRIP_SAMPLES // width)
        for start in range(0, height, count):
            strip = self._target(start, min(count, height - start))
            ends = start * width, (start + len(strip)) * width
            yield start, strip, slice(*np.searchsorted(self._where, ends))

    def __call__(self, k: np.float32) -> np.float32:
        sums = np.empty((2, _HOT_RUNS))
        kernels().hot_moments(self._hot, self._signal, len(self._hot), float(k), self._centre, sums)
        hot_sum, hot_squares = sums.sum(axis=1).tolist()
        total, squares = self._cold_sum + hot_sum, self._cold_squares + hot_squares
        size = self._shape[0] * self._shape[1]
        about_mean = squares - total * total / size
        error_bound = self._rounding * squares
        low, high = (
            np.float32(math.sqrt(max(value, 0.0) / (size - 1)))
            for value in (about_mean - error_bound, about_mean + error_bound)
        )
        return low if low == high else self.exact(k)

    def exact(self, k: np.float32) -> np.float32:
        """Compute it as the reference does, from the frame less ``k`` times the dark."""
        return np.float32(image_standard_deviation(_Rows(self._shape, partial(self._less, k))))

    def _less(self, k: np.float32) -> Iterator[Float32]:
        for start, strip, hot in self._strips():
            less = strip.reshape(-1).copy()
            less[self._where[hot] - start * self._shape[1]] -= k * self._signal[hot]
            yield from less.reshape(strip.shape)


@dataclass(frozen=True, slots=True)
class _Rows:
    """An image whose rows are computed when they are needed: :class:`.ImageRows`."""

    shape: tuple[int, ...]
    rows: Callable[[], Iterator[Float32]]

    def __iter__(self) -> Iterator[Float32]:
        return self.rows()


def box_mean(image: Float32) -> Float32:
    """Return the means of the 2 x 2 cells of a Bayer mosaic, without an odd last row or column."""
    rows, columns = image.shape
    means = np.empty((rows // 2, columns // 2), np.float32)
    kernels().box_mean(np.ascontiguousarray(image), rows, columns, means)
    return means
