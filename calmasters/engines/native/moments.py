"""Passes over whole images, as kernels."""

from __future__ import annotations

import math

from calmasters.engines.native.stack import Doubles, Floats, kernel

__all__ = ["cold_moments", "survey"]


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

    Those in [``window_low``, ``window_high``) are copied to ``inside``. ``found`` becomes: how
    many samples there are, how many lie below the window, how many in it; the lowest and the
    highest of all.
    """
    count = below = size = 0
    minimum, maximum = math.inf, -math.inf
    for i in range(len(image)):
        sample = image[i]
        if low < sample < high:
            count += 1
            minimum, maximum = min(minimum, sample), max(maximum, sample)
            if sample < window_low:
                below += 1
            elif sample < window_high:
                inside[size] = sample
                size += 1
    found[0], found[1], found[2], found[3], found[4] = count, below, size, minimum, maximum


@kernel
def cold_moments(target: Floats, dark: Floats, centre: float, sums: Doubles) -> None:
    """Sum the deviations from ``centre``, and their squares, where the dark is 0.

    Row by row, so that rounding errors stay small.
    """
    total = squares = 0.0
    for y in range(target.shape[0]):
        row_total = row_squares = 0.0
        for x in range(target.shape[1]):
            deviation = target[y, x] - centre if dark[y, x] == 0 else 0.0
            row_total += deviation
            row_squares += deviation * deviation
        total += row_total
        squares += row_squares
    sums[0], sums[1] = total, squares
