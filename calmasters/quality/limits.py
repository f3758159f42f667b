"""Limits that depend on what they must: frames, rejection, exposure, gain, temperature, noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from calmasters.quality.quality_record import Range

__all__ = ["Circumstances", "limits_for"]

#: The level of a dark or a bias may be wrong by this many ADU: offsets drift. In a short exposure
#: this is a large dark current.
_OFFSET_ADU: Final = 20.0

#: Up to this temperature of the sensor limits of dark current hold; it doubles by so much above.
_COLD_C: Final = 0.0
_DOUBLING_C: Final = 6.0
#: The temperature of a sensor that nobody wrote down.
_UNKNOWN_C: Final = 25.0

#: A sensor without a set-point may warm up by one doubling of its dark current.
_UNCOOLED_SPREAD_C: Final = 6.0

#: A level is above 0 if it is this many times the noise.
_LEVEL_NOISES: Final = 4.0

#: A ratio with an uncertainty is outside if it is beyond its limit by this many of them.
_UNCERTAINTIES: Final = 3.0

_SIGNALS: Final = ("dark_current_e_s", "dark_current_adu_s", "glow_e_s", "glow_adu_s")


@dataclass(frozen=True)
class Circumstances:
    """What limits depend on.

    Attributes
    ----------
    rejected_percent : float
        Samples that the rejection takes from as many perfect frames.
    noise_adu : float
        Of one frame.
    step_adu : float
        Between the camera's values; 0 where they are not integers.
    exposure_s : float
        0 where unknown.
    gain_e_adu : float or None
        Of the header.
    sensor_c : float or None
        Median temperature of the sensor.
    has_set_point : bool
        Whether the sensor is cooled to a temperature.
    has_bias : bool
    is_part : bool
        Whether frames are a part of the sensor, so that the optical axis can be anywhere.
    uncertainties : mapping of str to float
        Of numbers, by name.
    """

    rejected_percent: float = 0.0
    noise_adu: float = 0.0
    step_adu: float = 1.0
    exposure_s: float = 0.0
    gain_e_adu: float | None = None
    sensor_c: float | None = None
    has_set_point: bool = True
    has_bias: bool = True
    is_part: bool = False
    uncertainties: Mapping[str, float] = field(default_factory=dict)

    @property
    def offset_adu(self) -> float:
        """By how much the level of a dark may be wrong."""
        return max(_OFFSET_ADU, self.noise_adu, self.step_adu)

    @property
    def warmth(self) -> float:
        """Dark current at the temperature of the sensor over that of a cold one."""
        temperature = _UNKNOWN_C if self.sensor_c is None else self.sensor_c
        return math.exp2(max(0.0, (temperature - _COLD_C) / _DOUBLING_C))


def limits_for(configured: Mapping[str, Range], seen: Circumstances) -> dict[str, Range]:
    """Adapt the configured ranges to a master.

    Parameters
    ----------
    configured : mapping of str to Range
        ``quality.ranges`` of its type.
    seen : Circumstances

    Returns
    -------
    dict of str to Range
        Without numbers that cannot be judged here. Limits are never narrower than configured.
    """
    limits: dict[str, Range] = {name: tuple(range_) for name, range_ in configured.items()}

    def widen(name: str, low: float = 0.0, high: float = 0.0, factor: float = 1.0) -> None:
        lowest, highest = limits.get(name, (None, None))
        if lowest is not None:
            lowest = _rounded(lowest - low)
        if highest is not None:
            highest = _rounded(highest * factor + high)
        if name in limits:
            limits[name] = (lowest, highest)

    widen("rejected_percent", high=seen.rejected_percent)
    lowest, highest = limits.get("level_adu", (None, None))
    if lowest is not None and seen.noise_adu:
        limits["level_adu"] = (min(lowest, _rounded(_LEVEL_NOISES * seen.noise_adu)), highest)
    widen("dark_signal_adu", low=seen.offset_adu - _OFFSET_ADU)
    for name in _SIGNALS:
        # In ADU only where there is no gain: it is the same signal.
        if name.endswith("_adu_s") and seen.gain_e_adu:
            limits.pop(name, None)
        elif seen.exposure_s:
            per_adu = (seen.gain_e_adu or 1.0) if name.endswith("_e_s") else 1.0
            widen(name, high=seen.offset_adu * per_adu / seen.exposure_s, factor=seen.warmth)
    if not seen.has_set_point:
        widen("temperature_spread_c", high=_UNCOOLED_SPREAD_C)
    if not seen.has_bias:
        limits.pop("gain_of_header", None)
    if seen.is_part:
        for name in ("corner_to_centre", "gradient_percent"):
            limits.pop(name, None)
    for name in ("gain_of_header", "read_noise_e", "read_noise_adu"):
        beyond = _UNCERTAINTIES * seen.uncertainties.get(name, 0.0)
        widen(name, low=beyond, high=beyond)
    return limits


def _rounded(value: float) -> float:
    """Round a limit to three digits."""
    return float(f"{value:.3g}")
