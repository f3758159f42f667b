"""Read noise from pairs of bias frames: of single pixels, and of rows and columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from calmasters.quality.estimate import Estimate
from calmasters.quality.regions import Region
from calmasters.quality.sample import Float32
from calmasters.quality.tiles import PairTiles, equal_pair

__all__ = ["DarkNoise", "dark_noise", "quantum"]

#: Most pairs that are measured.
_MOST_PAIRS: Final = 16
#: Tiles further than this many standard deviations from the median are left out; what remains of
#: their mean is that of a normal distribution.
_CLIP: Final = 3.5
#: A variance that is rounding of the arithmetic, ADU squared.
_NONE: Final = 1e-6
#: Samples that are looked at for the step between values.
_LOOKED_AT: Final = 1 << 15


class DarkNoise(NamedTuple):
    """Noise of one region without light.

    Attributes
    ----------
    variance : Estimate
        Of single pixels, ADU squared, with rounding and without what rows and columns have in
        common. It is what :mod:`photon_transfer` measures at level 0.
    read_noise : Estimate
        All noise of one frame, ADU, without that of rounding.
    """

    variance: Estimate
    read_noise: Estimate


def quantum(frame: Float32) -> float:
    """Return the step between values of a raw frame, ADU; 0 where values are not integers.

    Cameras of 12 bits whose values are shifted have steps of 16.
    """
    part = frame.ravel()[:: max(1, frame.size // _LOOKED_AT)].astype(np.float64)
    whole = np.rint(part)
    if np.abs(part - whole).max(initial=0.0) > 0.02:
        return 0.0
    values = np.unique(whole).astype(np.int64)
    return float(np.gcd.reduce(np.diff(values))) if len(values) > 1 else 1.0


def dark_noise(frames: Float32, region: Region, step: float) -> DarkNoise:
    """Measure the noise of one region in bias frames.

    Parameters
    ----------
    frames : (frames, rows, columns) array of float32
        Of a sample, ADU.
    region : Region
    step : float
        As :func:`quantum` gives it.

    Notes
    -----
    ``R² = V + rows + columns - step²/12``. V is the variance within tiles. ``rows`` is half the
    variance of the row means of the difference, less the part of the pixels, ``V/width``;
    ``columns`` likewise.
    """
    if len(frames) < 2:
        reason = "one frame only: noise is measured between two"
        return DarkNoise(Estimate.unknown(reason), Estimate.unknown(reason))
    tiles, rows, columns = [], [], []
    for pair in range(min(_MOST_PAIRS, len(frames) // 2)):
        first, second = (region.tiles(frames[2 * pair + place]) for place in (0, 1))
        measured, filled = equal_pair(first, second, pair)
        tiles.append(measured)
        height, width = region.tile
        across = len(range(*region.columns.indices(frames.shape[2]))) // width
        grid = filled.reshape(-1, across, height, width)
        rows.append(_variance(grid.mean(axis=(1, 3), dtype=np.float64)) / 2)
        columns.append(_variance(grid.mean(axis=(0, 2), dtype=np.float64)) / 2)
    variance = _pixel_variance(PairTiles.join(tiles))
    if (variance.value or 0.0) < _NONE:
        # Copies of one frame: that they do not differ is a fact, not a lack of data.
        return DarkNoise(variance, Estimate(0.0, 0.0))
    if step and (variance.value or 0.0) < (step / 2) ** 2:
        reason = (
            f"below half a step of the camera's values ({step:g} ADU): rounding hides the noise"
        )
        return DarkNoise(variance, Estimate.unknown(reason))
    return DarkNoise(variance, _total(variance, rows, columns, grid.shape, step))


def _variance(means: np.ndarray) -> float:
    flat = means.ravel()
    return float(flat.var(ddof=1)) if flat.size > 1 else 0.0


def _pixel_variance(tiles: PairTiles) -> Estimate:
    spread = np.sqrt(2 / tiles.freedom)
    middle = float(np.median(tiles.variance))
    kept = tiles[np.abs(tiles.variance / max(middle, 1e-12) - 1) < _CLIP * spread]
    kept = kept if len(kept) else tiles
    freedom = float(kept.freedom.sum())
    value = float((kept.freedom * kept.variance).sum() / freedom)
    error = value * math.sqrt(2 / freedom)
    by_pair = [
        float(np.average(kept.variance[kept.pair == pair], weights=kept.freedom[kept.pair == pair]))
        for pair in np.unique(kept.pair)
    ]
    if len(by_pair) >= 3:
        scatter = float(np.std(by_pair, ddof=1)) / math.sqrt(len(by_pair))
        error = scatter if scatter > 2 * error else error
    return Estimate(value, error)


def _total(
    variance: Estimate,
    rows: Sequence[float],
    columns: Sequence[float],
    grid: tuple[int, ...],
    step: float,
) -> Estimate:
    pixel, error = variance.known or (0.0, 0.0)
    bands, across, height, width = grid
    total, squares = pixel - step**2 / 12, error**2
    for measured, count, length in (
        (rows, bands * height, across * width),
        (columns, across * width, bands * height),
    ):
        total += float(np.mean(measured)) - pixel / length
        # The larger of the expected scatter and that of the pairs.
        each = 2 / max(1, count - 1) * float(np.mean(measured)) ** 2
        squares += max(each, float(np.var(measured))) / len(measured)
    if total <= 0:
        return Estimate.unknown("no noise between frames: the driver repeats or processes frames")
    value = math.sqrt(total)
    return Estimate(value, math.sqrt(squares) / (2 * value))
