"""Passes over whole images, as kernels."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from calmasters.engines.native.stack import Doubles, Floats, kernel

__all__ = ["cold_moments", "count_below", "hot_moments", "survey"]

#: Number of partial sums that are accumulated side by side.
RUNS: Final = 64


@kernel
def survey(
    image: Floats,
    low: float,
    high: float,
    window_low: float,
    window_high: float,
    inside: Floats,
    statistics: Doubles,
) -> None:
    """Count the samples strictly inside (``low``, ``high``) and copy those in a window.

    Samples in [``window_low``, ``window_high``) are copied to ``inside``, which is one longer than
    ``image``. ``statistics`` receives the number of samples, the number below the window, the
    number in it, the minimum and the maximum.
    """
    count = below = size = 0
    minimum, maximum = math.inf, -math.inf
    for i in range(len(image)):
        sample = image[i]
        counts = (low < sample) & (sample < high)
        count += counts
        below += counts & (sample < window_low)
        minimum = sample if counts & (sample < minimum) else minimum
        maximum = sample if counts & (sample > maximum) else maximum
        # Always written, and kept only if it is in the window: faster than a branch.
        inside[size] = sample
        size += counts & (sample >= window_low) & (sample < window_high)
    statistics[0], statistics[1], statistics[2] = count, below, size
    statistics[3], statistics[4] = minimum, maximum


@kernel
def count_below(image: Floats, low: float, high: float, limit: float) -> int:
    """Count the samples strictly inside (``low``, ``high``) that are less than ``limit``."""
    count = 0
    for i in range(len(image)):
        count += (low < image[i]) & (image[i] < high) & (image[i] < limit)
    return count


@kernel
def cold_moments(
    target: Floats, dark: Floats, centre: float, columns: Doubles, sums: Doubles
) -> None:
    """Sum the deviations from ``centre``, and their squares, where the dark is 0.

    Column by column, so that rounding errors stay small; ``columns`` is a (2, width) workspace.
    """
    for x in range(target.shape[1]):
        columns[0, x] = columns[1, x] = 0.0
    for y in range(target.shape[0]):
        for x in range(target.shape[1]):
            deviation = target[y, x] - centre if dark[y, x] == 0 else 0.0
            columns[0, x] += deviation
            columns[1, x] += deviation * deviation
    sums[0] = sums[1] = 0.0
    for x in range(target.shape[1]):
        sums[0] += columns[0, x]
        sums[1] += columns[1, x]


@kernel
def hot_moments(hot: Floats, signal: Floats, k: float, centre: float, sums: Doubles) -> None:
    """Sum the deviations from ``centre`` of hot pixels less ``k`` times the signal, and squares.

    Product and difference are rounded to float32.
    """
    size = len(hot) // RUNS
    for lane in range(RUNS):
        sums[0, lane] = sums[1, lane] = 0.0
    for i in range(size):
        for lane in range(RUNS):
            at = i * RUNS + lane
            deviation = np.float32(hot[at] - k * signal[at]) - centre
            sums[0, lane] += deviation
            sums[1, lane] += deviation * deviation
    for at in range(size * RUNS, len(hot)):
        deviation = np.float32(hot[at] - k * signal[at]) - centre
        sums[0, 0] += deviation
        sums[1, 0] += deviation * deviation
