"""Plots of the measured numbers, each with a title; a sentence where there is nothing to draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from math import isfinite
from typing import Final

from markupsafe import Markup

from calmasters.quality.dark_temperature import DarkTemperature
from calmasters.quality.estimate import Estimate
from calmasters.quality.quality_record import QualityRecord, RegionQuality
from calmasters.quality.trend import Trend
from calmasters.reporting.digits import measured, short
from calmasters.reporting.panels import Panel, Scale, Tick, svg_of

__all__ = [
    "Plot",
    "draw_dark_temperature",
    "draw_frames",
    "draw_histogram",
    "draw_photon_transfer",
    "draw_trend",
    "draw_vignetting",
]

#: Largest number of nights on the axis of a trend: their dates have room beside each other.
_MAX_NIGHTS: Final = 4

#: Largest number of points in a photon transfer curve.
_MAX_POINTS: Final = 400

#: Fewest points of a plot of dark current.
_FEWEST_TEMPERATURES: Final = 2

#: Rings are compared with the centre, %: it is dark where others are so much brighter.
_LARGEST_RING: Final = 10_000

#: Colours of the page: for usual points, for those that stand out, for lines between points, and
#: for what was expected.
_USUAL, _ODD, _LINE, _EXPECTED = "accent", "bad", "line", "quiet"


@dataclass(frozen=True)
class Plot:
    """A plot for the page.

    Attributes
    ----------
    title : str
    svg : Markup or None
        An SVG element; None where there is nothing to draw.
    note : str
        The sentence that the page shows instead, or below the plot.
    """

    title: str
    svg: Markup | None = None
    note: str = ""


def draw_histogram(quality: QualityRecord) -> Plot:
    """Draw the histogram of a master."""
    histogram = quality.histogram
    title = "Histogram of the master"
    level = short(quality.numbers.get("level_adu"))
    if sum(count > 0 for count in histogram.counts) < 2:
        return Plot(title, note=f"All pixels of the master are at {level} ADU.")
    edges = histogram.edges_adu
    panel = Panel(
        Scale.around("level, ADU", (edges[0], edges[-1]), margin=0.0),
        Scale.of_counts("pixels", max(histogram.counts)),
    )
    panel.stairs(edges, histogram.counts)
    return Plot(title, svg_of(f"{title}, median {level} ADU", panel))


def draw_frames(quality: QualityRecord) -> Plot:
    """Draw the level of each frame and, where known, the share of its rejected samples."""
    numbered = [*enumerate(quality.frames, 1)]
    shown = [(number, frame) for number, frame in numbered if isfinite(frame.level_adu)]
    if not shown:
        return Plot("Level of the frames", note="No level was measured.")
    known = all(frame.rejected_percent is not None for _, frame in numbered)
    frames = Scale.of_frames(len(numbered))
    levels = Panel(
        frames, Scale.around("level, ADU", (frame.level_adu for _, frame in shown), margin=0.15)
    )
    shares = Panel(
        frames,
        Scale.around(
            "rejected, %", (frame.rejected_percent or 0.0 for _, frame in numbered), zero=True
        ),
    )
    for odd, colour in ((False, _USUAL), (True, _ODD)):
        chosen = [each for each in shown if bool(each[1].stands_out) is odd]
        places = [number for number, _ in chosen]
        levels.points(places, [frame.level_adu for _, frame in chosen], colour)
        shares.bars(places, [frame.rejected_percent or 0.0 for _, frame in chosen], colour)
    standing_out = sum(bool(frame.stands_out) for frame in quality.frames)
    title = "Level and rejected samples of each frame" if known else "Level of each frame"
    description = f"{title}: {len(numbered)} frames, {standing_out} stand out"
    return Plot(title, svg_of(description, levels, *([shares] if known else [])))


def draw_vignetting(quality: QualityRecord) -> Plot:
    """Draw the level of a flat from the centre to the corners."""
    rings = [100 * ring for ring in quality.vignetting]
    title = "Level from the centre to the corners"
    if not all(map(isfinite, rings)) or not 0 < max(rings) < _LARGEST_RING:
        return Plot(title, note="The centre of the flat is dark: there is no vignetting to draw.")
    places = [(ring + 0.5) / len(rings) * 100 for ring in range(len(rings))]
    panel = Panel(
        Scale.around("distance from the centre, % of the corner's", (0.0, 100.0), margin=0.0),
        Scale.around("level, % of the centre", (100.0, *rings), zero=True),
    )
    panel.line(places, rings, _USUAL)
    panel.points(places, rings, _USUAL)
    return Plot(title, svg_of(f"{title}: {rings[-1]:.0f} % in the corners", panel))


def draw_photon_transfer(setting: str, regions: Sequence[RegionQuality]) -> Plot:
    """Draw variance against level of flats, and the line of shot noise and read noise."""
    title = "Photon transfer curve"
    points = [point for region in regions for point in region.points]
    points = [point for point in points if point[0] > 0 and point[1] > 0]
    if not points:
        return Plot(title, note="No photon transfer curve: no pair of flats could be compared.")
    points = points[:: -(-len(points) // _MAX_POINTS)]
    gain = Estimate.combined((each.estimates["gain_e_adu"] for each in regions), Estimate.mean)
    noise = Estimate.combined((each.estimates["read_noise_adu"] for each in regions), Estimate.mean)
    levels, variances = ([point[axis] for point in points] for axis in (0, 1))
    steps = [min(levels) * (max(levels) / min(levels)) ** (step / 40) for step in range(41)]
    expected = [level / gain.value + (noise.value or 0.0) ** 2 for level in steps if gain.value]
    panel = Panel(
        Scale.logarithmic("level above the bias, ADU", levels),
        Scale.logarithmic("variance, ADU²", (*variances, *expected)),
    )
    panel.line(steps[: len(expected)], expected, _EXPECTED)
    notes: list[str] = []
    for used, colour, meaning in (
        (False, _ODD, "Red: pairs of flats that were not used."),
        (True, _USUAL, "Blue: pairs of flats."),
    ):
        chosen = [point for point in points if bool(point[2]) is used]
        if chosen:
            panel.points([point[0] for point in chosen], [point[1] for point in chosen], colour)
            notes.insert(0, meaning)
    if expected:
        notes.append("Line: shot noise and read noise.")
    found = f"gain {measured(gain)} e-/ADU" if gain.value else "no gain"
    return Plot(title, svg_of(f"{title} of {setting}: {found}", panel), " ".join(notes))


def draw_trend(trend: Trend) -> Plot:
    """Draw a number over the nights, with its jumps marked."""
    title = trend.label.partition(",")[0].capitalize()
    points = [point for point in trend.points if isfinite(point.value)]
    if not points:
        return Plot(title, note="No night has this number.")
    nights = [date.fromisoformat(point.night) for point in points]
    values = [point.value for point in points]
    days = [night.toordinal() for night in nights]
    shown = dict.fromkeys(nights[:: -(-len(nights) // _MAX_NIGHTS)])
    margin = max(1.0, 0.12 * (days[-1] - days[0]))
    panel = Panel(
        Scale(
            "night",
            days[0] - margin,
            days[-1] + margin,
            [Tick(night.toordinal(), night.isoformat()) for night in shown],
        ),
        Scale.around(trend.label, values, margin=0.3),
    )
    jumped = {jump.after for jump in trend.jumps}
    panel.line(days, values, _LINE)
    for odd, colour in ((False, _USUAL), (True, _ODD)):
        chosen = [index for index, point in enumerate(points) if (point in jumped) is odd]
        panel.points([days[index] for index in chosen], [values[index] for index in chosen], colour)
    jumps = "; ".join(map(str, trend.jumps)) or "no jump"
    description = f"{trend.setting}: {trend.label} over {len(nights)} nights, {jumps}"
    return Plot(title, svg_of(description, panel))


def draw_dark_temperature(dark: DarkTemperature) -> Plot:
    """Draw the dark current against the temperature, on a logarithmic scale."""
    title = "Dark current"
    known = [each for each in dark.currents if each.current > 0]
    if len(known) < _FEWEST_TEMPERATURES:
        return Plot(title)
    temperatures = [each.temperature_c for each in known]
    currents = [each.current for each in known]
    panel = Panel(
        Scale.around("temperature, °C", temperatures, margin=0.1),
        Scale.logarithmic(f"dark current, {dark.unit}", currents),
    )
    panel.line(temperatures, currents, _LINE)
    panel.points(temperatures, currents, _USUAL)
    return Plot(title, svg_of(f"{title} of {dark.setting} at {len(known)} temperatures", panel))
