"""The record of the measurements of a master: ``output_dir/quality/<name>.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

from calmasters.errors import RecordError
from calmasters.quality import MEASURE_VERSION
from calmasters.quality.estimate import Estimate

__all__ = [
    "Finding",
    "FrameQuality",
    "Histogram",
    "Level",
    "NightQuality",
    "QualityRecord",
    "Range",
    "RegionQuality",
]

#: Lowest and highest value expected; None is no limit.
Range: TypeAlias = Sequence[float | None]

#: Fields that are stored as they are.
_PLAIN: Final = ("name", "master", "type", "digest", "numbers", "ranges", "vignetting")


class Level(StrEnum):
    """How much a finding matters; a note does not change the verdict."""

    GOOD = "good"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """A fact about a master that the user should check.

    Attributes
    ----------
    level : Level
    found : str
        What was found, and what was expected.
    cause, remedy : str
        Empty where none is known.
    number : str
        Name of the number that is outside its range; empty for other findings.
    """

    level: Level
    found: str
    cause: str = ""
    remedy: str = ""
    number: str = ""


@dataclass(frozen=True, slots=True)
class FrameQuality:
    """The measurements of one frame.

    Attributes
    ----------
    path : str
        As in the job.
    night : str
        Empty where unknown.
    level_adu : float
    rejected_percent : float or None
        None where the engine does not count rejected samples by frame.
    ccd_temp_c : float or None
        Temperature of the sensor; None where the header does not have it.
    stands_out : str
        How the frame differs from the others; empty for a usual frame.
    """

    path: str
    night: str
    level_adu: float
    rejected_percent: float | None
    ccd_temp_c: float | None
    stands_out: str


@dataclass(frozen=True, slots=True)
class NightQuality:
    """Numbers of the frames of one night, for the trend.

    Attributes
    ----------
    night : str
    frames : int
        Number of frames.
    numbers : mapping of str to float
        By name; in the JSON they are next to ``night`` and ``frames``.
    """

    night: str
    frames: int
    numbers: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return the night as a JSON object."""
        return {"night": self.night, "frames": self.frames, **self.numbers}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read the night from a JSON object."""
        numbers = {key: value for key, value in stored.items() if key not in ("night", "frames")}
        return cls(stored["night"], stored["frames"], numbers)


@dataclass(frozen=True, slots=True)
class RegionQuality:
    """Numbers of one amplifier and one colour.

    Attributes
    ----------
    amplifier, colour : str
        Empty where frames name no amplifiers, and without a mosaic.
    estimates : mapping of str to Estimate
        By name: a value with its uncertainty, or the reason why there is none.
    points : sequence of (float, float, bool)
        The photon transfer curve of flats: level and variance, ADU and ADU squared, and whether
        the point is part of the fit.
    declared : mapping of str to float
        What the header gives for the amplifier, by the names of estimates.
    """

    amplifier: str
    colour: str
    estimates: Mapping[str, Estimate]
    points: Sequence[Sequence[float]] = ()
    declared: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """``amplifier 11, G1``; empty for a whole sensor without colours."""
        amplifier = f"amplifier {self.amplifier}" if self.amplifier else ""
        return ", ".join(filter(None, (amplifier, self.colour)))

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read the region from a JSON object."""
        estimates = {name: Estimate(**each) for name, each in stored["estimates"].items()}
        declared = stored.get("declared", {})
        return cls(stored["amplifier"], stored["colour"], estimates, stored["points"], declared)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Number of pixels between each two edges."""

    edges_adu: Sequence[float]
    counts: Sequence[int]


@dataclass(frozen=True)
class QualityRecord:
    """All measurements of one master.

    Attributes
    ----------
    name, master, type, digest : str
        As in the job.
    verdict : Level
        The worst level of the findings.
    numbers : mapping of str to float
        By name, as in :data:`calmasters.quality.judgement.NUMBERS`.
    ranges : mapping of str to Range
        Expected values, by the same names.
    findings : sequence of Finding
    frames : sequence of FrameQuality
        In the order of the job.
    nights : sequence of NightQuality
        In order of time.
    histogram : Histogram
        Of the master.
    vignetting : sequence of float
        Rings of a flat from the centre outwards; empty for other masters.
    uncertainties : mapping of str to float
        Standard deviations of the numbers for which they are known, by the same names.
    unknown : mapping of str to str
        Why there is no number, by name.
    regions : sequence of RegionQuality
        Of a bias or a flat.
    setting : str
        Camera, settings, and exposure or filter: masters with equal texts are compared. Empty in
        records of earlier versions.
    previous : str
        The master that it was compared with; empty without one.
    """

    name: str
    master: str
    type: str
    digest: str
    verdict: Level
    numbers: Mapping[str, float]
    ranges: Mapping[str, Range]
    findings: Sequence[Finding]
    frames: Sequence[FrameQuality]
    nights: Sequence[NightQuality]
    histogram: Histogram
    vignetting: Sequence[float] = ()
    uncertainties: Mapping[str, float] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)
    regions: Sequence[RegionQuality] = ()
    setting: str = ""
    previous: str = ""

    @property
    def is_lit_in_lines(self) -> bool:
        """Whether a flat is that of a spectrograph (:mod:`calmasters.quality.lighting`)."""
        return "lit_percent" in self.numbers

    @property
    def night(self) -> str:
        """The last night of the frames; empty where unknown."""
        return max((night.night for night in self.nights), default="")

    def to_json(self) -> str:
        """Return the record as JSON text."""
        stored = asdict(self) | {"nights": [night.to_json() for night in self.nights]}
        return json.dumps({"version": MEASURE_VERSION, **stored}, indent=1) + "\n"

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read ``quality/<name>.json``.

        Raises
        ------
        OSError
            If the file cannot be read.
        RecordError
            If it is not the record of a measured master.
        """
        try:
            stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                **{name: stored[name] for name in _PLAIN},
                verdict=Level(stored["verdict"]),
                findings=[
                    Finding(**finding | {"level": Level(finding["level"])})
                    for finding in stored["findings"]
                ],
                frames=[FrameQuality(**frame) for frame in stored["frames"]],
                nights=[NightQuality.from_json(night) for night in stored["nights"]],
                histogram=Histogram(**stored["histogram"]),
                # Records of kept masters may be older than these.
                uncertainties=stored.get("uncertainties", {}),
                unknown=stored.get("unknown", {}),
                setting=stored.get("setting", ""),
                regions=[RegionQuality.from_json(each) for each in stored.get("regions", ())],
                previous=stored.get("previous", ""),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RecordError(path, "the record of a measured master", error) from error
