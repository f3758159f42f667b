"""Valid and damaged files of every format: a header, or a FrameError with a reason."""

from __future__ import annotations

import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st
from xisf import XISF

from calmasters.errors import FrameError
from calmasters.headers.image_header import read_cards, read_header


@pytest.mark.parametrize("name", ["missing.fits", "missing.xisf", "folder.fits", "folder.xisf"])
def test_files_that_cannot_be_opened_are_refused_with_a_reason(tmp_path: Path, name: str) -> None:
    if name.startswith("folder"):
        (tmp_path / name).mkdir()
    with pytest.raises(FrameError, match="cannot be read"):
        read_cards(tmp_path / name)


# --- any bytes ------------------------------------------------------------------------------------


def damaged(original: bytes) -> st.SearchStrategy[bytes]:
    """A file with some bytes replaced, or truncated."""

    def damage(edits: list[tuple[int, bytes]], length: int) -> bytes:
        content = bytearray(original)
        for at, piece in edits:
            content[at : at + len(piece)] = piece
        return bytes(content[:length])

    pieces = st.one_of(
        st.binary(min_size=1, max_size=8),
        st.sampled_from([b"NAXIS", b"=   99999999999999999999", b"= INF", b"= -1", b"END     "]),
    )
    edits = st.lists(st.tuples(st.integers(0, len(original)), pieces), max_size=6)
    return st.builds(damage, edits, st.integers(0, 2 * len(original)))


@pytest.fixture(scope="module", params=["primary", "extension"])
def fits_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("fits") / "x.fits"
    pixels = np.zeros((3, 4), np.int16)
    if request.param == "primary":
        fits.PrimaryHDU(pixels).writeto(path)
    else:
        fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(pixels)]).writeto(path)
    return path.read_bytes()


@given(st.data())
def test_any_bytes_are_read_or_refused_as_fits(
    tmp_path_factory: pytest.TempPathFactory, fits_file: bytes, data: st.DataObject
) -> None:
    content = data.draw(st.binary(max_size=200) | damaged(fits_file))
    path = tmp_path_factory.getbasetemp() / "any.fits"
    path.write_bytes(content)
    with warnings.catch_warnings(), suppress(FrameError):
        warnings.simplefilter("ignore")
        header = read_header(path)
        assert header.end_of_data >= header.data_offset


@pytest.fixture(scope="module")
def xisf_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("xisf") / "x.xisf"
    cards = {"GAIN": [{"value": "100", "comment": ""}]}
    XISF.write(str(path), np.zeros((3, 4, 1), np.float32), image_metadata={"FITSKeywords": cards})
    return path.read_bytes()


@given(st.data())
def test_any_bytes_are_read_or_refused_as_xisf(
    tmp_path_factory: pytest.TempPathFactory, xisf_file: bytes, data: st.DataObject
) -> None:
    content = data.draw(damaged(xisf_file[:1500]))
    path = tmp_path_factory.getbasetemp() / "any.xisf"
    path.write_bytes(content)
    with suppress(FrameError):
        assert read_cards(path)["NAXIS"] in (2, 3)
