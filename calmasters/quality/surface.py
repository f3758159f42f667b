"""Numbers about one image: pattern, banding, glow, vignetting, dust, hot and cold pixels."""

from __future__ import annotations

import math
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from calmasters.quality.pairs import clipped
from calmasters.quality.sample import Float32

__all__ = [
    "Dust",
    "OddPixels",
    "banding",
    "cells",
    "corner_to_centre",
    "dust_shadows",
    "fine_cell",
    "fixed_pattern",
    "glow",
    "gradient",
    "grey",
    "odd_in",
    "odd_pixels",
    "relative_response",
    "residual",
    "response_spread",
    "spread",
    "structure",
    "structure_of_cells",
    "vignetting",
]

Mask: TypeAlias = NDArray[np.bool_]
Indices: TypeAlias = NDArray[np.intp]

#: Side of a cell, pixels: enough pixels for a median, but smaller than a dust shadow.
_CELL: Final = 16

#: Side of a cell of the map of structures, pixels: small enough to show the rings of dust.
_FINE_CELL: Final = 8

#: Number of cells on each side that are the surroundings of a cell.
_AROUND: Final = 5

#: A centre below this share of what it is compared with has no light: there is no ratio.
_NO_LIGHT: Final = 0.01

#: A cell is in a shadow if it is darker than its surroundings by this share.
_SHADOW: Final = 0.01


class OddPixels(NamedTuple):
    """Masks of hot, warm and cold pixels, (height, width) each."""

    hot: Mask
    warm: Mask
    cold: Mask


class Dust(NamedTuple):
    """Shadows on a flat: the share of its area, and the loss of light in the deepest."""

    share: float
    depth: float


def grey(image: Float32) -> Float32:
    """Remove the colour of a mosaic: scale the plane of each colour to the median of the image."""
    scaled = image.copy()
    for row in range(2):
        for column in range(2):
            plane = scaled[row::2, column::2]
            plane /= np.float32(max(float(np.median(plane)), 1e-12))
    scaled *= np.median(image)
    return scaled


def cells(image: Float32, side: int = _CELL) -> Float32:
    """Return the medians of square cells, without incomplete cells at the right and bottom."""
    side = max(1, min(side, *image.shape))
    height, width = (length // side for length in image.shape)
    blocks = image[: height * side, : width * side].reshape(height, side, width, side)
    stacked = np.ascontiguousarray(blocks.swapaxes(1, 2)).reshape(height, width, -1)
    medians: Float32 = np.median(stacked, axis=2, overwrite_input=True)
    return medians


def _surroundings(image: Float32) -> Float32:
    """Return the level around each pixel: the medians of cells, interpolated linearly."""
    medians = cells(image)
    side = max(1, min(_CELL, *image.shape))
    down = _between(np.arange(image.shape[0]), medians.shape[0], side)
    across = _between(np.arange(image.shape[1]), medians.shape[1], side)
    weight = down.weight[:, None]
    tall = medians[down.before] * (1 - weight) + medians[down.after] * weight
    wide: Float32 = tall[:, across.before]
    wide *= 1 - across.weight
    wide += tall[:, across.after] * across.weight
    return wide


class _Between(NamedTuple):
    """Indices of the cells before and after each pixel, and the weight of the second."""

    before: Indices
    after: Indices
    weight: Float32


def _between(pixels: Indices, count: int, side: int) -> _Between:
    place = (pixels + 0.5) / side - 0.5
    before = np.clip(np.floor(place).astype(np.intp), 0, max(0, count - 2))
    after = np.minimum(before + 1, count - 1)
    # At the borders the weight is outside 0 to 1: the line is extrapolated.
    return _Between(before, after, (place - before).astype(np.float32) * (after > before))


def residual(image: Float32) -> Float32:
    """Remove the large structures: subtract the interpolated medians of cells."""
    return image - _surroundings(image)


def fixed_pattern(image: Float32, temporal: float) -> float:
    """Measure the constant differences of pixels: the spatial deviation less that of noise.

    Parameters
    ----------
    image : (height, width) array of float32
    temporal : float
        Noise left in the image, in its unit.

    Notes
    -----
    ``sqrt(var(image) - temporal²)``, the DSNU of EMVA 1288, section 8.2, without outliers beyond
    5 sigma.
    """
    spatial = float(clipped(image).std(dtype=np.float64))
    return math.sqrt(max(0.0, spatial**2 - temporal**2))


def banding(image: Float32) -> tuple[float, float]:
    """Measure how much rows differ, and how much columns differ.

    Returns
    -------
    (float, float)
        Standard deviation of the means of rows and of columns, in the image's unit, less the
        part of single pixels.

    Notes
    -----
    EMVA 1288, section 8.2 (row, column and pixel part of the spatial variance). Outliers beyond
    5 sigma are first limited to 5 sigma. Each row and column is compared with its neighbour, so
    that a slow gradient does not count as banding: ``sqrt(var(difference) / 2)``.
    """
    middle, sigma = float(np.median(image)), float(clipped(image).std(dtype=np.float64))
    bounded = np.clip(image, middle - 5 * sigma, middle + 5 * sigma)
    pixel = _neighbours(bounded, 1) ** 2
    rows = _neighbours(bounded.mean(axis=1, dtype=np.float64)[None], 1) ** 2
    columns = _neighbours(bounded.mean(axis=0, dtype=np.float64)[None], 1) ** 2
    height, width = image.shape
    # Differences along a row contain the part of the columns once.
    pixel = max(0.0, pixel - columns)
    return (
        math.sqrt(max(0.0, rows - pixel / width)),
        math.sqrt(max(0.0, columns - pixel / height)),
    )


def _neighbours(image: NDArray[np.floating], step: int) -> float:
    """Return the standard deviation that follows from the differences of neighbours in a row."""
    if image.shape[1] <= step:
        return 0.0
    differences = image[:, step:] - image[:, :-step]
    return float(differences.std(dtype=np.float64)) / math.sqrt(2)


def _parts(image: Float32) -> tuple[float, list[float]]:
    """Return the medians of the centre (a tenth of each side) and of the four corners."""
    height, width = image.shape
    down, across = max(1, height // 10), max(1, width // 10)
    top, left = (height - down) // 2, (width - across) // 2
    corners = [
        image[rows, columns]
        for rows in (slice(0, down), slice(height - down, height))
        for columns in (slice(0, across), slice(width - across, width))
    ]
    centre = image[top : top + down, left : left + across]
    return float(np.median(centre)), [float(np.median(corner)) for corner in corners]


def glow(image: Float32) -> float:
    """Measure amplifier glow: the brightest corner less the centre, in the image's unit."""
    centre, corners = _parts(image)
    return max(corners) - centre


def odd_pixels(dark: Float32, noise: float) -> OddPixels:
    """Find hot, warm and cold pixels.

    Parameters
    ----------
    dark : (height, width) array of float32
        A master dark.
    noise : float
        Of one frame, in the dark's unit.

    Notes
    -----
    Pixels are compared with their surroundings (:func:`residual`), so that glow does not count.
    *Hot*: more than 5 sigmas of a single frame above, so that it is visible in every exposure.
    *Cold*: more than 5 sigmas below; the sigma is the larger of a single frame's and the master's.
    *Warm*: more than 1 sigma of a single frame and 5 sigmas of the master above, so that it is
    visible in a stack. The limit of 5 is that of LSST (``nSigmaBright`` of cp_pipe, 4.8).
    """
    excess = residual(dark)
    return odd_in(excess, spread(excess), noise)


def spread(excess: Float32) -> float:
    """Return the robust standard deviation of a :func:`residual`."""
    return 1.4826 * float(np.median(np.abs(excess)))


def odd_in(excess: Float32, own: float, noise: float) -> OddPixels:
    """Find odd pixels in the :func:`residual` of a dark, of which the spread is known."""
    hot = excess > 5 * noise
    return OddPixels(hot, (excess > max(noise, 5 * own)) & ~hot, excess < -5 * max(noise, own))


def vignetting(image: Float32, rings: int = 16) -> list[float]:
    """Return the medians of rings around the centre, relative to the innermost.

    Rings are of equal width; the outermost ends in the corners.
    """
    side = max(1, min(image.shape) // 100)
    medians = cells(image, side)
    y, x = (np.linspace(-1, 1, length) * length for length in medians.shape)
    radius = np.hypot(y[:, None], x[None])
    ring = np.minimum((radius / radius.max() * rings).astype(int), rings - 1)
    levels = [
        float(np.median(medians[ring == each])) for each in range(rings) if (ring == each).any()
    ]
    return [level / max(levels[0], 1e-12) for level in levels]


def corner_to_centre(image: Float32) -> float | None:
    """Return the mean of the corners over the centre; None where the centre has no light."""
    centre, corners = _parts(image)
    return sum(corners) / 4 / centre if centre > _NO_LIGHT * max(corners) else None


def gradient(image: Float32) -> float | None:
    """Measure how unevenly a flat was lit: the rise of a plane through it, relative to its level.

    Returns
    -------
    float
        Highest less lowest corner of the plane, over its value at the centre. Vignetting that is
        the same on all sides adds nothing. None where the centre has no light.
    """
    medians = cells(image)
    y, x = (np.linspace(-1, 1, length) for length in medians.shape)
    columns = np.column_stack(
        [
            np.ones(medians.size),
            *(axis.ravel() for axis in np.broadcast_arrays(y[:, None], x[None])),
        ]
    )
    solution = np.linalg.lstsq(columns, medians.ravel().astype(np.float64), rcond=None)[0]
    rise = float(2 * np.abs(solution[1:]).sum())
    return rise / float(solution[0]) if solution[0] > _NO_LIGHT * rise else None


def relative_response(flat: Float32) -> Float32:
    """Divide a flat by its large structures: each pixel relative to its surroundings."""
    return (flat / np.maximum(_surroundings(flat), np.float32(1e-9))).astype(np.float32)


def response_spread(flat: Float32, temporal: float) -> float:
    """Measure how much the response of pixels differs (PRNU), relative to the level.

    Parameters
    ----------
    flat : (height, width) array of float32
    temporal : float
        Noise left in the flat, relative to its level.

    Notes
    -----
    EMVA 1288, section 8.2, without structures larger than a cell (vignetting, dust).
    """
    return fixed_pattern(relative_response(flat), temporal)


def structure(image: Float32) -> Float32:
    """Return medium-sized structures: each cell over its surroundings, less 1.

    Returns
    -------
    (rows, columns) array of float32
        Cells have 8 pixels a side, more where a row would have more than 256 cells. The image is
        first divided by a polynomial of degree 4 (vignetting).
    """
    return structure_of_cells(cells(image, fine_cell(image.shape[1])))


def fine_cell(width: int) -> int:
    """Return the side of a cell of :func:`structure`, pixels."""
    return max(_FINE_CELL, math.ceil(width / 256))


def structure_of_cells(medians: Float32) -> Float32:
    """Return medium-sized structures, as :func:`structure` does, of an image of cells."""
    flattened = medians / np.maximum(_smooth(medians), np.float32(1e-9))
    # Odd reflection continues a slope at the borders.
    padded = np.pad(flattened, _AROUND, mode="reflect", reflect_type="odd")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * _AROUND + 1,) * 2)
    around: Float32 = np.median(windows, axis=(2, 3))
    return (flattened / np.maximum(around, np.float32(1e-9)) - 1).astype(np.float32)


def _smooth(medians: Float32) -> Float32:
    """Fit a polynomial of degree 4 in y and x (least squares)."""
    y, x = (np.linspace(-1, 1, length) for length in medians.shape)
    powers = [(i, j) for i in range(5) for j in range(5 - i)]
    columns = np.stack([np.outer(y**i, x**j).ravel() for i, j in powers], axis=1)
    solution = np.linalg.lstsq(columns, medians.ravel().astype(np.float64), rcond=None)[0]
    return (columns @ solution).reshape(medians.shape).astype(np.float32)


def dust_shadows(structures: Float32) -> Dust:
    """Measure the shadows of dust in the :func:`structure` of a flat.

    A cell is in a shadow if it is darker than its surroundings by 1 % and by 5 robust sigmas.
    """
    sigma = 1.4826 * float(np.median(np.abs(structures)))
    shadows = structures < -max(_SHADOW, 5 * sigma)
    return Dust(float(shadows.mean()), max(0.0, -float(structures.min())))
