"""Read frames by strips: FITS or XISF, plain or packed, and camera raws.

Samples are converted to float32 in [0, 1] as by PixInsight: integers are divided by the largest
code of their width, and rows that are stored from bottom to top are reversed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from math import inf
from pathlib import Path
from threading import Lock
from types import MappingProxyType, TracebackType
from typing import Any, BinaryIO, Final, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from calmasters.errors import FrameError, plain_number
from calmasters.frame import split_plane
from calmasters.headers.camera_raw import CAMERA_RAW
from calmasters.headers.fits_cards import CardValue, ImageHeader, number_of
from calmasters.headers.geometry import FLOAT_RANGE_REMEDY, OWN_RANGE_REMEDY
from calmasters.headers.image_header import read_header
from calmasters.headers.sample_scale import bounds_of, has_own_scale, is_bottom_up, is_signed
from calmasters.images.unpack import unpack_frame

__all__ = [
    "Image",
    "RawFrame",
    "SampleFormat",
    "Strip",
    "header_of",
    "require_range",
    "size_of",
    "to_unit",
]

Image: TypeAlias = NDArray[np.float32]
Codes: TypeAlias = NDArray[np.uint16]

_TYPES: Final[Mapping[int, str]] = MappingProxyType(
    {8: "u1", 16: ">i2", 32: ">i4", -32: ">f4", -64: ">f8"}
)
_ADU16: Final = 65535.0
_EXPECTED_ADU: Final = "0 to 65535"

#: Number of samples read for a quick check that there is an image, and per strip of a full check.
_QUICK_CHECK: Final = 1 << 12
_STRIP: Final = 1 << 20

#: The end of a file with this many bytes of 0 is empty: a copy that stopped may leave them.
_EMPTY_BYTES: Final = 1000
#: Fewer samples may be 0 by chance at the end of a row.
_EMPTY_SAMPLES: Final = 16

#: Samples from here on are saturated: 12-bit cameras write at most 65520 of 65535.
_SATURATED: Final = 0.999

#: A floating-point image whose brightest sample is above 1 and below this may have either range.
_SURE_ADU: Final = 10.0

_WRONG_BOUNDS: Final = "write it again with bounds that fit, or exclude it"
_NO_BZERO: Final = (
    "without BZERO samples must not be negative: set BZERO if half the range was subtracted from "
    "them, otherwise exclude it"
)
_NO_ADU: Final = "convert it to 16 bits, or exclude it"
_SUM: Final = (
    "if it is a sum of frames, use these or divide it by their number, otherwise convert it to 16 "
    "bits or exclude it"
)
#: Integers of 32 bits that use their whole range have brighter samples: this is 64 of 65535.
_HIGHEST_SUM: Final = 1 << 22
_WRONG_BZERO: Final = "BZERO and BSCALE do not fit 16-bit ADU, exclude it"

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
    expected : str
        The range that samples are expected to have, for messages.
    remedy : str
        What to do about samples that are not in it.
    black : float
        The lower end of that range.
    remedy_above : str
        What to do about samples above the range, where that is something else.
    """

    dtype: np.dtype[Any]
    scale: float
    zero: float
    unity: float
    expected: str = ""
    remedy: str = "exclude it"
    black: float = 0.0
    remedy_above: str = ""

    @property
    def is_uint16(self) -> bool:
        """Whether samples are plain unsigned 16-bit codes, the format of nearly every camera."""
        return (self.dtype.str, self.scale, self.zero, self.unity) == (">i2", 1.0, 32768.0, _ADU16)

    @property
    def is_float(self) -> bool:
        """Whether samples are floating point numbers."""
        return self.dtype.kind == "f"

    @property
    def is_unit(self) -> bool:
        """Whether samples are stored as float32 in [0, 1], as most masters."""
        return self.dtype.str[1:] == "f4" and (self.scale, self.zero, self.unity) == (1, 0, 1)

    @property
    def is_adu16(self) -> bool:
        """Whether samples are ADU of a 16-bit camera."""
        return self.unity == _ADU16

    @property
    def too_faint(self) -> float:
        """The sample in [0, 1] that the brightest one of an image must exceed.

        Floating-point samples that are all at most 1 are not ADU.
        """
        return 1 / self.unity if self.is_float and self.unity > 1 else 0.0

    @classmethod
    def from_header(cls, header: ImageHeader) -> SampleFormat:
        """Read the format from a header.

        Where the range depends on the samples, it is that of the sample type: 0 to 1 for floating
        point.

        Raises
        ------
        FrameError
            If the format is not supported.
        """
        cards = header.cards
        bits = cards.get("BITPIX")
        if not isinstance(bits, int) or bits not in _TYPES:
            raise FrameError(f"BITPIX is {bits}; expected one of {', '.join(map(str, _TYPES))}")
        dtype = np.dtype(_TYPES[bits])
        scale, zero = _number(cards, "BSCALE", 1.0), _number(cards, "BZERO", 0.0)
        if dtype.kind == "f" and header.packing == "xisf":
            low, high = bounds_of(header)
            expected = f"{plain_number(low)} to {plain_number(high)} (the bounds of the file)"
            return cls(dtype, 1.0, -low, high - low, expected, _WRONG_BOUNDS, low)
        if dtype.kind == "f":
            return cls(dtype, scale, zero, 1.0, "0 to 1")
        codes = 2.0 ** (8 * dtype.itemsize)
        is_plain = scale == 1.0 and zero in (0.0, 0.0 if dtype.kind == "u" else codes / 2)
        if is_signed(cards):
            return cls(dtype, scale, zero, codes - 1, f"0 to {plain_number(codes - 1)}", _NO_BZERO)
        unity = codes - 1 if is_plain else _ADU16
        return cls(dtype, scale, zero, unity, f"0 to {plain_number(unity)}", _WRONG_BZERO)


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

    A packed frame (``.gz``, ``.bz2``, ``.fz``, ``.xisf``) or camera raw is first unpacked into a
    temporary file.

    Parameters
    ----------
    path : Path
        A camera raw, or a FITS or XISF file whose image has two dimensions (or three, the third of
        size 1); or one plane of a series (:func:`calmasters.frame.plane_path`).
    float_range : {'auto', 'unit', 'adu16'}
        Range of the floating-point samples of FITS files: [0, 1], 16-bit ADU, or as the samples
        in the middle of the image say. Other ranges are found in the file: that of integers of 32
        bits in the samples, that of XISF in the bounds.
    header : ImageHeader, optional
        Of the image to read, in a file of several.

    Attributes
    ----------
    width, height : int
    format : SampleFormat
    is_bottom_up : bool
        The file has the lowest row first; it is read with the top row first all the same.
    white : float
        The sample in [0, 1] from which on a pixel is saturated; 1 where the file does not say it.

    Raises
    ------
    FrameError
        If the file cannot be used; the message gives the reason.
    """

    def __init__(
        self, path: Path, float_range: str = "auto", header: ImageHeader | None = None
    ) -> None:
        header = header or header_of(path)
        if header.parts:
            raise FrameError(
                f"{path}: contains {len(header.parts)} images (extensions); expected one image"
            )
        self.path = path
        self.width, self.height = size_of(path, header.cards)
        self.is_bottom_up = is_bottom_up(header)
        self.format = _format(path, header)
        self.white = _white(header)
        self._is_packed = bool(header.packing)
        if self._is_packed:
            self._offset = header.data_offset if header.packing in ("gzip", "bzip2") else 0
            self._file = unpack_frame(path, header, self.size * self.format.dtype.itemsize)
        else:
            self._offset = header.data_offset
            file = Path(split_plane(str(path))[0])
            _require_bytes(file, self._offset + self.size * self.format.dtype.itemsize)
            self._file = file.open("rb", buffering=0)
        self._lock = Lock()
        if has_own_scale(header):
            try:
                self.format = self._own_format(float_range)
            except BaseException:
                self._file.close()
                raise

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
        return to_unit(self._read_stored(start, count), self.format, self.path)

    def write_stored(self, file: BinaryIO) -> None:
        """Write all samples to a file as they are stored, in the order of the file."""
        item = self.format.dtype.itemsize
        for start, count in self._strips():
            piece = bytearray(count * item)
            self._fill_as_stored(start, memoryview(piece))
            file.write(piece)

    def read_rows(self, first: int, count: int) -> NDArray[Any]:
        """Read complete rows as they are stored: (count, width); this method is thread-safe."""
        return self._read_stored(first * self.width, count * self.width).reshape(count, -1)

    def require_valid_samples(self, *, quick: bool = False) -> None:
        """Refuse a frame with samples outside [0, 1], with all 0 or saturated, or an empty end.

        For plain 16-bit frames a few samples from the middle are usually sufficient. Otherwise all
        samples are read.

        Parameters
        ----------
        quick : bool
            A few samples are sufficient for any frame, and the end is not looked at.

        Raises
        ------
        FrameError
            If the frame cannot be used; the message gives the reason.
        """
        if not quick and not self._is_packed:
            self._require_end()
        if quick or self.format.is_uint16:
            middle = self.read(*self.middle).samples
            if middle.max() > self.format.too_faint and middle.min() < _SATURATED * self.white:
                return
        strips = [
            (strip.samples.min(), strip.samples.max(), strip.not_finite)
            for start, count in self._strips()
            for strip in [self.read(start, count)]
        ]
        low, high, not_finite = (list(values) for values in zip(*strips, strict=True))
        if sum(not_finite) == self.size:
            raise FrameError(f"{self.path}: every pixel is NaN or infinite: exclude this frame")
        if max(high) <= 0:
            raise FrameError(f"{self.path}: every pixel is 0: retake or exclude this frame")
        if max(high) <= self.format.too_faint:
            raise FrameError(
                f"{self.path}: samples up to {plain_number(max(high) * self.format.unity)} where "
                f"{self.format.expected} was expected; {self.format.remedy}"
            )
        if min(low) >= _SATURATED * self.white:
            raise FrameError(f"{self.path}: every pixel is saturated: retake or exclude this frame")

    def _require_end(self) -> None:
        """Refuse a file of its full size whose end was never written: its bytes are 0."""
        tail = min(self.size, -(-_EMPTY_BYTES // self.format.dtype.itemsize))
        if self._read_bits(self.size - tail, tail).any():
            return
        empty = self.size
        for start, count in reversed([*self._strips()]):
            written = np.flatnonzero(self._read_bits(start, count))
            if written.size:
                empty = self.size - start - int(written[-1]) - 1
                break
        if empty < self.size and (self._has_no_zeros or self._ends_within_row(empty)):
            raise FrameError(
                f"{self.path}: the end of the file is empty ({empty} samples of the last "
                f"{-(-empty // self.width)} rows): copy it again, or exclude it"
            )

    @property
    def _has_no_zeros(self) -> bool:
        """Whether bytes of 0 are an unlikely sample, such as 32768 of unsigned 16 bits."""
        return not self.format.is_float and self.format.zero != 0

    def _ends_within_row(self, empty: int) -> bool:
        """Whether samples of 0 begin within a row, below others: masked rows are complete."""
        count = empty % self.width
        start = self.size - empty - self.width
        if count < _EMPTY_SAMPLES or start < 0:
            return False
        return 2 * int(np.count_nonzero(self._read_bits(start, count))) > count

    def _read_bits(self, start: int, count: int) -> NDArray[Any]:
        """Read samples in the order of the file; -0.0 is not 0."""
        bits = np.empty(count, f"u{self.format.dtype.itemsize}")
        self._fill_as_stored(start, bits.view(np.uint8).data)
        return bits

    def _own_format(self, float_range: str) -> SampleFormat:
        """Return the format with the range that the samples have."""
        format_ = self.format
        if format_.is_float and float_range == "unit":
            expected = "0 to 1 (float_range: unit)"
            return replace(format_, expected=expected, remedy=OWN_RANGE_REMEDY)
        adu = replace(format_, unity=_ADU16, expected=_EXPECTED_ADU, remedy_above=_SUM)
        if format_.is_float and float_range == "adu16":
            expected = f"{_EXPECTED_ADU} (float_range: adu16)"
            return replace(adu, expected=expected, remedy=OWN_RANGE_REMEDY, remedy_above="")
        highest = self._highest()
        if not format_.is_float:
            # In [0, 2^32 - 1] such an image would be black; without BZERO the range has no end.
            is_adu = highest < _HIGHEST_SUM or format_.zero == 0
            return replace(adu, remedy=_NO_ADU) if is_adu else format_
        if 1 < highest < _SURE_ADU:
            raise FrameError(
                f"{self.path}: samples up to {plain_number(highest)}, which are neither 0 to 1 nor "
                f"surely 16-bit ADU; {FLOAT_RANGE_REMEDY}"
            )
        return format_ if highest <= 1 else adu

    def _highest(self) -> float:
        """Return the highest sample in the middle of the image; if it says nothing, that of all.

        The unit is that of the file, after BZERO and BSCALE.
        """
        highest = 0.0
        for start, count in chain([self.middle], self._strips()):
            stored = self._read_stored(start, count).astype(np.float64)
            values = stored[np.isfinite(stored)] * self.format.scale + self.format.zero
            highest = max(highest, float(values.max(initial=0.0)))
            if 0 < highest <= 1 or highest >= _SURE_ADU:
                break
        return highest

    @property
    def middle(self) -> tuple[int, int]:
        """Start and number of the samples of a quick check."""
        start = max(0, self.size // 2 - _QUICK_CHECK)
        return start, min(_QUICK_CHECK, self.size - start)

    def _strips(self) -> Iterator[tuple[int, int]]:
        for start in range(0, self.size, _STRIP):
            yield start, min(_STRIP, self.size - start)

    def _read_stored(self, start: int, count: int) -> NDArray[Any]:
        stored = np.empty(count, self.format.dtype)
        self._fill(start, stored.view(np.uint8).data)
        return stored

    def _fill(self, start: int, buffer: memoryview) -> None:
        """Fill a buffer with stored samples from ``start`` on, the top row first."""
        if not self.is_bottom_up:
            self._fill_as_stored(start, buffer)
            return
        item = self.format.dtype.itemsize
        first, last = start // self.width, (start + len(buffer) // item - 1) // self.width
        rows = np.empty((last - first + 1, self.width * item), np.uint8)
        self._fill_as_stored((self.height - 1 - last) * self.width, rows.reshape(-1).data)
        skipped = (start - first * self.width) * item
        buffer[:] = rows[::-1].reshape(-1)[skipped : skipped + len(buffer)].data

    def _fill_as_stored(self, start: int, buffer: memoryview) -> None:
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


def _format(path: Path, header: ImageHeader) -> SampleFormat:
    try:
        return SampleFormat.from_header(header)
    except FrameError as error:
        raise FrameError(f"{path}: {error}") from None


def _white(header: ImageHeader) -> float:
    """Return the white level of a camera raw, which LibRaw knows; SATURATE of others is a claim."""
    level = number_of(header.cards.get("SATURATE")) if header.packing == CAMERA_RAW else None
    return level / _ADU16 if level else 1.0


def _require_bytes(path: Path, expected: int) -> None:
    size = path.stat().st_size
    if size < expected:
        raise FrameError(
            f"{path}: truncated, {size} bytes found where {expected} were expected; copy it again"
        )


def to_unit(stored: NDArray[Any], format_: SampleFormat, path: Path) -> Strip:
    """Convert stored samples to float32 in [0, 1]; FrameError if one is outside.

    Parameters
    ----------
    stored : array
        Of any shape; the result has the same shape.
    format_ : SampleFormat
    path : Path
        The file, for error messages.
    """
    samples = np.empty(stored.shape, np.float32)
    flat, filled = stored.reshape(-1), samples.reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):  # the range is checked below
        if format_.is_unit:
            np.add(flat, np.float32(0), out=filled)  # no negative zeros, as below
        else:
            # In pieces: a complete image of float64 would need more memory than all the rest.
            for piece in range(0, stored.size, _PIECE):
                part = slice(piece, piece + _PIECE)
                values = flat[part].astype(np.float64)
                filled[part] = (values * format_.scale + format_.zero) / format_.unity
        is_finite = not format_.is_float or np.isfinite(samples.sum())
    not_finite = 0
    if not is_finite:
        finite = np.isfinite(samples)
        not_finite = samples.size - int(np.count_nonzero(finite))
        samples[~finite] = 0
    require_range(samples, format_, path)
    return Strip(samples, not_finite)


def require_range(samples: NDArray[Any], format_: SampleFormat, path: Path) -> None:
    """Refuse samples outside [0, 1], also if they are not finite; FrameError with their range."""
    low, high = float(samples.min()), float(samples.max())
    if not (low >= 0 and high <= 1):
        found = [plain_number(format_.black + each * format_.unity) for each in (low, high)]
        is_above = low >= 0 and high < inf
        remedy = (is_above and format_.remedy_above) or format_.remedy
        raise FrameError(
            f"{path}: samples from {' to '.join(found)} where {format_.expected} was expected; "
            f"{remedy}"
        )
