"""What a report tells of one master, and of one map of bad pixels."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any, Final, Self

from markupsafe import Markup

from calmasters.frame import format_value
from calmasters.headers.fits_cards import number_of
from calmasters.headers.image_header import read_cards
from calmasters.model.job import MasterJob
from calmasters.model.layout import defect_map_path, quality_path, record_path
from calmasters.model.master_record import MasterRecord
from calmasters.quality.camera import setting_of
from calmasters.quality.judgement import NUMBERS, Level
from calmasters.reporting.pictures import Pictures, reduction
from calmasters.reporting.plots import draw_frames, draw_histogram, draw_vignetting, label_of

__all__ = ["Defects", "Master", "Row", "in_electrons", "short"]

#: Numbers in ADU, and what they are called in electrons.
_IN_ELECTRONS: Final = {"read_noise_adu": "read_noise_e", "dark_current_adu_s": "dark_current_e_s"}

_VERDICTS: Final = {Level.GOOD: "good", Level.WARNING: "check", Level.ERROR: "out of range"}


@dataclass(frozen=True)
class Row:
    """A number as a person reads it."""

    name: str
    label: str
    value: str
    expected: str
    inside: bool


@dataclass(frozen=True)
class Master:
    """A master with all that was found out about it.

    Attributes
    ----------
    job : MasterJob
    quality : mapping
        ``quality/<name>.json``.
    record : MasterRecord
    pictures : Pictures
    """

    job: MasterJob
    quality: Mapping[str, Any]
    record: MasterRecord
    pictures: Pictures

    @classmethod
    def load(cls, job: MasterJob, output_dir: Path) -> Self:
        """Read what lies in ``output_dir`` about a master."""
        quality = json.loads((output_dir / quality_path(job.name)).read_text(encoding="utf-8"))
        record = MasterRecord.read(output_dir / record_path(job.master))
        return cls(job, quality, record, Pictures.of(output_dir, job.name))

    @property
    def anchor(self) -> str:
        """Its id in the page: short, unique, safe."""
        return f"m-{sha256(self.job.name.encode()).hexdigest()[:10]}"

    @property
    def label(self) -> str:
        """``dark 60 s``, ``flat B 2026-01-16``."""
        return label_of(self.job)

    @property
    def camera(self) -> str:
        """INSTRUME, or what stands for it."""
        return str(self.job.keywords.get("INSTRUME", "unknown camera"))

    @property
    def night(self) -> str:
        """The night of a flat; of others the first and last that frames were taken on."""
        nights = sorted({frame["night"] for frame in self.quality["frames"]} - {""})
        return " … ".join(dict.fromkeys((nights[0], nights[-1]))) if nights else ""

    @property
    def verdict(self) -> str:
        """How the master was judged, in a word or two."""
        return _VERDICTS[Level(self.quality["verdict"])]

    @property
    def keywords(self) -> Iterator[tuple[str, str]]:
        """Give the group's keywords as they are written in names."""
        for key, value in self.job.keywords.items():
            yield key, format_value(key, value)

    def number(self, name: str) -> float | None:
        """Give a number; None where it was not measured."""
        value: float | None = self.quality["numbers"].get(name)
        return value

    @property
    def rows(self) -> Iterator[Row]:
        """Give the numbers in their order, each against its range."""
        outside = {finding["number"] for finding in self.quality["findings"]}
        for name, number in NUMBERS.items():
            value = self.number(name)
            if value is not None:
                expected = _expected(*self.quality["ranges"].get(name, (None, None)))
                text = f"{short(value)} {number.unit}".rstrip()
                yield Row(name, number.label, text, expected, name not in outside)

    @property
    def reduction(self) -> int:
        """How many pixels of the master one of the overview stands for, each way."""
        return reduction(self.job.geometry.height, self.job.geometry.width)

    @property
    def plots(self) -> Iterator[Markup]:
        """Draw what was measured. The plots escape their own text."""
        yield Markup(draw_histogram(self.quality))
        yield Markup(draw_frames(self.quality))
        if self.quality["vignetting"]:
            yield Markup(draw_vignetting(self.quality))

    @property
    def settings(self) -> Iterator[tuple[str, str]]:
        """Give the recipe: parameters of integration, and of calibration for flats."""
        yield from _pairs(self.record.recipe["integration"])
        yield from _pairs(self.record.recipe["calibration"] or {})


@dataclass(frozen=True)
class Defects:
    """A bad-pixel map: its files, what it is made of, and how much it holds."""

    name: str
    map: Path
    list: Path
    masters: Sequence[str]
    hot: int
    dead: int

    @classmethod
    def load(cls, name: str, jobs: Sequence[MasterJob], output_dir: Path) -> Self:
        """Read what a map's header says."""
        path = output_dir / defect_map_path(name)
        cards = read_cards(path)
        hot, dead = (int(number_of(cards[key]) or 0) for key in ("NHOT", "NDEAD"))
        return cls(name, path, path.with_suffix(".txt"), [job.name for job in jobs], hot, dead)


def in_electrons(masters: Iterable[Master], keywords: Sequence[str]) -> list[Master]:
    """Add numbers in electrons where the header had no EGAIN, by the gain measured on flats.

    Parameters
    ----------
    masters : iterable of Master
    keywords : sequence of str
        What masters of one camera setting have in common (``master_match_keywords``).
    """
    masters = list(masters)
    gains: dict[object, list[float]] = {}
    for master in masters:
        if gain := master.number("gain_e_adu"):
            gains.setdefault(setting_of(master.job, keywords), []).append(gain)
    return [
        replace(master, quality=_with_electrons(master.quality, median(found)))
        if (found := gains.get(setting_of(master.job, keywords)))
        else master
        for master in masters
    ]


def _with_electrons(quality: Mapping[str, Any], gain: float) -> dict[str, Any]:
    numbers = quality["numbers"]
    added = {
        electrons: numbers[adu] * gain
        for adu, electrons in _IN_ELECTRONS.items()
        if adu in numbers and electrons not in numbers
    }
    return {**quality, "numbers": {**numbers, **added}}


def short(value: float | None) -> str:
    """Write a number with three or four digits, without exponents for those people meet.

    One that is not known is left empty.
    """
    if value is None:
        return ""
    if value == int(value) and abs(value) < 1e7:
        return str(int(value))
    if abs(value) >= 100:
        return f"{value:.1f}"
    return f"{value if abs(value) >= 0.01 else round(value, 3) + 0.0:.3g}"


def _expected(low: float | None, high: float | None) -> str:
    if low is None:
        return "" if high is None else f"at most {high:g}"
    return f"at least {low:g}" if high is None else f"{low:g} to {high:g}"


def _pairs(parameters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in parameters.items():
        yield name, str(value).lower() if isinstance(value, bool) else str(value)
