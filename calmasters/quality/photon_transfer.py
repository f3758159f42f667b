"""Gain from flats: variance against level, over the tiles of pairs of flats.

Shot noise makes the variance rise in proportion to the level: ``V = level / gain + R²``. What else
adds variance (light that changes, stars) or removes it (white is near, frames were processed) is
left out where it can be recognized, and where it cannot, there is no number but a reason.
Sources: J. R. Janesick, *Photon Transfer* (SPIE 2007); EMVA Standard 1288, release 4.0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from calmasters.quality.estimate import Estimate
from calmasters.quality.regions import Region
from calmasters.quality.sample import Float32
from calmasters.quality.tiles import PairTiles, lit_pair

__all__ = [
    "MOST_LEVEL_RATIO",
    "MOST_LEVEL_RATIO_WITHOUT_BIAS",
    "PhotonTransfer",
    "TransferPoint",
    "choose_pairs",
    "photon_transfer",
]

#: Largest ratio of the levels of a pair; and where offset or read noise are unknown, so that they
#: cancel.
MOST_LEVEL_RATIO: Final = 2.2
MOST_LEVEL_RATIO_WITHOUT_BIAS: Final = 1.15

_MOST_PAIRS: Final = 16
#: How much a ratio of levels counts beside a difference in shape.
_LEVEL_WEIGHT: Final = 0.02
#: Share of saturated pixels with which a tile is left out.
_SATURATED: Final = 0.02
#: Correlation of neighbours that noise of single pixels has not.
_CORRELATED: Final = 0.04
_LEAST_TILES: Final = 8
_MOST_BINS: Final = 48
_BIN_TILES: Final = 6
#: Tiles are fitted up to this share of the knee.
_BELOW_KNEE: Final = 0.88
#: Variance over level falls by this share at the knee.
_KNEE_DROP: Final = 0.9
_FIT_ROUNDS: Final = 8
_CLIP: Final = 3.5
#: Variance that a cut at 3.5 sigmas leaves.
_KEPT_VARIANCE: Final = 0.9939
#: Largest relative uncertainty: twice this is 3 %.
_LARGEST_ERROR: Final = 0.015
_LARGEST_CHI2: Final = 2.0
#: Least share of tiles that may remain, and the share that noise leaves.
_LEAST_KEPT: Final = 0.6
_USUALLY_KEPT: Final = 0.96

_WHITE = "white is near: the variance does not rise with the level as shot noise does"
_CORRELATES = (
    "neighbouring pixels are not independent: the frames were interpolated or smoothed, or the "
    "light has a fine texture that changes"
)
_DISAGREE = (
    "pairs of flats disagree: the light changed between them in a way that no plane describes"
)
_WEAK = "the flats are too few, too faint or too small for a gain within 3 %"
_COPIES = "the flats have no more noise than bias frames: they are copies, or hardly exposed"
_NO_PAIR = f"no two flats have levels within a factor of {MOST_LEVEL_RATIO}"
_NOT_PROPORTIONAL = (
    "variance is not proportional to the level above the bias: the bias does not fit, its offset "
    "would be off by {:.0f} ADU"
)


class TransferPoint(NamedTuple):
    """A point of the photon transfer curve.

    Attributes
    ----------
    level, variance : float
        ADU above the bias, and ADU squared.
    used : bool
        Whether it is part of the fit.
    """

    level: float
    variance: float
    used: bool


@dataclass(frozen=True)
class PhotonTransfer:
    """The gain of one region.

    Attributes
    ----------
    gain : Estimate
        Electrons per ADU.
    points : sequence of TransferPoint
    knee : float or None
        Raw level, ADU, from which variance falls below the line of shot noise.
    """

    gain: Estimate
    points: Sequence[TransferPoint] = ()
    knee: float | None = None


class _Fit(NamedTuple):
    """A line through (0, R²); slope is the inverse of the gain."""

    slope: float
    error: float
    chi2: float
    inside: NDArray[np.bool_]


class _NoGainError(Exception):
    """The data cannot give a gain."""


def choose_pairs(tile_means: NDArray[np.float64], most_ratio: float) -> list[tuple[int, int]]:
    """Pair the flats that are most alike; each is in one pair at most.

    Parameters
    ----------
    tile_means : (frames, tiles) array
        Means of tiles, less the bias.
    most_ratio : float
        Largest ratio of two levels.

    Returns
    -------
    list of (int, int)
        At most 16, spread over the levels.
    """
    levels = tile_means.mean(axis=1)
    lit = np.flatnonzero(levels > 0)
    if len(lit) < 2:
        return []
    shapes = tile_means[lit] / levels[lit, None]
    squares = (shapes**2).mean(axis=1)
    apart = np.maximum(0, squares[:, None] + squares - 2 * shapes @ shapes.T / shapes.shape[1])
    ratio = np.abs(np.log(levels[lit, None] / levels[lit]))
    distance = np.sqrt(apart) + _LEVEL_WEIGHT * ratio
    distance[(ratio > math.log(most_ratio)) | np.tri(len(lit), dtype=bool)] = np.inf
    order = np.argsort(distance, axis=None, kind="stable")
    free = np.ones(len(lit), bool)
    found = []
    for one, other in zip(*np.unravel_index(order, distance.shape), strict=True):
        if not np.isfinite(distance[one, other]):
            break
        if free[one] and free[other]:
            free[[one, other]] = False
            found.append((int(lit[one]), int(lit[other])))
    found.sort(key=lambda pair: levels[pair[0]] + levels[pair[1]])
    if len(found) > _MOST_PAIRS:
        found = [found[int(place)] for place in np.linspace(0, len(found) - 1, _MOST_PAIRS)]
    return found


def photon_transfer(
    flats: Float32,
    region: Region,
    pairs: Sequence[tuple[int, int]],
    offset: Float32 | None,
    dark: tuple[Estimate, float],
    white: float,
) -> PhotonTransfer:
    """Measure the gain of one region.

    Parameters
    ----------
    flats : (frames, rows, columns) array of float32
        Of a sample, raw, ADU.
    region : Region
    pairs : sequence of (int, int)
        As :func:`choose_pairs` gives them.
    offset : (rows, columns) array of float32 or None
        The master bias at the same place, ADU.
    dark : (Estimate, float)
        The variance of a pixel without light (:class:`~calmasters.quality.read_noise.DarkNoise`),
        and the number of frames in the master bias. Where it is unknown, it is fitted as well.
    white : float
        Samples from here on are saturated.
    """
    if not pairs:
        return PhotonTransfer(Estimate.unknown(_NO_PAIR))
    zero = region.tiles(offset) if offset is not None else np.float32(0)
    level = float(zero.mean(dtype=np.float64)) if offset is not None else 0.0
    parts = []
    for number, (one, other) in enumerate(pairs):
        first, second = region.tiles(flats[one]), region.tiles(flats[other])
        saturated = ((first >= white) | (second >= white)).mean(axis=(1, 2)) > _SATURATED
        first, second = first - zero, second - zero
        lit = (first.mean(axis=(1, 2)) > 0) & (second.mean(axis=(1, 2)) > 0) & ~saturated
        if lit.any():
            parts.append(lit_pair(first[lit], second[lit], number))
    if not parts:
        reason = "every tile of the flats is saturated, or below the bias"
        return PhotonTransfer(Estimate.unknown(reason))
    tiles = PairTiles.join(parts)
    variance, frames = dark
    if offset is None or variance.known is None:
        return _without_bias(tiles)
    return _with_bias(tiles, variance.known, frames, level)


def _with_bias(
    tiles: PairTiles, dark: tuple[float, float], frames: float, offset: float
) -> PhotonTransfer:
    dark_variance, dark_error = dark
    # The noise of the master bias is in both frames, scaled by their ratio.
    tiles = replace(
        tiles, variance=tiles.variance - (tiles.rho - 1) * dark_variance / max(1.0, frames)
    )
    points, knee = _bins(tiles, np.zeros(len(tiles), bool), dark_variance), None
    try:
        kept, share = _filtered(tiles, dark_variance)
        points = _bins(kept, np.zeros(len(kept), bool), dark_variance)
        knee = _knee(kept, dark_variance)
        below = kept
        if knee is not None:
            below = kept[kept.brighter < _BELOW_KNEE * (knee + offset) - offset]
            if len(below) < _LEAST_TILES or np.ptp(np.log(below.level)) < math.log(1.2):
                raise _NoGainError(_WHITE)
        gain, used = _gain(below, dark_variance, dark_error, share)
        points = _bins(kept, used(kept), dark_variance)
    except _NoGainError as refused:
        gain = Estimate.unknown(str(refused))
    return PhotonTransfer(gain, points, None if knee is None else knee + offset)


# --- choosing tiles -------------------------------------------------------------------------------


def _filtered(tiles: PairTiles, dark: float) -> tuple[PairTiles, float]:
    """Leave out tiles whose neighbours correlate (stars), and return the share that is kept."""
    if len(tiles) < _LEAST_TILES:
        raise _NoGainError(_WEAK)
    if float(np.median(tiles.variance)) < 0.3 * dark:
        raise _NoGainError(_COPIES)
    correlation = (tiles.beside + tiles.above) / 2
    usual, limit = float(np.median(correlation)), 2.0
    low = float(np.percentile(correlation, 10))
    if usual > _CORRELATED > low:
        usual, limit = low, 3.3
    kept = tiles[correlation <= usual + limit / np.sqrt(2 * tiles.freedom)]
    share = len(kept) / len(tiles)
    if share < _LEAST_KEPT:
        raise _NoGainError(_DISAGREE)
    if len(kept) < _LEAST_TILES:
        raise _NoGainError(_WEAK)
    if max(float(np.median(kept.beside)), float(np.median(kept.above))) > _CORRELATED:
        raise _NoGainError(_CORRELATES)
    return kept, share


def _freedom(tiles: PairTiles, dark: float) -> NDArray[np.float64]:
    """Degrees of freedom where the light within a tile, and so the variance, differs."""
    return tiles.freedom / (1 + _shot_share(tiles, dark) ** 2 * tiles.spread)


def _shot_share(tiles: PairTiles, dark: float) -> NDArray[np.float64]:
    share = 1 - tiles.rho * dark / np.maximum(tiles.variance, 1e-12)
    return np.asarray(np.clip(share, 1e-3, 1.0))


def _bin_places(tiles: PairTiles) -> list[NDArray[np.intp]]:
    order = np.argsort(tiles.brighter, kind="stable")
    return np.array_split(order, max(1, min(_MOST_BINS, len(order) // _BIN_TILES)))


def _bins(tiles: PairTiles, used: NDArray[np.bool_], dark: float) -> list[TransferPoint]:
    """Return the curve: the mean level and variance of bins of tiles of like level."""
    points = []
    for places in _bin_places(tiles):
        part = tiles[places]
        # Read noise of a pair with unlike levels counts more: shown as for equal levels.
        variance = part.variance - (part.rho - 1) * dark
        points.append(
            TransferPoint(
                float(part.level.mean()),
                float(np.median(variance)),
                bool(used[places].mean() > 0.5),
            )
        )
    return points


def _knee(tiles: PairTiles, dark: float) -> float | None:
    """Find the level of the brighter frame from which variance stays below shot noise."""
    slopes, errors, starts = [], [], []
    freedom = _freedom(tiles, dark)
    for places in _bin_places(tiles):
        part = tiles[places]
        each = (part.variance - part.rho * dark) / part.level
        share = float(np.median(_shot_share(part, dark)))
        slopes.append(float(np.median(each)))
        relative = 1.2533 * math.sqrt(2 / float(freedom[places].sum())) / share
        errors.append(relative * abs(slopes[-1]))
        starts.append(float(part.brighter.min()))
    slope, error = np.array(slopes), np.array(errors)
    sure = (slope > 0) & (error < 0.15 * slope)
    if len(slope) < 3 or not sure.any():
        return None
    near = np.abs(slope - slope[:, None]) < 0.04 * np.abs(slope[:, None]) + 2 * error
    votes = (near & sure).sum(axis=1) * sure
    best = max(range(len(slope)), key=lambda place: (votes[place], slope[place]))
    shared = near[best] & sure
    reference = float(np.median(slope[shared]))
    low = slope < _KNEE_DROP * reference - 3 * error
    for place in range(int(np.flatnonzero(shared)[0]) + 1, len(slope) - 1):
        if low[place] and low[place + 1] and low[place:].mean() >= 0.8:
            return starts[place]
    return None


# --- the fit --------------------------------------------------------------------------------------


def _fit(tiles: PairTiles, dark: float) -> _Fit:
    freedom, shot = _freedom(tiles, dark), tiles.variance - tiles.rho * dark
    slope = max(float(np.median(shot / tiles.level)), 1e-9)
    inside = np.ones(len(tiles), bool)
    for _ in range(_FIT_ROUNDS):
        predicted = tiles.level * slope + tiles.rho * dark
        weight = freedom / (2 * predicted**2)
        pull = (tiles.variance - predicted) * np.sqrt(weight)
        inside = np.abs(pull) < _CLIP
        if not inside.any():
            raise _NoGainError(_DISAGREE)
        weighted = (weight * tiles.level)[inside]
        slope = float(weighted @ shot[inside] / (weighted @ tiles.level[inside]))
        if slope <= 0:
            raise _NoGainError(_COPIES)
    error = 1 / math.sqrt(float(weighted @ tiles.level[inside]))
    count = int(np.count_nonzero(inside))
    chi2 = float((pull[inside] ** 2).sum()) / max(1, count - 1) / _KEPT_VARIANCE
    return _Fit(slope, error, chi2, inside)


class _Used(NamedTuple):
    """Which tiles a fit used: those of some pairs, up to a level."""

    pairs: Sequence[int]
    brightest: float

    def __call__(self, tiles: PairTiles) -> NDArray[np.bool_]:
        return np.isin(tiles.pair, self.pairs) & (tiles.brighter <= self.brightest)


def _gain(tiles: PairTiles, dark: float, dark_error: float, share: float) -> tuple[Estimate, _Used]:
    agreeing, pairs_chi2 = _agreeing_pairs(tiles, dark)
    chosen = tiles[np.isin(tiles.pair, agreeing)]
    if len(chosen) < _LEAST_TILES:
        raise _NoGainError(_WEAK)
    fit = _fit(chosen, dark)
    if float(fit.inside.mean()) < _LEAST_KEPT or fit.chi2 > _LARGEST_CHI2:
        raise _NoGainError(_DISAGREE)
    inside = chosen[fit.inside]
    _require_shot_noise(inside, fit, dark)
    factor = math.sqrt(max(1.0, fit.chi2))
    if pairs_chi2 > 1 + 2 * math.sqrt(2 / max(1, len(agreeing) - 1)):
        factor = math.sqrt(pairs_chi2)
    weight = _freedom(inside, dark) / (2 * (inside.level * fit.slope + inside.rho * dark) ** 2)
    lever = float((weight * inside.level * inside.rho).sum() / (weight * inside.level**2).sum())
    gain = 1 / fit.slope
    relative = math.hypot(fit.error * factor, lever * dark_error) / fit.slope
    relative = math.hypot(relative, 0.03 * max(0.0, _USUALLY_KEPT - share))
    if relative > _LARGEST_ERROR:
        raise _NoGainError(_WEAK)
    return Estimate(gain, gain * relative), _Used(agreeing, float(tiles.brighter.max()))


def _agreeing_pairs(tiles: PairTiles, dark: float) -> tuple[list[int], float]:
    """Find the pairs that share one gain; light that changes can only add variance."""
    pairs, gains, errors = [], [], []
    for pair in np.unique(tiles.pair):
        part = tiles[tiles.pair == pair]
        try:
            fit = _fit(part, dark)
        except _NoGainError:
            continue
        pairs.append(int(pair))
        gains.append(1 / fit.slope)
        errors.append(fit.error / fit.slope**2)
    if not pairs:
        raise _NoGainError(_DISAGREE)
    gain, error = np.array(gains), np.array(errors)
    close = (gain > 0.96 * gain[:, None] - 4 * error) & (gain < gain[:, None] + 4 * error)
    votes = close.sum(axis=1)
    best = max(range(len(pairs)), key=lambda place: (votes[place], gain[place]))
    needed = 1 if len(pairs) == 1 else max(2, math.ceil(len(pairs) / 3))
    if votes[best] < needed:
        raise _NoGainError(_DISAGREE)
    inside = close[best]
    weight = 1 / error[inside] ** 2
    mean = float((weight * gain[inside]).sum() / weight.sum())
    chi2 = float((weight * (gain[inside] - mean) ** 2).sum()) / max(1, len(weight) - 1)
    return [pair for pair, good in zip(pairs, inside, strict=True) if good], chi2


def _require_shot_noise(tiles: PairTiles, fit: _Fit, dark: float) -> None:
    """Refuse where variance does not follow the light as shot noise does."""
    if tiles.level.min() <= 0:
        raise _NoGainError(_WEAK)
    freedom, share = _freedom(tiles, dark), _shot_share(tiles, dark)
    relative = (tiles.variance - tiles.rho * dark) / tiles.level / fit.slope
    weight = freedom * share**2 / 2
    trend, trend_error = _line(np.log(tiles.level), relative, weight)
    if trend < -max(4 * trend_error, 0.15):
        raise _NoGainError(_WHITE)
    rise = tiles.rise / share
    weight = (share / tiles.rise_error) ** 2
    mean, error = float((weight * rise).sum() / weight.sum()), 1 / math.sqrt(float(weight.sum()))
    # Light that is not Poisson's (a simulation's normal noise) gives 0, a soft white -9 and less.
    if mean < -max(4 * error, 0.4):
        raise _NoGainError(_WHITE)
    predicted = tiles.level * fit.slope + tiles.rho * dark
    slope, slope_error = _line(
        tiles.level, tiles.variance - tiles.rho * dark, freedom / (2 * predicted**2)
    )
    if slope_error > 0 and abs(slope / fit.slope - 1) > max(5 * slope_error / fit.slope, 0.05):
        constant = float(
            np.average(
                tiles.variance - tiles.rho * dark - slope * tiles.level,
                weights=freedom / predicted**2,
            )
        )
        raise _NoGainError(_NOT_PROPORTIONAL.format(-constant / slope if slope > 0 else math.inf))


def _line(
    x: NDArray[np.float64], y: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[float, float]:
    """Return the slope of a weighted line, and its standard deviation; (0, inf) without range."""
    mean = float((weight * x).sum() / weight.sum())
    squares = float((weight * (x - mean) ** 2).sum())
    if squares <= 1e-9 * float(weight.sum()) * (mean**2 + 1e-9):
        return 0.0, math.inf
    return float((weight * (x - mean) * y).sum()) / squares, 1 / math.sqrt(squares)


# --- without a bias -------------------------------------------------------------------------------


def _without_bias(tiles: PairTiles) -> PhotonTransfer:
    """Fit offset and gain together: variance against raw level is a line."""
    points = _bins(tiles, np.zeros(len(tiles), bool), 0.0)
    try:
        kept, _ = _filtered(tiles, 0.0)
        gain, inside = _free_line(kept)
    except _NoGainError as refused:
        return PhotonTransfer(Estimate.unknown(str(refused)), points)
    return PhotonTransfer(gain, _bins(kept, inside, 0.0))


def _free_line(tiles: PairTiles) -> tuple[Estimate, NDArray[np.bool_]]:
    predicted = np.full(len(tiles), float(np.median(tiles.variance)))
    inside = np.ones(len(tiles), bool)
    for _ in range(_FIT_ROUNDS):
        weight = np.where(inside, tiles.freedom / (2 * predicted**2), 0)
        slope, error = _line(tiles.level, tiles.variance, weight)
        middle = float((weight * tiles.level).sum() / weight.sum())
        height = float((weight * tiles.variance).sum() / weight.sum())
        predicted = np.maximum(height + slope * (tiles.level - middle), 0.05 * height)
        pull = (tiles.variance - predicted) * np.sqrt(tiles.freedom / 2) / predicted
        inside = np.abs(pull) < _CLIP
        if not inside.any():
            raise _NoGainError(_DISAGREE)
    chi2 = float((pull[inside] ** 2).mean()) / _KEPT_VARIANCE
    if chi2 > _LARGEST_CHI2 or float(inside.mean()) < _LEAST_KEPT:
        raise _NoGainError(_DISAGREE)
    relative = error / slope * math.sqrt(max(1.0, chi2)) if slope > 0 else math.inf
    if relative > _LARGEST_ERROR:
        raise _NoGainError(
            "no read noise is known (no bias frames), and the levels do not span enough to find it"
        )
    return Estimate(1 / slope, relative / slope), inside
