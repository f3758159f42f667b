"""The frames that Siril gets, without Siril."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from calmasters.engines.siril.sequence import place_frames

CODES = np.random.default_rng(8).integers(480, 540, (6, 7))


def write(path: Path, pixels: np.ndarray, **cards: Any) -> Path:
    fits.PrimaryHDU(np.ascontiguousarray(pixels), fits.Header(cards)).writeto(path)
    return path


def test_plain_frames_are_linked(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", CODES.astype(np.uint16), ROWORDER="TOP-DOWN")
    (tmp_path / "work").mkdir()
    assert place_frames([path, path], tmp_path / "work", "f", "auto") == 0
    assert (tmp_path / "work" / "f00002.fit").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("pixels", "cards"),
    [
        (CODES.astype(np.uint16)[::-1], {"ROWORDER": "BOTTOM-UP"}),
        (CODES.astype(np.int16), {}),
        (CODES.astype(np.int16)[::-1], {"ROWORDER": "BOTTOM-UP"}),
        (CODES.astype(np.int32), {}),
        (CODES.astype(np.uint32), {}),
        (CODES.astype(np.float32), {}),
        (CODES.astype(np.float64)[::-1], {"ROWORDER": "BOTTOM-UP"}),
        ((CODES / 65535).astype(np.float32), {}),
    ],
    ids=[
        *("rows", "signed", "signed rows", "int32", "uint32", "floats in ADU"),
        *("floats in ADU and rows", "floats"),
    ],
)
def test_other_frames_are_rewritten_on_one_scale(
    tmp_path: Path, pixels: np.ndarray, cards: dict[str, Any]
) -> None:
    paths = [
        write(tmp_path / "other.fits", pixels, **cards),
        write(tmp_path / "plain.fits", CODES.astype(np.uint16)),
    ]
    (tmp_path / "work").mkdir()
    assert place_frames(paths, tmp_path / "work", "f", "auto") == 0
    for number in (1, 2):
        placed = fits.getdata(tmp_path / "work" / f"f0000{number}.fit")
        np.testing.assert_array_equal(placed, (CODES / 65535).astype(np.float32))


def test_the_bounds_of_xisf_are_removed(tmp_path: Path, write_bounded: Callable[..., None]) -> None:
    write_bounded(path := tmp_path / "a.xisf", CODES, "0:65535", {})
    (tmp_path / "work").mkdir()
    place_frames([path], tmp_path / "work", "f", "auto")
    placed = fits.getdata(tmp_path / "work" / "f00001.fit")
    np.testing.assert_array_equal(placed, (CODES / 65535).astype(np.float32))
