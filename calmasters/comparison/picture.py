"""A small picture of where two masters differ."""

from __future__ import annotations

import math
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image as PillowImage

from calmasters.atomic_files import replacing
from calmasters.images.raw_frame import Image

__all__ = ["reduced", "write_picture"]

#: Largest longer side, and the side up to which the picture of a small master is enlarged.
_LARGEST, _SMALLEST = 480, 240
_HIGHER, _LOWER = np.array([217, 72, 56]), np.array([64, 128, 240])
#: The smallest difference is still seen.
_FAINTEST: Final = 0.25


def write_picture(path: Path, difference: Image) -> None:
    """Draw a difference, whole or not at all: red where higher, blue where lower, else grey.

    Parameters
    ----------
    path : Path
        A WebP file.
    difference : (height, width) array of float32
        The largest one has the full colour.
    """
    small = reduced(difference, math.ceil(max(difference.shape) / _LARGEST))
    strength = np.abs(small) / np.abs(small).max()
    strength = np.where(small != 0, _FAINTEST + (1 - _FAINTEST) * strength, 0)[..., np.newaxis]
    colours = np.where((small > 0)[..., np.newaxis], _HIGHER, _LOWER)
    pixels = np.rint(strength * colours + (1 - strength) * 235).astype(np.uint8)
    picture = PillowImage.fromarray(pixels)
    factor = max(1, _SMALLEST // max(picture.size))
    size = (picture.width * factor, picture.height * factor)
    data = BytesIO()
    picture.resize(size, PillowImage.Resampling.NEAREST).save(data, "WEBP", lossless=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(data.getbuffer())


def reduced(difference: Image, factor: int) -> Image:
    """Reduce an image by a factor; of the pixels that become one, the largest difference remains.

    A mean would hide a single pixel.
    """
    height, width = difference.shape
    padded = np.pad(difference, ((0, -height % factor), (0, -width % factor)))
    blocks = padded.reshape(padded.shape[0] // factor, factor, padded.shape[1] // factor, factor)
    highest, lowest = blocks.max(axis=(1, 3)), blocks.min(axis=(1, 3))
    strongest: Image = np.where(highest >= -lowest, highest, lowest)
    return strongest
