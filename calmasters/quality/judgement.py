"""Numbers against their ranges: what is wrong, the likely cause, and the remedy, in words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeAlias

from calmasters.errors import QualityError

__all__ = [
    "NUMBERS",
    "Advice",
    "Finding",
    "Level",
    "Number",
    "Range",
    "judge",
    "require_good",
    "verdict",
]

#: Lowest and highest value expected; None is no limit.
Range: TypeAlias = Sequence[float | None]


class Level(StrEnum):
    """How much a finding matters; a note does not change the verdict."""

    GOOD = "good"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Advice:
    """Why a number may be outside its range, and what to do."""

    cause: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Number:
    """What a number is called, its unit, and what it means when it is too low or too high."""

    label: str
    unit: str
    low: Advice | None = None
    high: Advice | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """Something a person should know of a master.

    Attributes
    ----------
    level : Level
    found : str
        What was found, and what was expected.
    cause, remedy : str
        Empty where nothing can be said.
    number : str
        Which number it is about; empty for others.
    """

    level: Level
    found: str
    cause: str = ""
    remedy: str = ""
    number: str = ""


_CLIPPED = Advice(
    "the offset of the camera is so low that noise is cut off at 0",
    "raise OFFSET until the lowest pixels stay above 0, and take all frames anew",
)
_CORRELATED = Advice(
    "the frames are not independent: a pattern or a level drifted while they were taken",
    "let the camera reach its temperature first, take the frames in one go, away from interference",
)
_WARMING = Advice(
    "the sensor or its electronics changed temperature while the frames were taken",
    "wait 10 minutes after cooling down before the first frame; leave out the first (exclude)",
)
_OUTLIERS = Advice(
    "some frames differ from the others (light, clouds, another setting), or the limits of the "
    "rejection are too tight",
    "look at the frames named below and leave them out (exclude), or raise sigmaLow and sigmaHigh",
)
_LIGHT = Advice(
    "light reached the sensor, or it was warmer than its set-point",
    "cover the telescope and its drawtube in the dark, check the cooler, and take the frames anew",
)
_INTERFERENCE = Advice(
    "electrical interference or a worn readout adds a pattern to each frame",
    "try another power supply, cable or USB port; keep the readout mode; take more frames",
)

#: All numbers by name, in the order in which they are shown.
NUMBERS: Final[Mapping[str, Number]] = MappingProxyType(
    {
        "frames": Number(
            "frames used",
            "",
            Advice("few frames", "take more: the master's noise falls with their square root"),
        ),
        "level_adu": Number("level", "ADU", _CLIPPED, _LIGHT),
        "level_percent": Number(
            "level of the frames",
            "% of white",
            Advice(
                "the flats are exposed too short: shot noise and the offset count for much",
                "expose until the histogram stands between a third and a half",
            ),
            Advice(
                "the flats are exposed too long: the camera's response bends near white",
                "expose until the histogram stands between a third and a half",
            ),
        ),
        "level_spread": Number(
            "brightest over faintest frame",
            "",
            high=Advice(
                "the light changed much from flat to flat",
                "use a light panel, or let the program adapt the exposure to the twilight",
            ),
        ),
        "black_percent": Number("samples at 0", "%", high=_CLIPPED),
        "saturated_percent": Number(
            "saturated samples",
            "%",
            high=Advice(
                "parts of the flats are white: there the flat corrects nothing",
                "shorten the exposure or dim the light",
            ),
        ),
        "read_noise_adu": Number(
            "read noise",
            "ADU",
            Advice(
                "the frames are nearly equal: a driver that repeats or processes frames",
                "switch off noise reduction and dark subtraction in the camera and its driver",
            ),
            _INTERFERENCE,
        ),
        "read_noise_e": Number("read noise", "e-", high=_INTERFERENCE),
        "gain_e_adu": Number("gain, measured", "e-/ADU"),
        "gain_of_header": Number(
            "gain measured over EGAIN",
            "",
            Advice(
                "more noise in the flats than photons make: flicker, or clouds between frames",
                "trust the header only if another evening gives the same",
            ),
            Advice(
                "less noise in the flats than photons make: frames were processed, or EGAIN is "
                "that of another gain setting",
                "switch off noise reduction in the driver; check GAIN",
            ),
        ),
        "dark_signal_adu": Number(
            "dark signal over the bias",
            "ADU",
            Advice(
                "the dark is fainter than the bias: they do not belong together",
                "take bias and darks with the same settings and at the same temperature",
            ),
        ),
        "dark_current_adu_s": Number("dark current", "ADU/s"),
        "dark_current_e_s": Number("dark current", "e-/s", high=_LIGHT),
        "noise_adu": Number("noise of one frame", "ADU"),
        "hot_pixels": Number("hot pixels", ""),
        "hot_percent": Number(
            "hot pixels",
            "%",
            high=Advice(
                "the sensor is warm or ages",
                "cool more; use the bad-pixel map and dither between exposures",
            ),
        ),
        "warm_pixels": Number("warm pixels", ""),
        "cold_pixels": Number("cold pixels", ""),
        "cold_percent": Number(
            "cold pixels",
            "%",
            high=Advice(
                "pixels or columns that do not read out, or dust in the dark current of neighbours",
                "look at the map; use the bad-pixel map",
            ),
        ),
        "glow_adu": Number("amp glow, brightest corner over the centre", "ADU"),
        "glow_over_noise": Number(
            "amp glow over the noise of one frame",
            "",
            high=Advice(
                "the camera's electronics shine on the sensor, or light leaks in",
                "use darks of exactly the lights' exposure, do not scale them; if it is new, look "
                "for a light leak",
            ),
        ),
        "temperature_spread_c": Number(
            "temperature, highest less lowest",
            "°C",
            high=Advice(
                "the cooler did not hold its set-point",
                "choose a set-point that the cooler reaches at 80 % of its power",
            ),
        ),
        "fixed_pattern_adu": Number("fixed pattern", "ADU"),
        "fixed_pattern_over_noise": Number("fixed pattern over read noise", "", high=_INTERFERENCE),
        "row_banding_adu": Number("row banding", "ADU"),
        "column_banding_adu": Number("column banding", "ADU"),
        "banding_over_noise": Number(
            "banding (rows or columns) over read noise", "", high=_INTERFERENCE
        ),
        "drift_adu": Number("drift from first to last frame", "ADU"),
        "drift_over_noise": Number(
            "drift over the noise of one frame", "", low=_WARMING, high=_WARMING
        ),
        "corner_to_centre": Number(
            "corners over centre",
            "",
            Advice(
                "strong vignetting, or the dew cap, filter or shutter is in the way",
                "check the filter's size and that the shutter is fully open in short exposures",
            ),
            Advice(
                "the corners are brighter than the centre: stray light in the flats",
                "shield the telescope from light that comes from the side",
            ),
        ),
        "gradient_percent": Number(
            "gradient across the frame",
            "%",
            high=Advice(
                "the flats were lit from one side, or the optics are tilted",
                "turn the panel between flats or point to the even part of the sky",
            ),
        ),
        "response_spread_percent": Number(
            "response of pixels (PRNU)",
            "%",
            high=Advice(
                "pixels differ much, or the flats are so faint that the offset's pattern shows",
                "expose longer; match a bias and a dark to the flats",
            ),
        ),
        "dust_percent": Number(
            "area in dust shadows",
            "%",
            high=Advice(
                "dust on the filter or the sensor's window",
                "clean it, or take flats on the same night with nothing touched",
            ),
        ),
        "dust_depth_percent": Number("deepest shadow", "%"),
        "master_noise_adu": Number("noise of the master", "ADU"),
        "noise_over_expected": Number(
            "noise of the master over that of one frame / sqrt(N)", "", high=_CORRELATED
        ),
        "rejected_percent": Number("samples rejected", "%", high=_OUTLIERS),
    }
)


def judge(numbers: Mapping[str, float], ranges: Mapping[str, Range]) -> Iterator[Finding]:
    """Find the numbers that are outside their ranges.

    Parameters
    ----------
    numbers : mapping of str to float
        By name, as in :data:`NUMBERS`.
    ranges : mapping of str to Range
        Those expected; a number without one is not judged.
    """
    for name, value in numbers.items():
        low, high = ranges.get(name, (None, None))
        number = NUMBERS[name]
        if low is not None and value < low:
            yield _outside(name, value, f"at least {low:g}", number.low)
        elif high is not None and value > high:
            yield _outside(name, value, f"at most {high:g}", number.high)


def _outside(name: str, value: float, expected: str, advice: Advice | None) -> Finding:
    number = NUMBERS[name]
    found = f"{number.label}: {value:.3g} {number.unit}".rstrip()
    advice = advice or Advice("", "")
    return Finding(
        Level.ERROR, f"{found} (expected: {expected})", advice.cause, advice.remedy, name
    )


def verdict(findings: Sequence[Finding]) -> Level:
    """Give the worst level of all findings."""
    levels = {finding.level for finding in findings}
    return next((level for level in (Level.ERROR, Level.WARNING) if level in levels), Level.GOOD)


def require_good(files: Iterable[Path], report: Path) -> None:
    """Raise where any master has a number outside its range (``quality.fail_on: error``).

    Parameters
    ----------
    files : iterable of Path
        The masters' ``quality/<name>.json``.
    report : Path
        Named in the message.

    Raises
    ------
    QualityError
        With every number, and the page that says what to do.
    """
    found = [
        f"{stored['name']}: {finding['found']}"
        for stored in (json.loads(file.read_text(encoding="utf-8")) for file in files)
        for finding in stored["findings"]
        if finding["level"] == Level.ERROR
    ]
    if found:
        raise QualityError(
            "\n  ".join([f"numbers outside their ranges; {report} says what to do:", *found])
        )
