"""Read frames by strips: FITS or XISF, plain or packed.

Samples are converted to float32 in [0, 1] as by PixInsight: integers are divided by the largest
code of their width, signed integers after adding half the range.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from calmasters.errors import FrameError
from calmasters.headers.fits_cards import CardValue, ImageHeader
from calmasters.headers.geometry import FLOAT_RANGE_REMEDY
from calmasters.headers.image_header import read_header
from calmasters.images.unpack import unpack_frame

__all__ = [
    "Image",
    "RawFrame",
    "SampleFormat",
    "Strip",
    "header_of",
    "size_of",
    "to_unit",
]

Image: TypeAlias = NDArray[np.float32]
Codes: TypeAlias = NDArray[np.uint16]

_TYPES: Final[Mapping[int, str]] = MappingProxyType(
    {8: "u1", 16: ">i2", 32: ">i4", -32: ">f4", -64: ">f8"}
)
_ADU16: Final = 65535.0

#: Number of samples read for a quick check that there is an image, and per strip of a full check.
_QUICK_CHECK: Final = 1 << 12
_STRIP: Final = 1 << 20

#: Samples from here on are saturated: 12-bit cameras write at most 65520 of 65535.
_SATURATED: Final = 0.999

#: Number of samples converted in one step.
_PIECE: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class SampleFormat:
    """How samples are stored, and how they map to [0, 1].

    A sample is ``(stored * scale + zero) / unity``.

    Attributes
    ----------
    dtype : numpy.dtype
        As stored, big-endian.
    scale, zero, unity : float
    """

    dtype: np.dtype[Any]
    scale: float
    zero: float
    unity: float

    @property
    def is_uint16(self) -> bool:
        """Whether samples are plain unsigned 16-bit codes, the format of nearly every camera."""
        return (self.dtype.str, self.scale, self.zero, self.unity) == (">i2", 1.0, 32768.0, _ADU16)

    @property
    def is_float(self) -> bool:
        """Whether samples are floating point numbers."""
        return self.dtype.kind == "f"

    @classmethod
    def from_cards(cls, cards: Mapping[str, CardValue], float_range: str) -> SampleFormat:
        """Read the format from a header.

        Raises
        ------
        FrameError
            If the format is not supported.
        """
        bits = cards.get("BITPIX")
        if not isinstance(bits, int) or bits not in _TYPES:
            raise FrameError(f"BITPIX is {bits}; expected one of {', '.join(map(str, _TYPES))}")
        dtype = np.dtype(_TYPES[bits])
        scale, zero = _number(cards, "BSCALE", 1.0), _number(cards, "BZERO", 0.0)
        if dtype.kind == "f":
            return cls(dtype, scale, zero, _ADU16 if float_range == "adu16" else 1.0)
        half = 0.0 if dtype.kind == "u" else 2.0 ** (8 * dtype.itemsize - 1)
        if (scale, zero) == (1.0, 0.0):
            zero = half
        codes = 2.0 ** (8 * dtype.itemsize)
        return cls(dtype, scale, zero, codes - 1 if (scale, zero) == (1.0, half) else _ADU16)


def _number(cards: Mapping[str, CardValue], keyword: str, absent: float) -> float:
    value = cards.get(keyword, absent)
    if isinstance(value, str):
        raise FrameError(f"{keyword} is {value!r}; expected a number")
    return float(value)


@dataclass(frozen=True, slots=True)
class Strip:
    """Consecutive samples of a frame in [0, 1], in the order of the file.

    ``not_finite`` is the number of samples that were NaN or infinite and became 0.
    """

    samples: Image
    not_finite: int


class RawFrame:
    """A raw frame that is open for reading; use it as a context manager.

    A packed frame (``.gz``, ``.bz2``, ``.fz``, ``.xisf``) is first unpacked into a temporary file.

    Parameters
    ----------
    path : Path
        A FITS or XISF file whose image has two dimensions (or three, the third of size 1).
    float_range : {'unit', 'adu16'}
        Range of the float samples of FITS files: [0, 1], or 16-bit ADU. Those of XISF files are
        in [0, 1].

    Attributes
    ----------
    width, height : int
    format : SampleFormat

    Raises
    ------
    FrameError
        If the file cannot be used; the message gives the reason.
    """

    def __init__(self, path: Path, float_range: str = "unit") -> None:
        header = header_of(path)
        self.path = path
        self._float_range = "unit" if header.packing == "xisf" else float_range
        self.width, self.height = size_of(path, header.cards)
        self.format = _format(path, header, self._float_range)
        if header.packing:
            self._offset = header.data_offset if header.packing in ("gzip", "bzip2") else 0
            self._file = unpack_frame(path, header, self.size * self.format.dtype.itemsize)
        else:
            self._offset = header.data_offset
            _require_bytes(path, self._offset + self.size * self.format.dtype.itemsize)
            self._file = path.open("rb", buffering=0)
        self._lock = Lock()

    @property
    def size(self) -> int:
        """Number of samples."""
        return self.width * self.height

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def read_codes(self, start: int, codes: Codes) -> None:
        """Fill ``codes`` with stored big-endian samples, starting at sample ``start``.

        Only for frames whose format ``is_uint16``; the stored value is the code minus 32768. This
        method is thread-safe.
        """
        self._fill(start, codes.data.cast("B"))

    def read(self, start: int, count: int) -> Strip:
        """Read ``count`` samples, starting at sample ``start``; this method is thread-safe.

        Raises
        ------
        FrameError
            If a sample is outside [0, 1].
        """
        stored = np.empty(count, self.format.dtype)
        self._fill(start, stored.view(np.uint8).data)
        return to_unit(stored, self.format, self.path, self._float_range)

    def require_valid_samples(self) -> None:
        """Refuse a frame with samples outside [0, 1], or with all samples 0 or saturated.

        For plain 16-bit frames a few samples from the middle are usually sufficient. Otherwise all
        samples are read.

        Raises
        ------
        FrameError
            If the frame cannot be used; the message gives the reason.
        """
        if self.format.is_uint16:
            start = max(0, self.size // 2 - _QUICK_CHECK)
            middle = self.read(start, min(_QUICK_CHECK, self.size - start)).samples
            if middle.max() > 0 and middle.min() < _SATURATED:
                return
        strips = [
            (strip.samples.min(), strip.samples.max(), strip.not_finite)
            for start in range(0, self.size, _STRIP)
            for strip in [self.read(start, min(_STRIP, self.size - start))]
        ]
        low, high, not_finite = (list(values) for values in zip(*strips, strict=True))
        if sum(not_finite) == self.size:
            raise FrameError(f"{self.path}: every pixel is NaN or infinite: exclude this frame")
        if max(high) <= 0:
            raise FrameError(f"{self.path}: every pixel is 0: retake or exclude this frame")
        highest_adu = _ADU16 * max(high)
        if self.format.is_float and self._float_range == "adu16" and highest_adu <= 1:
            raise FrameError(
                f"{self.path}: samples up to {highest_adu:g} where 16-bit ADU were expected "
                "(float_range: adu16); exclude it"
            )
        if min(low) >= _SATURATED:
            raise FrameError(f"{self.path}: every pixel is saturated: retake or exclude this frame")

    def _fill(self, start: int, buffer: memoryview) -> None:
        position = self._offset + start * self.format.dtype.itemsize
        done = 0
        while done < len(buffer):
            count = self._read_at(position + done, buffer[done:])
            if count == 0:
                raise FrameError(f"{self.path}: became shorter while it was read: copy it again")
            done += count

    def _read_at(self, position: int, buffer: memoryview) -> int:
        try:
            if hasattr(os, "preadv"):
                return os.preadv(self._file.fileno(), [buffer], position)
            with self._lock:
                self._file.seek(position)
                return self._file.readinto(buffer) or 0
        except OSError as error:
            raise FrameError(f"{self.path}: cannot be read: {error.strerror}") from error


def header_of(path: Path) -> ImageHeader:
    """Read the header of a frame; the message of a FrameError starts with the path."""
    try:
        return read_header(path)
    except FrameError as error:
        raise FrameError(f"{path}: {error}") from error


def size_of(path: Path, cards: Mapping[str, CardValue]) -> tuple[int, int]:
    """Return width and height of a frame; FrameError if it is not a single-channel image."""
    axes = [cards.get(f"NAXIS{axis + 1}") for axis in range(int(_number(cards, "NAXIS", 0)))]
    if len(axes) == 2 or (len(axes) == 3 and axes[2] == 1):
        width, height = axes[:2]
        if type(width) is int and type(height) is int and width > 0 and height > 0:
            return width, height
    shape = " x ".join(map(str, axes)) or "no axes"
    raise FrameError(f"{path}: the image has {shape}; expected width x height")


def _format(path: Path, header: ImageHeader, float_range: str) -> SampleFormat:
    try:
        return SampleFormat.from_cards(header.cards, float_range)
    except FrameError as error:
        raise FrameError(f"{path}: {error}") from None


def _require_bytes(path: Path, expected: int) -> None:
    size = path.stat().st_size
    if size < expected:
        raise FrameError(
            f"{path}: truncated, {size} bytes found where {expected} were expected; copy it again"
        )


def to_unit(stored: NDArray[Any], format_: SampleFormat, path: Path, float_range: str) -> Strip:
    """Convert stored samples to float32 in [0, 1]; FrameError if one is outside.

    Parameters
    ----------
    stored : array
        Of any shape; the result has the same shape.
    format_ : SampleFormat
    path : Path
        The file, for error messages.
    float_range : {'unit', 'adu16'}
        Configured range of float samples, for error messages.
    """
    samples = np.empty(stored.shape, np.float32)
    # In pieces, since a complete image of float64 would need more memory than all the rest.
    flat, filled = stored.reshape(-1), samples.reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):  # the range is checked below
        for piece in range(0, stored.size, _PIECE):
            values = flat[piece : piece + _PIECE].astype(np.float64)
            filled[piece : piece + _PIECE] = (values * format_.scale + format_.zero) / format_.unity
    not_finite = 0
    if format_.is_float:
        finite = np.isfinite(samples)
        not_finite = samples.size - int(np.count_nonzero(finite))
        samples[~finite] = 0
    _require_unit_range(samples, path, float_range if format_.is_float else None)
    return Strip(samples, not_finite)


def _require_unit_range(samples: Image, path: Path, float_range: str | None) -> None:
    low, high = float(samples.min()), float(samples.max())
    if low >= 0 and high <= 1:
        return
    message = f"{path}: samples from {low:g} to {high:g} where 0 to 1 was expected"
    if float_range == "unit" and low >= 0 and high <= _ADU16:
        raise FrameError(f"{message}; {FLOAT_RANGE_REMEDY}")
    if float_range == "unit":
        raise FrameError(f"{message}, and no 16-bit ADU; exclude it")
    if float_range == "adu16":
        raise FrameError(f"{message} after division by 65535 (float_range: adu16); exclude it")
    raise FrameError(f"{message}; BZERO and BSCALE do not fit 16-bit ADU, exclude it")
