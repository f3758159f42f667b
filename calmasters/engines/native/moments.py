"""Passes over whole images, as kernels."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from calmasters.engines.native.stack import Doubles, Floats, kernel

__all__ = ["cold_moments", "count_below", "hot_moments", "survey"]

#: Sums that are taken side by side.
RUNS: Final = 64


@kernel
def survey(
    image: Floats,
    low: float,
    high: float,
    window_low: float,
    window_high: float,
    inside: Floats,
    found: Doubles,
) -> None:
    """Look at the samples strictly inside (``low``, ``high``).

    Those in [``window_low``, ``window_high``) are copied to ``inside``, which has room for one
    more than all. ``found`` becomes: how
    many samples there are, how many lie below the window, how many in it; the lowest and the
    highest of all.
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
        # Written in any case, and kept if it counts: quicker than to choose.
        inside[size] = sample
        size += counts & (sample >= window_low) & (sample < window_high)
    found[0], found[1], found[2], found[3], found[4] = count, below, size, minimum, maximum


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

    Column by column, so that rounding errors stay small; ``columns`` is (2, width) of room.
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
    """Add what is left of hot pixels, less ``k`` times the signal, to sums about ``centre``.

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
