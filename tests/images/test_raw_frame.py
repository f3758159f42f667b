from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from calmasters.errors import FrameError
from calmasters.images.raw_frame import RawFrame

IMAGE = np.linspace(0, 1, 42, dtype=np.float32).reshape(6, 7)


def write(path: Path, pixels: np.ndarray, **cards: Any) -> Path:
    hdu = fits.PrimaryHDU(pixels)
    hdu.header.update(cards)
    hdu.writeto(path)
    return path


def read_all(path: Path, float_range: str = "unit") -> np.ndarray:
    with RawFrame(path, float_range) as frame:
        return frame.read(0, frame.size).samples.reshape(frame.height, frame.width)


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (np.array([[0, 1, 255]], np.uint8), [0, 1 / 255, 1]),
        (np.array([[0, 1, 65535]], np.uint16), [0, 1 / 65535, 1]),
        (np.array([[-32768, 0, 32767]], np.int16), [0, 32768 / 65535, 1]),
        (np.array([[0, 1 << 31, (1 << 32) - 1]], np.uint32), [0, 2**31 / (2**32 - 1), 1]),
        (np.array([[-(1 << 31), 0]], np.int32), [0, 2**31 / (2**32 - 1)]),
        (np.array([[0, 0.25, 1]], np.float32), [0, 0.25, 1]),
        (np.array([[0, 0.1, 1]], np.float64), [0, 0.1, 1]),
    ],
    ids=["8", "16 unsigned", "16 signed", "32 unsigned", "32 signed", "-32", "-64"],
)
def test_samples_of_every_format_map_to_zero_to_one(
    tmp_path: Path, pixels: np.ndarray, expected: list[float]
) -> None:
    samples = read_all(write(tmp_path / "f.fits", pixels))
    assert samples.dtype == np.float32
    np.testing.assert_array_equal(samples[0], np.array(expected, np.float32))


def test_every_16_bit_code_is_divided_by_65535(tmp_path: Path) -> None:
    codes = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    samples = read_all(write(tmp_path / "f.fits", codes))
    np.testing.assert_array_equal(samples, (codes / 65535).astype(np.float32))


def test_a_strip_is_a_range_of_consecutive_samples(tmp_path: Path) -> None:
    codes = np.arange(60, dtype=np.uint16).reshape(6, 10)
    with RawFrame(write(tmp_path / "f.fits", codes)) as frame:
        assert (frame.width, frame.height, frame.format.is_uint16) == (10, 6, True)
        np.testing.assert_array_equal(
            frame.read(13, 20).samples, (np.arange(13, 33) / 65535).astype(np.float32)
        )
        stored = np.empty(20, np.uint16)
        frame.read_codes(13, stored)
        np.testing.assert_array_equal(stored.view(">i2").astype(int) + 32768, np.arange(13, 33))


def test_a_third_axis_of_one_plane_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "f.fits", IMAGE[None])
    np.testing.assert_array_equal(read_all(path), IMAGE)


@pytest.mark.parametrize("shape", [(3, 6, 7), (7,)])
def test_an_image_of_another_shape_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = write(tmp_path / "f.fits", np.zeros(shape, np.float32))
    with pytest.raises(FrameError, match="expected width x height"):
        RawFrame(path)


def test_64_bit_integers_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "f.fits", np.zeros((2, 2), np.int64))
    with pytest.raises(FrameError, match="BITPIX is 64"):
        RawFrame(path)


def test_float_range_is_the_range_of_float_samples(tmp_path: Path) -> None:
    path = write(tmp_path / "f.fits", np.array([[0, 65535, 6553.5]], np.float32))
    np.testing.assert_array_equal(read_all(path, "adu16"), np.array([[0, 1, 0.1]], np.float32))
    with pytest.raises(FrameError, match=r"0 to 65535 where 0 to 1 .* float_range: adu16"):
        read_all(path, "unit")


@pytest.mark.parametrize(("low", "high"), [(-1, 500), (0, 70_000)])
def test_a_range_that_would_not_help_is_not_advised(
    tmp_path: Path, low: float, high: float
) -> None:
    path = write(tmp_path / "f.fits", np.array([[low, high]], np.float32))
    for float_range in ("unit", "adu16"):
        with pytest.raises(FrameError, match=r"; exclude it$"):
            read_all(path, float_range)


def test_a_frame_from_0_to_1_is_no_frame_in_adu(tmp_path: Path) -> None:
    path = write(tmp_path / "f.fits", np.array([[0, 0.5]], np.float32))
    with RawFrame(path, "unit") as frame:
        frame.require_valid_samples()
    with (
        RawFrame(path, "adu16") as frame,
        pytest.raises(FrameError, match=r"samples up to 0\.5 where 16-bit ADU were expected"),
    ):
        frame.require_valid_samples()


def test_scale_and_zero_of_floats_are_applied_before_the_range(tmp_path: Path) -> None:
    path = write(tmp_path / "f.fits", np.array([[-1, 1]], np.float32), BZERO=32768, BSCALE=16384)
    np.testing.assert_array_equal(
        read_all(path, "adu16"), np.array([[16384, 49152]], np.float64).astype(np.float32) / 65535
    )


def test_integers_scaled_out_of_16_bits_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.fits"
    hdu = fits.PrimaryHDU(np.array([[0, 30000]], np.int16))
    hdu.header["BSCALE"] = 4.0
    hdu.header["BZERO"] = 0.0
    hdu.writeto(path, output_verify="ignore")
    raw = path.read_bytes()
    assert b"BSCALE" in raw
    with pytest.raises(FrameError, match="BZERO and BSCALE do not fit"):
        read_all(path)


def test_samples_that_are_not_finite_become_zero_and_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "f.fits", np.array([[np.nan, 0.5, np.inf, -np.inf]], np.float32))
    with RawFrame(path) as frame:
        strip = frame.read(0, 4)
    np.testing.assert_array_equal(strip.samples, [0, 0.5, 0, 0])
    assert strip.not_finite == 3


def test_a_truncated_file_is_refused_with_its_size_and_the_expected_size(tmp_path: Path) -> None:
    path = write(tmp_path / "f.fits", np.zeros((40, 50), np.uint16))
    data_offset = len(fits.getheader(path).tostring())
    path.write_bytes(path.read_bytes()[: data_offset + 100])
    expected = rf"truncated, {data_offset + 100} bytes found where {data_offset + 4000}"
    with pytest.raises(FrameError, match=expected):
        RawFrame(path)
