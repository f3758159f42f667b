"""Follow a camera setting over the nights: its numbers, and where they jump."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from calmasters.errors import FrameError, plain_number
from calmasters.frame import Frame, FrameType, format_value
from calmasters.headers.fits_cards import CardValue, number_of
from calmasters.headers.image_header import read_cards
from calmasters.images.master_file import read_image
from calmasters.model.job import MasterJob
from calmasters.quality.camera import setting_label
from calmasters.quality.quality_record import QualityRecord
from calmasters.quality.sample import ADU
from calmasters.quality.surface import odd_pixels

__all__ = ["FOLLOWED", "Jump", "Point", "Trend", "has_setting", "jumps", "trends"]

#: The numbers that are followed, with their labels, by type of frame.
FOLLOWED: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "bias": {"read_noise_adu": "read noise, ADU", "level_adu": "bias level, ADU"},
        "dark": {
            "dark_current_e_s": "dark current, e-/s",
            "dark_current_adu_s": "dark current, ADU/s",
            "hot_percent": "hot pixels, %",
            "level_adu": "dark level, ADU",
        },
        "flat": {"level_adu": "flat level, ADU"},
    }
)

#: Numbers in ADU that are followed in electrons where the gain is known, and the reverse.
_IN_ELECTRONS: Final = {"dark_current_adu_s": "dark_current_e_s"}
_IN_ADU: Final = {electrons: adu for adu, electrons in _IN_ELECTRONS.items()}

#: A step is a jump if it is larger than this share of the level before it, and larger than the
#: usual step times the second number.
_JUMP_SHARE: Final = 0.2
_JUMP_STEPS: Final = 5.0

#: A night that is a date: nights from paths can be any text.
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")

#: Types without jumps: the level of a flat depends on its exposure, not on the camera.
_WITHOUT_JUMPS: Final = frozenset({"flat"})


@dataclass(frozen=True, slots=True)
class Point:
    """A number of one night; ``source`` is the name of a master, or a file of the library."""

    night: str
    value: float
    source: str


@dataclass(frozen=True, slots=True)
class Jump:
    """A step between two nights that is too large to be chance."""

    before: Point
    after: Point

    def __str__(self) -> str:
        change = "rose" if self.after.value > self.before.value else "fell"
        return (
            f"{change} from {plain_number(self.before.value, 3)} ({self.before.night}) "
            f"to {plain_number(self.after.value, 3)} ({self.after.night})"
        )


@dataclass(frozen=True)
class Trend:
    """One number of one camera setting over the nights.

    Attributes
    ----------
    setting : str
        Camera, settings, and exposure or filter, as the report shows them.
    type, number, label : str
        A type and a number of :data:`FOLLOWED`, and its label.
    points : sequence of Point
        In order of the nights.
    """

    setting: str
    type: str
    number: str
    label: str
    points: Sequence[Point]

    @property
    def jumps(self) -> list[Jump]:
        """The jumps of the number; see :func:`jumps`."""
        return [] if self.type in _WITHOUT_JUMPS else jumps(self.points)


def jumps(points: Sequence[Point]) -> list[Jump]:
    """Find the steps from night to night that stand out.

    A step counts when it is more than 20 % of the level before it and more than 5 times the
    median of all steps (of the others, where there are any).
    """
    pairs = [*pairwise(points)]
    steps = [abs(after.value - before.value) for before, after in pairs]
    large_steps = []
    for place, (before, after) in enumerate(pairs):
        others = steps[:place] + steps[place + 1 :]
        usual = median(others) if others else 0.0
        large = steps[place] > _JUMP_SHARE * abs(before.value)
        if large and steps[place] > _JUMP_STEPS * usual:
            large_steps.append(Jump(before, after))
    return large_steps


def trends(
    measured: Iterable[tuple[MasterJob, Path]],
    library: Iterable[Frame],
    gains: Mapping[str, float] = MappingProxyType({}),
) -> list[Trend]:
    """Follow every number of every camera setting.

    Parameters
    ----------
    measured : iterable of (job, quality)
        The masters of this run with their ``quality/<name>.json``.
    library : iterable of Frame
        Masters of a library; those whose setting this run has are measured too.
    gains : mapping of str to float
        Electrons per ADU by the name of a master, where known.

    Returns
    -------
    list of Trend
        Trends with at least one point, sorted by setting. The dark current is in electrons if the
        gain is known for all its points.
    """
    points: dict[tuple[str, str, str], list[Point]] = {}
    jobs: dict[str, MasterJob] = {}

    def add(setting: str, night: str, numbers: Mapping[str, float], source: str) -> None:
        if not _DATE.fullmatch(night):
            return
        kind = jobs[setting].type.value
        for number in FOLLOWED[kind]:
            if number in numbers:
                point = Point(night, float(numbers[number]), source)
                points.setdefault((setting, kind, number), []).append(point)

    for job, quality in measured:
        setting = setting_label(job)
        jobs[setting] = job
        for night in QualityRecord.read(quality).nights:
            add(setting, night.night, _with_electrons(night.numbers, gains.get(job.name)), job.name)
    for frame in library:
        for setting, job in jobs.items():
            if has_setting(frame, job):
                night_of_frame = str(frame.keywords["DATE"])
                add(setting, night_of_frame, _measure_library_master(frame), frame.path)
    _choose_units(points)
    return [
        Trend(setting, kind, number, FOLLOWED[kind][number], sorted(each, key=_night))
        for (setting, kind, number), each in sorted(points.items())
    ]


def _with_electrons(numbers: Mapping[str, float], gain: float | None) -> Mapping[str, float]:
    """Add numbers in electrons."""
    if gain is None:
        return numbers
    adu = {name: numbers[name] for name in _IN_ELECTRONS if name in numbers}
    return {**numbers, **{_IN_ELECTRONS[name]: value * gain for name, value in adu.items()}}


def _choose_units(points: dict[tuple[str, str, str], list[Point]]) -> None:
    """Keep one unit: electrons, if they are known for all points."""
    for setting, kind, number in [*points]:
        if adu := _IN_ADU.get(number):
            in_electrons, in_adu = points[setting, kind, number], points[setting, kind, adu]
            del points[setting, kind, adu if len(in_electrons) == len(in_adu) else number]


def _night(point: Point) -> str:
    return point.night


def has_setting(frame: Frame, job: MasterJob) -> bool:
    """Return whether a library's master was taken with the settings of a job."""
    if frame.problems or not frame.master or frame.geometry is None:
        return False
    if frame.keywords.get("TYPE") != job.type.value or not frame.keywords.get("DATE"):
        return False
    compared = set(job.keywords) - {"TYPE", "DATE"}
    sizes = (frame.geometry.width, frame.geometry.height)
    return sizes == (job.geometry.width, job.geometry.height) and all(
        format_value(key, frame.keywords.get(key, "")) == format_value(key, job.keywords[key])
        for key in compared
    )


def _measure_library_master(frame: Frame) -> dict[str, float]:
    """Measure a library's master without its frames; no number if it cannot be read.

    The noise of one frame is estimated as the noise of the master times sqrt(NCOMBINE).
    """
    try:
        image, _ = read_image(Path(frame.path))
        cards = read_cards(Path(frame.path))
    except FrameError:
        return {}
    numbers = {"level_adu": float(np.median(image)) * ADU}
    if frame.keywords["TYPE"] == FrameType.DARK.value:
        adu = image * np.float32(ADU)
        noise = _neighbour_noise(adu) * _combined(cards) ** 0.5
        numbers["hot_percent"] = 100 * float(odd_pixels(adu, noise).hot.mean())
    return numbers


def _combined(cards: Mapping[str, CardValue]) -> float:
    counts = (number_of(cards.get(key)) for key in ("NCOMBINE", "STACKCNT", "NFRAMES"))
    return max(1.0, next(filter(None, counts), 1.0))


def _neighbour_noise(image: np.ndarray[Any, np.dtype[np.float32]]) -> float:
    differences = image[:, 1:] - image[:, :-1]
    return float(1.4826 * np.median(np.abs(differences - np.median(differences))) / np.sqrt(2))
