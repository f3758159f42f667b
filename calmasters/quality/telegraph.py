"""Pixels that jump between two levels from frame to frame (random telegraph signal)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from calmasters.quality.estimate import Estimate
from calmasters.quality.sample import Float32, FrameSample

__all__ = ["telegraph_share"]

Mask: TypeAlias = NDArray[np.bool_]

#: Samples that are searched.
_SAMPLES: Final = 1 << 21

#: Fewer frames show no two levels.
_FEWEST: Final = 8

#: Pixels are searched whose scatter is this many times the noise.
_SCATTER: Final = 2.5

#: Frames at each of the levels: a single one may be hit by a cosmic ray.
_MEMBERS: Final = 2

#: By the number of frames: the variance within two levels, as a share of all, that one in 10,000
#: pixels with normal noise (of any strength) has by chance.
_CHANCE: Final = (
    *((8, 0.0139), (9, 0.0214), (10, 0.0280), (12, 0.0447), (15, 0.0678), (20, 0.0996)),
    (25, 0.12),
)

#: Where this share of the pixels that jump does so in the same frames, it was the temperature; and
#: fewest pixels that show it.
_TOGETHER: Final = 0.5
_ENOUGH: Final = 10

_TOO_FEW: Final = f"at least {_FEWEST} darks are needed"
_ONE_CAUSE: Final = "pixels jump in the same frames: the temperature or the light changed"
_NO_NOISE: Final = "the darks have no noise"


@dataclass(frozen=True)
class _TwoLevels:
    """The best division of the values of pixels into two levels; arrays over pixels."""

    within: Float32
    is_high: Mask

    @property
    def switches(self) -> NDArray[np.intp]:
        """How often each pixel changes from one level to the other."""
        changes: NDArray[np.intp] = (self.is_high[1:] != self.is_high[:-1]).sum(axis=0)
        return changes


def telegraph_share(sample: FrameSample, noise: float) -> Estimate:
    """Measure the share of pixels that jump between two levels.

    Parameters
    ----------
    sample : FrameSample
        Of darks, in order of time.
    noise : float
        Of one frame, ADU.

    Returns
    -------
    Estimate
        A share of all pixels.

    Notes
    -----
    A pixel counts if its scatter is 2.5 times the noise, if it changes its level at least twice and
    has each level at least twice, and if its variance within the two levels is a share of all its
    variance that only one in 10,000 pixels of normal noise has: the shot noise of hot pixels has
    any strength, but not two levels. A slow change, or a single step, has less than two changes.
    """
    count = len(sample.frames)
    if count < _FEWEST:
        return Estimate.unknown(_TOO_FEW)
    if not noise:
        return Estimate.unknown(_NO_NOISE)
    every = max(1, -(-sample.frames.size // _SAMPLES))
    pixels = sample.frames.reshape(count, -1)[:, ::every]
    scatter = pixels.std(axis=0)
    noisy = pixels[:, scatter > _SCATTER * noise]
    noisy = noisy - (np.median(pixels, axis=1) - np.median(pixels))[:, None].astype(np.float32)
    levels = _two_levels(noisy)
    numbers, limits = zip(*_CHANCE, strict=True)
    limit = float(np.interp(count, numbers, limits))
    found = (levels.within < limit) & (levels.switches >= 2)
    number = int(np.count_nonzero(found))
    if number >= _ENOUGH and _largest_group(levels.is_high[:, found]) > _TOGETHER * number:
        return Estimate.unknown(_ONE_CAUSE)
    total = pixels.shape[1]
    return Estimate(number / total, max(1.0, number) ** 0.5 / total)


def _two_levels(values: Float32) -> _TwoLevels:
    """Divide the values of each pixel where the variance within both parts is least."""
    count = len(values)
    centred = values.astype(np.float64) - values.mean(axis=0, dtype=np.float64)
    ordered = np.sort(centred, axis=0)
    sums, squares = ordered.cumsum(axis=0), np.square(ordered).cumsum(axis=0)
    low = np.arange(_MEMBERS, count - _MEMBERS + 1)[:, None]
    below, above = sums[low[:, 0] - 1], sums[-1] - sums[low[:, 0] - 1]
    within = squares[-1] - np.square(below) / low - np.square(above) / (count - low)
    best = within.argmin(axis=0)
    places = np.arange(values.shape[1])
    highest_low = ordered[best + _MEMBERS - 1, places]
    share = within[best, places] / np.maximum(squares[-1], 1e-30)
    return _TwoLevels(share.astype(np.float32), centred > highest_low)


def _largest_group(is_high: Mask) -> int:
    """Return how many pixels have their levels in the same frames, whichever is the high one."""
    _, counts = np.unique(is_high == is_high[0], axis=1, return_counts=True)
    return int(counts.max())
