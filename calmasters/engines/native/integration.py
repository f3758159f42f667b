"""Combine the frames of a stack, strip by strip, in threads."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from calmasters.engines.native.compiled import kernels
from calmasters.engines.native.needs import (
    COMBINATIONS,
    REJECTIONS,
    STRIP_PIXELS,
    STRIP_SAMPLES,
    has_fast_kernel,
)
from calmasters.engines.native.reference import Float32, Float64, esd_limit
from calmasters.engines.native.workspace import FastWorkspace
from calmasters.progress import JOB_PROGRESS
from calmasters.settings import Integration

__all__ = ["Integrated", "Normalization", "Stack", "in_threads", "integrate"]

Codes: TypeAlias = NDArray[np.uint16]
Counts: TypeAlias = NDArray[np.int64]
Samples: TypeAlias = NDArray[np.float32] | Codes


class Stack(Protocol):
    """Frames to combine: any source that reads their samples in strips."""

    @property
    def count(self) -> int:
        """Number of frames."""
        ...

    @property
    def size(self) -> int:
        """Number of pixels of a frame."""
        ...

    @property
    def has_codes(self) -> bool:
        """Whether the samples are 16-bit codes that nothing changes."""
        ...

    def read(self, start: int, samples: Float32) -> None:
        """Fill an array (frames, pixels) from pixel ``start`` on; threads can call it."""
        ...

    def read_codes(self, start: int, codes: Codes) -> None:
        """Fill an array of codes as ``read`` does."""
        ...


@dataclass(frozen=True, slots=True)
class Normalization:
    """Scaling of each frame to the level of the first, for rejection and for the output.

    Attributes
    ----------
    value_factors, raw_factors, raw_shifts : (n,) arrays of float64
    """

    value_factors: Float64
    raw_factors: Float64
    raw_shifts: Float64

    @classmethod
    def of(cls, settings: Integration, locations: Sequence[float]) -> Normalization:
        """Compute it from the levels of the frames, all above 0."""
        levels = np.array(locations)
        ones, zeros = np.ones(len(levels)), np.zeros(len(levels))
        equal = settings.rejectionNormalization == "EqualizeFluxes"
        factors, shifts = levels[0] / levels, levels[0] - levels
        return cls(
            factors if equal else ones,
            factors if settings.normalization == "Multiplicative" else ones,
            shifts if settings.normalization == "Additive" else zeros,
        )

    @classmethod
    def none(cls, frames: int) -> Normalization:
        """Return a normalization that changes nothing."""
        ones = np.ones(frames)
        return cls(ones, ones, np.zeros(frames))

    @property
    def same(self) -> bool:
        """Whether rejection and output use the same samples."""
        return not self.raw_shifts.any() and np.array_equal(self.value_factors, self.raw_factors)

    @property
    def is_none(self) -> bool:
        """Whether no sample changes."""
        return self.same and bool((self.raw_factors == 1).all())


@dataclass(frozen=True, slots=True)
class Integrated:
    """The result of an integration.

    Attributes
    ----------
    pixels : (size,) array of float32
        Before the range is fixed.
    low, high : (n,) arrays of int64
        Samples of each frame rejected as too low and too high.
    hidden : int
        Number of pixels whose outliers Winsorization cannot detect.
    maps : (2, size) array of float32 or None
        Share of each pixel's samples rejected as low and as high.
    """

    pixels: Float32
    low: Counts
    high: Counts
    hidden: int
    maps: Float32 | None


def integrate(
    stack: Stack,
    settings: Integration,
    normalization: Normalization,
    threads: int,
    *,
    exact: bool = False,
) -> Integrated:
    """Combine all frames of a stack; the result does not depend on ``threads``.

    ``exact`` combines pixel by pixel instead of by the fast kernels; the result is the same.
    """
    work = _Work(stack, settings, normalization, exact=exact)
    in_threads(work.strips, range(0, stack.size, work.strip), threads)
    return work.result()


def in_threads(work: Callable[[Iterator[int]], None], items: Iterable[int], threads: int) -> None:
    """Run ``work`` in several threads, which share one iterator over the items.

    Each call is one stage of the job's progress.
    """
    shared = _Shared(JOB_PROGRESS.stage(items))
    if threads == 1:
        work(shared)
        return
    with ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(work, shared) for _ in range(threads)]:
            future.result()


class _Shared:
    """An iterator that threads can share."""

    def __init__(self, items: Iterable[int]) -> None:
        self._items, self._lock = iter(items), Lock()

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        with self._lock:
            return next(self._items)


class _Work:
    """The strips of one integration and their results."""

    def __init__(
        self, stack: Stack, settings: Integration, normalization: Normalization, *, exact: bool
    ) -> None:
        self._stack, self._normalization = stack, normalization
        self._parameters = parameters(settings)
        self._limits = _esd_limits(settings, stack.count)
        self._pixels = np.empty(stack.size, np.float32)
        self._maps = (
            np.empty((2, stack.size), np.float32) if settings.generateRejectionMaps else None
        )
        self._by_frame = np.zeros((2, stack.count), np.int64)
        self._hidden = np.zeros(1, np.int64)
        self._lock = Lock()
        self._is_fast = not exact and normalization.same and has_fast_kernel(settings)
        self._uses_codes = self._is_fast and stack.has_codes and normalization.is_none
        self.strip = min(stack.size, max(STRIP_SAMPLES // stack.count, STRIP_PIXELS))

    def strips(self, starts: Iterator[int]) -> None:
        """Combine strips until none is left; runs in each thread."""
        n = self._stack.count
        sums = np.zeros((2, n), np.int64), np.zeros(1, np.int64)
        dtype = np.uint16 if self._uses_codes else np.float32
        buffer: NDArray[Any] = np.empty(n * self.strip, dtype)
        memory = FastWorkspace(n, self.strip, dtype) if self._is_fast else None
        workspace = memory.addresses if memory else np.empty(8 * n)
        for start in starts:
            count = min(self.strip, self._stack.size - start)
            samples = buffer[: n * count].reshape(n, count)
            if self._uses_codes:
                self._stack.read_codes(start, samples)
            else:
                self._stack.read(start, samples)
            combine = self._combine_fast if self._is_fast else self._combine
            combine(start, samples, *sums, workspace)
        with self._lock:
            self._by_frame += sums[0]
            self._hidden += sums[1]

    def _combine(
        self,
        start: int,
        values: Float32,
        by_frame: Counts,
        hidden: Counts,
        workspace: NDArray[Any],
    ) -> None:
        n, count = values.shape
        normalization = self._normalization
        raws = values
        if not normalization.same:
            raws = values.copy()
            _normalize(raws, normalization.raw_factors, normalization.raw_shifts)
        _normalize(values, normalization.value_factors)
        rejected = np.empty((2, count), np.int64)
        kernels().integrate(
            *(values, raws, n, count, self._parameters, self._limits),
            *(self._pixels[start : start + count], rejected, by_frame, hidden, workspace),
        )
        if self._maps is not None:
            self._maps[:, start : start + count] = rejected / n

    def _combine_fast(
        self,
        start: int,
        samples: Samples,
        by_frame: Counts,
        hidden: Counts,
        workspace: NDArray[Any],
    ) -> None:
        n, count = samples.shape
        _normalize(samples, self._normalization.value_factors)
        least, largest = (0, 0xFFFF) if self._uses_codes else (-math.inf, math.inf)
        lowest, highest = (np.full(count, end, samples.dtype) for end in (least, largest))
        winsorize = kernels().winsorize_codes if self._uses_codes else kernels().winsorize
        winsorize(
            *(samples, n, count, self._parameters),
            *(self._pixels[start : start + count], lowest, highest, by_frame, hidden, workspace),
        )
        if self._maps is not None:
            rejected = np.array([(samples < lowest).sum(axis=0), (samples > highest).sum(axis=0)])
            self._maps[:, start : start + count] = rejected / n

    def result(self) -> Integrated:
        """Return the results of all strips."""
        low, high = self._by_frame
        return Integrated(self._pixels, low, high, int(self._hidden[0]), self._maps)


def _normalize(samples: Samples, factors: Float64, shifts: Float64 | None = None) -> None:
    shifts = np.zeros(len(factors)) if shifts is None else shifts
    if shifts.any() or (factors != 1).any():
        kernels().normalize(samples, *samples.shape, factors, shifts)


def parameters(settings: Integration) -> Float64:
    """Return the settings in the order of ``rejection.Parameters``."""
    low, high = _limits(settings)
    values = (
        low if settings.clipLow else 0.0 if settings.rejection == "MinMax" else math.inf,
        high if settings.clipHigh else 0.0 if settings.rejection == "MinMax" else math.inf,
        settings.winsorizationCutoff,
        settings.esdOutliersFraction,
        settings.esdLowRelaxation,
        settings.rangeLow if settings.rangeClipLow else -math.inf,
        settings.rangeHigh if settings.rangeClipHigh else math.inf,
    )
    codes = REJECTIONS.index(settings.rejection), COMBINATIONS.index(settings.combination)
    return np.array([*codes, *np.array(values, np.float32)], np.float64)


def _limits(settings: Integration) -> tuple[float, float]:
    return {
        "MinMax": (settings.minMaxLow, settings.minMaxHigh),
        "PercentileClip": (settings.pcClipLow, settings.pcClipHigh),
        "LinearFit": (settings.linearFitLow, settings.linearFitHigh),
    }.get(settings.rejection, (settings.sigmaLow, settings.sigmaHigh))


def _esd_limits(settings: Integration, n: int) -> Float64:
    """Return the critical values of the ESD test by the number of samples left."""
    if settings.rejection != "Rejection_ESD":
        return np.zeros(n + 1)
    alpha = float(np.float32(settings.esdAlpha))
    return np.array([esd_limit(m, alpha) if m >= 3 else math.inf for m in range(n + 1)])
