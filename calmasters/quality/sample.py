"""Sample the same rows of every frame: enough pixels for every number, at bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from calmasters.errors import FrameError
from calmasters.frame import Geometry
from calmasters.images.open_frame import OpenedFrame, open_frame

__all__ = ["ADU", "Float32", "FrameSample", "bands"]

Float32: TypeAlias = NDArray[np.float32]

#: Full scale of the 16-bit range, the unit of all levels.
ADU: Final = 65535.0

#: Pixels to read of one frame (the variance is then within 0.2 %), and of all frames together.
_FRAME_PIXELS: Final = 1 << 19
_TOTAL_PIXELS: Final = 1 << 24

#: Rows of a band, of one colour: those of a tile (``regions``).
_BAND_ROWS: Final = 16


@dataclass(frozen=True)
class FrameSample:
    """Evenly spaced bands of rows, of every frame of a group.

    Attributes
    ----------
    frames : (frames, rows, columns) array of float32
        ADU of the 16-bit range.
    rows : tuple of int
        Their indices in the frame.
    mosaic : bool
        Whether pixels two apart have the same colour.
    """

    frames: Float32
    rows: tuple[int, ...]
    mosaic: bool = False

    @classmethod
    def read(
        cls,
        paths: Sequence[Path],
        geometry: Geometry,
        float_range: str,
        pedestal_adu: float = 0.0,
    ) -> Self:
        """Read a group's frames.

        Parameters
        ----------
        paths : sequence of Path
        geometry : Geometry
        float_range, pedestal_adu : str, float
            As :func:`~calmasters.images.open_frame.open_frame` takes them.

        Raises
        ------
        FrameError
            If a frame cannot be read or has another size.
        """
        starts, height = bands(geometry, len(paths))
        frames = np.empty((len(paths), len(starts) * height, geometry.width), np.float32)
        for path, target in zip(paths, frames, strict=True):
            with open_frame(path, float_range, geometry.layout, pedestal_adu) as frame:
                _read_rows(path, frame, geometry, starts, target)
        rows = tuple(start + row for start in starts for row in range(height))
        return cls(frames, rows, geometry.bayerpat is not None)

    def of(self, image: Float32) -> Float32:
        """Return the same rows of a master, in ADU.

        Parameters
        ----------
        image : (height, width) array of float32
            In [0, 1].
        """
        return image[list(self.rows)] * np.float32(ADU)

    def less(self, bias: Float32 | float) -> Self:
        """Return the sample with a bias, ADU, subtracted from all frames."""
        return replace(self, frames=self.frames - np.float32(bias))


def bands(geometry: Geometry, frames: int) -> tuple[list[int], int]:
    """Return the first row of each band, and the rows of a band; one band if all rows fit."""
    wanted = min(_FRAME_PIXELS, _TOTAL_PIXELS // frames) // geometry.width
    band = _BAND_ROWS * (2 if geometry.bayerpat else 1)
    if wanted >= geometry.height or geometry.height < 2 * band:
        return [0], geometry.height
    last = geometry.height - band
    starts = np.linspace(0, last, max(2, wanted // band))
    return sorted({int(start) // 2 * 2 for start in starts}), band


def _read_rows(
    path: Path, frame: OpenedFrame, geometry: Geometry, starts: Sequence[int], target: Float32
) -> None:
    if (frame.width, frame.height) != (geometry.width, geometry.height):
        raise FrameError(
            f"measuring {path}: it has {frame.width}x{frame.height} pixels, expected "
            f"{geometry.width}x{geometry.height}: the file has changed, run again"
        )
    bands = target.reshape(len(starts), -1)
    for start, band in zip(starts, bands, strict=True):
        np.multiply(frame.read(start * frame.width, band.size).samples, ADU, out=band)
