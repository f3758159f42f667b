"""The parts of a file's images that the sections of its headers describe: amplifiers, overscan.

The sections are those of IRAF and NOAO: ``BIASSEC``, ``TRIMSEC`` and ``DATASEC`` in pixels of the
image, ``DETSEC``, ``CCDSEC``, ``LTV`` and ``LTM`` in pixels of the sensor.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from string import ascii_uppercase
from typing import Final, NamedTuple

from calmasters.frame import Geometry
from calmasters.frame_layout import Section
from calmasters.headers.fits_cards import Cards, number_of
from calmasters.headers.sections import CardSection, is_unreadable, sections_in

__all__ = [
    "AMPLIFIER_NAMES",
    "LAYOUT_CARDS",
    "REMEDY",
    "SECTION_CARDS",
    "SPLIT_REMEDY",
    "Part",
    "SizedImage",
    "WrongSectionError",
    "checked",
    "first_section",
    "parts_of_header",
    "remaining",
    "require_apart",
]

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
}
#: All names of such cards: one look at a header without any must not take long.
SECTION_CARDS: Final = frozenset(
    f"{card}{name}"
    for card in (*_DATA, *_OVERSCAN, *_PLACES)
    for name in ("", *ascii_uppercase, *map(str, range(100)))
)
#: What names an amplifier that is the only one of its image, in order.
AMPLIFIER_NAMES: Final = ("AMPNAME", "AMPID", "AMPLIFIER", "EXTNAME", "CCDNAME")
#: Cards without which a file of one image has no layout, unless a table has one.
LAYOUT_CARDS: Final = (*_DATA, *_OVERSCAN, *_PLACES, *_OFFSETS, "DETSIZE")
#: No sensor has more pixels in a row.
MOST_PIXELS: Final = 1e9
REMEDY: Final = (
    "correct the header, give the sections in cameras (config/README.md), or set overscan: 'off' "
    "to use the complete image"
)
SPLIT_REMEDY: Final = (
    "describe them in cameras (config/README.md), or split it into files with one image each"
)


class Part(NamedTuple):
    """An amplifier before it has a place in the frame; sections may be wrong."""

    image: int
    name: str
    data: Section
    overscan: tuple[Section, ...]
    place: CardSection | None
    is_reversed: tuple[bool, bool] = (False, False)


class SizedImage(NamedTuple):
    """An image of a file: what its layout depends on."""

    cards: Cards
    width: int
    height: int


class WrongSectionError(Exception):
    """Sections contradict the size of the image, or each other."""


def parts_of_header(
    images: Sequence[SizedImage], geometry: Geometry, warnings: list[str]
) -> Iterator[Part]:
    """Give the amplifiers of a file; none where the only image is the frame.

    Parameters
    ----------
    images : sequence of SizedImage
    geometry : Geometry
        Its binning counts.
    warnings : list of str
        What is said of sections that are left over is added.

    Raises
    ------
    WrongSectionError
        If sections cannot be read, or contradict the image or each other.
    """
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
            raise WrongSectionError(
                f"has {name} '{value}', which is no section such as [1:2048,1:1024]; {REMEDY}"
            )


def _named_parts(image: SizedImage, number: int, binning: tuple[int, int]) -> Iterator[Part]:
    """Give the amplifiers that read one image, by the names at the end of their cards."""
    names = dict.fromkeys(
        found[2] for key in image.cards if (found := _NAMED.fullmatch(key)) and found[2]
    )
    parts = []
    for name in names:
        data = first_section(image.cards, [f"{card}{name}" for card in _DATA])
        if data is None:
            continue
        overscan = _sections(image.cards, [f"{card}{name}" for card in _OVERSCAN])
        place = first_section(image.cards, [f"{card}{name}" for card in _PLACES])
        parts.append(_part(image, number, name, data, overscan, place, binning))
    if len(parts) > 1:
        require_apart([part.data for part in parts], "their sections of the image")
        yield from parts


def _whole_part(image: SizedImage, number: int, binning: tuple[int, int]) -> Part:
    """Give the amplifier that reads all of an image, in a file of several."""
    cards = image.cards
    data = first_section(cards, ("TRIMSEC", "DATASEC")) or CardSection((), ())
    overscan = _sections(cards, _overscan_cards(cards))
    place = first_section(cards, ("DETSEC", "CCDSEC"))
    found = next((str(cards[name]).strip() for name in AMPLIFIER_NAMES if cards.get(name)), "")
    part = _part(image, number, found or str(number + 1), data, overscan, place, binning)
    return part if place else part._replace(place=_by_offsets(cards, part.data))


def _only_part(image: SizedImage, binning: tuple[int, int], warnings: list[str]) -> Iterator[Part]:
    """Give the part of the only image that is the frame; nothing if the frame is all of it.

    Sections that are not in the image are left over from one that had more pixels.
    """
    width, height, cards = image.width, image.height, _unnamed(image.cards)
    overscan = _sections(cards, _overscan_cards(cards))
    trims = [first_section(cards, (card,)) for card in ("TRIMSEC", "DATASEC")]
    known = [each for each in trims if each and not _says_nothing(each, width, height, binning)]
    given = [*overscan, *known[:1]]
    if not given:
        return
    sections = [each.in_image(width, height) for each in given]
    if not all(each.is_inside(width, height) for each in sections):
        scaled = [each.binned(width, height, binning) for each in given]
        if not all(each.is_inside(width, height) for each in scaled):
            outside = next(
                str(each)
                for each, section in zip(given, sections, strict=True)
                if not section.is_inside(width, height)
            )
            warnings.append(
                f"its overscan is not subtracted: the section {outside} of its header is not "
                f"inside of the image of {width}x{height} pixels; {REMEDY}"
            )
            return
        sections = scaled
    biases = tuple(sections[: len(overscan)])
    data = sections[-1] if known else remaining(width, height, biases)
    yield checked(Part(0, "", data, biases, None), image)


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
    if not found.is_inside(width, height):
        binned = section.binned(width, height, binning)
        found = binned if binned.is_inside(width, height) else found
    return found.width >= width and found.height >= height


def remaining(width: int, height: int, biases: Sequence[Section]) -> Section:
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


def first_section(cards: Cards, names: Sequence[str]) -> CardSection | None:
    """Return the first section in the first of these cards that has one."""
    return next((each for name in names for each in sections_in(cards.get(name))), None)


def _sections(cards: Cards, names: Sequence[str]) -> list[CardSection]:
    return list(dict.fromkeys(each for name in names for each in sections_in(cards.get(name))))


def _part(
    image: SizedImage,
    number: int,
    name: str,
    data: CardSection,
    overscan: Sequence[CardSection],
    place: CardSection | None,
    binning: tuple[int, int],
) -> Part:
    """Build a part; its sections count pixels of the image, or else unbinned ones."""
    width, height = image.width, image.height
    sections = [each.in_image(width, height) for each in (data, *overscan)]
    if not all(each.is_inside(width, height) for each in sections):
        scaled = [each.binned(width, height, binning) for each in (data, *overscan)]
        sections = scaled if all(each.is_inside(width, height) for each in scaled) else sections
    part = Part(
        *(number, name, sections[0], tuple(sections[1:]), place),
        (data.reverses_x, data.reverses_y),
    )
    return checked(part, image)


def checked(part: Part, image: SizedImage) -> Part:
    """Refuse a part whose sections are not in the image, or overlap."""
    of = f" of amplifier {part.name}" if part.name else ""
    for section in (part.data, *part.overscan):
        if not section.is_inside(image.width, image.height):
            raise WrongSectionError(
                f"has the section {section}{of}, which is not inside of the image of "
                f"{image.width}x{image.height} pixels; {REMEDY}"
            )
    for section in part.overscan:
        if section.overlaps(part.data):
            raise WrongSectionError(
                f"has the overscan {section}{of}, which overlaps the image section {part.data}; "
                f"{REMEDY}"
            )
    return part


def require_apart(sections: Sequence[Section], what: str) -> None:
    """Refuse sections that overlap; ``what`` they are is said."""
    for one, other in combinations(sections, 2):
        if one.overlaps(other):
            raise WrongSectionError(
                f"has two amplifiers that overlap in {what}: {one} and {other}; {REMEDY}"
            )


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
        if not max(abs(first), abs(last)) < MOST_PIXELS:  # also if they are not finite
            return None
        pixels = (round(first + 0.5), round(last - 0.5))
        axes.append(pixels if scale > 0 else pixels[::-1])
    return CardSection(*axes)
