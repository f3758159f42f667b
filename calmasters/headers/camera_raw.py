"""Read the metadata of a camera raw (CR2, CR3, NEF, ARW, RAF, DNG…) as the cards of a FITS header.

LibRaw (``rawpy``) reads sizes and pixels, Exiv2 (``exiv2``) the rest: rawpy gives no model, and
other values only after it has decoded the pixels. Both packages are an extra of this project, and
are imported when the first camera raw is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, NamedTuple

from calmasters.errors import FrameError
from calmasters.frame import RAW_EXTENSIONS
from calmasters.headers.fits_cards import CardValue, ImageHeader

__all__ = [
    "CAMERA_RAW",
    "can_read_raws",
    "is_camera_raw",
    "missing_reader",
    "opened_raw",
    "read_raw_header",
]

#: The ``packing`` of a camera raw.
CAMERA_RAW: Final = "camera raw"

_PACKAGES: Final = ("rawpy", "exiv2")
_MISSING: Final = (
    "is a camera raw ({}), and the packages that read it are not installed; "
    "install them: pip install 'calmasters[dslr]'"
)

_BAYER_SIDE: Final = 2
#: Tags with the temperature of the sensor, or of the camera near it.
_TEMPERATURES: Final = (
    "Exif.CanonSi.CameraTemperature",
    "Exif.Pentax.Temperature",
    "Exif.PentaxDng.Temperature",
    "Exif.Samsung2.CameraTemperature",
    "Exif.SonyMisc1.CameraTemperature",
)
#: As Exiv2 writes it where the maker's number is known to be one.
_CELSIUS: Final = re.compile(r"([-+]?\d+(?:\.\d+)?) ?°? ?C")
_FRACTIONS: Final = ("Exif.Photo.SubSecTimeOriginal", "Exif.Photo.SubSecTime")
_ZONES: Final = ("Exif.Photo.OffsetTimeOriginal", "Exif.Photo.OffsetTime")
_LENSES: Final = ("Exif.Photo.LensModel",)
_SERIAL_NUMBERS: Final = ("Exif.Photo.BodySerialNumber", "Exif.Image.CameraSerialNumber")
#: What a file says of its mosaic itself; the other formats are known to LibRaw by the model.
_MOSAIC_TAGS: Final = (
    "Exif.Image.CFAPattern", "Exif.SubImage1.CFAPattern", "Exif.Photo.CFAPattern",
    "Exif.Image.WhiteLevel", "Exif.SubImage1.WhiteLevel",
)  # fmt: skip


class _Mosaic(NamedTuple):
    """What LibRaw knows after it has decoded a frame: Bayer pattern (or empty), and white level."""

    bayer: str
    white: int


#: By what decides it, so that one frame of a session is decoded for its header, not every one.
_MOSAICS: Final[dict[object, _Mosaic]] = {}


@cache
def can_read_raws() -> bool:
    """Return whether the packages that read camera raws are installed, without importing them."""
    return all(find_spec(name) for name in _PACKAGES)


def is_camera_raw(path: str) -> bool:
    """Return whether a file is a camera raw, by its extension.

    >>> is_camera_raw("IMG_0001.CR2")
    True
    """
    return path.lower().endswith(RAW_EXTENSIONS)


def missing_reader(path: str) -> str:
    """Return what to install for a camera raw; empty if it can be read."""
    return "" if can_read_raws() else _MISSING.format(path.rpartition(".")[2].upper())


def read_raw_header(path: str) -> ImageHeader:
    """Read the metadata of a camera raw as cards.

    The image is the visible area of the sensor as it is read out: not turned, not debayered, in
    the codes of the camera (one of 14 bits writes up to 16383). ISO is GAIN, the white level is
    SATURATE. The clock of a camera shows local time: only a camera that writes its zone has a
    DATE-OBS (UTC).

    Raises
    ------
    FrameError
        If the packages are not installed, or the file contains no mosaic that can be read.
    """
    with opened_raw(path) as raw:
        sizes, tags = raw.sizes, _Tags(path)
        cards: dict[str, CardValue] = {
            "SIMPLE": True,
            "BITPIX": 16,
            "NAXIS": 2,
            "NAXIS1": sizes.width,
            "NAXIS2": sizes.height,
            "BZERO": 32768,
            "BSCALE": 1,
            "ROWORDER": "TOP-DOWN",
            **{keyword: value for keyword, value in tags.cards() if value is not None},
        }
        said = tuple(tags.first_of([name]) for name in _MOSAIC_TAGS)
        kind = (tuple(sizes), cards.get("INSTRUME"), cards.get("GAIN"), said)
        if kind not in _MOSAICS:
            _MOSAICS[kind] = _mosaic_of(raw)
    mosaic = _MOSAICS[kind]
    if mosaic.bayer:
        cards["BAYERPAT"] = mosaic.bayer
    if mosaic.white:
        cards["SATURATE"] = mosaic.white
    return ImageHeader(cards, 0, 0, CAMERA_RAW)


@contextmanager
def opened_raw(path: str) -> Iterator[Any]:
    """Open a camera raw: a ``rawpy.RawPy`` whose samples are not decoded yet.

    Raises
    ------
    FrameError
        If the packages are not installed, or LibRaw cannot read the file.
    """
    if problem := missing_reader(path):
        raise FrameError(problem)
    rawpy = import_module("rawpy")
    try:
        with rawpy.RawPy() as raw:
            raw.open_file(path)
            yield raw
    except UnicodeError as error:
        raise FrameError("has a name that is not text, which LibRaw cannot open; rename it") from (
            error
        )
    except rawpy.LibRawFileUnsupportedError as error:
        raise FrameError(
            "is no camera raw that LibRaw can read; copy such raws again, or convert them to DNG"
        ) from error
    except (rawpy.LibRawError, rawpy.NotSupportedError) as error:
        reason = error.args[0].decode() if error.args and type(error.args[0]) is bytes else error
        raise FrameError(f"cannot be decoded ({reason}); copy it again") from error


def _mosaic_of(raw: Any) -> _Mosaic:
    """Decode a camera raw for the pattern and the white level of its kind.

    A pattern of other than 2 x 2 pixels (X-Trans) has no card, and calibration does not need one.
    """
    if raw.raw_type.name != "Flat" or raw.raw_image is None:
        raise FrameError(
            "contains colours and no mosaic (a small raw such as sRAW, a linear DNG or Foveon); "
            "take frames as full raws"
        )
    pattern = raw.raw_pattern
    bayer = ""
    if pattern.shape == (_BAYER_SIDE, _BAYER_SIDE):
        colours = raw.color_desc.decode()
        bayer = "".join(colours[number] for number in raw.raw_colors_visible[:2, :2].reshape(-1))
    return _Mosaic(bayer, int(raw.white_level))


class _Tags:
    """The Exif tags of a file, as Exiv2 reads them from all formats of camera raws."""

    def __init__(self, path: str) -> None:
        self._exiv2 = import_module("exiv2")
        # Its warnings about tags of makers would stand between the lines of the workflow.
        self._exiv2.LogMsg.setLevel(self._exiv2.LogMsg.Level.mute)
        try:
            image = self._exiv2.ImageFactory.open(path)
            image.readMetadata()
            self._tags = image.exifData()
        except self._exiv2.Exiv2Error as error:
            raise FrameError(
                f"has metadata that Exiv2 cannot read ({error.args[-1]}); copy it again"
            ) from error

    def cards(self) -> Iterator[tuple[str, CardValue | None]]:
        """Yield cards; the value of what the camera does not write is None."""
        yield "INSTRUME", self._text(self._exiv2.model(self._tags))
        yield "GAIN", self._iso()
        yield "EXPTIME", self._number(self._exiv2.exposureTime(self._tags), digits=6)
        yield "FOCALLEN", self._number(self._exiv2.focalLength(self._tags), digits=1) or None
        yield "CCD-TEMP", self._temperature_c()
        yield "TELESCOP", self.first_of(_LENSES)
        yield "CAMERAID", self.first_of(_SERIAL_NUMBERS)
        yield from self._times()

    def first_of(self, names: Iterable[str]) -> str | None:
        """Return the text of the first tag that is present and not empty."""
        found = (self._tags.findKey(self._exiv2.ExifKey(name)) for name in names)
        texts = (self._text(tag) for tag in found if tag != self._tags.end())
        return next(filter(None, texts), None)

    def _iso(self) -> int | None:
        """Return the ISO; Exiv2 looks where the maker writes it, if the tag is too small."""
        number = self._number(self._exiv2.isoSpeed(self._tags), digits=0)
        return int(number) if number else None

    def _temperature_c(self) -> float | None:
        for name in _TEMPERATURES:
            tag = self._tags.findKey(self._exiv2.ExifKey(name))
            if tag != self._tags.end() and (found := _CELSIUS.fullmatch(tag.print(self._tags))):
                return float(found[1])
        return None

    def _times(self) -> Iterator[tuple[str, str | None]]:
        text = self._text(self._exiv2.dateTimeOriginal(self._tags)) or ""
        fraction = self.first_of(_FRACTIONS) or "0"
        try:
            start = datetime.strptime(text[:19], "%Y:%m:%d %H:%M:%S").replace(
                microsecond=int(f"{fraction:0<6}"[:6])
            )
        except ValueError:  # an unset clock writes zeros or blanks
            return
        yield "DATE-LOC", start.isoformat()
        try:
            zoned = datetime.fromisoformat(f"{start.isoformat()}{self.first_of(_ZONES) or ''}")
        except ValueError:
            return
        if zoned.tzinfo:
            yield "DATE-OBS", zoned.astimezone(UTC).replace(tzinfo=None).isoformat()

    @staticmethod
    def _text(tag: Any) -> str | None:
        return (tag.toString().strip("\0 ") or None) if tag is not None else None

    @staticmethod
    def _number(tag: Any, digits: int) -> float | None:
        """Return a positive number or 0; None for anything else."""
        if tag is None or not tag.count():
            return None
        numerator, denominator = tag.toRational(0)
        number = numerator / denominator if denominator else -1.0
        return round(number, digits) if number >= 0 else None
