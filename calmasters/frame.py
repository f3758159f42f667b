"""The vocabulary: what a frame is, and how its values are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

__all__ = [
    "IMAGE_EXTENSIONS",
    "Frame",
    "FrameType",
    "Geometry",
    "Status",
    "Traits",
    "Value",
    "Verdict",
    "format_value",
]

#: A keyword's value: GAIN 100, SET-TEMP -10.0, FILTER 'Ha'.
Value: TypeAlias = str | int | float

#: How names of image files end, in any letter case: FITS, tile-compressed or zipped, and XISF.
IMAGE_EXTENSIONS: Final = (
    ".fits", ".fit", ".fts",
    ".fits.fz", ".fit.fz", ".fts.fz",
    ".fits.gz", ".fit.gz", ".fts.gz",
    ".xisf",
)  # fmt: skip

#: Keywords written with two decimals (more where an exposure needs them).
_DECIMAL_KEYWORDS: Final = frozenset({"SET-TEMP", "EXPOSURE", "CCD-TEMP"})


class FrameType(StrEnum):
    """What a frame was taken for; the value is the canonical TYPE."""

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
    """Size, binning and mosaic of a frame: frames combine only when all of it is equal."""

    width: int
    height: int
    xbinning: int = 1
    ybinning: int = 1
    bayerpat: str | None = None

    def __str__(self) -> str:
        pattern = f" {self.bayerpat}" if self.bayerpat else ""
        return f"{self.width}x{self.height} binned {self.xbinning}x{self.ybinning}{pattern}"


@dataclass(frozen=True, slots=True, eq=False)
class Traits:
    """What headers say of frames, apart from the moment: the frames of a group share one object.

    Hence it is compared by identity: a hundred thousand frames have a few thousand of these, and
    what depends on them alone is decided once for each.

    Attributes
    ----------
    keywords : mapping of str to Value
        Canonical keywords (TYPE, INSTRUME, SET-TEMP…); absent keywords are absent. TYPE is a
        :class:`FrameType` value or, for anything else, the header's own word in lower case.
    master : bool
        The file is a stack of frames, not one frame.
    geometry : Geometry or None
        None where the file could not be read, or holds no two-dimensional image.
    sources : mapping of str to str
        Where a value came from, for those that are not the plain keyword.
    warnings : tuple of str
        What is odd about the frame but does not keep it from use.
    problems : tuple of str
        Why the frame cannot be used; each a sentence a person can act on.
    """

    keywords: Mapping[str, Value] = field(default_factory=dict)
    master: bool = False
    geometry: Geometry | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


class Frame(NamedTuple):
    """One file of the inventory.

    Attributes
    ----------
    path : str
        Relative to the scanned directory, with ``/``.
    size, mtime_ns : int
        Of the file, in bytes and nanoseconds.
    traits : Traits
        What its header says; each of them is an attribute of the frame, too.
    ccd_temp_c : float or None
        Actual sensor temperature, degrees Celsius.
    date_obs : str or None
        Start of the exposure, ISO 8601, UTC.
    content : str
        Digest of the file (``fingerprint: content``), else empty.
    excluded : str or None
        Why the frame is left alone (``exclude`` pattern); its header was not read.
    copy_of : str or None
        Path of the frame that has the same bytes.
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

    @property
    def keywords(self) -> Mapping[str, Value]:
        """Of the traits."""
        return self.traits.keywords

    @property
    def master(self) -> bool:
        """Of the traits."""
        return self.traits.master

    @property
    def geometry(self) -> Geometry | None:
        """Of the traits."""
        return self.traits.geometry

    @property
    def warnings(self) -> tuple[str, ...]:
        """Of the traits."""
        return self.traits.warnings

    @property
    def problems(self) -> tuple[str, ...]:
        """Of the traits."""
        return self.traits.problems


class Status(StrEnum):
    """What became of a frame."""

    USED = "used"
    IGNORED = "ignored"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The status of a frame, with the reason where it is not used and its group where it has one.

    Attributes
    ----------
    status : Status
    reason : str
        A sentence; empty for a used frame.
    remedy : str
        What to do about it, the same words for all frames with the same trouble; of an ignored
        frame what it is one of.
    group : str
        The master's name; empty where the frame belongs to none.
    """

    status: Status
    reason: str = ""
    remedy: str = ""
    group: str = ""


@lru_cache(1 << 16)  # a hundred thousand frames have few values between them
def format_value(keyword: str, value: Value) -> str:
    """Write a value as it stands in names, tables and group keys.

    SET-TEMP and EXPOSURE have two decimals, and an exposure that needs more has up to six;
    a whole number has none, so that GAIN 100 and 100.0 are one value.

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
