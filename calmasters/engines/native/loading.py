"""From stored samples to stacks, as kernels: unpacking, calibration, normalization."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from calmasters.engines.native.stack import Floats, kernel

__all__ = ["box_mean", "calibrate", "decode", "normalize", "unpack"]

Codes: TypeAlias = NDArray[np.uint16]


@kernel
def decode(stored: Codes) -> None:
    """Turn big-endian 16-bit FITS samples with BZERO 32768 into codes, in place."""
    for i in range(len(stored)):
        stored[i] = ((stored[i] >> 8) | ((stored[i] & 0xFF) << 8)) ^ 0x8000


@kernel
def unpack(stored: Codes, samples: Floats) -> None:
    """Turn big-endian 16-bit FITS samples with BZERO 32768 into float32 in [0, 1].

    The quotient of two float32 numbers is the float32 nearest to code / 65535, for every code.
    """
    for i in range(len(stored)):
        code = ((stored[i] >> 8) | ((stored[i] & 0xFF) << 8)) ^ 0x8000
        samples[i] = np.float32(code) / np.float32(65535)


@kernel
def calibrate(samples: Floats, bias: Floats, dark: Floats, k: float, pedestal: float) -> None:
    """Calibrate samples in place: ``sample - (bias + k * dark)``, truncated to [0, 1].

    A ``bias`` or ``dark`` of length 0 is not subtracted.
    """
    zero, one = np.float32(0), np.float32(1)
    for i in range(len(samples)):
        sample = samples[i]
        if len(dark) > 0:
            scaled = k * dark[i]
            sample -= bias[i] + scaled if len(bias) > 0 else scaled
        elif len(bias) > 0:
            sample -= bias[i]
        sample += pedestal
        samples[i] = min(max(sample, zero), one)


@kernel
def normalize(samples: Floats, factor: float, shift: float) -> None:
    """Multiply samples by a factor or shift samples other than 0, rounded to float32."""
    if factor != 1:
        for i in range(len(samples)):
            samples[i] = samples[i] * factor
    if shift != 0:
        for i in range(len(samples)):
            samples[i] = samples[i] + shift if samples[i] != 0 else np.float32(0)


@kernel
def box_mean(image: Floats, means: Floats) -> None:
    """Compute the mean of each 2 x 2 cell; an odd last row or column is dropped."""
    for y in range(means.shape[0]):
        for x in range(means.shape[1]):
            above = np.float64(image[2 * y, 2 * x]) + image[2 * y, 2 * x + 1]
            below = np.float64(image[2 * y + 1, 2 * x])
            means[y, x] = (above + below + image[2 * y + 1, 2 * x + 1]) / 4
