"""Packed frames (``.gz``, FITS tile compression, XISF) as the plain samples of a FITS file.

The native engine reads all frames of a group at once, strip by strip. A packed frame can only be
unpacked whole: it goes to a temporary file, so that memory holds one such frame at a time, however
many there are. The file lies in the system's folder for temporary files (``TMPDIR``) and is gone
when it is closed.
"""

from __future__ import annotations

import errno
import gzip
import io
import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from io import FileIO
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from calmasters.errors import FrameError
from calmasters.headers.fits_cards import ImageHeader

__all__ = ["unpacked", "xisf_samples"]

_XISF_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {"UInt8": "u1", "UInt16": "u2", "UInt32": "u4", "Float32": "f4", "Float64": "f8"}
)

#: Where an HCOMPRESS tile has its code, height and width.
_HCOMPRESS: Final = ((0, 2), (2, 6), (6, 10))

#: A FITS file is padded to a multiple of this.
_BLOCK: Final = 2880


def unpacked(path: Path, header: ImageHeader, size: int) -> FileIO:
    """Unpack a frame into a temporary file, and no more than its header tells of.

    Parameters
    ----------
    path : Path
    header : ImageHeader
        Of a packed frame.
    size : int
        Bytes that the image's samples take.

    Returns
    -------
    FileIO
        The image's samples, big-endian, as its header describes them; of a ``gzip`` file with
        all that comes before them.

    Raises
    ------
    FrameError
        If the file is damaged, or packed in a way not known here.
    OSError
        If there is no room for temporary files, which is no fault of the frame.
    """
    file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (the caller's)
    try:
        _UNPACK[header.packing](path, header, size, file)
    except Exception as error:  # the packages raise whatever the damage causes
        file.close()
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(error.errno, error.strerror, tempfile.gettempdir()) from error
        raise FrameError(f"{path}: cannot be unpacked ({error}); copy it again") from error
    return file


def _unzip(path: Path, header: ImageHeader, size: int, file: FileIO) -> None:
    left = header.data_offset + size
    with gzip.open(path) as zipped:
        while left and (piece := zipped.read(min(left, 1 << 20))):
            file.write(piece)
            left -= len(piece)
        # The checksum is looked at where the file ends, behind the padding.
        zipped.read(_BLOCK)


def _untile(path: Path, _: ImageHeader, size: int, file: FileIO) -> None:
    from astropy.io import fits

    with fits.open(path, disable_image_compression=True) as hdus:
        _require_bounded_tiles(next(hdu for hdu in hdus if hdu.header.get("ZIMAGE") is True))
    with fits.open(path, do_not_scale_image_data=True) as hdus:
        image = next(hdu for hdu in hdus if isinstance(hdu, fits.CompImageHDU))
        _write(np.asarray(image.data), size, file)


def _require_bounded_tiles(table: Any) -> None:
    """Look at tiles that astropy would unpack to whatever they say of themselves.

    What gzip tiles become has no limit, and HCOMPRESS tiles are written where there is no room for
    more than the header tells of.
    """
    told = table.header
    compression = str(told.get("ZCMPTYPE", "")).strip()
    image = [int(told[f"ZNAXIS{axis + 1}"]) for axis in range(int(told["ZNAXIS"]))]
    default = [image[0], *(1 for _ in image[1:])]
    tile = [int(told.get(f"ZTILE{axis + 1}", side)) for axis, side in enumerate(default)]
    if any(side < 1 for side in (*image, *tile)):
        raise ValueError(f"an image of {image} in tiles of {tile} pixels")
    zipped = {"GZIP_COMPRESSED_DATA"} | ({"COMPRESSED_DATA"} if "GZIP" in compression else set())
    for name in zipped & set(table.columns.names):
        for packed in table.data[name]:
            _require_small(np.asarray(packed).tobytes(), 8 * prod(map(min, tile, image)))
    if compression == "HCOMPRESS_1":
        for number, packed in enumerate(table.data["COMPRESSED_DATA"]):
            _require_hcompressed(np.asarray(packed).tobytes(), _tile_sides(number, tile, image))


def _require_small(packed: bytes, most: int) -> None:
    if len(zlib.decompressobj(31).decompress(packed, most + 1)) > most:
        raise ValueError(f"a tile becomes more than {most} bytes")


def _tile_sides(number: int, tile: Sequence[int], image: Sequence[int]) -> list[int]:
    """Give width and height of a tile; those at the far edges are smaller."""
    sides = []
    for length, whole in zip(tile, image, strict=True):
        number, place = divmod(number, -(-whole // length))
        sides.append(min(length, whole - place * length))
    return sides


def _require_hcompressed(packed: bytes, sides: Sequence[int]) -> None:
    """See that a tile begins as HCOMPRESS writes it: code, height, width (cfitsio's order)."""
    if not packed:
        return
    code, *found = (int.from_bytes(packed[at:end], "big") for at, end in _HCOMPRESS)
    expected = [side for side in reversed(sides) if side > 1 or len(sides) <= 2][-2:]
    if code != 0xDD99 or found != expected:
        raise ValueError(f"a tile says that it has {found} pixels where {expected} were expected")


def _unwrap(path: Path, header: ImageHeader, size: int, file: FileIO) -> None:
    samples = xisf_samples(path, header)
    if samples.dtype.kind == "u" and samples.dtype.itemsize > 1:
        # FITS has no unsigned numbers of this size: they are stored less half their range.
        half = samples.dtype.type(1 << (8 * samples.dtype.itemsize - 1))
        samples = (samples ^ half).view(f"i{samples.dtype.itemsize}")
    _write(samples, size, file)


def _write(samples: NDArray[np.generic], size: int, file: FileIO) -> None:
    if samples.nbytes != size:
        raise ValueError(f"{samples.nbytes} bytes of samples where {size} were expected")
    big_endian = np.ascontiguousarray(samples, samples.dtype.newbyteorder(">"))
    file.write(big_endian.data.cast("B"))


_UNPACK: Final[Mapping[str, Callable[[Path, ImageHeader, int, FileIO], None]]] = {
    "gzip": _unzip,
    "tiles": _untile,
    "xisf": _unwrap,
}


# XISF ------------------------------------------------------------------------------------


def xisf_samples(path: Path, header: ImageHeader) -> NDArray[Any]:
    """Read the samples of an XISF image (XISF 1.0, sections 10 and 11).

    The ``xisf`` package would let zlib and zstd make of a few bytes as many as they say; here
    they make those of the image or fail.

    Parameters
    ----------
    path : Path
    header : ImageHeader
        What :func:`calmasters.headers.image_header.read_header` says of it.

    Returns
    -------
    (channels, height, width) array
        Of the sample format that the file has.

    Raises
    ------
    ValueError
        If the data are not what the header says, or packed in a way not known here.
    """
    told = header.attributes
    shape = tuple(int(side) for side in reversed(told["geometry"].split(":")))
    dtype = np.dtype(_XISF_TYPES[told["sampleFormat"]])
    stored = dtype.newbyteorder(">" if told.get("byteOrder") == "big" else "<")
    size = prod(shape) * dtype.itemsize
    with path.open("rb") as file:
        file.seek(header.data_offset)
        data = file.read(min(header.end_of_data - header.data_offset, 2 * size + _BLOCK))
    data = _decompressed(data, told.get("compression", ""), size)
    if len(data) != size:
        raise ValueError(f"{len(data)} bytes of samples where {size} were expected")
    return np.frombuffer(data, stored).astype(dtype, copy=False).reshape(shape)


def _decompressed(data: bytes, compression: str, size: int) -> bytes:
    """Undo ``codec[+sh]:size[:item]``; never makes more than a byte above ``size``."""
    codec, _, sizes = compression.partition(":")
    codec, _, shuffled = codec.partition("+")
    if codec:
        data = _codec(codec)(data, size)
    item = int(sizes.partition(":")[2]) if shuffled else 1
    if item == 1:
        return data
    # The first bytes of all items come first, then the second ones; what is over is at the end.
    whole = len(data) // item * item
    return np.frombuffer(data[:whole], "u1").reshape(item, -1).T.tobytes() + data[whole:]


def _codec(name: str) -> Callable[[bytes, int], bytes]:
    codecs = {"zlib": _zlib, "lz4": _lz4, "lz4hc": _lz4, "zstd": _zstd}
    if name not in codecs:
        raise ValueError(f"compression '{name[:40]}' is not known")
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
