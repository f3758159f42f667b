"""Find the layout of a file: overscan and amplifiers, by its header or by a table of cameras."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final, NamedTuple

from calmasters.frame import Geometry
from calmasters.headers.amplifier_parts import (
    AMPLIFIER_NAMES,
    LAYOUT_CARDS,
    SECTION_CARDS,
    SPLIT_REMEDY,
    Part,
    SizedImage,
    WrongSectionError,
    parts_of_header,
)
from calmasters.headers.fits_cards import Cards, ImageHeader
from calmasters.headers.layout_table import fitting_entry, named_entry, parts_of_table
from calmasters.headers.mosaic import layout_of, placed_geometry
from calmasters.headers.sample_scale import is_bottom_up
from calmasters.settings import LayoutRules

__all__ = ["FoundLayout", "LayoutFinder"]

_CACHED: Final = 1024


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
        if not header.parts and not is_listed and SECTION_CARDS.isdisjoint(header.cards):
            return _PLAIN
        is_reversed = is_bottom_up(header)
        relevant = tuple(tuple(_relevant(image.cards)) for image in images)
        return self._cached(relevant, camera, geometry, is_reversed)

    def _find_entry(self, camera: str) -> bool:
        return any(named_entry(table, camera)[0] for table in (self._rules.cameras, self._known))

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
            return FoundLayout(problems=(f"{text}; {SPLIT_REMEDY}",))
        try:
            parts, source, level, warnings = self._parts(images, camera, geometry)
            if not parts:
                return FoundLayout(warnings=tuple(warnings))
            layout = layout_of(parts, images, geometry, level, may_have_gaps=source == "cameras")
        except WrongSectionError as error:
            return FoundLayout(problems=(str(error),))
        if layout is None:
            return FoundLayout(warnings=tuple(warnings))
        placed = placed_geometry(geometry, layout, images, parts)
        if is_reversed:
            layout = layout.upside_down([image.height for image in images])
        return FoundLayout(replace(placed, layout=layout), source, tuple(warnings))

    def _parts(
        self, images: Sequence[SizedImage], camera: str, geometry: Geometry
    ) -> tuple[list[Part], str, str, list[str]]:
        """Give the amplifiers, where they were found, how the level is measured, and warnings."""
        wanted = self._rules.overscan
        default = "median" if wanted == "auto" else wanted.replace("off", "")
        is_used = wanted != "off" or len(images) > 1
        _, configured = named_entry(self._rules.cameras if is_used else {}, camera)
        if entry := fitting_entry(configured, images, geometry):
            found = parts_of_table(entry, images, geometry, f"cameras: {camera}")
            return found, "cameras", self._level(entry, default), []
        parts: list[Part] = []
        warnings: list[str] = []
        if is_used:
            parts = [*parts_of_header(images, geometry, warnings)]
            has_places = len(images) == 1 or all(part.place for part in parts)
            if (parts or warnings) and has_places:
                return parts, "header", default, warnings
        name, known = named_entry(self._known if is_used else {}, camera)
        if known := fitting_entry(known, images, geometry):
            parts = parts_of_table(known, images, geometry, f"the known camera {name}")
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
        if name in _KEPT or name in SECTION_CARDS:
            yield name, value


def _sized(cards: Cards) -> SizedImage:
    sizes = (cards.get(name) for name in ("NAXIS1", "NAXIS2"))
    width, height = (size if type(size) is int else 0 for size in sizes)
    return SizedImage(cards, width, height)


_KEPT: Final = frozenset({"NAXIS1", "NAXIS2", *LAYOUT_CARDS, *AMPLIFIER_NAMES})
