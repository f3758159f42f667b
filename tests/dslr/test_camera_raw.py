"""Camera raws: what their metadata and their pixels become."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dng import EXIF, at, write_dng

from calmasters.engines.result_warnings import weak_flats
from calmasters.errors import FrameError
from calmasters.frame import RAW_EXTENSIONS, Status
from calmasters.headers.camera_raw import can_read_raws
from calmasters.headers.image_header import read_cards
from calmasters.images.plain_copy import write_plain_copy
from calmasters.images.raw_frame import RawFrame
from calmasters.inventory.listing import list_files
from calmasters.planning.planner import decide
from calmasters.settings import Settings

MakeSettings = Callable[..., Settings]
SHAPE = (40, 60)


@pytest.fixture
def mosaic() -> np.ndarray:
    return np.random.default_rng(3).integers(500, 16000, SHAPE, np.uint16)


def codes(path: Path) -> np.ndarray:
    with RawFrame(path) as frame:
        samples = frame.read(0, frame.size).samples.reshape(frame.height, frame.width)
    return np.rint(samples * 65535).astype(np.uint16)


# --- metadata -------------------------------------------------------------------------------------


def test_metadata_become_the_cards_of_a_frame(tmp_path: Path, mosaic: np.ndarray) -> None:
    cards = read_cards(write_dng(tmp_path / "a.dng", mosaic))
    expected = {
        "NAXIS1": 60,
        "NAXIS2": 40,
        "INSTRUME": "Canon EOS 6D",
        "GAIN": 800,
        "EXPTIME": 30.0,
        "CCD-TEMP": 21.0,
        "FOCALLEN": 135.0,
        "TELESCOP": "EF135mm f/2L USM",
        "CAMERAID": "0123",
        "DATE-LOC": "2026-01-15T22:03:04",
        "BAYERPAT": "RGGB",
        "SATURATE": 16383,
        "ROWORDER": "TOP-DOWN",
    }
    assert {name: cards.get(name) for name in expected} == expected
    # The clock of a camera shows local time.
    assert "DATE-OBS" not in cards


@pytest.mark.parametrize(
    ("tags", "card", "value"),
    [
        ({"Exif.Photo.OffsetTimeOriginal": "+01:00"}, "DATE-OBS", "2026-01-15T21:03:04"),
        ({"Exif.Photo.SubSecTimeOriginal": "25"}, "DATE-LOC", "2026-01-15T22:03:04.250000"),
        ({"Exif.Photo.DateTimeOriginal": "0000:00:00 00:00:00"}, "DATE-LOC", None),
        ({"Exif.Photo.DateTimeOriginal": "    :  :     :  :  "}, "DATE-LOC", None),
        ({"Exif.Photo.OffsetTimeOriginal": "summer"}, "DATE-OBS", None),
        ({"Exif.Photo.ExposureTime": "1/4000"}, "EXPTIME", 0.00025),
        ({"Exif.Photo.ExposureTime": "12045/100"}, "EXPTIME", 120.45),
        ({"Exif.Photo.ExposureTime": "1/0"}, "EXPTIME", None),
        ({"Exif.Photo.FocalLength": "0/1"}, "FOCALLEN", None),
        ({"Exif.Photo.LensModel": " "}, "TELESCOP", None),
        ({"Exif.CanonSi.CameraTemperature": "128"}, "CCD-TEMP", 0.0),
        ({"Exif.CanonSi.CameraTemperature": "123"}, "CCD-TEMP", -5.0),
    ],
)
def test_unusual_metadata_are_read_or_absent(
    tmp_path: Path, mosaic: np.ndarray, tags: dict[str, str], card: str, value: object
) -> None:
    cards = read_cards(write_dng(tmp_path / "a.dng", mosaic, {**EXIF, **tags}))
    assert cards.get(card) == value


def test_a_camera_that_writes_little_has_few_cards(tmp_path: Path, mosaic: np.ndarray) -> None:
    cards = read_cards(write_dng(tmp_path / "a.dng", mosaic, {}, model="Own Camera"))
    assert cards["INSTRUME"] == "Own Camera"
    absent = {"GAIN", "EXPTIME", "CCD-TEMP", "FOCALLEN", "DATE-LOC", "DATE-OBS"}
    assert not absent & cards.keys()


@pytest.mark.parametrize(
    ("margins", "first", "pattern"),
    [
        ((0, 0, 0, 0), (0, 0), "GRBG"),
        ((4, 8, 2, 6), (0, 0), "GRBG"),
        ((1, 0, 0, 0), (1, 0), "BGGR"),
        ((0, 3, 0, 0), (0, 1), "RGGB"),
    ],
)
def test_only_the_visible_area_is_the_image(
    tmp_path: Path,
    mosaic: np.ndarray,
    margins: tuple[int, int, int, int],
    first: tuple[int, int],
    pattern: str,
) -> None:
    # LibRaw leaves out a row or column more where a margin is odd.
    path = write_dng(tmp_path / "a.dng", mosaic, margins=margins, pattern="GRBG")
    cards = read_cards(path)
    visible = mosaic[first[0] :, first[1] :]
    assert (cards["NAXIS2"], cards["NAXIS1"], cards["BAYERPAT"]) == (*visible.shape, pattern)
    assert np.array_equal(codes(path), visible)


def test_a_mosaic_of_other_squares_has_no_bayer_pattern(tmp_path: Path, mosaic: np.ndarray) -> None:
    x_trans = "GBGGRG RGRBGB GBGGRG GRGGBG BGBRGR GRGGBG".replace(" ", "")
    path = write_dng(tmp_path / "a.dng", mosaic, pattern=x_trans)
    assert "BAYERPAT" not in read_cards(path)
    assert np.array_equal(codes(path), mosaic)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_turned_camera_has_the_same_mosaic(
    tmp_path: Path, mosaic: np.ndarray, orientation: int
) -> None:
    path = write_dng(tmp_path / "a.dng", mosaic, orientation=orientation)
    assert (read_cards(path)["NAXIS1"], read_cards(path)["BAYERPAT"]) == (60, "RGGB")
    assert np.array_equal(codes(path), mosaic)


# --- pixels ---------------------------------------------------------------------------------------


def test_strips_of_a_raw_are_those_of_its_mosaic(tmp_path: Path, mosaic: np.ndarray) -> None:
    with RawFrame(write_dng(tmp_path / "a.dng", mosaic)) as frame:
        assert frame.format.is_uint16
        strip = frame.read(1000, 777).samples
    expected = mosaic.reshape(-1)[1000:1777].astype(np.float32) / np.float32(65535)
    assert np.array_equal(strip, expected)


def test_a_plain_copy_is_read_as_the_raw(tmp_path: Path, mosaic: np.ndarray) -> None:
    path = write_dng(tmp_path / "a.dng", mosaic, pattern="GRBG")
    write_plain_copy(path, tmp_path / "a.fits")
    assert np.array_equal(codes(tmp_path / "a.fits"), mosaic)
    assert read_cards(tmp_path / "a.fits")["BAYERPAT"] == "GRBG"


def test_a_raw_at_its_white_level_everywhere_is_refused(tmp_path: Path) -> None:
    path = write_dng(tmp_path / "a.dng", np.full(SHAPE, 4095, np.uint16), white=4095)
    with RawFrame(path) as frame, pytest.raises(FrameError, match="every pixel is saturated"):
        frame.require_valid_samples()
    other = write_dng(tmp_path / "b.dng", np.full(SHAPE, 4095, np.uint16), white=16383)
    with RawFrame(other) as frame:
        frame.require_valid_samples()


# --- files that cannot be used --------------------------------------------------------------------


def test_a_truncated_raw_is_refused(tmp_path: Path, mosaic: np.ndarray) -> None:
    path = write_dng(tmp_path / "whole.dng", mosaic)
    (tmp_path / "a.dng").write_bytes(path.read_bytes()[:-2000])
    read_cards(path)  # so that the kind of the frame is known
    with pytest.raises(FrameError, match=r"a\.dng: cannot be decoded .*; copy it again"):
        RawFrame(tmp_path / "a.dng")


@pytest.mark.parametrize("content", [b"", b"x" * 5000, b"II*\0" + bytes(3000)])
def test_what_is_no_raw_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.cr2").write_bytes(content)
    with pytest.raises(FrameError, match=r"; copy such raws again|; copy it again"):
        read_cards(tmp_path / "a.cr2")


def test_an_image_of_colours_is_refused(tmp_path: Path, mosaic: np.ndarray) -> None:
    path = write_dng(tmp_path / "a.dng", np.dstack([mosaic] * 3))
    with pytest.raises(FrameError, match=r"contains colours and no mosaic .* as full raws"):
        read_cards(path)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_no_text_is_refused(tmp_path: Path, mosaic: np.ndarray) -> None:
    path = write_dng(tmp_path / "a.dng", mosaic).rename(tmp_path / os.fsdecode(b"\xff.dng"))
    with pytest.raises(FrameError, match=r"has a name that is not text.*; rename it"):
        read_cards(path)


@pytest.mark.parametrize("extension", RAW_EXTENSIONS)
def test_the_extension_of_any_camera_raw_is_read(
    tmp_path: Path, mosaic: np.ndarray, extension: str
) -> None:
    # LibRaw looks at the content.
    path = write_dng(tmp_path / "a.dng", mosaic)
    path = path.rename(tmp_path / f"a{extension.upper()}")
    assert read_cards(path)["GAIN"] == 800


# --- the packages ---------------------------------------------------------------------------------

_WITHOUT = """
import sys
sys.modules["exiv2"] = None
from pathlib import Path
from calmasters.inventory.other_files import problem_of_format
from calmasters.headers.image_header import read_cards
from calmasters.engines.result_warnings import weak_flats
from calmasters.errors import FrameError
print(problem_of_format("IMG_1.CR2"))
try:
    read_cards(sys.argv[1])
except FrameError as error:
    print(error)
"""


def test_without_the_packages_a_raw_says_what_to_install(
    tmp_path: Path, mosaic: np.ndarray
) -> None:
    path = write_dng(tmp_path / "a.dng", mosaic)
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        f"is a camera raw ({name}), and the packages that read it are not installed; install "
        "them: pip install 'calmasters[dslr]'"
        for name in ("CR2", "DNG")
    ]


_PLAIN = """
import sys
from calmasters.inventory.header_cache import HeaderCache
from calmasters.images.raw_frame import RawFrame
from calmasters.planning.planner import decide
assert not {"rawpy", "exiv2"} & {*sys.modules}
"""


def test_the_packages_are_imported_for_camera_raws_only() -> None:
    subprocess.run([sys.executable, "-c", _PLAIN], check=True)


def test_raws_are_used_once_the_packages_are_installed(
    tmp_path: Path,
    mosaic: np.ndarray,
    make_settings: MakeSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in range(3):
        write_dng(
            tmp_path / "frames" / "Bias" / f"{number}.dng",
            mosaic,
            at(f"2026-01-15T20:00:0{number}", ExposureTime="1/4000"),
        )
    settings = make_settings()
    with monkeypatch.context() as uninstalled:
        uninstalled.setitem(sys.modules, "rawpy", None)
        can_read_raws.cache_clear()
        before, without = list_files(settings).digest, decide(settings)
    can_read_raws.cache_clear()
    assert {verdict.status for verdict in without.verdicts.values()} == {Status.REFUSED}
    assert list_files(settings).digest != before
    assert [len(job.frames) for job in decide(settings).jobs] == [3]


def test_a_raw_and_its_conversion_to_dng_count_once(
    tmp_path: Path, mosaic: np.ndarray, make_settings: MakeSettings
) -> None:
    folder = tmp_path / "frames" / "Bias"
    for number in range(3):
        tags = at(f"2026-01-15T20:00:0{number}", ExposureTime="1/4000")
        path = write_dng(folder / f"IMG_{number}.dng", mosaic + np.uint16(number), tags)
        path.rename(path.with_suffix(".CR2"))
        # A converter may change the bytes, not what the camera wrote.
        write_dng(path, mosaic + np.uint16(number), tags, margins=(2, 2, 2, 2))
    decision = decide(make_settings())
    assert [frame.path for frame in decision.jobs[0].frames] == [
        f"Bias/IMG_{number}.CR2" for number in range(3)
    ]
    reasons = {each.reason for each in decision.verdicts.values() if each.reason}
    assert reasons == {f"is a copy of Bias/IMG_{number}.CR2" for number in range(3)}


def test_flats_near_the_white_level_of_the_camera_are_reported() -> None:
    (warning,) = weak_flats(["a.cr2"], [0.22], white=0.25)
    assert "a.cr2 is at 88% of saturation: expose flats shorter" in str(warning)
    assert list(weak_flats(["a.cr2"], [0.22])) == []
