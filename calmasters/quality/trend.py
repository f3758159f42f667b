"""The same camera over the months: numbers by night, and where they jump."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from calmasters.errors import FrameError
from calmasters.frame import Frame, FrameType, Geometry, Value, format_value
from calmasters.headers.fits_cards import CardValue, number_of
from calmasters.headers.image_header import read_cards
from calmasters.images.master_file import read_image
from calmasters.model.job import MasterJob
from calmasters.quality.sample import ADU
from calmasters.quality.surface import odd_pixels
from calmasters.settings import Settings

__all__ = ["FOLLOWED", "Jump", "Point", "Trend", "jumps", "setting_of", "trends"]

#: What is followed of each kind of frame: number to its label.
FOLLOWED: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "bias": {"read_noise_adu": "read noise, ADU", "level_adu": "bias level, ADU"},
        "dark": {
            "dark_current_adu_s": "dark current, ADU/s",
            "hot_percent": "hot pixels, %",
            "level_adu": "dark level, ADU",
        },
        "flat": {"level_adu": "flat level, ADU"},
    }
)

#: A step is a jump when it is larger than this share of the level before, and than this many
#: times the usual step.
_JUMP_SHARE: Final = 0.2
_JUMP_STEPS: Final = 5.0

#: Nights from paths can be any text.
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")

#: A flat's level is what the photographer makes it: its jumps mean nothing.
_FREE: Final = frozenset({"flat"})


@dataclass(frozen=True, slots=True)
class Point:
    """A number of one night; ``source`` is the master's name or the library's file."""

    night: str
    value: float
    source: str


@dataclass(frozen=True, slots=True)
class Jump:
    """A step between two nights that is no chance."""

    before: Point
    after: Point

    def __str__(self) -> str:
        """Tell it in words."""
        way = "rose" if self.after.value > self.before.value else "fell"
        return (
            f"{way} from {self.before.value:.3g} ({self.before.night}) "
            f"to {self.after.value:.3g} ({self.after.night})"
        )


@dataclass(frozen=True)
class Trend:
    """One number of one camera setting over the nights.

    Attributes
    ----------
    setting : str
        Camera, settings, exposure or filter, in words.
    type, number, label : str
    points : sequence of Point
        By night.
    """

    setting: str
    type: str
    number: str
    label: str
    points: Sequence[Point]

    @property
    def jumps(self) -> list[Jump]:
        """Where the number jumps; see :func:`jumps`."""
        return [] if self.type in _FREE else jumps(self.points)


def jumps(points: Sequence[Point]) -> list[Jump]:
    """Find the steps from night to night that stand out.

    A step counts when it is more than 20 % of the level before it and more than 5 times the
    median of all steps (of the others, where there are any).
    """
    pairs = [*pairwise(points)]
    steps = [abs(after.value - before.value) for before, after in pairs]
    found = []
    for place, (before, after) in enumerate(pairs):
        others = steps[:place] + steps[place + 1 :]
        usual = median(others) if others else 0.0
        large = steps[place] > _JUMP_SHARE * abs(before.value)
        if large and steps[place] > _JUMP_STEPS * usual:
            found.append(Jump(before, after))
    return found


def setting_of(type_: FrameType, keywords: Mapping[str, Value], geometry: Geometry) -> str:
    """Name a camera setting: what must be equal for numbers to be compared."""
    left_out = {"TYPE", "DATE", "INSTRUME"}
    further = [
        f"{key} {format_value(key, value)}"
        for key, value in keywords.items()
        if key not in left_out
    ]
    camera = str(keywords.get("INSTRUME", "unknown camera"))
    return f"{camera}, {type_.value}: {', '.join((*further, str(geometry)))}"


def trends(
    measured: Iterable[tuple[MasterJob, Path]], library: Iterable[Frame], settings: Settings
) -> list[Trend]:
    """Follow every number of every camera setting.

    Parameters
    ----------
    measured : iterable of (job, quality)
        The masters of this run with their ``quality/<name>.json``.
    library : iterable of Frame
        Masters made before; those of a setting that this run has are measured too.
    settings : Settings

    Returns
    -------
    list of Trend
        Those with at least one point, by setting.
    """
    found: dict[tuple[str, str, str], list[Point]] = {}
    settings_of: dict[str, MasterJob] = {}
    for job, quality in measured:
        setting = setting_of(job.type, job.keywords, job.geometry)
        settings_of[setting] = job
        for night in json.loads(quality.read_text(encoding="utf-8"))["nights"]:
            _add(found, setting, job.type.value, night, job.name)
    for frame in library:
        for setting, job in settings_of.items():
            if _fits(frame, job):
                _add(found, setting, job.type.value, _of_library(frame, settings), frame.path)
    return [
        Trend(setting, kind, number, FOLLOWED[kind][number], sorted(points, key=_night))
        for (setting, kind, number), points in sorted(found.items())
    ]


def _night(point: Point) -> str:
    return point.night


def _add(
    found: dict[tuple[str, str, str], list[Point]],
    setting: str,
    kind: str,
    night: Mapping[str, Any],
    source: str,
) -> None:
    for number in FOLLOWED[kind]:
        if number in night and _DATE.fullmatch(str(night["night"])):
            point = Point(str(night["night"]), float(night[number]), source)
            found.setdefault((setting, kind, number), []).append(point)


def _fits(frame: Frame, job: MasterJob) -> bool:
    """Tell whether a library's master was taken with the settings of a job."""
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


def _of_library(frame: Frame, settings: Settings) -> dict[str, Any]:
    """Measure a master of whatever program as far as it goes without its frames.

    The noise of one frame is taken to be that of the master times sqrt(NCOMBINE).
    """
    night: dict[str, Any] = {"night": str(frame.keywords["DATE"])}
    try:
        image, _ = read_image(Path(frame.path), settings.float_range)
        cards = read_cards(Path(frame.path))
    except FrameError:
        return {}
    night["level_adu"] = float(np.median(image)) * ADU
    if frame.keywords["TYPE"] == FrameType.DARK.value:
        adu = image * np.float32(ADU)
        noise = _neighbour_noise(adu) * _combined(cards) ** 0.5
        night["hot_percent"] = 100 * float(odd_pixels(adu, noise).hot.mean())
    return night


def _combined(cards: Mapping[str, CardValue]) -> float:
    counts = (number_of(cards.get(key)) for key in ("NCOMBINE", "STACKCNT", "NFRAMES"))
    return max(1.0, next(filter(None, counts), 1.0))


def _neighbour_noise(image: np.ndarray[Any, np.dtype[np.float32]]) -> float:
    differences = image[:, 1:] - image[:, :-1]
    return float(1.4826 * np.median(np.abs(differences - np.median(differences))) / np.sqrt(2))
