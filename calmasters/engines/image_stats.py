"""The numbers of a master that another program has made."""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from calmasters.engines.native.statistics import noise
from calmasters.frame import Geometry
from calmasters.images.raw_frame import Image

__all__ = ["Numbers", "numbers_of"]


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
