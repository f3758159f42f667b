"""What an engine declares: the resources of a job, and the settings that it does not support.

Each engine has a module ``needs`` with an object ``NEEDS`` that implements :class:`EngineNeeds`
(:func:`calmasters.engines.needs_of` loads it). Every run of the workflow imports it, so it imports
neither NumPy nor the engine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol, runtime_checkable

from calmasters.frame import RAW_EXTENSIONS, FrameType, Geometry, needs_copy, split_plane
from calmasters.model.job import MasterJob
from calmasters.settings import Integration, Settings

__all__ = [
    "MOST_THREADS",
    "PACKED",
    "PYTHON_MB",
    "EngineNeeds",
    "any_packed",
    "bytes_on_disk",
    "calibrated_flats_bytes",
    "image_bytes",
    "pixels",
    "rewritten_frames_bytes",
    "sample_bytes",
    "unsupported_setting",
]

#: Maximum number of threads of a job.
MOST_THREADS: Final = 4

#: Memory of Python with the imports of an engine, in 10^6 bytes: 45 on x86-64 Linux, and 50 more
#: where llvmlite links the kernels.
PYTHON_MB: Final = 95

#: Bytes of a sample of a master, or of a calibrated flat: float32.
_SAMPLE_BYTES: Final = 4

#: Extensions of packed files.
PACKED: Final = (".fz", ".gz", ".bz2", ".xisf")


@runtime_checkable
class EngineNeeds(Protocol):
    """What an engine declares; its class inherits the defaults from this one.

    Attributes
    ----------
    algorithm_version : int
        Part of every job. Raise it when the engine's output pixels change: its masters are then
        rebuilt.
    slots : mapping of str to int
        Snakemake resources that a job uses, which count the programs that the engine starts. The
        profile limits how many run at once.
    keeps_calibrated : bool
        Whether the engine supports ``calibrated.keep``: calibrated flats are kept.
    counts_rejected : bool
        Whether the engine counts the rejected samples of each frame.
    agreeing_rejection : str
        A rejection with the same rule as in the native engine, for comparisons with it.
    agreement : float
        Largest difference from the native engine with that rejection that is no fault, as a share
        of a pixel's level.
    """

    algorithm_version: int
    slots: Mapping[str, int] = {}
    keeps_calibrated: bool = False
    counts_rejected: bool = True
    agreeing_rejection: str = "WinsorizedSigmaClip"
    agreement: float = 0.0

    def threads(self, job: MasterJob) -> int:
        """Return the useful number of threads, at most :data:`MOST_THREADS`."""
        return MOST_THREADS

    def process_mb(self, job: MasterJob, threads: int) -> float:
        """Return the peak memory of all processes of a job together, in 10^6 bytes.

        Parameters
        ----------
        job : MasterJob
        threads : int
            Number of threads of the job.
        """
        ...

    def work_min(self, job: MasterJob, settings: Settings) -> float:
        """Return the maximum duration of a job in minutes, also on slow storage."""
        ...

    def map_bytes(self, job: MasterJob) -> int:
        """Return the disk space in bytes of the rejection maps that are written with a master."""
        return 0

    def calibrated_bytes(self, job: MasterJob) -> int:
        """Return the disk space in bytes of the calibrated flats that are written to files."""
        return 0

    def rewritten_bytes(self, job: MasterJob) -> int:
        """Return the disk space in bytes of frames that are written to files for the engine."""
        return 0

    def unsupported(self, job: MasterJob) -> Iterator[str]:
        """Yield a sentence for each setting or file of a job that the engine does not support.

        See :func:`unsupported_setting`.
        """
        ...

    def missing(self, settings: Settings) -> Iterator[str]:
        """Yield a sentence for each program that the engine needs and that is not usable here."""
        yield from ()

    def program_details(self, settings: Settings) -> Mapping[str, str]:
        """Return what a bug report should say about the program and how it is started.

        Raises
        ------
        ConfigError
            If the program is not found.
        """
        return {}

    def fewest_frames(self, integration: Integration) -> int:
        """Return the smallest number of frames that the engine combines with these settings."""
        return 5 if integration.rejection == "LinearFit" else 3

    def pixel_parameters(self, settings: Settings) -> Mapping[str, Mapping[str, Any]]:
        """Return the engine's own parameters that decide pixels; they become part of the recipe."""
        return {}

    def begin_session(self, settings: Settings) -> Callable[[], object] | None:
        """Start the process that makes all masters of a run on this machine, if there is one.

        Returns
        -------
        callable or None
            Ends the process. None if every job starts its own.
        """
        return None


def unsupported_setting(key: str, value: object, engine: str, choices: str) -> str:
    """Return the sentence that an engine does not support a setting, and what to choose.

    Parameters
    ----------
    key : str
        As in the configuration: ``integration.flat.rejection``.
    value : object
        Its value.
    engine : str
    choices : str
        The supported values.
    """
    text = str(value).lower() if isinstance(value, bool) else value
    return f"{key}: {text} is not supported by engine {engine}; choose {choices}"


def pixels(geometry: Geometry) -> int:
    """Return the number of pixels of a frame."""
    return geometry.width * geometry.height


def image_bytes(job: MasterJob) -> int:
    """Return the disk space of an image of a job's size: a master, a map, a calibrated flat."""
    return pixels(job.geometry) * _SAMPLE_BYTES


def calibrated_flats_bytes(job: MasterJob) -> int:
    """Return the disk space of a job's calibrated flats, for an engine that writes files."""
    is_calibrated = job.type is FrameType.FLAT and (job.bias or job.dark)
    return len(job.frames) * image_bytes(job) if is_calibrated else 0


def rewritten_frames_bytes(job: MasterJob) -> int:
    """Return the disk space of the frames of a job that are written as plain files."""
    if job.geometry.layout:
        return len(job.frames) * image_bytes(job)
    copies = sum(needs_copy(frame.path) for frame in job.frames)
    return copies * pixels(job.geometry) * sample_bytes(job)


def any_packed(job: MasterJob) -> bool:
    """Return whether any frame of the job is unpacked before it is read."""
    return any(frame.path.lower().endswith(PACKED + RAW_EXTENSIONS) for frame in job.frames)


def sample_bytes(job: MasterJob) -> int:
    """Return the bytes of a sample in memory: 16-bit codes are kept, others become float32."""
    if job.geometry.layout:
        return 4
    files = Counter(split_plane(frame.path)[0] for frame in job.frames)
    largest = max(frame.size / files[split_plane(frame.path)[0]] for frame in job.frames)
    return 2 if largest < 3 * pixels(job.geometry) else 4


def bytes_on_disk(job: MasterJob) -> int:
    """Return the size of all files with frames of a job; a series is one file."""
    return sum({split_plane(frame.path)[0]: frame.size for frame in job.frames}.values())
