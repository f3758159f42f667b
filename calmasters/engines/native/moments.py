"""Passes over whole images, as kernels."""

from __future__ import annotations

import math
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from calmasters.engines.native.stack import Doubles, Floats, kernel

__all__ = ["cold_moments", "hot_moments", "survey"]

#: Number of partial sums that are accumulated side by side.
RUNS: Final = 64

#: Samples of a survey side by side: most groups have none in the window.
GROUP: Final = 16

Counts: TypeAlias = NDArray[np.int32]
Flags: TypeAlias = NDArray[np.bool_]


@kernel
def survey_group(
    group: Floats,
    counts: Counts,
    extremes: Floats,
    low: float,
    high: float,
    window_low: float,
    window_high: float,
) -> bool:
    """Add the samples of a group, side by side; return whether any is in the window."""
    found = False
    for lane in range(GROUP):
        sample, least, largest = group[lane], extremes[lane], extremes[GROUP + lane]
        is_counted = (low < sample) & (sample < high)
        counts[lane] += is_counted
        counts[GROUP + lane] += is_counted & (sample < window_low)
        extremes[lane] = sample if is_counted & (sample < least) else least
        extremes[GROUP + lane] = sample if is_counted & (sample > largest) else largest
        found |= is_counted & (sample >= window_low) & (sample < window_high)
    return found


@kernel
def survey(
    image: Floats,
    low: float,
    high: float,
    window_low: float,
    window_high: float,
    inside: Floats,
    counts: Counts,
    extremes: Floats,
) -> int:
    """Count the samples strictly inside (``low``, ``high``); copy those in a window.

    Samples in [``window_low``, ``window_high``) are copied to ``inside``, which is one longer than
    ``image``; the result is their number. ``counts`` and ``extremes`` receive partial results of
    each lane of :data:`GROUP`: the number of samples, the number below the window; the minimum, the
    maximum. ``extremes`` has a third row of lanes for the last samples.
    """
    size, padded = 0, extremes[2 * GROUP :]
    for lane in range(GROUP):
        counts[lane] = counts[GROUP + lane] = 0
        extremes[lane], extremes[GROUP + lane] = math.inf, -math.inf
        at = len(image) // GROUP * GROUP + lane
        padded[lane] = image[at] if at < len(image) else low  # which is not counted
    for start in range(0, len(image), GROUP):
        group = image[start : start + GROUP] if start + GROUP <= len(image) else padded
        if survey_group(group, counts, extremes, low, high, window_low, window_high):
            for lane in range(GROUP):
                # Always written, and kept only if it is in the window: faster than a branch.
                sample = group[lane]
                inside[size] = sample
                is_counted = (low < sample) & (sample < high)
                size += is_counted & (sample >= window_low) & (sample < window_high)
    return size


@kernel
def cold_moments(target: Floats, is_hot: Flags, centre: float, columns: Doubles) -> None:
    """Add the deviations of cold pixels from ``centre``, and their squares, to each column's sums.

    By columns, so that rounding errors stay small.
    """
    for y in range(target.shape[0]):
        for x in range(target.shape[1]):
            deviation = 0.0 if is_hot[y, x] else target[y, x] - centre
            columns[0, x] += deviation
            columns[1, x] += deviation * deviation


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
