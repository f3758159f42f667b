"""Flats that are lit in lines or in parts only: those of spectrographs and fibres.

Vignetting, gradient, dust and the response of pixels have no meaning there: what is dark between
two orders is no dead pixel. Such flats are recognized from their pixels, and judged where they are
lit.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from calmasters.quality.pairs import clipped
from calmasters.quality.sample import Float32

__all__ = ["BRIGHT_PERCENTILE", "is_lit_in_lines", "lit_noise", "lit_part"]

#: The level of the lit part, as a percentile of all pixels.
BRIGHT_PERCENTILE: Final = 95.0

#: Side of a tile in pixels of one colour, and the fewest tiles along a side.
_TILE: Final = 32
_FEWEST_TILES: Final = 4
_SMALLEST_TILE: Final = 8

#: A tile has lines if its pixels differ by this share of the brightest ones; vignetting, dust and
#: response differ by less within a tile. Normal noise has 90 % of its values within 3.29 sigmas.
_CONTRAST: Final = 0.4
_NOISE_RANGE: Final = 3.29

#: A tile below this share of the bright tiles is not lit.
_UNLIT: Final = 0.1
#: Share of the lit tiles that have lines, and share of tiles that are not lit, from which a flat is
#: lit in lines or in parts.
_WITH_LINES: Final = 0.3
_NOT_LIT: Final = 0.3

#: A level is light if it is this many times the noise.
_LIGHT_NOISES: Final = 10.0

#: Pixels from this share of the bright level on are lit.
_LIT: Final = 0.25


def is_lit_in_lines(flat: Float32, noise: float) -> bool:
    """Return whether a flat is lit in lines (orders, fibres), or only in parts (a slit).

    Parameters
    ----------
    flat : (height, width) array of float32
        A master flat.
    noise : float
        Left in it, in its unit.

    Notes
    -----
    One of four pixels is looked at, so that the colours of a mosaic are no lines. A tile of 64
    pixels has lines if ``p95 - p5 - 3.29 noise`` of its pixels, less a plane, is above 0.4 of
    their p95.
    """
    plane = flat[::2, ::2]
    side = min(_TILE, max(_SMALLEST_TILE, min(plane.shape) // _FEWEST_TILES))
    rows, columns = (length // side for length in plane.shape)
    if not rows or not columns:
        return False
    blocks = plane[: rows * side, : columns * side].reshape(rows, side, columns, side)
    tiles = np.ascontiguousarray(blocks.swapaxes(1, 2)).reshape(rows * columns, side, side)
    high, middle = (_percentile(tiles, share) for share in (0.95, 0.5))
    bright = float(np.percentile(high, 90))
    if bright <= _LIGHT_NOISES * noise or bright <= 0:
        return False
    if float((middle.clip(0) < _UNLIT * bright).mean()) > _NOT_LIT:
        return True
    lit = high > max(_UNLIT * bright, _LIGHT_NOISES * noise)
    even = _without_plane(tiles[lit])
    contrast = _percentile(even, 0.95) - _percentile(even, 0.05) - _NOISE_RANGE * noise
    return float((contrast > _CONTRAST * high[lit]).mean()) > _WITH_LINES


def _percentile(tiles: Float32, share: float) -> Float32:
    flat = tiles.reshape(len(tiles), -1)
    place = int(share * (flat.shape[1] - 1))
    return np.asarray(np.partition(flat, place, axis=1)[:, place])


def _without_plane(tiles: Float32) -> Float32:
    """Subtract from each tile its tilt: vignetting is steep in the corners of small frames."""
    along = np.linspace(-1, 1, tiles.shape[1], dtype=np.float32)
    weight = along / np.square(along).sum()
    down = tiles.mean(axis=2) @ weight
    across = tiles.mean(axis=1) @ weight
    tilt = down[:, None, None] * along[:, None] + across[:, None, None] * along
    return np.asarray(tiles - tilt)


def lit_part(flat: Float32) -> np.ndarray:
    """Return which pixels of a flat, or of a sample of it, are lit."""
    return np.asarray(flat > _LIT * np.percentile(flat, BRIGHT_PERCENTILE))


def lit_noise(frames: Float32, lit: np.ndarray) -> float:
    """Measure the noise of the mean of flats where they are lit, relative to its level there.

    Parameters
    ----------
    frames : (frames, rows, columns) array of float32
        Less the bias.
    lit : (rows, columns) array of bool

    Returns
    -------
    float
        0 where a single frame cannot show it.
    """
    half = len(frames) // 2
    if not half or not lit.any():
        return 0.0
    pixels = frames[: 2 * half, lit]
    scaled = pixels / pixels.mean(axis=1, dtype=np.float64, keepdims=True).clip(1e-9)
    difference = (scaled[::2].mean(axis=0) - scaled[1::2].mean(axis=0)).astype(np.float32)
    # Bright pixels have more noise than those at the edge of a line, relative to the mean of all.
    return float(clipped(difference).std(dtype=np.float64)) / 2 * math.sqrt(2 * half / len(frames))
