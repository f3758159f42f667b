"""Compile the kernels before the first job: ``python -m calmasters.engines.native``."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from calmasters.engines.native.compiled import SIGNATURES, prepare

if __name__ == "__main__":
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        # The last ones take longest.
        for _ in pool.map(prepare, [*SIGNATURES][::-1]):
            pass
