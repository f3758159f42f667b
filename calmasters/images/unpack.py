"""Unpack frames (``.gz``, ``.bz2``, tiles of FITS, XISF, camera raws) to plain samples of FITS.

The native engine reads all frames of a group in parallel, strip by strip. A packed frame can only
be unpacked completely. It goes to a temporary file, so that only one such frame is in memory. The
file is in the system's folder for temporary files (``TMPDIR``), and is deleted when it is closed.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from io import FileIO
from itertools import islice
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from calmasters.errors import FrameError
from calmasters.headers.camera_raw import CAMERA_RAW, opened_raw
from calmasters.headers.fits_cards import MOST_EXTENSIONS, ImageHeader

__all__ = ["unpack_frame", "xisf_samples"]

_XISF_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {"UInt8": "u1", "UInt16": "u2", "UInt32": "u4", "Float32": "f4", "Float64": "f8"}
)

#: Byte ranges of code, height and width in an HCOMPRESS tile.
_HCOMPRESS: Final = ((0, 2), (2, 6), (6, 10))

#: A FITS file is padded to a multiple of this.
_BLOCK: Final = 2880


def unpack_frame(path: Path, header: ImageHeader, size: int) -> FileIO:
    """Unpack a frame into a temporary file, at most as many bytes as its header declares.

    Parameters
    ----------
    path : Path
    header : ImageHeader
        Header of a packed frame.
    size : int
        Size of the image's samples, bytes.

    Returns
    -------
    FileIO
        The image's samples, big-endian, in the format of its header; for zipped files preceded
        by all bytes before the samples.

    Raises
    ------
    FrameError
        If the file is damaged, or its compression is not supported.
    OSError
        If the disk for temporary files is full.
    """
    file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (the caller closes it)
    try:
        _UNPACK[header.packing](path, header, size, file)
    except Exception as error:  # damaged files cause many kinds of exceptions
        file.close()
        if isinstance(error, FrameError):  # it has a reason of its own
            raise FrameError(f"{path}: {error}") from error
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(error.errno, error.strerror, tempfile.gettempdir()) from error
        raise FrameError(f"{path}: cannot be unpacked ({error}); copy it again") from error
    return file


def _unzip(path: Path, header: ImageHeader, size: int, file: FileIO) -> None:
    left = header.data_offset + size
    unzip = gzip.open if header.packing == "gzip" else bz2.open
    with unzip(path) as zipped:
        while left and (piece := zipped.read(min(left, 1 << 20))):
            file.write(piece)
            left -= len(piece)
        if left:
            raise EOFError(f"{left} bytes are missing at its end")
        # The checksum is at the end of the file, after the padding.
        zipped.read(_BLOCK)


def _untile(path: Path, header: ImageHeader, size: int, file: FileIO) -> None:
    from astropy.io import fits

    with fits.open(path, disable_image_compression=True) as hdus:
        # Not all: a damaged size leads astropy from a later extension back to an earlier one.
        images = (
            (number, hdu)
            for number, hdu in enumerate(islice(hdus, MOST_EXTENSIONS))
            if hdu.header.get("ZIMAGE") is True or (hdu.is_image and hdu.header.get("NAXIS"))
        )
        found = next(islice(images, header.number, None), None)
        if found is None:
            raise ValueError(f"its first {MOST_EXTENSIONS} extensions have no such image")
        number, table = found
        _require_bounded_tiles(table)
    with fits.open(path, do_not_scale_image_data=True) as hdus:
        image = hdus[number]
        _write(np.asarray(image.data), size, file)


def _require_bounded_tiles(table: Any) -> None:
    """Refuse tiles that would unpack to more bytes than the header declares.

    astropy does not limit the unpacked size of gzip tiles, and writes HCOMPRESS tiles to a buffer
    of the declared size without a check.
    """
    header = table.header
    compression = str(header.get("ZCMPTYPE", "")).strip()
    image = [int(header[f"ZNAXIS{axis + 1}"]) for axis in range(int(header["ZNAXIS"]))]
    default = [image[0], *(1 for _ in image[1:])]
    tile = [int(header.get(f"ZTILE{axis + 1}", side)) for axis, side in enumerate(default)]
    if any(side < 1 for side in (*image, *tile)):
        raise ValueError(f"its header declares an image of {image} in tiles of {tile} pixels")
    zipped = {"GZIP_COMPRESSED_DATA"} | ({"COMPRESSED_DATA"} if "GZIP" in compression else set())
    for name in zipped & set(table.columns.names):
        for packed in table.data[name]:
            _require_small(np.asarray(packed).tobytes(), 8 * prod(map(min, tile, image)))
    if compression == "HCOMPRESS_1":
        for number, packed in enumerate(table.data["COMPRESSED_DATA"]):
            _require_hcompressed(np.asarray(packed).tobytes(), _tile_sides(number, tile, image))


def _require_small(packed: bytes, most: int) -> None:
    if len(zlib.decompressobj(31).decompress(packed, most + 1)) > most:
        raise ValueError(f"a tile unpacks to more than {most} bytes")


def _tile_sides(number: int, tile: Sequence[int], image: Sequence[int]) -> list[int]:
    """Return the size of a tile along each axis; the last tiles of an axis may be smaller."""
    sides = []
    for length, total in zip(tile, image, strict=True):
        number, place = divmod(number, -(-total // length))
        sides.append(min(length, total - place * length))
    return sides


def _require_hcompressed(packed: bytes, sides: Sequence[int]) -> None:
    """Check the start of an HCOMPRESS tile: code, height and width (order of cfitsio)."""
    if not packed:
        return
    code, *stored = (int.from_bytes(packed[at:end], "big") for at, end in _HCOMPRESS)
    expected = [side for side in reversed(sides) if side > 1 or len(sides) <= 2][-2:]
    if code != 0xDD99 or stored != expected:
        raise ValueError(f"a tile declares {stored} pixels where {expected} were expected")


def _unwrap(path: Path, header: ImageHeader, size: int, file: FileIO) -> None:
    samples = xisf_samples(path, header)
    if samples.dtype.kind == "u" and samples.dtype.itemsize > 1:
        # FITS stores unsigned integers of this size with half their range subtracted.
        half = samples.dtype.type(1 << (8 * samples.dtype.itemsize - 1))
        samples = (samples ^ half).view(f"i{samples.dtype.itemsize}")
    _write(samples, size, file)


def _decode(path: Path, _: ImageHeader, size: int, file: FileIO) -> None:
    with opened_raw(str(path)) as raw:
        # A view of LibRaw's memory: the visible area of the sensor, not turned.
        codes = raw.raw_image_visible
        _write((codes ^ 0x8000).view(np.int16), size, file)


def _write(samples: NDArray[np.generic], size: int, file: FileIO) -> None:
    if samples.nbytes != size:
        raise ValueError(f"{samples.nbytes} bytes of samples where {size} were expected")
    big_endian = np.ascontiguousarray(samples, samples.dtype.newbyteorder(">"))
    file.write(big_endian.data.cast("B"))


_UNPACK: Final[Mapping[str, Callable[[Path, ImageHeader, int, FileIO], None]]] = {
    "gzip": _unzip,
    "bzip2": _unzip,
    "tiles": _untile,
    "xisf": _unwrap,
    CAMERA_RAW: _decode,
}


# --- XISF -----------------------------------------------------------------------------------------


def xisf_samples(path: Path, header: ImageHeader) -> NDArray[Any]:
    """Read the samples of an XISF image (XISF 1.0, sections 10 and 11).

    The ``xisf`` package does not limit the unpacked size of zlib and zstd data; this function
    unpacks at most the size of the image.

    Parameters
    ----------
    path : Path
    header : ImageHeader
        As :func:`calmasters.headers.image_header.read_header` returns it.

    Returns
    -------
    (channels, height, width) array
        In the sample format of the file.

    Raises
    ------
    ValueError
        If the data do not fit the header, or their compression is not supported.
    """
    attributes = header.attributes
    shape = tuple(int(side) for side in reversed(attributes["geometry"].split(":")))
    dtype = np.dtype(_XISF_TYPES[attributes["sampleFormat"]])
    stored = dtype.newbyteorder(">" if attributes.get("byteOrder") == "big" else "<")
    size = prod(shape) * dtype.itemsize
    with path.open("rb") as file:
        file.seek(header.data_offset)
        data = file.read(min(header.end_of_data - header.data_offset, 2 * size + _BLOCK))
    data = _decompressed(data, attributes.get("compression", ""), size)
    if len(data) != size:
        raise ValueError(f"{len(data)} bytes of samples where {size} were expected")
    return np.frombuffer(data, stored).astype(dtype, copy=False).reshape(shape)


def _decompressed(data: bytes, compression: str, size: int) -> bytes:
    """Undo ``codec[+sh]:size[:item]``; return at most ``size + 1`` bytes."""
    codec, _, sizes = compression.partition(":")
    codec, _, shuffled = codec.partition("+")
    if codec:
        data = _codec(codec)(data, size)
    item = int(sizes.partition(":")[2]) if shuffled else 1
    if item == 1:
        return data
    # The first bytes of all items come first, then the second bytes, and so on; incomplete items
    # are at the end.
    complete = len(data) // item * item
    return np.frombuffer(data[:complete], "u1").reshape(item, -1).T.tobytes() + data[complete:]


def _codec(name: str) -> Callable[[bytes, int], bytes]:
    codecs = {"zlib": _zlib, "lz4": _lz4, "lz4hc": _lz4, "zstd": _zstd}
    if name not in codecs:
        raise ValueError(
            f"compression '{name[:40]}' is not supported; use {', '.join(codecs)} or none"
        )
    return codecs[name]


def _zlib(data: bytes, size: int) -> bytes:
    return zlib.decompressobj().decompress(data, size + 1)


def _lz4(data: bytes, size: int) -> bytes:
    import lz4.block

    unpacked: bytes = lz4.block.decompress(data, uncompressed_size=size)
    return unpacked


def _zstd(data: bytes, size: int) -> bytes:
    import zstandard

    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)) as reader:
        unpacked: bytes = reader.read(size + 1)
    return unpacked
