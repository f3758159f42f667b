"""Amplifiers that a header names: which part of an image each of them reads out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from calmasters.frame_layout import FrameLayout, FramePart
from calmasters.headers.fits_cards import ImageHeader, number_of
from calmasters.headers.sample_scale import is_bottom_up
from calmasters.headers.sections import section_of

__all__ = ["Amplifier", "amplifiers_in", "amplifiers_of", "declared_numbers"]

#: Sections of an amplifier in the image, by the name that follows: DSEC11, ASEC11 of frames that
#: several amplifiers of one chip read (NOAO, CTIO).
_SECTION_CARDS: Final = ("DSEC", "TSEC", "ASEC")
#: Cards of an amplifier, in its own image or with its name at the end.
_DECLARED: Final[Mapping[str, tuple[str, ...]]] = {
    "gain_e_adu": ("EGAIN", "GAIN", "GTGAIN"),
    "read_noise_e": ("RDNOISE", "READNOIS", "GTRON"),
}
_NAMED: Final = re.compile(r"[A-Z0-9]{1,4}")


class Amplifier(NamedTuple):
    """The part of an image that one amplifier reads; right and bottom are not included."""

    name: str
    left: int
    right: int
    top: int
    bottom: int


def amplifiers_of(header: ImageHeader, width: int, height: int) -> Sequence[Amplifier]:
    """Read the sections of amplifiers; empty where the header names fewer than two.

    Sections count only if together they cover the image and do not overlap: after trimming, some
    programs keep cards that no longer fit. Rows are counted as frames are read, from the top.
    """
    cards = header.cards
    for prefix in _SECTION_CARDS:
        found = []
        for key in cards:
            name = key.removeprefix(prefix)
            if name == key or not _NAMED.fullmatch(name):
                continue
            if section := section_of(cards, key, (width, height)):
                (left, right), (top, bottom) = section
                found.append(Amplifier(name, left - 1, right, top - 1, bottom))
        if len(found) > 1 and _cover(found, width, height):
            if is_bottom_up(header):
                found = [
                    each._replace(top=height - each.bottom, bottom=height - each.top)
                    for each in found
                ]
            return sorted(found)
    return ()


def amplifiers_in(layout: FrameLayout) -> Sequence[Amplifier]:
    """Return the amplifiers of a frame that is put together; empty if there is only one."""
    parts = layout.parts if len(layout.parts) > 1 else ()
    return sorted(Amplifier(part.name, *part.place) for part in parts)


def declared_numbers(header: ImageHeader, part: FramePart) -> dict[str, float]:
    """Return the gain in e-/ADU and the read noise in electrons that a header gives an amplifier.

    A GAIN that all images share is not one of them: it may be a setting of the camera.
    """
    cards, suffix = header.cards, part.name
    if header.parts:
        cards, suffix = dict(header.parts[part.image].cards), ""
        if cards.get("GAIN") == header.cards.get("GAIN"):
            cards.pop("GAIN", None)
    elif not suffix:
        return {}
    found = {}
    for name, keys in _DECLARED.items():
        numbers = (number_of(cards.get(f"{key}{suffix}")) for key in keys)
        if value := next((number for number in numbers if number and number > 0), None):
            found[name] = value
    return found


def _cover(amplifiers: Sequence[Amplifier], width: int, height: int) -> bool:
    if any(
        each.left < 0 or each.right > width or each.top < 0 or each.bottom > height
        for each in amplifiers
    ):
        return False
    area = sum((each.right - each.left) * (each.bottom - each.top) for each in amplifiers)
    apart = all(
        one.right <= other.left
        or other.right <= one.left
        or one.bottom <= other.top
        or other.bottom <= one.top
        for place, one in enumerate(amplifiers)
        for other in amplifiers[:place]
    )
    return apart and area == width * height
