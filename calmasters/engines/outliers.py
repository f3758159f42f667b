"""Find frames that differ from the other frames of their group, and groups that change.

Bias frames and darks are compared by level, noise, the levels of regions on a coarse grid, and hot
pixels; flats by their shape: the levels of regions, divided by the level of the frame. See
``docs/decisions/0035-frames-are-compared-before-they-are-combined.md`` for the limits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from calmasters.engines.frame_measures import FrameMeasure
from calmasters.engines.hot_pixels import frames_with_others, relative_heights
from calmasters.errors import plain_number
from calmasters.frame import FrameType, Geometry

__all__ = ["Outliers", "find_outliers"]

Float64: TypeAlias = NDArray[np.float64]

_ADU: Final = 1 / 65535

#: Levels of bias frames and darks that are this many times the noise of a pixel apart differ, but
#: not below this many ADU.
_LEVEL_NOISES: Final = 2.0
_LEVEL_ADU: Final = 2.0

#: Noise is at least that of rounding to an integer.
_ROUNDING_NOISE: Final = 0.29 * _ADU

#: Ratio of different noises, and this many times the relative error of a noise.
_NOISE_RATIO: Final = 1.5
_RATIO_ERRORS: Final = 8.0

#: Ratio of different brightnesses of hot pixels: of the exposure, or 4 to 5 degrees.
_HOT_RATIO: Final = 1.5
_HOT_COLUMN: Final = 2

#: Regions of bias frames and darks, less the level of the frame, differ by this many times the
#: noise of a pixel and of a cell, by this many ADU, and by this share of what they usually are
#: above the level: the glow of an amplifier depends on the temperature.
_REGION_NOISES: Final = 1.0
_REGION_CELL_NOISES: Final = 6.0
_REGION_ADU: Final = 10.0
_REGION_SHARE: Final = 0.5

#: Number of cells in a row of which the median is compared. Cells below each other are combined
#: only if they have fewer rows than this: few cosmic rays fill them. Banding is along rows.
_SMOOTHED: Final = 5
_TALL: Final = 8

#: Flats differ where a cell differs by this share, and by this many times its noise.
_SHAPE_SHARE: Final = 0.01
_SHAPE_NOISES: Final = 6.0

#: A frame of which up to this share of the cells, and this many, is brighter than usual has stars.
_STAR_SHARE: Final = 0.02
_STAR_CELLS: Final = 16

#: Number of blocks in each direction.
_BLOCKS: Final = 4

#: Cells of flats below this share of the frame's level are outside of the image circle.
_DARK_CELL: Final = 0.05

#: Without a bias or dark, the shape of flats depends on their level. It is compared if their levels
#: differ by less than this ratio.
_LIKE_LEVELS: Final = 1.1

#: A gap between frames is one between groups if it is this share of the whole range: a steady
#: change of n frames has gaps of 1 / (n - 1).
_GAP_SHARE: Final = 1 / 3

#: A change without such a gap counts from this many limits on.
_DRIFT: Final = 2.0

_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Outliers:
    """How the frames of a group differ.

    Attributes
    ----------
    count : int
        Number of frames that were compared.
    frames : mapping of int to str
        How frames differ from the others, by their index.
    drift : str
        How the other frames change, as a sentence; empty where they do not.
    """

    count: int
    frames: Mapping[int, str] = field(default_factory=dict)
    drift: str = ""

    @property
    def is_minority(self) -> bool:
        """Whether most frames agree."""
        return 2 * len(self.frames) < self.count

    @property
    def is_scattered(self) -> bool:
        """Whether most frames differ: no majority is right."""
        return 2 * len(self.frames) > self.count

    def sentence(self, paths: Sequence[str]) -> str:
        """Name the frames that differ, and how the first of them does."""
        names = [paths[index] for index in self.frames]
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        how = next(iter(self.frames.values()))
        differ = "differs" if len(names) == 1 else "differ"
        start = "no majority of the frames agrees: " if self.is_scattered else ""
        return (
            f"{start}{len(names)} of {self.count} frames {differ} from the others "
            f"({', '.join(names[:_SHOWN])}{more}): {how}"
        )


def find_outliers(
    kind: FrameType,
    geometry: Geometry,
    measures: Sequence[FrameMeasure],
    base: FrameMeasure | None = None,
) -> Outliers:
    """Compare the frames of a group.

    Parameters
    ----------
    kind : FrameType
    geometry : Geometry
    measures : sequence of FrameMeasure
        Of raw frames, in order of time.
    base : FrameMeasure, optional
        Of the bias, or else of the dark, that is subtracted from flats.
    """
    if len(measures) < 2 or len({each.cells.shape for each in measures}) > 1:
        return Outliers(len(measures))  # engines refuse frames of another size
    if kind is FrameType.FLAT:
        return _compare_shapes(geometry, measures, base)
    return _compare_levels(geometry, measures)


def _compare_levels(geometry: Geometry, measures: Sequence[FrameMeasure]) -> Outliers:
    levels = np.array([each.level for each in measures])
    noises = np.array([max(each.noise, _ROUNDING_NOISE) for each in measures])
    usual = float(np.median(noises))
    level_limit = max(_LEVEL_NOISES * usual, _LEVEL_ADU * _ADU)
    # The noise of a small frame is measured on few samples: the ratio of equal ones varies.
    samples = len(measures[0].cells) * geometry.width
    ratio = max(_NOISE_RATIO, 1 + _RATIO_ERRORS / math.sqrt(samples))
    cells = np.array([each.cells for each in measures])
    cell_noise = float(np.median([each.cell_noise for each in measures]))
    floor = max(_REGION_ADU * _ADU, _REGION_NOISES * usual, _REGION_CELL_NOISES * cell_noise)
    rows = 1 if geometry.height >= _TALL * cells.shape[1] else 3
    regions = _region_values(cells, rows, floor)
    hot = relative_heights([each.hot_pixels for each in measures])
    values = np.column_stack(
        [
            levels / level_limit,
            np.log(noises) / np.log(ratio),
            np.log(hot) / np.log(_HOT_RATIO),
            regions.reshape(len(cells), -1),
        ]
    )

    def compared(column: int, frame: int, others: list[int]) -> tuple[str, str, str]:
        """Return what differs, and its values in a frame and in others."""
        if column == _HOT_COLUMN:
            number, other = (
                f"{100 * share:.0f} %" for share in (hot[frame], np.median(hot[others]))
            )
            return "brightness of the hot pixels", number, other
        if column < _HOT_COLUMN:
            name, numbers = (("level", levels), ("noise", noises))[column]
        else:
            distances = regions[frame] - np.median(regions[others], axis=0)
            largest = distances.flat[column - _HOT_COLUMN - 1]
            where = distances * np.sign(largest) >= min(1, abs(largest))
            margins = np.subtract(cells.shape[1:], where.shape)
            where = np.pad(where, [(each // 2, each - each // 2) for each in margins], mode="edge")
            name = f"level of {_place(where, geometry)}"
            numbers = np.median(cells[:, where], axis=1)
        both = float(numbers[frame]), float(np.median(numbers[others]))
        number, other = (f"{plain_number(each / _ADU, 4)} ADU" for each in both)
        return name, number, other

    def difference(frame: int, column: int, others: list[int]) -> str:
        name, number, other = compared(column, frame, others)
        cause = ", as with another exposure or temperature" * (column == _HOT_COLUMN)
        return f"{name} {number} where the others have {other}{cause}"

    def drift(first: int, last: int, column: int) -> str:
        name, end, begin = compared(column, last, [first])
        return (
            f"the {name} of the frames drifts from {begin} to {end}: let the sensor "
            "reach its temperature, keep light out, and take them again"
        )

    return _with_hot_pixels(_outliers(values, difference, drift), measures)


def _region_values(cells: Float64, rows: int, floor: float) -> Float64:
    """Return how far regions differ from their usual level, less that of their frame, in limits."""
    usual = np.median(cells, axis=0)
    differences = cells - usual
    differences -= np.median(differences, axis=(1, 2), keepdims=True)
    excess = np.abs(usual - np.median(usual))[np.newaxis]
    return _smooth(differences, rows) / np.maximum(floor, _REGION_SHARE * _smooth(excess, rows))


def _smooth(cells: Float64, rows: int) -> Float64:
    """Return medians of near cells, without cosmic rays, hot pixels and columns of few of them."""
    window = min(rows, cells.shape[1]), min(_SMOOTHED, cells.shape[2])
    near = np.lib.stride_tricks.sliding_window_view(cells, window, axis=(1, 2))
    return np.median(near, axis=(3, 4))


def _place(cells: NDArray[np.bool_], geometry: Geometry) -> str:
    """Return the rows and columns that contain such cells, counted from 1."""
    parts = []
    for name, side, axis in (("rows", geometry.height, 1), ("columns", geometry.width, 0)):
        inside = np.flatnonzero(cells.any(axis=axis))
        first, last = (edge * side // cells.shape[1 - axis] for edge in (inside[0], inside[-1] + 1))
        parts.append(f"{name} {first + 1} to {last}")
    return ", ".join(parts)


def _with_hot_pixels(found: Outliers, measures: Sequence[FrameMeasure]) -> Outliers:
    """Add frames with other hot pixels than those that do not differ otherwise."""
    others = [frame for frame in range(len(measures)) if frame not in found.frames]
    unlike = frames_with_others([measures[frame].hot_pixels for frame in others])
    frames = {**found.frames, **{others[each]: how for each, how in unlike.items()}}
    return replace(found, frames=dict(sorted(frames.items())))


def _compare_shapes(
    geometry: Geometry, measures: Sequence[FrameMeasure], base: FrameMeasure | None
) -> Outliers:
    cells = np.array([each.cells.reshape(-1) for each in measures])
    if base is not None:
        cells -= base.cells.reshape(-1)
    levels = np.median(cells, axis=1)
    noise = np.array([each.cell_noise for each in measures])
    # A frame without light has no shape; the engine reports its level.
    lit = levels > _SHAPE_NOISES * noise
    if lit.sum() < 2:
        return Outliers(len(measures))
    if base is None and levels[lit].max() > _LIKE_LEVELS * levels[lit].min():
        return Outliers(len(measures))
    levels[~lit] = 1.0
    shapes = cells / levels[:, np.newaxis]
    usual = np.median(shapes[lit], axis=0)
    is_measured = usual > _DARK_CELL
    usual[~is_measured] = 1.0
    ratios = np.where(is_measured, shapes / usual, 1.0)
    if is_measured.any():
        # Where light falls in lines, few cells have the median level, and a cosmic ray in one of
        # them changes it. The median of ratios does not depend on a single cell.
        scales = np.median(ratios[:, is_measured], axis=1)
        ratios /= np.where(scales > 0, scales, 1.0)[:, np.newaxis]
        levels *= np.where(scales > 0, scales, 1.0)
    differences = np.where(is_measured, ratios - 1, 0.0)
    differences[~lit] = 0.0
    deviations = _SHAPE_NOISES * np.outer(noise / levels, 1 / usual)
    differences = _without_stars(differences, np.maximum(_SHAPE_SHARE, deviations))
    regions = _regions(measures[0].cells.shape)
    differences = differences @ regions.T
    limits = np.maximum(_SHAPE_SHARE, np.sqrt(deviations**2 @ (regions**2).T))
    rows, columns = measures[0].cells.shape
    y, x = np.mgrid[0.5:rows, 0.5:columns].reshape(2, -1) @ regions.T

    def place(region: int) -> str:
        return (
            f"near x {x[region] * geometry.width / columns:.0f}, "
            f"y {y[region] * geometry.height / rows:.0f}"
        )

    def difference(frame: int, region: int, others: list[int]) -> str:
        share = differences[frame, region] - float(np.median(differences[others, region]))
        return f"shape differs by {_percent(share)} {place(region)}"

    def drift(first: int, last: int, region: int) -> str:
        share = differences[last, region] - differences[first, region]
        return (
            f"the shape of the flats drifts while they are taken, by {_percent(share)} "
            f"{place(region)}: condensation, the gradient of the sky, or something in front of the "
            "sensor; find out what changed, and take them again"
        )

    return _outliers(differences / limits, difference, drift)


def _percent(share: float) -> str:
    return f"{plain_number(100 * share, 2, sign=True)} %"


def _regions(shape: tuple[int, ...]) -> Float64:
    """Return the regions that are compared, as weights of ``(regions, cells)``.

    Each cell, since shadows are small; and blocks of cells, whose noise is low, since a gradient
    is weak.
    """
    row, column = (axis.reshape(-1) for axis in np.indices(shape))
    block = _BLOCKS * (_BLOCKS * row // shape[0]) + _BLOCKS * column // shape[1]
    inside = np.unique(block)[:, np.newaxis] == block
    return np.vstack([np.eye(block.size), inside / inside.sum(axis=1, keepdims=True)])


def _without_stars(differences: Float64, limits: Float64) -> Float64:
    """Reduce a few bright cells of a frame to the second brightest frame.

    Stars of twilight flats are in another place in each frame, and the rejection removes them.
    """
    bright = (differences > limits).sum(axis=1, keepdims=True)
    few = bright <= max(_STAR_CELLS, _STAR_SHARE * differences.shape[1])
    second = np.sort(differences, axis=0)[-2]
    return np.where(few, np.minimum(differences, second), differences)


def _outliers(
    values: Float64,
    difference: Callable[[int, int, list[int]], str],
    drift: Callable[[int, int, int], str],
) -> Outliers:
    """Find outliers among ``(frames, columns)`` values in units of their limits."""
    apart, others = _split(values)
    how = {}
    for frame in apart:
        distances = np.abs(values[frame] - np.median(values[others], axis=0))
        how[frame] = difference(frame, int(distances.argmax()), others)
    spans = np.ptp(values[others], axis=0)
    column = int(spans.argmax())
    change = ""
    if spans[column] > _DRIFT:
        ordered = values[others, column].argsort()
        first, last = sorted((others[ordered[0]], others[ordered[-1]]))
        change = drift(first, last, column)
    return Outliers(len(values), how, change)


def _split(values: Float64) -> tuple[list[int], list[int]]:
    """Split off the smaller side of the largest gap until no gap is left.

    Returns
    -------
    apart, others : list of int
        Frames in order; of two sides of equal size, the one without the first frame is apart.
    """
    apart: list[int] = []
    others = [*range(len(values))]
    while len(others) > 1:
        ordered = np.sort(values[others], axis=0)
        gaps = np.diff(ordered, axis=0)
        largest = gaps.max(axis=0)
        is_split = (largest > 1) & (largest > _GAP_SHARE * (ordered[-1] - ordered[0]))
        if not is_split.any():
            break
        column = int(np.where(is_split, largest, 0).argmax())
        edge = ordered[gaps[:, column].argmax(), column]
        low = [frame for frame in others if values[frame, column] <= edge]
        high = [frame for frame in others if values[frame, column] > edge]
        others, smaller = sorted((low, high), key=lambda side: (-len(side), side[0]))
        apart += smaller
    return sorted(apart), others
