"""Tiles: sorted stacks of many pixels side by side, and the scale of each.

A tile is an array of sorted stacks, ranks down, pixels (*lanes*) across, so that every step is a
loop over lanes that the compiler turns into vector instructions.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from calmasters.engines.native.stack import Floats, kernel

__all__ = [
    "CENTRE",
    "ERROR",
    "FAR_HIGH",
    "FAR_LOW",
    "FIRST",
    "INNER_SQUARES",
    "INNER_TOTAL",
    "KEPT",
    "KNOWN",
    "LANES",
    "LOWER",
    "MIDDLE",
    "NEEDS_SCALAR",
    "PENDING",
    "RESIDUE",
    "ROUNDING",
    "SCALE",
    "SETTLED",
    "SIGMA",
    "SQUARES",
    "STATE",
    "TOTAL",
    "UPPER",
    "Tile",
    "offset",
    "row_of",
    "scale_tile",
    "sort_columns",
]

#: Pixels side by side: a few vector registers, and a tile of 100 frames fits the L1 cache.
LANES: Final = 64

#: With at least this many windows left, it is worth testing whether all lanes have reached their
#: nearest window.
WORTH_A_LOOK: Final = 8

#: The states of a lane's result (row KNOWN).
PENDING, SETTLED, NEEDS_SCALAR, KEPT = 0.0, 1.0, 2.0, 3.0

# The state of the lanes is one array, so that the compiler sees that its rows do not overlap.
# The rows are: Sn without its factors; the median, about which sums are taken; the first sigma;
# centre and sigma; the combined limits of all steps; sums of the deviations and of their squares;
# the error bound, and what a step adds to it; the state of the result.
SCALE, MIDDLE, FIRST, CENTRE, SIGMA, LOWER, UPPER, TOTAL, SQUARES, ERROR, ROUNDING, KNOWN = (
    LANES * row for row in range(12)
)
INNER_TOTAL, INNER_SQUARES = 12 * LANES, 13 * LANES  # sums of the ranks that are not clipped
# Where copies are winsorized, two of the rows are limits of the cutoff, one a sum of deviations.
FAR_LOW, FAR_HIGH, RESIDUE = INNER_TOTAL, INNER_SQUARES, ERROR
STATE: Final = 14 * LANES


Bits: TypeAlias = NDArray[np.int32]


class Tile(NamedTuple):
    """Memory of one tile of up to n frames."""

    x: Any  # (n * LANES,) float32: sorted columns, row by row
    bits: Any  # the same memory as int32
    distances: Any  # ((n + 3) * LANES,) float32
    distance_bits: Any  # the same memory as int32
    pixel: Any  # (LANES,) int64: which pixel of the strip
    lanes: Any  # (STATE,) float64
    copies: Any  # (n * LANES,) float64: samples as winsorized


@kernel
def offset(rank: int) -> int:
    """Return the start of a row; the mask shows the compiler that it is not negative.

    (Support for negative indices costs a branch at each access and prevents vectorization.)
    """
    return (rank * LANES) & (2**40 - 1)


@kernel
def row_of(x: Floats, rank: int) -> Floats:
    """Return the samples of a rank."""
    return x[rank * LANES : (rank + 1) * LANES]


@kernel
def sort_pair(x: Bits, a: int, b: int) -> None:
    """Move the smaller sample of each lane to row ``a``, the larger one to row ``b``."""
    a, b = offset(a), offset(b)
    for lane in range(LANES):
        one, other = x[a + lane], x[b + lane]
        x[a + lane] = min(one, other)
        x[b + lane] = max(one, other)


@kernel
def sort_columns(x: Bits, n: int) -> None:
    """Sort the first ``n`` rows of each lane by Batcher's odd-even merging network.

    The bit patterns of non-negative floats have the order of the floats, and integers sort with
    fewer instructions.
    """
    p = 1
    while p < n:
        k = p
        while k >= 1:
            for j in range(k % p, n - k, 2 * k):
                for i in range(j, min(j + k, n - k)):
                    # Both are in one run of 2 p rows (a power of two).
                    if (i | (2 * p - 1)) == ((i + k) | (2 * p - 1)):
                        sort_pair(x, i, i + k)
            k //= 2
        p *= 2


@kernel
def farther(here: np.float32, left: np.float32, right: np.float32) -> np.float32:
    """Return the larger of the distances to the ends of a window."""
    below, above = here - left, right - here
    return above if above > below else below


@kernel
def nearest_of_four(x: Floats, sample: np.float32, left: int, right: int) -> np.float32:
    """Return the smallest of the distances to four windows, one row apart."""
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
    """Update the smallest distances of row ``i`` with four windows.

    The windows start at rows ``left``, ``left`` + 1…. Row ``before`` of ``distances`` is the input,
    row ``after`` the result.
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
    """Update the smallest distances of row ``i`` with eight windows; see above."""
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
    """Update the smallest distances of row ``i`` with one window; see above."""
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
    lanes = np.int32(0)  # the width of the samples: other widths cost conversions
    for lane in range(LANES):
        sample = x[here + lane]
        lanes = np.int32(lanes + np.int32(x[right + lane] - sample < sample - x[left + lane]))
    return int(lanes)


@kernel
def find_nearest(x: Floats, distances: Floats, i: int, n: int, first: int) -> int:
    """Compute row ``i`` of the distances: to the farthest of the ``n // 2 + 1`` nearest samples.

    Row n is for intermediate results, row n + 1 is infinite.

    Windows before ``first`` are not the nearest in any lane, for this row and all later ones; the
    result is the value of ``first`` for the next row. Once the right end of a window is the farther
    one in all lanes, the distances of later windows only increase.
    """
    size = n // 2 + 1
    start, stop = max(first, i - size + 1), min(i, n - size) + 1
    if stop - start >= WORTH_A_LOOK:
        while start + 9 < stop and left_is_farther(x, i, start + 1, start + size) == LANES:
            start += 1
    step = 8 if stop - start >= 8 else 4 if stop - start >= 4 else 1
    before, left = n + 1, start
    while left < stop:
        # Two rows alternate, since reading a row that was just written would wait for the write.
        # Some of the last windows may be computed twice.
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
    """Set row ``into`` to the maximum of itself and row ``rank``."""
    into, here = offset(into), offset(rank)
    for lane in range(LANES):
        one, other = x[into + lane], x[here + lane]
        x[into + lane] = one if one > other else other


@kernel
def all_reach(x: Floats, low: int, high: int, distances: Floats, bound: int) -> bool:
    """Whether rows ``low`` and ``high`` are at least ``bound`` apart in all lanes."""
    low, high, bound = offset(low), offset(high), offset(bound)
    lanes = np.int32(0)
    for lane in range(LANES):
        near = x[high + lane] - x[low + lane] < distances[bound + lane]
        lanes = np.int32(lanes + np.int32(near))
    return int(lanes) == 0


@kernel
def measure_distances(t: Tile, n: int) -> tuple[int, int]:
    """Compute the rows [first, last) of the distances; all others are not less than the median.

    The middle half of the rows is computed first: their largest distance is an upper bound of the
    median. Each window extends at least from its sample to the middle ranks (rank ``n // 2`` for
    samples below it): where that distance reaches the bound, all rows further out can be skipped.
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
    """Compute Sn of each lane, without factors, in float32: the low median of the distances.

    The nearest neighbours of a sample are a window of the sorted column. The distance to the
    farthest of them is the minimum, over all windows around the sample, of the larger distance to
    the ends of the window. Rounding differences to float32 keeps their order: the result is Sn
    rounded to float32.
    """
    first, last = measure_distances(t, n)
    sort_columns(t.distance_bits[first * LANES :], last - first)
    scales = row_of(t.distances, first + (n + 1) // 2 - 1)
    for lane in range(LANES):
        t.lanes[SCALE + lane] = scales[lane]
