"""A fast search of the factor of a dark.

Most pixels of the thresholded dark are 0; their contribution to the noise of the frame is summed
once. The result differs from the reference's by rounding. Where that could change the float32 value
that the search compares, the complete image is evaluated as in the reference.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calmasters.engines.dark_scaling import FEWEST_THERMAL_PIXELS
from calmasters.engines.native.compiled import kernels
from calmasters.engines.native.levels import image_median
from calmasters.engines.native.reference import Float32
from calmasters.engines.native.reference_flats import (
    centred_crop,
    dark_objective,
    image_mad,
    minimize,
    threshold,
)

__all__ = ["DarkOptimizer"]

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
        self._cfa, self._window, self._exact = cfa, window, exact
        self._unsearched = np.float32(unsearched)
        dark = box_mean(dark) if cfa else dark
        centre = image_median(dark)
        is_thermal = dark >= threshold(centre, image_mad(dark, centre), sigmas)
        self.thermal_pixels = int(np.count_nonzero(is_thermal))
        cropped = centred_crop(np.where(is_thermal, dark, np.float32(0)), window)
        self._dark = np.ascontiguousarray(cropped)
        self._where = np.flatnonzero(self._dark)
        self._signal = self._dark.reshape(-1)[self._where]

    @property
    def usable(self) -> bool:
        """Whether there are enough thermal pixels to search the factor."""
        return self.thermal_pixels >= FEWEST_THERMAL_PIXELS

    def fit(self, frame: Float32) -> np.float32:
        """Find the factor that leaves the least noise in a raw ``(height, width)`` frame."""
        if not self.usable:
            return self._unsearched
        return minimize(self._noise(self._target(frame)))

    def _target(self, frame: Float32) -> Float32:
        target = box_mean(frame) if self._cfa else frame
        return np.ascontiguousarray(centred_crop(target, self._window))

    def _noise(self, target: Float32) -> Callable[[np.float32], np.float32]:
        if self._exact:
            return dark_objective(target, self._dark)
        return _Noise(target, self._dark, self._where, self._signal)


class _Noise:
    """The noise of one frame for a factor of the dark: a faster :func:`dark_objective`."""

    def __init__(
        self, target: Float32, dark: Float32, where: NDArray[np.intp], signal: Float32
    ) -> None:
        self._exact = dark_objective(target, dark)
        self._hot, self._signal = target.reshape(-1)[where], signal
        self._size = target.size
        self._rounding = (sum(target.shape) + len(where) // _HOT_RUNS) * _ROUNDING
        # Any value near the mean can be used.
        self._centre = float(np.mean(target[:: 1 + target.shape[0] // 64], dtype=np.float64))
        cold, workspace = np.empty(2), np.empty((2, target.shape[1]))
        kernels().cold_moments(target, dark, *target.shape, self._centre, workspace, cold)
        self._cold_sum, self._cold_squares = cold.tolist()

    def __call__(self, k: np.float32) -> np.float32:
        sums = np.empty((2, _HOT_RUNS))
        kernels().hot_moments(self._hot, self._signal, len(self._hot), float(k), self._centre, sums)
        hot_sum, hot_squares = sums.sum(axis=1).tolist()
        total, squares = self._cold_sum + hot_sum, self._cold_squares + hot_squares
        about_mean = squares - total * total / self._size
        error_bound = self._rounding * squares
        low, high = (
            np.float32(math.sqrt(max(value, 0.0) / (self._size - 1)))
            for value in (about_mean - error_bound, about_mean + error_bound)
        )
        return low if low == high else self._exact(k)


def box_mean(image: Float32) -> Float32:
    """Return the means of the 2 x 2 cells of a Bayer mosaic, without an odd last row or column."""
    rows, columns = image.shape
    means = np.empty((rows // 2, columns // 2), np.float32)
    kernels().box_mean(np.ascontiguousarray(image), rows, columns, means)
    return means
