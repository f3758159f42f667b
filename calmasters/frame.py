"""The data model: frames, their traits and verdicts, and how values are written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, NamedTuple, Self, TypeAlias

from calmasters.frame_layout import FrameLayout

__all__ = [
    "FRAME_EXTENSIONS",
    "IMAGE_EXTENSIONS",
    "RAW_EXTENSIONS",
    "Frame",
    "FrameType",
    "Geometry",
    "OtherType",
    "Status",
    "Traits",
    "Value",
    "Verdict",
    "format_value",
    "needs_copy",
    "plane_path",
    "split_plane",
]

#: A keyword's value: GAIN 100, SET-TEMP -10.0, FILTER 'Ha'.
Value: TypeAlias = str | int | float

#: Extensions of image files, in any letter case: FITS, FITS in tiles, zipped FITS, XISF.
IMAGE_EXTENSIONS: Final = (
    ".fits", ".fit", ".fts",
    ".fits.fz", ".fit.fz", ".fts.fz",
    ".fits.gz", ".fit.gz", ".fts.gz",
    ".fits.bz2", ".fit.bz2", ".fts.bz2",
    ".xisf",
)  # fmt: skip

#: Extensions of camera raws that LibRaw reads.
RAW_EXTENSIONS: Final = (
    ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".raf", ".dng", ".orf", ".rw2",
    ".pef", ".srw", ".3fr", ".iiq", ".x3f",
)  # fmt: skip

#: Extensions of all files that may be raw frames.
FRAME_EXTENSIONS: Final = IMAGE_EXTENSIONS + RAW_EXTENSIONS

_PLANE: Final = re.compile(r"(.+)\[(\d+)\]", re.DOTALL)

#: Keywords written with two decimals (EXPOSURE with more if needed).
_DECIMAL_KEYWORDS: Final = frozenset({"SET-TEMP", "EXPOSURE", "CCD-TEMP"})


def plane_path(path: str, plane: int, count: int) -> str:
    """Return the path of a frame in a file that contains a series.

    Numbers from 1 have leading zeros, so that paths have the order of the planes.

    >>> plane_path("series.fits", 3, 10)
    'series.fits[03]'
    """
    return f"{path}[{plane:0{len(str(count))}}]"


def split_plane(path: str) -> tuple[str, int]:
    """Return the file of a frame, and its plane in a series; 0 where the file is one frame.

    >>> split_plane("series.fits[03]"), split_plane("bias.fits")
    (('series.fits', 3), ('bias.fits', 0))
    """
    # No file with such an ending is listed.
    found = _PLANE.fullmatch(path) if path.endswith("]") else None
    return (found[1], int(found[2])) if found else (path, 0)


def needs_copy(path: str) -> bool:
    """Return whether a frame is copied to a plain FITS file for PixInsight and Siril.

    Programs read the planes of a series as colours. They have settings of their own for camera raws
    (margins, orientation, white balance), and their versions of LibRaw may know a camera
    differently. A copy is the same mosaic for all.

    >>> needs_copy("IMG_0001.CR2"), needs_copy("series.fits[03]"), needs_copy("bias.fits")
    (True, True, False)
    """
    return path.lower().endswith(RAW_EXTENSIONS) or split_plane(path)[1] > 0


class FrameType(StrEnum):
    """The type of a frame; the value is the canonical TYPE."""

    BIAS = "bias"
    DARK = "dark"
    FLAT = "flat"
    LIGHT = "light"

    @property
    def master_name(self) -> str:
        """``Master Bias``, ``Master Dark``…: the IMAGETYP of a master."""
        return f"Master {self.value.capitalize()}"


@dataclass(frozen=True, slots=True)
class Geometry:
    """Size, binning, Bayer pattern, position on the sensor, and layout of the file.

    Frames are combined only if all of these are equal; an unknown position equals the only known
    one.

    Attributes
    ----------
    width, height, xbinning, ybinning : int
    bayerpat : str or None
    xorigin, yorigin : int or None
        First column and row of a subframe, in binned pixels from 0; None if the header has none.
    layout : FrameLayout or None
        How the samples of a file become a frame of this size; None where they are the frame.
    """

    width: int
    height: int
    xbinning: int = 1
    ybinning: int = 1
    bayerpat: str | None = None
    xorigin: int | None = None
    yorigin: int | None = None
    layout: FrameLayout | None = None

    def __str__(self) -> str:
        pattern = f" {self.bayerpat}" if self.bayerpat else ""
        x, y = self.origin
        place = f" at ({x}, {y})" if x or y else ""
        layout = f", {self.layout}" if self.layout else ""
        size = f"{self.width}x{self.height} binned {self.xbinning}x{self.ybinning}"
        return f"{size}{pattern}{place}{layout}"

    def to_json(self) -> dict[str, Any]:
        """Give the fields by name; without a layout there is no such field."""
        fields = asdict(self)
        if self.layout is None:
            del fields["layout"]
        return fields

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read it as job files and records have it; the inverse of :meth:`to_json`."""
        layout = stored.get("layout")
        return cls(**{**stored, "layout": FrameLayout.from_json(layout) if layout else None})

    @property
    def origin(self) -> tuple[int, int]:
        """Position on the sensor; (0, 0) where it is unknown."""
        return self.xorigin or 0, self.yorigin or 0

    @property
    def without_origin(self) -> Geometry:
        """The same geometry at an unknown position."""
        return replace(self, xorigin=None, yorigin=None)

    @property
    def without_layout(self) -> Geometry:
        """The same geometry of a file that contains the frame as it is."""
        return replace(self, layout=None) if self.layout else self

    @property
    def is_levelled(self) -> bool:
        """Whether the level of an overscan is subtracted from the samples."""
        return self.layout is not None and self.layout.is_levelled

    def fits(self, other: Geometry) -> bool:
        """Return whether images are pixel for pixel of the same part of a sensor.

        Bayer patterns, positions and amplifiers are compared only if both are known: programs leave
        them out. Without positions, frames that were cut out of their images must be cut equally.
        """
        ours, theirs = (
            (each.width, each.height, each.xbinning, each.ybinning) for each in (self, other)
        )
        layouts = [each.layout for each in (self, other)]
        optional: list[tuple[object, object]] = [
            (self.bayerpat, other.bayerpat),
            (self.xorigin, other.xorigin),
            (self.yorigin, other.yorigin),
        ]
        if None not in layouts:
            first, second = (layout for layout in layouts if layout)
            optional.append((first.arrangement, second.arrangement))
            if None in (self.xorigin, other.xorigin):
                optional.append((first.cut, second.cut))
        return ours == theirs and all(a == b or None in (a, b) for a, b in optional)


class OtherType(NamedTuple):
    """A type that contradicts the one that counts.

    Attributes
    ----------
    place : str
        Where it was found, as in ``types_from``: ``folder`` or ``name``.
    type : str
        A :class:`FrameType` value.
    folder : str
        Name of the folder; empty for a file name.
    """

    place: str
    type: str
    folder: str = ""

    def __str__(self) -> str:
        """``its folder 'Flats' says flat``."""
        where = f"folder '{self.folder}'" if self.folder else "file name"
        return f"its {where} says {self.type}"

    def types_from(self, current: Sequence[str]) -> list[str]:
        """Return the setting ``types_from`` with which this type counts."""
        return [self.place, *(place for place in current if place != self.place)]


@dataclass(frozen=True, slots=True, eq=False)
class Traits:
    """What a header says of a frame, except time and temperature; equal frames share one object.

    Traits are compared by identity. 100,000 frames have a few thousand Traits objects, and what
    depends only on traits is computed once per object.

    Attributes
    ----------
    keywords : mapping of str to Value
        Canonical keywords (TYPE, INSTRUME, SET-TEMP…); a missing keyword has no entry. TYPE is a
        :class:`FrameType` value or, for any other type, the header's text in lower case.
    master : bool
        The file is a stack of frames, not one frame.
    geometry : Geometry or None
        None if the file could not be read, or has no two-dimensional image.
    sources : mapping of str to str
        Origin of a value, for values that are not from the keyword's standard card. For a keyword
        without a value, the card whose value cannot be used, and why.
    warnings : tuple of str
        Unusual properties that do not prevent its use.
    problems : tuple of str
        Reasons why the frame cannot be used, each with what to do.
    other_type : OtherType or None
        The type that its folder or file name gives, if it contradicts TYPE.
    read_as : str
        How the image is read where it is not plain (:mod:`calmasters.headers.sample_scale`), such
        as ``signed, bottom-up``.
    has_8_bits : bool
        Samples have 8 bits; they are not averaged with finer ones.
    bias_removal : str
        The sign that a master dark contains no bias, such as ``CALSTAT 'BM'``; empty without one.
    pedestal_adu : float
        What a program added to the samples (card ``PEDESTAL``), with the sign of the card. Of a
        frame whose overscan is subtracted, what its layout adds.
    overscan_removal : str
        The sign that the overscan of a master's frames was subtracted, such as ``OVERSCAN``; empty
        without one.
    unread : mapping of str to mapping of str to str
        By keyword the cards that may have its value, with theirs, and are not read:
        ``{'FILTER': {'FLTNM': 'V'}}``.
    """

    keywords: Mapping[str, Value] = field(default_factory=dict)
    master: bool = False
    geometry: Geometry | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    other_type: OtherType | None = None
    read_as: str = ""
    has_8_bits: bool = False
    bias_removal: str = ""
    pedestal_adu: float = 0.0
    overscan_removal: str = ""
    unread: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def is_levelled(self) -> bool:
        """Whether the level of an overscan is subtracted from the samples, or was."""
        return bool(self.overscan_removal or (self.geometry and self.geometry.is_levelled))


class Frame(NamedTuple):
    """One frame of the inventory: a file, or one plane of a file with a series.

    Attributes
    ----------
    path : str
        Relative to the scanned directory, with ``/``; of a plane as :func:`plane_path` gives it.
    size, mtime_ns : int
        Size of the file in bytes, and its modification time in nanoseconds.
    traits : Traits
        What its header says; most traits are also properties of the frame.
    ccd_temp_c : float or None
        Measured sensor temperature, degrees Celsius.
    date_obs : str or None
        Start of the exposure, ISO 8601, UTC.
    content : str
        Digest of the file with ``fingerprint: content``, else empty.
    excluded : str or None
        The ``exclude`` pattern that matches the frame; its header was not read.
    copy_of : str or None
        Path of the original, if this file has the same bytes.
    contradiction : str or None
        How the header of another frame with the same pixels and time differs.
    """

    path: str
    size: int
    mtime_ns: int
    traits: Traits
    ccd_temp_c: float | None = None
    date_obs: str | None = None
    content: str = ""
    excluded: str | None = None
    copy_of: str | None = None
    contradiction: str | None = None

    @property
    def keywords(self) -> Mapping[str, Value]:
        """Canonical keywords; see :class:`Traits`."""
        return self.traits.keywords

    @property
    def master(self) -> bool:
        """Whether the file is a stack of frames."""
        return self.traits.master

    @property
    def geometry(self) -> Geometry | None:
        """Size, binning and Bayer pattern; None without a two-dimensional image."""
        return self.traits.geometry

    @property
    def warnings(self) -> tuple[str, ...]:
        """Unusual properties that do not prevent its use."""
        return self.traits.warnings

    @property
    def problems(self) -> tuple[str, ...]:
        """Reasons why the frame cannot be used."""
        return self.traits.problems


class Status(StrEnum):
    """Whether a frame is used."""

    USED = "used"
    IGNORED = "ignored"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The status of a frame, the reason if it is not used, and its group if it has one.

    Attributes
    ----------
    status : Status
    reason : str
        A sentence; empty for a used frame.
    remedy : str
        For a refused frame what to do, the same text for all frames with the same problem; for an
        ignored frame its category.
    group : str
        Name of the master; empty if the frame belongs to no group.
    settings : mapping of str to object
        Settings that make such frames usable, as a part of ``config.yaml``: lists have only what
        is to be added, except ``types_from``, which is complete since its order counts. Empty
        where no setting is the right remedy.
    """

    status: Status
    reason: str = ""
    remedy: str = ""
    group: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict, compare=False)


@lru_cache(1 << 16)  # 100,000 frames have few different values
def format_value(keyword: str, value: Value) -> str:
    """Return a value as text for names, tables and group keys.

    Temperatures and EXPOSURE have two decimals, EXPOSURE up to six if needed. Other integral
    numbers have no decimals, so that GAIN 100 and 100.0 are the same value.

    >>> format_value("SET-TEMP", -10), format_value("EXPOSURE", 0.0015), format_value("GAIN", 100.0)
    ('-10.00', '0.0015', '100')
    """
    if isinstance(value, str):
        return value
    if keyword in _DECIMAL_KEYWORDS:
        # Adding 0.0 turns a negative zero into zero.
        text = f"{round(value, 6) + 0.0:.6f}".rstrip("0") if keyword == "EXPOSURE" else ""
        two = f"{round(value, 2) + 0.0:.2f}"
        return text if len(text) > len(two) else two
    return str(int(value)) if float(value).is_integer() else repr(value)
