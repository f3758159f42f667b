"""Statistics of the pixels of a master."""

from __future__ import annotations

import math
from typing import Final, TypedDict

import numpy as np

from calmasters.frame import Geometry
from calmasters.images.raw_frame import Image

__all__ = ["PixelStatistics", "noise", "pixel_statistics"]

#: Number of differences that gives the noise to a few parts in a thousand.
_ENOUGH_DIFFERENCES: Final = 1 << 18


class PixelStatistics(TypedDict):
    """The pixel statistics of ``MasterStatistics``, in [0, 1]."""

    mean: float
    median: float
    minimum: float
    maximum: float
    noise: float


def pixel_statistics(image: Image, geometry: Geometry) -> PixelStatistics:
    """Measure the pixels of a master.

    Parameters
    ----------
    image : (height, width) array of float32
        In [0, 1].
    geometry : Geometry
        Its ``bayerpat`` marks a Bayer mosaic.
    """
    return {
        "mean": float(image.mean(dtype=np.float64)),
        "median": float(np.median(image)),
        "minimum": float(image.min()),
        "maximum": float(image.max()),
        "noise": noise(image, mosaic=geometry.bayerpat is not None),
    }


def noise(image: Image, *, mosaic: bool) -> float:
    """Estimate the random noise of an image from differences of neighbours.

    Parameters
    ----------
    image : (height, width) array of float32
    mosaic : bool
        Compare pixels two apart, which have the same colour in a Bayer mosaic.

    Returns
    -------
    float
        Standard deviation, in the image's unit; 0 for an image without neighbours.

    Notes
    -----
    ``1.4826 MAD(x[i + step] - x[i]) / sqrt(2)``, over evenly spaced rows of large images. Fixed
    patterns that differ between neighbours count as noise.
    """
    step = 2 if mosaic else 1
    row_step = math.ceil(image.size / _ENOUGH_DIFFERENCES)
    rows = image[::row_step].astype(np.float64)
    differences = rows[:, step:] - rows[:, :-step]
    if differences.size == 0:
        return 0.0
    deviations = np.abs(differences - np.median(differences))
    return float(1.4826 * np.median(deviations) / math.sqrt(2))
