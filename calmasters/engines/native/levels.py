"""The median of a large image, computed from the few samples around it.

PixInsight narrows a histogram around the median, level by level. The bin of a sample is a monotonic
function of the sample, so the bin of a rank follows from the sorted samples near the median. The
same edges result to the bit, without a histogram.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

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
from calmasters.engines.native.reference_flats import image_median as exact_image_median

__all__ = ["image_median", "location"]

#: ``moments.GROUP``, without the import of numba.
_GROUP: Final = 16

#: One of this many samples is used for the first estimate of the median.
_GUESS_STEP: Final = 61

#: Share of the samples on each side of the median that are sorted first, and its growth if that is
#: not enough.
_WINDOW_SHARE: Final = 0.008
_WINDOW_GROWTH: Final = 8.0


@dataclass(frozen=True, slots=True)
class _Window:
    """The sorted samples of an image around its median.

    Only samples of the ``image`` strictly inside (``low``, ``high``) are counted: there are
    ``count``, from ``minimum`` to ``maximum``, and ``below`` of them are below the window.
    """

    image: Float32
    low: float
    high: float
    samples: Float64
    below: int
    count: int
    minimum: float
    maximum: float


class _WindowLeftError(Exception):
    """A sample outside of the window is needed."""


def location(image: Float32) -> float:
    """Return the level of a frame for normalization: the median without extreme samples."""
    return image_median(image, float(DARKEST), float(BRIGHTEST))


def image_median(image: Float32, low: float = -math.inf, high: float = math.inf) -> float:
    """Return the median of the samples strictly inside (``low``, ``high``), as PixInsight does.

    The same as :func:`calmasters.engines.native.reference_flats.image_median`, to the bit.
    """
    if image.size <= EXACT_MEDIAN_SAMPLES:
        return exact_image_median(image, low, high)
    image = np.ascontiguousarray(image).reshape(-1)
    guess = image[::_GUESS_STEP]
    guess = np.sort(guess[(guess > low) & (guess < high)])
    share = _WINDOW_SHARE
    while True:
        window = _read_window(image, low, high, *_ends(guess, share))
        if window.count == 0:
            return 0.0
        try:
            return _median_in(window)
        except _WindowLeftError:
            if share >= 0.5:  # the window was all of the image: only rounding can have left it
                return exact_image_median(image, low, high)
            share *= _WINDOW_GROWTH


def _ends(guess: Float32, share: float) -> tuple[float, float]:
    """Return limits that enclose a share of the samples on each side of the median."""
    if share >= 0.5 or len(guess) == 0:
        return -math.inf, math.inf
    below, above = (int(len(guess) * (0.5 + side)) for side in (-share, share))
    return float(guess[below]), float(np.nextafter(guess[above], np.float32(math.inf)))


def _read_window(
    image: Float32, low: float, high: float, window_low: float, window_high: float
) -> _Window:
    inside, size = np.empty(image.size + 1, np.float32), np.zeros(1, np.int64)
    counts, extremes = np.empty((2, _GROUP), np.int32), np.empty((3, _GROUP), np.float32)
    limits = low, high, window_low, window_high  # all of them float32 numbers
    kernels().survey(image, image.size, *limits, inside, size, counts, extremes)
    samples = np.sort(inside[: size[0]]).astype(np.float64)
    count, below = counts.sum(axis=1, dtype=np.int64).tolist()
    minimum, maximum = float(extremes[0].min()), float(extremes[1].max())
    return _Window(image, low, high, samples, below, count, minimum, maximum)


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
    count = np.zeros(1, np.int64)
    kernels().count_below(window.image, window.image.size, window.low, window.high, first, count)
    return int(count[0])


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
