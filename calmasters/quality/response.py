"""White and linearity: the highest level that a camera records, and how straight it gets there."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calmasters.quality.estimate import Estimate
from calmasters.quality.sample import Float32

__all__ = ["linearity", "pile_up", "white"]

#: Largest number of samples at the highest level that can be chance, for small frames.
_CHANCE_SAMPLES: Final = 16
#: White, as a share of the knee of the photon transfer curve, and its relative uncertainty:
#: variance falls a little later than the level.
_OF_KNEE, _KNEE_ERROR = 0.95, 0.05
#: Levels per second that are shared by most flats differ by this share at most.
_SHARED: Final = 0.04
_LEAST_SCATTER: Final = 0.005
#: A flat that saturates lies this share below the others, or 4 sigmas.
_MISSING: Final = 0.05
#: Where the first of them is this many times brighter than the others, white is not known.
_FARTHEST: Final = 1.3
#: Least ratio of the longest to the shortest exposure.
_SPAN_FOR_WHITE, _SPAN_FOR_LINEARITY = 3.0, 2.0
_LARGEST_SCATTER: Final = 0.01

Float64 = NDArray[np.float64]


def pile_up(frames: Float32) -> float | None:
    """Return the highest level where many samples have just that value; None otherwise."""
    highest = float(frames.max(initial=0.0))
    count = int(np.count_nonzero(frames == highest))
    return highest if highest > 0 and count > max(_CHANCE_SAMPLES, 1e-4 * frames.size) else None


def white(
    levels: Sequence[float] | Float64,
    exposures: Sequence[float] | None,
    highest: float,
    piled: float | None,
    knee: float | None,
    header: float | None,
) -> Estimate:
    """Find the level, ADU with the offset, from which the camera no longer follows the light.

    Parameters
    ----------
    levels : sequence of float
        Of each flat, ADU with the offset.
    exposures : sequence of float or None
        Seconds; None where unknown.
    highest : float
        The brightest sample.
    piled, knee : float or None
        As :func:`pile_up` and the photon transfer curve give them.
    header : float or None
        SATURATE.

    Returns
    -------
    Estimate
        The lowest that is known.
    """
    known = []
    if header is not None:
        known.append(Estimate(header, 0.0))
    if piled is not None:
        known.append(Estimate(piled, 0.5))
    if knee is not None:
        known.append(Estimate(_OF_KNEE * knee, _OF_KNEE * _KNEE_ERROR * knee))
    if exposures:
        known += _where_exposure_stops(np.asarray(levels), np.asarray(exposures))
    return (
        Estimate.combined(known, Estimate.lowest)
        if known
        else Estimate.unknown(
            f"no flat reaches white: the brightest sample is {highest:.0f} ADU, and the header "
            "has no SATURATE"
        )
    )


def _where_exposure_stops(levels: Float64, exposures: Float64) -> Iterator[Estimate]:
    """Find the level above which longer exposures give less than their share."""
    if len(np.unique(exposures)) < 4 or np.ptp(np.log(exposures)) < math.log(_SPAN_FOR_WHITE):
        return
    rate = np.log(levels / exposures)
    shares = np.abs(rate - rate[:, None]) < _SHARED
    best = int(np.argmax(shares.sum(axis=1)))
    if np.count_nonzero(shares[best]) < max(3, len(levels) / 3):
        return
    reference = float(np.median(rate[shares[best]]))
    deviation = np.abs(rate[shares[best]] - reference)
    scatter = max(_LEAST_SCATTER, 1.4826 * float(np.median(deviation)))
    low = rate < reference - max(_MISSING, 4 * scatter)
    # From the longest exposure down, without a gap.
    order = np.argsort(-exposures, kind="stable")
    count = int(np.argmin(np.append(low[order], False)))
    missing, others = order[:count], order[count:]
    if count < 2 or len(others) < 3:
        return
    top = float(levels[others].max())
    above = float(levels[missing].min())
    if above > _FARTHEST * top:
        return  # fainter light explains it as well: nothing shows where the level stops
    # White lies between the last level that is right and the first that is not.
    yield Estimate(top, max(abs(above - top) / 2, 0.01 * top))


def linearity(
    signal: Sequence[float] | Float64,
    exposures: Sequence[float] | None,
    errors: Sequence[float],
    limit: float | None,
) -> Estimate:
    """Measure how the response changes from no light to the brightest flat below white, percent.

    Parameters
    ----------
    signal : sequence of float
        Level of each flat above the bias, ADU.
    exposures : sequence of float or None
        Seconds; None where unknown.
    errors : sequence of float
        Standard deviation of each level by its own noise.
    limit : float or None
        Flats above this signal are left out: white, where it is known.

    Notes
    -----
    The slope of a line through ``ln(level / exposure)`` against level, times the highest level.
    0 is a camera that counts in proportion to light; -2 means that the brightest flat lacks 2 %.
    """
    if exposures is None:
        return Estimate.unknown("the exposure of the flats is not known (EXPTIME)")
    level, time = np.asarray(signal, np.float64), np.asarray(exposures, np.float64)
    used = (level > 0) & (time > 0) & (level < (math.inf if limit is None else 0.95 * limit))
    level, time, own = level[used], time[used], np.asarray(errors, np.float64)[used]
    if (
        len(level) < 4
        or len(np.unique(time)) < 3
        or (np.ptp(np.log(time)) < math.log(_SPAN_FOR_LINEARITY))
    ):
        return Estimate.unknown(
            "the exposures of the flats below white do not differ enough: at least 3, spanning a "
            "factor of 2, with one lamp"
        )
    rate = np.log(level / time)
    weight = 1 / (own / level) ** 2
    weight /= weight.max()
    weight = 1 / (1 / weight + 1)  # a lamp flickers by the same share at any level
    centre = float((weight * level).sum() / weight.sum())
    squares = float((weight * (level - centre) ** 2).sum())
    if squares <= 0:
        return Estimate.unknown("all flats below white have one level")
    slope = float((weight * (level - centre) * rate).sum()) / squares
    rest = rate - float((weight * rate).sum() / weight.sum()) - slope * (level - centre)
    scatter = math.sqrt(float((weight * rest**2).sum()) / weight.mean() / (len(level) - 2))
    if scatter > _LARGEST_SCATTER:
        return Estimate.unknown(
            f"the light changed by {100 * scatter:.1f} % between flats: level against exposure "
            "shows the lamp, not the camera"
        )
    # The quantile of few degrees of freedom, as a factor of a normal deviation.
    few = 1 + 1.2 / (len(level) - 2) ** 1.3
    error = scatter * few / math.sqrt(squares / weight.mean())
    top = float(level.max())
    return Estimate(100 * math.expm1(slope * top), 100 * error * top)
