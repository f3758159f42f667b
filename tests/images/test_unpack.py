from __future__ import annotations

import bz2
import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray
from xisf import XISF

from calmasters.errors import FrameError
from calmasters.headers.image_header import read_header
from calmasters.images.master_file import read_image
from calmasters.images.raw_frame import RawFrame

Array = NDArray[np.generic]
CODES = np.random.default_rng(5).integers(0, 65536, (30, 40)).astype(np.uint16)
HEADER = fits.Header({"IMAGETYP": "BIAS", "GAIN": 100, "INSTRUME": "ATR585M"})


def plain(path: Path, image: Array) -> Path:
    fits.PrimaryHDU(image, HEADER).writeto(path)
    return path


def zipped(path: Path, image: Array) -> Path:
    unzipped = plain(path.with_name("unzipped.fits"), image)
    path.write_bytes(gzip.compress(unzipped.read_bytes()))
    return path


def bzipped(path: Path, image: Array) -> Path:
    unzipped = plain(path.with_name("unbzipped.fits"), image)
    path.write_bytes(bz2.compress(unzipped.read_bytes()))
    return path


def tiled(compression: str) -> Callable[[Path, Array], Path]:
    def write(path: Path, image: Array) -> Path:
        hdu = fits.CompImageHDU(image, HEADER, compression_type=compression)
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
        return path

    return write


def extension(path: Path, image: Array) -> Path:
    table = fits.BinTableHDU.from_columns([fits.Column("x", "J", array=np.arange(9))])
    fits.HDUList([fits.PrimaryHDU(), table, fits.ImageHDU(image, HEADER)]).writeto(path)
    return path


def xisf(codec: str | None) -> Callable[[Path, Array], Path]:
    def write(path: Path, image: Array) -> Path:
        keywords = {
            key: [{"value": fits.Card(key, value).image[10:].strip(), "comment": ""}]
            for key, value in {**HEADER, "BITPIX": 8, "BZERO": 7}.items()
        }
        metadata = {"FITSKeywords": keywords}
        XISF.write(str(path), image[:, :, None], image_metadata=metadata, codec=codec, shuffle=True)
        return path

    return write


CONTAINERS = {
    "x.fits.gz": zipped,
    "x.FIT.bz2": bzipped,
    "x.FITS.FZ": tiled("RICE_1"),
    "gzip.fits.fz": tiled("GZIP_2"),
    "smooth.fit.fz": tiled("HCOMPRESS_1"),
    "tiled.fits": tiled("RICE_1"),
    "extension.fits": extension,
    "x.xisf": xisf(None),
    "packed.XISF": xisf("lz4hc"),
}


@pytest.fixture
def contained(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    name = request.param
    return CONTAINERS[name](tmp_path / name, CODES)


every_container = pytest.mark.parametrize("contained", CONTAINERS, indirect=True)


@every_container
def test_headers_equal_those_of_the_plain_file(contained: Path) -> None:
    plain_file = plain(contained.with_name("plain.fits"), CODES)
    ours, theirs = read_header(contained).cards, read_header(plain_file).cards
    names = ("IMAGETYP", "GAIN", "INSTRUME", "BITPIX", "BZERO", "NAXIS", "NAXIS1", "NAXIS2")
    assert {name: ours.get(name) for name in names} == {name: theirs.get(name) for name in names}


@every_container
def test_samples_equal_those_of_the_plain_file(contained: Path) -> None:
    plain_file = plain(contained.with_name("plain.fits"), CODES)
    with RawFrame(contained) as ours, RawFrame(plain_file) as theirs:
        assert (ours.width, ours.height, ours.format) == (40, 30, theirs.format)
        assert np.array_equal(ours.read(70, 900).samples, theirs.read(70, 900).samples)
        codes = [np.empty(500, np.uint16) for _ in range(2)]
        ours.read_codes(13, codes[0])
        theirs.read_codes(13, codes[1])
        assert np.array_equal(*codes)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.float32, np.float64])
def test_xisf_samples_of_every_format_are_in_the_unit_range(tmp_path: Path, dtype: type) -> None:
    image = np.array([[0, 1], [2, 3]]).astype(dtype)
    unity = 3.0 if np.issubdtype(dtype, np.floating) else float(np.iinfo(dtype).max)
    image = image / dtype(3) if np.issubdtype(dtype, np.floating) else image
    step = 1 << 30 if dtype is np.uint32 else 1  # small samples of 32 bits would be ADU
    path = xisf(None)(tmp_path / "x.xisf", image * dtype(step))
    expected = pytest.approx([n * step / unity for n in range(4)])
    with RawFrame(path, "adu16") as frame:
        assert frame.read(0, 4).samples.tolist() == expected
    assert read_image(path)[0].ravel().tolist() == expected


@pytest.mark.parametrize(
    ("bounds", "low", "high"), [("0:65535", 0, 65535), ("-1:3", -1, 3), ("0:0.5", 0, 0.5)]
)
def test_floating_point_samples_of_xisf_are_in_their_bounds(
    tmp_path: Path, write_bounded: Callable[..., None], bounds: str, low: float, high: float
) -> None:
    unit = np.array([[0, 0.25], [0.5, 1]])
    write_bounded(path := tmp_path / "x.xisf", low + unit * (high - low), bounds, {})
    for float_range in ("auto", "adu16"):
        with RawFrame(path, float_range) as frame:
            frame.require_valid_samples()
            np.testing.assert_array_equal(frame.read(0, 4).samples, unit.ravel())
    np.testing.assert_array_equal(read_image(path)[0], unit)


@pytest.mark.parametrize(
    ("bounds", "found"), [("0:1", "500 to 600 where 0 to 1"), ("0:1000000", None)]
)
def test_samples_that_contradict_the_bounds_are_refused(
    tmp_path: Path, write_bounded: Callable[..., None], bounds: str, found: str | None
) -> None:
    write_bounded(path := tmp_path / "x.xisf", np.array([[500, 600]]), bounds, {})
    if found:
        with pytest.raises(FrameError, match=rf"{found} \(the bounds of the file\) .* write it"):
            read_image(path)
    write_bounded(path, np.array([[0.1, 0.2]]), "0:65535", {})
    with RawFrame(path) as frame, pytest.raises(FrameError, match=r"up to 0\.2 where 0 to 65535"):
        frame.require_valid_samples()


@pytest.mark.parametrize("name", ["x.fits.gz", "x.FITS.FZ"])
def test_float_range_applies_to_packed_frames(tmp_path: Path, name: str) -> None:
    image = np.array([[0, 1], [1000, 65535]], np.float32)
    path = (zipped if name.endswith("gz") else tiled("GZIP_2"))(tmp_path / name, image)
    with RawFrame(path, "adu16") as frame:
        assert np.array_equal(frame.read(0, 4).samples, (image / 65535).ravel())


@pytest.mark.parametrize(
    ("name", "write"),
    [("m.fits.gz", zipped), ("m.fits.bz2", bzipped), ("m.fits.gz", tiled("RICE_1"))],
    ids=["gz", "bz2", "fz"],
)
def test_masters_may_be_packed(
    tmp_path: Path, name: str, write: Callable[[Path, Array], Path]
) -> None:
    image, not_finite = read_image(write(tmp_path / name, CODES))
    assert np.array_equal(image, CODES.astype(np.float32) / np.float32(65535))
    assert not_finite == 0


@pytest.mark.parametrize("name", ["x.fits.gz", "x.FIT.bz2", "x.FITS.FZ", "packed.XISF"])
def test_damaged_samples_are_refused_with_the_name_of_the_file(tmp_path: Path, name: str) -> None:
    path = CONTAINERS[name](tmp_path / name, CODES)
    content = path.read_bytes()
    path.write_bytes(content[:-700])
    with pytest.raises(FrameError, match=rf"{name}: cannot be "):
        RawFrame(path)


def test_a_frame_that_was_truncated_before_it_was_packed_is_refused(tmp_path: Path) -> None:
    content = plain(tmp_path / "x.fits", CODES).read_bytes()
    path = tmp_path / "x.fits.bz2"
    path.write_bytes(bz2.compress(content[:-1000]))
    with pytest.raises(
        FrameError, match=r"x\.fits\.bz2: cannot be unpacked \(.* bytes are missing"
    ):
        RawFrame(path)


def test_open_frames_are_not_kept_in_memory(tmp_path: Path) -> None:
    image = np.tile(CODES, (20, 20))
    paths = [tiled("RICE_1")(tmp_path / f"{number}.fits.fz", image) for number in range(6)]
    frames = []
    tracemalloc.start()
    try:
        for path in paths:
            frames.append(RawFrame(path))  # noqa: PERF401 (closed below, also after an error)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        for frame in frames:
            frame.__exit__(None, None, None)
    assert kept < image.nbytes
    assert peak < 8 * image.nbytes
