"""Every file of the directory gets a row: no file raises an error or is read for long."""

from __future__ import annotations

import gzip
import time
import warnings
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import yaml
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st
from xisf import XISF

from calmasters.frame import IMAGE_EXTENSIONS, Frame
from calmasters.headers.dialects import ALIASES
from calmasters.inventory.header_cache import HeaderCache
from calmasters.inventory.scan import scan_frames
from calmasters.inventory.verdicts import check_frame
from calmasters.settings import Settings

IMAGE = np.zeros((3, 4), np.uint16)
HEADER = fits.Header({"IMAGETYP": "BIAS", "GAIN": 100, "NOTE": "long " * 30})


def row_of(settings: Settings, name: str, content: bytes) -> Frame:
    """Write a file into ``input_dir``, and read it as a frame."""
    settings.input_dir.mkdir(exist_ok=True)
    path = settings.input_dir / name
    path.write_bytes(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # astropy's, about odd cards
            (frame,) = HeaderCache(settings).read(scan_frames(settings), settings.input_dir)
    finally:
        path.unlink()
    return frame


def assert_good_or_refused(settings: Settings, frame: Frame) -> None:
    """Check that a frame is good, or is refused with a reason."""
    verdict = check_frame(frame, settings)
    if verdict is None:
        assert frame.geometry is not None
    else:
        assert verdict.reason


@pytest.fixture(scope="module")
def shared_settings(tmp_path_factory: pytest.TempPathFactory, schema: Path) -> Settings:
    """The default settings, for one directory that all examples of a property use."""
    directory = tmp_path_factory.mktemp("rows")
    config = yaml.safe_load(schema.with_name("config.yaml").read_text(encoding="utf-8"))
    settings = Settings.from_config(config, schema)
    return replace(settings, input_dir=directory / "frames", output_dir=directory / "output")


# --- any bytes ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def valid_files(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    """A valid file of every container, by its file extension."""
    plain, tiled = BytesIO(), BytesIO()
    fits.PrimaryHDU(IMAGE, HEADER).writeto(plain)
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(IMAGE, HEADER)]).writeto(tiled)
    path = tmp_path_factory.mktemp("xisf") / "x.xisf"
    keywords = {"IMAGETYP": [{"value": "'BIAS'", "comment": ""}]}
    XISF.write(str(path), IMAGE[:, :, None], image_metadata={"FITSKeywords": keywords})
    return {
        ".fits": plain.getvalue(),
        ".fits.fz": tiled.getvalue(),
        ".fits.gz": gzip.compress(plain.getvalue()),
        ".xisf": path.read_bytes(),
    }


PIECES = st.one_of(
    st.binary(min_size=1, max_size=8),
    st.sampled_from([b"NAXIS", b"=   99999999999999999999", b"= INF", b"= -1", b"END     "]),
    st.sampled_from(
        [b"XTENSION", b"IMAGE", b"CONTINUE", b"HIERARCH", b"ZIMAGE", b"geometry", b">"]
    ),
)


@given(st.data())
@pytest.mark.parametrize("ending", [".fits", ".fits.fz", ".fits.gz", ".xisf"])
def test_damaged_files_of_every_container_have_a_row(
    shared_settings: Settings, valid_files: Mapping[str, bytes], ending: str, data: st.DataObject
) -> None:
    content = bytearray(valid_files[ending])
    for _ in range(data.draw(st.integers(0, 5))):
        at, piece = data.draw(st.integers(0, len(content))), data.draw(PIECES)
        content[at : at + len(piece)] = piece
    length = data.draw(st.integers(0, len(content)))
    assert_good_or_refused(
        shared_settings, row_of(shared_settings, f"x{ending}", bytes(content[:length]))
    )


@given(st.binary(max_size=300), st.sampled_from(IMAGE_EXTENSIONS))
def test_any_bytes_have_a_row(shared_settings: Settings, content: bytes, ending: str) -> None:
    assert row_of(shared_settings, f"x{ending}", content).problems


NAMES = sorted({name for names in ALIASES.values() for name in names} | {"IMAGETYP", "DATE-OBS"})
STARTS = st.one_of(st.sampled_from(NAMES), st.text(max_size=8)).map(lambda name: f"{name:<8}"[:8])
LINES = st.builds(
    lambda start, middle, rest: f"{start}{middle}{rest}",
    *(STARTS, st.sampled_from(["= ", "=", "  ", "= '", "= -"]), st.text(max_size=70)),
)


@given(st.lists(LINES, max_size=12), st.sampled_from(" \0"))
def test_any_cards_have_a_row(shared_settings: Settings, lines: list[str], padding: str) -> None:
    sizes = ("BITPIX  = 16", "NAXIS   = 2", "NAXIS1  = 4", "NAXIS2  = 3")
    cards = ("SIMPLE  = T", *sizes, *lines, "END")
    text = b"".join(card.encode("utf-8", "replace")[:80].ljust(80) for card in cards)
    content = text.ljust(-(-len(text) // 2880) * 2880, padding.encode()) + bytes(2880)
    assert_good_or_refused(shared_settings, row_of(shared_settings, "x.fits", content))


# --- how much is read -----------------------------------------------------------------------------


def bytes_read() -> int:
    """Return the bytes that this process has read so far."""
    counts = Path("/proc/self/io")
    if not counts.is_file():
        pytest.skip("the system does not count what a process reads")
    return int(counts.read_text().split("rchar:")[1].split()[0])


def long_file(content: bytes, path: Path) -> Path:
    """Write a sparse file with 64 MB of data."""
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        file.write(content)
        file.truncate(len(content) + 64_000_000)
    return path


def header_of(hdu: fits.PrimaryHDU | fits.ImageHDU) -> bytes:
    header = hdu.header.copy()
    header["NAXIS"], header["NAXIS1"], header["NAXIS2"] = 2, 8000, 4000
    return bytes(header.tostring().encode())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.fits", header_of(fits.PrimaryHDU(IMAGE, HEADER))),
        (
            "extension.fits",
            fits.PrimaryHDU().header.tostring().encode() + header_of(fits.ImageHDU(IMAGE, HEADER)),
        ),
        ("no_end.fits", b"SIMPLE  =                    T".ljust(80) * 36),
        ("not_fits.fits", b"The sky was clear."),
        ("not_xisf.xisf", b"XISF0100\xff\xff\xff\xff"),
    ],
    ids=["image", "extension", "no END", "text", "XISF with a header of 4 GB"],
)
def test_of_a_long_file_only_the_header_is_read(
    settings: Settings, name: str, content: bytes
) -> None:
    long_file(content, settings.input_dir / name)
    files, cache = scan_frames(settings), HeaderCache(settings)
    before = bytes_read()
    cache.read(files, settings.input_dir)
    # A header without END is read up to 3 MB.
    assert bytes_read() - before < (3_200_000 if name == "no_end.fits" else 100_000)


def test_of_a_compressed_file_only_the_beginning_is_read(settings: Settings) -> None:
    content = header_of(fits.PrimaryHDU(IMAGE, HEADER)) + bytes(2880 * 22_223)
    path = settings.input_dir / "x.fits.gz"
    path.parent.mkdir()
    noise = np.random.default_rng(1).bytes(8_000_000)
    path.write_bytes(gzip.compress(content[:-8_000_000] + noise, 1))
    before = bytes_read()
    (frame,) = HeaderCache(settings).read(scan_frames(settings), settings.input_dir)
    assert frame.keywords["GAIN"] == 100
    assert bytes_read() - before < 500_000


@pytest.mark.parametrize(
    "content",
    [
        b"SIMPLE  =                    T".ljust(80) * 40_000,
        b"".join(f"K{number:<7}= '".encode().ljust(80) for number in range(30_000)),
        fits.PrimaryHDU().header.tostring().encode()
        + fits.ImageHDU().header.tostring().encode() * 3000,
        b"SIMPLE  = T".ljust(80) + b"END      " * 30_000,
    ],
    ids=["no END", "30,000 cards", "3,000 extensions", "END in odd places"],
)
def test_very_long_headers_are_refused_in_time(settings: Settings, content: bytes) -> None:
    started = time.perf_counter()
    frame = row_of(settings, "x.fits", content)
    assert frame.problems
    assert time.perf_counter() - started < 5
