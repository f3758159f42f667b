"""Medians of images and the calibration of flats in plain NumPy: the specification of the kernels.

The counterpart of :mod:`~calmasters.engines.native.reference` for whole images. It follows
ImageCalibration 2.2.8 and PixInsight's image statistics: float32 samples in [0, 1], float64
statistics, ``np.float32(...)`` where PixInsight rounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

import numpy as np

from calmasters.engines.dark_scaling import FEWEST_THERMAL_PIXELS
from calmasters.engines.native.reference import Float32, Float64, total

__all__ = [
    "ImageRows",
    "box_mean",
    "calibrate",
    "centred_crop",
    "dark_objective",
    "image_mad",
    "image_median",
    "image_standard_deviation",
    "location",
    "minimize",
    "optimal_dark_scale",
    "threshold",
    "thresholded_dark",
]

# Statistics of an image -----------------------------------------------------------------

#: The median of larger images is computed by histograms, to the width of a bin.
EXACT_MEDIAN_SAMPLES: Final = 65536
HISTOGRAM_BINS: Final = 8192
#: Samples at or beyond these are ignored in the level of a frame.
DARKEST: Final = np.float32(1 / 65535)
BRIGHTEST: Final = np.float32(1 - 1 / 65535)

BIN_WIDTH: Final = 2 * float(np.finfo(np.float32).eps)


def image_median(image: Float32, low: float = -math.inf, high: float = math.inf) -> float:
    """Return the median of the samples strictly inside (``low``, ``high``), as PixInsight does.

    Exact for images of up to 65,536 samples. For larger ones it is the lower edge of a
    histogram bin narrower than twice the float32 epsilon. 0 if no sample is inside.
    """
    samples = image[(image > low) & (image < high)]
    if samples.size == 0:
        return 0.0
    if image.size <= EXACT_MEDIAN_SAMPLES:
        return _exact_median(samples.astype(np.float64))
    return _histogram_median(samples.astype(np.float64))


def location(image: Float32) -> float:
    """Return the level of a frame for normalization: the median without extreme samples."""
    return image_median(image, float(DARKEST), float(BRIGHTEST))


def _exact_median(samples: Float64) -> float:
    """Return the median of samples; their order is changed."""
    half, samples = samples.size // 2, samples.reshape(-1)
    samples.partition((max(half - 1, 0), half))
    return float(samples[half] if samples.size % 2 else (samples[half - 1] + samples[half]) / 2)


def _histogram_median(samples: Float64) -> float:
    low, high = float(samples.min()), float(samples.max())
    upper, last_high = _histogram_rank(samples, samples.size // 2, low, high)
    if samples.size % 2:
        return upper
    # PixInsight searches the other middle sample from the first bin to the bin of this one.
    lower, _ = _histogram_rank(samples, samples.size // 2 - 1, low, last_high)
    return (lower + upper) / 2


def _histogram_rank(samples: Float64, rank: int, low: float, high: float) -> tuple[float, float]:
    """Narrow a histogram around the sample of a rank; return the edges of its last bin."""
    below = 0
    while high - low >= BIN_WIDTH:
        positions = (HISTOGRAM_BINS - 1) * (samples - low) / (high - low)
        bins = np.trunc(positions).astype(np.int64)
        counts = np.bincount(bins[(bins >= 0) & (bins < HISTOGRAM_BINS)], minlength=HISTOGRAM_BINS)
        reached = below + np.cumsum(counts)
        # Rounding may put the sample just above the upper edge that is given.
        index = min(int(np.searchsorted(reached, rank, side="right")), HISTOGRAM_BINS - 1)
        below = int(reached[index] - counts[index])
        span = high - low
        low, high = (
            span * index / (HISTOGRAM_BINS - 1) + low,
            span * (index + 1) / (HISTOGRAM_BINS - 1) + low,
        )
    return low, high


def image_mad(image: Float32, centre: float) -> float:
    """Return the median of the absolute deviations from ``centre``, unscaled."""
    deviations = image.astype(np.float64)
    deviations -= centre
    return _exact_median(np.abs(deviations, out=deviations))


# Calibration of flats -------------------------------------------------------------------

#: Resolution of the search of the dark's factor.
SEARCH_TOLERANCE: Final = np.float32(0.0005)
GOLDEN_RATIO: Final = np.float32(1.618034)
GOLDEN_SECTION: Final = np.float32(0.61803399)
GOLDEN_REST: Final = np.float32(1) - GOLDEN_SECTION
MAXIMUM_GROWTH: Final = np.float32(10)
TINY: Final = np.float32(1e-20)


def calibrate(
    target: Float32, bias: Float32 | None, dark: Float32 | None, k: float = 1.0, pedestal: int = 0
) -> Float32:
    """Calibrate a flat: ``target - (bias + k * dark)``, truncated to [0, 1].

    ``dark`` is the thermal signal: the bias, if there is one, is already subtracted.
    ``pedestal``, in 16-bit ADU, is added before the truncation.
    """
    frame = target
    if dark is not None:
        scaled = dark if k == 1 else np.float32(k) * dark
        frame = target - (scaled if bias is None else bias + scaled)
    elif bias is not None:
        frame = target - bias
    pedestal_added = frame + np.float32(pedestal / 65535)
    return np.asarray(np.clip(pedestal_added, np.float32(0), np.float32(1)), np.float32)


def box_mean(image: Float32) -> Float32:
    """Return the means of the 2 x 2 cells of a Bayer mosaic, without an odd last row or column."""
    rows, columns = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
    cells = image[:rows, :columns].astype(np.float64)
    sums = cells[::2, ::2] + cells[::2, 1::2] + cells[1::2, ::2] + cells[1::2, 1::2]
    return (sums / 4).astype(np.float32)


def threshold(median: float, mad: float, sigmas: float) -> np.float64:
    """Return the level above which pixels of the dark are thermal pixels, in [0, 1]."""
    return np.float64(min(max(median + float(np.float32(sigmas)) * 1.4826 * mad, 0.0), 1.0))


def thresholded_dark(dark: Float32, sigmas: float) -> tuple[Float32, int]:
    """Keep the thermal pixels of a dark, and set the others to 0.

    Returns
    -------
    optimizing_dark : array of float32
        Without the pixels below median + ``sigmas`` * 1.4826 MAD.
    count : int
        Number of thermal pixels.
    """
    centre = image_median(dark)
    is_thermal = dark >= threshold(centre, image_mad(dark, centre), sigmas)
    return np.where(is_thermal, dark, np.float32(0)), int(np.count_nonzero(is_thermal))


class ImageRows(Protocol):
    """An image, or what computes its rows one after the other."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Height and width."""
        ...

    def __iter__(self) -> Iterator[Any]:
        """Yield the rows, from the first one on."""
        ...


def image_total(image: ImageRows) -> float:
    """Return the sum of an image: each column downwards, then the columns from left to right."""
    columns = np.zeros(image.shape[1])
    for row in image:
        columns += row
    return total(columns)


def image_standard_deviation(image: ImageRows) -> float:
    """Return the two-pass standard deviation (n - 1), corrected for the rounding of the mean."""
    size = image.shape[0] * image.shape[1]
    centre = image_total(image) / size
    residues, squares = np.zeros(image.shape[1]), np.zeros(image.shape[1])
    for row in image:
        deviations = row.astype(np.float64) - centre
        residues += deviations
        squares += deviations * deviations
    residue = total(residues)
    return math.sqrt((total(squares) - residue * residue / size) / (size - 1))


def dark_objective(target: Float32, optimizing_dark: Float32) -> Callable[[np.float32], np.float32]:
    """Return the noise of a frame as a function of the dark's factor, to be minimized."""

    def noise(k: np.float32) -> np.float32:
        return np.float32(image_standard_deviation(target - k * optimizing_dark))

    return noise


def centred_crop(image: Float32, window: int) -> Float32:
    """Return the central ``window`` x ``window`` pixels of an image, or all of a shorter side.

    With a ``window`` of 0 it is the complete image.
    """
    for axis, side in enumerate(image.shape):
        if 0 < window < side:
            start = (side - window) >> 1
            image = image.take(range(start, start + window), axis)
    return image


def optimal_dark_scale(
    target: Float32, dark: Float32, *, sigmas: float, window: int = 0, cfa: bool = False
) -> np.float32:
    """Find the factor of a dark that leaves the least noise in a frame.

    Parameters
    ----------
    target : (height, width) array of float32
        The raw frame, not calibrated: a constant does not change its noise.
    dark : (height, width) array of float32
        Master dark minus master bias.
    sigmas : float
        ``darkOptimizationLow``: pixels this many sigma above the dark's noise are thermal pixels.
    window : int
        Side of the central square that is evaluated, in pixels (of the 2 x 2 means, if ``cfa``).
    cfa : bool
        The frames have a Bayer mosaic: evaluate the means of its cells.
    """
    if cfa:
        target, dark = box_mean(target), box_mean(dark)
    optimizing_dark, count = thresholded_dark(dark, sigmas)
    if count < FEWEST_THERMAL_PIXELS:
        return np.float32(1)
    return minimize(
        dark_objective(centred_crop(target, window), centred_crop(optimizing_dark, window))
    )


def minimize(noise: Callable[[np.float32], np.float32]) -> np.float32:
    """Search the factor k >= 0 that minimizes ``noise``, all in float32.

    A minimum is bracketed, starting with k = 0.5 and 2, and then narrowed by golden sections
    (Press et al., Numerical Recipes, 10.1).
    """
    x0, middle, x3 = _bracket(noise)
    if abs(x3 - middle) > abs(middle - x0):
        x1, x2 = middle, middle + GOLDEN_REST * (x3 - middle)
    else:
        x1, x2 = middle - GOLDEN_REST * (middle - x0), middle
    f1, f2 = noise(x1), noise(x2)
    while abs(x3 - x0) > SEARCH_TOLERANCE:
        if f2 < f1:
            x0, x1, f1 = x1, x2, f2
            x2 = GOLDEN_SECTION * x1 + GOLDEN_REST * x3
            f2 = noise(x2)
        else:
            x3, x2, f2 = x2, x1, f1
            x1 = GOLDEN_SECTION * x2 + GOLDEN_REST * x0
            f1 = noise(x1)
    return max(np.float32(0), x1 if f1 < f2 else x2)


def _bracket(
    noise: Callable[[np.float32], np.float32],
) -> tuple[np.float32, np.float32, np.float32]:
    a, b = np.float32(0.5), np.float32(2)
    fa, fb = noise(a), noise(b)
    if fb > fa:
        a, b, fa, fb = b, a, fb, fa
    c = b + GOLDEN_RATIO * (b - a)
    fc = noise(c)
    while fb > fc:
        u, limit = _parabola_vertex(a, b, c, fa, fb, fc), b + MAXIMUM_GROWTH * (c - b)
        if (b - u) * (u - c) > 0:
            fu = noise(u)
            if fu < fc:
                return b, u, c
            if fu > fb:
                return a, b, u
            u = c + GOLDEN_RATIO * (c - b)
            fu = noise(u)
        elif (c - u) * (u - limit) > 0:
            fu = noise(u)
            if fu < fc:
                b, c, u = c, u, u + GOLDEN_RATIO * (u - c)
                fb, fc, fu = fc, fu, noise(u)
        else:
            u = limit if (u - limit) * (limit - c) >= 0 else c + GOLDEN_RATIO * (c - b)
            fu = noise(u)
        a, b, c, fa, fb, fc = b, c, u, fb, fc, fu
    return a, b, c


def _parabola_vertex(
    a: np.float32, b: np.float32, c: np.float32, fa: np.float32, fb: np.float32, fc: np.float32
) -> np.float32:
    r = (b - a) * (fb - fc)
    q = (b - c) * (fb - fa)
    denominator = np.float32(2) * np.copysign(max(abs(q - r), TINY), q - r)
    return np.float32(b - ((b - c) * q - (b - a) * r) / denominator)
