"""The median of a large image, computed from the few samples around it.

PixInsight narrows a histogram around the median, level by level. The bin of a sample is a monotonic
function of the sample, so the bin of a rank follows from the sorted samples near the median. The
same edges result to the bit, without a histogram.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from calmasters.engines.native.compiled import kernels
from calmasters.engines.native.reference import Float32, Float64
from calmasters.engines.native.reference_flats import (
    BIN_WIDTH,
    BRIGHTEST,
    DARKEST,
    EXACT_MEDIAN_SAMPLES,
    HISTOGRAM_BINS,
)
from calmasters.engines.native.reference_flats import image_mad as exact_image_mad
from calmasters.engines.native.reference_flats import image_median as exact_image_median

__all__ = ["Strips", "image_mad", "image_median", "location"]

#: Yields all samples of an image, strip by strip; each call begins again.
Strips: TypeAlias = Callable[[], Iterator[Float32]]

#: ``moments.GROUP``, without the import of numba.
_GROUP: Final = 16

#: One of this many samples is used for the first estimate of the median.
_GUESS_STEP: Final = 61

#: Samples of one strip of an image in memory: in the cache.
_STRIP: Final = 1 << 17

#: Share of the samples on each side of the median that are sorted first, and its growth if that is
#: not enough.
_WINDOW_SHARE: Final = 0.008
_WINDOW_GROWTH: Final = 8.0


@dataclass(frozen=True, slots=True)
class _Window:
    """The sorted samples of an image around its median.

    Only samples strictly inside (``low``, ``high``) are counted: there are ``count``, from
    ``minimum`` to ``maximum``, and ``below`` of them are below the window.
    """

    strips: Strips
    low: float
    high: float
    samples: Float64
    below: int
    count: int
    minimum: float
    maximum: float


class _WindowLeftError(Exception):
    """A sample outside of the window is needed."""


def location(strips: Strips, guess: Float32, size: int) -> float:
    """Return the level of a frame for normalization: the median without extreme samples.

    Parameters
    ----------
    strips : Strips
        The samples of the frame.
    guess : (n,) array of float32
        Some of them, from all parts of the frame; the result does not depend on it.
    size : int
        The number of all samples.
    """
    low, high = float(DARKEST), float(BRIGHTEST)
    if size <= EXACT_MEDIAN_SAMPLES:
        return exact_image_median(_joined(strips), low, high)
    return _median(strips, guess, low, high)


def image_median(image: Float32) -> float:
    """Return the median of an image, as PixInsight does.

    The same as :func:`calmasters.engines.native.reference_flats.image_median`, to the bit.
    """
    if image.size <= EXACT_MEDIAN_SAMPLES:
        return exact_image_median(image)
    samples = np.ascontiguousarray(image).reshape(-1)
    return _median(lambda: iter([samples]), samples[::_GUESS_STEP], -math.inf, math.inf)


def _joined(strips: Strips) -> Float32:
    return np.concatenate([*strips()])


def _median(strips: Strips, guess: Float32, low: float, high: float) -> float:
    """Return the median of the samples strictly inside (``low``, ``high``); ``guess`` are some."""
    guess = np.sort(guess[(guess > low) & (guess < high)])
    share = _WINDOW_SHARE
    while True:
        window = _read_window(strips, low, high, *_ends(guess, share))
        if window.count == 0:
            return 0.0
        try:
            return _median_in(window)
        except _WindowLeftError:
            if share >= 0.5:  # the window was all of the image: only rounding can have left it
                return exact_image_median(_joined(strips), low, high)
            share *= _WINDOW_GROWTH


def _ends(guess: Float32 | Float64, share: float) -> tuple[float, float]:
    """Return limits that enclose a share of the samples on each side of the median."""
    if share >= 0.5 or len(guess) == 0:
        return -math.inf, math.inf
    below, above = (int(len(guess) * (0.5 + side)) for side in (-share, share))
    return float(guess[below]), float(np.nextafter(guess[above], guess.dtype.type(math.inf)))


def _read_window(
    strips: Strips, low: float, high: float, window_low: float, window_high: float
) -> _Window:
    limits = low, high, window_low, window_high  # all of them float32 numbers
    inside, sums, least, largest = [], np.zeros(2, np.int64), [], []
    size, counts = np.zeros(1, np.int64), np.empty((2, _GROUP), np.int32)
    extremes = np.empty((3, _GROUP), np.float32)
    for strip in strips():
        found = np.empty(strip.size + 1, np.float32)
        kernels().survey(strip, strip.size, *limits, found, size, counts, extremes)
        inside.append(found[: size[0]].copy())
        sums += counts.sum(axis=1, dtype=np.int64)
        least.append(float(extremes[0].min()))
        largest.append(float(extremes[1].max()))
    samples = np.sort(np.concatenate(inside)).astype(np.float64)
    count, below = sums.tolist()
    return _Window(strips, low, high, samples, below, count, min(least), max(largest))


def _median_in(window: _Window) -> float:
    half = window.count // 2
    upper, last_high = _edges(window, half, window.maximum)
    if window.count % 2:
        return upper
    lower, _ = _edges(window, half - 1, last_high)
    return (lower + upper) / 2


def _edges(window: _Window, rank: int, high: float) -> tuple[float, float]:
    """Return the edges of the last bin of PixInsight's histograms for the sample of a rank."""
    low = window.minimum
    below = 0
    while high - low >= BIN_WIDTH:
        # Samples up to a bin below `low` fall into bin 0 too, though they were counted before.
        start = _first_at(window, 0, low, high) if low > window.minimum else 0
        # Rounding may put the sample just above the upper edge that is given.
        index = min(_bin(_sample(window, start + rank - below), low, high), HISTOGRAM_BINS - 1)
        if index < 0:
            raise _WindowLeftError
        below += _first_at(window, index, low, high) - start
        span = high - low
        low, high = (
            span * index / (HISTOGRAM_BINS - 1) + low,
            span * (index + 1) / (HISTOGRAM_BINS - 1) + low,
        )
    return low, high


def _bin(sample: float, low: float, high: float) -> int:
    position = (HISTOGRAM_BINS - 1) * (sample - low) / (high - low)
    return int(position) if position > -1 else -1


def _sample(window: _Window, position: int) -> float:
    index = position - window.below
    if not 0 <= index < len(window.samples):
        raise _WindowLeftError
    return float(window.samples[index])


def _first_at(window: _Window, index: int, low: float, high: float) -> int:
    """Return the position in the sorted image of the first sample of bin ``index`` or later."""
    first = _first_of_bin(index, low, high)
    place = int(np.searchsorted(window.samples, first))
    if 0 < place < len(window.samples):
        return place + window.below
    high = min(first, window.high)  # float32 numbers, as `low`
    below = (np.count_nonzero((strip > window.low) & (strip < high)) for strip in window.strips())
    return int(sum(below))


def _first_of_bin(index: int, low: float, high: float) -> float:
    """Return the smallest float32 in bin ``index`` or later: bins grow with the sample."""
    # Rounding towards zero makes bin 0 twice as wide.
    edge = index if index > 0 else -1
    sample = np.float32(low + (high - low) * edge / (HISTOGRAM_BINS - 1))
    down, up = np.float32(-math.inf), np.float32(math.inf)
    while _bin(float(sample), low, high) >= index:
        sample = np.nextafter(sample, down)
    while _bin(float(sample), low, high) < index:
        sample = np.nextafter(sample, up)
    return float(sample)


def image_mad(image: Float32, centre: float) -> float:
    """Return the median of the absolute deviations from ``centre``, unscaled.

    The same as :func:`calmasters.engines.native.reference_flats.image_mad`, to the bit.
    """
    samples = np.ascontiguousarray(image).reshape(-1)
    half, is_odd = samples.size // 2, samples.size % 2
    guess = np.sort(_deviations(samples[::_GUESS_STEP], centre))
    share = _WINDOW_SHARE
    while True:
        low, high = _ends(guess, share)
        inside, below = [], 0
        for start in range(0, samples.size, _STRIP):
            deviations = _deviations(samples[start : start + _STRIP], centre)
            below += int(np.count_nonzero(deviations < low))
            inside.append(deviations[(deviations >= low) & (deviations < high)])
        found = np.sort(np.concatenate(inside))
        first = half - below
        if first - 1 >= 0 and first < len(found):
            return float(found[first] if is_odd else (found[first - 1] + found[first]) / 2)
        if share >= 0.5:
            return exact_image_mad(image, centre)
        share *= _WINDOW_GROWTH


def _deviations(samples: Float32, centre: float) -> Float64:
    return np.abs(samples.astype(np.float64) - centre)
