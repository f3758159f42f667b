"""Frames as a sequence of Siril: files in one folder, numbered from 1."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from calmasters.engines.job_frames import open_frame_of
from calmasters.errors import FrameError
from calmasters.frame import needs_copy
from calmasters.headers.camera_raw import CAMERA_RAW
from calmasters.headers.fits_cards import Cards
from calmasters.headers.image_header import read_header
from calmasters.headers.sample_scale import is_bottom_up
from calmasters.images.open_frame import OpenedFrame, open_frame
from calmasters.images.plain_copy import write_plain_copy
from calmasters.images.raw_frame import Image
from calmasters.model.job import MasterJob

__all__ = ["place_assembled", "place_frames", "write_image"]


def place_frames(paths: Sequence[Path], folder: Path, name: str, float_range: str) -> int:
    """Put frames into a folder, in their order, as ``<name>00001.fit``, ``<name>00002.fit``….

    Plain 16-bit FITS files are linked, or copied if the system does not allow links; of camera raws
    a plain copy is written. All others (compressed files, XISF, other sample formats, rows from
    bottom to top) are rewritten as floats in [0, 1], since Siril reads some of them differently or
    not at all. If one frame is rewritten as floats, all frames of the group are, since Siril does
    not combine both formats.

    Parameters
    ----------
    paths : sequence of Path
    folder : Path
    name : str
    float_range : {'auto', 'adu16'}
        The range of floating-point samples of FITS files.

    Returns
    -------
    int
        Number of samples that were NaN or infinite and were replaced by 0.

    Raises
    ------
    FrameError
        If a file cannot be used as a frame.
    """
    pairs = _numbered(paths, folder, name)
    if all(map(_is_plain, paths)):
        for path, target in pairs:
            if needs_copy(path.name):
                write_plain_copy(path, target)
            else:
                _link(path, target)
        return 0
    return sum(_rewrite(open_frame(path, float_range), target) for path, target in pairs)


def place_assembled(job: MasterJob, paths: Sequence[Path], folder: Path, name: str) -> int:
    """Put frames that have a layout into a folder, as :func:`place_frames` does."""
    pairs = _numbered(paths, folder, name)
    return sum(_rewrite(open_frame_of(job, path), target) for path, target in pairs)


def _numbered(paths: Sequence[Path], folder: Path, name: str) -> list[tuple[Path, Path]]:
    return [(path, folder / f"{name}{number + 1:05}.fit") for number, path in enumerate(paths)]


def _is_plain(path: Path) -> bool:
    """Return whether Siril reads a file, or its copy, as this workflow does: 16-bit codes."""
    try:
        header = read_header(path)
    except FrameError as error:
        raise FrameError(f"{path}: {error}") from error
    is_stored_plain = not header.packing or header.packing == CAMERA_RAW
    return is_stored_plain and _is_uint16(header.cards) and not is_bottom_up(header)


def _is_uint16(cards: Cards) -> bool:
    # Without BZERO the samples are signed; Siril truncates these at 0.
    names = ("NAXIS", "BITPIX", "BZERO", "BSCALE")
    return tuple(cards.get(name, 1) for name in names) == (2, 16, 32768, 1)


def _link(path: Path, target: Path) -> None:
    try:
        target.symlink_to(path.absolute())
    except OSError:  # Windows without the privilege, file systems without links
        shutil.copyfile(path, target)


def _rewrite(opened: OpenedFrame, target: Path) -> int:
    with opened as frame:
        strip = frame.read(0, frame.size)
        write_image(target, strip.samples.reshape(frame.height, frame.width))
    return strip.not_finite


def write_image(path: Path, image: Image) -> None:
    """Write an image for Siril: FITS of 32-bit floats.

    Parameters
    ----------
    path : Path
    image : (height, width) array of float32
        In [0, 1].
    """
    from astropy.io import fits

    fits.PrimaryHDU(np.asarray(image, np.float32)).writeto(path)
