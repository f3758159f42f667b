"""Read the headers of frames, and cache their content.

The cache is under ``output_dir/.cache``. An entry is valid until the file's size or time changes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from functools import cached_property, lru_cache
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, TypeAlias

from calmasters import __version__
from calmasters.errors import FrameError
from calmasters.frame import Frame, FrameType, Geometry, OtherType, Traits, plane_path, split_plane
from calmasters.frame_layout import FrameLayout
from calmasters.headers.ap_common import ap_keywords
from calmasters.headers.camera_raw import CAMERA_RAW
from calmasters.headers.dialects import FrameHeader, KeywordReader
from calmasters.headers.fits_cards import ImageHeader
from calmasters.headers.geometry import FLOAT_RANGE_REMEDY
from calmasters.headers.image_header import read_header
from calmasters.headers.known_cameras import known_cameras
from calmasters.headers.layouts import FoundLayout, LayoutFinder
from calmasters.headers.sample_scale import (
    ADU16,
    ADU16_IN_32_BITS,
    has_floats,
    has_own_scale,
    is_plain,
    is_signed,
    reading_of,
)
from calmasters.headers.series import plane_header, planes_of, series_problem
from calmasters.inventory.checked_json import read_checked, write_checked
from calmasters.inventory.exclusion import excluding_pattern
from calmasters.inventory.garbage import without_collection
from calmasters.inventory.scan import ScannedFile, fingerprint
from calmasters.model.layout import HEADER_CACHE
from calmasters.progress import progress
from calmasters.settings import Settings

__all__ = ["HeaderCache"]

#: Version of the cache file; increase it when the format changes.
_FORMAT: Final = 20

#: Number of cached traits with a layout.
_CACHED: Final = 1024

#: Cache entry of a frame: size, version, number of its traits, measured temperature, and start of
#: the exposure. A file with a series has one, too: without traits, with the number of its frames.
#: A list, as read from JSON: see decision 0027.
_Row: TypeAlias = list[Any]
_SIZE, _VERSION, _TRAITS, _PLANES = range(4)


class HeaderCache:
    """Frames from their headers, cached until the files or the rules for headers change.

    Parameters
    ----------
    settings : Settings
        The cache is valid only for the same rules for headers.
    """

    def __init__(self, settings: Settings) -> None:
        self._path = settings.output_dir / HEADER_CACHE
        self._settings = settings
        self._reader = KeywordReader(settings.headers)
        # Cached, so that frames with equal traits still share them.
        self._at_layout = lru_cache(_CACHED)(_at_layout)
        self._layouts = LayoutFinder(settings.headers.layouts, known_cameras())
        decisive = (settings.headers, settings.float_range, settings.cubes)
        self._rules = fingerprint(_FORMAT, __version__, *decisive)
        self._traits = _NumberedTraits()
        # The folders above a library give no type.
        library = (*settings.library.bias, *settings.library.dark)
        self._libraries = tuple(f"{directory.as_posix()}/" for directory in library)
        # Cache entries by directory and path.
        self._before = self._load()
        self._now: dict[str, dict[str, _Row]] = {}

    def _load(self) -> dict[str, dict[str, _Row]]:
        stored = read_checked(self._path)
        if stored.get("rules") != self._rules:
            return {}
        rows: dict[str, dict[str, _Row]] = stored["frames"]
        self._traits = _NumberedTraits(map(_from_json, stored["traits"]))
        return rows

    @without_collection()
    def read(
        self, files: Iterable[ScannedFile], root: Path, exclude: Sequence[str] = ()
    ) -> list[Frame]:
        """Return the frames of files; read only the headers of new and changed files.

        Parameters
        ----------
        files : iterable of ScannedFile
        root : Path
            The directory that their paths are relative to.
        exclude : sequence of str
            Patterns of files whose headers are not read.
        """
        before = {**self._before.get(root.as_posix(), {})}
        now = self._now.setdefault(root.as_posix(), {})
        folder = "" if root == Path() else f"{root}{os.sep}"
        libraries = self._libraries if root == Path() else ()
        frames: list[Frame] = []
        for file in progress(files, "reading headers"):
            path, size, mtime_ns, version = file.path, file.size, file.mtime_ns, file.version
            if exclude and (pattern := excluding_pattern(path, exclude)):
                reason = f"exclude: {pattern}"
                frames.append(Frame(path, size, mtime_ns, _UNREAD, excluded=reason))
                continue
            if file.problem:
                # Not cached: a file without a change can lose it, such as by an installation.
                damaged = self._traits.shared(Traits(problems=(file.problem,)))
                frames.append(Frame(path, size, mtime_ns, damaged, content=file.content))
                continue
            row = before.get(path)
            if row is None or row[_SIZE] != size or row[_VERSION] != version:
                outside = _matching_prefix(path, libraries) if libraries else 0
                row = self._read_file(file, folder + path, outside, before)
            now[path] = row
            _, _, number, ccd_temp_c, date_obs = row
            if number is None:
                frames += self._planes(file, row, before, now, exclude)
                continue
            traits = self._traits.all[number]
            frames.append(Frame(path, size, mtime_ns, traits, ccd_temp_c, date_obs, file.content))
        return frames

    def _planes(
        self,
        file: ScannedFile,
        row: _Row,
        rows: Mapping[str, _Row],
        now: dict[str, _Row],
        exclude: Sequence[str],
    ) -> Iterator[Frame]:
        """Give the frames of a series, whose entries are in the cache with that of their file."""
        count = row[_PLANES]
        for plane in range(1, count + 1):
            path = plane_path(file.path, plane, count)
            now[path] = rows[path]
            _, _, number, ccd_temp_c, date_obs = rows[path]
            known = (path, file.size, file.mtime_ns)
            if exclude and (pattern := excluding_pattern(path, exclude)):
                yield Frame(*known, _UNREAD, excluded=f"exclude: {pattern}")
                continue
            traits = self._traits.all[number]
            yield Frame(*known, traits, ccd_temp_c, date_obs, file.content)

    def _read_file(self, file: ScannedFile, path: str, outside: int, rows: dict[str, _Row]) -> _Row:
        """Read one header; any fault of the file becomes a problem of the frame.

        Returns
        -------
        list
            The cache entry of the file; those of the frames of a series are added to ``rows``.
        """
        try:
            image = read_header(path)
        except FrameError as error:
            return self._row(file, _damaged(str(error)))
        count = 0 if image.parts else planes_of(image.cards)
        if count and (problem := series_problem(image) or _truncation(file, image)):
            header = self._reader.read(plane_header(image, 1).cards, file.path, outside)
            traits = replace(header.traits, problems=(*header.traits.problems, problem))
            return self._row(file, header._replace(traits=traits))
        if not count or self._settings.cubes != "frames":
            return self._row(file, self._read_header(file, path, image, outside))
        for plane in range(1, count + 1):
            one = plane_header(image, plane)
            header = self._read_header(file, plane_path(path, plane, count), one, outside)
            rows[plane_path(file.path, plane, count)] = self._row(file, header)
        return [file.size, file.version, None, count, None]

    def _row(self, file: ScannedFile, header: FrameHeader) -> _Row:
        return [file.size, file.version, self._traits.number(header.traits), *header[1:]]

    def _read_header(
        self, file: ScannedFile, path: str, image: ImageHeader, outside: int
    ) -> FrameHeader:
        """Translate one header; any fault of the image becomes a problem of the frame."""
        try:
            header = self._reader.read(image.cards, file.path, outside)
            traits = header.traits
            is_ap_file = not traits.master and image.packing != CAMERA_RAW
            if self._settings.header_reader == "ap-common" and is_ap_file:
                keywords = ap_keywords(Path(split_plane(path)[0]), self._settings.headers)
                traits = replace(traits, keywords=keywords, sources={}, other_type=None)
            traits = self._with_layout(traits, image)
        except FrameError as error:
            return _damaged(str(error))
        read_as, problem = _check_data(file, path, image, traits, self._settings)
        if problem:
            traits = replace(traits, problems=(*traits.problems, problem))
        has_8_bits = image.cards.get("BITPIX") == 8
        if read_as or has_8_bits:
            traits = replace(traits, read_as=read_as, has_8_bits=has_8_bits)
        return header if traits is header.traits else header._replace(traits=traits)

    def _with_layout(self, traits: Traits, image: ImageHeader) -> Traits:
        """Add the layout of a raw frame to its traits: a master has none."""
        if traits.master:
            if image.parts:
                problem = f"contains {len(image.parts)} images (extensions); use one with one image"
                return replace(traits, problems=(*traits.problems, problem))
            return traits
        camera = str(traits.keywords.get("INSTRUME", ""))
        found = self._layouts.find(image, camera, traits.geometry)
        return traits if found.is_plain else self._at_layout(traits, found)

    def save(self) -> None:
        """Write the cache, whole or not at all."""
        if self._now == self._before:
            return
        self._drop_unused_traits()
        traits = [_to_json(traits) for traits in self._traits.all]
        stored = {"rules": self._rules, "traits": traits, "frames": self._now}
        write_checked(self._path, stored)
        self._before = {root: dict(rows) for root, rows in self._now.items()}

    def _drop_unused_traits(self) -> None:
        """Remove traits without a file, and renumber the others."""
        rows = [row for rows in self._now.values() for row in rows.values()]
        rows = [row for row in rows if row[_TRAITS] is not None]
        used = sorted({row[_TRAITS] for row in rows})
        if len(used) < len(self._traits.all):
            self._traits = _NumberedTraits(self._traits.all[number] for number in used)
            places = {number: place for place, number in enumerate(used)}
            for row in rows:
                row[_TRAITS] = places[row[_TRAITS]]


class _NumberedTraits:
    """Numbers for traits; equal traits have the same number.

    Parameters
    ----------
    all_ : iterable of Traits
        In the order of their numbers; no two are equal.
    """

    def __init__(self, all_: Iterable[Traits] = ()) -> None:
        self.all = list(all_)
        self._numbers = {traits: number for number, traits in enumerate(self.all)}

    def number(self, traits: Traits) -> int:
        """Return the number of traits; new traits get the next number."""
        number = self._numbers.get(traits)
        if number is None:
            number = self._by_text.setdefault(_text(traits), len(self.all))
            self._numbers[traits] = number
            if number == len(self.all):
                self.all.append(traits)
        return number

    def shared(self, traits: Traits) -> Traits:
        """Return the one object that is equal to these traits."""
        return self.all[self.number(traits)]

    @cached_property
    def _by_text(self) -> dict[str, int]:
        """Numbers by the text of traits; only computed if a header was read."""
        return {_text(traits): number for number, traits in enumerate(self.all)}


def _text(traits: Traits) -> str:
    # Compared as text, since the values 1, 1.0 and True are equal.
    return repr(_to_json(traits))


# Not dataclasses.astuple, which copies deeply.
_GEOMETRY: Final = attrgetter(*(field.name for field in fields(Geometry)[:-1]))

#: Traits of files whose header is not read.
_UNREAD: Final = Traits()


def _at_layout(traits: Traits, found: FoundLayout) -> Traits:
    """Return the traits of a frame with what was found about its layout."""
    layout = found.geometry.layout if found.geometry else None
    sources = {**traits.sources, "LAYOUT": f"{layout} ({found.source})"} if layout else {}
    return replace(
        traits,
        geometry=found.geometry or traits.geometry,
        sources=sources or traits.sources,
        warnings=(*traits.warnings, *found.warnings),
        problems=(*traits.problems, *found.problems),
        # What a program added to all samples is in its overscan, too.
        pedestal_adu=layout.pedestal_adu if layout and layout.level else traits.pedestal_adu,
    )


def _damaged(problem: str) -> FrameHeader:
    return FrameHeader(Traits(problems=(problem,)), None, None)


def _to_json(traits: Traits) -> list[Any]:
    geometry = traits.geometry and _GEOMETRY(traits.geometry)
    if geometry and traits.geometry and traits.geometry.layout:
        geometry = (*geometry, asdict(traits.geometry.layout))
    stored = (traits.keywords, traits.master, geometry, traits.sources)
    texts = (traits.warnings, traits.problems)
    samples = (traits.read_as, traits.has_8_bits)
    removals = (traits.bias_removal, traits.pedestal_adu, traits.overscan_removal)
    return [*stored, *texts, traits.other_type, *samples, *removals, traits.unread]


def _from_json(stored: list[Any]) -> Traits:
    keywords, master, geometry, sources, warnings, problems, other, *rest = stored
    size = _geometry_from(geometry) if geometry else None
    other_type = OtherType(*other) if other else None
    texts = (tuple(warnings), tuple(problems))
    return Traits(keywords, master, size, sources, *texts, other_type, *rest)


def _geometry_from(stored: list[Any]) -> Geometry:
    *plain, last = stored
    if isinstance(last, dict):
        return replace(Geometry(*plain), layout=FrameLayout.from_json(last))
    return Geometry(*stored)


def _matching_prefix(path: str, prefixes: Iterable[str]) -> int:
    """Return the length of the first prefix of a path; 0 if it has none."""
    return next((len(prefix) for prefix in prefixes if path.startswith(prefix)), 0)


def _truncation(file: ScannedFile, header: ImageHeader) -> str:
    if file.size >= header.end_of_data:
        return ""
    expected = header.end_of_data
    return f"is truncated: {file.size} bytes where {expected} were expected; copy it again"


def _check_data(
    file: ScannedFile, path: str, header: ImageHeader, traits: Traits, settings: Settings
) -> tuple[str, str]:
    """Return how an image is read where it is not plain, and the problem of its data or ''."""
    if problem := _truncation(file, header):
        return "", problem
    # Also where the type is unknown, so that all that is wrong with a frame is found at once.
    if traits.problems or traits.keywords.get("TYPE") == FrameType.LIGHT:
        return "", ""
    parts: list[str] = []
    # Masters are in the range of whatever made them.
    float_range = "auto" if traits.master else settings.float_range
    for image in header.parts or (header,):
        if is_plain(image):
            continue
        parts += reading_of(image)
        is_float_frame = has_floats(image.cards) and not traits.master
        # To unpack a frame takes long: only where its scale depends on its samples.
        is_signed_frame = is_signed(image.cards) and not image.packing
        if not (is_signed_frame or is_float_frame or has_own_scale(image)):
            continue
        try:
            parts += _own_scale(Path(path), image, float_range)
        except FrameError as error:
            problem = str(error).removeprefix(f"{Path(path)}: ")
            if traits.master:  # the setting does not concern it
                remedy = "save it again with samples from 0 to 1"
                problem = problem.replace(FLOAT_RANGE_REMEDY, remedy)
            return "", f"contains {problem}" if problem.startswith("samples") else problem
    return ", ".join(dict.fromkeys(parts)), ""


def _own_scale(path: Path, header: ImageHeader, float_range: str) -> Iterator[str]:
    """Read a few samples of an unusual frame; name the scale that only its samples say."""
    # Imported late: it needs numpy, and such frames are rare.
    from calmasters.images.raw_frame import RawFrame

    with RawFrame(path, float_range, header) as frame:
        if not has_own_scale(header) and not frame.format.is_float:
            frame.read(*frame.middle)  # whether signed samples are negative
            return
        frame.require_valid_samples(quick=True)
        if frame.format.is_adu16 and has_own_scale(header):
            if not frame.format.is_float:
                yield ADU16_IN_32_BITS
            elif float_range == "auto":  # a configured range is part of the recipe
                yield ADU16
