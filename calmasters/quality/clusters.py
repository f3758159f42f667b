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

from calmasters.engines.clusters import Partition, split, telling_cards
from calmasters.errors import plain_number
from calmasters.frame import FrameType, Value, format_value
from calmasters.headers.fits_cards import CardValue
from calmasters.quality.quality_record import Finding, Level
from calmasters.quality.sample import Float32

__all__ = [
    "FrameFacts",
    "cluster_finding",
    "shape_clusters",
]

#: The same of scores of shapes.
_SHAPE_RESOLUTION: Final = 1e-4
_SHAPE_LEAST: Final = 0.01

#: Cells of a frame along each side, whose levels are its shape.
_CELLS: Final = (12, 16)

#: Keywords that are shown first where several tell clusters apart, and canonical keywords that
#: grouping has anyway.
_FIRST: Final = ("EXPOSURE", "FILTER", "TELESCOP", "SET-TEMP", "GAIN", "OFFSET", "READOUTM")
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
