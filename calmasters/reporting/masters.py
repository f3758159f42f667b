"""The data that a report shows of one master, and of one bad-pixel map."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Final, Self

from calmasters.frame import FrameType
from calmasters.headers.fits_cards import number_of
from calmasters.headers.image_header import read_cards
from calmasters.model.job import MasterJob
from calmasters.model.layout import defect_map_path, quality_path, record_path
from calmasters.model.master_record import MasterRecord
from calmasters.planning.short_names import label_of
from calmasters.quality.camera import setting_key
from calmasters.quality.camera_numbers import combined_regions
from calmasters.quality.estimate import Estimate
from calmasters.quality.judgement import NUMBERS
from calmasters.quality.quality_record import Level, QualityRecord, RegionQuality
from calmasters.reporting.digits import (
    keyword_value,
    range_text,
    setting_value,
    short_with_uncertainty,
)
from calmasters.reporting.pictures import Pictures, reduction
from calmasters.reporting.plots import Plot, draw_frames, draw_histogram, draw_vignetting

__all__ = [
    "CameraNumbers",
    "Defects",
    "Master",
    "Row",
    "camera_numbers",
    "in_electrons",
    "titled",
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
    title : str
        Its name for readers, as on the terminal: no other master of the report has it.
    brief : str
        The shortest name that no other master of the report has.
    """

    job: MasterJob
    quality: QualityRecord
    record: MasterRecord
    pictures: Pictures
    title: str = ""
    brief: str = ""

    @classmethod
    def load(cls, job: MasterJob, output_dir: Path) -> Self:
        """Read the records of a master from ``output_dir``."""
        quality = QualityRecord.read(output_dir / quality_path(job.name))
        record = MasterRecord.read(output_dir / record_path(job.master))
        pictures = Pictures.of(output_dir, job.name)
        return cls(job, quality, record, pictures, title=job.name, brief=job.name)

    @property
    def anchor(self) -> str:
        """The id of the master in the page: short and unique, without special characters."""
        return f"m-{sha256(self.job.name.encode()).hexdigest()[:10]}"

    @property
    def label(self) -> str:
        """``dark 60 s``, ``flat B 2026-01-16``: the beginning of the title."""
        return label_of(self.job.type, self.job.keywords)

    @property
    def rest(self) -> str:
        """What distinguishes it from masters with the same label: camera, temperature, gain."""
        if self.title.startswith(f"{self.label}, "):
            return self.title.removeprefix(f"{self.label}, ")
        return "" if self.title == self.label else self.title

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
        """Return the group's keywords with their values and units."""
        for key, value in self.job.keywords.items():
            yield key, keyword_value(key, value)

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
                expected = range_text(self.quality.ranges.get(name, (None, None)))
                shown = short_with_uncertainty(value, self.quality.uncertainties.get(name))
                text = f"{shown} {number.unit}".rstrip()
                yield Row(name, number.label, text, expected, name not in outside)
            elif reason := self.quality.unknown.get(name):
                label = ", ".join(filter(None, (number.label, number.unit)))
                yield Row(name, label, "unknown", "", True, reason)

    @property
    def regions(self) -> Sequence[RegionQuality]:
        """Numbers by amplifier and colour; empty where there is only one of them."""
        return self.quality.regions if len(self.quality.regions) > 1 else ()

    @property
    def reduction(self) -> int:
        """How many pixels of the master, in x and in y, one pixel of the overview covers."""
        return reduction(self.job.geometry.height, self.job.geometry.width)

    @property
    def plots(self) -> Iterator[Plot]:
        """Draw the plots of the master."""
        yield draw_histogram(self.quality)
        yield draw_frames(self.quality)
        if self.quality.vignetting:
            yield draw_vignetting(self.quality)

    @property
    def settings(self) -> Iterator[tuple[str, str]]:
        """Return the recipe: parameters of integration, and of calibration for flats."""
        recipe = self.record.recipe
        for name, value in {**recipe["integration"], **(recipe["calibration"] or {})}.items():
            yield name, setting_value(value)


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


def titled(masters: Iterable[Master], short_names: Mapping[str, str]) -> list[Master]:
    """Give each master a title and a brief name that no other master has.

    Parameters
    ----------
    masters : iterable of Master
    short_names : mapping of str to str
        Names for readers by paths of masters, as in :class:`Decision`; a master without one, or
        with that of another one, has its file's name added.
    """
    masters = list(masters)
    names = [short_names.get(master.job.master, master.label) for master in masters]
    uses = Counter(names)
    named = [
        replace(master, title=name if uses[name] == 1 else f"{name}, {master.job.name}")
        for name, master in zip(names, masters, strict=True)
    ]
    alike: dict[str, list[Master]] = {}
    for master in named:
        alike.setdefault(master.label, []).append(master)
    briefs = {
        master.title: brief
        for members in alike.values()
        for master, brief in zip(members, _briefs(members), strict=True)
    }
    return [replace(master, brief=briefs[master.title]) for master in named]


def _briefs(alike: Sequence[Master]) -> list[str]:
    """Shorten the titles of masters with the same label as far as they remain different."""
    parts = [(master.label, *master.rest.split(", ")) for master in alike]
    for count in range(1, max(map(len, parts))):
        briefs = [", ".join(each[:count]) for each in parts]
        if len({*briefs}) == len(briefs):
            return briefs
    return [master.title for master in alike]


def _by_setting(
    masters: Iterable[Master], keywords: Sequence[str]
) -> dict[tuple[tuple[str, str], ...], list[Master]]:
    settings: dict[tuple[tuple[str, str], ...], list[Master]] = {}
    for master in masters:
        settings.setdefault(setting_key(master.job, keywords), []).append(master)
    return settings


def _setting_text(job: MasterJob, keywords: Sequence[str]) -> str:
    values = [
        f"{key} {keyword_value(key, job.keywords[key])}" for key in keywords if key in job.keywords
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
