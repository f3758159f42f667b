"""Huber's steps in float32, with a bound of their difference from the exact steps.

The bound is derived in ``docs/fast-rejection.md``; the names here are those of that page.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from calmasters.engines.native.scale import scale_rows
from calmasters.engines.native.sorting import Rows, Unit, offset, real
from calmasters.engines.native.stack import (
    HUBER_CORRECTION,
    HUBER_LIMIT,
    HUBER_TOLERANCE,
    SN_TO_SIGMA,
    inlined,
    sn_correction,
)
from calmasters.engines.native.workspace import LANES

__all__ = [
    "KEPT",
    "STATE",
    "begin",
    "count_hidden",
    "decide_lanes",
    "kept_ranks",
    "settle_briefly",
    "settle_fast",
]

# The rows of a tile's state. MIDDLE is the median; all others that are samples are relative to it.
# LOWER and UPPER are Huber's limits of all steps so far, BOUND is q. The rejection limits at which
# the exact steps may end are in [LOW_LEAST, LOW_MOST] and [HIGH_LEAST, HIGH_MOST].
MIDDLE, SIGMA, CENTRE, LOWER, UPPER, BOUND, TOTAL, SQUARES = (LANES * row for row in range(8))
COUNT, INNER_TOTAL, INNER_SQUARES, STATE = (LANES * row for row in range(8, 12))
LOW_LEAST, LOW_MOST, HIGH_LEAST, HIGH_MOST = (LANES * row for row in range(12, 16))
# An enclosure uses the same rows for the narrowest limits, and for the sums with one narrow limit.
NARROW_LOWER, NARROW_UPPER, LEAST_TOTAL, LARGEST_TOTAL = (LANES * row for row in range(12, 16))
# So do the numbers of samples that a lane rejects, after the last sums.
LOWS, HIGHS = TOTAL, SQUARES

#: Of a lane's row STATE. In doubt, its pixel has to be computed exactly.
PENDING, SETTLED, DOUBT, KEPT = np.float32(0), np.float32(1), np.float32(2), np.float32(3)

#: Steps before the enclosure of all further ones. Lanes without an enclosure take more steps; they
#: are in doubt if they have not settled after MOST_STEPS.
BRIEF_STEPS: Final = 2
MOST_STEPS: Final = 16

#: By how much sigma is lower in an enclosure; the centre is on either side by half of that.
ENCLOSED: Final = np.float32(0.045)

#: One of this many samples is outside of the inner ranks on each side. Huber's limits, 1.5 sigma,
#: clip almost nothing inside.
OUTER: Final = 5

#: Lanes with a smaller sigma are in doubt: the exact steps may end where 1 + sigma is 1.
SMALLEST_SIGMA: Final = np.float32(1e-12)

#: The unit roundoff of float32.
U: Final = 2.0**-24

_ZERO, _HALF, _ONE = np.float32(0), np.float32(0.5), np.float32(1)
_LIMIT, _CORRECTION = np.float32(HUBER_LIMIT), np.float32(HUBER_CORRECTION)
_TOLERANCE, _INFINITE = np.float32(HUBER_TOLERANCE), np.float32(math.inf)
_TWO, _FOUR, _MOST_SHARE = np.float32(2), np.float32(4), np.float32(256)
_STOP_MARGIN: Final = np.float32(1.5)


@inlined
def centre_rows(v: Rows, x: Rows, d: Rows, n: int, unit: Unit) -> None:
    """Compute the median, and the deviations of all samples from it."""
    lower, upper = offset((n - 1) // 2), offset(n // 2)
    for lane in range(LANES):
        # With an odd number both are the middle sample, and so is their mean.
        v[MIDDLE + lane] = _HALF * (real(x[lower + lane], unit) + real(x[upper + lane], unit))
    for rank in range(n):
        at = offset(rank)
        for lane in range(LANES):
            d[at + lane] = real(x[at + lane], unit) - v[MIDDLE + lane]


@inlined
def start_lanes(v: Rows, x: Rows, scales: Rows, scale: int, n: int, unit: Unit) -> None:
    """Start with Sn, which is in row ``scale`` of ``scales``, and its bound."""
    at, top = offset(scale), offset(n - 1)
    factor = np.float32(SN_TO_SIGMA * sn_correction(n))
    grain = np.float32(3.6 * sn_correction(n) * unit.grain + 2.0**-31)
    rounding = np.float32(16 * U)
    for lane in range(LANES):
        sigma = factor * (np.float32(scales[at + lane]) * (unit.coarse + unit.fine))
        v[SIGMA + lane] = sigma
        v[BOUND + lane] = grain * real(x[top + lane], unit) + rounding * sigma
        v[STATE + lane] = KEPT if sigma == _ZERO else PENDING
    for lane in range(LANES):
        v[CENTRE + lane] = _ZERO
        v[LOWER + lane] = -_INFINITE
        v[UPPER + lane] = _INFINITE
        v[LOW_LEAST + lane] = _INFINITE
        v[LOW_MOST + lane] = -_INFINITE
        v[HIGH_LEAST + lane] = _INFINITE
        v[HIGH_MOST + lane] = -_INFINITE


@inlined
def reaches_cutoff(v: Rows, d: Rows, rank: int, n: int, cutoff: np.float32) -> bool:
    """Whether a rank, counted from either end, may be at the cutoff in any lane."""
    low, high = offset(rank), offset(n - 1 - rank)
    found = False
    for lane in range(LANES):
        reach = cutoff * (v[SIGMA + lane] - v[BOUND + lane])
        far = (d[low + lane] <= -reach) | (d[high + lane] >= reach)
        found |= far & (v[STATE + lane] == PENDING)
    return found


@inlined
def replace_rank(v: Rows, d: Rows, rank: int, cutoff: np.float32, is_outer: bool) -> None:
    """Replace the samples of a rank beyond the cutoff by the median, unless that is in doubt."""
    at = offset(rank)
    for lane in range(LANES):
        value, sigma, bound = abs(d[at + lane]), v[SIGMA + lane], v[BOUND + lane]
        may, must = value >= cutoff * (sigma - bound), value > cutoff * (sigma + bound)
        doubt = may & (v[STATE + lane] == PENDING) & (not (must & is_outer))
        v[STATE + lane] = DOUBT if doubt else v[STATE + lane]
        d[at + lane] = _ZERO if may else d[at + lane]


@inlined
def replace_far(v: Rows, d: Rows, n: int, cutoff: np.float32) -> None:
    """Replace the samples beyond the cutoff by the median.

    Lanes in which they are not only outer ranks are in doubt.
    """
    outer = n // OUTER
    for rank in range(outer + 1):
        if not reaches_cutoff(v, d, rank, n, cutoff):
            break
        replace_rank(v, d, rank, cutoff, rank < outer)
        replace_rank(v, d, n - 1 - rank, cutoff, rank < outer)


@inlined
def clip_lanes(v: Rows) -> None:
    """Narrow Huber's limits to 1.5 sigma about the centre.

    Clipping to the old limits and then to the new ones equals clipping once to the old limits after
    these are clipped to the new ones.
    """
    for lane in range(LANES):
        low = v[CENTRE + lane] - _LIMIT * v[SIGMA + lane]
        high = v[CENTRE + lane] + _LIMIT * v[SIGMA + lane]
        lower, upper = v[LOWER + lane], v[UPPER + lane]
        lower = lower if lower > low else low
        upper = upper if upper < high else high
        v[LOWER + lane] = lower if lower < high else high
        v[UPPER + lane] = upper if upper > low else low


@inlined
def add_pair(v: Rows, d: Rows, rank: int, n: int) -> None:
    """Add a rank of each half, clipped, and count the lanes' samples that may be clipped.

    The lower half is not above the median, which is inside the limits, nor the upper half below it:
    one limit is enough for each.
    """
    low, high = offset(rank), offset(n - 1 - rank)
    for lane in range(LANES):
        below, above, bound = d[low + lane], d[high + lane], v[BOUND + lane]
        lower, upper = v[LOWER + lane], v[UPPER + lane]
        clips = (_ONE if below < lower + bound else _ZERO) + (
            _ONE if above > upper - bound else _ZERO
        )
        below = below if below > lower else lower
        above = above if above < upper else upper
        v[TOTAL + lane] += below + above
        v[SQUARES + lane] += below * below + above * above
        v[COUNT + lane] += clips


@inlined
def clips_inner(v: Rows, d: Rows, n: int) -> bool:
    """Whether an inner rank may be clipped in any lane."""
    low, high = offset(n // OUTER), offset(n - 1 - n // OUTER)
    found = False
    for lane in range(LANES):
        below = d[low + lane] < v[LOWER + lane] + v[BOUND + lane]
        above = d[high + lane] > v[UPPER + lane] - v[BOUND + lane]
        found |= (below | above) & (v[STATE + lane] == PENDING)
    return found


@inlined
def sum_lanes(v: Rows, d: Rows, n: int, is_first: bool) -> None:
    """Sum the clipped deviations and their squares; the inner ranks once, while none is clipped."""
    outer, half = n // OUTER, n // 2
    if is_first:
        for lane in range(LANES):
            v[TOTAL + lane] = v[SQUARES + lane] = _ZERO
        for lane in range(LANES):
            v[COUNT + lane] = _ZERO
        for rank in range(outer, half):
            add_pair(v, d, rank, n)
        for lane in range(LANES):
            v[INNER_TOTAL + lane] = v[TOTAL + lane]
            v[INNER_SQUARES + lane] = v[SQUARES + lane]
    is_clipped = clips_inner(v, d, n)
    for lane in range(LANES):
        v[TOTAL + lane] = _ZERO if is_clipped else v[INNER_TOTAL + lane]
        v[SQUARES + lane] = _ZERO if is_clipped else v[INNER_SQUARES + lane]
        v[COUNT + lane] = _ZERO
    for rank in range(0, half if is_clipped else outer):
        add_pair(v, d, rank, n)


@inlined
def widen(
    v: Rows, least: int, most: int, limit: np.float32, slack: np.float32, stops: bool
) -> None:
    """Widen the interval of possible limits where the exact steps may stop."""
    low, high = limit - slack, limit + slack
    v[least] = low if stops & (low < v[least]) else v[least]
    v[most] = high if stops & (high > v[most]) else v[most]


@inlined
def step_lanes(
    v: Rows, n: int, is_first: bool, cutoff: np.float32, sigmas_low: float, sigmas_high: float
) -> bool:
    """Set the new centre, sigma and bound; return whether any lane needs another step."""
    share, share1 = np.float32(1 / n), np.float32(1 / (n - 1))
    wide = np.float32(1.98 / (n - 1))
    rounding = np.float32((1.6 * n + 40) * U)
    # An infinite limit, of a side that is not clipped, would have an undefined slack.
    low, high = np.float32(min(sigmas_low, 1e30)), np.float32(min(sigmas_high, 1e30))
    low_slack = np.float32(max(1.0, min(sigmas_low, 1e30) / 1.5))
    high_slack = np.float32(max(1.0, min(sigmas_high, 1e30) / 1.5))
    going = False
    for lane in range(LANES):
        total, squares, before = v[TOTAL + lane], v[SQUARES + lane], v[SIGMA + lane]
        lower, upper, q = v[LOWER + lane], v[UPPER + lane], v[BOUND + lane]
        centre = total * share
        square = total * centre
        sound = (lower + q <= _ZERO) & (upper - q >= _ZERO) & (square * _FOUR <= squares)
        variance = (squares - square) * share1
        sigma = _CORRECTION * math.sqrt(variance if variance > _ZERO else _ZERO)
        width = upper - centre if upper - centre > centre - lower else centre - lower
        next_q = v[COUNT + lane] * (share + wide * width / sigma) * q + rounding * sigma
        q = next_q if next_q > q else q
        sound &= (sigma > _MOST_SHARE * q) & (sigma > SMALLEST_SIGMA)
        sound &= width < cutoff * (sigma - q) - _TWO * q
        change = abs(before - sigma) - _TOLERANCE * before
        may_stop = (change < _STOP_MARGIN * q) & (not is_first)
        must_stop = (change < -_STOP_MARGIN * q) & (not is_first)
        is_pending = v[STATE + lane] == PENDING
        stops = is_pending & may_stop
        widen(v, LOW_LEAST + lane, LOW_MOST + lane, centre - low * sigma, low_slack * q, stops)
        widen(v, HIGH_LEAST + lane, HIGH_MOST + lane, centre + high * sigma, high_slack * q, stops)
        state = SETTLED if must_stop else PENDING
        state = state if sound else DOUBT
        v[STATE + lane] = state if is_pending else v[STATE + lane]
        v[CENTRE + lane] = centre if is_pending else v[CENTRE + lane]
        v[SIGMA + lane] = sigma if is_pending & sound else before
        v[BOUND + lane] = q if is_pending else v[BOUND + lane]
        going |= is_pending & (state == PENDING)
    return going


@inlined
def narrow_lanes(v: Rows) -> None:
    """Set the narrowest limits of further steps.

    They are those of the lowest sigma with the highest centre, and with the lowest.
    """
    for lane in range(LANES):
        sigma, centre = v[SIGMA + lane], v[CENTRE + lane]
        reach = (_LIMIT * (_ONE - ENCLOSED) - _HALF * ENCLOSED) * sigma
        lower, upper = centre - reach, centre + reach
        v[NARROW_LOWER + lane] = lower if lower > v[LOWER + lane] else v[LOWER + lane]
        v[NARROW_UPPER + lane] = upper if upper < v[UPPER + lane] else v[UPPER + lane]
        v[TOTAL + lane] = v[SQUARES + lane] = _ZERO
    for lane in range(LANES):
        v[LEAST_TOTAL + lane] = v[LARGEST_TOTAL + lane] = _ZERO


@inlined
def add_narrow_pair(v: Rows, d: Rows, rank: int, n: int) -> None:
    """Add a rank of each half, clipped to the narrowest limits, and to one of those so far."""
    low, high = offset(rank), offset(n - 1 - rank)
    for lane in range(LANES):
        below, above = d[low + lane], d[high + lane]
        lower, upper = v[LOWER + lane], v[UPPER + lane]
        narrow_lower, narrow_upper = v[NARROW_LOWER + lane], v[NARROW_UPPER + lane]
        widest_below = below if below > lower else lower
        widest_above = above if above < upper else upper
        below = below if below > narrow_lower else narrow_lower
        above = above if above < narrow_upper else narrow_upper
        v[TOTAL + lane] += below + above
        v[SQUARES + lane] += below * below + above * above
        v[LEAST_TOTAL + lane] += widest_below + above
        v[LARGEST_TOTAL + lane] += below + widest_above


@inlined
def enclose_lanes(
    v: Rows, d: Rows, n: int, cutoff: np.float32, sigmas_low: float, sigmas_high: float
) -> None:
    """Settle the lanes in which centre and sigma cannot leave a small interval any more."""
    narrow_lanes(v)
    for rank in range(n // 2):
        add_narrow_pair(v, d, rank, n)
    one_of, one_of_rest = np.float32(1 / n), np.float32(1 / (n - 1))
    # An infinite limit, of a side that is not clipped, is not less than any number.
    low, high = np.float32(min(sigmas_low, 1e30)), np.float32(min(sigmas_high, 1e30))
    for lane in range(LANES):
        sigma, centre, margin = v[SIGMA + lane], v[CENTRE + lane], _FOUR * v[BOUND + lane]
        lower, upper = v[NARROW_LOWER + lane], v[NARROW_UPPER + lane]
        total, squares = v[TOTAL + lane], v[SQUARES + lane]
        square = total * total * one_of
        variance = (squares - square) * one_of_rest
        least_next = _CORRECTION * math.sqrt(variance if variance > _ZERO else _ZERO)
        least, largest = sigma * (_ONE - ENCLOSED), sigma + margin
        slack = _HALF * ENCLOSED * sigma
        leftmost, rightmost = centre - slack, centre + slack
        holds = (least_next > least + margin) & (square * _FOUR <= squares)
        holds &= v[LEAST_TOTAL + lane] * one_of > leftmost + margin
        holds &= v[LARGEST_TOTAL + lane] * one_of < rightmost - margin
        holds &= (lower + margin <= _ZERO) & (upper - margin >= _ZERO)
        reach = cutoff * least - margin
        holds &= (v[UPPER + lane] - leftmost < reach) & (rightmost - v[LOWER + lane] < reach)
        v[LOW_LEAST + lane] = leftmost - low * largest - margin
        v[LOW_MOST + lane] = rightmost - low * least + margin
        v[HIGH_LEAST + lane] = leftmost + high * least - margin
        v[HIGH_MOST + lane] = rightmost + high * largest + margin
        state = v[STATE + lane]
        is_open = (state == PENDING) | (state == SETTLED)
        state_now = SETTLED if holds else DOUBT
        v[STATE + lane] = state_now if is_open else state


@inlined
def begin(v: Rows, x: Rows, d: Rows, distances: Rows, n: int, unit: Unit, cutoff: float) -> None:
    """Compute the deviations of the samples, and where the steps begin."""
    scale = scale_rows(x, distances, n)
    centre_rows(v, x, d, n, unit)
    start_lanes(v, x, distances, scale, n, unit)
    if cutoff < math.inf:
        replace_far(v, d, n, np.float32(cutoff))


@inlined
def settle_fast(v: Rows, d: Rows, n: int, cutoff: float, low: float, high: float) -> None:
    """Estimate the rejection limits of each lane; a lane that is not SETTLED or KEPT is in doubt.

    ``cutoff`` is infinite where there is none; ``low`` and ``high`` are limits in sigmas.
    """
    for step in range(MOST_STEPS):
        clip_lanes(v)
        sum_lanes(v, d, n, step == 0)
        if not step_lanes(v, n, step == 0, np.float32(cutoff), low, high):
            break


@inlined
def settle_briefly(v: Rows, d: Rows, n: int, cutoff: float, low: float, high: float) -> None:
    """Do the same by an enclosure, which leaves more lanes in doubt."""
    for step in range(BRIEF_STEPS):
        clip_lanes(v)
        sum_lanes(v, d, n, step == 0)
        step_lanes(v, n, step == 0, np.float32(cutoff), low, high)
    enclose_lanes(v, d, n, np.float32(cutoff), low, high)


# Decisions -----------------------------------------------------------------------------


@inlined
def count_rank(v: Rows, x: Rows, rank: int, n: int, unit: Unit) -> bool:
    """Count the sample of a rank, from either end, in lanes that reject it; return if any may."""
    low, high = offset(rank), offset(n - 1 - rank)
    found = False
    for lane in range(LANES):
        state, middle = v[STATE + lane], v[MIDDLE + lane]
        below, above = real(x[low + lane], unit) - middle, real(x[high + lane], unit) - middle
        may_low = (state == SETTLED) & (below <= v[LOW_MOST + lane])
        may_high = (state == SETTLED) & (above >= v[HIGH_LEAST + lane])
        must_low, must_high = below < v[LOW_LEAST + lane], above > v[HIGH_MOST + lane]
        v[LOWS + lane] += _ONE if may_low & must_low else _ZERO
        v[HIGHS + lane] += _ONE if may_high & must_high else _ZERO
        doubt = (may_low & (not must_low)) | (may_high & (not must_high))
        v[STATE + lane] = DOUBT if doubt else state
        found |= may_low | may_high
    return found


@inlined
def decide_lanes(v: Rows, x: Rows, n: int, unit: Unit) -> None:
    """Count the samples that each lane rejects; lanes without any are KEPT."""
    for lane in range(LANES):
        v[LOWS + lane] = v[HIGHS + lane] = _ZERO
    for rank in range(n):
        if not count_rank(v, x, rank, n, unit):
            break
    for lane in range(LANES):
        state = v[STATE + lane]
        is_kept = (state == SETTLED) & (v[LOWS + lane] + v[HIGHS + lane] == _ZERO)
        v[STATE + lane] = KEPT if is_kept else state


@inlined
def kept_ranks(v: Rows, lane: int, n: int) -> tuple[int, int]:
    """Return the ranks [first, last) that a lane keeps; (1, 0) if that is in doubt."""
    first, last = int(v[LOWS + lane]), n - int(v[HIGHS + lane])
    if v[STATE + lane] != SETTLED or first >= last:
        return 1, 0
    return first, last


@inlined
def count_hidden(v: Rows, x: Rows, lanes: int, n: int) -> int:
    """Count the lanes in which Sn is 0 but not all samples are equal."""
    top, hidden = offset(n - 1), 0
    for lane in range(lanes):
        hidden += (v[SIGMA + lane] == 0) & (x[lane] < x[top + lane])
    return hidden
