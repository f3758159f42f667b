"""What a job takes of a machine: threads, memory, time.

Snakemake plans with these numbers, and a cluster ends a job that exceeds them. What its engine
needs is declared by the engine (:mod:`calmasters.engines.needs`, ``docs/scale.md``); what every job
needs besides is here.
"""

from __future__ import annotations

import math
from typing import Final

from calmasters.engines import needs_of
from calmasters.engines.needs import PYTHON_MB, pixels
from calmasters.frame import Geometry
from calmasters.model.job import MasterJob
from calmasters.settings import Settings

__all__ = ["measuring_mb", "memory_mb", "requested_mb", "runtime_min", "threads"]

#: The two Snakemakes that a cluster's job runs in.
_SNAKEMAKE_MB: Final = 300
#: What is asked for beyond the measured.
_MARGIN: Final = 1.2

#: Bytes a pixel while a master is measured and drawn.
_MEASURING: Final = 28
#: Samples of all frames together that are measured at most, and of one; bytes of each.
_SAMPLED, _SAMPLED_OF_ONE, _SAMPLE = 1 << 24, 1 << 19, 8

#: Minutes that a job may wait for its node.
_START_MIN: Final = 10


def threads(job: MasterJob) -> int:
    """Give the number of threads that are worth having."""
    return needs_of(job.recipe.engine).threads(job)


def memory_mb(job: MasterJob, threads: int) -> int:
    """Give the memory to ask for to make a master, in 10^6 bytes.

    Parameters
    ----------
    job : MasterJob
    threads : int
        How many the job was given.
    """
    return requested_mb(needs_of(job.recipe.engine).process_mb(job, threads))


def requested_mb(process_mb: float) -> int:
    """Add a margin to the memory of a process, and the Snakemakes around it on a cluster."""
    return _SNAKEMAKE_MB + math.ceil(_MARGIN * process_mb)


def measuring_mb(geometry: Geometry, frames: int) -> float:
    """Give the peak memory of a process that measures a master of n frames, in 10^6 bytes."""
    sampled = min(_SAMPLED, frames * min(_SAMPLED_OF_ONE, pixels(geometry)))
    return PYTHON_MB + (_MEASURING * pixels(geometry) + _SAMPLE * sampled) / 1e6


def runtime_min(job: MasterJob, settings: Settings) -> int:
    """Give the minutes after which a job must have ended, on slow storage too."""
    return _START_MIN + math.ceil(needs_of(job.recipe.engine).work_min(job, settings))
