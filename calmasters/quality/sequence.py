"""What changes from frame to frame: drift, and frames that stand out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from calmasters.quality.pairs import clipped
from calmasters.quality.sample import Float32

__all__ = ["drift", "levels", "standing_out", "white_level"]

#: Samples at the highest level that can be chance, in frames of few pixels.
_PILE: Final = 16


def levels(frames: Float32) -> list[float]:
    """Give the mean of each frame, hot pixels and cosmic rays left out.

    A mean, since the median of whole ADU is one of them.

    Parameters
    ----------
    frames : (frames, rows, columns) array of float32
    """
    return [float(clipped(frame).mean(dtype=np.float64)) for frame in frames]


def drift(values: Sequence[float]) -> float:
    """Tell how far a line through the values rises from the first to the last.

    The slope is the median of those between all pairs (Theil-Sen): one odd frame does not move it.
    """
    if len(values) < 2:
        return 0.0
    first, second = np.triu_indices(len(values), 1)
    found = np.asarray(values, np.float64)
    slope = np.median((found[second] - found[first]) / (second - first))
    return float(slope) * (len(values) - 1)


def standing_out(values: Sequence[float], floor: float) -> list[int]:
    """Name the values that lie more than 5 robust sigmas from the median.

    Parameters
    ----------
    values : sequence of float
    floor : float
        The sigma is taken to be at least this.

    Returns
    -------
    list of int
        Their places. The sigma is 1.4826 times the median absolute deviation.
    """
    found = np.asarray(values, np.float64)
    deviations = np.abs(found - np.median(found))
    sigma = max(floor, 1.4826 * float(np.median(deviations)))
    return [int(place) for place in np.flatnonzero(deviations > 5 * sigma)]


def white_level(frames: Float32) -> float:
    """Find the level at which a camera saturates, ADU.

    That is where samples pile up at their maximum (cameras of 12 or 14 bits end below 65535),
    else 65535.
    """
    highest = float(frames.max())
    piled = int(np.count_nonzero(frames == highest))
    return highest if highest > 0 and piled > max(_PILE, 1e-4 * frames.size) else 65535.0
