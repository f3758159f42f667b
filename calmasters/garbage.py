"""Python's search for cyclic garbage, put off where there is none."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["without_collection"]


@contextmanager
def without_collection() -> Iterator[None]:
    """Keep the collector of cyclic garbage from what a block makes: it would find nothing in it.

    It would look at every frame several times, a fifth of the time that a plan takes; and again
    when the process ends, at all that there is: a third of a second where that is Snakemake's.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
