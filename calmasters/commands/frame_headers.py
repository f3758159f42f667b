"""The headers of frames without their pixels, to plan elsewhere what was planned here."""

from __future__ import annotations

import bz2
import gzip
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final, Self

from calmasters.headers.camera_raw import is_camera_raw
from calmasters.headers.fits_cards import MOST_EXTENSIONS
from calmasters.headers.nights import LONGITUDE_CARDS

__all__ = ["FrameHeaders", "without_site"]

#: Bytes from the middle of a file: by these, frames with equal headers are known to differ.
_MIDDLE: Final = 256
#: What is kept of a file whose header cannot be found, and the most that an XISF header takes.
_START, _MOST_XML = 28_800, 1 << 20

#: Cards that say where the telescope was, or who used it; the last word of a HIERARCH card.
_SITE: Final = frozenset((
    "SITELAT", "SITE-LAT", "OBSLAT", "LAT-OBS", "LATITUDE", "GEOLAT", "OBSGEO-B", "OBSGEO-H",
    "OBSGEO-X", "OBSGEO-Y", "OBSGEO-Z", "SITEELEV", "SITEALT", "OBSALT", "ALT-OBS", "ALTITUDE",
    "GEOELEV", "ELEVATIO", "SITENAME", "OBSERVAT", "OBSERVER", "SWOWNER", "SWSERIAL", "AUTHOR",
    "OWNER", "HOSTNAME", "USERNAME", "AIRMASS", "HA", "OBJCTHA", "LST", "ST", "SIDEREAL", "ALT",
    "AZ", "OBJCTALT", "OBJCTAZ", "CENTALT", "CENTAZ",
))  # fmt: skip
_NAMES: Final = re.compile(rb"HIERARCH (?P<hierarchy>[^=]+)=|(?P<name>[A-Z0-9_-]{1,8}) *= ")
_ATTRIBUTES: Final = re.compile(
    rb"""<FITSKeyword\b[^>]*?\bname=["'](?P<name>[^"']+)["'][^>]*?\bvalue=(["'])(?P<value>.*?)\2"""
    rb"""|<Property\b[^>]*?\bid=["']Observ(?:ation:Location|er):(?P<property>\w+)["'][^>]*?"""
    rb"""(?:\bvalue=(["'])(?P<attribute>.*?)\5|>(?P<text>[^<]*)<)""",
    re.DOTALL,
)
_DIGIT, _LETTER = re.compile(rb"\d"), re.compile(rb"[A-Za-z\x80-\xff]")
_PACKED: Final[Mapping[str, Callable[..., Any]]] = {".gz": gzip.open, ".bz2": bz2.open}


@dataclass(frozen=True, slots=True)
class FrameHeaders:
    """What is stored of an image file: its headers and a few bytes.

    Attributes
    ----------
    path : str
        As in the inventory.
    size : int
        Bytes of the file, unpacked if it is a ``.gz`` or ``.bz2`` file.
    mtime_ns : int
    parts : list of (int, str)
        Bytes (as Latin-1) and where they are in the (unpacked) file; everything else is 0. Empty
        for a packed file that is truncated; of a camera raw there is nothing.
    """

    path: str
    size: int
    mtime_ns: int
    parts: list[tuple[int, str]]

    @classmethod
    def read(cls, path: Path, name: str) -> Self:
        """Read the headers of a file; a damaged file is stored by its first bytes.

        Parameters
        ----------
        path : Path
        name : str
            Its path in the inventory.

        Raises
        ------
        OSError
            If the file cannot be read.
        """
        status = path.stat()
        if is_camera_raw(path.name):
            # Its metadata are in no fixed place, and may say where and whose the camera is.
            return cls(name, status.st_size, status.st_mtime_ns, [(0, "")])
        with _opened(path, "rb") as file:
            try:
                size = file.seek(0, os.SEEK_END) if _is_packed(path) else status.st_size
                ranges = [*_header_ranges(path, file, size), ((size - _MIDDLE) // 2, _MIDDLE)]
            except EOFError:  # it is packed, and truncated
                return cls(name, status.st_size, status.st_mtime_ns, [])
            parts = [(max(0, start), _bytes_at(file, max(0, start), n)) for start, n in ranges]
        *headers, middle = parts
        blank = [(start, without_site(text).decode("latin-1")) for start, text in headers]
        blank.append((middle[0], middle[1].decode("latin-1")))
        # The middle first: in a small file, the headers are written over it.
        return cls(name, size, status.st_mtime_ns, [blank[-1], *blank[:-1]])

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Take what :meth:`to_json` returned."""
        return cls(**stored)

    def to_json(self) -> dict[str, Any]:
        """Return the stored form."""
        return asdict(self)

    def restore(self, path: Path) -> None:
        """Write a file with these headers, and zeros where the pixels were."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with _opened(path, "wb") as file:
            if _is_packed(path):
                content = bytearray(self.size)
                for start, text in self.parts:
                    content[start : start + len(text)] = text.encode("latin-1")
                file.write(content)
            else:
                file.truncate(self.size)
                for start, text in self.parts:
                    file.seek(start)
                    file.write(text.encode("latin-1"))
        if not self.parts:
            os.truncate(path, path.stat().st_size // 2)
        os.utime(path, ns=(self.mtime_ns, self.mtime_ns))


def _is_packed(path: Path) -> bool:
    return path.suffix.lower() in _PACKED


def _opened(path: Path, mode: str) -> IO[bytes]:
    opened: IO[bytes] = _PACKED.get(path.suffix.lower(), open)(path, mode)
    return opened


def _bytes_at(file: IO[bytes], start: int, count: int) -> bytes:
    file.seek(start)
    return file.read(count)


def _header_ranges(path: Path, file: IO[bytes], size: int) -> list[tuple[int, int]]:
    """Find the headers: start and length of each."""
    start = _bytes_at(file, 0, 16)
    if start[:8] == b"XISF0100":
        return [(0, 16 + min(int.from_bytes(start[8:12], "little"), _MOST_XML))]
    if start[:6] != b"SIMPLE":
        return [(0, min(size, _START))]
    return [*_fits_headers(path)] or [(0, min(size, _START))]


def _fits_headers(path: Path) -> Iterator[tuple[int, int]]:
    from astropy.io import fits

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            # A compressed image stays the table that it is stored as.
            with fits.open(path, memmap=False, disable_image_compression=True) as hdus:
                for hdu in islice(hdus, MOST_EXTENSIONS):  # a damaged one leads back to another
                    place = hdu.fileinfo()
                    yield place["hdrLoc"], place["datLoc"] - place["hdrLoc"]
        except (OSError, ValueError, TypeError, KeyError, IndexError):
            return


def without_site(header: bytes) -> bytes:
    """Blank what says where a frame was taken, and by whom; its length stays.

    Digits become 0 and letters x. Of a longitude, the degrees are rounded down to a multiple of
    15: one hour, which decides the night.

    Parameters
    ----------
    header : bytes
        FITS cards, or the XML of an XISF file.
    """
    if header[:8] == b"XISF0100":
        return _ATTRIBUTES.sub(_without_site_in_xml, header)
    return b"".join(_card_without_site(header[at : at + 80]) for at in range(0, len(header), 80))


def _card_without_site(card: bytes) -> bytes:
    match = _NAMES.match(card)
    if not match:
        return card
    name = (match["name"] or match["hierarchy"]).split()[-1].decode("ascii", "replace")
    return card[: match.end()] + _blanked(name, card[match.end() :])


def _without_site_in_xml(match: re.Match[bytes]) -> bytes:
    group = next(each for each in ("value", "attribute", "text") if match[each] is not None)
    # The only name of a property that is needed: the others are blanked whatever they are.
    is_longitude = (match["property"] or b"").endswith(b"ongitude")
    name = (match["name"] or b"").decode("ascii", "replace")
    if match["property"]:
        name = LONGITUDE_CARDS[0] if is_longitude else "OBSERVER"
    start, end = (at - match.start() for at in match.span(group))
    return match[0][:start] + _blanked(name, match[group]) + match[0][end:]


def _blanked(name: str, value: bytes) -> bytes:
    if name in LONGITUDE_CARDS:
        return _to_whole_hours(value)
    if name not in _SITE:
        return value
    comment = re.search(rb"/[^']*$", value)
    end = comment.start() if comment else len(value)
    text = _DIGIT.sub(b"0", value[:end])
    # The E of a number stays a number's.
    return (_LETTER.sub(b"x", text) if b"'" in text or not _is_number(text) else text) + value[end:]


def _is_number(text: bytes) -> bool:
    try:
        float(text.decode("ascii"))
    except ValueError:
        return False
    return True


def _to_whole_hours(value: bytes) -> bytes:
    degrees = re.search(rb"\d{1,3}", value)
    if not degrees:
        return value
    whole = int(degrees[0]) // 15 * 15
    head, tail = value[: degrees.start()], value[degrees.end() :]
    return head + b"%0*d" % (len(degrees[0]), whole) + _DIGIT.sub(b"0", tail)
