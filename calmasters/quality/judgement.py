"""Numbers compared with their ranges: what is wrong, the likely cause, and the remedy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from calmasters.errors import QualityError, plain_number
from calmasters.quality.digits import with_uncertainty
from calmasters.quality.quality_record import Finding, Level, QualityRecord, Range

__all__ = [
    "NUMBERS",
    "OFFSET_WITHOUT_LIGHT",
    "Advice",
    "Number",
    "check_ranges",
    "require_good",
    "worst_level",
]


@dataclass(frozen=True, slots=True)
class Advice:
    """Why a number may be outside its range, and what to do."""

    cause: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Number:
    """The label and unit of a number, and advice for when it is too low or too high."""

    label: str
    unit: str
    low: Advice | None = None
    high: Advice | None = None


_CLIPPED = Advice(
    "the offset of the camera is too low: noise is clipped at 0",
    "raise OFFSET until the lowest pixels stay above 0, and take all frames again",
)
_CORRELATED = Advice(
    "the frames are not independent: a pattern or a level drifted while they were taken",
    "start when the camera has reached its temperature, take the frames without a pause, and keep "
    "sources of interference away",
)
_WARMING = Advice(
    "the sensor or its electronics changed temperature while the frames were taken",
    "after cooling down wait 10 minutes before the first frame; leave out the first frames "
    "(exclude)",
)
_OUTLIERS = Advice(
    "some frames differ from the others (light, clouds, another setting), or the limits of the "
    "rejection are too narrow",
    "check the frames named below and leave them out (exclude), or raise sigmaLow and sigmaHigh",
)
_LIGHT = Advice(
    "light reached the sensor, or it was warmer than its set-point",
    "cover the telescope and its focuser in the dark, check the cooler, and take the frames again",
)
_FAINT = Advice(
    "the flats are exposed too short, or too few: shot noise is larger than the response of pixels",
    "expose so that the peak of the histogram is between a third and a half of white, or take more",
)
_GLOW = Advice(
    "the camera's electronics emit light onto the sensor, or light leaks in",
    "use darks of exactly the lights' exposure, do not scale them; if the glow is new, look for a "
    "light leak",
)
_HOT = Advice(
    "the sensor is warm or aging",
    "cool more; use the bad-pixel map and dither between exposures",
)
_OTHER_GAIN = Advice(
    "the camera's gain is not that of earlier masters with the same settings",
    "check GAIN and the readout mode of the camera: the header may not say how it was read out",
)
#: For a level that is too high, but has too little noise to be light.
OFFSET_WITHOUT_LIGHT: Final = Advice(
    "the level has less noise than light: it is an offset that the camera or a program added, "
    "such as 32768 by reading signed numbers as unsigned",
    "check the program that wrote the frames; where the offset is OFFSET of the camera, lower it: "
    "it takes room from the light",
)
_INTERFERENCE = Advice(
    "electrical interference or a fault in the readout adds a pattern to each frame",
    "try another power supply, cable or USB port; do not change the readout mode; take more frames",
)

_OTHER_FRAMES: Final = Advice(
    "the master was not made of these frames as they are now, or not with the bias and dark that "
    "its record names",
    "make it again: delete the master, then run snakemake masters; if the number stays, report it "
    "with the master's log",
)

#: All numbers by name, in the order in which they are shown.
NUMBERS: Final[Mapping[str, Number]] = MappingProxyType(
    {
        "frames": Number(
            "frames used",
            "",
            Advice("few frames", "take more: noise falls with the square root of their number"),
        ),
        "level_adu": Number("level", "ADU", _CLIPPED, _LIGHT),
        "level_percent": Number(
            "level of the frames",
            "% of white",
            _FAINT,
            Advice(
                "the flats are exposed too long: the camera's response is not linear near white",
                "expose so that the peak of the histogram is between a third and a half of white",
            ),
        ),
        "bright_percent": Number(
            "level of the lit part",
            "% of white",
            high=Advice(
                "the flats are exposed too long: the camera's response is not linear near white",
                "expose so that the brightest lines are below 80 % of white",
            ),
        ),
        "lit_percent": Number("lit part of the frame", "%"),
        "lit_noise_percent": Number(
            "noise of the master where it is lit",
            "% of its level",
            high=Advice(
                "the flats of this spectrograph are exposed too short, or too few",
                "expose longer, without saturating the brightest lines, or take more",
            ),
        ),
        "level_spread": Number(
            "brightest over faintest frame",
            "",
            high=Advice(
                "the light changed strongly between flats",
                "use a flat panel, or let the capture program adapt the exposure to the twilight",
            ),
        ),
        "black_percent": Number("samples at 0", "%", high=_CLIPPED),
        "saturated_percent": Number(
            "saturated samples",
            "%",
            high=Advice(
                "parts of the flats are saturated: there the flat corrects nothing",
                "shorten the exposure or dim the light",
            ),
        ),
        "read_noise_adu": Number(
            "read noise",
            "ADU",
            Advice(
                "the frames are nearly equal: the driver repeats or processes frames",
                "switch off noise reduction and dark subtraction in the camera and its driver",
            ),
            _INTERFERENCE,
        ),
        "read_noise_e": Number("read noise", "e-", high=_INTERFERENCE),
        "gain_e_adu": Number("gain, measured", "e-/ADU", _OTHER_GAIN, _OTHER_GAIN),
        "gain_of_header": Number(
            "gain measured over EGAIN",
            "",
            Advice(
                "more noise in the flats than shot noise: flicker, or clouds between frames",
                "trust the header only if flats of another evening give the same value",
            ),
            Advice(
                "less noise in the flats than shot noise: frames were processed, or EGAIN belongs "
                "to another gain setting",
                "switch off noise reduction in the driver; check GAIN",
            ),
        ),
        "white_adu": Number("white", "ADU"),
        "full_well_e": Number("full well, or white in electrons", "e-"),
        "nonlinearity_percent": Number(
            "response of the brightest flat, change to a faint one", "%"
        ),
        "dark_signal_adu": Number(
            "dark signal over the bias",
            "ADU",
            Advice(
                "the level of the dark is below that of the bias: they do not match",
                "take bias and darks with the same settings and at the same temperature",
            ),
        ),
        "dark_current_adu_s": Number("dark current", "ADU/s", high=_LIGHT),
        "dark_current_e_s": Number("dark current", "e-/s", high=_LIGHT),
        "noise_adu": Number("noise of one frame", "ADU"),
        "hot_pixels": Number("hot pixels", ""),
        "hot_percent": Number("hot pixels", "%", high=_HOT),
        "hot_rate_percent": Number(
            "pixels with much dark current (2 e-/s, or the limit below)", "%", high=_HOT
        ),
        "hot_limit_e_s": Number("limit of much dark current", "e-/s"),
        "hot_limit_adu_s": Number("limit of much dark current", "ADU/s"),
        "warm_pixels": Number("warm pixels", ""),
        "cold_pixels": Number("cold pixels", ""),
        "cold_percent": Number(
            "cold pixels",
            "%",
            high=Advice(
                "pixels or columns that are not read out correctly",
                "use the bad-pixel map",
            ),
        ),
        "telegraph_pixels": Number("pixels that jump between two levels", ""),
        "telegraph_percent": Number("pixels that jump between two levels", "%"),
        "glow_adu": Number("amp glow, brightest corner over the centre", "ADU"),
        "glow_e_s": Number("amp glow per second", "e-/s", high=_GLOW),
        "glow_adu_s": Number("amp glow per second", "ADU/s", high=_GLOW),
        "glow_over_noise": Number("amp glow over the noise of one frame", "", high=_GLOW),
        "temperature_spread_c": Number(
            "temperature, highest less lowest",
            "°C",
            high=Advice(
                "the cooler did not keep the sensor at its set-point",
                "choose a set-point that the cooler reaches with 80 % of its power",
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
                "strong vignetting, or the dew shield, filter or shutter blocks light",
                "check the filter's size, and that the shutter opens fully in short exposures",
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
                "turn the panel between flats, or point to an evenly bright part of the sky",
            ),
        ),
        "response_spread_percent": Number(
            "response of pixels (PRNU)",
            "%",
            high=Advice(
                "the response of pixels differs strongly, or the flats are so faint that the "
                "pattern of the offset is visible",
                "expose longer; calibrate the flats with a bias and a dark",
            ),
        ),
        "dust_percent": Number(
            "area in dust shadows",
            "%",
            high=Advice(
                "dust on the filter or the sensor's window",
                "clean it, or take the flats in the same night without touching the equipment",
            ),
        ),
        "dust_depth_percent": Number("deepest shadow", "%"),
        "master_noise_adu": Number("noise of the master", "ADU"),
        "master_noise_percent": Number("noise of the master", "% of its level", high=_FAINT),
        "noise_over_expected": Number(
            "noise of the master over that of one frame / sqrt(N)", "", high=_CORRELATED
        ),
        "residual_adu": Number("mean of the frames less the master", "ADU"),
        "residual_over_error": Number(
            "the same over its error", "", low=_OTHER_FRAMES, high=_OTHER_FRAMES
        ),
        "residual_noise_over_expected": Number(
            "noise of the frames less the master, over the expected",
            "",
            _OTHER_FRAMES,
            _OTHER_FRAMES,
        ),
        "residual_pixels_over_noise": Number(
            "pixels of the frames' mean less the master, over the noise of the mean",
            "",
            high=_OTHER_FRAMES,
        ),
        "residual_pattern_over_noise": Number(
            "pattern of the frames' mean less the master, over the noise of one frame",
            "",
            high=Advice(
                "rows, columns or large areas of the frames are not in the master: the rejection "
                "took them, since the light or a pattern changed between the frames",
                "take more frames in steady light; leave out frames that differ (exclude)",
            ),
        ),
        "change_adu": Number("level, less that of the master before", "ADU"),
        "changed_percent": Number(
            "pixels that changed since the master before",
            "%",
            high=Advice(
                "the sensor or its readout changed, or the frames of one of both are not of this "
                "setting",
                "compare the pictures; if the change is real, use the new master for new lights "
                "only",
            ),
        ),
        "dust_moved_percent": Number("area where dust moved since the flat before", "%"),
        "dust_moved_depth_percent": Number("deepest of these", "%"),
        "rejected_percent": Number("samples rejected", "%", high=_OUTLIERS),
    }
)


def check_ranges(
    numbers: Mapping[str, float],
    ranges: Mapping[str, Range],
    uncertainties: Mapping[str, float] = MappingProxyType({}),
) -> Iterator[Finding]:
    """Find the numbers that are outside their ranges.

    Parameters
    ----------
    numbers : mapping of str to float
        By name, as in :data:`NUMBERS`.
    ranges : mapping of str to Range
        By the same names; a number without a range is not checked.
    uncertainties : mapping of str to float
        By the same names; they decide how many digits are written.
    """
    for name, value in numbers.items():
        low, high = ranges.get(name, (None, None))
        number = NUMBERS[name]
        text = with_uncertainty(value, uncertainties.get(name))
        measured = f"{number.label}: {text} {number.unit}".rstrip()
        if low is not None and value < low:
            yield _outside(name, measured, f"at least {plain_number(low)}", number.low)
        elif high is not None and value > high:
            yield _outside(name, measured, f"at most {plain_number(high)}", number.high)


def _outside(name: str, measured: str, expected: str, advice: Advice | None) -> Finding:
    advice = advice or Advice("", "")
    return Finding(
        Level.ERROR, f"{measured} (expected: {expected})", advice.cause, advice.remedy, name
    )


def worst_level(findings: Sequence[Finding]) -> Level:
    """Return the worst level of all findings; notes count as good."""
    levels = {finding.level for finding in findings}
    return next((level for level in (Level.ERROR, Level.WARNING) if level in levels), Level.GOOD)


def require_good(records: Iterable[QualityRecord], report: Path) -> None:
    """Raise where any master has a number outside its range (``quality.fail_on: error``).

    Parameters
    ----------
    records : iterable of QualityRecord
    report : Path
        Named in the message.

    Raises
    ------
    QualityError
        With every such number, and the page with the remedies.
    """
    errors = [
        f"{record.name}: {finding.found}"
        for record in records
        for finding in record.findings
        if finding.level is Level.ERROR
    ]
    if errors:
        raise QualityError(
            "\n  ".join([f"numbers outside their ranges; see {report} for remedies:", *errors])
        )
