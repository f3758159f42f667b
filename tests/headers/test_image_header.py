"""Valid and damaged files of every format: a header, or a FrameError with a reason."""

from __future__ import annotations

import bz2
import gzip
import warnings
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

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


# --- several images -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "is_read"), [((30, 40), True), ((3, 4), False), ((2, 3), False), ((3, 5), True)]
)
def test_a_small_image_before_a_larger_one_is_a_preview(
    tmp_path: Path, shape: tuple[int, int], is_read: bool
) -> None:
    path = tmp_path / "x.fits"
    primary = fits.PrimaryHDU(np.full((3, 4), 9, np.uint16), fits.Header({"GAIN": 7}))
    large = np.arange(shape[0] * shape[1], dtype=np.int32).reshape(shape)
    fits.HDUList([primary, fits.ImageHDU(large)]).writeto(path)
    header = read_header(path)
    expected = (*shape[::-1], 32, None) if is_read else (4, 3, 16, 32768)
    names = ("NAXIS1", "NAXIS2", "BITPIX", "BZERO")
    assert tuple(header.cards.get(name) for name in names) == expected
    assert header.cards["GAIN"] == 7
    with path.open("rb") as file:
        file.seek(header.data_offset)
        first = np.fromfile(file, ">i4" if is_read else ">i2", 2)
    assert first.tolist() == ([0, 1] if is_read else [9 - 32768] * 2)


def test_an_image_before_a_damaged_extension_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.fits"
    primary = fits.PrimaryHDU(np.zeros((3, 4), np.uint16))
    fits.HDUList([primary, fits.ImageHDU(np.zeros((30, 40), np.int32))]).writeto(path)
    content = path.read_bytes()
    path.write_bytes(
        content.replace(b"NAXIS1  =                   40", b"NAXIS1  =                   'x")
    )
    assert read_header(path).cards["NAXIS1"] == 4


# --- zipped files ---------------------------------------------------------------------------------

PACKERS = {"gzip": ("x.fits.gz", gzip.compress), "bzip2": ("x.fits.bz2", bz2.compress)}


def fits_bytes(*images: Any, **cards: Any) -> bytes:
    """Write images as extensions; the only one as primary image."""
    header = fits.Header(cards)
    hdus = [fits.PrimaryHDU(images[0], header)]
    if len(images) > 1:
        hdus = [fits.PrimaryHDU(header=header), *map(fits.ImageHDU, images)]
    file = BytesIO()
    fits.HDUList(hdus).writeto(file)
    return file.getvalue()


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


IMAGE = np.zeros((3, 4), np.int16)


@pytest.mark.parametrize("packing", PACKERS)
def test_a_zipped_file_has_the_cards_of_the_file_in_it(tmp_path: Path, packing: str) -> None:
    name, packed = PACKERS[packing]
    header = read_header(written(tmp_path / name.upper(), packed(fits_bytes(IMAGE, GAIN=7))))
    assert (header.cards["GAIN"], header.packing, header.end_of_data) == (7, packing, 0)
    header = read_header(written(tmp_path / name, packed(fits_bytes(IMAGE, IMAGE))))
    assert [(part.packing, part.end_of_data) for part in header.parts] == [(packing, 0)] * 2


def test_a_zipped_file_whose_data_end_early_is_refused(tmp_path: Path) -> None:
    content = fits_bytes(IMAGE)
    end = 2880 + IMAGE.nbytes
    for size in (len(content) + 2880, len(content), end):  # what follows the data may be missing
        zipped = gzip.compress(content.ljust(size, b"\0")[:size])
        assert read_header(written(tmp_path / "x.fits.gz", zipped)).packing == "gzip"
    with pytest.raises(
        FrameError, match=f"is truncated: {end - 1} bytes where {len(content)} were expected"
    ):
        read_header(written(tmp_path / "x.fits.gz", gzip.compress(content[: end - 1])))


def test_the_data_of_a_zipped_file_of_the_right_length_are_not_unpacked(tmp_path: Path) -> None:
    """Their check takes seconds: they are checked when they are read."""
    noise = np.random.default_rng(1).integers(0, 1 << 15, (300, 400), np.int16)
    zipped = gzip.compress(fits_bytes(noise))
    damaged = zipped[: len(zipped) // 2] + zipped[-8:]  # with checksum and length
    assert read_cards(written(tmp_path / "x.fits.gz", damaged))["NAXIS1"] == 400


def test_what_is_no_zipped_file_is_refused(tmp_path: Path) -> None:
    for name in ("x.fits.gz", "x.fits.bz2"):
        with pytest.raises(FrameError, match=r"cannot be read: .*; copy it again"):
            read_cards(written(tmp_path / name, fits_bytes(IMAGE)))


# --- frames of a series ---------------------------------------------------------------------------


def test_a_path_with_a_number_is_one_frame_of_a_series(tmp_path: Path) -> None:
    cube = np.zeros((10, 3, 4), np.int16)
    written(tmp_path / "cube.fits", fits_bytes(cube, GAIN=7))
    third = read_header(tmp_path / "cube.fits[03]")
    assert (third.cards["NAXIS"], third.cards["GAIN"]) == (2, 7)
    assert third.data_offset == read_header(tmp_path / "cube.fits").data_offset + 2 * 24
    assert read_header(tmp_path / "cube.fits[10]").cards["NAXIS"] == 2
    written(tmp_path / "packed.fits.gz", gzip.compress(fits_bytes(cube)))
    written(tmp_path / "several.fits", fits_bytes(cube, cube))
    written(tmp_path / "single.fits", fits_bytes(IMAGE))
    for path in ("cube.fits[11]", "packed.fits.gz[3]", "several.fits[3]", "single.fits[1]"):
        with pytest.raises(FrameError, match=r"has no frame \d+ that can be read; run again"):
            read_header(tmp_path / path)


# --- absurd sizes ---------------------------------------------------------------------------------


def header_only(*cards: str) -> bytes:
    return "".join(card.ljust(80) for card in (*cards, "END")).ljust(2880).encode()


@pytest.mark.parametrize("height", [32768, 32769])
@pytest.mark.parametrize("ending", ["", ".gz", ".bz2"])
@pytest.mark.parametrize("is_extension", [False, True])
def test_more_pixels_than_any_sensor_has_are_refused(
    tmp_path: Path, height: int, ending: str, is_extension: bool
) -> None:
    size = ("BITPIX  = 16", "NAXIS   = 2", "NAXIS1  = 65536", f"NAXIS2  = {height}")
    content = header_only("SIMPLE  = T", *size)
    if is_extension:
        small = ("XTENSION= 'IMAGE'", "BITPIX  = 8", "NAXIS   = 1", "NAXIS1  = 1")
        content = header_only("SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0")
        content += header_only(*small) + bytes(2880) + header_only("XTENSION= 'IMAGE'", *size)
    if ending == ".gz":
        content = gzip.compress(content)
    elif ending == ".bz2":
        content = bz2.compress(content)
    path = written(tmp_path / f"x.fits{ending}", content)
    if height > 32768:
        with pytest.raises(FrameError, match=r"declares 65536 x 32769 pixels \(limit 2147483648\)"):
            read_header(path)
    elif ending != ".gz":  # of which the length is known
        assert read_header(path).cards["SIMPLE"] is True


@pytest.mark.parametrize("more", [0, 1])
def test_a_packed_image_cannot_be_in_a_small_file(tmp_path: Path, more: int) -> None:
    pixels = 1100 * 3 * 2880 + more
    tiles = ("XTENSION= 'BINTABLE'", "BITPIX  = 8", "NAXIS   = 2", "NAXIS1  = 8", "NAXIS2  = 1",
             "ZIMAGE  = T", "ZBITPIX = 16", "ZNAXIS  = 1", f"ZNAXIS1 = {pixels}")  # fmt: skip
    primary = header_only("SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0")
    path = written(tmp_path / "x.fits", primary + header_only(*tiles) + bytes(2880))
    if more:
        with pytest.raises(FrameError, match=f"{pixels} pixels cannot be in 8640 bytes"):
            read_header(path)
    else:
        assert read_header(path).packing == "tiles"


def test_an_xisf_image_cannot_be_in_a_small_file(tmp_path: Path) -> None:
    xml = (
        b'<xisf version="1.0" xmlns="http://www.pixinsight.com/xisf"><Image geometry="5000:4000:1" '
        b'sampleFormat="UInt16" location="attachment:2048:24" compression="zlib:40000000"/></xisf>'
    )
    head = b"XISF0100" + len(xml).to_bytes(4, "little") + bytes(4) + xml
    path = written(tmp_path / "x.xisf", head.ljust(2048, b"\0") + bytes(24))
    with pytest.raises(FrameError, match=r"5000 x 4000 pixels cannot be in 2072 bytes"):
        read_header(path)


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
