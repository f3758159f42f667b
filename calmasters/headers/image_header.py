"""Read the header of an image file: FITS, zipped FITS, XISF or a camera raw."""

from __future__ import annotations

import bz2
import gzip
import os
import zlib
from io import FileIO
from math import prod
from typing import IO, Final, cast

from calmasters.errors import FrameError
from calmasters.frame import RAW_EXTENSIONS, split_plane
from calmasters.headers.camera_raw import read_raw_header
from calmasters.headers.fits_cards import Cards, ImageHeader, axes_of, padded, read_fits_header
from calmasters.headers.series import plane_header, planes_of
from calmasters.headers.xisf_header import read_xisf_header

__all__ = ["read_cards", "read_header"]

#: More than any sensor has: 8 GiB as float32.
_MOST_SAMPLES: Final = 1 << 31
#: Deflate compresses zeros at most 1032 times, and real frames much less.
_MOST_PACKED: Final = 1100


def read_cards(path: str | os.PathLike[str]) -> Cards:
    """Read the cards of an image; see :func:`read_header`."""
    return read_header(path).cards


def read_header(path: str | os.PathLike[str]) -> ImageHeader:
    """Read the header of the image in a FITS file (plain, zipped, compressed) or XISF file.

    The extension decides the format. For an XISF file, read the first image. A FITS file may have
    several, the ``parts`` of its header. For a camera raw, its metadata are given as cards. A path
    such as ``series.fits[03]`` is that of one frame of a series
    (:func:`calmasters.frame.plane_path`).

    Raises
    ------
    FrameError
        If the file cannot be read or is not of its format, its header has no end, its image
        cannot be in a file of this size, or a FITS file has no image.
    """
    name, plane = split_plane(os.fspath(path))
    header = _read_header(name)
    if plane == 0:
        return header
    if plane > planes_of(header.cards) or header.packing or header.parts:
        raise FrameError(f"has no frame {plane} that can be read; run again to plan it again")
    return plane_header(header, plane)


def _read_header(name: str) -> ImageHeader:
    ending = name[-5:].lower()
    try:
        if ending.endswith(".gz"):
            return _gzipped_header(name)
        if ending.endswith(".bz2"):
            return _bzipped_header(name)
        if ending.endswith(RAW_EXTENSIONS):
            return read_raw_header(name)
        # Most headers are read with one call: a buffer would cost more than it saves.
        with cast("IO[bytes]", FileIO(name)) as file:
            header = read_xisf_header(file) if ending == ".xisf" else read_fits_header(file)
            _require_possible(header, file)
            return header
    except (OSError, OverflowError, EOFError, zlib.error) as error:
        # What the system refuses has a text; without one, the content is damaged.
        system = getattr(error, "strerror", None)
        raise FrameError(f"cannot be read: {system or f'{error}; copy it again'}") from error


def _bzipped_header(path: str) -> ImageHeader:
    """Read the header of a FITS file packed by bzip2.

    Whether its data are complete is not known before they are unpacked, which takes seconds.
    """
    with cast("IO[bytes]", bz2.open(path)) as file:
        header = read_fits_header(file)
        _require_possible(header, file)
    return _zipped(header, "bzip2")


def _gzipped_header(path: str) -> ImageHeader:
    """Read the header of a FITS file packed by gzip, and check that its data are complete."""
    with cast("IO[bytes]", gzip.open(path)) as file:
        header = read_fits_header(file)
        _require_possible(header, file)
        expected = padded(header.end_of_data)
        # The last bytes give the unzipped length. If it differs, unzip the file to be sure.
        if _stored_length(path) != expected and (size := file.seek(expected)) < header.end_of_data:
            raise FrameError(
                f"is truncated: {size} bytes where {expected} were expected, unzipped; "
                "copy it again"
            )
    return _zipped(header, "gzip")


def _zipped(header: ImageHeader, packing: str) -> ImageHeader:
    parts = tuple(_zipped(part, packing) for part in header.parts)
    return header._replace(end_of_data=0, packing=header.packing or packing, parts=parts)


def _stored_length(path: str) -> int:
    """Read the unzipped length of a zipped file, modulo 2^32 (RFC 1952, ISIZE)."""
    with FileIO(path) as file:
        file.seek(-4, os.SEEK_END)
        return int.from_bytes(file.read(), "little")


def _require_possible(header: ImageHeader, file: IO[bytes]) -> None:
    """Refuse an image too large for any frame or for its file, before memory is allocated."""
    for part in header.parts:
        _require_possible(part, file)
    if header.parts:
        return
    axes = axes_of(header.cards)
    samples = abs(prod(axes))
    if samples > _MOST_SAMPLES:
        size = " x ".join(map(str, axes))
        raise FrameError(
            f"is damaged: its header declares {size} pixels (limit {_MOST_SAMPLES}); copy it again"
        )
    if header.packing not in ("tiles", "xisf"):
        return
    file_size = os.fstat(file.fileno()).st_size
    if samples > _MOST_PACKED * file_size:
        size = " x ".join(map(str, axes))
        raise FrameError(f"is damaged: {size} pixels cannot be in {file_size} bytes; copy it again")
