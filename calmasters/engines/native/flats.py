"""Raw frames as a stack; flats are calibrated with their bias and dark masters when read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Final

import numpy as np

from calmasters.engines.native.compiled import kernels
from calmasters.engines.native.darks import DarkOptimizer
from calmasters.engines.native.integration import Codes, Loader, in_threads
from calmasters.engines.native.levels import location
from calmasters.engines.native.reference import Float32
from calmasters.images.open_frame import OpenedFrame
from calmasters.images.raw_frame import RawFrame

__all__ = ["Calibrator", "FrameLevel", "RawStack", "measure"]

_NO_SAMPLES: Final = np.empty(0, np.float32)

#: Samples of one read while a complete frame is read.
_READ_SAMPLES: Final = 1 << 19


@dataclass(frozen=True, slots=True)
class Calibrator:
    """``target - (bias + k * dark)``, truncated to [0, 1].

    Attributes
    ----------
    bias, dark : (height, width) array of float32 or None
        The bias, if there is one, is already subtracted from the dark.
    pedestal : int
        Added to the result, 16-bit ADU.
    optimizer : DarkOptimizer or None
        Finds the factor of the dark; without it, the dark is not scaled.
    """

    bias: Float32 | None = None
    dark: Float32 | None = None
    pedestal: int = 0
    optimizer: DarkOptimizer | None = None

    def apply(self, samples: Float32, start: int, factors: Float32) -> None:
        """Calibrate consecutive samples in place.

        Parameters
        ----------
        samples : (n, count) array of float32
            Of n frames, from pixel ``start`` on.
        factors : (n,) array of float32
            k of each frame's dark.
        """
        n, count = samples.shape
        bias, dark = (
            _NO_SAMPLES if master is None else master.reshape(-1)[start : start + count]
            for master in (self.bias, self.dark)
        )
        pedestal = float(np.float32(self.pedestal / 65535))
        kernels().calibrate(samples, n, count, bias, len(bias), dark, len(dark), factors, pedestal)


class RawStack:
    """Opened raw frames as a stack to combine.

    Parameters
    ----------
    frames : sequence of OpenedFrame
        Of one size.
    calibrator : Calibrator, optional
        Calibrates the samples of each frame when they are read.
    factors : sequence of float or None, optional
        k of each frame's dark; 1 where there is none.
    """

    def __init__(
        self,
        frames: Sequence[OpenedFrame],
        calibrator: Calibrator | None = None,
        factors: Sequence[float | None] = (),
    ) -> None:
        self._frames, self._calibrator = frames, calibrator
        known = factors or [None] * len(frames)
        self._factors = np.array([1.0 if k is None else k for k in known], np.float32)
        self._of_codes = [
            frame for frame in frames if isinstance(frame, RawFrame) and frame.format.is_uint16
        ]
        self._lock = Lock()
        self.count = len(frames)
        self.size = frames[0].size
        self.not_finite = [0] * len(frames)
        self._are_codes = len(self._of_codes) == self.count
        self.has_codes = self._are_codes and calibrator is None

    def read(self, start: int, count: int) -> Loader:
        """Read consecutive samples of all frames; see :class:`.integration.Stack`."""
        fill = self._read_codes(start, count) if self._are_codes else self._read_any(start, count)

        def load(offset: int, samples: Float32) -> None:
            fill(offset, samples)
            if self._calibrator:
                self._calibrator.apply(samples, start + offset, self._factors)

        return load

    def read_codes(self, start: int, count: int) -> Codes:
        """Read consecutive codes of all frames; see :class:`.integration.Stack`."""
        codes = self._read_stored(start, count)
        kernels().decode(codes, codes.size)
        return codes

    def _read_stored(self, start: int, count: int) -> Codes:
        codes = np.empty((self.count, count), np.uint16)
        for frame, row in zip(self._of_codes, codes, strict=True):
            frame.read_codes(start, row)
        return codes

    def _read_codes(self, start: int, count: int) -> Loader:
        codes = self._read_stored(start, count)
        return lambda offset, samples: kernels().unpack(
            codes, count, offset, samples, *samples.shape
        )

    def _read_any(self, start: int, count: int) -> Loader:
        read = np.empty((self.count, count), np.float32)
        for index, (frame, row) in enumerate(zip(self._frames, read, strict=True)):
            not_finite = read_samples(frame, start, row)
            with self._lock:
                self.not_finite[index] += not_finite

        def fill(offset: int, samples: Float32) -> None:
            samples[:] = read[:, offset : offset + samples.shape[1]]

        return fill


def read_samples(frame: OpenedFrame, start: int, samples: Float32) -> int:
    """Read consecutive samples of a frame; return the number that were not finite."""
    if not (isinstance(frame, RawFrame) and frame.format.is_uint16):
        strip = frame.read(start, len(samples))
        samples[:] = strip.samples
        return strip.not_finite
    codes = np.empty(len(samples), np.uint16)
    frame.read_codes(start, codes)
    kernels().unpack(codes, len(codes), 0, samples, 1, len(codes))
    return 0


@dataclass(frozen=True, slots=True)
class FrameLevel:
    """The measurements of a frame before it is combined.

    Attributes
    ----------
    location : float or None
        Median of the calibrated frame.
    k : float or None
        Factor of the dark, where it was optimized.
    """

    location: float | None = None
    k: float | None = None


def measure(
    frames: Sequence[OpenedFrame], calibrator: Calibrator | None, threads: int
) -> list[FrameLevel]:
    """Measure the factor of the dark and the level of every frame."""
    levels: dict[int, FrameLevel] = {}

    def work(indices: Iterator[int]) -> None:
        image = np.empty((frames[0].height, frames[0].width), np.float32)
        for index in indices:
            _read_frame(frames[index], image)
            levels[index] = _measure(image, calibrator or Calibrator())

    in_threads(work, range(len(frames)), threads)
    return [levels[index] for index in range(len(frames))]


def _read_frame(frame: OpenedFrame, image: Float32) -> None:
    samples = image.reshape(-1)
    for start in range(0, samples.size, _READ_SAMPLES):
        read_samples(frame, start, samples[start : start + _READ_SAMPLES])


def _measure(image: Float32, calibrator: Calibrator) -> FrameLevel:
    """Measure a raw frame; it is calibrated in place."""
    k = float(calibrator.optimizer.fit(image)) if calibrator.optimizer else None
    factor = np.array([1.0 if k is None else k], np.float32)
    calibrator.apply(image.reshape(1, -1), 0, factor)
    return FrameLevel(location(image), k)
