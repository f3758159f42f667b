"""Huber's steps on a tile: centre and sigma of each lane, fast with an error bound, or exactly.

The fast estimate rounds differently from ``rejection.py``: each lane has a bound of the difference.
The exact estimate winsorizes copies with the same operations as ``rejection.py``.

Notes
-----
The bound. Let ``e`` bound the error of centre and sigma. The limits centre -+ 1.5 sigma err by at
most 2.5 e, and so does each clipped sample: an error of the limits moves no sample by more than
that error. Their mean errs by 2.5 e, their standard deviation, times 1.134, by at most
1.134 sqrt(n / (n - 1)) 2.5 e < 3.5 e. Rounding adds ``r`` in each step: sums of n terms err by
(n + 8) 2^-52 of the sum of magnitudes. Hence ``e`` becomes 3.5 e + r; it starts at 0, as median
and Sn are exact.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from calmasters.engines.native.lanes import (
    CENTRE,
    ERROR,
    FAR_HIGH,
    FAR_LOW,
    FIRST,
    INNER_SQUARES,
    INNER_TOTAL,
    KNOWN,
    LANES,
    LOWER,
    MIDDLE,
    NEEDS_SCALAR,
    PENDING,
    RESIDUE,
    ROUNDING,
    SCALE,
    SETTLED,
    SIGMA,
    SQUARES,
    TOTAL,
    UPPER,
    Tile,
    offset,
    row_of,
    scale_tile,
)
from calmasters.engines.native.stack import (
    HUBER_CORRECTION,
    HUBER_LIMIT,
    HUBER_TOLERANCE,
    SN_TO_SIGMA,
    Doubles,
    Floats,
    kernel,
    sn_correction,
)

__all__ = ["estimate_fast", "settle_exactly"]

#: Lanes that have not converged after this many steps are deferred.
MOST_STEPS: Final = 12

#: The same where copies are winsorized: lanes that have not converged are computed one by one.
MOST_EXACT_STEPS: Final = 100

#: Lanes whose sigma falls below this share of the first sigma are deferred: the error bound is not
#: valid for them.
SMALLEST_SHARE: Final = 0.1

#: Lanes with a smaller sigma are deferred: sigma is close to the limit where 1 + sigma is 1.
SMALLEST_SIGMA: Final = 1e-12

#: One of this many samples is outside of the inner ranks on each side. Huber's limits, 1.5 sigma,
#: clip almost nothing inside.
OUTER: Final = 5


@kernel
def start_lanes(t: Tile, n: int) -> None:
    """Start with median and Sn; defer lanes where Sn in float32 is not exact."""
    v = t.lanes
    correction = sn_correction(n)
    upper, lower = row_of(t.x, n // 2), row_of(t.x, (n - 1) // 2)
    bottom, top = row_of(t.x, 0), row_of(t.x, n - 1)
    for lane in range(LANES):
        # With an odd number both are the middle sample, which is their mean.
        v[MIDDLE + lane] = np.float32(lower[lane] + upper[lane]) / np.float32(2)
        v[ROUNDING + lane] = top[lane]
        # All samples are multiples of the last place of the lowest one; so are differences up to
        # its size, without rounding.
        v[KNOWN + lane] = PENDING if v[SCALE + lane] <= bottom[lane] else NEEDS_SCALAR
    for lane in range(LANES):
        v[CENTRE + lane] = v[MIDDLE + lane]
        sigma = SN_TO_SIGMA * (correction * v[SCALE + lane])
        v[SIGMA + lane] = sigma
        v[FIRST + lane] = sigma
        v[LOWER + lane] = -math.inf
        v[UPPER + lane] = math.inf
        v[ERROR + lane] = 0.0
        v[ROUNDING + lane] = (n + 8) * (1e-14 * sigma + 2.0**-52 * v[ROUNDING + lane])
        v[KNOWN + lane] = v[KNOWN + lane] if sigma > SMALLEST_SIGMA else NEEDS_SCALAR


@kernel
def leave_far_lanes(t: Tile, cutoff: float, n: int) -> None:
    """Defer lanes whose samples reach the cutoff."""
    v, bottom, top = t.lanes, row_of(t.x, 0), row_of(t.x, n - 1)
    for lane in range(LANES):
        centre, known = v[CENTRE + lane], v[KNOWN + lane]
        lowest, lower = np.float64(bottom[lane]), v[LOWER + lane]
        highest, upper = np.float64(top[lane]), v[UPPER + lane]
        lowest = lowest if lowest > lower else lower
        highest = highest if highest < upper else upper
        slack = (1 + cutoff) * (v[ERROR + lane] + v[ROUNDING + lane])
        reach = cutoff * v[SIGMA + lane] - slack
        far = (centre - lowest >= reach) | (highest - centre >= reach)
        v[KNOWN + lane] = NEEDS_SCALAR if far & (known == PENDING) else known


@kernel
def clip_lanes(v: Doubles) -> None:
    """Narrow the limits of each lane to 1.5 sigma about its centre."""
    for lane in range(LANES):
        low = v[CENTRE + lane] - HUBER_LIMIT * v[SIGMA + lane]
        high = v[CENTRE + lane] + HUBER_LIMIT * v[SIGMA + lane]
        # Clipping to the old limits and then to the new ones equals clipping once to the old
        # limits after these are clipped to the new ones.
        lower = v[LOWER + lane] if v[LOWER + lane] > low else low
        upper = v[UPPER + lane] if v[UPPER + lane] > low else low
        v[LOWER + lane] = lower if lower < high else high
        v[UPPER + lane] = upper if upper < high else high


@kernel
def clipped(sample: np.float32, v: Doubles, lane: int) -> float:
    """Clip a sample to its lane's limits, and subtract the median."""
    value, lower, upper = np.float64(sample), v[LOWER + lane], v[UPPER + lane]
    value = value if value > lower else lower
    value = value if value < upper else upper
    return value - np.float64(v[MIDDLE + lane])


@kernel
def add_clipped(v: Doubles, x: Floats, rank: int) -> None:
    """Add the clipped samples of a row, and their squares."""
    at = offset(rank)
    for lane in range(LANES):
        one = clipped(x[at + lane], v, lane)
        v[TOTAL + lane] += one
        v[SQUARES + lane] += one * one


@kernel
def add_four_clipped(v: Doubles, x: Floats, rank: int) -> None:
    """Add the clipped samples of four rows, and their squares."""
    at = offset(rank)
    for lane in range(LANES):
        one = clipped(x[at + lane], v, lane)
        two = clipped(x[at + LANES + lane], v, lane)
        three = clipped(x[at + 2 * LANES + lane], v, lane)
        four = clipped(x[at + 3 * LANES + lane], v, lane)
        v[TOTAL + lane] += (one + two) + (three + four)
        v[SQUARES + lane] += (one * one + two * two) + (three * three + four * four)


@kernel
def add_ranks(v: Doubles, x: Floats, first: int, last: int) -> None:
    """Add the clipped samples of the rows [first, last), and their squares."""
    fours = first + (last - first) // 4 * 4
    for rank in range(first, fours, 4):
        add_four_clipped(v, x, rank)
    for rank in range(fours, last):
        add_clipped(v, x, rank)


@kernel
def clips_none(v: Doubles, x: Floats, first: int, last: int) -> bool:
    """Whether the limits clip none of the ranks [first, last) in any lane."""
    bottom, top = offset(first), offset(last - 1)
    lanes = 0
    for lane in range(LANES):
        lanes += (x[bottom + lane] < v[LOWER + lane]) | (x[top + lane] > v[UPPER + lane])
    return lanes == 0


@kernel
def copy_sums(v: Doubles, total: int, squares: int) -> None:
    """Start the sums with those of other rows of the state."""
    for lane in range(LANES):
        v[TOTAL + lane] = v[total + lane]
        v[SQUARES + lane] = v[squares + lane]


@kernel
def sum_inner(v: Doubles, x: Floats, first: int, last: int) -> bool:
    """Sum the inner ranks [first, last) once for all steps; return False if they are clipped."""
    if not clips_none(v, x, first, last):
        return False
    for lane in range(LANES):
        v[TOTAL + lane] = 0.0
        v[SQUARES + lane] = 0.0
    add_ranks(v, x, first, last)
    for lane in range(LANES):
        v[INNER_TOTAL + lane] = v[TOTAL + lane]
        v[INNER_SQUARES + lane] = v[SQUARES + lane]
    return True


@kernel
def sum_lanes(v: Doubles, x: Floats, n: int, inner: bool) -> None:
    """Sum the clipped samples about the median, and their squares.

    ``inner``: the sums of the inner ranks are available; they are valid while no limit reaches
    these ranks.
    """
    first, last = n // OUTER, n - n // OUTER
    if inner and clips_none(v, x, first, last):
        copy_sums(v, INNER_TOTAL, INNER_SQUARES)
        add_ranks(v, x, 0, first)
        add_ranks(v, x, last, n)
        return
    for lane in range(LANES):
        v[TOTAL + lane] = 0.0
        v[SQUARES + lane] = 0.0
    add_ranks(v, x, 0, n)


@kernel
def step_lanes(v: Doubles, n: int, first: bool) -> int:
    """Set the new centre and sigma; return the number of lanes that need another step."""
    going = 0
    for lane in range(LANES):
        total, before = v[TOTAL + lane], v[SIGMA + lane]
        variance = (v[SQUARES + lane] - total * total / n) / (n - 1)
        sigma = HUBER_CORRECTION * math.sqrt(variance if variance > 0 else 0.0)
        error = 3.5 * v[ERROR + lane] + v[ROUNDING + lane]
        change = abs(before - sigma) - HUBER_TOLERANCE * before
        sound = (sigma >= SMALLEST_SHARE * v[FIRST + lane]) & (first | (abs(change) > 3 * error))
        pending = v[KNOWN + lane] == PENDING
        known = PENDING if first | (change > 0) else SETTLED
        known = known if sound else NEEDS_SCALAR
        v[CENTRE + lane] = v[MIDDLE + lane] + total / n if pending else v[CENTRE + lane]
        v[SIGMA + lane] = sigma if pending else before
        v[ERROR + lane] = error if pending else v[ERROR + lane]
        v[KNOWN + lane] = known if pending else v[KNOWN + lane]
        going += pending & (known == PENDING)
    return going


@kernel
def estimate_fast(t: Tile, n: int, cutoff: float) -> None:
    """Estimate centre and sigma of each lane; lanes that are not certain are not ``SETTLED``."""
    scale_tile(t, n)
    start_lanes(t, n)
    inner = False
    for step in range(MOST_STEPS):
        if cutoff > 0:
            leave_far_lanes(t, cutoff, n)
        clip_lanes(t.lanes)
        if step == 0:
            inner = sum_inner(t.lanes, t.x, n // OUTER, n - n // OUTER)
        sum_lanes(t.lanes, t.x, n, inner)
        if step_lanes(t.lanes, n, step == 0) == 0:
            break


# Winsorizing copies ----------------------------------------------------------------------


@kernel
def limit_lanes(v: Doubles, cutoff: float) -> None:
    """Set the limits of each lane, and those of the cutoff if that is not 0."""
    far = cutoff if cutoff > 0 else math.inf
    for lane in range(LANES):
        centre, sigma = v[CENTRE + lane], v[SIGMA + lane]
        v[LOWER + lane] = centre - HUBER_LIMIT * sigma
        v[UPPER + lane] = centre + HUBER_LIMIT * sigma
        v[FAR_LOW + lane] = centre - far * sigma
        v[FAR_HIGH + lane] = centre + far * sigma
        v[TOTAL + lane] = v[SQUARES + lane] = v[RESIDUE + lane] = 0.0


@kernel
def winsorize_row(v: Doubles, copies: Doubles, rank: int) -> None:
    """Clip a row to the limits, and add it."""
    at = offset(rank)
    for lane in range(LANES):
        value = copies[at + lane]
        far = (value <= v[FAR_LOW + lane]) | (value >= v[FAR_HIGH + lane])
        value = value if value > v[LOWER + lane] else v[LOWER + lane]
        value = value if value < v[UPPER + lane] else v[UPPER + lane]
        value = v[CENTRE + lane] if far else value
        copies[at + lane] = value
        v[TOTAL + lane] += value


@kernel
def spread_row(v: Doubles, copies: Doubles, rank: int) -> None:
    """Add the deviations of a row from the mean, which is in TOTAL, and their squares."""
    at = offset(rank)
    for lane in range(LANES):
        deviation = copies[at + lane] - v[TOTAL + lane]
        v[SQUARES + lane] += deviation * deviation
        v[RESIDUE + lane] += deviation


@kernel
def step_exactly(v: Doubles, n: int, first: bool) -> int:
    """Set the new centre and sigma as ``winsorized_huber`` does; return the pending lanes."""
    going = 0
    for lane in range(LANES):
        before, residue = v[SIGMA + lane], v[RESIDUE + lane]
        variance = (v[SQUARES + lane] - residue * residue / n) / (n - 1)
        sigma = HUBER_CORRECTION * math.sqrt(variance)
        pending = (v[KNOWN + lane] == PENDING) & (1 + before != 1)
        settled = (not first) & (abs(before - sigma) / before < HUBER_TOLERANCE)
        v[CENTRE + lane] = v[TOTAL + lane] if pending else v[CENTRE + lane]
        v[SIGMA + lane] = sigma if pending else before
        v[KNOWN + lane] = SETTLED if pending & settled else v[KNOWN + lane]
        going += pending & (not settled)
    return going


@kernel
def settle_exactly(t: Tile, n: int, cutoff: float) -> None:
    """Compute centre and sigma of each lane, equal to those of ``rejection.py`` to the bit."""
    scale_tile(t, n)
    start_lanes(t, n)
    v = t.lanes
    for i in range(n * LANES):
        t.copies[i] = t.x[i]
    for lane in range(LANES):
        v[KNOWN + lane] = PENDING
    for step in range(MOST_EXACT_STEPS):
        limit_lanes(v, cutoff)
        for rank in range(n):
            winsorize_row(v, t.copies, rank)
        for lane in range(LANES):
            v[TOTAL + lane] /= n
        for rank in range(n):
            spread_row(v, t.copies, rank)
        if step_exactly(v, n, step == 0) == 0:
            break
    for lane in range(LANES):
        # The remaining error is the rounding of a comparison with the limits.
        v[ERROR + lane] = 1e-15 * (v[CENTRE + lane] + v[SIGMA + lane])
