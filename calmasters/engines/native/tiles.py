"""Winsorized sigma clipping of many pixels side by side: faster, with the same result.

``docs/fast-rejection.md`` explains the five terms of this module with a drawing: *row*, *tile*,
*doubt*, *queue*, *strip*.

1. A tile of pixels is sorted by a network (``sorting.py``), and its Sn is computed (``scale.py``).
2. Huber's steps are taken in float32, with a bound of their error (``settling.py``). Pixels whose
   outcome the bound leaves open are in doubt: they are listed.
3. Pixels that lose samples are queued by the number of samples left. A full queue is a tile.
4. Tiles of the listed pixels take the same way, with exact steps (``exactly.py``).
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np

from calmasters.engines.native.exactly import ranks_within, settle_exactly
from calmasters.engines.native.rejection import Integers, Parameters
from calmasters.engines.native.settling import (
    KEPT,
    STATE,
    begin,
    count_hidden,
    decide_lanes,
    kept_ranks,
    settle_briefly,
    settle_fast,
)
from calmasters.engines.native.sorting import Rows, Unit, natural, offset, real, sort_rows
from calmasters.engines.native.stack import kernel
from calmasters.engines.native.workspace import LANES, QUEUE

__all__ = ["Outcome", "Queues", "Tile", "count_rejected", "winsorize_strip"]

#: The ways to settle a tile: few fast steps and an enclosure of the others; all fast steps;
#: exactly, with a limited number of steps, since few pixels need more; exactly.
BRIEF, FAST, EXACT, ENDLESS = range(4)
MOST_EXACT_STEPS: Final = 30


#: From this number of samples on, too many are next to a limit for an enclosure.
LARGE: Final = 40

#: Pixels that are counted at once, by counters of the width of the samples; in the cache.
COUNTED: Final = 1 << 13


class Tile(NamedTuple):
    """The memory of a tile of up to n samples a pixel; ``workspace.py`` allocates it."""

    x: Any  # (n * LANES,) uint16 or float32: sorted columns, row by row
    distances: Any  # ((n + 1) * LANES,) of the same type, for Sn
    deviations: Any  # (n * LANES,) float32: from the median
    state: Any  # (STATE_ROWS * LANES,) float32: of settling.py
    pixel: Any  # (LANES,) int64: which pixel of the strip
    listed: Any  # (LANES,) int64: lanes that are not kept
    sums: Any  # (LANES,) float64
    copies: Any  # (n * LANES,) float64: samples as winsorized
    exact_distances: Any  # ((n + 1) * LANES,) float64
    exact_state: Any  # (STATE_ROWS * LANES,) float64: of exactly.py


class Queues(NamedTuple):
    """Pixels that wait: queues by the number of samples left, and the list of pixels in doubt."""

    x: Any  # (m, QUEUE) for each size m, one after the other
    pixel: Any  # int64: QUEUE for each size from 0 on
    length: Any  # (n + 1,) int64; that of size 0 is the length of the list
    doubtful: Any  # (count,) int64


class Outcome(NamedTuple):
    """The results of a strip of pixels."""

    values: Any  # (count,) float32
    lowest: Any  # (count,) uint16 or float32: lowest sample kept
    highest: Any  # (count,) uint16 or float32: highest sample kept


# Tiles -----------------------------------------------------------------------------------


@kernel
def load_run(samples: Rows, start: int, t: Tile, n: int) -> None:
    """Load the LANES pixels from ``start`` on."""
    x, pixel = t.x, t.pixel
    for i in range(n):
        at, here = offset(i), samples[i, start : start + LANES]
        for lane in range(LANES):
            x[at + lane] = here[lane]
    for lane in range(LANES):
        pixel[lane] = start + lane


@kernel
def load_pixels(samples: Rows, t: Tile, n: int) -> None:
    """Load the pixels that ``t.pixel`` lists."""
    x, pixel = t.x, t.pixel
    for i in range(n):
        at, here = offset(i), samples[i]
        for lane in range(LANES):
            x[at + lane] = here[pixel[lane]]


@kernel
def waiting_row(m: int, rank: int) -> int:
    """Return where a rank of the queue of m samples starts."""
    return natural(QUEUE * (m * (m - 1) // 2 + rank))


@kernel
def load_queue(q: Queues, m: int, t: Tile) -> int:
    """Load up to LANES pixels from the queue of m samples; return their number."""
    lanes: int = min(LANES, q.length[m])
    q.length[m] -= lanes
    start = q.length[m]
    x, pixel, waiting, numbers = t.x, t.pixel, q.x, q.pixel
    for rank in range(m):
        at, here = offset(rank), natural(waiting_row(m, rank) + start)
        for lane in range(LANES):
            x[at + lane] = waiting[here + lane]
        for lane in range(lanes, LANES):
            x[at + lane] = x[at + lanes - 1]
    here = natural(m * QUEUE + start)
    for lane in range(LANES):
        pixel[lane] = numbers[here + lane]
    for lane in range(lanes, LANES):
        pixel[lane] = pixel[lanes - 1]
    return lanes


@kernel
def enqueue(x: Rows, lane: int, first: int, m: int, pixel: int, q: Queues) -> None:
    """Queue the ``m`` samples of a lane from rank ``first`` on."""
    waiting, slot = q.x, q.length[m]
    to, at = natural(waiting_row(m, 0) + slot), natural(offset(first) + lane)
    for rank in range(m):
        waiting[to + rank * QUEUE] = x[at + rank * LANES]
    q.pixel[m * QUEUE + slot] = pixel
    q.length[m] = slot + 1


@kernel
def average_lanes(sums: Rows, x: Rows, n: int, unit: Unit) -> None:
    """Average each lane: the pixel's value if no sample is rejected."""
    for lane in range(LANES):
        sums[lane] = 0.0
    for rank in range(n):
        at = offset(rank)
        for lane in range(LANES):
            sums[lane] += np.float64(real(x[at + lane], unit))
    for lane in range(LANES):
        sums[lane] /= n


@kernel
def mark(o: Outcome, x: Rows, lane: int, n: int, pixel: int, first: int, last: int) -> None:
    """Record that a pixel keeps only the ranks [first, last).

    The centre is among the samples: they are never all on one side of the limits.
    """
    if first > 0:
        o.lowest[pixel] = x[min(first, n - 1) * LANES + lane]
    if last < n:
        o.highest[pixel] = x[max(last - 1, 0) * LANES + lane]


@kernel
def average(x: Rows, lane: int, first: int, last: int, unit: Unit) -> float:
    """Return the average of the ranks [first, last) of a lane."""
    total = 0.0
    for rank in range(first, last):
        total += float(real(x[rank * LANES + lane], unit))
    return total / (last - first)


@kernel
def keep_medians(t: Tile, n: int, unit: Unit, o: Outcome) -> None:
    """Set each pixel to its median: its value if all samples are rejected."""
    lower, upper = offset((n - 1) // 2), offset(n // 2)
    for lane in range(LANES):
        middle = real(t.x[lower + lane], unit) + real(t.x[upper + lane], unit)
        o.values[t.pixel[lane]] = middle / np.float32(2)


@kernel
def do_tile(
    t: Tile,
    lanes: int,
    n: int,
    cutoff: float,
    way: int,
    unit: Unit,
    p: Parameters,
    o: Outcome,
    q: Queues,
) -> None:
    """Process a tile of which the first ``lanes`` lanes are pixels."""
    x, v, sums, pixels, values = t.x, t.state, t.sums, t.pixel, o.values
    listed, count = t.listed, 0
    if way <= FAST:
        begin(v, x, t.deviations, t.distances, n, unit, cutoff)
        if way == BRIEF:
            settle_briefly(v, t.deviations, n, cutoff, p.low, p.high)
        else:
            settle_fast(v, t.deviations, n, cutoff, p.low, p.high)
        decide_lanes(v, x, n, unit)
        average_lanes(sums, x, n, unit)
        for lane in range(lanes):
            # Right for the pixels that are kept; the others get their values later.
            values[pixels[lane]] = sums[lane]
            listed[count] = lane
            count += v[STATE + lane] != KEPT
    else:
        most = MOST_EXACT_STEPS if way == EXACT else 2**62
        settle_exactly(t.exact_state, x, t.copies, t.exact_distances, lanes, n, unit, cutoff, most)
        for lane in range(lanes):
            listed[lane] = lane
        count = lanes
    for at in range(count):
        lane = listed[at]
        if way <= FAST:
            first, last = kept_ranks(v, lane, n)
        else:
            first, last = ranks_within(t.exact_state, x, lane, n, unit, p.low, p.high)
        pixel = pixels[lane]
        if last < first and way == BRIEF:
            enqueue(x, lane, 0, n, pixel, q)
            continue
        if last < first:
            q.doubtful[q.length[0]] = pixel
            q.length[0] += 1
            continue
        mark(o, x, lane, n, pixel, first, last)
        if 3 <= last - first < n:
            enqueue(x, lane, first, last - first, pixel, q)
        elif first < last:
            values[pixel] = average(x, lane, first, last, unit)


@kernel
def do_queues(
    n: int,
    cutoff: float,
    least: int,
    t: Tile,
    way: int,
    unit: Unit,
    p: Parameters,
    o: Outcome,
    q: Queues,
) -> None:
    """Process queues until none has ``least`` pixels; only complete stacks have a cutoff.

    Smaller sizes come first: a tile adds pixels to these only, so no queue overflows.
    """
    m = 3
    while m <= n:
        if q.length[m] >= least:
            lanes = load_queue(q, m, t)
            do_tile(t, lanes, m, cutoff if m == n else math.inf, way, unit, p, o, q)
            m = 3
        else:
            m += 1


# Strips ----------------------------------------------------------------------------------


@kernel
def winsorize_strip(
    samples: Rows, unit: Unit, p: Parameters, o: Outcome, t: Tile, q: Queues
) -> int:
    """Reject and average a strip of pixels.

    Parameters
    ----------
    samples : array of uint16 or float32
        n rows, of which the first samples are the strip: as many as ``o`` has values.
    o : Outcome
        Its ``lowest`` must be the least and its ``highest`` the largest number on entry.

    Returns
    -------
    int
        Number of pixels whose outliers Winsorization cannot detect, since most samples are equal.
    """
    n, count = len(samples), len(o.values)
    cutoff = p.cutoff if p.cutoff > 0 else math.inf
    hidden = 0
    first = BRIEF if n < LARGE else FAST
    for way in (first, EXACT, ENDLESS):
        # Pixels in doubt are listed again in the place of those that were read.
        pixels = count if way == first else q.length[0]
        q.length[0] = 0
        for start in range(0, pixels, LANES):
            lanes = min(LANES, pixels - start)
            if way == first and lanes == LANES:
                load_run(samples, start, t, n)
            else:
                for lane in range(LANES):
                    at = start + min(lane, lanes - 1)
                    t.pixel[lane] = at if way == first else q.doubtful[at]
                load_pixels(samples, t, n)
            sort_rows(t.x, 0, n)
            if way != first:
                keep_medians(t, n, unit, o)
            do_tile(t, lanes, n, cutoff, way, unit, p, o, q)
            if way == first:
                hidden += count_hidden(t.state, t.x, lanes, n)
            do_queues(n, cutoff, LANES, t, max(way, FAST), unit, p, o, q)
        do_queues(n, cutoff, 1, t, max(way, FAST), unit, p, o, q)
    return hidden


@kernel
def count_rejected(samples: Rows, o: Outcome, by_frame: Integers) -> None:
    """Add the number of each frame's samples outside the kept range of pixels to ``by_frame``."""
    n, count = len(samples), len(o.values)
    for start in range(0, count, COUNTED):
        lowest, highest = o.lowest[start : start + COUNTED], o.highest[start : start + COUNTED]
        for i in range(n):
            row = samples[i, start : start + len(lowest)]
            low = high = np.uint16(0)
            for j in range(len(row)):
                low = np.uint16(low + np.uint16(row[j] < lowest[j]))
                high = np.uint16(high + np.uint16(row[j] > highest[j]))
            by_frame[0, i] += low
            by_frame[1, i] += high
