"""Small plots as SVG with the colours of the page, for reports with hundreds of masters.

A plot of matplotlib takes 0.1 s and 15 kB, one of these 1 ms and 2 kB.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from markupsafe import Markup, escape

__all__ = ["Panel", "Scale", "Tick", "svg_of"]

#: Pixels at the usual size: the plot, one of its panels, and the area inside the axes.
_WIDTH, _HEIGHT = 400, 176
_LEFT, _RIGHT, _TOP, _BOTTOM = 74, 388, 10, 138

_POINT: Final = 4.5

#: Largest number of steps between the ticks of a scale.
_STEPS: Final = 6


@dataclass(frozen=True, slots=True)
class Tick:
    """A value on a scale with its text."""

    value: float
    text: str


@dataclass(frozen=True)
class Scale:
    """The values along an axis.

    Attributes
    ----------
    label : str
        With the unit.
    low, high : float
        The ends.
    ticks : sequence of Tick
    offset : float or None
        Distances are those of log(offset + value): 0 is the usual logarithmic scale, a larger
        number has a place for zero. None is a linear scale.
    """

    label: str
    low: float
    high: float
    ticks: Sequence[Tick]
    offset: float | None = None

    @classmethod
    def around(
        cls, label: str, values: Iterable[float], *, margin: float = 0.05, zero: bool = False
    ) -> Self:
        """Make a scale that contains values, with a margin, a share of their span.

        Parameters
        ----------
        label : str
        values : iterable of float
            At least one.
        margin : float
        zero : bool
            Begin at 0 instead of the margin below the values.
        """
        values = list(values)
        low, high = min(values), max(values)
        if zero:
            low = min(low, 0.0)
        if low == high:  # all values are in the middle, or on the axis
            span = max(abs(high) * 0.1, 1.0)
            ends = (0.0, 1.0) if zero else (low - span / 2, high + span / 2)
        else:
            span = margin * (high - low)
            ends = low if zero else low - span, high + span
        return cls(label, *ends, _ticks(*ends))

    @classmethod
    def of_counts(cls, label: str, highest: float) -> Self:
        """Make a scale of counts from 0, with a tick for each power of ten."""
        powers = range(1, max(1, math.floor(math.log10(max(highest, 1.0)))) + 1)
        ticks = [Tick(0, "0"), *(Tick(10**power, f"{10**power:,}") for power in powers)]
        return cls(label, 0.0, max(highest, 10.0) * 1.2, ticks, offset=3.0)

    @classmethod
    def logarithmic(cls, label: str, values: Iterable[float]) -> Self:
        """Make a logarithmic scale around positive values."""
        values = list(values)
        low, high = min(values) / 1.15, max(values) * 1.15
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for steps in ((1, 2, 5), (1, 3), (1,)):
            places = [step * 10.0**power for power in powers for step in steps]
            ticks = [Tick(each, f"{each:,.10g}") for each in places if low <= each <= high]
            if len(ticks) <= _STEPS:
                break
        # Where all values are alike, the powers of ten are too far apart.
        return cls(label, low, high, ticks if len(ticks) > 2 else _ticks(low, high), offset=0.0)

    @classmethod
    def of_frames(cls, count: int) -> Self:
        """Make a scale of the numbers of frames."""
        step = max(1, math.ceil(_step(count)))
        numbers = sorted({1, *range(step, count + 1, step)})
        ticks = [Tick(number, str(number)) for number in numbers]
        return cls("frame, in order of time", 0.4, count + 0.6, ticks)

    def share(self, value: float) -> float:
        """Return the place of a value: 0 at the low end, 1 at the high end."""
        low, high, place = self.low, self.high, value
        if self.offset is not None:
            low, high, place = (math.log10(self.offset + each) for each in (low, high, place))
        return (place - low) / (high - low)


def _step(span: float) -> float:
    """Return 1, 2 or 5 times a power of ten: the smallest of which few are in a span."""
    power = 10.0 ** math.floor(math.log10(span / _STEPS))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= span / _STEPS * 0.999)


def _ticks(low: float, high: float) -> list[Tick]:
    step = _step(high - low)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [
        Tick(number * step, f"{number * step + 0.0:,.{decimals}f}")
        for number in range(first, last + 1)
    ]


class Panel:
    """Axes with marks in them; ``x`` and ``y`` are their scales."""

    def __init__(self, x: Scale, y: Scale) -> None:
        self.x, self.y = x, y
        self._marks: list[str] = []

    def stairs(self, edges: Sequence[float], heights: Sequence[float]) -> None:
        """Fill the area below stairs."""
        base = self._down(self.y.low)
        steps = "".join(
            f"V{self._down(height):.1f}H{self._across(edge):.1f}"
            for height, edge in zip(heights, edges[1:], strict=True)
        )
        self._mark(f"M{self._across(edges[0]):.1f} {base:.1f}{steps}V{base:.1f}z", fill="accent")

    def bars(self, places: Sequence[float], heights: Sequence[float], colour: str) -> None:
        """Draw a bar of width 0.8 at each place."""
        base = self._down(self.y.low)
        outlines = (
            f"M{self._across(place - 0.4):.1f} {base:.1f}V{self._down(height):.1f}"
            f"H{self._across(place + 0.4):.1f}V{base:.1f}z"
            for place, height in zip(places, heights, strict=True)
        )
        self._mark("".join(outlines), fill=colour)

    def line(self, xs: Sequence[float], ys: Sequence[float], colour: str) -> None:
        """Draw a line through points."""
        self._mark(f"M{'L'.join(self._points(xs, ys))}", stroke=colour, width=1.5)

    def points(self, xs: Sequence[float], ys: Sequence[float], colour: str) -> None:
        """Draw a dot at each point."""
        dots = "".join(f"M{point}h0" for point in self._points(xs, ys))
        self._mark(dots, stroke=colour, width=_POINT)

    def _points(self, xs: Sequence[float], ys: Sequence[float]) -> list[str]:
        pairs = zip(xs, ys, strict=True)
        return [f"{self._across(x):.1f} {self._down(y):.1f}" for x, y in pairs]

    def _mark(self, path: str, *, fill: str = "", stroke: str = "", width: float = 0) -> None:
        if path in ("", "M"):
            return
        look = f'fill="{f"var(--{fill})" if fill else "none"}"'
        if stroke:
            look += f' stroke="var(--{stroke})" stroke-width="{width:g}" stroke-linecap="round"'
        self._marks.append(f'<path d="{path}" {look}/>')

    def _across(self, value: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * self.x.share(value)

    def _down(self, value: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * self.y.share(value)

    def _axes(self) -> str:
        """Draw grid and axes, one path, and their texts."""
        downs = [(self._down(tick.value), tick.text) for tick in self.y.ticks]
        acrosses = [(self._across(tick.value), tick.text) for tick in self.x.ticks]
        grid = "".join(f"M{_LEFT} {down:.1f}H{_RIGHT}" for down, _ in downs)
        grid += f"M{_LEFT} {_TOP}V{_BOTTOM}H{_RIGHT}"
        grid += "".join(f"M{across:.1f} {_BOTTOM}v4" for across, _ in acrosses)
        middle = (_TOP + _BOTTOM) / 2
        return "".join(
            (
                f'<path d="{grid}" fill="none" stroke="var(--line)"/>',
                '<g text-anchor="end">',
                *(_text(_LEFT - 5, down + 4, text) for down, text in downs),
                '</g><g text-anchor="middle">',
                *(_text(across, _BOTTOM + 16, text) for across, text in acrosses),
                _text((_LEFT + _RIGHT) / 2, _HEIGHT - 4, self.x.label),
                f'<g transform="translate(11 {middle:g}) rotate(-90)">',
                _text(0, 0, self.y.label),
                "</g></g>",
            )
        )

    def __str__(self) -> str:
        return f"{self._axes()}{''.join(self._marks)}"


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.4g}" y="{y:.4g}">{escape(text)}</text>'


def svg_of(description: str, *panels: Panel) -> Markup:
    """Return panels, one below the other, as an SVG element for a page.

    Parameters
    ----------
    description : str
        For screen readers.
    *panels : Panel
    """
    parts = "".join(
        f'<g transform="translate(0 {_HEIGHT * row})">{panel}</g>'
        for row, panel in enumerate(panels)
    )
    # All texts in it are escaped.
    return Markup(
        f'<svg role="img" class="plot" viewBox="0 0 {_WIDTH} {_HEIGHT * len(panels)}" '
        f'font-size="11" fill="currentColor"><title>{escape(description)}</title>{parts}</svg>'
    )
