"""The rejection methods and the combination of one pixel, as kernels.

The counterpart of ``reference.py``, equal to the bit, for all methods and all stacks. Kernels
allocate no memory: they work in :class:`Scratch`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from calmasters.engines.native.stack import (
    Doubles,
    Floats,
    kernel,
    mean,
    median,
    standard_deviation,
    winsorized_huber,
)

__all__ = [
    "COMBINATIONS",
    "HIGH",
    "KEPT",
    "LOW",
    "REJECTIONS",
    "Parameters",
    "Scratch",
    "integrate_pixel",
    "integrate_strip",
    "parameters_of",
]

Integers: TypeAlias = NDArray[np.int64]
Fates: TypeAlias = NDArray[np.int8]

KEPT, LOW, HIGH = 0, 1, 2
NONE, MIN_MAX, PERCENTILE, SIGMA, WINSORIZED, AVERAGED, LINEAR, ESD = range(8)
AVERAGE, MEDIAN, MINIMUM, MAXIMUM = range(4)

REJECTIONS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "NoRejection": NONE,
        "MinMax": MIN_MAX,
        "PercentileClip": PERCENTILE,
        "SigmaClip": SIGMA,
        "WinsorizedSigmaClip": WINSORIZED,
        "AveragedSigmaClip": AVERAGED,
        "LinearFit": LINEAR,
        "Rejection_ESD": ESD,
    }
)
COMBINATIONS: Final[Mapping[str, int]] = MappingProxyType(
    {"Average": AVERAGE, "Median": MEDIAN, "Minimum": MINIMUM, "Maximum": MAXIMUM}
)


class Parameters(NamedTuple):
    """The settings of an integration, as kernels take them; limits are rounded to float32.

    ``low`` and ``high`` are those of the method: sigmas, fractions or counts, infinite (0 for
    counts) where a side is not clipped. Samples at ``range_low`` or below, ``range_high`` or
    above are rejected before.
    """

    rejection: int
    combination: int
    low: float
    high: float
    cutoff: float
    fraction: float
    relaxation: float
    range_low: float
    range_high: float


class Scratch(NamedTuple):
    """Workspace for the stack of one pixel; ``scratch_of`` in ``entries.py`` lays it out."""

    order: Any  # (n,) int64: frames by value
    ranks: Any  # (n,) int64: ranks that a method keeps or sorts
    x: Any  # (n,) float32: values in order
    kept: Any  # (n,) float32: survivors in order
    rank_fates: Any  # (n,) int8
    fates: Any  # (n,) int8: by frame
    work: Any  # (n,) float64
    slopes: Any  # (n,) float64


@kernel
def parameters_of(p: Doubles) -> Parameters:
    """Read the parameters from an array of float64."""
    return Parameters(int(p[0]), int(p[1]), p[2], p[3], p[4], p[5], p[6], p[7], p[8])


@kernel
def sort_indices(order: Integers, keys: Any) -> None:
    """Sort indices by the keys they point at, equal keys by index (Shell's method)."""
    gap = len(order) // 2
    while gap > 0:
        for i in range(gap, len(order)):
            index, j = order[i], i
            key = keys[index]
            while j >= gap and (
                keys[order[j - gap]] > key
                or (keys[order[j - gap]] == key and order[j - gap] > index)
            ):
                order[j] = order[j - gap]
                j -= gap
            order[j] = index
        gap //= 2


# Rejection -------------------------------------------------------------------------------


@kernel
def clip_once(
    x: Floats, first: int, last: int, centre: float, sigma: float, p: Parameters
) -> tuple[int, int]:
    """Remove the ranks beyond the limits from both ends of [first, last)."""
    new_first, new_last = first, last
    while new_first < last and (centre - x[new_first]) / sigma > p.low:
        new_first += 1
    while new_last > first and (x[new_last - 1] - centre) / sigma > p.high:
        new_last -= 1
    return new_first, new_last


@kernel
def poisson_gain(x: Floats) -> float:
    """Return the ratio of a stack's sigma to the square root of its median."""
    centre = median(x)
    total = 0.0
    for value in x:
        deviation = value - centre
        total += deviation * deviation / centre
    return math.sqrt(total / max(len(x) - 1, 1))


@kernel
def clip_by_sigma(x: Floats, p: Parameters, cutoff: float, work: Doubles) -> tuple[int, int]:
    """Clip by sigma limits until no more samples are rejected.

    Three methods use this; they differ in how sigma is estimated. Winsorization uses ``cutoff`` in
    the first round.
    """
    first, last, gain = 0, len(x), 0.0
    if p.rejection == AVERAGED:
        if 1 + median(x) == 1:
            return last, last
        gain = poisson_gain(x)
    while last - first >= 3:
        kept = x[first:last]
        if p.rejection == WINSORIZED:
            centre, sigma = winsorized_huber(kept, cutoff, work)
        else:
            centre = median(kept)
            if p.rejection == AVERAGED:
                sigma = gain * math.sqrt(centre)
            else:
                for i in range(len(kept)):
                    work[i] = kept[i]
                sigma = standard_deviation(work[: len(kept)])
        if 1 + sigma == 1:
            break
        before = last - first
        first, last = clip_once(x, first, last, centre, sigma, p)
        if last - first == before:
            break
        cutoff = 0.0
    return first, last


@kernel
def clip_percentiles(x: Floats, p: Parameters) -> tuple[int, int]:
    """Clip samples that differ from the median by more than a fraction of it, once."""
    centre = median(x)
    if len(x) < 2 or 1 + centre == 1:
        return 0, len(x)
    return clip_once(x, 0, len(x), centre, centre, p)


@kernel
def trimmed_mean(x: Floats, p: Parameters, step: int) -> float:
    """Return the centre of an ESD step; ties at the trimming limits are summed, not counted."""
    n = len(x)
    high = max(1, int(p.fraction * n) - step)
    low = max(1, int(p.fraction / p.relaxation * n) - step)
    if high + low >= n - 2:
        return median(x)
    total = 0.0
    for value in x:
        if x[low] <= value <= x[n - high - 1]:
            total += value
    return total / (n - low - high)


@kernel
def deviates(x: Floats, centre: float, relaxation: float) -> tuple[float, float]:
    """Return the studentized deviates of the extreme samples; negative if sigma is 0."""
    n = len(x)
    squares = residue = 0.0
    for value in x:
        deviation = value - centre
        squares += deviation * deviation
        residue += deviation
    variance = (squares - residue * residue / n) / (n - 1)
    if not variance > 0:
        return -1.0, -1.0
    sigma = math.sqrt(variance)
    low, high = x[0] - centre, x[n - 1] - centre
    return (
        -low / (relaxation * sigma) if low < 0 else low / sigma,
        -high / (relaxation * sigma) if high < 0 else high / sigma,
    )


@kernel
def clip_esd(x: Floats, p: Parameters, esd_limits: Doubles) -> tuple[int, int]:
    """Remove the most deviant sample while it is significant; ``esd_limits`` by stack size."""
    n = len(x)
    first, last = 0, n
    for step in range(min(max(int(p.fraction * n), 1), n - 2)):
        kept = x[first:last]
        low, high = deviates(kept, trimmed_mean(kept, p, step), p.relaxation)
        if low < 0 or max(low, high) < esd_limits[last - first]:
            break
        if low >= high:
            first += 1
        else:
            last -= 1
    return first, last


@kernel
def mean_deviation(values: Doubles, intercept: float, slope: float) -> float:
    """Return the mean absolute deviation of values at 0, 1, 2… from a line."""
    total = 0.0
    for j in range(len(values)):
        total += abs(values[j] - (intercept + slope * j))
    return total / len(values)


@kernel
def least_absolute_line(
    values: Doubles, slopes: Doubles, order: Integers
) -> tuple[float, float, float]:
    """Return intercept, slope and mean deviation of the line of least absolute deviations."""
    n = len(values)
    pivot = n // 2
    best_intercept, best_slope, best_deviation = math.nan, math.nan, math.inf
    while True:
        others = 0
        for j in range(n):
            if j != pivot:
                slopes[j] = (values[j] - values[pivot]) / (j - pivot)
                order[others] = j
                others += 1
        sort_indices(order[: n - 1], slopes)
        half = pivot * (pivot + 1) // 2 + (n - 1 - pivot) * (n - pivot) // 2
        middle, weight = -1, 0
        while 2 * weight < half:
            middle += 1
            weight += abs(order[middle] - pivot)
        turn = order[middle]
        slope = slopes[turn]
        intercept = values[pivot] - slope * pivot
        deviation = mean_deviation(values, intercept, slope)
        if not deviation < best_deviation:
            return best_intercept, best_slope, best_deviation
        best_intercept, best_slope, best_deviation = intercept, slope, deviation
        pivot = turn


@kernel
def clip_linear_fit(x: Floats, p: Parameters, s: Scratch) -> None:
    """Clip about a line through the sorted samples; any rank may be rejected."""
    count, fewest = len(x), 5
    for rank in range(count):
        s.kept[rank] = rank
    while count >= fewest:
        fewest = 3
        for j in range(count):
            s.work[j] = x[int(s.kept[j])]
        intercept, slope, deviation = least_absolute_line(s.work[:count], s.slopes, s.ranks)
        sigma = 2 * deviation * math.sqrt(1 + slope * slope)
        left = 0
        for j in range(count):
            rank = s.kept[j]
            residual = s.work[j] - (intercept + slope * j)
            if -residual >= p.low * sigma:
                s.rank_fates[int(rank)] = LOW
            elif residual >= p.high * sigma:
                s.rank_fates[int(rank)] = HIGH
            else:
                s.kept[left] = rank
                left += 1
        if left == count:
            break
        count = left


@kernel
def reject(x: Floats, p: Parameters, esd_limits: Doubles, s: Scratch) -> None:
    """Decide the fate of each rank of a sorted stack, in ``s.rank_fates``."""
    n = len(x)
    first, last = 0, n
    for rank in range(n):
        s.rank_fates[rank] = KEPT
    if p.rejection == LINEAR:
        clip_linear_fit(x, p, s)
        return
    if p.rejection == MIN_MAX:
        first = min(int(p.low), n)
        last = n - min(int(p.high), n - first)
    elif p.rejection == PERCENTILE:
        first, last = clip_percentiles(x, p)
    elif p.rejection == ESD:
        first, last = clip_esd(x, p, esd_limits)
    elif p.rejection != NONE:
        first, last = clip_by_sigma(x, p, p.cutoff, s.work)
    for rank in range(first):
        s.rank_fates[rank] = LOW
    for rank in range(last, n):
        s.rank_fates[rank] = HIGH


# Combination -----------------------------------------------------------------------------


@kernel
def median_of(samples: Floats, s: Scratch) -> float:
    """Return the median of unsorted samples."""
    n = len(samples)
    for i in range(n):
        s.ranks[i] = i
    sort_indices(s.ranks[:n], samples)
    for i in range(n):
        s.x[i] = samples[s.ranks[i]]
    return median(s.x[:n])


@kernel
def combine(kept: Floats, combination: int, s: Scratch) -> float:
    """Combine the survivors of a pixel."""
    if combination == MEDIAN:
        return median_of(kept, s)
    if combination in (MINIMUM, MAXIMUM):
        extreme = kept[0]
        for sample in kept:
            extreme = min(extreme, sample) if combination == MINIMUM else max(extreme, sample)
        return np.float64(extreme)
    for i in range(len(kept)):
        s.work[i] = kept[i]
    return mean(s.work[: len(kept)])


@kernel
def integrate_pixel(
    values: Floats, raws: Floats, p: Parameters, esd_limits: Doubles, fates: Fates, s: Scratch
) -> float:
    """Reject and combine one pixel; store the fate of each frame's sample in ``fates``.

    ``values`` are the samples normalized for rejection, ``raws`` those normalized for the output.
    """
    inside = 0
    for i in range(len(values)):
        fates[i] = LOW if raws[i] <= p.range_low else HIGH if raws[i] >= p.range_high else KEPT
        if fates[i] == KEPT:
            s.order[inside] = i
            inside += 1
    order = s.order[:inside]
    sort_indices(order, values)
    for rank in range(inside):
        s.x[rank] = values[order[rank]]
    if inside >= 2:
        reject(s.x[:inside], p, esd_limits, s)
    else:
        s.rank_fates[0] = KEPT
    count = 0
    for rank in range(inside):
        fates[order[rank]] = s.rank_fates[rank]
        if s.rank_fates[rank] == KEPT:
            s.kept[count] = raws[order[rank]]
            count += 1
    return combine(s.kept[:count], p.combination, s) if count else median_of(raws, s)


@kernel
def hides_outliers(x: Floats) -> bool:
    """Whether more than half of a sorted stack, but not all, has one value, so that Sn is 0."""
    equal = 0
    for value in x:
        equal += value == x[len(x) // 2]
    return len(x) // 2 < equal < len(x)


@kernel
def integrate_strip(
    values: Floats,
    raws: Floats,
    p: Parameters,
    esd_limits: Doubles,
    pixels: Floats,
    rejected: Integers,
    by_frame: Integers,
    s: Scratch,
) -> int:
    """Reject and combine the pixels of a strip one by one.

    Parameters
    ----------
    values, raws : (n, count) arrays of float32
        Samples normalized for rejection and for the output.
    esd_limits : (n + 1,) array of float64
    pixels : (count,) array of float32
        The result.
    rejected : (2, count) array of int64
        Number of samples of each pixel that were rejected as low and as high.
    by_frame : (2, n) array of int64
        The number of rejected samples of each frame is added to it.

    Returns
    -------
    int
        Number of pixels whose outliers Winsorization cannot detect, since most samples are equal.
    """
    hidden = 0
    for j in range(len(pixels)):
        fates = s.fates
        pixels[j] = integrate_pixel(values[:, j], raws[:, j], p, esd_limits, fates, s)
        low = high = 0
        for i in range(len(fates)):
            if fates[i] == LOW:
                low += 1
                by_frame[0, i] += 1
            elif fates[i] == HIGH:
                high += 1
                by_frame[1, i] += 1
        rejected[0, j], rejected[1, j] = low, high
        hidden += hides_outliers(s.x)
    return hidden
