"""The parts of a file's images by a table of cameras: the configuration's, or the known ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

from calmasters.frame import Geometry
from calmasters.headers.amplifier_parts import (
    Part,
    SizedImage,
    WrongSectionError,
    checked,
    remaining,
    require_apart,
)
from calmasters.headers.sections import CardSection, sections_in

__all__ = ["fitting_entry", "named_entry", "parts_of_table"]

_TABLE_REMEDY: Final = "correct the entry of this camera in cameras"


def named_entry(
    table: Mapping[str, Mapping[str, Any]], camera: str
) -> tuple[str, Mapping[str, Any] | None]:
    """Return name and entry of a camera; the keys of a table may have wildcards."""
    for name, entry in table.items():
        wanted, known = name.casefold(), camera.casefold()
        if wanted == known or fnmatchcase(known, wanted):
            return name, entry
    return "", None


def fitting_entry(
    entry: Mapping[str, Any] | None, images: Sequence[SizedImage], geometry: Geometry
) -> Mapping[str, Any] | None:
    """Return an entry that is about images of this size; its ``size`` is unbinned."""
    if entry is None or "size" not in entry:
        return entry
    width, height = entry["size"]
    size = (width // geometry.xbinning, height // geometry.ybinning)
    return entry if size == images[0][1:] else None


def parts_of_table(
    entry: Mapping[str, Any], images: Sequence[SizedImage], geometry: Geometry, where: str
) -> list[Part]:
    """Give the parts that an entry describes.

    Parameters
    ----------
    entry : mapping
    images : sequence of SizedImage
    geometry : Geometry
        Sections of an entry are in unbinned pixels.
    where : str
        Names the entry in errors.

    Raises
    ------
    WrongSectionError
        If they contradict the image or each other.
    """
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
                data = remaining(image.width, image.height, overscan)
            detector = amplifier.get("detector")
            default = str(place + 1) if len(amplifiers) > 1 else ""
            part = Part(
                *(number, str(amplifier.get("name", default)), data, tuple(overscan)),
                _section(detector) if detector else None,
            )
            parts.append(checked(part, image))
        if len(parts) > 1:
            for number in range(len(images)):
                of_image = [part.data for part in parts if part.image == number]
                require_apart(of_image, "their sections of the image")
    except WrongSectionError as error:
        text = str(error).partition(";")[0]
        raise WrongSectionError(f"{text} ({where}); {_TABLE_REMEDY}") from None
    return parts


def _section(text: str) -> CardSection:
    return next(sections_in(text))


def _image_of(extension: int | str, images: Sequence[SizedImage]) -> int:
    """Return the place of an image that is given by its number, from 1, or its EXTNAME."""
    names = [str(image.cards.get("EXTNAME", "")).strip().casefold() for image in images]
    if isinstance(extension, str) and extension.casefold() in names:
        return names.index(extension.casefold())
    if isinstance(extension, int) and 1 <= extension <= len(images):
        return extension - 1
    raise WrongSectionError(
        f"has {len(images)} images, and not the extension {extension}; copy it again if it is "
        "incomplete"
    )
