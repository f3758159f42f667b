"""The data that a report shows of one master, and of one bad-pixel map."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Self

from markupsafe import Markup

from calmasters.errors import plain_number
from calmasters.frame import FrameType, format_value
from calmasters.headers.fits_cards import number_of
from calmasters.headers.image_header import read_cards
from calmasters.model.job import MasterJob
from calmasters.model.layout import defect_map_path, quality_path, record_path
from calmasters.model.master_record import MasterRecord
from calmasters.quality.camera import setting_key
from calmasters.quality.camera_numbers import combined_regions
from calmasters.quality.digits import with_uncertainty
from calmasters.quality.estimate import Estimate
from calmasters.quality.judgement import NUMBERS
from calmasters.quality.quality_record import Level, QualityRecord, RegionQuality
from calmasters.reporting.pictures import Pictures, reduction
from calmasters.reporting.plots import draw_frames, draw_histogram, draw_vignetting, label_of

__all__ = [
    "CameraNumbers",
    "Defects",
    "Master",
    "Row",
    "camera_numbers",
    "in_electrons",
    "measured",
    "short",
]

#: Numbers in ADU, and the names of the same numbers in electrons.
_IN_ELECTRONS: Final = {"read_noise_adu": "read_noise_e", "dark_current_adu_s": "dark_current_e_s"}

_VERDICTS: Final = {Level.GOOD: "good", Level.WARNING: "check", Level.ERROR: "out of range"}


@dataclass(frozen=True)
class Row:
    """A number of a master, formatted for the table; ``reason`` says why there is none."""

    name: str
    label: str
    value: str
    expected: str
    inside: bool
    reason: str = ""


@dataclass(frozen=True)
class Master:
    """A master with its job, its records and its pictures.

    Attributes
    ----------
    job : MasterJob
    quality : QualityRecord
    record : MasterRecord
    pictures : Pictures
    """

    job: MasterJob
    quality: QualityRecord
    record: MasterRecord
    pictures: Pictures

    @classmethod
    def load(cls, job: MasterJob, output_dir: Path) -> Self:
        """Read the records of a master from ``output_dir``."""
        quality = QualityRecord.read(output_dir / quality_path(job.name))
        record = MasterRecord.read(output_dir / record_path(job.master))
        return cls(job, quality, record, Pictures.of(output_dir, job.name))

    @property
    def anchor(self) -> str:
        """The id of the master in the page: short and unique, without special characters."""
        return f"m-{sha256(self.job.name.encode()).hexdigest()[:10]}"

    @property
    def label(self) -> str:
        """``dark 60 s``, ``flat B 2026-01-16``."""
        return label_of(self.job)

    @property
    def camera(self) -> str:
        """INSTRUME, or a text where it is missing."""
        return str(self.job.keywords.get("INSTRUME", "unknown camera"))

    @property
    def night(self) -> str:
        """The night of the frames; of several nights, the first and the last."""
        nights = sorted({frame.night for frame in self.quality.frames} - {""})
        return " … ".join(dict.fromkeys((nights[0], nights[-1]))) if nights else ""

    @property
    def verdict(self) -> str:
        """The verdict as the page shows it: good, check, or out of range."""
        return _VERDICTS[self.quality.verdict]

    @property
    def keywords(self) -> Iterator[tuple[str, str]]:
        """Return the group's keywords, formatted as in file names."""
        for key, value in self.job.keywords.items():
            yield key, format_value(key, value)

    def number(self, name: str) -> float | None:
        """Return a number; None where it was not measured."""
        return self.quality.numbers.get(name)

    @property
    def rows(self) -> Iterator[Row]:
        """Return the numbers in the order of :data:`NUMBERS`, with their ranges."""
        outside = {finding.number for finding in self.quality.findings}
        for name, number in NUMBERS.items():
            value = self.number(name)
            if value is not None:
                expected = _expected(*self.quality.ranges.get(name, (None, None)))
                shown = _with_uncertainty(value, self.quality.uncertainties.get(name))
                text = f"{shown} {number.unit}".rstrip()
                yield Row(name, number.label, text, expected, name not in outside)
            elif reason := self.quality.unknown.get(name):
                yield Row(name, number.label, "unknown", "", True, reason)

    @property
    def regions(self) -> Sequence[RegionQuality]:
        """Numbers by amplifier and colour; empty where there is only one of them."""
        return self.quality.regions if len(self.quality.regions) > 1 else ()

    @property
    def reduction(self) -> int:
        """How many pixels of the master, in x and in y, one pixel of the overview covers."""
        return reduction(self.job.geometry.height, self.job.geometry.width)

    @property
    def plots(self) -> Iterator[Markup]:
        """Draw the plots of the master; they escape their text themselves."""
        yield Markup(draw_histogram(self.quality))
        yield Markup(draw_frames(self.quality))
        if self.quality.vignetting:
            yield Markup(draw_vignetting(self.quality))

    @property
    def settings(self) -> Iterator[tuple[str, str]]:
        """Return the recipe: parameters of integration, and of calibration for flats."""
        yield from _pairs(self.record.recipe["integration"])
        yield from _pairs(self.record.recipe["calibration"] or {})


@dataclass(frozen=True)
class Defects:
    """A bad-pixel map: its files, its masters, and its numbers of hot and dead pixels."""

    name: str
    map: Path
    list: Path
    masters: Sequence[str]
    hot: int
    dead: int

    @classmethod
    def load(cls, name: str, jobs: Sequence[MasterJob], output_dir: Path) -> Self:
        """Read the numbers of bad pixels from the header of a map."""
        path = output_dir / defect_map_path(name)
        cards = read_cards(path)
        hot, dead = (int(number_of(cards[key]) or 0) for key in ("NHOT", "NDEAD"))
        return cls(name, path, path.with_suffix(".txt"), [job.name for job in jobs], hot, dead)


@dataclass(frozen=True)
class CameraNumbers:
    """Gain and noise of one camera setting.

    Attributes
    ----------
    setting : str
        Camera and settings, as the report shows them.
    regions : sequence of RegionQuality
        By amplifier and colour.
    flats : int
        Number of flat masters.
    """

    setting: str
    regions: Sequence[RegionQuality]
    flats: int

    @property
    def gain(self) -> Estimate:
        """Electrons per ADU, of all amplifiers and colours."""
        return Estimate.combined(
            (each.estimates["gain_e_adu"] for each in self.regions), Estimate.mean
        )


def camera_numbers(masters: Iterable[Master], keywords: Sequence[str]) -> list[CameraNumbers]:
    """Combine the numbers of the masters of each camera setting that has flats.

    Parameters
    ----------
    masters : iterable of Master
    keywords : sequence of str
        Keywords of a camera setting (``master_match_keywords``).
    """
    return [
        CameraNumbers(
            _setting_text(members[0].job, keywords),
            regions,
            sum(member.job.type is FrameType.FLAT for member in members),
        )
        for members in _by_setting(masters, keywords).values()
        if any(member.job.type is FrameType.FLAT for member in members)
        and (regions := combined_regions(member.quality for member in members))
    ]


def _by_setting(
    masters: Iterable[Master], keywords: Sequence[str]
) -> dict[tuple[tuple[str, str], ...], list[Master]]:
    settings: dict[tuple[tuple[str, str], ...], list[Master]] = {}
    for master in masters:
        settings.setdefault(setting_key(master.job, keywords), []).append(master)
    return settings


def _setting_text(job: MasterJob, keywords: Sequence[str]) -> str:
    values = [
        f"{key} {format_value(key, job.keywords[key])}" for key in keywords if key in job.keywords
    ]
    return ", ".join((*values, str(job.geometry)))


def in_electrons(masters: Iterable[Master], keywords: Sequence[str]) -> list[Master]:
    """Add numbers in electrons where the header had no EGAIN, from the gain measured on flats.

    Parameters
    ----------
    masters : iterable of Master
    keywords : sequence of str
        Keywords of a camera setting (``master_match_keywords``).
    """
    masters = list(masters)
    gains = {
        key: gain
        for key, members in _by_setting(masters, keywords).items()
        if (gain := _measured_gain(members)).known
    }
    return [
        replace(master, quality=_with_electrons(master.quality, gains[key]))
        if (key := setting_key(master.job, keywords)) in gains
        else master
        for master in masters
    ]


def _measured_gain(masters: Iterable[Master]) -> Estimate:
    return Estimate.combined(
        (
            Estimate(gain, master.quality.uncertainties.get("gain_e_adu", 0.0))
            for master in masters
            if (gain := master.number("gain_e_adu"))
        ),
        Estimate.mean,
    )


def _with_electrons(quality: QualityRecord, gain: Estimate) -> QualityRecord:
    numbers, uncertainties = {**quality.numbers}, {**quality.uncertainties}
    for adu, electrons in _IN_ELECTRONS.items():
        if adu in numbers and electrons not in numbers:
            own = Estimate(numbers[adu], uncertainties.get(adu, 0.0)).times(gain)
            numbers[electrons] = own.value or 0.0
            if adu in uncertainties:
                uncertainties[electrons] = own.uncertainty or 0.0
    return replace(quality, numbers=numbers, uncertainties=uncertainties)


def measured(estimate: Estimate) -> str:
    """Format an estimate with as many digits as its uncertainty has; empty without a number."""
    if estimate.known is None:
        return ""
    return _with_uncertainty(*estimate.known)


def _with_uncertainty(value: float, uncertainty: float | None) -> str:
    return with_uncertainty(value, uncertainty) if uncertainty else short(value)


def short(value: float | None) -> str:
    """Format a number with three or four digits, without an exponent for usual values.

    The text is empty for None.
    """
    if value is None:
        return ""
    if value == int(value) and abs(value) < 1e7:
        return str(int(value))
    if abs(value) >= 100:
        return f"{value:.1f}"
    return plain_number(value if abs(value) >= 0.01 else round(value, 3) + 0.0, 3)


def _expected(low: float | None, high: float | None) -> str:
    ends = [None if each is None else plain_number(each) for each in (low, high)]
    if None not in ends:
        return f"{ends[0]} to {ends[1]}"
    if low is not None:
        return f"at least {ends[0]}"
    return "" if high is None else f"at most {ends[1]}"


def _pairs(parameters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in parameters.items():
        yield name, str(value).lower() if isinstance(value, bool) else str(value)
