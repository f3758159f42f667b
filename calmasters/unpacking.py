"""Packed frames (``.gz``, FITS tile compression, XISF) as the plain samples of a FITS file.

The native engine reads all frames of a group at once, strip by strip. A packed frame can only be
unpacked whole: it goes to a temporary file, so that memory holds one such frame at a time, however
many there are. The file lies in the system's folder for temporary files (``TMPDIR``) and is gone
when it is closed.
"""

from __future__ import annotations

import gzip
import shutil
import tempfile
from collections.abc import Callable, Mapping
from io import FileIO
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calmasters.errors import FrameError

__all__ = ["unpacked"]


def unpacked(path: Path, packing: str) -> FileIO:
    """Unpack a frame into a temporary file.

    Parameters
    ----------
    path : Path
    packing : {'gzip', 'tiles', 'xisf'}
        As :class:`calmasters.cards.ImageHeader` tells.

    Returns
    -------
    FileIO
        The unzipped FITS file (``gzip``), or nothing but the image's samples, big-endian, as its
        header describes them.

    Raises
    ------
    FrameError
        If the file is damaged, or packed in a way not known here.
    """
    file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (the caller's)
    try:
        _UNPACK[packing](path, file)
    except Exception as error:  # the packages raise whatever the damage causes
        file.close()
        raise FrameError(f"{path}: cannot be unpacked ({error}); copy it again") from error
    return file


def _unzip(path: Path, file: FileIO) -> None:
    with gzip.open(path) as zipped:
        shutil.copyfileobj(zipped, file, 1 << 20)


def _untile(path: Path, file: FileIO) -> None:
    from astropy.io import fits

    with fits.open(path, do_not_scale_image_data=True) as hdus:
        image = next(hdu for hdu in hdus if isinstance(hdu, fits.CompImageHDU))
        _write(np.asarray(image.data), file)


def _unwrap(path: Path, file: FileIO) -> None:
    from xisf import XISF

    samples = np.asarray(XISF(str(path)).read_image(0, data_format="channels_first"))
    if samples.dtype.kind == "u" and samples.dtype.itemsize > 1:
        # FITS has no unsigned numbers of this size: they are stored less half their range.
        half = samples.dtype.type(1 << (8 * samples.dtype.itemsize - 1))
        samples = (samples ^ half).view(f"i{samples.dtype.itemsize}")
    _write(samples, file)


def _write(samples: NDArray[np.generic], file: FileIO) -> None:
    big_endian = np.ascontiguousarray(samples, samples.dtype.newbyteorder(">"))
    file.write(big_endian.data.cast("B"))


_UNPACK: Final[Mapping[str, Callable[[Path, FileIO], None]]] = {
    "gzip": _unzip,
    "tiles": _untile,
    "xisf": _unwrap,
}
