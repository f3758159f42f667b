"""Previews of a master: stretched, and small enough for a page."""

from __future__ import annotations

import math
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calmasters.atomic_files import remove, replacing
from calmasters.model.layout import PICTURES, picture_path
from calmasters.quality.changes import Changes
from calmasters.quality.surface import structure

__all__ = [
    "Pictures",
    "auto_stretch",
    "is_blank",
    "reduction",
    "sections",
    "write_change",
    "write_pictures",
]

Float32: TypeAlias = NDArray[np.float32]
Grey: TypeAlias = NDArray[np.uint8]

#: Defaults of PixInsight's STF AutoStretch: shadows clipping in sigmas, and target background.
_SHADOWS: Final = -2.8
_BACKGROUND: Final = 0.25

#: Largest longer side of an overview, and side of each of the nine sections at 1:1, pixels.
_OVERVIEW: Final = 960
_SECTION: Final = 200

#: Structures that are darker or brighter by this share have the full colour.
_STRUCTURE_RANGE: Final = 0.02
#: A structure can be seen where it has this share of the full colour.
_VISIBLE: Final = 0.1
_BRIGHTER, _DARKER = (217.0, 72.0, 56.0), (64.0, 128.0, 240.0)


@dataclass(frozen=True)
class Pictures:
    """The files of a master's pictures.

    Attributes
    ----------
    overview : Path
        The complete master, reduced to 960 pixels where it is larger (WebP).
    sections : Path
        Nine sections of the master at 1:1 (WebP).
    structure : Path
        Structures such as dust, rings and bands; blue is dark, red is bright (WebP).
    full : Path
        The complete master at 1:1 (JPEG).
    """

    overview: Path
    sections: Path
    structure: Path
    full: Path

    @classmethod
    def of(cls, output_dir: Path, name: str) -> Self:
        """Return the files of the pictures of a master, by its name."""
        return cls(*(output_dir / picture_path(name, ending) for ending in PICTURES))

    @property
    def change(self) -> Path:
        """What changed since the master before (WebP); there is none without one."""
        return self.full.with_name(f"{self.full.stem}_change.webp")


def auto_stretch(image: Float32) -> Grey:
    """Stretch an image as PixInsight's STF AutoStretch does.

    Parameters
    ----------
    image : (height, width) array of float32
        In [0, 1].

    Returns
    -------
    (height, width) array of uint8

    Notes
    -----
    Shadows are clipped at ``median - 2.8 x 1.4826 MAD``; the midtones transfer function
    ``MTF(m, x) = (m - 1) x / ((2 m - 1) x - m)`` (XISF 1.0, section 8.5.7) then takes the
    median to 0.25.
    """
    thinned = image.ravel()[:: max(1, image.size >> 20)]
    middle = float(np.median(thinned))
    deviation = 1.4826 * float(np.median(np.abs(thinned - middle)))
    shadows = min(max(0.0, middle + _SHADOWS * max(deviation, 1e-6)), 1 - 1e-6)
    background = np.clip([(middle - shadows) / (1 - shadows)], 1e-6, 1 - 1e-6)
    balance = _midtones(_BACKGROUND, background)[0]
    codes = np.arange(65536, dtype=np.float64) / 65535
    clipped = np.clip((codes - shadows) / (1 - shadows), 0, 1)
    table: Grey = np.rint(255 * _midtones(balance, clipped)).astype(np.uint8)
    stretched: Grey = table[np.rint(np.clip(image, 0, 1) * np.float32(65535)).astype(np.uint16)]
    return stretched


def _midtones(balance: float, value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Apply the midtones transfer function."""
    result: NDArray[np.float64] = (balance - 1) * value / ((2 * balance - 1) * value - balance)
    return result


def sections(image: Grey) -> Grey:
    """Return nine sections: corners, middles of the sides, centre; white lines between them.

    An image that is not larger than three sections is returned without sections.
    """
    if min(image.shape) <= 3 * _SECTION:
        return image[: 3 * _SECTION, : 3 * _SECTION]
    side, lined = _SECTION, _SECTION + 2
    mosaic = np.full((3 * lined - 2, 3 * lined - 2), 255, np.uint8)
    down, across = (np.linspace(0, length - side, 3).astype(int) for length in image.shape)
    for row, y in enumerate(down):
        for column, x in enumerate(across):
            top, left = row * lined, column * lined
            mosaic[top : top + side, left : left + side] = image[y : y + side, x : x + side]
    return mosaic


def reduction(height: int, width: int) -> int:
    """Return how many pixels of a master, in x and in y, one pixel of its overview covers."""
    return math.ceil(max(height, width) / _OVERVIEW)


def write_pictures(image: Float32, pictures: Pictures) -> None:
    """Write all pictures of a master, each whole or not at all.

    Parameters
    ----------
    image : (height, width) array of float32
        In [0, 1].
    pictures : Pictures
    """
    stretched = auto_stretch(image)
    picture = Image.fromarray(stretched)
    factor = reduction(*image.shape)
    _save(pictures.overview, picture.reduce(factor) if factor > 1 else picture, "WEBP", 55)
    _save(pictures.sections, Image.fromarray(sections(stretched)), "WEBP", 55)
    _save(pictures.structure, _coloured(structure(image)), "WEBP", 70)
    _save(pictures.full, picture, "JPEG", 85)


def write_change(path: Path, changes: Changes | None) -> None:
    """Write the picture of what changed since the master before; without one, remove it.

    Parameters
    ----------
    path : Path
    changes : Changes or None
    """
    if changes is None:
        remove(path)
        return
    # Flats show 2 %, the others 6 sigmas in full colour.
    scale = 1.0 if changes.dust else _STRUCTURE_RANGE
    _save(path, _coloured(changes.picture * np.float32(scale)), "WEBP", 70)


def is_blank(path: Path) -> bool:
    """Return whether a reader sees nothing in a picture: one grey, or no visible colour."""
    with Image.open(path) as picture:
        seen = picture.convert("RGBA" if picture.has_transparency_data else "L")
    pixels = np.asarray(seen)
    if pixels.ndim > 2:
        return bool(pixels[..., 3].max() < 255 * _VISIBLE)
    # WebP changes a grey by 1.
    return bool(np.ptp(pixels) <= 2)


def _coloured(structures: Float32) -> Image.Image:
    """Colour structures: blue where darker than the surroundings, red where brighter.

    Elsewhere the picture is transparent, for light and dark pages.
    """
    value = np.clip(structures / np.float32(_STRUCTURE_RANGE), -1, 1)
    colours = np.where((value > 0)[..., None], _BRIGHTER, _DARKER)
    opacity = 255 * np.abs(value)[..., None]
    rgba = np.rint(np.concatenate([colours, opacity], axis=-1)).astype(np.uint8)
    picture = Image.fromarray(rgba)
    factor = max(1, 512 // picture.width)
    return picture.resize(
        (picture.width * factor, picture.height * factor), Image.Resampling.NEAREST
    )


def _save(path: Path, picture: Image.Image, kind: str, quality: int) -> None:
    # In memory first, since Pillow seeks in the file it writes.
    data = BytesIO()
    picture.save(data, kind, quality=quality)
    with replacing(path) as file:
        file.write(data.getbuffer())
