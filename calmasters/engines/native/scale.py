"""Sn of Rousseeuw and Croux for the lanes of a tile.

In a sorted column the ``n // 2 + 1`` nearest neighbours of a sample are a window around it. The
distance to the farthest of them is the minimum, over all windows around the sample, of the larger
distance to the ends of the window. Sn is the low median of these distances. No operation but the
difference of two samples rounds, and rounding keeps order, so Sn is the rounded true one.
"""

from __future__ import annotations

from calmasters.engines.native.sorting import Rows, offset, sort_rows
from calmasters.engines.native.stack import kernel
from calmasters.engines.native.workspace import LANES

__all__ = ["scale_rows"]

#: With at least this many windows left, a test whether any lane still needs them is worthwhile.
WORTH_A_TEST = 8


@kernel
def farther(x: Rows, here: int, left: int, right: int) -> Rows:
    """Return the larger of the distances of a sample to the ends of a window."""
    below, above = x.dtype.type(x[here] - x[left]), x.dtype.type(x[right] - x[here])
    return above if above > below else below


@kernel
def lower_by_one(x: Rows, i: int, left: int, size: int, distances: Rows) -> None:
    """Lower the distances of row ``i`` to those to one more window."""
    here, left, right = offset(i), offset(left), offset(left + size - 1)
    for lane in range(LANES):
        one = farther(x, here + lane, left + lane, right + lane)
        best = distances[here + lane]
        distances[here + lane] = one if one < best else best


@kernel
def lower_by_four(x: Rows, i: int, left: int, size: int, distances: Rows) -> None:
    """Lower the distances of row ``i`` to those to four more windows, one row apart."""
    here, left, right = offset(i), offset(left), offset(left + size - 1)
    for lane in range(LANES):
        at, low, high = here + lane, left + lane, right + lane
        one, two = farther(x, at, low, high), farther(x, at, low + LANES, high + LANES)
        three = farther(x, at, low + 2 * LANES, high + 2 * LANES)
        four = farther(x, at, low + 3 * LANES, high + 3 * LANES)
        best = distances[at]
        one = one if one < two else two
        three = three if three < four else four
        one = one if one < three else three
        distances[at] = one if one < best else best


@kernel
def is_wider(x: Rows, a: int, b: int, c: int, d: int) -> bool:
    """Whether rows ``a`` and ``b`` are farther apart than rows ``c`` and ``d`` in any lane."""
    a, b, c, d = offset(a), offset(b), offset(c), offset(d)
    found = False
    for lane in range(LANES):
        one = x.dtype.type(x[b + lane] - x[a + lane])
        found |= one > x.dtype.type(x[d + lane] - x[c + lane])
    return found


@kernel
def find_nearest(x: Rows, distances: Rows, i: int, n: int, first: int) -> int:
    """Compute row ``i`` of the distances.

    Windows before ``first`` are not the nearest in any lane, for this row and all later ones; the
    result is the value of ``first`` for the next row. Once the right end of a window is the farther
    one in all lanes, the distances to later windows only increase.
    """
    size = n // 2 + 1
    start, stop = max(first, i - size + 1), min(i, n - size) + 1
    while stop - start > WORTH_A_TEST and not is_wider(x, i, start + size, start, i):
        start += 1
    here, left, right = offset(i), offset(start), offset(start + size - 1)
    for lane in range(LANES):
        distances[here + lane] = farther(x, here + lane, left + lane, right + lane)
    left = start + 1
    while left < stop:
        if stop - left < 4:
            lower_by_one(x, i, left, size, distances)
            left += 1
            continue
        lower_by_four(x, i, left, size, distances)
        left += 4
        if stop - left >= WORTH_A_TEST and not is_wider(x, left - 1, i, i, left + size - 2):
            break
    return start


@kernel
def raise_row(x: Rows, into: int, rank: int) -> None:
    """Set row ``into`` to the maximum of itself and row ``rank``."""
    into, here = offset(into), offset(rank)
    for lane in range(LANES):
        one, other = x[into + lane], x[here + lane]
        x[into + lane] = one if one > other else other


@kernel
def is_any_nearer(x: Rows, low: int, high: int, distances: Rows, bound: int) -> bool:
    """Whether rows ``low`` and ``high`` are less than row ``bound`` apart in any lane."""
    low, high, bound = offset(low), offset(high), offset(bound)
    found = False
    for lane in range(LANES):
        found |= x.dtype.type(x[high + lane] - x[low + lane]) < distances[bound + lane]
    return found


@kernel
def scale_rows(x: Rows, distances: Rows, n: int) -> int:
    """Compute Sn, without factors, of ``n`` sorted rows; return its row of ``distances``.

    The middle half of the distances comes first: the largest of them is an upper bound of their
    median. The window of any other sample extends at least to the middle ranks; once that is as far
    as the bound in all lanes, no distance further out is less than the median.
    """
    bound, half = n, (n + 1) // 2
    first = (n - half) // 2
    last = first + half
    here = offset(bound)
    for lane in range(LANES):
        distances[here + lane] = 0
    window = 0
    for i in range(first, last):
        window = find_nearest(x, distances, i, n, window)
        raise_row(distances, bound, i)
    while last < n and is_any_nearer(x, (n - 1) // 2, last, distances, bound):
        window = find_nearest(x, distances, last, n, window)
        last += 1
    while first > 0 and is_any_nearer(x, first - 1, n // 2, distances, bound):
        first -= 1
        find_nearest(x, distances, first, n, 0)
    sort_rows(distances, first, last - first)
    return first + half - 1
