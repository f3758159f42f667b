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
from calmasters.settings import Integration, Settings

__all__ = [
    "COMBINATIONS",
    "NEEDS",
    "REJECTIONS",
    "STRIP_PIXELS",
    "STRIP_SAMPLES",
    "NativeNeeds",
    "has_fast_kernel",
]

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

#: A thread reads and combines a strip at once: samples of all frames, and at least as many pixels.
#: Smaller reads are slow, and short strips leave many queues with few pixels.
STRIP_SAMPLES: Final = 1 << 20
STRIP_PIXELS: Final = 1 << 15
#: Bytes per sample of one frame of a layout while it is read: as stored, and as float64 twice.
_ASSEMBLING: Final = 24
#: Bytes of a thread besides its strip, and of its queues for each frame.
_THREAD, _QUEUES = 1 << 21, 1 << 16

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
        The number of frames has little influence: a thread has only a strip of them in memory.
        """
        of_pixel = _MASTER + _MAPS * job.recipe.integration.generateRejectionMaps
        if job.type is FrameType.FLAT:
            of_pixel += sample_bytes(job) * threads  # each measures a frame in memory
        if job.bias or job.dark:
            of_pixel += _CALIBRATION
        if any_packed(job):
            of_pixel += _UNPACKING
        frames = len(job.frames)
        samples = max(STRIP_SAMPLES, STRIP_PIXELS * frames)
        strips = threads * (_bytes_in_strip(job) * samples + _QUEUES * frames + _THREAD)
        if job.geometry.layout:
            strips += threads * _ASSEMBLING * samples // frames
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


def has_fast_kernel(settings: Integration) -> bool:
    """Whether the fast kernels support these settings."""
    chosen = settings.rejection, settings.combination
    ranged = settings.rangeClipLow or settings.rangeClipHigh
    return chosen == ("WinsorizedSigmaClip", "Average") and not ranged


def _bytes_in_strip(job: MasterJob) -> int:
    """Return the bytes of a sample of a strip: as stored, and as float32 where it is changed."""
    stored, settings = sample_bytes(job), job.recipe.integration
    if not has_fast_kernel(settings):
        return stored + 8  # output and rejection may use different samples
    if stored > 2 or job.bias or job.dark or settings.normalization != "NoNormalization":
        return stored + 4
    return stored


NEEDS: Final = NativeNeeds()
