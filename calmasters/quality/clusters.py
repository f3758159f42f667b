"""Frames of one master that form two clusters, and the keyword that tells them apart."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from calmasters.errors import plain_number
from calmasters.frame import FrameType, Value, format_value
from calmasters.headers.fits_cards import Cards, CardValue
from calmasters.quality.quality_record import Finding, Level
from calmasters.quality.sample import Float32

__all__ = [
    "FrameFacts",
    "Partition",
    "cluster_finding",
    "level_clusters",
    "shape_clusters",
    "split",
    "telling_cards",
]

#: The frames of one of two clusters, by their index.
Partition: TypeAlias = frozenset[int]

#: Fewest frames in a cluster.
_FEWEST: Final = 2

#: The gap between two clusters over the range inside the larger one that normal, uniform and
#: steadily changing values of this many frames have in one of a thousand cases.
_FRAMES: Final = (4, 5, 6, 8, 12, 20, 50, 200)
_GAPS: Final = (42.0, 15.0, 9.4, 4.6, 2.4, 1.3, 0.65, 0.3)

#: Levels of bias frames and darks: the resolution, and the smallest gap that matters: in ADU, and
#: in units of the noise of a frame. The engine finds single frames that differ by as much.
_RESOLUTION_ADU: Final = 0.2
_LEAST_ADU: Final = 2.0
_LEAST_NOISES: Final = 2.0
#: Smallest gap between levels of flats, as a logarithm: lamps vary, with long tails.
_LEAST_SHARE: Final = 0.1
#: The same of scores of shapes.
_SHAPE_RESOLUTION: Final = 1e-4
_SHAPE_LEAST: Final = 0.01

#: Cells of a frame along each side, whose levels are its shape.
_CELLS: Final = (12, 16)

#: Keywords that are shown first where several tell clusters apart, and canonical keywords that
#: grouping has anyway.
_FIRST: Final = ("EXPOSURE", "FILTER", "TELESCOP", "SET-TEMP", "GAIN", "OFFSET", "READOUTM")
#: Cards of which a canonical keyword is made, or that describe a file and not a frame.
_NO_KEYWORDS: Final = frozenset(
    {"EXPTIME", "EXPOSURE", "COMMENT", "HISTORY", "", "CHECKSUM", "DATASUM", "BZERO", "BSCALE"}
    | {"BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "CCD-TEMP", "SIMPLE", "EXTEND", "PEDESTAL"}
)
#: Words in the names of cards that tell a time or what was measured of the frame.
_MEASURED_CARDS: Final = ("DATE", "TIME", "JD", "DATA", "MEAN", "MEDIAN", "WHITE", "BLACK", "AIRM")

#: Temperatures of a sensor differ if they are this far apart, in degrees.
_LEAST_C: Final = 1.0
#: Two times of night are apart by this many times the longest pause inside.
_PAUSES: Final = 3.0

#: Steps to which exposures are rounded, seconds.
_STEPS_S: Final = (0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)

_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class FrameFacts:
    """What is known of one frame.

    Attributes
    ----------
    path : str
    level_adu : float
    keywords : mapping of str to Value
        Canonical ones.
    cards : mapping of str to CardValue
        All of the header.
    ccd_temp_c : float or None
    time_s : float or None
        Start of the exposure, seconds.
    """

    path: str
    level_adu: float
    keywords: Mapping[str, Value]
    cards: Mapping[str, CardValue]
    ccd_temp_c: float | None = None
    time_s: float | None = None


def split(values: Sequence[float], resolution: float, least: float) -> Partition | None:
    """Split values into two clusters of at least two; None where they are one.

    Parameters
    ----------
    values : sequence of float
    resolution : float
        Added to the range inside the clusters: values that are closer are equal.
    least : float
        The smallest gap between clusters that matters.

    Returns
    -------
    frozenset of int
        Indices of the smaller cluster; of two of equal size, of the one with higher values.
    """
    count = len(values)
    if count < 2 * _FEWEST or not np.isfinite(values).all():
        return None
    order = np.argsort(values, kind="stable")
    ordered = np.asarray(values, np.float64)[order]
    gaps = np.diff(ordered)[_FEWEST - 1 : count - _FEWEST]
    before = np.arange(_FEWEST, count - _FEWEST + 1)
    inside = np.maximum(ordered[before - 1] - ordered[0], ordered[-1] - ordered[before])
    ratios = gaps / (inside + resolution)
    best = int(ratios.argmax())
    limit = math.exp(np.interp(math.log(count), np.log(_FRAMES), np.log(_GAPS)))
    if ratios[best] < limit or gaps[best] < least:
        return None
    first = int(before[best])
    low, high = order[:first], order[first:]
    return frozenset(map(int, low if len(low) < len(high) else high))


def level_clusters(kind: FrameType, levels: Sequence[float], noise: float) -> Partition | None:
    """Find two clusters of levels, ADU: of flats by their ratio, of other frames by difference.

    Parameters
    ----------
    kind : FrameType
    levels : sequence of float
    noise : float
        Of one bias frame or dark; levels closer than twice that are one cluster.
    """
    if kind is FrameType.FLAT:
        return split([math.log(max(1e-3, level)) for level in levels], 1e-3, _LEAST_SHARE)
    return split(levels, _RESOLUTION_ADU, max(_LEAST_ADU, _LEAST_NOISES * noise))


def shape_scores(frames: Float32) -> list[float]:
    """Return by how much the shape of each flat differs from their mean, and in which direction.

    Parameters
    ----------
    frames : (frames, rows, columns) array of float32
        Less the bias.

    Notes
    -----
    The levels of 12 x 16 cells over the level of the frame; the score is that of their first
    principal component, as the deviation of a cell.
    """
    rows, columns = (
        np.linspace(0, side, min(cells, side), endpoint=False).astype(np.intp)
        for side, cells in zip(frames.shape[1:], _CELLS, strict=True)
    )
    shapes = []
    for frame in frames:
        sums = np.add.reduceat(np.add.reduceat(frame, rows, axis=0), columns, axis=1)
        shapes.append(sums.ravel().astype(np.float64) / max(float(frame.sum()), 1e-9))
    stacked = np.asarray(shapes)
    usual = np.median(stacked, axis=0)
    stacked = stacked / np.where(usual > 0, usual, 1.0) - 1
    stacked -= stacked.mean(axis=0)
    left, size, _ = np.linalg.svd(stacked, full_matrices=False)
    scores: NDArray[np.float64] = left[:, 0] * size[0] / math.sqrt(stacked.shape[1])
    return [float(score) for score in scores]


def shape_clusters(frames: Float32) -> Partition | None:
    """Find two clusters of shapes of flats."""
    return split(shape_scores(frames), _SHAPE_RESOLUTION, _SHAPE_LEAST)


def cluster_finding(
    partition: Partition,
    facts: Sequence[FrameFacts],
    kind: FrameType,
    grouping: Sequence[str],
    *,
    by_shape: bool,
) -> Finding | None:
    """Say what tells two clusters apart, and how to make a master of each; None where nothing does.

    Parameters
    ----------
    partition : frozenset of int
        The frames of one cluster.
    facts : sequence of FrameFacts
        Of all frames.
    kind : FrameType
    grouping : sequence of str
        ``required_keywords`` of the type.
    by_shape : bool
        Whether the shape of the light is different (:func:`shape_clusters`).
    """
    sides = _sides(partition, facts)
    keyword = next(_telling_keywords(sides, grouping), None)
    if keyword:
        values = [_values_text(keyword, side) for side in sides]
        setting = _grouped(kind, grouping, keyword, sides)
        cause = f"the frames form two clusters of {keyword}"
        remedy = f"add {keyword} to the grouping: {setting}"
    else:
        difference = _other_difference(sides)
        if not difference and not by_shape:
            return None
        what, values = difference or ("the shape of their light", ["some", "others"])
        cause = f"the frames form two clusters of {what}"
        smaller = sides[0]
        paths = json.dumps([each.path for each in smaller[:_SHOWN]], ensure_ascii=False)
        more = f" and {len(smaller) - _SHOWN} more" if len(smaller) > _SHOWN else ""
        remedy = (
            "no keyword tells them apart; if they do not belong together, leave out one cluster "
            f"(exclude: {paths}{more})"
        )
    texts = [
        f"{value} ({len(side)} frames, {_number(median(each.level_adu for each in side))} ADU)"
        for value, side in zip(values, sides, strict=True)
    ]
    return Finding(Level.WARNING, f"{cause}: {' and '.join(texts)}", cause, remedy)


Side: TypeAlias = Sequence[FrameFacts]


def _sides(partition: Partition, facts: Sequence[FrameFacts]) -> tuple[Side, Side]:
    chosen = [each for place, each in enumerate(facts) if place in partition]
    others = [each for place, each in enumerate(facts) if place not in partition]
    return (chosen, others) if len(chosen) <= len(others) else (others, chosen)


def _number(value: float) -> str:
    return plain_number(value, 4)


def _telling_keywords(sides: tuple[Side, Side], grouping: Sequence[str]) -> Iterator[str]:
    """Yield keywords whose values differ between the clusters and not inside them."""
    canonical = dict.fromkeys(
        (*_FIRST, *sorted({key for side in sides for each in side for key in each.keywords}))
    )
    for keyword in canonical:
        if keyword in ("TYPE", *grouping):
            continue
        one, other = ({each.keywords.get(keyword) for each in side} for side in sides)
        if None in one | other and len(one) + len(other) == 2:
            continue  # a card that some frames lack cannot group them
        is_constant = len(one) == len(other) == 1 and one != other
        if is_constant or (keyword == "EXPOSURE" and _step(one, other)):
            yield keyword
    cards = ([each.cards for each in side] for side in sides)
    yield from (name for name in telling_cards(*cards) if name not in canonical)


def telling_cards(one: Sequence[Cards], other: Sequence[Cards]) -> Iterator[str]:
    """Yield cards that all frames have, and whose values differ between clusters, not inside them.

    Parameters
    ----------
    one, other : sequence of Cards
        The headers of the frames of two clusters.
    """
    for name in sorted({name for cards in one for name in cards}):
        if name in _NO_KEYWORDS or any(word in name for word in _MEASURED_CARDS):
            continue
        first, second = ({each.get(name) for each in side} for side in (one, other))
        if len(first) == len(second) == 1 and first != second and None not in first | second:
            yield name


def _step(one: set[Value | None], other: set[Value | None]) -> float | None:
    """Return a step to which exposures of two clusters round to one value each."""
    values = [[each for each in side if isinstance(each, float | int)] for side in (one, other)]
    if not all(values) or None in one | other:
        return None
    for step in _STEPS_S:
        rounded = [{round(each / step) for each in side} for side in values]
        if len(rounded[0]) == len(rounded[1]) == 1 and rounded[0] != rounded[1]:
            return step
    return None


def _values_text(keyword: str, side: Side) -> str:
    values = [
        format_value(keyword, each.keywords[keyword])
        if keyword in each.keywords
        else str(each.cards.get(keyword, ""))
        for each in side
    ]
    if keyword == "EXPOSURE":
        numbers = sorted(float(value) for value in values)
        ends = dict.fromkeys(plain_number(each) for each in (numbers[0], numbers[-1]))
        return f"{' to '.join(ends)} s"
    return values[0]


def _grouped(
    kind: FrameType, grouping: Sequence[str], keyword: str, sides: tuple[Side, Side]
) -> str:
    """Write the setting that groups by a keyword, ready to paste."""
    listed = ", ".join((*grouping, keyword))
    setting = " ".join(("--config", f"'required_keywords={{{kind.value}: [{listed}]}}'"))
    if keyword == "EXPOSURE":
        one, other = ({each.keywords.get(keyword) for each in side} for side in sides)
        step = _step(one, other)
        if step and (len(one) > 1 or len(other) > 1):
            return f"{setting} 'round={{EXPOSURE: {step:g}}}'"
    return setting


def _other_difference(sides: tuple[Side, Side]) -> tuple[str, list[str]] | None:
    """Return what else tells clusters apart, and its value in each; None where nothing does."""
    temperatures = [[each.ccd_temp_c for each in side] for side in sides]
    if apart := _apart(temperatures, _LEAST_C):
        low_high = [f"{min(each):.1f} to {max(each):.1f} °C" for each in apart]
        return "the temperature of the sensor", low_high
    times = [[each.time_s for each in side] for side in sides]
    pauses = [
        float(np.diff(sorted(known)).max(initial=0.0))
        for side in times
        if (known := [each for each in side if each is not None])
    ]
    if apart := _apart(times, _PAUSES * max(pauses, default=0.0)):
        first = min(min(each) for each in apart)
        hours = [f"from {(min(each) - first) / 3600:.1f} h on" for each in apart]
        return "time", hours
    levels = [[each.level_adu for each in side] for side in sides]
    if _apart(levels, 0.0):
        return "level", ["some", "others"]
    return None


def _apart(sides: Sequence[Sequence[float | None]], least: float) -> list[list[float]] | None:
    """Return the values of two clusters if all of one are above all of the other."""
    known = [[each for each in side if each is not None] for side in sides]
    if any(len(each) != len(side) or not side for each, side in zip(known, sides, strict=True)):
        return None
    low, high = sorted(known, key=min)
    return known if min(high) - max(low) > max(least, 0.0) else None
