"""Rows of a tile, and their order: the sorting network.

A *tile* holds the samples of :data:`LANES` pixels side by side: row ``k`` has the sample of rank
``k`` of each pixel (*lane*). Each step of the fast kernels is a loop over the lanes of some rows,
which the compiler turns into vector instructions. That works for arrays of uint16, float32 and
float64 alike, under four conditions, which all these loops observe:

* the number of lanes is a constant, and all rows of one kind are one array;
* an index is not negative for the compiler (:func:`natural`): support for negative indices is a
  branch at each access;
* ``any`` is a boolean (``found |= …``): a count is a sum in order, or needs conversions;
* a function called in a loop takes arrays and numbers, no tuple of arrays.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np

from calmasters.engines.native.stack import kernel
from calmasters.engines.native.workspace import LANES

__all__ = ["Rows", "Unit", "natural", "offset", "real", "sort_rows"]

#: Rows of a tile, one after the other: uint16, float32 or float64.
Rows: TypeAlias = Any


class Unit(NamedTuple):
    """How a stored sample becomes a real one; see :func:`real`."""

    coarse: np.float32
    fine: np.float32
    grain: np.float32  # relative error of the real sample: 2^-24 where it was rounded, or 0


@kernel
def real(sample: Any, unit: Unit) -> np.float32:
    """Return a sample in [0, 1].

    code / 65535 is code * 2^-16 + code * 2^-16 / 65535; for every 16-bit code the sum is the
    nearest float32 (tested). Samples that are float32 already stay the same (coarse 1, fine 0).
    """
    number = np.float32(sample)
    return np.float32(number * unit.coarse + number * unit.fine)


@kernel
def natural(index: int) -> int:
    """Return an index; the mask shows the compiler that it is not negative."""
    return index & (2**40 - 1)


@kernel
def offset(rank: int) -> int:
    """Return the start of a row."""
    return natural(rank * LANES)


@kernel
def order_rows(x: Rows, a: int, b: int, count: int) -> None:
    """Order ``count`` pairs of rows from ``a`` and ``b`` on: the smaller sample goes to ``a``."""
    for k in range(count):
        at, to = offset(a + k), offset(b + k)
        for lane in range(LANES):
            one, other = x[at + lane], x[to + lane]
            x[at + lane] = one if one < other else other
            x[to + lane] = other if one < other else one


@kernel
def sort_rows(x: Rows, first: int, n: int) -> None:
    """Sort ``n`` rows from ``first`` on in each lane, by Batcher's odd-even merging network."""
    p = 1
    while p < n:
        k = p
        while k >= 1:
            for j in range(k & (p - 1), n - k, 2 * k):
                if (j + k) & (2 * p - 1) != 0:
                    order_rows(x, first + j, first + j + k, min(k, n - k - j))
            k //= 2
        p *= 2
