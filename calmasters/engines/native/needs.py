"""What the native engine declares; ``tests/engines`` compare its memory with measurements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from calmasters.engines.needs import (
    MOST_THREADS,
    PYTHON_MB,
    EngineNeeds,
    any_packed,
    bytes_on_disk,
    image_bytes,
    pixels,
    sample_bytes,
    unsupported_setting,
)
from calmasters.frame import FrameType
from calmasters.model.job import MasterJob
from calmasters.settings import Settings

__all__ = ["COMBINATIONS", "NEEDS", "REJECTIONS", "NativeNeeds"]

#: In the order of their codes in ``rejection.py``, which imports numba; this module must not.
REJECTIONS: Final = (
    "NoRejection",
    "MinMax",
    "PercentileClip",
    "SigmaClip",
    "WinsorizedSigmaClip",
    "AveragedSigmaClip",
    "LinearFit",
    "Rejection_ESD",
)
COMBINATIONS: Final = ("Average", "Median", "Minimum", "Maximum")

_SUPPORTED: Final[Mapping[str, tuple[str, ...]]] = {
    "rejection": REJECTIONS,
    "combination": COMBINATIONS,
    "normalization": ("NoNormalization", "Additive", "Multiplicative"),
    "rejectionNormalization": ("NoRejectionNormalization", "EqualizeFluxes"),
    "weightMode": ("DontCare",),
}

#: A thread combines this many samples in one to two seconds; less work does not justify a thread.
_SAMPLES_PER_THREAD: Final = 1 << 27

#: Bytes per pixel: of the master and its median; of bias, dark and the search of the dark's factor;
#: of two rejection maps; of unpacking a frame.
_MASTER, _CALIBRATION, _MAPS, _UNPACKING = 5, 12, 8, 3

#: Samples that a thread reads at once: the minimum of all frames, the minimum of one frame.
_READ, _READ_OF_ONE = 1 << 20, 1 << 15
#: Bytes per sample of one frame of a layout while it is read: as stored, and as float64 twice.
_ASSEMBLING: Final = 24
#: Bytes of a thread besides the samples it reads.
_STRIP: Final = 1 << 21

#: Maximum number of times a frame is read: to measure its level, and to combine it.
_READINGS: Final = 2
#: Bytes per second of slow storage.
_SLOW_STORAGE: Final = 10_000_000


class NativeNeeds(EngineNeeds):
    """See :class:`calmasters.engines.needs.EngineNeeds`."""

    algorithm_version = 1

    def threads(self, job: MasterJob) -> int:
        """Return one thread for every one to two seconds of work."""
        samples = len(job.frames) * pixels(job.geometry)
        return min(MOST_THREADS, 1 + samples // _SAMPLES_PER_THREAD)

    def process_mb(self, job: MasterJob, threads: int) -> float:
        """Return the peak memory of the process, in 10^6 bytes.

        Notes
        -----
        The number of frames has little influence: a thread has a strip of all frames in memory, of
        2^20 samples or of 2^15 of each frame; twice, since one is read before the last is freed.
        """
        of_pixel = _MASTER + _MAPS * job.recipe.integration.generateRejectionMaps
        if job.type is FrameType.FLAT:
            of_pixel += sample_bytes(job) * threads  # each measures a frame in memory
        if job.bias or job.dark:
            of_pixel += _CALIBRATION
        if any_packed(job):
            of_pixel += _UNPACKING
        read = max(_READ, _READ_OF_ONE * len(job.frames))
        strips = threads * (2 * sample_bytes(job) * read + _STRIP)
        if job.geometry.layout:
            strips += threads * _ASSEMBLING * read // len(job.frames)
        return PYTHON_MB + (of_pixel * pixels(job.geometry) + strips) / 1e6

    def work_min(self, job: MasterJob, settings: Settings) -> float:
        """Return the minutes that reading takes on slow storage."""
        read = _READINGS * bytes_on_disk(job)
        return read / _SLOW_STORAGE / 60

    def map_bytes(self, job: MasterJob) -> int:
        """Return the disk space of the maps of low and high rejections."""
        return 2 * image_bytes(job) if job.recipe.integration.generateRejectionMaps else 0

    def unsupported(self, job: MasterJob) -> Iterator[str]:
        """Yield a sentence for each setting that only PixInsight supports."""
        where, settings = f"integration.{job.type.value}", job.recipe.integration
        for name, known in _SUPPORTED.items():
            value = getattr(settings, name)
            if value not in known:
                choices = f"{', '.join(known)}, or engine: pixinsight, which supports all"
                yield unsupported_setting(f"{where}.{name}", value, "native", choices)
        if settings.rejection == "Rejection_ESD":
            for name in ("clipLow", "clipHigh"):
                if not getattr(settings, name):
                    choices = "true with rejection: Rejection_ESD, which clips both sides"
                    yield unsupported_setting(f"{where}.{name}", False, "native", choices)


NEEDS: Final = NativeNeeds()
