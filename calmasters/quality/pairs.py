"""Noise from pairs of frames: what differs between two frames of one scene is noise.

The scene (fixed pattern, vignetting, each pixel's response) is equal in both and cancels out.
Sources: J. R. Janesick, *Photon Transfer* (SPIE 2007), chapters 5 and 6; EMVA Standard 1288,
release 4.0, sections 6 and 8.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from statistics import median
from typing import Final

import numpy as np

from calmasters.quality.sample import Float32, FrameSample

__all__ = ["clipped", "read_noise", "remaining_noise"]

#: Variance of rounding to integers, ADU squared.
ROUNDING: Final = 1 / 12

#: Larger differences, in sigmas, are outliers such as cosmic rays.
_CLIP: Final = 5.0

#: Pixels of a row whose common difference is a change of light, not noise.
_SEGMENT: Final = 64


def clipped(values: Float32) -> Float32:
    """Drop values more than 5 standard deviations from the mean, until none is left."""
    kept = np.ravel(values)
    while kept.size:
        mean, sigma = float(kept.mean(dtype=np.float64)), _sigma(kept)
        inner = kept[np.abs(kept - np.float32(mean)) <= np.float32(_CLIP * sigma)]
        if inner.size in (0, kept.size):
            break
        kept = inner
    return kept


def _sigma(values: Float32) -> float:
    return float(values.std(dtype=np.float64))


def _pairs(frames: Float32) -> Iterator[tuple[Float32, Float32]]:
    """Return pairs of successive frames; each frame is in one pair at most."""
    for first in range(0, len(frames) - 1, 2):
        yield frames[first], frames[first + 1]


def read_noise(sample: FrameSample) -> float:
    """Measure the noise of one frame of equal exposures (bias: read noise; dark: with dark noise).

    Parameters
    ----------
    sample : FrameSample
        Of at least two bias or dark frames.

    Returns
    -------
    float
        Standard deviation, ADU, without that of rounding; the median over all pairs.

    Notes
    -----
    ``sqrt(var(a - b) / 2 - 1/12)`` (Janesick, eq. 5.10; EMVA 1288, eq. 21), without outliers
    beyond 5 sigma.
    """
    pairs = _pairs(sample.frames)
    variances = [_sigma(clipped(first - second)) ** 2 / 2 for first, second in pairs]
    return math.sqrt(max(0.0, median(variances) - ROUNDING))


def local_variance(difference: Float32) -> float:
    """Return the variance of a difference, less what segments of a row have in common."""
    length: int = min(_SEGMENT, difference.shape[1])
    columns = difference.shape[1] // length * length
    segments = difference[:, :columns].reshape(-1, length)
    # The median of a segment does not change with a cosmic ray.
    kept = clipped(segments - np.median(segments, axis=1, keepdims=True))
    # The variance about a median of n normal values is 1 - (2 - pi/2)/n of the true one.
    return float(np.square(kept, dtype=np.float64).mean()) / (1 - (2 - math.pi / 2) / length)


def remaining_noise(
    sample: FrameSample, level: Callable[[Float32], Float32]
) -> tuple[float, float]:
    """Measure the noise that averaging leaves, and the noise it should leave.

    Parameters
    ----------
    sample : FrameSample
        Of at least four frames.
    level : callable
        Brings one frame to a common level (subtracts or divides by its own).

    Returns
    -------
    (float, float)
        Left in the mean of all frames, and expected (the noise of one frame over sqrt(N)), in
        the unit that ``level`` returns.

    Notes
    -----
    The averages of even and odd frames differ by twice the noise of the average of all. More
    noise than expected is left where the noise of frames is not independent: a pattern drifts,
    or the light changes.
    """
    half = len(sample.frames) // 2
    even, odd = np.zeros((2, *sample.frames.shape[1:]), np.float32)
    variances = []
    for first, second in _pairs(sample.frames[: 2 * half]):
        first, second = level(first), level(second)
        even += first / np.float32(half)
        odd += second / np.float32(half)
        variances.append(local_variance(first - second) / 2)
    left = math.sqrt(local_variance(even - odd)) / 2
    return left, math.sqrt(median(variances) / (2 * half))
