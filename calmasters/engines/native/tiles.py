"""Winsorized sigma clipping of many pixels side by side: the quick way to the same result.

A *tile* is an array of sorted stacks, ranks down, pixels (lanes) across, so that every step is a
loop over lanes that the compiler turns into vector instructions:

1. a sorting network sorts all columns;
2. Sn comes from windows of neighbours in the sorted columns;
3. Huber's steps take sums of clipped samples about the median, instead of winsorizing copies.

Step 3 rounds otherwise than ``rejection.py``. Each lane carries a bound of the difference; a lane
whose fate hangs on less than that bound, or that does anything unusual, waits until a tile of such
lanes is full, in which copies are winsorized as ``rejection.py`` does, operation by operation; or
it is done by ``rejection.py`` alone. So the result is the same to the bit. Pixels that lose samples
wait in a queue of their new size, until a tile of them is full, and are then treated likewise.

Notes
-----
The bound. Let ``e`` bound the error of centre and sigma. The limits centre -+ 1.5 sigma err by at
most 2.5 e, and so does each clipped sample: clipping at limits that err moves no sample more than
the limits. Their mean errs by 2.5 e, their standard deviation, times 1.134, by at most
1.134 sqrt(n / (n - 1)) 2.5 e < 3.5 e. Rounding adds ``r`` in each step: sums of n terms err by
(n + 8) 2^-52 of the sum of magnitudes. Hence ``e`` becomes 3.5 e + r; it starts at 0, as median
and Sn are exact.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from calmasters.engines.native.rejection import (
    Integers,
    Parameters,
    Scratch,
    clip_by_sigma,
    median_of,
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

__all__ = ["LANES", "QUEUE", "STATE", "Outcome", "Tile", "count_rejected", "winsorize_strip"]

#: Pixels side by side: a few vector registers, and a tile of 100 frames fits the L1 cache.
LANES: Final = 64

#: Lanes that have not settled after so many steps are put aside.
MOST_STEPS: Final = 12

#: So many when copies are winsorized: what has not settled then is done alone.
MOST_EXACT_STEPS: Final = 100

#: So are those whose sigma shrinks below this share of the first: their bound does not hold.
SMALLEST_SHARE: Final = 0.1

#: With a sigma below this, the limit where 1 + sigma is 1 is near.
SMALLEST_SIGMA: Final = 1e-12

#: With so many windows left it pays to ask whether the nearest is found in all lanes.
WORTH_A_LOOK: Final = 8

#: Waiting pixels of one size: a full tile, and as many again as another tile may send.
QUEUE: Final = 2 * LANES

#: One part in so many of the samples lies outside of the inner ranks, on each side: inside of it
#: Huber's limits, 1.5 sigma, clip next to nothing.
OUTER: Final = 5

#: What is known of a lane.
PENDING, SETTLED, ALONE, KEPT = 0.0, 1.0, 2.0, 3.0

# The state of the lanes is one array, so that the compiler sees that its rows do not overlap.
# These are the rows: Sn without its factors; the median, about which sums are taken; the first
# sigma; centre and sigma; the limits of all steps together; sums of the deviations and of their
# squares; the bound of the error, and what a step adds to it; what is known.
SCALE, MIDDLE, FIRST, CENTRE, SIGMA, LOWER, UPPER, TOTAL, SQUARES, ERROR, ROUNDING, KNOWN = (
    LANES * row for row in range(12)
)
INNER_TOTAL, INNER_SQUARES = 12 * LANES, 13 * LANES  # sums of the ranks that are not clipped
# Where copies are winsorized, two of the rows are limits of the cutoff, one a sum of deviations.
FAR_LOW, FAR_HIGH, RESIDUE = INNER_TOTAL, INNER_SQUARES, ERROR
STATE: Final = 14 * LANES


Bits: TypeAlias = NDArray[np.int32]


class Tile(NamedTuple):
    """Room for one tile of up to n frames."""

    x: Any  # (n * LANES,) float32: sorted columns, row by row
    bits: Any  # the same memory as int32
    distances: Any  # ((n + 3) * LANES,) float32
    distance_bits: Any  # the same memory as int32
    pixel: Any  # (LANES,) int64: which pixel of the strip
    lanes: Any  # (STATE,) float64
    copies: Any  # (n * LANES,) float64: samples as winsorized


class Queues(NamedTuple):
    """Pixels that lost samples, by the number left; with all n those put aside."""

    x: Any  # float32: (m, QUEUE) for each size m, one after the other
    pixel: Any  # int64: QUEUE for each size from 0 on
    length: Any  # (n + 1,) int64


class Outcome(NamedTuple):
    """What comes of a strip of pixels."""

    values: Any  # (count,) float32
    lowest: Any  # (count,) float32: lowest sample kept
    highest: Any  # (count,) float32: highest sample kept


# Steps on a tile -------------------------------------------------------------------------


@kernel
def offset(rank: int) -> int:
    """Tell where a row begins; the compiler is told that this is not negative.

    (Python's negative indices cost a choice at each access, and no loop with them is vectorised.)
    """
    return (rank * LANES) & (2**40 - 1)


@kernel
def row_of(x: Floats, rank: int) -> Floats:
    """Give the samples of a rank."""
    return x[rank * LANES : (rank + 1) * LANES]


@kernel
def sort_pair(x: Bits, a: int, b: int) -> None:
    """Put the smaller of each pair of two rows into row ``a``."""
    a, b = offset(a), offset(b)
    for lane in range(LANES):
        one, other = x[a + lane], x[b + lane]
        x[a + lane] = min(one, other)
        x[b + lane] = max(one, other)


@kernel
def sort_columns(x: Bits, n: int) -> None:
    """Sort the first ``n`` rows of each lane by Batcher's odd-even merging network.

    The bits of floats that are not negative sort as the floats do, in fewer instructions.
    """
    p = 1
    while p < n:
        k = p
        while k >= 1:
            for j in range(k % p, n - k, 2 * k):
                for i in range(j, min(j + k, n - k)):
                    # Both in one run of 2 p rows (a power of two).
                    if (i | (2 * p - 1)) == ((i + k) | (2 * p - 1)):
                        sort_pair(x, i, i + k)
            k //= 2
        p *= 2


@kernel
def farther(here: np.float32, left: np.float32, right: np.float32) -> np.float32:
    """Larger of the distances to the ends of a window."""
    below, above = here - left, right - here
    return above if above > below else below


@kernel
def nearest_of_four(x: Floats, sample: np.float32, left: int, right: int) -> np.float32:
    """Smallest of the distances to four windows, one row apart."""
    one = farther(sample, x[left], x[right])
    two = farther(sample, x[left + LANES], x[right + LANES])
    three = farther(sample, x[left + 2 * LANES], x[right + 2 * LANES])
    four = farther(sample, x[left + 3 * LANES], x[right + 3 * LANES])
    one = one if one < two else two
    three = three if three < four else four
    return one if one < three else three


@kernel
def lower_by_four(
    x: Floats, i: int, left: int, right: int, distances: Floats, before: int, after: int
) -> None:
    """Lower row ``before`` of the distances to those from row ``i`` to four windows.

    The windows begin at rows ``left``, ``left`` + 1…; the result is row ``after``.
    """
    here, left, right = offset(i), offset(left), offset(right)
    before, after = offset(before), offset(after)
    for lane in range(LANES):
        best = distances[before + lane]
        one = nearest_of_four(x, x[here + lane], left + lane, right + lane)
        distances[after + lane] = one if one < best else best


@kernel
def lower_by_eight(
    x: Floats, i: int, left: int, right: int, distances: Floats, before: int, after: int
) -> None:
    """Lower row ``before`` of the distances to those from row ``i`` to eight windows."""
    here, left, right = offset(i), offset(left), offset(right)
    before, after = offset(before), offset(after)
    for lane in range(LANES):
        sample, best = x[here + lane], distances[before + lane]
        one = nearest_of_four(x, sample, left + lane, right + lane)
        other = nearest_of_four(x, sample, left + 4 * LANES + lane, right + 4 * LANES + lane)
        one = one if one < other else other
        distances[after + lane] = one if one < best else best


@kernel
def lower_by_one(
    x: Floats, i: int, left: int, right: int, distances: Floats, before: int, after: int
) -> None:
    """Lower row ``before`` of the distances to those from row ``i`` to one window."""
    here, left, right = offset(i), offset(left), offset(right)
    before, after = offset(before), offset(after)
    for lane in range(LANES):
        one, best = (
            farther(x[here + lane], x[left + lane], x[right + lane]),
            distances[before + lane],
        )
        distances[after + lane] = one if one < best else best


@kernel
def left_is_farther(x: Floats, i: int, left: int, right: int) -> int:
    """Count the lanes in which row ``left`` is farther from row ``i`` than row ``right``."""
    here, left, right = offset(i), offset(left), offset(right)
    lanes = np.int32(0)  # as wide as the samples: vectors of other widths cost conversions
    for lane in range(LANES):
        sample = x[here + lane]
        lanes = np.int32(lanes + np.int32(x[right + lane] - sample < sample - x[left + lane]))
    return int(lanes)


@kernel
def find_nearest(x: Floats, distances: Floats, i: int, n: int, first: int) -> int:
    """Find row ``i`` of the distances: to the farthest of the ``n // 2 + 1`` nearest samples.

    Row n is for intermediate results, row n + 1 is infinite.

    Windows before ``first`` are not the nearest in any lane, for this row and all later ones;
    returns what ``first`` is for the next row. From a window on whose right end is the farther
    one in all lanes, windows only get worse.
    """
    size = n // 2 + 1
    start, stop = max(first, i - size + 1), min(i, n - size) + 1
    if stop - start >= WORTH_A_LOOK:
        while start + 9 < stop and left_is_farther(x, i, start + 1, start + size) == LANES:
            start += 1
    step = 8 if stop - start >= 8 else 4 if stop - start >= 4 else 1
    before, left = n + 1, start
    while left < stop:
        # Writing where one has just read would wait for the write: two rows take turns. Some of
        # the last windows may be done twice.
        at, after = min(left, stop - step), n if before == i else i
        if step == 8:
            lower_by_eight(x, i, at, at + size - 1, distances, before, after)
        elif step == 4:
            lower_by_four(x, i, at, at + size - 1, distances, before, after)
        else:
            lower_by_one(x, i, at, at + size - 1, distances, before, after)
        before = after
        left += step
        if stop - left >= WORTH_A_LOOK and left_is_farther(x, i, left - 1, left + size - 2) == 0:
            stop = left
    if before == n:
        here, there = offset(i), offset(n)
        for lane in range(LANES):
            distances[here + lane] = distances[there + lane]
    return start


@kernel
def raise_row(x: Floats, into: int, rank: int) -> None:
    """Raise row ``into`` to row ``rank`` where that is larger."""
    into, here = offset(into), offset(rank)
    for lane in range(LANES):
        one, other = x[into + lane], x[here + lane]
        x[into + lane] = one if one > other else other


@kernel
def all_reach(x: Floats, low: int, high: int, distances: Floats, bound: int) -> bool:
    """Whether rows ``low`` and ``high`` are as far apart as row ``bound`` says, in all lanes."""
    low, high, bound = offset(low), offset(high), offset(bound)
    lanes = np.int32(0)
    for lane in range(LANES):
        near = x[high + lane] - x[low + lane] < distances[bound + lane]
        lanes = np.int32(lanes + np.int32(near))
    return int(lanes) == 0


@kernel
def measure_distances(t: Tile, n: int) -> tuple[int, int]:
    """Find the rows [first, last) of the distances; all others are not less than the median.

    The middle half of the rows comes first: their largest distance bounds the median from above.
    Each window reaches at least from its sample to the median's neighbourhood, rank ``n // 2`` for
    samples below it: where that is as far as the bound, all rows further out can be left.
    """
    x, distances, bound = t.x, t.distances, n + 2
    half = (n + 1) // 2
    first = (n - half) // 2
    last = first + half
    here = 0
    for lane in range(LANES):
        distances[offset(n + 1) + lane] = np.float32(math.inf)
        distances[offset(bound) + lane] = np.float32(0)
    for i in range(first, last):
        here = find_nearest(x, distances, i, n, here)
        raise_row(distances, bound, i)
    while last < n and not all_reach(x, (n - 1) // 2, last, distances, bound):
        here = find_nearest(x, distances, last, n, here)
        last += 1
    while first > 0 and not all_reach(x, first - 1, n // 2, distances, bound):
        first -= 1
        find_nearest(x, distances, first, n, 0)
    return first, last


@kernel
def scale_tile(t: Tile, n: int) -> None:
    """Sn of each lane, without factors, in float32: the low median of the distances.

    The nearest neighbours of a sample are a window of the sorted column: their distance is the
    smallest over all windows around the sample of the larger distance to its ends. Rounding
    differences to float32 keeps their order: the result is Sn rounded to float32.
    """
    first, last = measure_distances(t, n)
    sort_columns(t.distance_bits[first * LANES :], last - first)
    scales = row_of(t.distances, first + (n + 1) // 2 - 1)
    for lane in range(LANES):
        t.lanes[SCALE + lane] = scales[lane]


@kernel
def start_lanes(t: Tile, n: int) -> None:
    """Put centre and sigma at median and Sn, and lanes aside where float32 is not exact."""
    v = t.lanes
    correction = sn_correction(n)
    upper, lower = row_of(t.x, n // 2), row_of(t.x, (n - 1) // 2)
    bottom, top = row_of(t.x, 0), row_of(t.x, n - 1)
    for lane in range(LANES):
        # The mean of two equal samples, for an odd number, is the sample.
        v[MIDDLE + lane] = np.float32(lower[lane] + upper[lane]) / np.float32(2)
        v[ROUNDING + lane] = top[lane]
        # All samples are multiples of the last place of the lowest: up to its size, so are
        # differences, without rounding.
        v[KNOWN + lane] = PENDING if v[SCALE + lane] <= bottom[lane] else ALONE
    for lane in range(LANES):
        v[CENTRE + lane] = v[MIDDLE + lane]
        sigma = SN_TO_SIGMA * (correction * v[SCALE + lane])
        v[SIGMA + lane] = sigma
        v[FIRST + lane] = sigma
        v[LOWER + lane] = -math.inf
        v[UPPER + lane] = math.inf
        v[ERROR + lane] = 0.0
        v[ROUNDING + lane] = (n + 8) * (1e-14 * sigma + 2.0**-52 * v[ROUNDING + lane])
        v[KNOWN + lane] = v[KNOWN + lane] if sigma > SMALLEST_SIGMA else ALONE


@kernel
def leave_far_lanes(t: Tile, cutoff: float, n: int) -> None:
    """Put lanes aside whose samples reach the cutoff."""
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
        v[KNOWN + lane] = ALONE if far & (known == PENDING) else known


@kernel
def clip_lanes(v: Doubles) -> None:
    """Draw in the limits of each lane by 1.5 sigma about its centre."""
    for lane in range(LANES):
        low = v[CENTRE + lane] - HUBER_LIMIT * v[SIGMA + lane]
        high = v[CENTRE + lane] + HUBER_LIMIT * v[SIGMA + lane]
        # Clipping by the old limits and then by the new: by both of the old, clipped.
        lower = v[LOWER + lane] if v[LOWER + lane] > low else low
        upper = v[UPPER + lane] if v[UPPER + lane] > low else low
        v[LOWER + lane] = lower if lower < high else high
        v[UPPER + lane] = upper if upper < high else high


@kernel
def clipped(sample: np.float32, v: Doubles, lane: int) -> float:
    """Clip a sample to its lane's limits, and take the median off."""
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
    """Whether the limits leave the ranks [first, last) as they are, in all lanes."""
    bottom, top = offset(first), offset(last - 1)
    lanes = 0
    for lane in range(LANES):
        lanes += (x[bottom + lane] < v[LOWER + lane]) | (x[top + lane] > v[UPPER + lane])
    return lanes == 0


@kernel
def copy_sums(v: Doubles, total: int, squares: int) -> None:
    """Begin the sums with those of other rows of the state."""
    for lane in range(LANES):
        v[TOTAL + lane] = v[total + lane]
        v[SQUARES + lane] = v[squares + lane]


@kernel
def sum_inner(v: Doubles, x: Floats, first: int, last: int) -> bool:
    """Sum the inner ranks [first, last) once for all steps; False if they are clipped."""
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

    The sums of the inner ranks are known if ``inner``, and are what they were while no limit
    reaches these ranks.
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
    """Take the new centre and sigma; returns how many lanes go on."""
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
        known = known if sound else ALONE
        v[CENTRE + lane] = v[MIDDLE + lane] + total / n if pending else v[CENTRE + lane]
        v[SIGMA + lane] = sigma if pending else before
        v[ERROR + lane] = error if pending else v[ERROR + lane]
        v[KNOWN + lane] = known if pending else v[KNOWN + lane]
        going += pending & (known == PENDING)
    return going


@kernel
def settle_tile(t: Tile, n: int, cutoff: float) -> None:
    """Estimate centre and sigma of each lane; lanes that are not sure of them stay unsettled."""
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
    """Draw a row in to the limits, and add it."""
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
    """Take the new centre and sigma, as ``winsorized_huber`` does; how many lanes go on."""
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
    """Find centre and sigma of each lane by the arithmetic of ``rejection.py``, to the bit."""
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
        # What is left: the rounding of a comparison with the limits.
        v[ERROR + lane] = 1e-15 * (v[CENTRE + lane] + v[SIGMA + lane])


# Decisions -------------------------------------------------------------------------------


@kernel
def keep_lanes(t: Tile, n: int, p: Parameters) -> None:
    """Tell in which lanes nothing is rejected."""
    v, bottom, top = t.lanes, row_of(t.x, 0), row_of(t.x, n - 1)
    for lane in range(LANES):
        error, sigma = v[ERROR + lane], v[SIGMA + lane]
        below = v[CENTRE + lane] - bottom[lane] - p.low * sigma
        above = top[lane] - v[CENTRE + lane] - p.high * sigma
        calm = (below < -(1 + p.low) * error) & (above < -(1 + p.high) * error)
        keep = (calm & (v[KNOWN + lane] == SETTLED)) | (v[SCALE + lane] == 0)
        v[KNOWN + lane] = KEPT if keep else v[KNOWN + lane]


@kernel
def add_row(v: Doubles, x: Floats, rank: int) -> None:
    """Add the samples of a row."""
    at = offset(rank)
    for lane in range(LANES):
        v[TOTAL + lane] += x[at + lane]


@kernel
def add_four_rows(v: Doubles, x: Floats, rank: int) -> None:
    """Add the samples of four rows, one after the other."""
    at = offset(rank)
    for lane in range(LANES):
        total = v[TOTAL + lane] + x[at + lane]
        total += x[at + LANES + lane]
        total += x[at + 2 * LANES + lane]
        total += x[at + 3 * LANES + lane]
        v[TOTAL + lane] = total


@kernel
def average_lanes(v: Doubles, x: Floats, n: int) -> None:
    """Average each lane, in TOTAL: the pixel's value if nothing is rejected."""
    for lane in range(LANES):
        v[TOTAL + lane] = 0.0
    for rank in range(0, n - 3, 4):
        add_four_rows(v, x, rank)
    for rank in range(n // 4 * 4, n):
        add_row(v, x, rank)
    for lane in range(LANES):
        v[TOTAL + lane] /= n


# Single lanes ----------------------------------------------------------------------------


@kernel
def average(x: Floats, lane: int, first: int, last: int) -> float:
    """Average of the ranks [first, last) of a lane."""
    total = 0.0
    for rank in range(first, last):
        total += x[rank * LANES + lane]
    return total / (last - first)


@kernel
def mark(o: Outcome, t: Tile, lane: int, n: int, first: int, last: int) -> None:
    """Write down that a pixel keeps only the ranks [first, last) of its lane."""
    pixel = t.pixel[lane]
    if first > 0:
        o.lowest[pixel] = t.x[first * LANES + lane] if first < n else np.float32(math.inf)
    if last < n:
        o.highest[pixel] = t.x[(last - 1) * LANES + lane] if last > 0 else np.float32(-math.inf)


@kernel
def do_alone(
    t: Tile,
    lane: int,
    n: int,
    cutoff: float,
    p: Parameters,
    samples: Floats,
    o: Outcome,
    s: Scratch,
) -> None:
    """Do one lane as ``rejection.py`` does."""
    column, pixel = s.x[:n], t.pixel[lane]
    for i in range(n):
        column[i] = t.x[i * LANES + lane]
    first, last = clip_by_sigma(column, p, cutoff, s.work)
    mark(o, t, lane, n, first, last)
    if first < last:
        o.values[pixel] = average(t.x, lane, first, last)
    else:
        o.values[pixel] = median_of(samples[:, pixel], s)


@kernel
def decide(t: Tile, lane: int, n: int, p: Parameters) -> tuple[int, int]:
    """Find the ranks that a lane keeps; (0, 0) if its bound does not tell."""
    v = t.lanes
    first, last = 0, n
    centre, sigma, error = v[CENTRE + lane], v[SIGMA + lane], v[ERROR + lane]
    while first < last:
        below = centre - t.x[first * LANES + lane] - p.low * sigma
        if abs(below) <= (1 + p.low) * error:
            return 0, 0
        if below < 0:
            break
        first += 1
    while first < last:
        above = t.x[(last - 1) * LANES + lane] - centre - p.high * sigma
        if abs(above) <= (1 + p.high) * error:
            return 0, 0
        if above < 0:
            break
        last -= 1
    return first, last


@kernel
def queued(q: Queues, m: int) -> Floats:
    """Give the rows of the waiting columns of m samples, one after the other."""
    start = QUEUE * (m * (m - 1) // 2)
    columns: Floats = q.x[start : start + QUEUE * m]
    return columns


@kernel
def may_wait(t: Tile, lane: int) -> bool:
    """Whether Sn of a lane is exact, so that it can be done exactly beside others."""
    return bool(t.lanes[SCALE + lane] <= t.x[lane])


@kernel
def enqueue(t: Tile, lane: int, first: int, last: int, q: Queues) -> None:
    """Let a lane's ranks [first, last) wait for a tile of their size."""
    m = last - first
    slot = q.length[m]
    columns = queued(q, m)
    for rank in range(m):
        columns[rank * QUEUE + slot] = t.x[(first + rank) * LANES + lane]
    q.pixel[m * QUEUE + slot] = t.pixel[lane]
    q.length[m] = slot + 1


# Tiles and strips ------------------------------------------------------------------------


@kernel
def do_tile(
    t: Tile,
    lanes: int,
    n: int,
    cutoff: float,
    p: Parameters,
    samples: Floats,
    o: Outcome,
    q: Queues,
    s: Scratch,
    exactly: bool,
) -> None:
    """Do a tile of which the first ``lanes`` lanes are pixels."""
    if exactly:
        settle_exactly(t, n, cutoff)
    else:
        settle_tile(t, n, cutoff)
    keep_lanes(t, n, p)
    average_lanes(t.lanes, t.x, n)
    for lane in range(lanes):
        pixel, known = t.pixel[lane], t.lanes[KNOWN + lane]
        if known == KEPT:
            o.values[pixel] = t.lanes[TOTAL + lane]
            continue
        first, last = decide(t, lane, n, p) if known == SETTLED else (0, 0)
        if first == last:
            if n == len(samples) and not exactly and may_wait(t, lane):
                enqueue(t, lane, 0, n, q)
            else:
                do_alone(t, lane, n, cutoff, p, samples, o, s)
            continue
        mark(o, t, lane, n, first, last)
        if last - first < 3:
            o.values[pixel] = average(t.x, lane, first, last)
        else:
            enqueue(t, lane, first, last, q)


@kernel
def do_queue(
    m: int, p: Parameters, samples: Floats, o: Outcome, t: Tile, q: Queues, s: Scratch
) -> None:
    """Do as many waiting pixels of m samples as a tile holds."""
    lanes = min(LANES, q.length[m])
    q.length[m] -= lanes
    start = q.length[m]
    columns = queued(q, m)
    for rank in range(m):
        for lane in range(LANES):
            t.x[rank * LANES + lane] = columns[rank * QUEUE + start + min(lane, lanes - 1)]
    for lane in range(LANES):
        t.pixel[lane] = q.pixel[m * QUEUE + start + min(lane, lanes - 1)]
    aside = m == len(samples)
    do_tile(t, lanes, m, p.cutoff if aside else 0.0, p, samples, o, q, s, aside)


@kernel
def do_full_queues(
    p: Parameters, samples: Floats, o: Outcome, t: Tile, q: Queues, s: Scratch
) -> None:
    """Do the waiting pixels of which there is a full tile.

    Smaller sizes first: a tile sends pixels to these only, so none overflows.
    """
    m = 3
    while m <= len(samples):
        if q.length[m] >= LANES:
            do_queue(m, p, samples, o, t, q, s)
            m = 3
        else:
            m += 1


@kernel
def load_tile(samples: Floats, start: int, lanes: int, t: Tile) -> None:
    """Take the pixels from ``start`` on as a tile; the last one fills lanes left over."""
    for i in range(len(samples)):
        into, here = row_of(t.x, i), samples[i]
        if lanes == LANES:
            for lane in range(LANES):
                into[lane] = here[start + lane]
        else:
            for lane in range(LANES):
                into[lane] = here[start + min(lane, lanes - 1)]
    for lane in range(LANES):
        t.pixel[lane] = start + min(lane, lanes - 1)
    sort_columns(t.bits, len(samples))


@kernel
def winsorize_strip(
    samples: Floats, p: Parameters, o: Outcome, t: Tile, q: Queues, s: Scratch
) -> int:
    """Reject and average a strip of pixels.

    Parameters
    ----------
    samples : (n, count) array of float32
    o : Outcome
        ``lowest`` and ``highest`` are minus and plus infinity before.

    Returns
    -------
    int
        Pixels whose outliers Winsorization cannot see, since most of their samples are equal.
    """
    n, count = samples.shape
    hidden = 0
    for start in range(0, count, LANES):
        lanes = min(LANES, count - start)
        load_tile(samples, start, lanes, t)
        do_tile(t, lanes, n, p.cutoff, p, samples, o, q, s, False)
        for lane in range(lanes):
            hidden += t.lanes[SCALE + lane] == 0 and t.x[lane] < t.x[(n - 1) * LANES + lane]
        do_full_queues(p, samples, o, t, q, s)
    for m in range(n, 2, -1):
        while q.length[m] > 0:
            do_queue(m, p, samples, o, t, q, s)
            do_full_queues(p, samples, o, t, q, s)
    return hidden


@kernel
def count_rejected(samples: Floats, o: Outcome, by_frame: Integers) -> None:
    """Add to ``by_frame`` how many of each frame's samples lie outside what pixels keep."""
    lowest, highest = o.lowest, o.highest
    for i in range(len(samples)):
        row = samples[i]
        low = high = 0
        for j in range(len(row)):
            low += row[j] < lowest[j]
            high += row[j] > highest[j]
        by_frame[0, i] += low
        by_frame[1, i] += high
