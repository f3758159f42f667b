"""Bad pixels of a camera setting: a map as FITS, and a list for PixInsight's CosmeticCorrection.

The list has one line for each run of bad pixels in a row, ``Row y x0 x1``, and ``Col x`` or
``Row y`` for a column or row that is bad throughout. Coordinates start at 0; the last pixel is
included. *Load List* of CosmeticCorrection reads this format (CosmeticCorrectionInterface.cpp of
PixInsight's class library).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from calmasters.atomic_files import replacing
from calmasters.frame import FrameType
from calmasters.images.master_file import read_image
from calmasters.model.job import MasterJob
from calmasters.quality.quality_record import QualityRecord
from calmasters.quality.sample import ADU
from calmasters.quality.surface import grey, odd_pixels, relative_response

__all__ = ["DEAD", "HOT", "bad_pixels", "defect_list", "sources", "write_map"]

BadPixelMap: TypeAlias = NDArray[np.uint8]

#: Bits of a pixel of the map.
HOT: Final = 1
DEAD: Final = 2

#: A pixel that responds with less than this share of its surroundings is dead.
_DEAD_RESPONSE: Final = 0.5

#: A row or column with at least this share of bad pixels is listed as one line.
_WHOLE_LINE: Final = 0.9


def bad_pixels(masters: Iterable[tuple[MasterJob, Path, Path]]) -> BadPixelMap:
    """Map the pixels that are bad in any master of a camera setting.

    Parameters
    ----------
    masters : iterable of (job, master, quality)
        Dark and flat masters of one camera setting; their files and ``quality/<name>.json``.

    Returns
    -------
    (height, width) array of uint8
        0 for a good pixel, otherwise the sum of ``HOT`` (1: in a dark, more than 5 sigmas of a
        single frame above its surroundings) and ``DEAD`` (2: in a flat, half the response of its
        surroundings or less; in a dark, more than 5 sigmas below them). Flats that are lit in lines
        have no dead pixels: what is dark between the lines is not.
    """
    combined: BadPixelMap | None = None
    for job, master, quality in masters:
        image, _ = read_image(master)
        record = QualityRecord.read(quality)
        if job.type is not FrameType.FLAT:
            bad = _bad_in_dark(image, record)
        elif record.is_lit_in_lines:
            bad = np.zeros(image.shape, np.uint8)
        else:
            bad = _bad_in_flat(job, image)
        combined = bad if combined is None else combined | bad
    if combined is None:
        raise ValueError("bad_pixels needs at least one master")
    return combined


def sources(masters: Iterable[tuple[MasterJob, Path, Path]]) -> list[str]:
    """Name the masters of a map, and say of which no dead pixels are taken.

    Parameters
    ----------
    masters : iterable of (job, master, quality)
        As :func:`bad_pixels` has them.
    """
    return [
        f"{job.name} (lit in lines: not searched)"
        if QualityRecord.read(quality).is_lit_in_lines
        else job.name
        for job, _, quality in masters
    ]


def _bad_in_dark(image: NDArray[np.float32], quality: QualityRecord) -> BadPixelMap:
    odd = odd_pixels(image * np.float32(ADU), quality.numbers["noise_adu"])
    return (HOT * odd.hot + DEAD * odd.cold).astype(np.uint8)


def _bad_in_flat(job: MasterJob, image: NDArray[np.float32]) -> BadPixelMap:
    response = relative_response(grey(image) if job.geometry.bayerpat else image)
    return (DEAD * (response <= _DEAD_RESPONSE)).astype(np.uint8)


def defect_list(bad_map: BadPixelMap) -> str:
    """Return a map as CosmeticCorrection's defect list; empty for a map without bad pixels."""
    bad = bad_map > 0
    columns = np.flatnonzero(bad.mean(axis=0) >= _WHOLE_LINE)
    rows = np.flatnonzero(bad.mean(axis=1) >= _WHOLE_LINE)
    single = bad.copy()
    single[:, columns] = False
    single[rows] = False
    lines = [*(f"Col {x}" for x in columns), *(f"Row {y}" for y in rows), *_runs(single)]
    return "".join(f"{line}\n" for line in lines)


def _runs(bad: NDArray[np.bool_]) -> Iterator[str]:
    """Return one line for each run of bad pixels in a row."""
    bordered = np.pad(bad, ((0, 0), (1, 1))).astype(np.int8)
    change = np.diff(bordered, axis=1)
    starts, ends = np.nonzero(change == 1), np.nonzero(change == -1)
    for y, first, end in zip(*starts, ends[1], strict=True):
        yield f"Row {y} {first} {end - 1}"


def write_map(path: Path, bad_map: BadPixelMap, made_from: Sequence[str]) -> None:
    """Write a map as an 8-bit FITS image, whole or not at all.

    Parameters
    ----------
    path : Path
    bad_map : (height, width) array of uint8
        As :func:`bad_pixels` returns it.
    made_from : sequence of str
        The masters, for HISTORY (:func:`sources`).
    """
    from astropy.io import fits

    image = fits.PrimaryHDU(bad_map)
    header = image.header
    header["IMAGETYP"] = ("Bad Pixel Map", "type of image")
    header["BADHOT"] = (HOT, "value of a hot pixel")
    header["BADDEAD"] = (DEAD, "value of a dead or cold pixel (3: both)")
    header["NHOT"] = (int(np.count_nonzero(bad_map & HOT)), "hot pixels")
    header["NDEAD"] = (int(np.count_nonzero(bad_map & DEAD)), "dead or cold pixels")
    for name in made_from:
        header["HISTORY"] = name
    with replacing(path) as file:
        image.writeto(file)
