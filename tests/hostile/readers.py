"""The readers of files: each with valid files, and what it must do with any other file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from zlib import crc32

import numpy as np
from hostile_files import HOSTILE, VALID

from calmasters.errors import FrameError
from calmasters.headers.dialects import read_keywords
from calmasters.headers.image_header import read_header
from calmasters.images.master_file import read_image
from calmasters.images.raw_frame import RawFrame
from calmasters.settings import HeaderRules

__all__ = ["READERS", "Reader"]

_LARGEST = 1 << 16


@dataclass(frozen=True)
class Reader:
    """A reader.

    Attributes
    ----------
    name : str
    kind : str
        What its files are: image, json or text.
    files : sequence of (str, bytes)
        Names and contents, most of them valid.
    read : callable
        Returns True if a file is used, False if it is refused by the reader's own error.
    share : float
        Of all inputs; those that take long have a small one.
    """

    name: str
    kind: str
    files: Sequence[tuple[str, bytes]]
    read: Callable[[Path], bool]
    share: float


def read_or_refuse(path: Path) -> bool:
    """Read a complete file; True if it is a frame, False if it is refused; else raise."""
    try:
        header = read_header(path)
        traits = read_keywords(header.cards, PurePosixPath(path.name), HeaderRules()).traits
    except FrameError:
        return False
    # Each float range has its turn.
    float_range = ("auto", "unit", "adu16")[crc32(path.read_bytes()) % 3]
    try:
        with RawFrame(path, float_range) as frame:
            frame.require_valid_samples()
            samples = frame.read(0, frame.size).samples
        assert samples.min() >= 0
        assert samples.max() <= 1
        assert np.isfinite(samples).all()
        assert traits.geometry is not None or traits.problems
        valid = True
    except FrameError:
        valid = False
    try:
        image, _ = read_image(path)
        assert image.min() >= 0
        assert image.max() <= 1
    except FrameError:
        pass
    return valid


def _images(*endings: str) -> list[tuple[str, bytes]]:
    """Valid files, eight times each, and small hostile files."""
    valid = [file for file in VALID.items() if file[0].endswith(endings)]
    hostile = [(each.name, each.make()) for each in HOSTILE if each.name.endswith(endings)]
    return [*valid * 8, *(file for file in hostile if 0 < len(file[1]) < _LARGEST)]


READERS: Sequence[Reader] = (
    Reader("FITS", "image", _images(".fits"), read_or_refuse, 30),
    Reader("FITS, gzip or bzip2", "image", _images(".gz", ".bz2"), read_or_refuse, 10),
    Reader("FITS, tiles", "image", _images(".fz"), read_or_refuse, 1),
    Reader("XISF", "image", _images(".xisf"), read_or_refuse, 30),
)
