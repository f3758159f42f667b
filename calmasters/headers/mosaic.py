"""Put parts of images together to a frame: where each is, and how it is turned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Final

from calmasters.frame import Geometry
from calmasters.frame_layout import FrameLayout, FramePart, Section
from calmasters.headers.amplifier_parts import (
    REMEDY,
    SPLIT_REMEDY,
    Part,
    SizedImage,
    WrongSectionError,
    first_section,
    require_apart,
)
from calmasters.headers.fits_cards import Cards, number_of
from calmasters.headers.sections import CardSection

__all__ = ["layout_of", "placed_geometry"]

#: The camera with the most amplifiers, DECam, has 124.
_MOST_PARTS: Final = 256
#: Gaps between chips are a small part of a mosaic; larger ones are wrong sections.
_LEAST_COVERED: Final = 0.5


def layout_of(
    parts: Sequence[Part],
    images: Sequence[SizedImage],
    geometry: Geometry,
    level: str,
    *,
    may_have_gaps: bool = False,
) -> FrameLayout | None:
    """Place the parts in the frame; None if they are the image as it is.

    Parameters
    ----------
    parts : sequence of Part
    images : sequence of SizedImage
    geometry : Geometry
    level : str
        How the level of the overscan is measured; empty if it is not subtracted.
    may_have_gaps : bool
        Whether a gap as large as an amplifier is none that is missing.
    """
    bare = [part.name for part in parts if not part.overscan]
    if level and bare and len(bare) < len(parts):
        raise WrongSectionError(
            f"has an overscan (BIASSEC), but none of amplifier {', '.join(bare[:3])}; {REMEDY}"
        )
    if len(parts) > _MOST_PARTS:
        raise WrongSectionError(
            f"has the sections of {len(parts)} amplifiers (limit {_MOST_PARTS}); {REMEDY}"
        )
    placed = _arranged(parts, images, geometry, may_have_gaps)
    width, height = (max(part.place[end] for part in placed) for end in (1, 3))
    layout = FrameLayout.of(width, height, placed, level)
    is_plain = len(images) == 1 and all(
        part.data == part.place and not (part.overscan or part.flip_x or part.flip_y)
        for part in placed
    )
    is_whole = (width, height) == (geometry.width, geometry.height)
    return None if is_plain and is_whole else layout


def _arranged(
    parts: Sequence[Part], images: Sequence[SizedImage], geometry: Geometry, may_have_gaps: bool
) -> list[FramePart]:
    if len(parts) == 1:
        (part,) = parts
        flips = _flips(part) if part.place else (False, False)
        return [FramePart(part.data, 0, 0, *flips, part.overscan, part.image, part.name)]
    if all(part.place for part in parts):
        return _by_place(parts, images, geometry, may_have_gaps)
    without = [part.name for part in parts if not part.place]
    if len(images) > 1:
        raise WrongSectionError(
            f"contains {len(images)} images (extensions), and no DETSEC, CCDSEC or LTV tells where "
            f"on the sensor {', '.join(without[:3])} is; {SPLIT_REMEDY}"
        )
    return _pushed_together(parts)


def _flips(part: Part) -> tuple[bool, bool]:
    place = part.place or CardSection((), ())
    reversed_x, reversed_y = part.is_reversed
    return place.reverses_x != reversed_x, place.reverses_y != reversed_y


def _by_place(
    parts: Sequence[Part], images: Sequence[SizedImage], geometry: Geometry, may_have_gaps: bool
) -> list[FramePart]:
    sections = [_on_sensor(part, (geometry.xbinning, geometry.ybinning)) for part in parts]
    require_apart(sections, "their sections of the sensor (DETSEC)")
    _require_near(sections)
    if not may_have_gaps:
        _require_complete(sections, images, geometry)
    left = min(section.left for section in sections)
    top = min(section.top for section in sections)
    return [
        FramePart(
            *(part.data, section.left - left, section.top - top, *_flips(part)),
            *(part.overscan, part.image, part.name),
        )
        for part, section in zip(parts, sections, strict=True)
    ]


def _on_sensor(part: Part, binning: tuple[int, int]) -> Section:
    """Return the place of a part on the sensor in binned pixels; it has the size of its samples."""
    assert part.place is not None
    place = part.place.in_image(part.data.width, part.data.height)
    for xbinning, ybinning in dict.fromkeys((binning, (1, 1))):
        if (-(-place.width // xbinning), -(-place.height // ybinning)) in _sizes(part.data):
            left, top = place.left // xbinning, place.top // ybinning
            return Section(left, left + part.data.width, top, top + part.data.height)
    raise WrongSectionError(
        f"has {part.data.width}x{part.data.height} samples of amplifier {part.name} "
        f"({part.data}), and {place.width}x{place.height} pixels of the sensor for them "
        f"({part.place}); {REMEDY}"
    )


def _sizes(data: Section) -> tuple[tuple[int, int], ...]:
    """Give the sizes that fit: a camera may drop an incomplete binned pixel of each axis."""
    return tuple((data.width + x, data.height + y) for x in (0, 1) for y in (0, 1))


def _pushed_together(parts: Sequence[Part]) -> list[FramePart]:
    """Place the parts of one image in their order, without what is between them."""
    columns = sorted({part.data[:2] for part in parts})
    rows = sorted({part.data[2:] for part in parts})
    xs, ys = (
        {ends: sum(last - first for first, last in axis if last <= ends[0]) for ends in axis}
        for axis in (columns, rows)
    )
    return [
        FramePart(
            *(part.data, xs[part.data[:2]], ys[part.data[2:]], False, False),
            *(part.overscan, part.image, part.name),
        )
        for part in parts
    ]


def _require_near(sections: Sequence[Section]) -> None:
    """Refuse amplifiers far from each other: a wrong place would make a huge frame."""
    frame = _box(sections)
    covered = sum(section.width * section.height for section in sections)
    if covered < _LEAST_COVERED * frame.width * frame.height:
        raise WrongSectionError(
            f"has {len(sections)} amplifiers at {frame.width}x{frame.height} pixels of the sensor, "
            f"which cover less than half of them; {REMEDY}"
        )


def _require_complete(
    sections: Sequence[Section], images: Sequence[SizedImage], geometry: Geometry
) -> None:
    """Refuse a frame in which an amplifier is missing: a gap as large as the smallest one."""
    frame, sensor = _box(sections), _sensor(images[0].cards, geometry)
    whole = sensor if sensor and _spans(frame, sensor) else frame
    width = min(section.width for section in sections)
    height = min(section.height for section in sections)
    # A gap begins where an amplifier or the frame does, or where an amplifier ends.
    for left in sorted({frame.left - width, *chain(*(each[:2] for each in sections))}):
        for top in sorted({frame.top - height, *chain(*(each[2:] for each in sections))}):
            gap = Section(left, left + width, top, top + height)
            is_in_frame = (
                whole.left <= gap.left
                and gap.right <= whole.right
                and whole.top <= gap.top
                and gap.bottom <= whole.bottom
            )
            if is_in_frame and not any(gap.overlaps(section) for section in sections):
                raise WrongSectionError(
                    f"lacks an amplifier: none of its {len(sections)} is at {gap} of the frame; "
                    "copy it again, or exclude it; if the camera reads only these, give their "
                    "places in cameras (config/README.md)"
                )


def _spans(frame: Section, sensor: Section) -> bool:
    """Return whether a frame reaches from edge to edge of the sensor, as a subframe does not."""
    ends = [
        (frame.left == sensor.left, frame.right == sensor.right),
        (frame.top == sensor.top, frame.bottom == sensor.bottom),
    ]
    return any(all(axis) for axis in ends) and all(any(axis) for axis in ends)


def _box(sections: Sequence[Section]) -> Section:
    lefts, rights, tops, bottoms = zip(*sections, strict=True)
    return Section(min(lefts), max(rights), min(tops), max(bottoms))


def _sensor(cards: Cards, geometry: Geometry) -> Section | None:
    """Return the sensor in binned pixels, by DETSIZE; None without it."""
    size = first_section(cards, ("DETSIZE",))
    return size and size.binned(0, 0, (geometry.xbinning, geometry.ybinning))


def placed_geometry(
    geometry: Geometry, layout: FrameLayout, images: Sequence[SizedImage], parts: Sequence[Part]
) -> Geometry:
    """Return the geometry of the frame: size, position on the sensor, Bayer pattern."""
    first = layout.parts[0].data
    pattern = geometry.bayerpat
    if len(layout.parts) == 1:
        offsets = [number_of(images[0].cards.get(name)) for name in ("LTV1", "LTV2")]
        origin = (geometry.xorigin, geometry.yorigin)
        if None not in offsets and origin == tuple(_start(each) for each in offsets):
            # LTV counts from the first pixel of the image, which may be one of the overscan.
            origin = (_start(offsets[0], first.left), _start(offsets[1], first.top))
        pattern = pattern and _shifted(pattern, first.left, first.top)
    elif all(part.place for part in parts):
        binning = (geometry.xbinning, geometry.ybinning)
        box = _box([_on_sensor(part, binning) for part in parts])
        origin = (box.left, box.top)
    else:
        origin = (geometry.xorigin, geometry.yorigin)
    return replace(
        geometry,
        width=layout.width,
        height=layout.height,
        bayerpat=pattern,
        xorigin=origin[0],
        yorigin=origin[1],
    )


def _start(offset: float | None, first: int = 0) -> int:
    return max(0, round(first - (offset or 0.0)))


def _shifted(pattern: str, columns: int, rows: int) -> str:
    """Return the Bayer pattern of an image that begins some columns and rows later."""
    if columns % 2:
        pattern = pattern[1] + pattern[0] + pattern[3] + pattern[2]
    return pattern[2:] + pattern[:2] if rows % 2 else pattern
