"""Entry points of the kernels: C functions that take addresses, sizes and numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias, cast

import numpy as np
from numba import carray, cfunc, types  # type: ignore[attr-defined]

from calmasters.engines.native import loading, moments, tiles
from calmasters.engines.native.rejection import Scratch, integrate_strip, parameters_of
from calmasters.engines.native.sorting import Unit
from calmasters.engines.native.stack import kernel
from calmasters.engines.native.workspace import LANES, QUEUE, STATE_ROWS

__all__ = ["compiled", "machine_code"]

Address: TypeAlias = Any

_TYPES: Final = {
    **{"p": types.voidptr, "t": types.CPointer(types.voidptr), "i": types.int64},  # type: ignore[no-untyped-call]
    **{"d": types.float64, "f": types.float32},
}


def compiled(name: str, codes: str, *, is_cached: bool = False) -> Callable[..., None]:
    """Compile an entry point with these argument types to a function that ctypes calls.

    With ``is_cached`` it is loaded from numba's cache, or kept there. That must not be shared with
    other versions of the kernels: numba only notices changes of this module.
    """
    return cast(Callable[..., None], _compile(name, codes, is_cached).ctypes)


def machine_code(name: str, codes: str) -> tuple[str, bytes]:
    """Compile an entry point; return the name of its function and the object file."""
    function = _compile(name, codes, is_cached=False)
    # numba has no public interface to its object code; the caller falls back if this one fails.
    return function.native_name, function._library._get_compiled_object()


def _compile(name: str, codes: str, is_cached: bool) -> Any:
    signature = types.void(*(_TYPES[code] for code in codes))
    return cfunc(signature, error_model="numpy", cache=is_cached)(globals()[name])


def decode(stored: Address, size: int) -> None:
    """Decode stored 16-bit samples in place."""
    loading.decode(carray(stored, (size,), np.uint16))


def unpack(stored: Address, samples: Address, size: int) -> None:
    """Unpack stored 16-bit samples to real ones."""
    loading.unpack(carray(stored, (size,), np.uint16), carray(samples, (size,), np.float32))


def calibrate(
    samples: Address,
    n: int,
    count: int,
    bias: Address,
    bias_size: int,
    dark: Address,
    dark_size: int,
    factors: Address,
    pedestal: float,
) -> None:
    """Calibrate a run of ``count`` samples of each of n frames in place."""
    rows = carray(samples, (n, count), np.float32)
    k = carray(factors, (n,), np.float32)
    for i in range(n):
        loading.calibrate(
            rows[i],
            carray(bias, (bias_size,), np.float32),
            carray(dark, (dark_size,), np.float32),
            k[i],
            pedestal,
        )


def normalize(samples: Address, n: int, count: int, factors: Address, shifts: Address) -> None:
    """Normalize a run of ``count`` samples of each of n frames in place."""
    rows = carray(samples, (n, count), np.float32)
    factor, shift = carray(factors, (n,), np.float64), carray(shifts, (n,), np.float64)
    for i in range(n):
        loading.normalize(rows[i], factor[i], shift[i])


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
    inside_size: Address,
    counts: Address,
    extremes: Address,
) -> None:
    """Count samples, and copy those in a window: :func:`moments.survey`."""
    carray(inside_size, (1,), np.int64)[0] = moments.survey(
        carray(image, (size,), np.float32),
        low,
        high,
        window_low,
        window_high,
        carray(inside, (size + 1,), np.float32),
        carray(counts, (2 * moments.GROUP,), np.int32),
        carray(extremes, (3 * moments.GROUP,), np.float32),
    )


def cold_moments(
    target: Address, is_hot: Address, rows: int, columns: int, centre: float, sums: Address
) -> None:
    """Add pixels without thermal signal to sums of columns: :func:`moments.cold_moments`."""
    moments.cold_moments(
        carray(target, (rows, columns), np.float32),
        carray(is_hot, (rows, columns), np.bool_),
        centre,
        carray(sums, (2, columns), np.float64),
    )


def hot_moments(
    hot: Address, signal: Address, size: int, k: float, centre: float, sums: Address
) -> None:
    """Sum over pixels with thermal signal: :func:`moments.hot_moments`."""
    moments.hot_moments(
        carray(hot, (size,), np.float32),
        carray(signal, (size,), np.float32),
        k,
        centre,
        carray(sums, (2, moments.RUNS), np.float64),
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
    workspace: Address,
) -> None:
    """Combine a strip by any method: :func:`rejection.integrate_strip`."""
    carray(hidden, (1,), np.int64)[0] += integrate_strip(
        carray(values, (n, count), np.float32),
        carray(raws, (n, count), np.float32),
        parameters_of(carray(parameters, (9,), np.float64)),
        carray(esd_limits, (n + 1,), np.float64),
        carray(pixels, (count,), np.float32),
        carray(rejected, (2, count), np.int64),
        carray(by_frame, (2, n), np.int64),
        scratch_of(workspace, n),
    )


def _winsorize(sample_type: Any, unit: tuple[float, float, float]) -> Callable[..., None]:
    """Return the entry point for samples of one type."""
    coarse, fine, grain = (np.float32(number) for number in unit)
    state = STATE_ROWS * LANES

    def winsorize(
        samples: Address,
        n: int,
        count: int,
        parameters: Address,
        pixels: Address,
        lowest: Address,
        highest: Address,
        by_frame: Address,
        hidden: Address,
        memory: Address,
    ) -> None:
        stacks = carray(samples, (n, count), sample_type)
        outcome = tiles.Outcome(
            carray(pixels, (count,), np.float32),
            carray(lowest, (count,), sample_type),
            carray(highest, (count,), sample_type),
        )
        # In the order of workspace.py.
        tile = tiles.Tile(
            carray(memory[0], (n * LANES,), sample_type),
            carray(memory[1], ((n + 1) * LANES,), sample_type),
            carray(memory[2], (n * LANES,), np.float32),
            carray(memory[3], (state,), np.float32),
            carray(memory[4], (LANES,), np.int64),
            carray(memory[5], (LANES,), np.int64),
            carray(memory[6], (LANES,), np.float64),
            carray(memory[7], (n * LANES,), np.float64),
            carray(memory[8], ((n + 1) * LANES,), np.float64),
            carray(memory[9], (state,), np.float64),
        )
        queues = tiles.Queues(
            carray(memory[10], (QUEUE * n * (n + 1) // 2,), sample_type),
            carray(memory[11], (QUEUE * (n + 1),), np.int64),
            carray(memory[12], (n + 1,), np.int64),
            carray(memory[13], (count,), np.int64),
        )
        carray(hidden, (1,), np.int64)[0] += tiles.winsorize_strip(
            stacks,
            Unit(coarse, fine, grain),
            parameters_of(carray(parameters, (9,), np.float64)),
            outcome,
            tile,
            queues,
        )
        tiles.count_rejected(stacks, outcome, carray(by_frame, (2, n), np.int64))

    return winsorize


#: Combine a strip by fast Winsorized sigma clipping: :func:`tiles.winsorize_strip`. A sample is a
#: 16-bit code, or real.
winsorize_codes = _winsorize(np.uint16, (2.0**-16, 2.0**-16 / 65535, 2.0**-24))
winsorize = _winsorize(np.float32, (1.0, 0.0, 0.0))


@kernel
def scratch_of(workspace: Address, n: int) -> Scratch:
    """Lay out the scratch of a stack of ``n`` samples in ``8 * n`` float64.

    Views of other types start at the first byte, since compiled code that is loaded without numba
    cannot convert an array to another type.
    """
    doubles = carray(workspace, (8 * n,), np.float64)
    integers = carray(workspace, (8 * n,), np.int64)
    floats = carray(workspace, (16 * n,), np.float32)
    bytes_ = carray(workspace, (64 * n,), np.int8)
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
