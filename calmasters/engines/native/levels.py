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

#: One sample in so many gives a first guess of the median.
_GUESS_STEP: Final = 61

#: Share of the samples on each side of the median that are sorted at first; then times 8.
_WINDOW_SHARE: Final = 0.008
_WINDOW_GROWTH: Final = 8.0


@dataclass(frozen=True, slots=True)
class _Window:
    """The samples of an image around its median, sorted, and what lies about them.

    Of the ``image``, the samples strictly inside (``low``, ``high``) count: ``count`` in number,
    from ``minimum`` to ``maximum``; ``below`` of them come before the window.
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
    """A sample was looked for outside of the window."""


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
    guess = image[::_GUESS_STEP]
    guess = np.sort(guess[(guess > low) & (guess < high)])
    share = _WINDOW_SHARE
    while True:
        window = _survey(image, low, high, *_ends(guess, share))
        if window.count == 0:
            return 0.0
        try:
            return _median_in(window)
        except _WindowLeftError:
            share *= _WINDOW_GROWTH


def _ends(guess: Float32, share: float) -> tuple[float, float]:
    """Enclose a share of the samples on each side of the median."""
    if share >= 0.5 or len(guess) == 0:
        return -math.inf, math.inf
    below, above = (int(len(guess) * (0.5 + side)) for side in (-share, share))
    return float(guess[below]), float(np.nextafter(guess[above], np.float32(math.inf)))


def _survey(
    image: Float32, low: float, high: float, window_low: float, window_high: float
) -> _Window:
    inside = np.empty(image.size + 1, np.float32)
    found = np.zeros(5)
    kernels().survey(image, image.size, low, high, window_low, window_high, inside, found)
    count, below, size, minimum, maximum = found.tolist()
    samples = np.sort(inside[: int(size)]).astype(np.float64)
    return _Window(image, low, high, samples, int(below), int(count), minimum, maximum)


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
    position = (HISTOGRAM_BINS - 1) * (sample - low) / (high - low)
    return int(position) if position > -1 else -1


def _sample(window: _Window, position: int) -> float:
    index = position - window.below
    if not 0 <= index < len(window.samples):
        raise _WindowLeftError
    return float(window.samples[index])


def _first_at(window: _Window, found: int, low: float, high: float) -> int:
    """Position, in the sorted image, of the first sample of bin ``found`` or later."""
    first = _first_of_bin(found, low, high)
    index = int(np.searchsorted(window.samples, first))
    if 0 < index < len(window.samples):
        return index + window.below
    count = np.zeros(1, np.int64)
    kernels().count_below(window.image, window.image.size, window.low, window.high, first, count)
    return int(count[0])


def _first_of_bin(found: int, low: float, high: float) -> float:
    """Smallest float32 in bin ``found`` or later: bins grow with the sample."""
    # Rounding towards zero makes bin 0 twice as wide.
    edge = found if found > 0 else -1
    sample = np.float32(low + (high - low) * edge / (HISTOGRAM_BINS - 1))
    down, up = np.float32(-math.inf), np.float32(math.inf)
    while _bin(float(sample), low, high) >= found:
        sample = np.nextafter(sample, down)
    while _bin(float(sample), low, high) < found:
        sample = np.nextafter(sample, up)
    return float(sample)
