"""Numbers about a master."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from calmasters.engines.native.reference import Float32

__all__ = ["noise"]

#: Differences that are enough for a noise within a few parts in a thousand.
_ENOUGH: Final = 1 << 18


def noise(image: Float32, *, mosaic: bool) -> float:
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
