"""Winsorized sigma clipping of the lanes of a tile in float64, literally as ``rejection.py`` does.

The lanes take the same operations in the same order, side by side.
"""

from __future__ import annotations

import math

import numpy as np

from calmasters.engines.native.scale import scale_rows
from calmasters.engines.native.sorting import Rows, Unit, offset, real
from calmasters.engines.native.stack import (
    HUBER_CORRECTION,
    HUBER_LIMIT,
    HUBER_TOLERANCE,
    SN_TO_SIGMA,
    kernel,
    sn_correction,
)
from calmasters.engines.native.workspace import LANES

__all__ = ["ranks_within", "settle_exactly"]

# The rows of the state; SIGMA of lanes that have not settled is NaN at the end.
CENTRE, SIGMA, LOWER, UPPER, FAR_LOW, FAR_HIGH = (LANES * row for row in range(6))
TOTAL, SQUARES, RESIDUE, PENDING = (LANES * row for row in range(6, 10))


@kernel
def limit_lanes(v: Rows, lanes: int, cutoff: float) -> None:
    """Set Huber's limits and those of the cutoff."""
    for lane in range(lanes):
        centre, sigma = v[CENTRE + lane], v[SIGMA + lane]
        v[LOWER + lane] = centre - HUBER_LIMIT * sigma
        v[UPPER + lane] = centre + HUBER_LIMIT * sigma
        v[FAR_LOW + lane] = centre - cutoff * sigma
        v[FAR_HIGH + lane] = centre + cutoff * sigma
        v[TOTAL + lane] = v[SQUARES + lane] = v[RESIDUE + lane] = 0.0


@kernel
def winsorize_row(v: Rows, copies: Rows, rank: int, lanes: int) -> None:
    """Clip a row to the limits, and add it."""
    at = offset(rank)
    for lane in range(lanes):
        value = copies[at + lane]
        far = (value <= v[FAR_LOW + lane]) | (value >= v[FAR_HIGH + lane])
        value = value if value > v[LOWER + lane] else v[LOWER + lane]
        value = value if value < v[UPPER + lane] else v[UPPER + lane]
        value = v[CENTRE + lane] if far else value
        copies[at + lane] = value
        v[TOTAL + lane] += value


@kernel
def spread_row(v: Rows, copies: Rows, rank: int, lanes: int) -> None:
    """Add the deviations of a row from the mean, which is in TOTAL, and their squares."""
    at = offset(rank)
    for lane in range(lanes):
        deviation = copies[at + lane] - v[TOTAL + lane]
        v[SQUARES + lane] += deviation * deviation
        v[RESIDUE + lane] += deviation


@kernel
def step_lanes(v: Rows, lanes: int, n: int, is_first: bool) -> bool:
    """Set the new centre and sigma; return whether any lane needs another step."""
    going = False
    for lane in range(lanes):
        before, residue = v[SIGMA + lane], v[RESIDUE + lane]
        variance = (v[SQUARES + lane] - residue * residue / n) / (n - 1)
        sigma = HUBER_CORRECTION * math.sqrt(variance)
        is_pending = v[PENDING + lane] > 0
        settles = (not is_first) & (abs(before - sigma) / before < HUBER_TOLERANCE)
        v[CENTRE + lane] = v[TOTAL + lane] if is_pending else v[CENTRE + lane]
        v[SIGMA + lane] = sigma if is_pending else before
        is_pending &= (not settles) & (1 + sigma != 1)
        v[PENDING + lane] = 1.0 if is_pending else 0.0
        going |= is_pending
    return going


@kernel
def settle_exactly(
    v: Rows,
    x: Rows,
    copies: Rows,
    distances: Rows,
    lanes: int,
    n: int,
    unit: Unit,
    cutoff: float,
    most: int,
) -> None:
    """Compute centre and sigma of the first ``lanes`` lanes, in at most ``most`` steps.

    ``cutoff`` is infinite where there is none. Few pixels need exact steps, so a tile is often
    nearly empty: the steps take the lanes that are used.
    """
    for rank in range(n):
        at = offset(rank)
        for lane in range(LANES):
            copies[at + lane] = real(x[at + lane], unit)
    scale = offset(scale_rows(copies, distances, n))
    correction = sn_correction(n)
    lower, upper = offset((n - 1) // 2), offset(n // 2)
    for lane in range(LANES):
        one, other = np.float32(copies[lower + lane]), np.float32(copies[upper + lane])
        v[CENTRE + lane] = np.float32(one + other) / np.float32(2)
        v[SIGMA + lane] = SN_TO_SIGMA * (correction * distances[scale + lane])
        v[PENDING + lane] = 1.0 if 1 + v[SIGMA + lane] != 1 else 0.0
    for step in range(most):
        limit_lanes(v, lanes, cutoff)
        for rank in range(n):
            winsorize_row(v, copies, rank, lanes)
        for lane in range(lanes):
            v[TOTAL + lane] /= n
        for rank in range(n):
            spread_row(v, copies, rank, lanes)
        if not step_lanes(v, lanes, n, step == 0):
            break
    for lane in range(LANES):
        v[SIGMA + lane] = math.nan if v[PENDING + lane] > 0 else v[SIGMA + lane]


@kernel
def ranks_within(
    v: Rows, x: Rows, lane: int, n: int, unit: Unit, low: float, high: float
) -> tuple[int, int]:
    """Return the ranks [first, last) within the rejection limits; (1, 0) if they are unknown."""
    first, last = 0, n
    centre, sigma = v[CENTRE + lane], v[SIGMA + lane]
    if math.isnan(sigma):
        return 1, 0
    if 1 + sigma == 1:
        return 0, n
    while first < n and (centre - real(x[offset(first) + lane], unit)) / sigma > low:
        first += 1
    while last > first and (real(x[offset(last - 1) + lane], unit) - centre) / sigma > high:
        last -= 1
    return first, last
