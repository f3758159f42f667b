"""Statistics of one pixel's stack, as kernels: the counterpart of ``reference.py``.

Functions take a sorted float32 stack ``x`` and allocate no memory: the caller provides ``work``.
The arithmetic is strict IEEE: no ``fastmath`` anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, TypeAlias, TypeVar, cast

import llvmlite.binding as llvm
import numpy as np
from numba import config, njit
from numpy.typing import NDArray

__all__ = [
    "inlined",
    "kernel",
    "mean",
    "median",
    "scale_sn",
    "standard_deviation",
    "winsorized_huber",
]

Floats: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]

Function = TypeVar("Function", bound=Callable[..., object])

SN_CORRECTION: Final = np.array([0.743, 1.851, 0.954, 1.351, 0.993, 1.198, 1.005, 1.131])
SN_TO_SIGMA: Final = 1.1926
HUBER_LIMIT: Final = 1.5
HUBER_CORRECTION: Final = 1.134
HUBER_TOLERANCE: Final = 0.0005


def kernel(function: Function) -> Function:
    """Compile a function; ``error_model`` gives IEEE division by zero, without branches.

    Only other kernels call it: there are no wrappers, which would double the time of compilation.
    """
    return _compiled(function)


def inlined(function: Function) -> Function:
    """Compile a kernel into each of its callers, also where LLVM alone would not."""
    return _compiled(function, forceinline=True)


def _use_long_vectors() -> None:
    """Have LLVM use vectors of 512 bits where there are: it prefers 256, a fifth slower here.

    numba takes over the processor's features with the first function that it is given.
    """
    features = llvm.get_host_cpu_features()
    if features.get("avx512f") and config.CPU_FEATURES is None:  # type: ignore[attr-defined]
        config.CPU_FEATURES = f"{features.flatten()},-prefer-256-bit"  # type: ignore[attr-defined]


_use_long_vectors()


def _compiled(function: Function, **more: Any) -> Function:
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, **more}
    return cast(Function, njit(error_model="numpy", nogil=True, **options)(function))


@kernel
def sort(values: Doubles) -> None:
    """Sort in place (Shell's method: short, and fast for stacks)."""
    gap = len(values) // 2
    while gap > 0:
        for i in range(gap, len(values)):
            value, j = values[i], i
            while j >= gap and values[j - gap] > value:
                values[j] = values[j - gap]
                j -= gap
            values[j] = value
        gap //= 2


@kernel
def mean(values: Doubles) -> float:
    """Return the arithmetic mean."""
    total = 0.0
    for value in values:
        total += value
    return total / len(values)


@kernel
def median(x: Floats) -> float:
    """Return the median of sorted samples; two middle samples are averaged in float32."""
    half = len(x) // 2
    if len(x) % 2:
        return np.float64(x[half])
    return np.float64(np.float32(x[half - 1] + x[half]) / np.float32(2))


@kernel
def standard_deviation(values: Doubles) -> float:
    """Return the two-pass standard deviation (n - 1), corrected for the rounding of the mean."""
    n = len(values)
    if n < 2:
        return 0.0
    centre = mean(values)
    squares = residue = 0.0
    for value in values:
        deviation = value - centre
        squares += deviation * deviation
        residue += deviation
    return math.sqrt((squares - residue * residue / n) / (n - 1))


@kernel
def sn_correction(n: int) -> float:
    """Return the correction factor of Sn for ``n`` samples."""
    if n < 10:
        return np.float64(SN_CORRECTION[n - 2])
    return n / (n - 0.9) if n % 2 else 1.0


@kernel
def scale_sn(x: Floats, work: Doubles) -> float:
    """Return Sn of Rousseeuw and Croux, not scaled to sigma.

    In a sorted stack the ``n // 2 + 1`` nearest neighbours of a sample are a window around it that
    moves to the right with the sample: no distances have to be sorted.
    """
    n = len(x)
    size = n // 2 + 1
    start = 0
    for i in range(n):
        here = np.float64(x[i])
        start = max(start, i - size + 1)
        while start + size < n and x[start + size] - here < here - x[start]:
            start += 1
        work[i] = max(here - x[start], x[start + size - 1] - here)
    sort(work[:n])
    return sn_correction(n) * np.float64(work[(n + 1) // 2 - 1])


@kernel
def winsorized_huber(x: Floats, cutoff: float, work: Doubles) -> tuple[float, float]:
    """Estimate centre and sigma of a sorted stack by repeated Winsorization."""
    n = len(x)
    centre = median(x)
    sigma = SN_TO_SIGMA * scale_sn(x, work)
    values = work[:n]
    for i in range(n):
        values[i] = x[i]
    steps = 0
    while 1 + sigma != 1:
        low, high = centre - HUBER_LIMIT * sigma, centre + HUBER_LIMIT * sigma
        far_low, far_high = centre - cutoff * sigma, centre + cutoff * sigma
        for i in range(n):
            if cutoff > 0 and (values[i] <= far_low or values[i] >= far_high):
                values[i] = centre
            else:
                values[i] = min(max(values[i], low), high)
        before, sigma = sigma, HUBER_CORRECTION * standard_deviation(values)
        centre = mean(values)
        steps += 1
        if steps > 1 and abs(before - sigma) / before < HUBER_TOLERANCE:
            break
    return centre, sigma
