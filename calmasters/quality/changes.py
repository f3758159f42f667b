"""Compare a master with the one before: what changed by more than the noise of both."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import BinaryIO, Final, Self
from zipfile import BadZipFile

import numpy as np

from calmasters.frame import FrameType, Geometry
from calmasters.quality import surface
from calmasters.quality.sample import ADU, Float32, bands

__all__ = ["Changes", "Sketch", "compare"]

#: A pixel has changed if it differs by this many standard deviations of both masters.
_SIGMAS: Final = 6.0

#: Pixels of a row that change together with the light of a flat.
_SEGMENT: Final = 64

#: Pixels this many sigmas of a single frame above the others show how noise rises with signal.
_BRIGHT: Final = 20.0

#: Variance of rounding, ADU squared: masters of other programs may have 16 bits.
_ROUNDING: Final = 1 / 12


@dataclass(frozen=True)
class Sketch:
    """What is kept of a master to compare the next one with it: bands of rows, and all in cells.

    Attributes
    ----------
    digest : str
        Of the job that made it.
    frames : int
        Number of frames combined.
    noise_adu : float
        Noise of one frame at the level of the master.
    rows : (rows, columns) array of float32
        Evenly spaced bands, ADU.
    cells : (rows, columns) array of float32
        Means of cells of the complete image, ADU; of bias and dark without hot and cold pixels.
    """

    digest: str
    frames: int
    noise_adu: float
    rows: Float32
    cells: Float32

    @classmethod
    def of(
        cls,
        image: Float32,
        kind: FrameType,
        geometry: Geometry,
        digest: str,
        frames: int,
        noise_adu: float,
    ) -> Self:
        """Make the sketch of a master.

        Parameters
        ----------
        image : (height, width) array of float32
            In [0, 1].
        kind : FrameType
        geometry : Geometry
        digest : str
        frames : int
        noise_adu : float
        """
        starts, height = bands(geometry, 1)
        rows = [start + row for start in starts for row in range(height)]
        # A shadow on a flat is deep, and no hot pixel.
        cells = _cells(image if kind is FrameType.FLAT else _without_hot(image))
        return cls(digest, frames, noise_adu, image[rows] * np.float32(ADU), cells)

    def save(self, file: BinaryIO) -> None:
        """Write it as a file that :meth:`load` reads."""
        np.savez(file, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """Read what :meth:`save` wrote; None if there is no such file, or it is damaged."""
        try:
            # NumPy leaves a file open that it cannot read.
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                return cls(
                    str(stored["digest"]),
                    int(stored["frames"]),
                    float(stored["noise_adu"]),
                    stored["rows"],
                    stored["cells"],
                )
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return None


def _cells(image: Float32) -> Float32:
    side = min(surface.fine_cell(image.shape[1]), *image.shape)
    height, width = (length // side for length in image.shape)
    blocks = image[: height * side, : width * side].reshape(height, side, width, side)
    means: Float32 = blocks.mean(axis=(1, 3)) * np.float32(ADU)
    return means


def _without_hot(image: Float32) -> Float32:
    """Limit hot and cold pixels to 10 sigmas of the image."""
    thinned = image.ravel()[:: max(1, image.size >> 18)]
    middle = float(np.median(thinned))
    limit = 10 * 1.4826 * float(np.median(np.abs(thinned - middle))) + 1e-9
    return np.clip(image, middle - limit, middle + limit)


@dataclass(frozen=True)
class Changes:
    """How a master differs from the one before.

    Attributes
    ----------
    level_adu : float or None
        Median difference; None for flats, whose level is the photographer's.
    changed : float
        Share of pixels that differ by more than 6 sigmas of both masters, apart from the level (of
        flats, from large structures).
    dust : Dust or None
        Of flats: shadows that are in one of both only, as a share of the area, and the deepest.
    picture : (rows, columns) array of float32
        Of flats their ratio without large structures, less 1; otherwise the difference of cells, in
        units of 6 sigmas of both.
    """

    level_adu: float | None
    changed: float
    dust: surface.Dust | None
    picture: Float32

    def numbers(self) -> Iterator[tuple[str, float]]:
        """Return the numbers by name, as the record of a master has them."""
        if self.level_adu is not None:
            yield "change_adu", self.level_adu
        yield "changed_percent", 100 * self.changed
        if self.dust:
            yield "dust_moved_percent", 100 * self.dust.share
            yield "dust_moved_depth_percent", 100 * self.dust.depth


def compare(
    now: Sketch, before: Sketch, kind: FrameType, *, mosaic: bool = False
) -> Changes | None:
    """Compare a master with the one before.

    Parameters
    ----------
    now, before : Sketch
    kind : FrameType
    mosaic : bool
        Whether pixels two apart have the same colour.

    Returns
    -------
    Changes or None
        None if the masters differ in size, or have no noise.
    """
    if now.rows.shape != before.rows.shape or now.cells.shape != before.cells.shape:
        return None
    if not (now.noise_adu and before.noise_adu):
        return None
    return _flats(now, before, mosaic=mosaic) if kind is FrameType.FLAT else _unlit(now, before)


def _unlit(now: Sketch, before: Sketch) -> Changes:
    difference = now.rows - before.rows
    level = float(np.median(difference))
    squares = np.square(difference - np.float32(level))
    noise = sum(each.noise_adu**2 / each.frames for each in (now, before)) + _ROUNDING
    limits = np.float32(_SIGMAS**2) * _variance(before.rows, squares, before.noise_adu, noise)
    cells = now.cells - before.cells
    side = now.rows.shape[1] / cells.shape[1]
    picture = (cells - np.median(cells)) / np.float32(_SIGMAS * math.sqrt(noise) / side)
    return Changes(level, float((squares > limits).mean()), None, picture)


def _variance(dark: Float32, squares: Float32, noise: float, least: float) -> Float32:
    """Return the variance of a difference of two darks: hot pixels have the noise of their signal.

    How strongly it rises with the signal is that of most hot pixels.
    """
    signal = np.maximum(dark - np.median(dark), np.float32(0))
    bright = signal > _BRIGHT * noise
    if np.count_nonzero(bright) < 2:
        return np.full_like(dark, least)
    # The median of the square of a normal value is 0.455 of its variance.
    rise = float(np.median(squares[bright] / signal[bright])) / 0.455
    variance: Float32 = np.float32(least) + np.float32(rise) * signal
    return variance


def _flats(now: Sketch, before: Sketch, *, mosaic: bool) -> Changes:
    step = 2 if mosaic else 1
    variance = _relative_variance(now) + _relative_variance(before)
    changed = total = 0
    for row in range(step):
        for column in range(step):
            plane = (slice(row, None, step), slice(column, None, step))
            ratio = (now.rows[plane] / np.maximum(before.rows[plane], 1)).astype(np.float32)
            length = min(_SEGMENT, ratio.shape[1])
            width = ratio.shape[1] // length * length
            segments = ratio[:, :width].reshape(-1, length)
            segments /= np.maximum(_lines(segments), np.float32(1e-6))
            limits = _SIGMAS**2 * variance[plane][:, :width].reshape(-1, length)
            changed += int(np.count_nonzero(np.square(segments - 1) > limits))
            total += segments.size
    cells = (now.cells / np.maximum(before.cells, np.float32(1))).astype(np.float32)
    structures = surface.structure_of_cells(cells)
    lost, found = surface.dust_shadows(structures), surface.dust_shadows(-structures)
    dust = surface.Dust(lost.share + found.share, max(lost.depth, found.depth))
    return Changes(None, changed / max(1, total), dust, structures)


def _lines(segments: Float32) -> Float32:
    """Return a line through each segment: the medians of its halves, continued."""
    length = segments.shape[1]
    half = max(1, length // 2)
    first, second = (
        np.median(part, axis=1, keepdims=True) for part in (segments[:, :half], segments[:, -half:])
    )
    places = (np.arange(length) - (half - 1) / 2) / max(1, length - half)
    lines: Float32 = (first + (second - first) * places).astype(np.float32)
    return lines


def _relative_variance(sketch: Sketch) -> Float32:
    """Return the variance of each pixel of a master flat over its level squared: shot noise."""
    level = max(float(np.median(sketch.rows)), 1.0)
    of_level = (sketch.noise_adu**2 + _ROUNDING) / sketch.frames / level
    return (of_level / np.maximum(sketch.rows, np.float32(1))).astype(np.float32)
