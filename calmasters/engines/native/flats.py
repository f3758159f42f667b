"""Raw frames as a stack; flats are calibrated with their bias and dark masters when read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Final

import numpy as np

from calmasters.engines.native.compiled import kernels
from calmasters.engines.native.darks import DarkOptimizer
from calmasters.engines.native.integration import Codes, in_threads
from calmasters.engines.native.levels import location
from calmasters.engines.native.reference import Float32
from calmasters.images.open_frame import OpenedFrame
from calmasters.images.raw_frame import RawFrame

__all__ = ["Calibrator", "FrameLevel", "RawStack", "StoredFrame", "measure"]

_NO_SAMPLES: Final = np.empty(0, np.float32)

#: Samples of one read while a complete frame is read.
_READ_SAMPLES: Final = 1 << 19

#: Samples of a strip that is measured: in the cache.
_STRIP_SAMPLES: Final = 1 << 17

#: One of this many rows is used for the first estimate of a level; at least as many, if there are.
_GUESS_STEP: Final = 61


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

    def read(self, start: int, samples: Float32) -> None:
        """Read consecutive samples of all frames; see :class:`.integration.Stack`."""
        if self._are_codes:
            stored = np.empty(samples.shape, np.uint16)
            self._read_stored(start, stored)
            kernels().unpack(stored, samples, samples.size)
        else:
            self._read_any(start, samples)
        if self._calibrator:
            self._calibrator.apply(samples, start, self._factors)

    def read_codes(self, start: int, codes: Codes) -> None:
        """Read consecutive codes of all frames; see :class:`.integration.Stack`."""
        self._read_stored(start, codes)
        kernels().decode(codes, codes.size)

    def _read_stored(self, start: int, codes: Codes) -> None:
        for frame, row in zip(self._of_codes, codes, strict=True):
            frame.read_codes(start, row)

    def _read_any(self, start: int, samples: Float32) -> None:
        for index, (frame, row) in enumerate(zip(self._frames, samples, strict=True)):
            strip = frame.read(start, len(row))
            row[:] = strip.samples
            with self._lock:
                self.not_finite[index] += strip.not_finite


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
        memory = np.empty(frames[0].size, np.float32)
        for index in indices:
            frame = StoredFrame(frames[index], memory)
            levels[index] = _measure(frame, calibrator or Calibrator())

    in_threads(work, range(len(frames)), threads)
    return [levels[index] for index in range(len(frames))]


def _measure(frame: StoredFrame, calibrator: Calibrator) -> FrameLevel:
    k = float(calibrator.optimizer.fit(frame.rows)) if calibrator.optimizer else None
    factor = np.array([1.0 if k is None else k], np.float32)

    def calibrated(rows: Iterable[int], count: int) -> Iterator[Float32]:
        for row in rows:
            samples = frame.rows(row, count).reshape(1, -1)
            calibrator.apply(samples, row * frame.width, factor)
            yield samples[0]

    count = max(1, _STRIP_SAMPLES // frame.width)
    step = max(1, min(_GUESS_STEP, frame.height // _GUESS_STEP))
    guess = np.concatenate([*calibrated(range(0, frame.height, step), 1)])
    strips = partial(calibrated, range(0, frame.height, count), count)
    return FrameLevel(location(strips, guess, frame.height * frame.width), k)


class StoredFrame:
    """The samples of one frame in memory: 2 bytes for 16-bit samples, 4 for others.

    Parameters
    ----------
    frame : OpenedFrame
        Is read once.
    memory : (size,) array of float32
        Is used for the samples: new arrays for each frame would leave gaps in the memory.
    """

    def __init__(self, frame: OpenedFrame, memory: Float32) -> None:
        self.height, self.width = frame.height, frame.width
        parts = [slice(at, at + _READ_SAMPLES) for at in range(0, frame.size, _READ_SAMPLES)]
        self._samples: Callable[[slice], Float32]
        if isinstance(frame, RawFrame) and frame.format.is_uint16:
            codes = memory.view(np.uint16)[: frame.size]
            for part in parts:
                frame.read_codes(part.start, codes[part])
            self._samples = lambda part: _unpacked(codes[part])
        else:
            for part in parts:
                memory[part] = frame.read(part.start, len(memory[part])).samples
            self._samples = lambda part: memory[part].copy()

    def rows(self, start: int, count: int) -> Float32:
        """Return up to ``count`` rows from ``start`` on, as a new array."""
        part = slice(start * self.width, (start + count) * self.width)
        return self._samples(part).reshape(-1, self.width)


def _unpacked(codes: Codes) -> Float32:
    samples = np.empty(len(codes), np.float32)
    kernels().unpack(codes, samples, len(codes))
    return samples
