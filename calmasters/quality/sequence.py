"""Changes from frame to frame: levels, drift, and frames that stand out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calmasters.quality.pairs import clipped
from calmasters.quality.sample import Float32

__all__ = ["drift", "levels", "standing_out"]


def levels(frames: Float32) -> list[float]:
    """Return the mean of each frame, without hot pixels and cosmic rays.

    The mean resolves fractions of an ADU, which the median of integers does not.

    Parameters
    ----------
    frames : (frames, rows, columns) array of float32
    """
    return [float(clipped(frame).mean(dtype=np.float64)) for frame in frames]


def drift(values: Sequence[float]) -> float:
    """Return how far a line through the values rises from the first to the last.

    The slope is the median of the slopes of all pairs (Theil-Sen), so that one odd frame does not
    change it.
    """
    if len(values) < 2:
        return 0.0
    first, second = np.triu_indices(len(values), 1)
    array = np.asarray(values, np.float64)
    slope = np.median((array[second] - array[first]) / (second - first))
    return float(slope) * (len(values) - 1)


def standing_out(values: Sequence[float], floor: float) -> list[int]:
    """Find the values that are more than 5 robust sigmas from the median.

    Parameters
    ----------
    values : sequence of float
    floor : float
        Lower limit of the sigma.

    Returns
    -------
    list of int
        Their indices. The sigma is 1.4826 times the median absolute deviation.
    """
    array = np.asarray(values, np.float64)
    deviations = np.abs(array - np.median(array))
    sigma = max(floor, 1.4826 * float(np.median(deviations)))
    return [int(place) for place in np.flatnonzero(deviations > 5 * sigma)]
