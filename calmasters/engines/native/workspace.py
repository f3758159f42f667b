"""The memory of a thread that combines strips: its layout, which Python and the kernels share."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["LANES", "QUEUE", "STATE_ROWS", "FastWorkspace"]

Array: TypeAlias = NDArray[Any]

#: Pixels side by side in a tile: a few vector registers; a tile of 100 frames fits the L1 cache.
LANES: Final = 128

#: Capacity of the queue of one size: a full tile, plus the pixels that one more tile can add; and
#: no power of two, since the samples of a pixel would then compete for the same few cache lines.
QUEUE: Final = 2 * LANES + 32

#: Rows of a tile's state: of the float32 steps, and of the float64 steps.
STATE_ROWS: Final = 16

#: Vectors that start at a cache line are read faster.
_ALIGNMENT: Final = 64


class FastWorkspace:
    """The memory of ``tiles.winsorize_strip``.

    Parameters
    ----------
    n : int
        Samples of a pixel.
    pixels : int
        Pixels of a strip.
    samples : dtype
        uint16 or float32.

    Attributes
    ----------
    addresses : array of uintp
        The addresses of its arrays, which live as long as it does.
    """

    def __init__(self, n: int, pixels: int, samples: DTypeLike) -> None:
        self._arrays = [
            _aligned(n * LANES, samples),  # Tile.x
            _aligned((n + 1) * LANES, samples),  # Tile.distances
            _aligned(n * LANES, np.float32),  # Tile.deviations
            _aligned(STATE_ROWS * LANES, np.float32),  # Tile.state
            _aligned(LANES, np.int64),  # Tile.pixel
            _aligned(LANES, np.int64),  # Tile.listed
            _aligned(LANES, np.float64),  # Tile.sums
            _aligned(n * LANES, np.float64),  # Tile.copies
            _aligned((n + 1) * LANES, np.float64),  # Tile.exact_distances
            _aligned(STATE_ROWS * LANES, np.float64),  # Tile.exact_state
            _aligned(QUEUE * n * (n + 1) // 2, samples),  # Queues.x
            _aligned(QUEUE * (n + 1), np.int64),  # Queues.pixel
            _aligned(n + 1, np.int64),  # Queues.length
            _aligned(pixels, np.int64),  # Queues.doubtful
        ]
        self.addresses = np.array([array.ctypes.data for array in self._arrays], np.uintp)


def _aligned(size: int, dtype: DTypeLike) -> Array:
    """Return an array of zeros whose memory is used only where it is written."""
    width = np.dtype(dtype).itemsize
    block = np.zeros(size * width + _ALIGNMENT, np.uint8)
    start = -block.ctypes.data % _ALIGNMENT
    return block[start : start + size * width].view(dtype)
