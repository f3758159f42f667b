"""The job of one master: everything an engine needs to make it, as a file.

A master is stale when it was made by another job, which the JSON beside it tells.
Its paths are relative (frames to ``input_dir``, masters of this project to ``output_dir``), so
that moving the directories re-makes nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

from calmasters.errors import EngineError
from calmasters.frame import FrameType, Geometry, Value
from calmasters.running.lock import LOCK
from calmasters.settings import Calibration, Integration

__all__ = [
    "JOB_TIME_NS",
    "STALE_TIME_NS",
    "FrameFile",
    "LeftOut",
    "MasterJob",
    "Recipe",
    "Standing",
    "UsedMaster",
    "beside",
    "master_folder",
    "stored_digest",
]

#: The time of every job file (the year 2000), and that of a master which is to be made again
#: (1990): Snakemake compares times, and these hold whatever the clocks of machines say.
JOB_TIME_NS: Final = 946_684_800 * 10**9
STALE_TIME_NS: Final = 631_152_000 * 10**9

#: In JSON; inside a text its quotes would have backslashes.
_DIGEST: Final = re.compile(rb'"digest": ?"([0-9a-f]{16})"')


class FrameFile(NamedTuple):
    """A raw frame as the job saw it; ``path`` is relative to ``input_dir``, with ``/``.

    Where it has a digest of its ``content`` (``fingerprint: content``), its time does not count.
    """

    path: str
    size: int
    mtime_ns: int
    content: str = ""

    @property
    def identity(self) -> tuple[str, int, str | int]:
        """What tells it from another frame, or from what it was before."""
        return self.path, self.size, self.content or self.mtime_ns


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A frame that would belong to a master and is not in it, with the reason."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class UsedMaster:
    """A bias or dark master that a flat is calibrated with.

    Attributes
    ----------
    path : str
        Relative to ``output_dir`` for ``run`` and ``kept``, as configured for ``library``.
    origin : str
        ``run`` (made by this run), ``kept`` (in ``output_dir``, its frames are gone) or
        ``library``.
    why : str
        The sentence that says which rule chose it.
    content : str
        Digest of a library's file, which may be touched, copied and moved; empty for the others,
        which Snakemake compares by their time.
    """

    path: str
    origin: str
    why: str
    content: str = ""

    def located(self, output_dir: Path) -> Path:
        """Where the file lies, given the run's ``output_dir``."""
        return Path(self.path) if self.origin == "library" else output_dir / self.path


@dataclass(frozen=True)
class Recipe:
    """All that decides the master's file besides the frames themselves.

    ``parameters`` are further ones of PixInsight's processes
    (:attr:`calmasters.settings.PixInsight.pixel_parameters`); other engines have none.
    """

    engine: str
    algorithm_version: int
    integration: Integration
    calibration: Calibration | None
    float_range: str
    master_format: str
    layout: str = "by-type"
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @cached_property
    def fields(self) -> dict[str, Any]:
        """As JSON has it; many jobs share a recipe."""
        return asdict(self)


@dataclass(frozen=True)
class MasterJob:
    """What one master is made of, and how.

    Attributes
    ----------
    name : str
        The master's file name without extension, below its type's folder; also the group's name.
    type : FrameType
        bias, dark or flat.
    keywords : mapping of str to Value
        The group's keywords, for the master's header.
    geometry : Geometry
        That of every frame of the group.
    frames : tuple of FrameFile
        In order of observation time; the first is the reference of normalization.
    header : mapping of str to Value
        What the frames say together: DATE-OBS, CCD-TEMP, EXPTIME…
    recipe : Recipe
    bias, dark : UsedMaster or None
        What a flat is calibrated with.
    optimize_dark : bool
        Scale the dark by the factor k that fits each flat best (needs a bias).
    warnings : tuple of str
        What a person should know before trusting the master.
    left_out : tuple of LeftOut
        Frames of the group that are damaged, or copies of others.
    """

    name: str
    type: FrameType
    keywords: Mapping[str, Value]
    geometry: Geometry
    frames: tuple[FrameFile, ...]
    header: Mapping[str, Value]
    recipe: Recipe
    bias: UsedMaster | None = None
    dark: UsedMaster | None = None
    optimize_dark: bool = False
    warnings: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    @property
    def master(self) -> str:
        """The master's path, relative to ``output_dir``."""
        folder = master_folder(self.type, self.recipe.layout)
        return f"masters/{folder}/{self.name}.{self.recipe.master_format}"

    @property
    def file(self) -> str:
        """The job file's path, relative to ``output_dir``."""
        return f"jobs/{self.type.value}/{self.name}.json"

    @cached_property
    def digest(self) -> str:
        """A short hash of what decides the master's file.

        Words (why a dark was chosen, warnings, what was left out) and the origin of a master do
        not count: a flat stays as it is when the frames of its dark are archived. Of a library's
        master only what it holds counts.
        """
        deciding = {
            **self._fields,
            "frames": [frame.identity for frame in self.frames],
            "bias": self.bias and (self.bias.content or self.bias.path),
            "dark": self.dark and (self.dark.content or self.dark.path),
        }
        return hashlib.sha256(json.dumps(deciding).encode()).hexdigest()[:16]

    @property
    def _fields(self) -> dict[str, Any]:
        """What JSON has of it, but for what is only words; in the order that the digest has."""
        return {
            "name": self.name,
            "type": self.type,
            "keywords": self.keywords,
            "geometry": asdict(self.geometry),
            "frames": self.frames,
            "header": self.header,
            "recipe": self.recipe.fields,
            "bias": self.bias,
            "dark": self.dark,
            "optimize_dark": self.optimize_dark,
        }

    def frames_without(self, left_out: Iterable[LeftOut]) -> tuple[FrameFile, ...]:
        """Give the frames that are still in when an engine has left some out."""
        bad = {frame.path for frame in left_out}
        return tuple(frame for frame in self.frames if frame.path not in bad)

    def to_json(self, written_ns: int = 0) -> str:
        """Write the job as JSON text, in ASCII.

        Parameters
        ----------
        written_ns : int
            When the file is written: a file that says the same as one before must not be the same.
            Snakemake takes a master for up to date whose job file it has on record by what it
            holds, whatever was made since and never came on record.
        """
        told = {
            "version": 1,
            "digest": self.digest,
            "written_ns": written_ns,
            **self._fields,
            "frames": [frame._asdict() for frame in self.frames],
            "bias": self.bias and asdict(self.bias),
            "dark": self.dark and asdict(self.dark),
            "warnings": self.warnings,
            "left_out": [asdict(frame) for frame in self.left_out],
        }
        return json.dumps(told, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> MasterJob:
        """Read a job back; the inverse of :meth:`to_json`."""
        fields: dict[str, Any] = json.loads(text)
        for name in ("version", "digest", "written_ns"):
            fields.pop(name, None)
        recipe = fields.pop("recipe")
        calibration = recipe.pop("calibration")
        return cls(
            name=fields.pop("name"),
            type=FrameType(fields.pop("type")),
            geometry=Geometry(**fields.pop("geometry")),
            frames=tuple(FrameFile(**frame) for frame in fields.pop("frames")),
            recipe=Recipe(
                integration=Integration(**recipe.pop("integration")),
                calibration=Calibration(**calibration) if calibration else None,
                **recipe,
            ),
            bias=_used(fields.pop("bias")),
            dark=_used(fields.pop("dark")),
            warnings=tuple(fields.pop("warnings")),
            left_out=tuple(LeftOut(**one) for one in fields.pop("left_out", ())),
            **fields,
        )


def _used(fields: Mapping[str, str] | None) -> UsedMaster | None:
    return UsedMaster(**fields) if fields else None


class Standing:
    """What a master relies on while it is made: that its job, and the run, are still the same.

    A job can outlive its run, when that is killed: what it makes then must not take the place of
    what another run makes.

    Parameters
    ----------
    job : MasterJob
    output_dir : Path
    """

    def __init__(self, job: MasterJob, output_dir: Path) -> None:
        self._job = job
        self._files = (output_dir / job.file, output_dir / LOCK)
        self._before = self._said()

    def _said(self) -> list[str]:
        return [_text(file) for file in self._files]

    def require(self) -> None:
        """Refuse to go on where the job was written anew, or another run has taken over.

        Raises
        ------
        EngineError
            With what to do.
        """
        if self._said() != self._before:
            raise EngineError(
                f"{self._job.master}: another run has taken over while it was made, so it is not "
                "put in place; run again"
            )


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""


def beside(master: str) -> str:
    """Give the JSON beside a master, by its path."""
    return f"{master.rpartition('.')[0]}.json"


def stored_digest(path: Path) -> str | None:
    """Read the digest in a job file, or in the JSON beside a master; None where there is none."""
    try:
        stored = path.read_bytes()
    except OSError:
        return None
    # A thousand of these are looked at where one master is stale: they are not parsed.
    whole = stored.startswith(b"{") and stored.rstrip().endswith(b"}")
    found = _DIGEST.search(stored) if whole else None
    return found[1].decode() if found else None


def master_folder(kind: FrameType, layout: str) -> str:
    """Give the folder of a type's masters below ``masters``: ``bias``, or ``MASTER BIAS``."""
    return kind.master_name.upper() if layout == "ap-library" else kind.value
