"""The job of one master: everything an engine needs to make it, as a file.

A master is stale when its record says that another job made it. Paths are relative (frames to
``input_dir``, masters of this project to ``output_dir``), so that moving the directories makes
nothing stale.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

from calmasters.errors import RecordError
from calmasters.frame import FrameType, Geometry, Value
from calmasters.headers.sample_scale import ADU16
from calmasters.model.layout import job_path, master_path, record_path
from calmasters.model.master_warning import MasterWarning
from calmasters.settings import Calibration, Integration

__all__ = [
    "FrameFile",
    "LeftOut",
    "MadeOf",
    "MasterJob",
    "Recipe",
    "Reference",
    "UsedMaster",
    "deciding",
    "read_head",
    "read_made_of",
]

#: What a job file and a record begin with. Inside a text, quotes have backslashes.
_HEAD: Final = re.compile(
    rb'"(digest|bias_job|dark_job|master_bytes|warning_count)": ?"?([0-9a-f]*)"?'
)
#: The default of ``linearFitHigh`` in earlier versions.
_LINEAR_FIT_HIGH_BEFORE: Final = 4.0

#: The first bytes of the file contain it: only a path is before it.
_HEAD_BYTES: Final = 4096


class MadeOf(NamedTuple):
    """What a master is to be made of, or was made of, in digests.

    Attributes
    ----------
    digest : str
        Of the job.
    bias_job, dark_job : str
        Of the jobs that made the bias and the dark; empty where it has none, where a library has
        it, and where an older version made the master.
    """

    digest: str
    bias_job: str = ""
    dark_job: str = ""

    def serves(self, wanted: MadeOf) -> bool:
        """Say whether a master made of this is what a job wants."""
        used = zip(self[1:], wanted[1:], strict=True)
        return self.digest == wanted.digest and all(
            made == want for made, want in used if made and want
        )


def read_head(path: Path | str) -> Mapping[str, str] | None:
    """Read the values that a job file, or the record next to a master, begins with.

    Only the beginning of the file is read, and its end to see that it is complete: a run with
    nothing to do looks at the record of every master.

    Returns
    -------
    mapping of str to str or None
        ``digest`` and, where the file has them, ``bias_job``, ``dark_job``, ``master_bytes`` and
        ``warning_count``.
        None where there is no such file, or it is damaged.
    """
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            head = file.read(_HEAD_BYTES)
            file.seek(-min(2, len(head)), os.SEEK_END)
            end = file.read()
    except OSError:
        return None
    # Of several with one name the first counts: others would be keys of the mappings below.
    values = {key.decode(): value.decode() for key, value in reversed(_HEAD.findall(head))}
    is_complete = head.startswith(b"{") and end.rstrip().endswith(b"}") and values.get("digest")
    return values if is_complete else None


def read_made_of(path: Path | str) -> MadeOf | None:
    """Read the digests in a job file or a record; None where it is missing or damaged."""
    head = read_head(path)
    return MadeOf(*(head.get(name, "") for name in MadeOf._fields)) if head else None


class FrameFile(NamedTuple):
    """A raw frame as the plan found it.

    Attributes
    ----------
    path : str
        Relative to ``input_dir``, with ``/``.
    size, mtime_ns : int
        In bytes and nanoseconds.
    content : str
        Digest of the file (``fingerprint: content``): where there is one, the time does not count.
    read_as : str
        How the image is read where it is not plain (:mod:`calmasters.headers.sample_scale`).
    """

    path: str
    size: int
    mtime_ns: int
    content: str = ""
    read_as: str = ""

    @property
    def identity(self) -> tuple[str | int, ...]:
        """What differs between two frames, or between a frame and the file it was before."""
        plain = (self.path, self.size, self.content or self.mtime_ns)
        return (*plain, self.read_as) if self.read_as else plain

    def to_json(self) -> dict[str, Any]:
        """Give the fields by name; a plain frame has no ``read_as``."""
        fields = self._asdict()
        return fields if self.read_as else {name: fields[name] for name in self._fields[:-1]}


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A frame that would belong to a master and is not in it, with the reason.

    Attributes
    ----------
    path, reason : str
    outlier : bool
        It is not bad, but differs from the other frames (``outlier_frames: skip``).
    """

    path: str
    reason: str
    outlier: bool = False


@dataclass(frozen=True, slots=True)
class UsedMaster:
    """A bias or dark master that a flat is calibrated with.

    Attributes
    ----------
    path : str
        Relative to ``output_dir`` for ``run`` and ``kept``, as configured for ``library``.
    origin : str
        ``run`` (made by this run), ``kept`` (in ``output_dir``, its frames are missing) or
        ``library``.
    why : str
        The sentence that says which rule chose it.
    content : str
        Digest of a library's file, which may be touched, copied and moved; empty for the others.
    job : str
        Digest of the job that makes it, or made a kept one (of the content of a kept one that has
        no record); empty for a library's.
    read_as : str
        How the image is read where it is not plain, as in :class:`FrameFile`.
    exposure_s : float or None
        Of a dark.
    """

    path: str
    origin: str
    why: str
    content: str = ""
    job: str = ""
    read_as: str = ""
    exposure_s: float | None = None

    @classmethod
    def from_json(cls, stored: Mapping[str, Any] | None) -> UsedMaster | None:
        """Read it as job files, records and the plan have it."""
        return cls(**stored) if stored else None

    def located(self, output_dir: Path) -> Path:
        """Give the file, for the run's ``output_dir``."""
        return Path(self.path) if self.origin == "library" else output_dir / self.path


def deciding(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Replace defaults that have changed and that a recipe does not use by the earlier ones.

    So masters that were made with the earlier defaults stay.

    Parameters
    ----------
    recipe : mapping
        :attr:`Recipe.fields`, or those of a record.
    """
    integration = dict(recipe["integration"])
    is_used = integration.get("rejection") == "LinearFit"
    if not is_used and integration.get("linearFitHigh") == Integration.linearFitHigh:
        integration["linearFitHigh"] = _LINEAR_FIT_HIGH_BEFORE
    return {**recipe, "integration": integration}


class Reference(NamedTuple):
    """A bias that darks are compared with: a raw frame, or a master that no job makes.

    Attributes
    ----------
    path, origin : str
        As in :class:`UsedMaster`; a raw frame has the origin ``frame`` and is in ``input_dir``.
    """

    path: str
    origin: str

    def located(self, output_dir: Path, input_dir: Path) -> Path:
        """Give the file, for the run's directories."""
        if self.origin == "library":
            return Path(self.path)
        return (input_dir if self.origin == "frame" else output_dir) / self.path


@dataclass(frozen=True)
class Recipe:
    """Everything besides the frames that decides a master's file.

    ``parameters`` are further ones of PixInsight's processes
    (:attr:`calmasters.settings.PixInsight.pixel_parameters`); other engines have none.
    ``float_range`` is ``adu16`` if that is configured, otherwise ``unit``, as in jobs of versions
    that did not look at the samples: the digests of plain frames stay the same.
    ``skip_outliers``: frames that differ from the others are left out.
    """

    engine: str
    algorithm_version: int
    integration: Integration
    calibration: Calibration | None
    float_range: str
    master_format: str
    layout: str = "by-type"
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    skip_outliers: bool = False

    @cached_property
    def fields(self) -> dict[str, Any]:
        """As JSON has it; many jobs share a recipe.

        A setting that earlier versions did not have is left out at its default, so that their
        masters are not rebuilt.
        """
        fields = asdict(self)
        if not self.skip_outliers:
            del fields["skip_outliers"]
        return fields

    @cached_property
    def deciding_fields(self) -> dict[str, Any]:
        """What the digest of a job has of it; see :func:`deciding`."""
        return deciding(self.fields)

    @property
    def frame_range(self) -> str:
        """The range of floating-point frames, as :class:`calmasters.images.raw_frame` takes it."""
        return "adu16" if self.float_range == "adu16" else "auto"


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
    warnings : tuple of MasterWarning
        What a person should know before trusting the master.
    left_out : tuple of LeftOut
        Frames of the group that are damaged, or copies of others.
    reference : Reference or None
        The bias that a dark is compared with. It causes warnings and changes no pixel.
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
    warnings: tuple[MasterWarning, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    reference: Reference | None = None

    @property
    def master(self) -> str:
        """The master's path, relative to ``output_dir``."""
        return master_path(self.type, self.name, self.recipe.layout, self.recipe.master_format)

    @property
    def record(self) -> str:
        """The path of the record beside the master, relative to ``output_dir``."""
        return record_path(self.master)

    @property
    def file(self) -> str:
        """The job file's path, relative to ``output_dir``."""
        return job_path(self.type, self.name)

    @property
    def added_adu(self) -> float:
        """What is added to samples from which the level of an overscan was subtracted.

        Nothing to flats from which no bias and no dark is subtracted: it would stay in them.
        """
        layout = self.geometry.layout
        is_kept = self.type is not FrameType.FLAT or self.bias or self.dark
        return layout.pedestal_adu if layout and is_kept else 0.0

    @cached_property
    def digest(self) -> str:
        """A short hash of what decides the master's file.

        Sentences (why a dark was chosen, warnings, frames left out) and the origin of a master do
        not count: a flat stays as it is when the frames of its dark are archived. Of a library's
        master only its content counts.
        """
        deciding = {
            **self._fields,
            "recipe": self.recipe.deciding_fields,
            "frames": [frame.identity for frame in self.frames],
            "bias": self.identity_of(self.bias),
            "dark": self.identity_of(self.dark),
        }
        return hashlib.sha256(json.dumps(deciding).encode()).hexdigest()[:16]

    def identity_of(self, used: UsedMaster | None) -> str | None:
        """Return what a digest has of a master that calibrates this one."""
        if used is None:
            return None
        identity = used.content or used.path
        # Earlier versions read all masters plainly, but those in FITS by float_range.
        is_adu = self.recipe.float_range == ADU16 and not used.path.endswith(".xisf")
        before = ADU16 if is_adu else ""
        return identity if used.read_as == before else f"{identity} as {used.read_as or 'stored'}"

    @property
    def made_of(self) -> MadeOf:
        """What the master is to be made of, to be compared with its record."""
        used = (each.job if each else "" for each in (self.bias, self.dark))
        return MadeOf(self.digest, *used)

    @property
    def _fields(self) -> dict[str, Any]:
        """The fields of the JSON without sentences, in the order of the digest."""
        geometry = self.geometry.to_json()
        # Where on the sensor the frames were taken changes no pixel.
        del geometry["xorigin"], geometry["yorigin"]
        return {
            "name": self.name,
            "type": self.type,
            "keywords": self.keywords,
            "geometry": geometry,
            "frames": self.frames,
            "header": self.header,
            "recipe": self.recipe.fields,
            "bias": self.bias,
            "dark": self.dark,
            "optimize_dark": self.optimize_dark,
        }

    def frames_without(self, left_out: Iterable[LeftOut]) -> tuple[FrameFile, ...]:
        """Give the frames that remain when an engine has left some out."""
        bad = {frame.path for frame in left_out}
        return tuple(frame for frame in self.frames if frame.path not in bad)

    def to_json(self, written_ns: int = 0) -> str:
        """Write the job as JSON text, in ASCII.

        Parameters
        ----------
        written_ns : int
            When the file is written, so that no two files of one job have the same bytes: Snakemake
            records the checksum of a job file, and does not rebuild a master whose job file is
            newer but has that checksum, even if the rebuild that it recorded has failed.
        """
        stored = {
            "version": 1,
            **self.made_of._asdict(),
            "written_ns": written_ns,
            **self._fields,
            "geometry": self.geometry.to_json(),
            "frames": [frame.to_json() for frame in self.frames],
            "bias": self.bias and asdict(self.bias),
            "dark": self.dark and asdict(self.dark),
            "warnings": [asdict(warning) for warning in self.warnings],
            "left_out": [asdict(frame) for frame in self.left_out],
            "reference": self.reference,
        }
        return json.dumps(stored, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> MasterJob:
        """Read a job back; the inverse of :meth:`to_json`."""
        fields: dict[str, Any] = json.loads(text)
        for name in ("version", "written_ns", *MadeOf._fields):
            fields.pop(name, None)
        recipe = fields.pop("recipe")
        calibration = recipe.pop("calibration")
        reference = fields.pop("reference", None)
        return cls(
            name=fields.pop("name"),
            type=FrameType(fields.pop("type")),
            geometry=Geometry.from_json(fields.pop("geometry")),
            frames=tuple(FrameFile(**frame) for frame in fields.pop("frames")),
            recipe=Recipe(
                integration=Integration(**recipe.pop("integration")),
                calibration=Calibration(**calibration) if calibration else None,
                **recipe,
            ),
            bias=UsedMaster.from_json(fields.pop("bias")),
            dark=UsedMaster.from_json(fields.pop("dark")),
            warnings=tuple(map(MasterWarning.from_json, fields.pop("warnings"))),
            left_out=tuple(LeftOut(**one) for one in fields.pop("left_out", ())),
            reference=Reference(*reference) if reference else None,
            **fields,
        )

    @classmethod
    def read(cls, path: Path) -> MasterJob:
        """Read a job file.

        Raises
        ------
        OSError
            If it cannot be read.
        RecordError
            If it is not a job file.
        """
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RecordError(path, "a job file", error) from error
