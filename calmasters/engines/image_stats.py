"""Numbers about the pixels of a master."""

from __future__ import annotations

import math
from typing import Final, TypedDict

import numpy as np

from calmasters.frame import Geometry
from calmasters.images.raw_frame import Image

__all__ = ["Numbers", "noise", "numbers_of"]

#: Differences that are enough for a noise within a few parts in a thousand.
_ENOUGH: Final = 1 << 18


class Numbers(TypedDict):
    """What ``MasterStatistics`` tells of the pixels, in [0, 1]."""

    mean: float
    median: float
    minimum: float
    maximum: float
    noise: float


def numbers_of(image: Image, geometry: Geometry) -> Numbers:
    """Measure a master.

    Parameters
    ----------
    image : (height, width) array of float32
        In [0, 1].
    geometry : Geometry
        Whether it is a mosaic.
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
        Compare pixels two apart, which are of one colour in a Bayer mosaic.

    Returns
    -------
    float
        Standard deviation, in the image's unit; 0 for an image without neighbours.

    Notes
    -----
    ``1.4826 MAD(x[i + step] - x[i]) / sqrt(2)``, over evenly spaced rows of large images. What is
    fixed in the image but differs between neighbours counts as noise.
    """
    step = 2 if mosaic else 1
    every = math.ceil(image.size / _ENOUGH)
    rows = image[::every].astype(np.float64)
    differences = rows[:, step:] - rows[:, :-step]
    if differences.size == 0:
        return 0.0
    deviations = np.abs(differences - np.median(differences))
    return float(1.4826 * np.median(deviations) / math.sqrt(2))
