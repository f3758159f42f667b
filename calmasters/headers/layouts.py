"""Find the layout of a file: overscan and amplifiers, by its header or by a table of cameras.

The header's sections are those of IRAF and NOAO: ``BIASSEC``, ``TRIMSEC`` and ``DATASEC`` in pixels
of the image, ``DETSEC``, ``CCDSEC``, ``LTV`` and ``LTM`` in pixels of the sensor.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import combinations
from string import ascii_uppercase
from typing import Any, Final, NamedTuple

from calmasters.frame import FrameLayout, FramePart, Geometry, Section
from calmasters.headers.fits_cards import Cards, ImageHeader, number_of
from calmasters.headers.sample_scale import is_bottom_up
from calmasters.headers.sections import CardSection, is_unreadable, sections_in
from calmasters.settings import LayoutRules

__all__ = ["LAYOUT_CARDS", "FoundLayout", "LayoutFinder"]

#: Cards of the samples to keep, of the overscan, and of the place on the sensor; in front of what
#: names an amplifier where several read one image (DECam: A, B; ARCON: 11, 12, 21, 22).
_DATA: Final = ("TRIMSEC", "DATASEC", "TSEC", "DSEC")
_OVERSCAN: Final = ("BIASSEC", "BSEC")
_PLACES: Final = ("DETSEC", "CCDSEC", "CSEC")
_OFFSETS: Final = ("LTV1", "LTV2", "LTM1_1", "LTM2_2")
_NAMED: Final = re.compile(
    r"(TRIMSEC|DATASEC|TSEC|DSEC|BIASSEC|BSEC|DETSEC|CCDSEC|CSEC)([A-Z]|\d{1,2})?"
)
#: The cards of one amplifier with a short name.
_LONG: Final[Mapping[str, str]] = {
    "TSEC": "TRIMSEC",
    "DSEC": "DATASEC",
    "BSEC": "BIASSEC",
    "CSEC": "CCDSEC",
}
#: All names of such cards: one look at a header without any must not take long.
_NAMES: Final = frozenset(
    f"{card}{name}"
    for card in (*_DATA, *_OVERSCAN, *_PLACES)
    for name in ("", *ascii_uppercase, *map(str, range(100)))
)
#: What names an amplifier that is the only one of its image, in order.
_AMPLIFIER_NAMES: Final = ("AMPNAME", "AMPID", "AMPLIFIER", "EXTNAME", "CCDNAME")
#: Cards without which a file of one image has no layout, unless a table has one.
LAYOUT_CARDS: Final = (*_DATA, *_OVERSCAN, *_PLACES, *_OFFSETS, "DETSIZE")

_CACHED: Final = 1024
#: The camera with the most amplifiers, DECam, has 124.
_MOST_PARTS: Final = 256
#: No sensor has more pixels in a row.
_MOST_PIXELS: Final = 1e9
#: Gaps between chips are a small part of a mosaic; larger ones are wrong sections.
_LEAST_COVERED: Final = 0.5

_REMEDY: Final = (
    "correct the header, give the sections in cameras (config/README.md), or set overscan: 'off' "
    "to use the complete image"
)
_TABLE_REMEDY: Final = "correct the entry of this camera in cameras"
_SPLIT_REMEDY: Final = (
    "describe them in cameras (config/README.md), or split it into files with one image each"
)


class FoundLayout(NamedTuple):
    """What was found about the layout of a file.

    Attributes
    ----------
    geometry : Geometry or None
        Of the frame, with its layout; None if it has none.
    source : str
        ``header``, ``cameras`` or the name of a known camera; empty without a layout.
    warnings, problems : tuple of str
        As in :class:`~calmasters.frame.Traits`.
    """

    geometry: Geometry | None = None
    source: str = ""
    warnings: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether the image is the frame, and nothing is to be said about it."""
        return not (self.geometry or self.warnings or self.problems)


_PLAIN: Final = FoundLayout()


class _Part(NamedTuple):
    """An amplifier before it has a place in the frame; sections may be wrong."""

    image: int
    name: str
    data: Section
    overscan: tuple[Section, ...]
    place: CardSection | None
    is_reversed: tuple[bool, bool] = (False, False)


class _Sized(NamedTuple):
    """An image of a file: what its layout depends on."""

    cards: Cards
    width: int
    height: int


class _WrongSectionError(Exception):
    """Sections contradict the size of the image, or each other."""


class LayoutFinder:
    """Finds the layouts of files; equal headers are looked at once.

    Parameters
    ----------
    rules : LayoutRules
    known : mapping of str to mapping
        Sections of cameras whose headers lack them, as in ``cameras``.
    """

    def __init__(self, rules: LayoutRules, known: Mapping[str, Mapping[str, Any]]) -> None:
        self._rules, self._known = rules, known
        self._cached = lru_cache(_CACHED)(self._find)
        self._is_listed = lru_cache(_CACHED)(self._find_entry)

    def find(self, header: ImageHeader, camera: str, geometry: Geometry | None) -> FoundLayout:
        """Find the layout of a raw frame.

        Parameters
        ----------
        header : ImageHeader
        camera : str
            Its INSTRUME; empty where unknown.
        geometry : Geometry or None
            As :func:`~calmasters.headers.geometry.geometry_of` reads it from the header.
        """
        images = header.parts or (header,)
        is_listed = self._is_listed(camera)
        if not header.parts and not is_listed and _NAMES.isdisjoint(header.cards):
            return _PLAIN
        is_reversed = is_bottom_up(header)
        relevant = tuple(tuple(_relevant(image.cards)) for image in images)
        return self._cached(relevant, camera, geometry, is_reversed)

    def _find_entry(self, camera: str) -> bool:
        return any(_named_entry(table, camera)[0] for table in (self._rules.cameras, self._known))

    def _find(
        self,
        relevant: Sequence[Sequence[tuple[str, Any]]],
        camera: str,
        geometry: Geometry | None,
        is_reversed: bool,
    ) -> FoundLayout:
        images = [_sized(dict(cards)) for cards in relevant]
        if geometry is None:
            return _PLAIN  # the image itself is a problem
        if any(image.width < 1 or image.height < 1 for image in images):
            text = f"contains {len(images)} images (extensions), not all of two dimensions"
            return FoundLayout(problems=(f"{text}; {_SPLIT_REMEDY}",))
        try:
            parts, source, level, warnings = self._parts(images, camera, geometry)
            if not parts:
                return FoundLayout(warnings=tuple(warnings))
            layout = _layout(parts, images, geometry, level)
        except _WrongSectionError as error:
            return FoundLayout(problems=(str(error),))
        if layout is None:
            return FoundLayout(warnings=tuple(warnings))
        placed = _placed(geometry, layout, images, parts)
        if is_reversed:
            layout = layout.upside_down([image.height for image in images])
        return FoundLayout(replace(placed, layout=layout), source, tuple(warnings))

    def _parts(
        self, images: Sequence[_Sized], camera: str, geometry: Geometry
    ) -> tuple[list[_Part], str, str, list[str]]:
        """Give the amplifiers, where they were found, how the level is measured, and warnings."""
        wanted = self._rules.overscan
        default = "median" if wanted == "auto" else wanted.replace("off", "")
        is_used = wanted != "off" or len(images) > 1
        _, configured = _named_entry(self._rules.cameras if is_used else {}, camera)
        if entry := _fitting(configured, images, geometry):
            found = _parts_of_table(entry, images, geometry, f"cameras: {camera}")
            return found, "cameras", self._level(entry, default), []
        parts: list[_Part] = []
        warnings: list[str] = []
        if is_used:
            parts = [*_parts_of_header(images, geometry, warnings)]
            has_places = len(images) == 1 or all(part.place for part in parts)
            if (parts or warnings) and has_places:
                return parts, "header", default, warnings
        name, known = _named_entry(self._known if is_used else {}, camera)
        if known := _fitting(known, images, geometry):
            parts = _parts_of_table(known, images, geometry, f"the known camera {name}")
            warnings.append(
                f"its header has no sections; it is cut as the known camera {name} writes frames: "
                "set cameras (config/README.md) to say it yourself, or overscan: 'off'"
            )
            return parts, f"known camera {name}", self._level(known, default), warnings
        return parts, "header", default, warnings

    def _level(self, entry: Mapping[str, Any], default: str) -> str:
        is_auto = self._rules.overscan == "auto"
        return str(entry.get("level", default)) if is_auto else default


def _relevant(cards: Cards) -> Iterator[tuple[str, Any]]:
    for name, value in cards.items():
        if name in _KEPT or name in _NAMES:
            yield name, value


_KEPT: Final = frozenset({"NAXIS", "NAXIS1", "NAXIS2", *LAYOUT_CARDS, *_AMPLIFIER_NAMES})


def _sized(cards: Cards) -> _Sized:
    width, height = (cards.get(name) for name in ("NAXIS1", "NAXIS2"))
    is_plane = type(width) is int and type(height) is int
    return _Sized(cards, *((int(width or 0), int(height or 0)) if is_plane else (0, 0)))


# --- from the header ------------------------------------------------------------------------------


def _parts_of_header(
    images: Sequence[_Sized], geometry: Geometry, warnings: list[str]
) -> Iterator[_Part]:
    binning = (geometry.xbinning, geometry.ybinning)
    for image in images:
        _require_readable(image.cards)
    if len(images) == 1:
        named = [*_named_parts(images[0], 0, binning)]
        yield from named or _only_part(images[0], binning, warnings)
        return
    for number, image in enumerate(images):
        yield from [*_named_parts(image, number, binning)] or [_whole_part(image, number, binning)]


def _require_readable(cards: Cards) -> None:
    """Refuse a section that cannot be read: the overscan would be a part of the frame."""
    for name, value in cards.items():
        found = _NAMED.fullmatch(name)
        if found and found[1] in (*_DATA, *_OVERSCAN) and is_unreadable(value):
            raise _WrongSectionError(
                f"has {name} '{value}', which is no section such as [1:2048,1:1024]; {_REMEDY}"
            )


def _named_parts(image: _Sized, number: int, binning: tuple[int, int]) -> Iterator[_Part]:
    """Give the amplifiers that read one image, by the names at the end of their cards."""
    names = dict.fromkeys(
        found[2] for key in image.cards if (found := _NAMED.fullmatch(key)) and found[2]
    )
    parts = []
    for name in names:
        data = _first_section(image.cards, [f"{card}{name}" for card in _DATA])
        if data is None:
            continue
        overscan = _sections(image.cards, [f"{card}{name}" for card in _OVERSCAN])
        place = _first_section(image.cards, [f"{card}{name}" for card in _PLACES])
        parts.append(_part(image, number, name, data, overscan, place, binning))
    if len(parts) > 1:
        _require_apart([part.data for part in parts], "their sections of the image")
        yield from parts


def _whole_part(image: _Sized, number: int, binning: tuple[int, int]) -> _Part:
    """Give the amplifier that reads all of an image, in a file of several."""
    cards = image.cards
    data = _first_section(cards, ("TRIMSEC", "DATASEC")) or CardSection((), ())
    overscan = _sections(cards, _overscan_cards(cards))
    place = _first_section(cards, ("DETSEC", "CCDSEC"))
    found = next((str(cards[name]).strip() for name in _AMPLIFIER_NAMES if cards.get(name)), "")
    part = _part(image, number, found or str(number + 1), data, overscan, place, binning)
    return part if place else part._replace(place=_by_offsets(cards, part.data))


def _only_part(image: _Sized, binning: tuple[int, int], warnings: list[str]) -> Iterator[_Part]:
    """Give the part of the only image that is the frame; nothing if the frame is all of it.

    Sections that are not in the image are left over from one that had more pixels.
    """
    width, height, cards = image.width, image.height, _unnamed(image.cards)
    overscan = _sections(cards, _overscan_cards(cards))
    trims = [_first_section(cards, (card,)) for card in ("TRIMSEC", "DATASEC")]
    known = [each for each in trims if each and not _says_nothing(each, width, height, binning)]
    given = [*overscan, *known[:1]]
    if not given:
        return
    sections = [each.in_image(width, height) for each in given]
    if not all(each.is_inside(width, height) for each in sections):
        scaled = [each.binned(width, height, binning) for each in given]
        if max(binning) == 1 or not all(each.is_inside(width, height) for each in scaled):
            outside = next(
                str(each)
                for each, section in zip(given, sections, strict=True)
                if not section.is_inside(width, height)
            )
            warnings.append(
                f"its overscan is not subtracted: the section {outside} of its header is not "
                f"inside of the image of {width}x{height} pixels; {_REMEDY}"
            )
            return
        sections = scaled
    biases = tuple(sections[: len(overscan)])
    data = sections[-1] if known else _remaining(width, height, biases)
    if not known and data == Section(0, width, 0, height):
        return
    yield _checked(_Part(0, "", data, biases, None), image)


def _unnamed(cards: Cards) -> Cards:
    """Add the plain names of cards that name the only amplifier: TSEC1 is TRIMSEC."""
    named = [(found[1], key) for key in cards if (found := _NAMED.fullmatch(key)) and found[2]]
    if len({key.removeprefix(card) for card, key in named}) != 1:
        return cards
    return {**{_LONG.get(card, card): cards[key] for card, key in named}, **cards}


def _overscan_cards(cards: Cards) -> list[str]:
    """Name the cards of an overscan: BIASSEC, BIASSEC1, BIASSEC2…."""
    return [name for name in cards if (found := _NAMED.fullmatch(name)) and found[1] == "BIASSEC"]


def _says_nothing(section: CardSection, width: int, height: int, binning: tuple[int, int]) -> bool:
    """Return whether a section is as large as the image, or larger: what it cuts off is gone."""
    found = section.in_image(width, height)
    if max(binning) > 1 and not found.is_inside(width, height):
        binned = section.binned(width, height, binning)
        found = binned if binned.is_inside(width, height) else found
    return found.width >= width and found.height >= height


def _remaining(width: int, height: int, biases: Sequence[Section]) -> Section:
    """Give what an overscan leaves of an image: columns or rows at its sides are cut off."""
    left, right, top, bottom = 0, width, 0, height
    for bias in biases:
        if bias.height * width >= bias.width * height:
            if bias.left + bias.right > width:
                right = min(right, bias.left)
            else:
                left = max(left, bias.right)
        elif bias.top + bias.bottom > height:
            bottom = min(bottom, bias.top)
        else:
            top = max(top, bias.bottom)
    return Section(left, right, top, bottom)


def _first_section(cards: Cards, names: Sequence[str]) -> CardSection | None:
    return next((each for name in names for each in sections_in(cards.get(name))), None)


def _sections(cards: Cards, names: Sequence[str]) -> list[CardSection]:
    return list(dict.fromkeys(each for name in names for each in sections_in(cards.get(name))))


def _part(
    image: _Sized,
    number: int,
    name: str,
    data: CardSection,
    overscan: Sequence[CardSection],
    place: CardSection | None,
    binning: tuple[int, int],
) -> _Part:
    """Build a part; its sections count pixels of the image, or else unbinned ones."""
    width, height = image.width, image.height
    sections = [each.in_image(width, height) for each in (data, *overscan)]
    if not all(each.is_inside(width, height) for each in sections):
        scaled = [each.binned(width, height, binning) for each in (data, *overscan)]
        sections = scaled if all(each.is_inside(width, height) for each in scaled) else sections
    part = _Part(
        *(number, name, sections[0], tuple(sections[1:]), place),
        (data.reverses_x, data.reverses_y),
    )
    return _checked(part, image)


def _checked(part: _Part, image: _Sized) -> _Part:
    """Refuse a part whose sections are not in the image, or overlap."""
    of = f" of amplifier {part.name}" if part.name else ""
    for section in (part.data, *part.overscan):
        if not section.is_inside(image.width, image.height):
            raise _WrongSectionError(
                f"has the section {section}{of}, which is not inside of the image of "
                f"{image.width}x{image.height} pixels; {_REMEDY}"
            )
    for section in part.overscan:
        if section.overlaps(part.data):
            raise _WrongSectionError(
                f"has the overscan {section}{of}, which overlaps the image section {part.data}; "
                f"{_REMEDY}"
            )
    return part


def _by_offsets(cards: Cards, data: Section) -> CardSection | None:
    """Compute the place on the sensor from IRAF's transformation: image = LTM * sensor + LTV."""
    axes = []
    for axis, ends in ((1, data[:2]), (2, data[2:])):
        offset = number_of(cards.get(f"LTV{axis}"))
        scale = number_of(cards.get(f"LTM{axis}_{axis}", 1.0))
        if offset is None or not scale:
            return None
        # Ends of the section between pixels.
        first, last = sorted((end + 0.5 - offset) / scale for end in ends)
        if not max(abs(first), abs(last)) < _MOST_PIXELS:  # also if they are not finite
            return None
        pixels = (round(first + 0.5), round(last - 0.5))
        axes.append(pixels if scale > 0 else pixels[::-1])
    return CardSection(*axes)


# --- from a table ---------------------------------------------------------------------------------


def _named_entry(
    table: Mapping[str, Mapping[str, Any]], camera: str
) -> tuple[str, Mapping[str, Any] | None]:
    for name, entry in table.items():
        wanted, known = name.casefold(), camera.casefold()
        if wanted == known or fnmatchcase(known, wanted):
            return name, entry
    return "", None


def _fitting(
    entry: Mapping[str, Any] | None, images: Sequence[_Sized], geometry: Geometry
) -> Mapping[str, Any] | None:
    """Return an entry that is about images of this size; its ``size`` is unbinned."""
    if entry is None or "size" not in entry:
        return entry
    width, height = entry["size"]
    size = (width // geometry.xbinning, height // geometry.ybinning)
    return entry if size == images[0][1:] else None


def _parts_of_table(
    entry: Mapping[str, Any], images: Sequence[_Sized], geometry: Geometry, where: str
) -> list[_Part]:
    binning = (geometry.xbinning, geometry.ybinning)
    amplifiers = entry.get("amplifiers") or [entry]
    parts = []
    try:
        for place, amplifier in enumerate(amplifiers):
            number = _image_of(amplifier.get("extension", 1), images)
            image = images[number]
            data, *overscan = (
                each.binned(image.width, image.height, binning)
                for text in (amplifier.get("data", "[*,*]"), *amplifier.get("overscan", ()))
                for each in [_section(text)]
            )
            if "data" not in amplifier and overscan:
                data = _remaining(image.width, image.height, overscan)
            detector = amplifier.get("detector")
            default = str(place + 1) if len(amplifiers) > 1 else ""
            part = _Part(
                *(number, str(amplifier.get("name", default)), data, tuple(overscan)),
                _section(detector) if detector else None,
            )
            parts.append(_checked(part, image))
        if len(parts) > 1:
            for number in range(len(images)):
                of_image = [part.data for part in parts if part.image == number]
                _require_apart(of_image, "their sections of the image")
    except _WrongSectionError as error:
        text = str(error).partition(";")[0]
        raise _WrongSectionError(f"{text} ({where}); {_TABLE_REMEDY}") from None
    return parts


def _section(text: str) -> CardSection:
    return next(sections_in(text))


def _image_of(extension: int | str, images: Sequence[_Sized]) -> int:
    """Return the place of an image that is given by its number, from 1, or its EXTNAME."""
    names = [str(image.cards.get("EXTNAME", "")).strip().casefold() for image in images]
    if isinstance(extension, str) and extension.casefold() in names:
        return names.index(extension.casefold())
    if isinstance(extension, int) and 1 <= extension <= len(images):
        return extension - 1
    raise _WrongSectionError(
        f"has {len(images)} images, and not the extension {extension}; copy it again if it is "
        "incomplete"
    )


# --- parts to a frame -----------------------------------------------------------------------------


def _layout(
    parts: Sequence[_Part], images: Sequence[_Sized], geometry: Geometry, level: str
) -> FrameLayout | None:
    """Place the parts in the frame; None if they are the image as it is."""
    bare = [part.name for part in parts if not part.overscan]
    if level and bare and len(bare) < len(parts):
        raise _WrongSectionError(
            f"has an overscan (BIASSEC), but none of amplifier {', '.join(bare[:3])}; {_REMEDY}"
        )
    if len(parts) > _MOST_PARTS:
        raise _WrongSectionError(
            f"has the sections of {len(parts)} amplifiers (limit {_MOST_PARTS}); {_REMEDY}"
        )
    placed = _arranged(parts, images, geometry)
    width, height = (max(part.place[end] for part in placed) for end in (1, 3))
    layout = FrameLayout.of(width, height, placed, level)
    is_plain = len(images) == 1 and all(
        part.data == part.place and not (part.overscan or part.flip_x or part.flip_y)
        for part in placed
    )
    is_whole = (width, height) == (geometry.width, geometry.height)
    return None if is_plain and is_whole else layout


def _arranged(
    parts: Sequence[_Part], images: Sequence[_Sized], geometry: Geometry
) -> list[FramePart]:
    if len(parts) == 1:
        (part,) = parts
        flips = _flips(part) if part.place else (False, False)
        return [FramePart(part.data, 0, 0, *flips, part.overscan, part.image, part.name)]
    if all(part.place for part in parts):
        return _by_place(parts, images, geometry)
    without = [part.name for part in parts if not part.place]
    if len(images) > 1:
        raise _WrongSectionError(
            f"contains {len(images)} images (extensions), and no DETSEC, CCDSEC or LTV tells where "
            f"on the sensor {', '.join(without[:3])} is; {_SPLIT_REMEDY}"
        )
    return _pushed_together(parts)


def _flips(part: _Part) -> tuple[bool, bool]:
    place = part.place or CardSection((), ())
    reversed_x, reversed_y = part.is_reversed
    return place.reverses_x != reversed_x, place.reverses_y != reversed_y


def _by_place(
    parts: Sequence[_Part], images: Sequence[_Sized], geometry: Geometry
) -> list[FramePart]:
    sections = [_on_sensor(part, (geometry.xbinning, geometry.ybinning)) for part in parts]
    _require_apart(sections, "their sections of the sensor (DETSEC)")
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


def _on_sensor(part: _Part, binning: tuple[int, int]) -> Section:
    """Return the place of a part on the sensor in binned pixels; it has the size of its samples."""
    assert part.place is not None
    place = part.place.in_image(part.data.width, part.data.height)
    for xbinning, ybinning in dict.fromkeys((binning, (1, 1))):
        if (-(-place.width // xbinning), -(-place.height // ybinning)) in _sizes(part.data):
            left, top = place.left // xbinning, place.top // ybinning
            return Section(left, left + part.data.width, top, top + part.data.height)
    raise _WrongSectionError(
        f"has {part.data.width}x{part.data.height} samples of amplifier {part.name} "
        f"({part.data}), and {place.width}x{place.height} pixels of the sensor for them "
        f"({part.place}); {_REMEDY}"
    )


def _sizes(data: Section) -> tuple[tuple[int, int], ...]:
    """Give the sizes that fit: a camera may drop an incomplete binned pixel of each axis."""
    return tuple((data.width + x, data.height + y) for x in (0, 1) for y in (0, 1))


def _pushed_together(parts: Sequence[_Part]) -> list[FramePart]:
    """Place the parts of one image in their order, without what is between them."""
    columns = sorted({part.data[:2] for part in parts})
    rows = sorted({part.data[2:] for part in parts})
    xs, ys = (
        {ends: sum(last - first for first, last in axis if last <= ends[0]) for ends in axis}
        for axis in (columns, rows)
    )
    placed = [
        FramePart(
            *(part.data, xs[part.data[:2]], ys[part.data[2:]], False, False),
            *(part.overscan, part.image, part.name),
        )
        for part in parts
    ]
    _require_apart([part.place for part in placed], "their places in the frame")
    return placed


def _require_apart(sections: Sequence[Section], what: str) -> None:
    for one, other in combinations(sections, 2):
        if one.overlaps(other):
            raise _WrongSectionError(
                f"has two amplifiers that overlap in {what}: {one} and {other}; {_REMEDY}"
            )


def _require_complete(
    sections: Sequence[Section], images: Sequence[_Sized], geometry: Geometry
) -> None:
    """Refuse a frame in which an amplifier is missing: a gap as large as the smallest one."""
    frame = _box(sections)
    covered = sum(section.width * section.height for section in sections)
    if covered < _LEAST_COVERED * frame.width * frame.height:
        raise _WrongSectionError(
            f"has {len(sections)} amplifiers at {frame.width}x{frame.height} pixels of the sensor, "
            f"which cover less than half of them; {_REMEDY}"
        )
    sensor = _sensor(images[0].cards, geometry)
    spans = [
        (frame.left == sensor.left, frame.right == sensor.right),
        (frame.top == sensor.top, frame.bottom == sensor.bottom),
    ]
    # A subframe does not reach from edge to edge; what lacks an amplifier does.
    is_incomplete = any(all(axis) for axis in spans) and all(any(axis) for axis in spans)
    whole = sensor if is_incomplete else frame
    width = min(section.width for section in sections)
    height = min(section.height for section in sections)
    lefts = {section.left for section in sections}
    tops = {section.top for section in sections}
    for left in lefts | {frame.right, frame.left - width}:
        for top in tops | {frame.bottom, frame.top - height}:
            gap = Section(left, left + width, top, top + height)
            is_in_frame = (
                whole.left <= gap.left
                and gap.right <= whole.right
                and whole.top <= gap.top
                and gap.bottom <= whole.bottom
            )
            if is_in_frame and not any(gap.overlaps(section) for section in sections):
                raise _WrongSectionError(
                    f"lacks an amplifier: none of its {len(sections)} is at {gap} of the frame; "
                    "copy it again, or exclude it; if the camera reads only these, give their "
                    "places in cameras (config/README.md)"
                )


def _box(sections: Sequence[Section]) -> Section:
    lefts, rights, tops, bottoms = zip(*sections, strict=True)
    return Section(min(lefts), max(rights), min(tops), max(bottoms))


def _sensor(cards: Cards, geometry: Geometry) -> Section:
    """Return the sensor in binned pixels, by DETSIZE; nothing without it."""
    size = _first_section(cards, ("DETSIZE",))
    if size is None:
        return Section(-1, -1, -1, -1)
    return size.binned(0, 0, (geometry.xbinning, geometry.ybinning))


# --- geometry -------------------------------------------------------------------------------------


def _placed(
    geometry: Geometry, layout: FrameLayout, images: Sequence[_Sized], parts: Sequence[_Part]
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
