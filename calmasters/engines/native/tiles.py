"""Winsorized sigma clipping of many pixels side by side: faster, with the same result.

A *tile* (``lanes.py``) is an array of sorted stacks, ranks down, pixels (lanes) across, so that
every step is a loop over lanes that the compiler turns into vector instructions:

1. a sorting network sorts all columns;
2. Sn comes from windows of neighbours in the sorted columns;
3. Huber's steps (``settling.py``) take sums of clipped samples about the median, instead of
   winsorizing copies.

Step 3 rounds differently from ``rejection.py``. Each lane has a bound of the difference. A lane
whose decision depends on less than that bound, or that is unusual, is queued until a tile of such
lanes is full; this tile winsorizes copies with the same operations as ``rejection.py``. Lanes for
which that is not possible are computed by ``rejection.py`` one by one. So the result is the same to
the bit. Pixels that lose samples are queued by their new size until a tile of them is full, and are
then processed in the same way.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np

from calmasters.engines.native.lanes import (
    CENTRE,
    ERROR,
    KEPT,
    KNOWN,
    LANES,
    SCALE,
    SETTLED,
    SIGMA,
    TOTAL,
    Tile,
    offset,
    row_of,
    sort_columns,
)
from calmasters.engines.native.rejection import (
    Integers,
    Parameters,
    Scratch,
    clip_by_sigma,
    median_of,
)
from calmasters.engines.native.settling import estimate_fast, settle_exactly
from calmasters.engines.native.stack import Doubles, Floats, kernel

__all__ = ["QUEUE", "Outcome", "count_rejected", "winsorize_strip"]

#: Capacity of the queue of one size: a full tile, plus the pixels that one more tile can add.
QUEUE: Final = 2 * LANES


class Queues(NamedTuple):
    """Queued pixels by the number of samples left; with all n, the deferred ones."""

    x: Any  # float32: (m, QUEUE) for each size m, one after the other
    pixel: Any  # int64: QUEUE for each size from 0 on
    length: Any  # (n + 1,) int64


class Outcome(NamedTuple):
    """The results of a strip of pixels."""

    values: Any  # (count,) float32
    lowest: Any  # (count,) float32: lowest sample kept
    highest: Any  # (count,) float32: highest sample kept


# Decisions -------------------------------------------------------------------------------


@kernel
def keep_lanes(t: Tile, n: int, p: Parameters) -> None:
    """Mark the lanes in which no sample is rejected."""
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
    """Average each lane, in TOTAL: the pixel's value if no sample is rejected."""
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
    """Return the average of the ranks [first, last) of a lane."""
    total = 0.0
    for rank in range(first, last):
        total += x[rank * LANES + lane]
    return total / (last - first)


@kernel
def mark(o: Outcome, t: Tile, lane: int, n: int, first: int, last: int) -> None:
    """Record that a pixel keeps only the ranks [first, last) of its lane."""
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
    """Compute one lane by the functions of ``rejection.py``."""
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
    """Find the ranks that a lane keeps; (0, 0) if its error bound leaves that undecided."""
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
    """Return the queue of columns of m samples, row by row."""
    start = QUEUE * (m * (m - 1) // 2)
    columns: Floats = q.x[start : start + QUEUE * m]
    return columns


@kernel
def may_wait(t: Tile, lane: int) -> bool:
    """Whether Sn of a lane is exact, so that it can be computed exactly in a tile."""
    return bool(t.lanes[SCALE + lane] <= t.x[lane])


@kernel
def enqueue(t: Tile, lane: int, first: int, last: int, q: Queues) -> None:
    """Queue a lane's ranks [first, last) for a tile of their size."""
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
    """Process a tile of which the first ``lanes`` lanes are pixels."""
    if exactly:
        settle_exactly(t, n, cutoff)
    else:
        estimate_fast(t, n, cutoff)
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
    """Process up to a tile of the queued pixels of m samples."""
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
    """Process the queues that fill a tile.

    Smaller sizes come first: a tile adds pixels to these only, so no queue overflows.
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
    """Load the pixels from ``start`` on into a tile; the last one fills the unused lanes."""
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
        Its ``lowest`` must be minus infinity and its ``highest`` plus infinity on entry.

    Returns
    -------
    int
        Number of pixels whose outliers Winsorization cannot detect, since most samples are equal.
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
    """Add the number of each frame's samples outside the kept range of pixels to ``by_frame``."""
    lowest, highest = o.lowest, o.highest
    for i in range(len(samples)):
        row = samples[i]
        low = high = 0
        for j in range(len(row)):
            low += row[j] < lowest[j]
            high += row[j] > highest[j]
        by_frame[0, i] += low
        by_frame[1, i] += high
