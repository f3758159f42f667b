"""A trial of the kernels without numba, on systems where nobody has tested that.

Machine code that a system cannot link ends the process. So ``python -m
calmasters.engines.native.trial`` links and runs it in a process of its own, once after it was
compiled (``compiled.works_alone``), and compares its results with the reference implementation.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final

import numpy as np

from calmasters.engines.native.integration import Codes, Normalization, integrate
from calmasters.engines.native.reference import Float32, integrate_pixel, normalized
from calmasters.settings import Integration

__all__ = ["differences"]

_FRAMES: Final = 11
_PIXELS: Final = 700
#: The code of white.
_WHITE: Final = 65535
_METHODS: Final = ("WinsorizedSigmaClip", "SigmaClip", "AveragedSigmaClip", "LinearFit", "MinMax")


class _Frames:
    """Frames of 16-bit codes in memory, read as an engine reads files."""

    def __init__(self, codes: Codes) -> None:
        self._codes, self._samples = codes, (codes / _WHITE).astype(np.float32)
        self.count, self.size = codes.shape
        self.has_codes = True

    def read_codes(self, start: int, codes: Codes) -> None:
        codes[:] = self._codes[:, start : start + codes.shape[1]]

    def read(self, start: int, samples: Float32) -> None:
        samples[:] = self._samples[:, start : start + samples.shape[1]]


def differences() -> Iterator[str]:
    """Name the methods whose results are not those of the reference, to the bit."""
    random = np.random.default_rng(1)
    codes = random.normal(0.1 * _WHITE, 0.002 * _WHITE, (_FRAMES, _PIXELS)).astype(np.uint16)
    codes[random.integers(0, _FRAMES, 60), random.integers(0, _PIXELS, 60)] = 0.9 * _WHITE
    samples = (codes / _WHITE).astype(np.float32)
    levels = [float(level) for level in np.linspace(0.1, 0.12, _FRAMES)]
    for rejection in _METHODS:
        for normalization in ("NoNormalization", "Multiplicative", "Additive"):
            settings = Integration(rejection=rejection, normalization=normalization)
            raws = np.array(
                [
                    normalized(frame, levels[0], level, normalization)
                    for frame, level in zip(samples, levels, strict=True)
                ]
            )
            expected = [
                integrate_pixel(value, raw, settings).value
                for value, raw in zip(samples.T, raws.T, strict=True)
            ]
            chosen = Normalization.of(settings, levels)
            for exact in (False, True):
                made = integrate(_Frames(codes), settings, chosen, threads=1, exact=exact)
                if made.pixels.tobytes() != np.array(expected, np.float32).tobytes():
                    yield f"{rejection}, {normalization}"


if __name__ == "__main__":
    sys.exit("; ".join(differences()) or None)
