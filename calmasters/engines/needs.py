"""What an engine declares before it is loaded: what a job takes of the machine, what it refuses.

Each engine has a module ``needs`` with an object ``NEEDS`` that fulfils :class:`EngineNeeds`
(:func:`calmasters.engines.needs_of` finds it). Every run of the workflow imports it, so it imports
neither NumPy nor the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol, runtime_checkable

from calmasters.frame import FrameType, Geometry
from calmasters.model.job import MasterJob
from calmasters.settings import Settings

__all__ = [
    "MOST_THREADS",
    "PYTHON_MB",
    "EngineNeeds",
    "any_packed",
    "calibrated_flats_bytes",
    "image_bytes",
    "pixels",
    "sample_bytes",
    "unsupported_setting",
]

#: Threads of a job, at most.
MOST_THREADS: Final = 4

#: Memory of Python with what an engine imports, in 10^6 bytes, of which LLVM is 50 to 110 by the
#: state of the file cache.
PYTHON_MB: Final = 160

#: Bytes of a sample of a master, or of a calibrated flat: float32.
_SAMPLE_BYTES: Final = 4

#: Extensions of frames that are unpacked before they are read.
_PACKED: Final = (".fz", ".gz", ".xisf")


@runtime_checkable
class EngineNeeds(Protocol):
    """What an engine declares; an engine's class inherits what it does not declare otherwise.

    Attributes
    ----------
    algorithm_version : int
        Part of every job. Raise it when the engine's output pixels change: its masters are made
        again.
    slots : mapping of str to int
        What a job takes of Snakemake resources that count the programs which an engine starts: the
        profile says how many may run at once.
    keeps_calibrated : bool
        Whether calibrated flats stay where the configuration asks for that (``calibrated.keep``).
    """

    algorithm_version: int
    slots: Mapping[str, int] = {}
    keeps_calibrated: bool = False

    def threads(self, job: MasterJob) -> int:
        """Give the number of threads that are worth having, :data:`MOST_THREADS` at most."""
        return MOST_THREADS

    def process_mb(self, job: MasterJob, threads: int) -> float:
        """Give the peak memory of all processes of a job together, in 10^6 bytes.

        Parameters
        ----------
        job : MasterJob
        threads : int
            How many the job was given.
        """
        ...

    def work_min(self, job: MasterJob, settings: Settings) -> float:
        """Give the minutes after which the work of a job must have ended, on slow storage too."""
        ...

    def map_bytes(self, job: MasterJob) -> int:
        """Give the disk space of the rejection maps that are written beside a master."""
        return 0

    def calibrated_bytes(self, job: MasterJob) -> int:
        """Give the disk space of the calibrated flats that are written before they are combined."""
        return 0

    def unsupported(self, job: MasterJob) -> Iterator[str]:
        """Give a sentence for each setting of a job that the engine does not support.

        See :func:`unsupported_setting`.
        """
        ...

    def pixel_parameters(self, settings: Settings) -> Mapping[str, Mapping[str, Any]]:
        """Give the engine's own parameters that decide pixels: they become part of the recipe."""
        return {}

    def begin_session(self, settings: Settings) -> Callable[[], object] | None:
        """Begin what makes all masters of a run on this machine, if the engine has that.

        Returns
        -------
        callable or None
            Ends it. None where every job starts its own.
        """
        return None


def unsupported_setting(key: str, value: object, engine: str, choices: str) -> str:
    """Say that an engine does not support a setting, and what to choose.

    Parameters
    ----------
    key : str
        As in the configuration: ``integration.flat.rejection``.
    value : object
        What it is set to.
    engine : str
    choices : str
        What it can be set to.
    """
    written = str(value).lower() if isinstance(value, bool) else value
    return f"{key}: {written} is not supported by engine {engine}; choose {choices}"


def pixels(geometry: Geometry) -> int:
    """Give the number of pixels of a frame."""
    return geometry.width * geometry.height


def image_bytes(job: MasterJob) -> int:
    """Give the disk space of an image of a job's size: a master, a map, a calibrated flat."""
    return pixels(job.geometry) * _SAMPLE_BYTES


def calibrated_flats_bytes(job: MasterJob) -> int:
    """Give the disk space of a job's calibrated flats, for an engine that writes them to files."""
    is_calibrated = job.type is FrameType.FLAT and (job.bias or job.dark)
    return len(job.frames) * image_bytes(job) if is_calibrated else 0


def any_packed(job: MasterJob) -> bool:
    """Tell whether a frame of the job is unpacked before it is read."""
    return any(frame.path.lower().endswith(_PACKED) for frame in job.frames)


def sample_bytes(job: MasterJob) -> int:
    """Give the bytes of a sample in memory: 16-bit codes stay as they are, others become float."""
    largest = max(frame.size for frame in job.frames)
    return 2 if largest < 3 * pixels(job.geometry) else 4
