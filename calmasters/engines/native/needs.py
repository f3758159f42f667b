"""What the native engine declares; its memory was measured, and ``tests/engines`` measure it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from calmasters.engines.needs import (
    MOST_THREADS,
    PYTHON_MB,
    EngineNeeds,
    any_packed,
    image_bytes,
    pixels,
    sample_bytes,
    unsupported_setting,
)
from calmasters.frame import FrameType
from calmasters.model.job import MasterJob
from calmasters.settings import Settings

__all__ = ["COMBINATIONS", "NEEDS", "REJECTIONS", "NativeNeeds"]

#: In the order of their codes in ``rejection.py`` (which imports numba, and this module must not).
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

#: One thread combines so many samples in a second or two: for less, another is not worth its start.
_SAMPLES_A_THREAD: Final = 1 << 27

#: Bytes a pixel: of the master and its median; of each thread that measures a flat; of bias, dark
#: and what finds the dark's factor; of two rejection maps; of a packed frame while it is unpacked.
_MASTER, _LEVEL, _CALIBRATION, _MAPS, _UNPACKING = 5, 6, 18, 8, 3

#: Samples that a thread reads at a time: of all frames at least, of one frame at least.
_READ, _READ_OF_ONE = 1 << 20, 1 << 15
#: Bytes of a thread besides what it reads.
_STRIP: Final = 1 << 21

#: A frame is read at most this many times: to measure its level, and to combine it.
_READINGS: Final = 2
#: Bytes a second that slow storage gives.
_SLOW_STORAGE: Final = 10_000_000


class NativeNeeds(EngineNeeds):
    """See :class:`calmasters.engines.needs.EngineNeeds`."""

    algorithm_version = 1

    def threads(self, job: MasterJob) -> int:
        """Give one thread for each second or two of work."""
        samples = len(job.frames) * pixels(job.geometry)
        return min(MOST_THREADS, 1 + samples // _SAMPLES_A_THREAD)

    def process_mb(self, job: MasterJob, threads: int) -> float:
        """Give the peak memory of the process, in 10^6 bytes.

        Notes
        -----
        The number of frames hardly counts: a thread holds a strip of all frames, of 2^20 samples
        or of 2^15 of each frame, twice since one is read before the last is let go.
        """
        of_pixel = _MASTER + _MAPS * job.recipe.integration.generateRejectionMaps
        if job.type is FrameType.FLAT:
            of_pixel += _LEVEL * threads
        if job.bias or job.dark:
            of_pixel += _CALIBRATION
        if any_packed(job):
            of_pixel += _UNPACKING
        read = max(_READ, _READ_OF_ONE * len(job.frames))
        strips = threads * (2 * sample_bytes(job) * read + _STRIP)
        return PYTHON_MB + (of_pixel * pixels(job.geometry) + strips) / 1e6

    def work_min(self, job: MasterJob, settings: Settings) -> float:
        """Give the minutes that reading takes on slow storage."""
        read = _READINGS * sum(frame.size for frame in job.frames)
        return read / _SLOW_STORAGE / 60

    def map_bytes(self, job: MasterJob) -> int:
        """Give the disk space of a map of low and one of high rejections."""
        return 2 * image_bytes(job) if job.recipe.integration.generateRejectionMaps else 0

    def unsupported(self, job: MasterJob) -> Iterator[str]:
        """Give a sentence for each setting that PixInsight has and this engine has not."""
        where, settings = f"integration.{job.type.value}", job.recipe.integration
        for name, known in _SUPPORTED.items():
            value = getattr(settings, name)
            if value not in known:
                choices = f"{', '.join(known)}, or engine: pixinsight, which has them all"
                yield unsupported_setting(f"{where}.{name}", value, "native", choices)
        if settings.rejection == "Rejection_ESD":
            for name in ("clipLow", "clipHigh"):
                if not getattr(settings, name):
                    choices = "true with rejection: Rejection_ESD, which clips both sides"
                    yield unsupported_setting(f"{where}.{name}", False, "native", choices)


NEEDS: Final = NativeNeeds()
