"""How the dark current of a camera depends on its temperature."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import numpy as np

from calmasters.quality.estimate import Estimate

__all__ = ["DarkCurrent", "DarkLevel", "DarkTemperature", "dark_currents", "doubling_temperature"]

#: Relative uncertainty of a dark current: the sensor's temperature is known to about 0.2 degrees.
_RELATIVE: Final = 0.02

#: A dark current counts if it is this many times its uncertainty; so does its rise.
_SIGNIFICANT: Final = 3.0

#: The temperatures must differ by this much.
_SPAN_C: Final = 5.0

#: Exposures must differ by this factor for a slope between two darks, without a bias.
_FACTOR: Final = 1.5


@dataclass(frozen=True, slots=True)
class DarkLevel:
    """The level of a bias (exposure 0) or a dark.

    Attributes
    ----------
    set_point : str
        As in names; levels of one set-point belong together.
    temperature_c : float
    exposure_s, level, uncertainty : float
        The unit of the levels is that of the dark current, times seconds.
    """

    set_point: str
    temperature_c: float
    exposure_s: float
    level: float
    uncertainty: float


@dataclass(frozen=True, slots=True)
class DarkCurrent:
    """The dark current at one temperature, per second."""

    temperature_c: float
    current: float
    uncertainty: float

    @property
    def estimate(self) -> Estimate:
        """The dark current with its uncertainty."""
        return Estimate(self.current, self.uncertainty)

    @property
    def is_known(self) -> bool:
        """Whether it is above its uncertainty."""
        return self.current > _SIGNIFICANT * self.uncertainty


def dark_currents(levels: Iterable[DarkLevel]) -> list[DarkCurrent]:
    """Measure the dark current at each set-point: the slope of level against exposure.

    Parameters
    ----------
    levels : iterable of DarkLevel
        Of one camera setting apart from its temperature.

    Returns
    -------
    list of DarkCurrent
        By temperature; set-points with one exposure only are left out.
    """
    ordered = sorted(levels, key=lambda each: (each.set_point, each.exposure_s))
    found = []
    for _, group in groupby(ordered, key=lambda each: each.set_point):
        members = [*group]
        exposures = [each.exposure_s for each in members]
        if max(exposures) <= _FACTOR * min(exposures):
            continue
        slope = _line([(each.exposure_s, each.level, each.uncertainty) for each in members])
        darks = [each.temperature_c for each in members if each.exposure_s] or [0.0]
        found.append(DarkCurrent(float(np.median(darks)), *slope))
    return sorted(found, key=lambda each: each.temperature_c)


def _line(points: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    """Fit a line to (x, y, sigma); return its slope, and the uncertainty of it.

    Where the points disagree by more than their sigmas, the uncertainty is larger.
    """
    x, y, sigma = (np.array(values, np.float64) for values in zip(*points, strict=True))
    weights = 1 / np.square(sigma)
    x_mean, y_mean = (float((weights * each).sum() / weights.sum()) for each in (x, y))
    spread = float((weights * np.square(x - x_mean)).sum())
    slope = float((weights * (x - x_mean) * (y - y_mean)).sum()) / spread
    squares = float((weights * np.square(y - y_mean - slope * (x - x_mean))).sum())
    freedom = len(points) - 2
    disagreement = max(1.0, squares / freedom) if freedom > 0 else 1.0
    return slope, math.sqrt(disagreement / spread)


def doubling_temperature(currents: Sequence[DarkCurrent]) -> Estimate:
    """Measure by how many degrees the dark current doubles.

    Parameters
    ----------
    currents : sequence of DarkCurrent
        Of one camera setting apart from its temperature.

    Returns
    -------
    Estimate
        Degrees Celsius.

    Notes
    -----
    A line through the logarithm of the dark current against temperature: ``ln 2`` over its slope.
    """
    if len(currents) < 2:
        return Estimate.unknown(
            "darks of two or more set-points are needed, each with its bias or with a dark of "
            "another exposure"
        )
    known = [each for each in currents if each.is_known]
    if len(known) < 2:
        return Estimate.unknown(
            f"the dark current is above its uncertainty at {len(known)} of {len(currents)} "
            "temperatures: take longer darks"
        )
    span = known[-1].temperature_c - known[0].temperature_c
    if span < _SPAN_C:
        return Estimate.unknown(
            f"the temperatures differ by {span:.1f} °C only, at least {_SPAN_C:.0f} °C are needed"
        )
    slope, error = _line(
        [
            (
                each.temperature_c,
                math.log(each.current),
                math.hypot(each.uncertainty / each.current, _RELATIVE),
            )
            for each in known
        ]
    )
    if slope < _SIGNIFICANT * error:
        return Estimate.unknown("the dark current does not rise with the temperature")
    return Estimate(math.log(2) / slope, math.log(2) / slope**2 * error)


@dataclass(frozen=True)
class DarkTemperature:
    """The dark current of one camera setting at all its temperatures.

    Attributes
    ----------
    setting : str
        Camera and settings without the temperature, as the report shows them.
    unit : str
        Of the dark currents: e-/s, or ADU/s where the gain is not known.
    currents : sequence of DarkCurrent
        By temperature.
    """

    setting: str
    unit: str
    currents: Sequence[DarkCurrent]

    @property
    def doubling(self) -> Estimate:
        """By how many degrees Celsius the dark current doubles."""
        return doubling_temperature(self.currents)
