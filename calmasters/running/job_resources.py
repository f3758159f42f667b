"""What making a master takes of a machine: threads, memory, time.

Snakemake plans with these numbers, and a cluster ends a job that exceeds them. Those of the native
engine and of Siril were measured and are tested; those of PixInsight are estimates from what its
parameters say that it holds (``docs/scale.md``).
"""

from __future__ import annotations

import math
from typing import Final

from calmasters.frame import FrameType, Geometry
from calmasters.model.job import MasterJob
from calmasters.settings import Settings

__all__ = [
    "measuring_mb",
    "memory_mb",
    "native_mb",
    "requested_mb",
    "runtime_min",
    "siril_mb",
    "threads",
]

#: One thread combines so many samples in a second or two: for less, another is not worth its start.
_SAMPLES_A_THREAD: Final = 1 << 27
_MOST_THREADS: Final = 4

#: Python with what an engine imports, of which LLVM is 50 to 110 by the state of the file cache;
#: and the two Snakemakes that a cluster's job runs in.
_PYTHON_MB: Final = 160
_SNAKEMAKE_MB: Final = 300
#: What is asked for beyond the measured.
_MARGIN: Final = 1.2

#: Bytes a pixel: of the master and its median; of each thread that measures a flat; of bias, dark
#: and what finds the dark's factor; of two rejection maps; of a packed frame while it is unpacked.
_MASTER, _LEVEL, _CALIBRATION, _MAPS, _UNPACKING = 5, 6, 18, 8, 3
#: Bytes a pixel while a master is measured and drawn.
_MEASURING: Final = 28
#: Samples of all frames together that are measured at most, and of one; bytes of each.
_SAMPLED, _SAMPLED_OF_ONE, _SAMPLE = 1 << 24, 1 << 19, 8

#: Samples that a thread reads at a time: of all frames at least, of one frame at least.
_READ, _READ_OF_ONE = 1 << 20, 1 << 15
#: Bytes of a thread besides what it reads.
_STRIP: Final = 1 << 21

#: Extensions of frames that are unpacked before they are read.
_PACKED: Final = (".fz", ".gz", ".xisf")

#: PixInsight by its own parameters: itself, ``stackSizeMB``, ``bufferSizeMB`` of each frame.
_PIXINSIGHT_MB, _STACK_MB, _BUFFER_MB = 2000, 1024, 16
#: Bytes a pixel of the images it holds: frame, bias, dark, calibrated, master and maps, as float32.
_PIXINSIGHT_IMAGES: Final = 32

#: Siril itself; bytes a pixel of its result, and of the images of the process that runs it.
_SIRIL_MB: Final = 60
_SIRIL_IMAGES: Final = 4 + 11

#: A job may wait for its node and for slow storage: minutes in any case, and bytes a second.
_START_MIN: Final = 10
_SLOW_STORAGE: Final = 10_000_000
#: A frame is read at most so often: to measure its level, and to combine it.
_READINGS: Final = 2


def threads(job: MasterJob) -> int:
    """Tell how many threads are worth having: one for each second or two of work, four at most."""
    if job.recipe.engine != "native":
        return _MOST_THREADS
    samples = len(job.frames) * _pixels(job.geometry)
    return min(_MOST_THREADS, 1 + samples // _SAMPLES_A_THREAD)


def memory_mb(job: MasterJob, threads: int) -> int:
    """Tell the memory to ask for to make a master, in 10^6 bytes.

    Parameters
    ----------
    job : MasterJob
    threads : int
        How many the job was given.
    """
    if job.recipe.engine == "pixinsight":
        return requested_mb(_pixinsight_mb(job))
    if job.recipe.engine == "siril":
        return requested_mb(siril_mb(job))
    return requested_mb(native_mb(job, threads))


def requested_mb(process_mb: float) -> int:
    """Add a margin to the memory of a process, and the Snakemakes around it on a cluster."""
    return _SNAKEMAKE_MB + math.ceil(_MARGIN * process_mb)


def native_mb(job: MasterJob, threads: int) -> float:
    """Tell the peak memory of the native engine's process, in 10^6 bytes.

    Notes
    -----
    The number of frames hardly counts: a thread holds a strip of all frames, of 2^20 samples or of
    2^15 of each frame, twice since one is read before the last is let go.
    """
    of_pixel = _MASTER + _MAPS * job.recipe.integration.generateRejectionMaps
    if job.type is FrameType.FLAT:
        of_pixel += _LEVEL * threads
    if job.bias or job.dark:
        of_pixel += _CALIBRATION
    if _any_packed(job):
        of_pixel += _UNPACKING
    read = max(_READ, _READ_OF_ONE * len(job.frames))
    strips = threads * (2 * _sample_bytes(job) * read + _STRIP)
    return _PYTHON_MB + (of_pixel * _pixels(job.geometry) + strips) / 1e6


def siril_mb(job: MasterJob) -> float:
    """Tell the peak memory of Siril and of the process that runs it together, in 10^6 bytes.

    Notes
    -----
    Siril holds all frames of a master at once: as 16 bits where they are linked, as floats where
    they are calibrated or rewritten first.
    """
    as_floats = job.bias or job.dark or _any_packed(job)
    of_pixel = len(job.frames) * (4 if as_floats else _sample_bytes(job)) + _SIRIL_IMAGES
    return _PYTHON_MB + _SIRIL_MB + of_pixel * _pixels(job.geometry) / 1e6


def measuring_mb(geometry: Geometry, frames: int) -> float:
    """Tell the peak memory of a process that measures a master of so many frames, 10^6 bytes."""
    sampled = min(_SAMPLED, frames * min(_SAMPLED_OF_ONE, _pixels(geometry)))
    return _PYTHON_MB + (_MEASURING * _pixels(geometry) + _SAMPLE * sampled) / 1e6


def runtime_min(job: MasterJob, settings: Settings) -> int:
    """Tell after how many minutes a job must have ended, be its storage ever so slow.

    PixInsight is ended by its own limit, after as many starts as are allowed; so is Siril.
    """
    if job.recipe.engine == "pixinsight":
        options = settings.pixinsight
        return _START_MIN + math.ceil(options.timeout_minutes * (1 + options.retries))
    if job.recipe.engine == "siril":
        return _START_MIN + math.ceil(settings.siril.timeout_minutes)
    read = _READINGS * sum(frame.size for frame in job.frames)
    return _START_MIN + math.ceil(read / _SLOW_STORAGE / 60)


def _pixels(geometry: Geometry) -> int:
    return geometry.width * geometry.height


def _any_packed(job: MasterJob) -> bool:
    return any(frame.path.lower().endswith(_PACKED) for frame in job.frames)


def _sample_bytes(job: MasterJob) -> int:
    """Bytes of a sample as it is kept while strips are read: codes as they are, others as float."""
    largest = max(frame.size for frame in job.frames)
    return 2 if largest < 3 * _pixels(job.geometry) else 4


def _pixinsight_mb(job: MasterJob) -> float:
    images = _PIXINSIGHT_IMAGES * _pixels(job.geometry) / 1e6
    return _PIXINSIGHT_MB + _STACK_MB + _BUFFER_MB * len(job.frames) + images
