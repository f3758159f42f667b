"""Plots of the measured numbers, as SVG with the colours of the page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from hashlib import sha256
from io import StringIO
from pathlib import PurePath
from typing import Any, Final
from xml.sax.saxutils import escape

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from calmasters.frame import FrameType, format_value
from calmasters.model.job import MasterJob
from calmasters.quality.dark_temperature import DarkTemperature
from calmasters.quality.estimate import Estimate
from calmasters.quality.quality_record import QualityRecord, RegionQuality
from calmasters.quality.trend import Trend

__all__ = [
    "draw_dark_temperature",
    "draw_frames",
    "draw_histogram",
    "draw_photon_transfer",
    "draw_plan",
    "draw_trend",
    "draw_vignetting",
    "label_of",
]

#: Largest number of nights on the axis of a trend.
_MAX_TICKS: Final = 6

#: Largest number of points in a photon transfer curve.
_MAX_POINTS: Final = 400

#: Placeholder colours, and the colours of the page that replace them.
_INK, _ACCENT, _BAD, _FAINT, _QUIET = "#010101", "#010203", "#030201", "#020202", "#030303"
_COLOURS: Final = {
    _INK: "currentColor",
    _ACCENT: "var(--accent)",
    _BAD: "var(--bad)",
    _FAINT: "var(--line)",
    _QUIET: "var(--quiet)",
}

_STYLE: Final[Any] = {
    "svg.hashsalt": "calmasters",  # the same plot gives the same file
    "svg.fonttype": "none",  # text, not paths: it can be searched
    "text.parse_math": False,  # a dollar sign in a header is text
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.grid.axis": "y",
    "grid.color": _FAINT,
    "grid.linewidth": 0.5,
    "xtick.color": _INK,
    "ytick.color": _INK,
}


@contextmanager
def _figure(width: float, height: float, rows: int = 1) -> Iterator[tuple[Figure, list[Axes]]]:
    """Open a figure, sizes in inches, with axes below each other, in the style of the report."""
    with mpl.rc_context(_STYLE):
        figure = Figure((width, height), layout="constrained")
        FigureCanvasSVG(figure)
        yield figure, [figure.add_subplot(rows, 1, row + 1) for row in range(rows)]


def _svg(figure: Figure, title: str, name: str) -> str:
    """Return a figure as an SVG element for a page.

    ``title`` is for screen readers; ``name`` makes the ids of the plot unique in the page.
    """
    text = StringIO()
    figure.savefig(text, format="svg", transparent=True)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", f"<title>{escape(title)}</title>", svg, flags=re.S)
    svg = _with_own_ids(svg, f"p{sha256(name.encode()).hexdigest()[:8]}-")
    for placeholder, colour in _COLOURS.items():
        svg = svg.replace(placeholder, colour)
    return svg.replace("<svg ", '<svg role="img" ', 1)


def _with_own_ids(svg: str, prefix: str) -> str:
    """Add a prefix to the ids that are referred to, and remove the others."""
    used = set(re.findall(r'(?:url\(|href=")#([\w-]+)', svg))

    def renamed(match: re.Match[str]) -> str:
        return f' id="{prefix}{match[1]}"' if match[1] in used else ""

    svg = re.sub(r' id="([^"]*)"', renamed, svg)
    return re.sub(r'(url\(|href=")#', rf"\1#{prefix}", svg)


def draw_histogram(quality: QualityRecord) -> str:
    """Draw the histogram of a master."""
    histogram = quality.histogram
    with _figure(4.6, 2.2) as (figure, (axes,)):
        axes.stairs(histogram.counts, histogram.edges_adu, fill=True, color=_ACCENT)
        axes.set_yscale("symlog", linthresh=10)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.set(xlabel="level, ADU", ylabel="pixels", ylim=(0, None))
        level = quality.numbers["level_adu"]
        return _svg(
            figure,
            f"Histogram of the master, median {level:.1f} ADU",
            f"{quality.name} histogram",
        )


def draw_frames(quality: QualityRecord) -> str:
    """Draw the level of each frame and, where known, the share of its rejected samples."""
    frames = quality.frames
    rejected = [frame.rejected_percent for frame in frames if frame.rejected_percent is not None]
    known = len(rejected) == len(frames)
    numbers = range(1, len(frames) + 1)
    colours = [_BAD if frame.stands_out else _ACCENT for frame in frames]
    with _figure(4.6, 3.0 if known else 1.8, rows=1 + known) as (figure, panels):
        panels[0].scatter(numbers, [frame.level_adu for frame in frames], 14, colours)
        panels[0].set_ylabel("level, ADU")
        if known:
            panels[1].bar(numbers, rejected, color=colours)
            panels[1].set_ylabel("rejected, %")
        panels[-1].set_xlabel("frame, in order of time")
        for axes in panels:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.ticklabel_format(axis="y", useOffset=False)
        odd = sum(bool(frame.stands_out) for frame in frames)
        shown = "Level and rejection" if known else "Level"
        title = f"{shown} of {len(frames)} frames; {odd} stand out"
        return _svg(figure, title, f"{quality.name} frames")


def draw_vignetting(quality: QualityRecord) -> str:
    """Draw the level of a flat from the centre to the corners."""
    rings = quality.vignetting
    places = [(ring + 0.5) / len(rings) * 100 for ring in range(len(rings))]
    with _figure(4.6, 2.2) as (figure, (axes,)):
        axes.plot(places, [100 * ring for ring in rings], color=_ACCENT, marker="o", markersize=3)
        axes.set(xlabel="distance from the centre, % of the corner's", ylabel="level, %")
        axes.set_ylim(0, max(105, 105 * max(rings)))
        title = f"Vignetting: {100 * rings[-1]:.0f} % of the centre in the corners"
        return _svg(figure, title, f"{quality.name} vignetting")


def draw_photon_transfer(setting: str, regions: Sequence[RegionQuality]) -> str:
    """Draw variance against level of flats, and the line of shot noise and read noise."""
    points = [point for region in regions for point in region.points]
    points = [point for point in points if point[0] > 0 and point[1] > 0]
    points = points[:: -(-len(points) // _MAX_POINTS)] if points else []
    gain = Estimate.combined((each.estimates["gain_e_adu"] for each in regions), Estimate.mean)
    noise = Estimate.combined((each.estimates["read_noise_adu"] for each in regions), Estimate.mean)
    with _figure(4.6, 2.6) as (figure, (axes,)):
        for used, colour, label in ((True, _ACCENT, "flats"), (False, _BAD, "not used")):
            chosen = [point for point in points if bool(point[2]) is used]
            if chosen:
                levels, variances = ([point[axis] for point in chosen] for axis in (0, 1))
                axes.plot(levels, variances, "o", color=colour, markersize=3, label=label)
        if gain.value and points:
            ends = min(point[0] for point in points), max(point[0] for point in points)
            steps = [ends[0] * (ends[1] / ends[0]) ** (step / 40) for step in range(41)]
            expected = [level / gain.value + (noise.value or 0.0) ** 2 for level in steps]
            axes.plot(steps, expected, color=_INK, linewidth=1, label="shot and read noise")
        axes.set_xscale("log")
        axes.set_yscale("log")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=6))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
            axis.set_minor_locator(NullLocator())
        axes.set(xlabel="level above the bias, ADU", ylabel="variance, ADU²")
        if points:
            axes.legend(frameon=False, fontsize=8)
        found = f"gain {gain.value:.4g} e-/ADU" if gain.value else "no gain"
        title = f"Photon transfer curve of {setting}: {found}"
        return _svg(figure, title, f"{setting} photon transfer")


def draw_trend(trend: Trend) -> str:
    """Draw a number over the nights, with its jumps marked."""
    nights: Any = [date.fromisoformat(point.night) for point in trend.points]
    jumped = {jump.after for jump in trend.jumps}
    colours = [_BAD if point in jumped else _ACCENT for point in trend.points]
    values = [point.value for point in trend.points]
    with _figure(4.6, 2.2) as (figure, (axes,)):
        axes.plot(nights, values, color=_FAINT, zorder=1)
        axes.scatter(nights, values, 18, colours, zorder=2)
        axes.set_ylabel(trend.label)
        axes.ticklabel_format(axis="y", useOffset=False)
        axes.margins(y=0.3)
        shown = nights[:: -(-len(nights) // _MAX_TICKS)]
        axes.set_xticks(shown, [night.isoformat() for night in shown], rotation=25, ha="right")
        jumps = "; ".join(map(str, trend.jumps)) or "no jump"
        title = f"{trend.setting}: {trend.label} over {len(nights)} nights, {jumps}"
        return _svg(figure, title, f"{trend.setting} {trend.number}")


def draw_dark_temperature(measured: DarkTemperature) -> str:
    """Draw the dark current against the temperature, on a logarithmic scale."""
    known = [each for each in measured.currents if each.current > 0]
    with _figure(4.6, 2.2) as (figure, (axes,)):
        axes.errorbar(
            [each.temperature_c for each in known],
            [each.current for each in known],
            [min(each.uncertainty, 0.9 * each.current) for each in known],
            fmt="o",
            color=_ACCENT,
            markersize=4,
            elinewidth=1,
        )
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set(xlabel="temperature, °C", ylabel=f"dark current, {measured.unit}")
        title = f"Dark current of {measured.setting} at {len(known)} temperatures"
        return _svg(figure, title, f"{measured.setting} temperature")


def label_of(job: MasterJob) -> str:
    """Return a short label of a master: ``dark 60 s``, ``flat B 2026-01-16``."""
    if job.type is FrameType.FLAT:
        parts = (job.keywords.get("FILTER", ""), job.keywords.get("DATE", ""))
    else:
        exposure = job.keywords.get("EXPOSURE")
        seconds = "" if exposure is None else f"{format_value('EXPOSURE', exposure)} s"
        parts = (seconds, "") if job.type is FrameType.DARK else ("", "")
    return " ".join(str(part) for part in (job.type.value, *parts) if part != "")


def draw_plan(jobs: Sequence[MasterJob]) -> str:
    """Draw which bias and dark each flat uses: masters on the left, flats on the right."""
    several = len({job.keywords.get("INSTRUME") for job in jobs}) > 1

    def text(job: MasterJob) -> str:
        camera = f"{job.keywords.get('INSTRUME', '')} " if several else ""
        return f"{camera}{label_of(job)} ({len(job.frames)} frames)"

    sources = {job.master: text(job) for job in jobs if job.type is not FrameType.FLAT}
    flats = [job for job in jobs if job.type is FrameType.FLAT]
    for flat in flats:
        for used in filter(None, (flat.bias, flat.dark)):
            sources.setdefault(used.path, f"{PurePath(used.path).stem[:40]} ({used.origin})")
    rows = max(len(sources), len(flats), 1)
    with _figure(9.2, 0.5 + 0.28 * rows) as (figure, (axes,)):
        axes.set_axis_off()
        axes.set(xlim=(0, 1), ylim=(-rows, 0.5))
        left = _column(axes, sources, 0.40, "right", rows)
        right = _column(axes, {job.name: text(job) for job in flats}, 0.60, "left", rows)
        for flat in flats:
            for source, colour in ((flat.bias, _QUIET), (flat.dark, _ACCENT)):
                if source:
                    ends = (left[source.path], right[flat.name])
                    axes.plot((0.41, 0.59), ends, color=colour, linewidth=1)
        title = f"Which of {len(sources)} bias and dark masters {len(flats)} flats use"
        return _svg(figure, title, "plan")


def _column(
    axes: Axes, labels: Mapping[str, str], x: float, side: str, rows: int
) -> dict[str, float]:
    """Write labels in a column, evenly over the height; return their y coordinates."""
    step = rows / max(1, len(labels))
    places = {key: -(row + 0.5) * step + 0.5 for row, key in enumerate(labels)}
    for key, y in places.items():
        axes.text(x, y, labels[key], ha=side, va="center")
    return places
