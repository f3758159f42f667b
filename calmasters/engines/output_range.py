"""The range of a master: how all engines treat samples outside [0, 1]."""

from __future__ import annotations

import numpy as np

from calmasters.images.raw_frame import Image

__all__ = ["fix_range"]


def fix_range(image: Image, truncate: bool) -> Image:
    """Bring an image with samples outside [0, 1] back into this range, as ImageIntegration does.

    ``truncate`` clips; otherwise an image with negative samples is rescaled from its minimum
    and maximum, and one that only exceeds 1 is divided by its maximum.
    """
    low, high = image.min(), image.max()
    if low >= 0 and high <= 1:
        return image
    if truncate:
        return np.clip(image, np.float32(0), np.float32(1))
    if low < 0:
        return np.asarray((image - low) / (high - low), np.float32)
    return np.asarray(image / high, np.float32)
