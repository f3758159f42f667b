"""The median of a large image, by way of the few samples around it.

PixInsight narrows a histogram around the median, level by level. A sample's bin is a monotonic
function of the sample: which bin holds a rank follows from the sorted samples near the median
alone, and no histogram is needed to find the same edges, to the bit.
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

#: One sample in so many gives the first guess of the median.
_GUESS_STEP: Final = 61

#: Half width of the window around the guess, in bins of the first histogram; then times 8.
_WINDOW_BINS: Final = 4.0
_WINDOW_GROWTH: Final = 8.0


@dataclass(frozen=True, slots=True)
class _Window:
    """The samples of an image in [``low``, ``high``), sorted, and what lies around them.

    ``count`` samples are in range, from ``minimum`` to ``maximum``; ``below`` of them come
    before the window.
    """

    samples: Float64
    low: float
    high: float
    below: int
    count: int
    minimum: float
    maximum: float


class _WindowLeftError(Exception):
    """The search left the window: it was too narrow."""


def location(image: Float32) -> float:
    """Level of a frame for normalization: the median without black and saturated samples."""
    return image_median(image, float(DARKEST), float(BRIGHTEST))


def image_median(image: Float32, low: float = -math.inf, high: float = math.inf) -> float:
    """Median of the samples strictly inside (``low``, ``high``), as PixInsight finds it.

    The same as :func:`calmasters.engines.native.reference_flats.image_median`, to the bit.
    """
    if image.size <= EXACT_MEDIAN_SAMPLES:
        return exact_image_median(image, low, high)
    image = np.ascontiguousarray(image).reshape(-1)
    guess = exact_image_median(image[::_GUESS_STEP][:EXACT_MEDIAN_SAMPLES], low, high)
    width = _WINDOW_BINS / HISTOGRAM_BINS
    while True:
        window = _survey(image, low, high, guess - width, guess + width)
        if window.count == 0:
            return 0.0
        try:
            return _median_in(window)
        except _WindowLeftError:
            width *= _WINDOW_GROWTH


def _survey(
    image: Float32, low: float, high: float, window_low: float, window_high: float
) -> _Window:
    inside = np.empty(image.size, np.float32)
    found = np.zeros(5)
    kernels().survey(image, image.size, low, high, window_low, window_high, inside, found)
    count, below, size, minimum, maximum = found
    samples = np.sort(inside[: int(size)]).astype(np.float64)
    return _Window(samples, window_low, window_high, int(below), int(count), minimum, maximum)


def _median_in(window: _Window) -> float:
    half = window.count // 2
    upper, last_high = _edges(window, half, window.maximum)
    if window.count % 2:
        return upper
    lower, _ = _edges(window, half - 1, last_high)
    return (lower + upper) / 2


def _edges(window: _Window, rank: int, high: float) -> tuple[float, float]:
    """Edges of the last bin that PixInsight's histograms find for the sample of a rank."""
    low = window.minimum
    below = 0
    while high - low >= BIN_WIDTH:
        # Samples up to a bin below `low` fall into bin 0 too, though they were counted before.
        start = _first_at(window, 0, low, high) if low > window.minimum else 0
        found = _bin(_sample(window, start + rank - below), low, high)
        if not 0 <= found < HISTOGRAM_BINS:
            raise _WindowLeftError
        below += _first_at(window, found, low, high) - start
        span = high - low
        low, high = (
            span * found / (HISTOGRAM_BINS - 1) + low,
            span * (found + 1) / (HISTOGRAM_BINS - 1) + low,
        )
    return low, high


def _bin(sample: float, low: float, high: float) -> int:
    return int((HISTOGRAM_BINS - 1) * (sample - low) / (high - low))


def _sample(window: _Window, position: int) -> float:
    index = position - window.below
    if not 0 <= index < len(window.samples):
        raise _WindowLeftError
    return float(window.samples[index])


def _first_at(window: _Window, found: int, low: float, high: float) -> int:
    """Position, in the sorted image, of the first sample of bin ``found`` or later."""
    bins = np.trunc((HISTOGRAM_BINS - 1) * (window.samples - low) / (high - low))
    index = int(np.searchsorted(bins, found))
    if index == 0 and window.below > 0:
        raise _WindowLeftError
    return index + window.below
