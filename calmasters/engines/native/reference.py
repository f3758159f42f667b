"""The arithmetic of the native engine in plain NumPy: its kernels equal it to the bit.

It follows ImageIntegration 1.6.0 as PixInsight published it; whole images and the calibration of
flats are in :mod:`~calmasters.engines.native.reference_flats`. Samples are float32 in [0, 1].
Statistics of several samples are float64, in strict IEEE arithmetic, summed from left to right.
``np.float32(...)`` marks where PixInsight rounds.

A pixel's *stack* is its sample in each of the ``n`` frames. Rejection sorts the stack and gives
each rank a :class:`Fate`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from calmasters.settings import Integration

__all__ = [
    "COMBINATIONS",
    "REJECTIONS",
    "Estimate",
    "Fate",
    "Float32",
    "Float64",
    "Pixel",
    "Round",
    "averaged_estimate",
    "esd_limit",
    "integrate_pixel",
    "least_absolute_line",
    "mean",
    "median",
    "normalized",
    "scale_estimate_sn",
    "sigma_rounds",
    "standard_deviation",
    "standard_estimate",
    "student_t_quantile",
    "total",
    "winsorized_estimate",
    "winsorized_huber",
]

Float32: TypeAlias = NDArray[np.float32]
Float64: TypeAlias = NDArray[np.float64]
Fates: TypeAlias = NDArray[np.int8]


class Fate(IntEnum):
    """Whether rejection keeps a sample."""

    KEPT = 0
    LOW = 1
    HIGH = 2


#: Sn's correction for small samples, n = 2…9 (Rousseeuw & Croux 1993).
SN_CORRECTION: Final = (0.743, 1.851, 0.954, 1.351, 0.993, 1.198, 1.005, 1.131)

#: Smaller stacks are combined without rejection.
FEWEST_TO_REJECT: Final = 2

#: Makes Sn estimate the standard deviation of a normal distribution.
SN_TO_SIGMA: Final = 1.1926


# Statistics of a stack ------------------------------------------------------------------


def total(values: Float64) -> float:
    """Return the sum from left to right (``np.sum`` adds in pairs, which rounds differently)."""
    return float(np.cumsum(values, dtype=np.float64)[-1])


def mean(values: Float64) -> float:
    """Return the arithmetic mean."""
    return total(values) / len(values)


def median(sorted_values: Float32) -> float:
    """Return the median of sorted samples; two middle samples are averaged in float32."""
    half = len(sorted_values) // 2
    if len(sorted_values) % 2:
        return float(sorted_values[half])
    return float((sorted_values[half - 1] + sorted_values[half]) / np.float32(2))


def standard_deviation(values: Float64) -> float:
    """Return the two-pass standard deviation (n - 1), corrected for the rounding of the mean."""
    n = len(values)
    if n < 2:
        return 0.0
    deviations = values - mean(values)
    residue = total(deviations)
    return math.sqrt((total(deviations * deviations) - residue * residue / n) / (n - 1))


def scale_estimate_sn(values: Float64) -> float:
    """Return Sn of Rousseeuw and Croux: lomed over i of the himed over j of ``|x_i - x_j|``.

    The factor for small samples is applied, :data:`SN_TO_SIGMA` is not.
    """
    n = len(values)
    distances = np.sort(np.abs(values[:, None] - values[None, :]), axis=1)
    inner = np.sort(distances[:, n // 2])
    return sn_correction(n) * float(inner[(n + 1) // 2 - 1])


def sn_correction(n: int) -> float:
    """Return the correction factor of Sn for ``n`` samples."""
    if n < 10:
        return SN_CORRECTION[n - 2]
    return n / (n - 0.9) if n % 2 else 1.0


# Winsorized sigma clipping --------------------------------------------------------------


def winsorized_huber(sorted_values: Float32, cutoff: float) -> tuple[float, float]:
    """Estimate centre and sigma of a sorted stack by repeated Winsorization.

    Samples beyond 1.5 sigma are set to that limit, until sigma changes by less than 0.05 %. With a
    ``cutoff``, samples at ``cutoff`` sigma or beyond are replaced by the centre.
    """
    values = sorted_values.astype(np.float64)
    centre = median(sorted_values)
    sigma = SN_TO_SIGMA * scale_estimate_sn(values)
    steps = 0
    while 1 + sigma != 1:
        limited = np.clip(values, centre - 1.5 * sigma, centre + 1.5 * sigma)
        if cutoff > 0:
            far = (values <= centre - cutoff * sigma) | (values >= centre + cutoff * sigma)
            limited[far] = centre
        values = limited
        before, sigma = sigma, 1.134 * standard_deviation(values)
        centre = mean(values)
        steps += 1
        if steps > 1 and abs(before - sigma) / before < 0.0005:
            break
    return centre, sigma


#: Returns centre and sigma of sorted values in a round of clipping (0, 1…).
Estimate: TypeAlias = Callable[[Float32, int], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Round:
    """One round of clipping: centre and sigma, and the ranks [first, last) that survive it."""

    centre: float
    sigma: float
    first: int
    last: int


def sigma_rounds(
    sorted_values: Float32, settings: Integration, estimate: Estimate
) -> Iterator[Round]:
    """Reject values beyond sigma limits and estimate again, until no more are rejected.

    It also ends with fewer than 3 values, or with a sigma that is negligible compared with 1.
    """
    low, high = _float32(settings.sigmaLow), _float32(settings.sigmaHigh)
    first, last, rounds = 0, len(sorted_values), 0
    while last - first >= 3:
        values = sorted_values[first:last]
        centre, sigma = estimate(values, rounds)
        below = above = 0
        if 1 + sigma != 1:
            deviations = (values.astype(np.float64) - centre) / sigma
            below = _count(-deviations > low) if settings.clipLow else 0
            above = _count(deviations > high) if settings.clipHigh else 0
        first, last, rounds = first + below, last - above, rounds + 1
        yield Round(centre, sigma, first, last)
        if below == 0 and above == 0:
            return


def clip_by_sigma(sorted_values: Float32, settings: Integration, estimate: Estimate) -> Fates:
    """Reject by :func:`sigma_rounds`."""
    n, first, last = len(sorted_values), 0, len(sorted_values)
    for clipped in sigma_rounds(sorted_values, settings, estimate):
        first, last = clipped.first, clipped.last
    return _keep(n, first, last)


def winsorized_estimate(settings: Integration) -> Estimate:
    """Return the estimate of Winsorized mean and sigma, with the cutoff in the first round."""
    cutoff = _float32(settings.winsorizationCutoff)
    return lambda values, rounds: winsorized_huber(values, 0.0 if rounds else cutoff)


def winsorized_sigma_clip(sorted_values: Float32, settings: Integration) -> Fates:
    """Clip about the Winsorized mean, by the Winsorized sigma."""
    return clip_by_sigma(sorted_values, settings, winsorized_estimate(settings))


# The other rejection methods ------------------------------------------------------------


def no_rejection(sorted_values: Float32, _: Integration) -> Fates:
    """Keep all samples."""
    return _keep(len(sorted_values), 0, len(sorted_values))


def min_max(sorted_values: Float32, settings: Integration) -> Fates:
    """Drop a fixed number of the lowest and of the highest samples, at most all."""
    n = len(sorted_values)
    low = min(settings.minMaxLow, n) if settings.clipLow else 0
    high = min(settings.minMaxHigh, n - low) if settings.clipHigh else 0
    return _keep(n, low, n - high)


def percentile_clip(sorted_values: Float32, settings: Integration) -> Fates:
    """Drop samples that differ from the median by more than a fraction of it, once."""
    n, centre = len(sorted_values), median(sorted_values)
    if n < 2 or 1 + centre == 1:
        return _keep(n, 0, n)
    deviations = (sorted_values.astype(np.float64) - centre) / centre
    below = _count(-deviations > _float32(settings.pcClipLow)) if settings.clipLow else 0
    above = _count(deviations > _float32(settings.pcClipHigh)) if settings.clipHigh else 0
    return _keep(n, below, n - above)


def standard_estimate(values: Float32, _: int) -> tuple[float, float]:
    """Return median and standard deviation."""
    return median(values), standard_deviation(values.astype(np.float64))


def sigma_clip(sorted_values: Float32, settings: Integration) -> Fates:
    """Clip about the median, by the standard deviation."""
    return clip_by_sigma(sorted_values, settings, standard_estimate)


def averaged_estimate(sorted_values: Float32) -> Estimate:
    """Return the estimate of the median, and of a sigma proportional to its square root.

    Their ratio, the gain of a Poisson process, is estimated once from all samples.
    """
    centre = median(sorted_values)
    deviations = sorted_values.astype(np.float64) - centre
    squares = total(deviations * deviations / centre)
    gain = math.sqrt(squares / max(len(sorted_values) - 1, 1))
    return lambda values, _: (median(values), gain * math.sqrt(median(values)))


def averaged_sigma_clip(sorted_values: Float32, settings: Integration) -> Fates:
    """Clip by averaged sigma; with a median negligible compared with 1, reject all samples."""
    n = len(sorted_values)
    if 1 + median(sorted_values) == 1:
        return _keep(n, n, n)
    return clip_by_sigma(sorted_values, settings, averaged_estimate(sorted_values))


def linear_fit_clip(sorted_values: Float32, settings: Integration) -> Fates:
    """Clip about the line of least absolute deviations through the sorted samples.

    Sigma is twice the mean absolute deviation, times ``sqrt(1 + slope^2)``; samples at the limit
    are rejected too. The first line needs 5 samples, later ones 3.

    Notes
    -----
    PixInsight's solver of the line is not published; :func:`least_absolute_line` replaces it.
    """
    low, high = _float32(settings.linearFitLow), _float32(settings.linearFitHigh)
    fates = _keep(len(sorted_values), 0, len(sorted_values))
    ranks, fewest = np.arange(len(sorted_values)), 5
    while len(ranks) >= fewest:
        fewest = 3
        values = sorted_values[ranks].astype(np.float64)
        intercept, slope, deviation = least_absolute_line(values)
        sigma = 2 * deviation * math.sqrt(1 + slope * slope)
        residuals = values - (intercept + slope * np.arange(len(values)))
        fates[ranks] = np.where(settings.clipHigh & (residuals >= high * sigma), Fate.HIGH, 0)
        fates[ranks[settings.clipLow & (-residuals >= low * sigma)]] = Fate.LOW
        if not fates[ranks].any():
            break
        ranks = ranks[fates[ranks] == Fate.KEPT]
    return fates


def least_absolute_line(values: Float64) -> tuple[float, float, float]:
    """Fit a line to values at 0, 1, 2… by least absolute deviations.

    Returns
    -------
    intercept, slope, deviation : float
        ``deviation`` is the mean absolute deviation of the values from the line.

    Notes
    -----
    A best line passes through two of the points. From a line through the middle point, the
    weighted median of the slopes to all others gives the best line through it and its second
    point; that point is the next pivot, as long as the fit improves (Wesolowsky 1981).
    """
    n = len(values)
    pivot = n // 2
    best = (math.nan, math.nan, math.inf)
    while True:
        others = np.delete(np.arange(n), pivot)
        slopes = (values[others] - values[pivot]) / (others - pivot)
        order = np.argsort(slopes, kind="stable")
        weights = np.cumsum(np.abs(others - pivot)[order])
        middle = order[np.searchsorted(2 * weights, weights[-1])]
        slope = float(slopes[middle])
        intercept = float(values[pivot] - slope * pivot)
        deviation = mean(np.abs(values - (intercept + slope * np.arange(n))))
        if not deviation < best[2]:
            return best
        best, pivot = (intercept, slope, deviation), int(others[middle])


def extreme_studentized_deviates(sorted_values: Float32, settings: Integration) -> Fates:
    """Remove the most deviant sample repeatedly, while it is significant (Rosner 1983).

    PixInsight's variant: deviations are measured from a trimmed mean, and the first step that
    is not significant ends it (Rosner's rule keeps the last significant one).
    """
    n = len(sorted_values)
    relaxation = _float32(settings.esdLowRelaxation)
    fraction = _float32(settings.esdOutliersFraction)
    first, last = 0, n
    for step in range(min(max(int(fraction * n), 1), n - 2)):
        values = sorted_values[first:last]
        centre = _trimmed_mean(values, fraction, relaxation, step)
        deviations = values.astype(np.float64) - centre
        residue = total(deviations)
        variance = (total(deviations * deviations) - residue * residue / len(values)) / (
            len(values) - 1
        )
        if not variance > 0:
            break
        sigma = math.sqrt(variance)
        low, high = (
            -float(d) / (relaxation * sigma) if d < 0 else float(d) / sigma
            for d in (deviations[0], deviations[-1])
        )
        if max(low, high) < esd_limit(last - first, _float32(settings.esdAlpha)):
            break
        first, last = (first + 1, last) if low >= high else (first, last - 1)
    return _keep(n, first, last)


def _trimmed_mean(values: Float32, fraction: float, relaxation: float, step: int) -> float:
    n = len(values)
    high = max(1, int(fraction * n) - step)
    low = max(1, int(fraction / relaxation * n) - step)
    if high + low >= n - 2:
        return median(values)
    inside = (values >= values[low]) & (values <= values[n - high - 1])
    # As in PixInsight: ties with the outermost order statistics are summed, but not counted.
    return total(values[inside].astype(np.float64)) / (n - low - high)


@cache
def esd_limit(n: int, alpha: float) -> float:
    """Return the critical value of the most extreme of ``n`` studentized deviates, ``n`` >= 3."""
    t = student_t_quantile(alpha / (2 * n), n - 2)
    return t * (n - 1) / math.sqrt((n - 2 + t * t) * n)


def student_t_quantile(probability: float, freedom: int) -> float:
    """Return the value that Student's t exceeds with the given probability.

    Bisection of the finite series for integer degrees of freedom (Abramowitz & Stegun 26.7.3-4)
    in the angle ``atan(t / sqrt(freedom))``.
    """
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        angle = (low + high) / 2
        low, high = (angle, high) if _upper_tail(angle, freedom) > probability else (low, angle)
    return math.sqrt(freedom) * math.tan(low)


def _upper_tail(angle: float, freedom: int) -> float:
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term, series = cosine if odd else 1.0, 0.0
    for j in range(odd, freedom - 1, 2):
        series += term
        term *= cosine * cosine * (j + 1) / (j + 2)
    central = (angle + sine * series) * 2 / math.pi if odd else sine * series
    return (1 - central) / 2


REJECTIONS: Final[Mapping[str, Callable[[Float32, Integration], Fates]]] = MappingProxyType(
    {
        "NoRejection": no_rejection,
        "MinMax": min_max,
        "PercentileClip": percentile_clip,
        "SigmaClip": sigma_clip,
        "WinsorizedSigmaClip": winsorized_sigma_clip,
        "AveragedSigmaClip": averaged_sigma_clip,
        "LinearFit": linear_fit_clip,
        "Rejection_ESD": extreme_studentized_deviates,
    }
)


def _keep(n: int, first: int, last: int) -> Fates:
    ranks = np.arange(n)
    return np.where(ranks < first, Fate.LOW, np.where(ranks >= last, Fate.HIGH, 0)).astype(np.int8)


def _count(mask: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(mask))


def _float32(parameter: float) -> float:
    """Round a parameter to float32, as PixInsight stores it."""
    return float(np.float32(parameter))


# Combination ----------------------------------------------------------------------------

COMBINATIONS: Final[Mapping[str, Callable[[Float32], float]]] = MappingProxyType(
    {
        "Average": lambda kept: mean(kept.astype(np.float64)),
        "Median": lambda kept: median(np.sort(kept)),
        "Minimum": lambda kept: float(kept.min()),
        "Maximum": lambda kept: float(kept.max()),
    }
)


@dataclass(frozen=True, slots=True)
class Pixel:
    """A combined pixel: its value, and the fate of the sample of each frame."""

    value: np.float32
    fates: Fates


def integrate_pixel(values: Float32, raws: Float32, settings: Integration) -> Pixel:
    """Combine one pixel.

    Parameters
    ----------
    values : (n,) array of float32
        Samples normalized for rejection, in the order of the frames.
    raws : (n,) array of float32
        The same samples normalized for the output.

    Notes
    -----
    Survivors are combined in the order of their values (equal ones by frame). If there are none,
    the value is the median of all ``raws``.
    """
    fates = np.zeros(len(values), np.int8)
    if settings.rangeClipLow:
        fates[raws <= np.float32(settings.rangeLow)] = Fate.LOW
    if settings.rangeClipHigh:
        fates[raws >= np.float32(settings.rangeHigh)] = Fate.HIGH
    inside = np.flatnonzero(fates == Fate.KEPT)
    order = inside[np.argsort(values[inside], kind="stable")]
    if len(order) >= FEWEST_TO_REJECT:
        fates[order] = REJECTIONS[settings.rejection](values[order], settings)
    kept = raws[order[fates[order] == Fate.KEPT]]
    value = COMBINATIONS[settings.combination](kept) if len(kept) else median(np.sort(raws))
    return Pixel(np.float32(value), fates)


def normalized(frame: Float32, reference: float, location: float, method: str) -> Float32:
    """Normalize a frame of level ``location`` to the level of the reference frame.

    The product or sum is rounded to float32. ``EqualizeFluxes`` and ``Multiplicative`` scale,
    ``Additive`` shifts all samples but those of 0; other methods do not change the frame.
    """
    if method in {"EqualizeFluxes", "Multiplicative"}:
        return (frame * np.float64(reference / location)).astype(np.float32)
    if method == "Additive":
        shifted = (frame + np.float64(reference - location)).astype(np.float32)
        return np.where(frame != 0, shifted, np.float32(0))
    return frame
