"""Noise of pairs of frames, tile by tile.

A tile is so small that light which changes between two frames changes linearly across it. Row and
column means of the difference are removed inside each tile: tilted light, row noise and bands of
flicker cancel, and what remains is noise of single pixels. Its expected variance is exact,
whatever the variances of the pixels are.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from calmasters.quality.sample import Float32

__all__ = ["PairTiles", "equal_pair", "lit_pair"]

#: A pixel whose difference is above this many sigmas is masked.
_CLIP: Final = 4.0
#: What a cut at 4 sigmas leaves of the variance of a normal distribution:
#: 1 - 2 k phi(k) / (2 Phi(k) - 1).
_KEPT_VARIANCE: Final = 0.998929
_MOST_ROUNDS: Final = 12
_FILL_STEPS: Final = 3
#: Change of the ratio by masking from which a tile is measured again, and the most masked pixels.
_RATIO_CHANGE: Final = 0.002
_MOST_MASKED: Final = 0.25

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class PairTiles:
    """Measurements of the tiles of one or several pairs; each attribute is an array.

    Attributes
    ----------
    level : array
        Mean of both frames, ADU.
    brighter : array
        Mean of the brighter frame, ADU.
    variance : array
        Half the variance of the difference, after both were scaled to their common level.
    rho : array
        Share of read noise in it: ``(r + 1/r) / 2`` for frames with the ratio r.
    freedom : array
        Degrees of freedom, for equal variances.
    spread : array
        Variance of the light within the tile, over the square of its level.
    beside, above : array
        Correlation with the next pixel of the row, and of the column.
    rise : array
        How the variance follows the light within the tile: 1 if it is proportional, for variance
        without read noise.
    rise_error : array
        Its standard deviation.
    pair : array of int
        Number of the pair.
    """

    level: Float64
    brighter: Float64
    variance: Float64
    rho: Float64
    freedom: Float64
    spread: Float64
    beside: Float64
    above: Float64
    rise: Float64
    rise_error: Float64
    pair: Float64

    def __len__(self) -> int:
        """Return the number of tiles."""
        return len(self.level)

    def __getitem__(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        """Return the chosen tiles."""
        return type(self)(*(getattr(self, each.name)[chosen] for each in fields(self)))

    @classmethod
    def join(cls, parts: list[Self]) -> Self:
        """Put the tiles of several pairs together."""
        return cls(
            *(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(cls))
        )


@dataclass
class _Residuals:
    """What is left of the difference of two frames in each tile."""

    values: Float32
    masked: NDArray[np.bool_]
    variance: Float64


def equal_pair(first: Float32, second: Float32, pair: int) -> tuple[PairTiles, Float32]:
    """Measure the tiles of two frames without light.

    Parameters
    ----------
    first, second : (tiles, rows, columns) array of float32
    pair : int

    Returns
    -------
    PairTiles
    (tiles, rows, columns) array of float32
        The difference, in which outliers are replaced: it still has what rows and columns have in
        common.
    """
    difference = first - second
    ones = np.ones(len(first))
    residuals, filled = _residuals(difference, None)
    half = (first + second) * np.float32(0.5)
    return _tiles(residuals, half, ones * 0, ones * 0, ones, pair), filled


def lit_pair(first: Float32, second: Float32, pair: int) -> PairTiles:
    """Measure the tiles of two flats whose levels may differ, from tile to tile.

    Parameters
    ----------
    first, second : (tiles, rows, columns) array of float32
        Less the bias; their means are above 0.
    pair : int
    """
    tiles, masked = _lit_pair(first, second, _means(first), _means(second), pair)
    some = np.flatnonzero(masked.any(axis=(1, 2)))
    if some.size:
        kept = ~masked[some]
        one, other = (_means(frame[some], kept) for frame in (first, second))
        before = _means(first[some]) / _means(second[some])
        moved = np.abs(one / other / before - 1) > _RATIO_CHANGE
        tiles.level[some] = (one + other) / 2
        tiles.brighter[some] = np.maximum(one, other)
        again = some[moved & (one > 0) & (other > 0)]
        if again.size:
            good = np.isin(some, again)
            measured_again, _ = _lit_pair(first[again], second[again], one[good], other[good], pair)
            for each in fields(tiles):
                if each.name not in ("level", "brighter"):
                    getattr(tiles, each.name)[again] = getattr(measured_again, each.name)
    return tiles[masked.mean(axis=(1, 2)) <= _MOST_MASKED]


def _lit_pair(
    first: Float32, second: Float32, one: Float64, other: Float64, pair: int
) -> tuple[PairTiles, NDArray[np.bool_]]:
    ratio = one / other
    scale = np.sqrt(ratio).astype(np.float32)[:, None, None]
    a, b = first / scale, second * scale
    difference = a - b
    half = (a + b) * np.float32(0.5)
    residuals, _ = _residuals(difference, half)
    rho = (ratio + 1 / ratio) / 2
    tiles = _tiles(residuals, half, (one + other) / 2, np.maximum(one, other), rho, pair)
    return tiles, residuals.masked


def _means(tiles: Float32, kept: NDArray[np.bool_] | None = None) -> Float64:
    if kept is None:
        return np.asarray(tiles.mean(axis=(1, 2), dtype=np.float64))
    count = np.maximum(1, np.count_nonzero(kept, axis=(1, 2)))
    total = np.where(kept, tiles, 0).sum(axis=(1, 2), dtype=np.float64)
    return np.asarray(total / count)


def _centred(difference: Float32) -> Float32:
    rows = difference.mean(axis=2, keepdims=True)
    columns = difference.mean(axis=1, keepdims=True)
    return np.asarray(difference - rows - columns + rows.mean(axis=1, keepdims=True))


def _residuals(difference: Float32, light: Float32 | None) -> tuple[_Residuals, Float32]:
    """Remove row and column means, and mask outliers, which are filled with these means.

    Where light is brighter than the mean of its tile (a fibre's trace), more noise is normal.
    """
    filled = difference.copy()
    values = _centred(filled)
    freedom = (difference.shape[1] - 1) * (difference.shape[2] - 1)
    masked = np.zeros(difference.shape, bool)
    variance = _squares(values) / freedom
    active = np.arange(len(difference))
    for _ in range(_MOST_ROUNDS):
        part = values[active]
        limit = (_CLIP**2 * variance[active]).astype(np.float32)[:, None, None]
        out = np.square(part) > limit
        if light is not None and out.any():
            tile, row, column = np.nonzero(out)
            bright = light[active[tile], row, column] - np.abs(part[tile, row, column]) / 2
            usual = light[active].mean(axis=(1, 2))[tile]
            more = np.maximum(1.0, bright / np.maximum(usual, 1e-6))
            out[tile, row, column] = part[tile, row, column] ** 2 > limit[tile, 0, 0] * more
        chosen = np.any(out & ~masked[active], axis=(1, 2))
        if not chosen.any():
            break
        active, out = active[chosen], out[chosen]
        mask = masked[active] | out
        masked[active] = mask
        filled[active], values[active] = _filled(filled[active], values[active], mask)
        count = freedom * (1 - mask.mean(axis=(1, 2)))
        variance[active] = _squares(np.where(mask, 0, values[active])) / np.maximum(1, count)
    values[masked] = 0
    return _Residuals(values, masked, variance / _KEPT_VARIANCE), filled


def _filled(
    difference: Float32, values: Float32, mask: NDArray[np.bool_]
) -> tuple[Float32, Float32]:
    """Replace masked pixels by what their row and column have in common."""
    # Exact at once for a single pixel; several of one row or column need more steps.
    share = np.float32((1 - 1 / mask.shape[1]) * (1 - 1 / mask.shape[2]))
    for _ in range(_FILL_STEPS):
        difference = difference - np.where(mask, values / share, 0)
        values = _centred(difference)
    return difference, values


def _squares(values: Float32) -> Float64:
    flat = values.reshape(len(values), -1)
    return np.asarray(np.einsum("tp,tp->t", flat, flat), np.float64)


def _tiles(
    residuals: _Residuals,
    half: Float32,
    level: Float64,
    brighter: Float64,
    rho: Float64,
    pair: int,
) -> PairTiles:
    values, variance = residuals.values, np.maximum(residuals.variance, 1e-12)
    _, height, width = values.shape
    squares = np.maximum(_squares(values), 1e-12)
    beside = np.einsum("thw,thw->t", values[:, :, :-1], values[:, :, 1:]) / squares
    above = np.einsum("thw,thw->t", values[:, :-1], values[:, 1:]) / squares
    light = half - half.mean(axis=(1, 2), keepdims=True)
    light[residuals.masked] = 0  # a cosmic ray is not light
    spread = np.maximum(_squares(light), 1e-12)
    rise = np.einsum("thw,thw->t", light, np.square(values)) / spread * level / variance
    share = residuals.masked.mean(axis=(1, 2))
    relative = np.maximum(0, spread / (height * width) - variance / 4)
    return PairTiles(
        level=level.copy(),
        brighter=brighter.copy(),
        variance=variance / 2,
        rho=rho,
        freedom=(height - 1) * (width - 1) * (1 - share),
        spread=relative / np.maximum(level, 1e-6) ** 2,
        beside=beside + 1 / width,
        above=above + 1 / height,
        rise=rise.astype(np.float64),
        rise_error=np.sqrt(2 / spread) * level,
        pair=np.full(len(level), pair),
    )
