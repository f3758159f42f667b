"""Dark current against temperature, from the masters of a run and those of a library."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from statistics import fmean, stdev
from typing import Final, TypeAlias

import numpy as np

from calmasters.errors import FrameError
from calmasters.frame import Frame, FrameType, Geometry, Value, format_value
from calmasters.headers.fits_cards import number_of
from calmasters.images.master_file import read_image
from calmasters.quality.dark_temperature import (
    DarkCurrent,
    DarkLevel,
    DarkTemperature,
    dark_currents,
)
from calmasters.quality.sample import ADU
from calmasters.reporting.masters import Master

__all__ = ["dark_temperatures", "gain_of"]

_Key: TypeAlias = tuple[tuple[str, str], ...]

_TEMPERATURE: Final = "SET-TEMP"

#: Uncertainty of the level of a master whose frames are not known, and the least of any, ADU.
_LIBRARY_LEVEL: Final = 0.5
_LEAST: Final = 0.1

#: Masters of a library that are read at most, and pixels of each.
_LIBRARY_MASTERS: Final = 100
_PIXELS: Final = 1 << 20

#: Numbers whose ratio is the gain, in electrons and in ADU.
_RATIOS: Final = (("dark_current_e_s", "dark_current_adu_s"), ("read_noise_e", "read_noise_adu"))


def gain_of(master: Master) -> float | None:
    """Give the electrons per ADU that the numbers of a master imply; None where unknown."""
    for electrons, adu in _RATIOS:
        one, other = master.number(electrons), master.number(adu)
        if one and other and one / other > 0:
            return one / other
    return None


def dark_temperatures(
    masters: Iterable[Master], library: Iterable[Frame], keywords: Sequence[str]
) -> list[DarkTemperature]:
    """Measure the dark current of each camera setting that has darks, at all temperatures.

    Parameters
    ----------
    masters : iterable of Master
        Of this run, with numbers in electrons where the gain is known.
    library : iterable of Frame
        Masters of a library; those of the same camera settings are read.
    keywords : sequence of str
        Keywords of a camera setting (``master_match_keywords``).
    """
    wanted = [key for key in keywords if key != _TEMPERATURE]
    settings: dict[_Key, list[Master]] = {}
    for master in masters:
        if master.job.type is not FrameType.FLAT:
            key = _key(master.job.keywords, master.job.geometry, wanted)
            settings.setdefault(key, []).append(master)
    with_darks = {
        key: members
        for key, members in settings.items()
        if any(master.job.type is FrameType.DARK for master in members)
    }
    levels = {key: [*_levels(members)] for key, members in with_darks.items()}
    known = (frame for frame in library if _is_usable(frame, wanted, with_darks))
    for frame in islice(known, _LIBRARY_MASTERS):
        if frame.geometry and (level := _library_level(frame)):
            levels[_key(frame.keywords, frame.geometry, wanted)].append(level)
    return [
        DarkTemperature(_text(key), *_in_electrons(dark_currents(each), with_darks[key]))
        for key, each in levels.items()
    ]


def _key(keywords: Mapping[str, Value], geometry: Geometry, wanted: Iterable[str]) -> _Key:
    values = [(key, format_value(key, keywords[key])) for key in wanted if key in keywords]
    binning = f"binned {geometry.xbinning}x{geometry.ybinning}"
    return (*values, ("", f"{geometry.width}x{geometry.height} {binning}"))


def _text(key: _Key) -> str:
    return ", ".join(f"{name} {value}".strip() for name, value in key)


def _levels(masters: Iterable[Master]) -> Iterator[DarkLevel]:
    for master in masters:
        job, levels = master.job, [frame.level_adu for frame in master.quality.frames]
        temperature = number_of(job.header.get("CCD-TEMP", job.keywords.get(_TEMPERATURE)))
        exposure = number_of(job.header.get("EXPTIME", job.keywords.get("EXPOSURE"))) or 0.0
        if temperature is None or (job.type is FrameType.DARK and not exposure):
            continue
        scatter = stdev(levels) / math.sqrt(len(levels)) if len(levels) > 1 else _LIBRARY_LEVEL
        yield DarkLevel(
            _set_point(job.keywords, temperature),
            temperature,
            exposure if job.type is FrameType.DARK else 0.0,
            master.quality.numbers["level_adu"],
            math.hypot(scatter, _LEAST),
        )


def _set_point(keywords: Mapping[str, Value], temperature_c: float) -> str:
    """Say which masters have one temperature; cameras without cooling have whole degrees."""
    value = keywords.get(_TEMPERATURE)
    return f"{temperature_c:.0f}" if value is None else format_value(_TEMPERATURE, value)


def _is_usable(frame: Frame, wanted: Iterable[str], settings: Mapping[_Key, object]) -> bool:
    if frame.problems or not frame.master or frame.geometry is None:
        return False
    is_unlit = frame.keywords.get("TYPE") in (FrameType.BIAS.value, FrameType.DARK.value)
    return is_unlit and _key(frame.keywords, frame.geometry, wanted) in settings


def _library_level(frame: Frame) -> DarkLevel | None:
    """Measure the level of a library's master; None if it cannot be used."""
    is_dark = frame.keywords["TYPE"] == FrameType.DARK.value
    exposure = number_of(frame.keywords.get("EXPOSURE")) if is_dark else 0.0
    temperature = frame.ccd_temp_c
    if temperature is None:
        temperature = number_of(frame.keywords.get(_TEMPERATURE))
    if temperature is None or exposure is None or (is_dark and not exposure):
        return None
    try:
        image, _ = read_image(Path(frame.path))
    except FrameError:
        return None
    # Whole rows, so that both colours and all columns count.
    level = float(np.median(image[:: max(1, -(-image.size // _PIXELS))])) * ADU
    set_point = _set_point(frame.keywords, temperature)
    return DarkLevel(set_point, temperature, exposure, level, _LIBRARY_LEVEL)


def _in_electrons(
    currents: Iterable[DarkCurrent], masters: Iterable[Master]
) -> tuple[str, list[DarkCurrent]]:
    gains = [gain for gain in map(gain_of, masters) if gain]
    if not gains:
        return "ADU/s", [*currents]
    gain = fmean(gains)
    return "e-/s", [
        DarkCurrent(each.temperature_c, each.current * gain, each.uncertainty * gain)
        for each in currents
    ]
