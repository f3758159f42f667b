"""Write camera raws: DNG files that LibRaw and Exiv2 read as those of a camera."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from math import isqrt
from pathlib import Path

import exiv2
import numpy as np
import tifffile

_COLOURS = {"R": 0, "G": 1, "B": 2}
_CFA, _LINEAR_RAW = 32803, 34892
_UNIT_MATRIX = tuple(number for value in (1, 0, 0, 0, 1, 0, 0, 0, 1) for number in (value, 1))

#: A frame of a camera that writes everything.
EXIF: Mapping[str, str] = {
    "Exif.Photo.ISOSpeedRatings": "800",
    "Exif.Photo.ExposureTime": "30/1",
    "Exif.Photo.DateTimeOriginal": "2026:01:15 22:03:04",
    "Exif.Photo.FocalLength": "135/1",
    "Exif.Photo.LensModel": "EF135mm f/2L USM",
    "Exif.Photo.BodySerialNumber": "0123",
    "Exif.CanonSi.CameraTemperature": "149",  # 21 degrees Celsius
}


def write_dng(
    path: Path,
    mosaic: np.ndarray,
    exif: Mapping[str, str] = EXIF,
    *,
    margins: tuple[int, int, int, int] = (0, 0, 0, 0),
    pattern: str = "RGGB",
    white: int = 16383,
    orientation: int = 1,
    model: str = "Canon EOS 6D",
) -> Path:
    """Write a mosaic as the visible area of a sensor.

    Parameters
    ----------
    path : Path
    mosaic : (height, width) array of uint16
        (height, width, 3) for an image of colours, which is no mosaic.
    exif : mapping of str to str
        Tags by their names in Exiv2.
    margins : tuple of int
        Number of rows and columns that are not visible: top, left, bottom, right.
    pattern : str
        Colours of a square that repeats in the visible area, row by row.
    white : int
    orientation : int
        How the camera was held: 1 is upright, 6 and 8 are turned.
    model : str
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    top, left, bottom, right = margins
    sides = ((top, bottom), (left, right), *[(0, 0)] * (mosaic.ndim - 2))
    sensor = np.pad(mosaic, sides, constant_values=7)
    is_mosaic = mosaic.ndim == 2
    tags = [
        (271, "s", 0, model.split()[0], True),
        (272, "s", 0, model, True),
        (274, "H", 1, orientation, True),
        (50706, "B", 4, (1, 4, 0, 0), True),
        (50707, "B", 4, (1, 1, 0, 0), True),
        (50708, "s", 0, model, True),
        (50714, "H", 1, 512, True),
        (50717, "H", 1 if is_mosaic else 3, white if is_mosaic else (white,) * 3, True),
        (50721, "2i", 9, _UNIT_MATRIX, True),
        (50778, "H", 1, 21, True),
        (50829, "I", 4, (top, left, top + mosaic.shape[0], left + mosaic.shape[1]), True),
    ]
    if is_mosaic:
        tags += [
            (33421, "H", 2, (isqrt(len(pattern)),) * 2, True),
            (33422, "B", len(pattern), bytes(_COLOURS[colour] for colour in pattern), True),
        ]
    tifffile.imwrite(
        path,
        sensor,
        photometric=_CFA if is_mosaic else _LINEAR_RAW,
        planarconfig=1,
        extratags=tags,
        metadata=None,
        software=False,
    )
    image = exiv2.ImageFactory.open(str(path))
    image.readMetadata()
    data = image.exifData()
    for name, value in exif.items():
        data[name] = value
    image.setExifData(data)
    image.writeMetadata()
    return path


def at(moment: str, **tags: str) -> dict[str, str]:
    """Return the tags of a frame that was taken at an ISO 8601 time; ``Exif.Photo`` is implied."""
    time = datetime.fromisoformat(moment).strftime("%Y:%m:%d %H:%M:%S")
    named = {f"Exif.Photo.{name}": value for name, value in tags.items()}
    return {**EXIF, "Exif.Photo.DateTimeOriginal": time, **named}
