"""Entry points of the kernels: C functions that take addresses, sizes and numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias, cast

import numpy as np
from numba import carray, cfunc, types  # type: ignore[attr-defined]

from calmasters.engines.native import loading
from calmasters.engines.native.compiled import SIGNATURES
from calmasters.engines.native.moments import cold_moments as _cold_moments
from calmasters.engines.native.moments import survey as _survey
from calmasters.engines.native.rejection import (
    Scratch,
    integrate_strip,
    parameters_of,
)
from calmasters.engines.native.stack import kernel

__all__ = ["compiled", "machine_code"]

Address: TypeAlias = Any

_TYPES: Final = {"p": types.voidptr, "i": types.int64, "d": types.float64, "f": types.float32}


def compiled(name: str) -> Callable[..., None]:
    """Compile an entry point to a function that ctypes calls."""
    return cast(Callable[..., None], _compile(name).ctypes)


def machine_code(name: str) -> tuple[str, bytes]:
    """Compile an entry point to an object file: the name of the function, and the file."""
    function = _compile(name)
    # numba has no public way to its object code; whoever asks falls back where this one ends.
    return function.native_name, function._library._get_compiled_object()


def _compile(name: str) -> Any:
    signature = types.void(*(_TYPES[code] for code in SIGNATURES[name]))
    return cfunc(signature, error_model="numpy")(globals()[name])


def unpack(stored: Address, size: int, samples: Address) -> None:
    loading.unpack(carray(stored, (size,), np.uint16), carray(samples, (size,), np.float32))


def calibrate(
    samples: Address,
    size: int,
    bias: Address,
    bias_size: int,
    dark: Address,
    dark_size: int,
    k: float,
    pedestal: float,
) -> None:
    loading.calibrate(
        carray(samples, (size,), np.float32),
        carray(bias, (bias_size,), np.float32),
        carray(dark, (dark_size,), np.float32),
        k,
        pedestal,
    )


def normalize(samples: Address, size: int, factor: float, shift: float) -> None:
    loading.normalize(carray(samples, (size,), np.float32), factor, shift)


def box_mean(image: Address, rows: int, columns: int, means: Address) -> None:
    loading.box_mean(
        carray(image, (rows, columns), np.float32),
        carray(means, (rows // 2, columns // 2), np.float32),
    )


def survey(
    image: Address,
    size: int,
    low: float,
    high: float,
    window_low: float,
    window_high: float,
    inside: Address,
    found: Address,
) -> None:
    _survey(
        carray(image, (size,), np.float32),
        low,
        high,
        window_low,
        window_high,
        carray(inside, (size,), np.float32),
        carray(found, (5,), np.float64),
    )


def cold_moments(
    target: Address, dark: Address, rows: int, columns: int, centre: float, sums: Address
) -> None:
    _cold_moments(
        carray(target, (rows, columns), np.float32),
        carray(dark, (rows, columns), np.float32),
        centre,
        carray(sums, (2,), np.float64),
    )


def integrate(
    values: Address,
    raws: Address,
    n: int,
    count: int,
    parameters: Address,
    esd_limits: Address,
    pixels: Address,
    rejected: Address,
    by_frame: Address,
    hidden: Address,
    room: Address,
) -> None:
    hides = carray(hidden, (1,), np.int64)
    hides[0] += integrate_strip(
        carray(values, (n, count), np.float32),
        carray(raws, (n, count), np.float32),
        parameters_of(carray(parameters, (9,), np.float64)),
        carray(esd_limits, (n + 1,), np.float64),
        carray(pixels, (count,), np.float32),
        carray(rejected, (2, count), np.int64),
        carray(by_frame, (2, n), np.int64),
        scratch_of(room, n),
    )


@kernel
def scratch_of(room: Address, n: int) -> Scratch:
    """Divide ``8 * n`` float64 of room into the scratch of a stack of ``n`` samples."""
    doubles = carray(room, (8 * n,), np.float64)
    integers = carray(room, (8 * n,), np.int64)
    floats = carray(room, (16 * n,), np.float32)
    bytes_ = carray(room, (64 * n,), np.int8)
    return Scratch(
        order=integers[:n],
        ranks=integers[n : 2 * n],
        x=floats[4 * n : 5 * n],
        kept=floats[6 * n : 7 * n],
        rank_fates=bytes_[32 * n : 33 * n],
        fates=bytes_[40 * n : 41 * n],
        work=doubles[6 * n : 7 * n],
        slopes=doubles[7 * n :],
    )
