"""Read a frame by strips from the parts of a file: level subtracted, trimmed, in place.

A sample is ``(value - level of its row - level of its column + pedestal) / unity``, computed in
double precision and rounded once, to float32. Nothing else is in memory than a strip.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from calmasters.errors import FrameError
from calmasters.frame_layout import FrameLayout, FramePart, Section
from calmasters.images.raw_frame import (
    RawFrame,
    SampleFormat,
    Strip,
    header_of,
    require_range,
)

__all__ = ["AssembledFrame"]

Values: TypeAlias = NDArray[np.float64]

_ADU16: Final = 65535.0
#: Samples that are read at once where only a section of each row is used.
_STRIP: Final = 1 << 20

#: Degree of the polynomial along the lines, and how far a line may be from it, in sigmas.
_DEGREE: Final = 3
_CLIP: Final = 4.0
_MAD_TO_SIGMA: Final = 1.4826

_UNIT: Final = SampleFormat(np.dtype(np.float32), 1.0, 0.0, 1.0, "0 to 1")


class AssembledFrame:
    """A frame that is put together from a file; it is read like a :class:`RawFrame`.

    Parameters
    ----------
    path : Path
    layout : FrameLayout
    float_range : {'auto', 'unit', 'adu16'}
        As for :class:`RawFrame`.
    pedestal_adu : float
        Added to all samples, 16-bit ADU.

    Attributes
    ----------
    width, height : int
    format : SampleFormat
        Of what is read.
    white : float
        1: where samples without the level of the overscan are saturated is not known.

    Raises
    ------
    FrameError
        If the file cannot be used, or does not have the images of the layout.
    """

    def __init__(
        self, path: Path, layout: FrameLayout, float_range: str = "auto", pedestal_adu: float = 0.0
    ) -> None:
        self.path = path
        self.width, self.height = layout.width, layout.height
        self.format = _UNIT
        self.white = 1.0
        with ExitStack() as opened:
            images = _open_images(path, layout, float_range, opened)
            self._parts = [
                _Part(images[part.image], part, layout.level, pedestal_adu) for part in layout.parts
            ]
            self._images = [*images.values()]
            self._opened = opened.pop_all()

    @property
    def size(self) -> int:
        """Number of pixels."""
        return self.width * self.height

    @property
    def overscan_adu(self) -> float:
        """Median level of the overscan that is subtracted, 16-bit ADU; 0 without one."""
        return float(np.median([part.level_adu for part in self._parts]))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._opened.close()

    def read(self, start: int, count: int) -> Strip:
        """Read ``count`` pixels, starting at pixel ``start``; this method is thread-safe.

        Pixels that no part covers are 0.

        Raises
        ------
        FrameError
            If a sample of the file is outside of its range.
        """
        first, last = start // self.width, (start + count - 1) // self.width
        rows = np.zeros((last - first + 1, self.width), np.float32)
        not_finite = sum(part.fill(rows, first) for part in self._parts)
        skipped = start - first * self.width
        return Strip(rows.reshape(-1)[skipped : skipped + count], not_finite)

    def require_valid_samples(self, *, quick: bool = False) -> None:
        """Refuse a frame one of whose images cannot be used, as :class:`RawFrame` does."""
        for image in self._images:
            image.require_valid_samples(quick=quick)


def _open_images(
    path: Path, layout: FrameLayout, float_range: str, opened: ExitStack
) -> dict[int, RawFrame]:
    header = header_of(path)
    headers = header.parts or (header,)
    images = {}
    for number in sorted({part.image for part in layout.parts}):
        if number >= len(headers):
            raise FrameError(
                f"{path}: has {len(headers)} images, expected at least {number + 1}: the file has "
                "changed, run again"
            )
        images[number] = opened.enter_context(RawFrame(path, float_range, headers[number]))
    for part in layout.parts:
        image = images[part.image]
        for section in (part.data, *part.overscan):
            if not section.is_inside(image.width, image.height):
                raise FrameError(
                    f"{path}: the section {section} is not inside of the image of "
                    f"{image.width}x{image.height} pixels: the file has changed, run again"
                )
    return images


class _Part:
    """One part of an opened file, with the levels of its rows and columns."""

    def __init__(self, image: RawFrame, part: FramePart, level: str, pedestal_adu: float) -> None:
        self._image, self._part = image, part
        self._columns: Values | None = None
        rows = np.zeros(part.data.height)
        if level:
            rows, self._columns = _levels(image, part, level)
        format_ = image.format
        self.level_adu = float(np.median(rows)) / format_.unity * _ADU16
        # In the unit of the file, with all that is added to a sample: fewer passes over a strip.
        self._rows = rows - (pedestal_adu * (format_.unity / _ADU16) + format_.zero)

    def fill(self, rows: NDArray[np.float32], first: int) -> int:
        """Fill its pixels of consecutive rows of the frame; return the number not finite.

        Parameters
        ----------
        rows : (count, width) array of float32
        first : int
            The frame's row that comes first.
        """
        data, place = self._part.data, self._part.place
        top, bottom = max(first, place.top), min(first + len(rows), place.bottom)
        if top >= bottom:
            return 0
        begin, end = top - place.top, bottom - place.top
        if self._part.flip_y:
            begin, end = data.height - end, data.height - begin
        stored = self._image.read_rows(data.top + begin, end - begin)
        values, not_finite = self._values(stored[:, data.left : data.right], begin, end)
        if self._part.flip_y:
            values = values[::-1]
        if self._part.flip_x:
            values = values[:, ::-1]
        rows[top - first : bottom - first, place.left : place.right] = values
        return not_finite

    def _values(self, stored: NDArray[Any], begin: int, end: int) -> tuple[Values, int]:
        """Compute the samples of rows of the part: in [0, 1]."""
        format_ = self._image.format
        values = stored.astype(np.float64)
        if format_.scale != 1:
            values *= format_.scale
        bad = None
        if not format_.is_uint16:
            bad = ~np.isfinite(values) if format_.is_float else None
            checked = values if bad is None else np.where(bad, -format_.zero, values)
            require_range((checked + format_.zero) / format_.unity, format_, self._image.path)
        values -= self._rows[begin:end, np.newaxis]
        if self._columns is not None:
            values -= self._columns
        values /= format_.unity
        np.clip(values, 0.0, 1.0, out=values)
        if bad is None or not bad.any():
            return values, 0
        values[bad] = 0.0
        return values, int(np.count_nonzero(bad))


def _physical(stored: NDArray[Any], format_: SampleFormat) -> Values:
    """Convert stored samples to the unit of the file."""
    values = stored.astype(np.float64)
    if format_.scale != 1:
        values *= format_.scale
    if format_.zero:
        values += format_.zero
    return values


# --- level ----------------------------------------------------------------------------------------


def _levels(image: RawFrame, part: FramePart, level: str) -> tuple[Values, Values | None]:
    """Measure the level of each row of a part, and of its columns if there is such an overscan.

    An overscan beside the data gives the level of rows. One above or below gives that of columns,
    after the level of its rows is subtracted. Several of a kind are averaged.
    """
    data = part.data
    beside = [each for each in part.overscan if each.right <= data.left or each.left >= data.right]
    others = [each for each in part.overscan if each not in beside]
    top = min(each.top for each in (data, *part.overscan))
    bottom = max(each.bottom for each in (data, *part.overscan))
    rows = np.zeros(bottom - top)
    for section, values in zip(beside, _read(image, beside), strict=True):
        rows += _profile(values, section[2:], (top, bottom), level, 1) / len(beside)
    columns: Values | None = None
    for section, values in zip(others, _read(image, others), strict=True):
        levelled = values - rows[section.top - top : section.bottom - top, np.newaxis]
        found = _profile(levelled, section[:2], data[:2], level, 0) / len(others)
        columns = found if columns is None else columns + found
    return rows[data.top - top : data.bottom - top], columns


def _profile(
    values: Values, ends: tuple[int, int], wanted: tuple[int, int], level: str, axis: int
) -> Values:
    """Return the level of each wanted line from a section.

    Parameters
    ----------
    values : (rows, columns) array of float64
    ends, wanted : tuple of int
        First line, and the one after the last, of the section and of the result.
    level : str
    axis : int
        1 for rows as lines, 0 for columns.
    """
    places = np.arange(*wanted)
    has_most = 2 * (min(ends[1], wanted[1]) - max(ends[0], wanted[0])) >= wanted[1] - wanted[0]
    if level == "constant" or not has_most:
        return np.full(len(places), float(np.nanmedian(values)))
    lines, by_line = np.arange(*ends), values if axis else values.T
    if np.isnan(values).any():
        known = ~np.isnan(by_line).all(axis=1)
        lines, by_line = lines[known], by_line[known]
        medians = np.nanmedian(by_line, axis=1)
    else:
        medians = np.median(by_line, axis=1)
    if level == "polynomial" and len(lines) > _DEGREE + 1:
        return _fitted(lines, medians, places)
    return np.interp(places, lines, medians)


def _fitted(lines: NDArray[np.intp], medians: Values, places: NDArray[np.intp]) -> Values:
    """Fit a polynomial to the levels of lines; those far from it are left out."""
    polynomial = np.polynomial.Polynomial.fit(lines, medians, _DEGREE)
    apart = np.abs(medians - polynomial(lines))
    kept = apart <= _CLIP * _MAD_TO_SIGMA * np.median(apart)
    if np.count_nonzero(kept) > _DEGREE + 1:
        polynomial = np.polynomial.Polynomial.fit(lines[kept], medians[kept], _DEGREE)
    fitted: Values = polynomial(places)
    return fitted


def _read(image: RawFrame, sections: Sequence[Section]) -> list[Values]:
    """Read sections of an image; rows that they share are read once."""
    if not sections:
        return []
    top = min(section.top for section in sections)
    bottom = max(section.bottom for section in sections)
    found = [np.empty((section.height, section.width)) for section in sections]
    step = max(1, _STRIP // image.width)
    for first in range(top, bottom, step):
        stored = image.read_rows(first, min(step, bottom - first))
        for section, values in zip(sections, found, strict=True):
            begin, end = max(first, section.top), min(first + len(stored), section.bottom)
            if begin < end:
                part = stored[begin - first : end - first, section.left : section.right]
                values[begin - section.top : end - section.top] = _physical(part, image.format)
    for section, values in zip(sections, found, strict=True):
        values[~np.isfinite(values)] = np.nan
        if np.isnan(values).all():
            raise FrameError(
                f"{image.path}: every sample of the overscan {section} is NaN or infinite: exclude "
                "this frame"
            )
    return found
