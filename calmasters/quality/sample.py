"""The same rows of every frame: enough pixels for every number, whatever the size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from calmasters.errors import FrameError
from calmasters.frame import Geometry
from calmasters.images.raw_frame import RawFrame

__all__ = ["ADU", "Float32", "Sample"]

Float32: TypeAlias = NDArray[np.float32]

#: Full scale of the 16-bit range that all levels are told in.
ADU: Final = 65535.0

#: Samples that are enough of one frame (a variance within 0.2 %), and of all frames together.
_OF_A_FRAME: Final = 1 << 19
_OF_ALL: Final = 1 << 24

#: Rows read together; even, so that a band holds whole cells of a Bayer mosaic.
_BAND: Final = 8


@dataclass(frozen=True)
class Sample:
    """Evenly spaced bands of rows, of every frame of a group.

    Attributes
    ----------
    frames : (frames, rows, columns) array of float32
        ADU of the 16-bit range.
    rows : tuple of int
        Which rows of a frame these are.
    mosaic : bool
        Pixels two apart are of one colour.
    """

    frames: Float32
    rows: tuple[int, ...]
    mosaic: bool = False

    @classmethod
    def read(cls, paths: Sequence[Path], geometry: Geometry, float_range: str) -> Self:
        """Read a group's frames.

        Raises
        ------
        FrameError
            If a frame cannot be read or has another size.
        """
        starts, height = _bands(geometry, len(paths))
        frames = np.empty((len(paths), len(starts) * height, geometry.width), np.float32)
        for path, target in zip(paths, frames, strict=True):
            _read_bands(path, geometry, float_range, starts, target)
        rows = tuple(start + row for start in starts for row in range(height))
        return cls(frames, rows, geometry.bayerpat is not None)

    def of(self, image: Float32) -> Float32:
        """Give the same rows of a master, in ADU.

        Parameters
        ----------
        image : (height, width) array of float32
            In [0, 1].
        """
        return image[list(self.rows)] * np.float32(ADU)

    def less(self, bias: Float32 | float) -> Self:
        """Subtract a bias, ADU, from all frames."""
        return replace(self, frames=self.frames - np.float32(bias))

    def planes(self) -> Iterator[Float32]:
        """Give the frames by colour: four planes of a mosaic, else all pixels as one."""
        if not self.mosaic:
            yield self.frames
            return
        for row in range(2):
            for column in range(2):
                yield self.frames[:, row::2, column::2]


def _bands(geometry: Geometry, frames: int) -> tuple[list[int], int]:
    """Choose where bands start, and how many rows each has: one band where all fits."""
    wanted = min(_OF_A_FRAME, _OF_ALL // frames) // geometry.width
    if wanted >= geometry.height or geometry.height < 2 * _BAND:
        return [0], geometry.height
    last = geometry.height - _BAND
    places = np.linspace(0, last, max(2, wanted // _BAND))
    return sorted({int(place) // 2 * 2 for place in places}), _BAND


def _read_bands(
    path: Path, geometry: Geometry, float_range: str, starts: Sequence[int], target: Float32
) -> None:
    with RawFrame(path, float_range) as frame:
        if (frame.width, frame.height) != (geometry.width, geometry.height):
            raise FrameError(
                f"measuring {path}: it has {frame.width}x{frame.height} pixels where "
                f"{geometry.width}x{geometry.height} were expected; run again to plan anew"
            )
        bands = target.reshape(len(starts), -1)
        for start, band in zip(starts, bands, strict=True):
            np.multiply(frame.read(start * frame.width, band.size).samples, ADU, out=band)
