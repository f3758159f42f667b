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


def read_all(path: Path, float_range: str = "auto") -> np.ndarray:
    with RawFrame(path, float_range) as frame:
        return frame.read(0, frame.size).samples.reshape(frame.height, frame.width)


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (np.array([[0, 1, 255]], np.uint8), [0, 1 / 255, 1]),
        (np.array([[0, 1, 65535]], np.uint16), [0, 1 / 65535, 1]),
        (np.array([[0, 1000, 32767]], np.int16), [0, 1000 / 65535, 32767 / 65535]),
        (np.array([[0, 1 << 31, (1 << 32) - 1]], np.uint32), [0, 2**31 / (2**32 - 1), 1]),
        (np.array([[0, 510, 65535]], np.uint32), [0, 510 / 65535, 1]),
        (np.array([[0, 510, 65535]], np.int32), [0, 510 / 65535, 1]),
        (np.array([[0, 0.25, 1]], np.float32), [0, 0.25, 1]),
        (np.array([[0, 0.1, 1]], np.float64), [0, 0.1, 1]),
        (np.array([[0, 510, 65535]], np.float32), [0, 510 / 65535, 1]),
        (np.array([[0, 510, 65535]], np.float64), [0, 510 / 65535, 1]),
    ],
    ids=[
        *("8", "16 unsigned", "16 signed", "32 unsigned", "ADU in 32 unsigned"),
        *("ADU in 32 signed", "-32", "-64", "ADU in -32", "ADU in -64"),
    ],
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
    np.testing.assert_array_equal(read_all(path), read_all(path, "adu16"))
    with pytest.raises(FrameError, match=r"0 to 65535 where 0 to 1 .*; set float_range: auto"):
        read_all(path, "unit")


@pytest.mark.parametrize(
    ("low", "high", "found"), [(-1, 500, "-1 to 500"), (-1, 7e4, "-1 to 70000"), (-1, 0.5, "-1 to")]
)
def test_samples_that_fit_neither_range_are_refused(
    tmp_path: Path, low: float, high: float, found: str
) -> None:
    path = write(tmp_path / "f.fits", np.array([[low, high]], np.float32))
    with pytest.raises(FrameError, match=rf"{found} .* was expected; exclude it$"):
        read_all(path)


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint32])
def test_sums_of_16_bit_frames_are_refused_as_what_they_are(tmp_path: Path, dtype: type) -> None:
    frames = [np.full((20, 10), 25_000 + number, dtype) for number in range(3)]
    path = write(tmp_path / "f.fits", np.sum(frames, 0, dtype))
    with (
        RawFrame(path) as frame,
        pytest.raises(FrameError, match=r"75003 to 75003 where 0 to 65535 .*; if it is a sum of"),
    ):
        frame.require_valid_samples(quick=True)


def test_samples_that_fit_both_ranges_are_refused_with_the_setting(tmp_path: Path) -> None:
    path = write(tmp_path / "f.fits", np.array([[0, 1.2]], np.float32))
    with pytest.raises(
        FrameError, match=r"up to 1\.2, which are neither .*, set float_range: adu16$"
    ):
        read_all(path)
    assert read_all(path, "adu16")[0, 1] == pytest.approx(1.2 / 65535)


def test_a_frame_from_0_to_1_is_no_frame_in_adu(tmp_path: Path) -> None:
    path = write(tmp_path / "f.fits", np.array([[0, 0.5]], np.float32))
    for float_range in ("auto", "unit"):
        with RawFrame(path, float_range) as frame:
            frame.require_valid_samples()
    expected = (
        r"samples up to 0\.5 where 0 to 65535 \(float_range: adu16\) was expected; set .* auto"
    )
    for quick in (True, False):
        with RawFrame(path, "adu16") as frame, pytest.raises(FrameError, match=expected):
            frame.require_valid_samples(quick=quick)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.uint32])
def test_a_sample_that_contradicts_those_in_the_middle_is_refused(
    tmp_path: Path, dtype: type
) -> None:
    image = np.full((200, 100), 500, dtype)
    image[3, 4] = 66_000
    adu, unit = tmp_path / "adu.fits", tmp_path / "unit.fits"
    with RawFrame(write(adu, image)) as frame:
        frame.require_valid_samples(quick=True)
        with pytest.raises(FrameError, match="500 to 66000 where 0 to 65535 was expected"):
            frame.require_valid_samples()
    if np.issubdtype(dtype, np.floating):
        with RawFrame(write(unit, image / 66_000)) as frame:
            assert frame.read(0, frame.size).samples.max() == 1
        image[3, 4] = 2 * 66_000
        with (
            RawFrame(write(tmp_path / "both.fits", image / 66_000)) as frame,
            pytest.raises(FrameError, match="to 2 where 0 to 1 was expected; exclude it"),
        ):
            frame.require_valid_samples()


def test_a_black_middle_says_nothing_of_the_range(tmp_path: Path) -> None:
    image = np.zeros((200, 100), np.float32)
    image[0] = 510
    assert read_all(write(tmp_path / "f.fits", image))[0, 0] == np.float32(510 / 65535)


def test_a_middle_that_may_have_either_range_is_judged_by_all_samples(tmp_path: Path) -> None:
    image = np.full((200, 100), 3, np.float32)
    image[5, 6] = 900  # a hot pixel of a dark without its bias
    assert read_all(write(tmp_path / "f.fits", image))[0, 0] == np.float32(3 / 65535)


@pytest.mark.parametrize(("dtype", "remedy"), [(np.int16, "set BZERO"), (np.int32, "convert it")])
def test_negative_samples_without_bzero_are_refused(
    tmp_path: Path, dtype: type, remedy: str
) -> None:
    path = write(tmp_path / "f.fits", np.array([[-32268, -32000]], dtype))
    with pytest.raises(FrameError, match=rf"-32268 to -32000 .* {remedy}"):
        read_all(path)


def test_32_bit_samples_without_bzero_that_are_no_adu_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "f.fits", np.array([[500, 1 << 20]], np.int32))
    with pytest.raises(FrameError, match=r"where 0 to 65535 was expected; .* convert it to 16"):
        read_all(path)


# --- order of the rows ----------------------------------------------------------------------------


def reversed_rows(path: Path, pixels: np.ndarray, order: str = "BOTTOM-UP") -> Path:
    return write(path, np.ascontiguousarray(pixels[::-1]), ROWORDER=order)


@pytest.mark.parametrize("order", ["BOTTOM-UP", "bottom-up", " BOTTOM-UP "])
@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.uint8, np.float32])
def test_rows_from_bottom_to_top_are_reversed(tmp_path: Path, order: str, dtype: type) -> None:
    pixels = np.arange(1, 43).reshape(6, 7).astype(dtype)
    plain = read_all(write(tmp_path / "plain.fits", pixels, ROWORDER="TOP-DOWN"))
    with RawFrame(reversed_rows(tmp_path / "f.fits", pixels, order)) as frame:
        assert frame.is_bottom_up
        for start in range(42):
            for count in (1, 5, 7, 8, 20):
                if start + count <= 42:
                    samples = frame.read(start, count).samples
                    np.testing.assert_array_equal(samples, plain.ravel()[start : start + count])


def test_codes_of_rows_from_bottom_to_top_are_reversed(tmp_path: Path) -> None:
    pixels = np.arange(42, dtype=np.uint16).reshape(6, 7)
    stored = np.empty(10, np.uint16)
    with RawFrame(reversed_rows(tmp_path / "f.fits", pixels)) as frame:
        frame.read_codes(9, stored)
    np.testing.assert_array_equal(stored.view(">i2").astype(int) + 32768, np.arange(9, 19))


@pytest.mark.parametrize("ending", [".gz", ".fz"])
def test_rows_of_packed_frames_are_reversed(tmp_path: Path, ending: str) -> None:
    pixels = np.arange(42, dtype=np.uint16).reshape(6, 7)
    path = tmp_path / f"f.fits{ending}"
    header = fits.Header({"ROWORDER": "BOTTOM-UP"})
    if ending == ".fz":
        fits.CompImageHDU(pixels[::-1], header).writeto(path)
    else:
        fits.PrimaryHDU(pixels[::-1], header).writeto(path)
    np.testing.assert_array_equal(read_all(path), (pixels / 65535).astype(np.float32))


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


def with_empty_end(path: Path, image: np.ndarray, missing: int, **cards: Any) -> Path:
    """Write an image whose last bytes, before those that fill the last block, are 0."""
    size = len(write(path, image, **cards).read_bytes())
    end = len(fits.getheader(path).tostring()) + image.nbytes
    path.write_bytes(path.read_bytes()[: end - missing].ljust(size, b"\0"))
    return path


def samples_of(dtype: Any, shape: tuple[int, int] = (60, 100)) -> np.ndarray:
    """Samples of a bias, all above 0."""
    samples = np.random.default_rng(3).integers(80, 120, shape).astype(dtype)
    return samples / dtype(1000) if np.dtype(dtype).kind == "f" else samples


def check(path: Path, quick: bool = False) -> None:
    with RawFrame(path) as frame:
        frame.require_valid_samples(quick=quick)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.uint32, np.float32])
@pytest.mark.parametrize("order", ["TOP-DOWN", "BOTTOM-UP"])
def test_a_file_whose_end_is_empty_is_refused(tmp_path: Path, dtype: type, order: str) -> None:
    missing = 1240 * np.dtype(dtype).itemsize
    image = samples_of(dtype)
    path = with_empty_end(tmp_path / "f.fits", image, missing, ROWORDER=order)
    expected = r"f\.fits: the end of the file is empty \(1240 samples of the last 13 rows\): copy"
    with pytest.raises(FrameError, match=expected):
        check(path)
    check(path, quick=True)
    check(write(tmp_path / "whole.fits", image, ROWORDER=order))


@pytest.mark.parametrize(("missing", "is_empty"), [(998, False), (1000, True), (11_000, True)])
def test_some_bytes_at_the_end_of_16_bits_may_be_0(
    tmp_path: Path, missing: int, is_empty: bool
) -> None:
    path = with_empty_end(tmp_path / "f.fits", samples_of(np.uint16), missing)
    if not is_empty:
        check(path)
        return
    with pytest.raises(FrameError, match="the end of the file is empty"):
        check(path)


def test_rows_of_32768_at_the_end_are_empty(tmp_path: Path) -> None:
    path = with_empty_end(tmp_path / "f.fits", samples_of(np.uint16), 2000)
    with pytest.raises(FrameError, match="1000 samples of the last 10 rows"):
        check(path)


def black(image: np.ndarray, *places: Any) -> np.ndarray:
    for place in places:
        image[place] = 0
    return image


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
@pytest.mark.parametrize(
    "places",
    [
        pytest.param([np.s_[-20:]], id="masked rows"),
        pytest.param([np.s_[-20:], np.s_[:, -20:]], id="and columns"),
        pytest.param([np.s_[-20:], np.s_[-21, -5:]], id="and noise"),
        pytest.param(
            [np.hypot(*(np.indices((60, 100)).T - [25, 50]).T) > 20], id="outside of a circle"
        ),
        pytest.param([np.random.default_rng(2).random((60, 100)) < 0.999], id="hardly any signal"),
    ],
)
def test_black_rows_at_the_end_may_be_real(tmp_path: Path, dtype: type, places: list[Any]) -> None:
    check(write(tmp_path / "f.fits", black(samples_of(dtype), *places)))


def test_black_rows_of_unsigned_16_bits_are_real(tmp_path: Path) -> None:
    image = black(samples_of(np.uint16), np.s_[-20:], np.s_[-21, 40:])
    check(write(tmp_path / "f.fits", image))


def test_a_truncated_file_is_refused_with_its_size_and_the_expected_size(tmp_path: Path) -> None:
    path = write(tmp_path / "f.fits", np.zeros((40, 50), np.uint16))
    data_offset = len(fits.getheader(path).tostring())
    path.write_bytes(path.read_bytes()[: data_offset + 100])
    expected = rf"truncated, {data_offset + 100} bytes found where {data_offset + 4000}"
    with pytest.raises(FrameError, match=expected):
        RawFrame(path)
