"""Frames with an overscan or several amplifiers, read with known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from calmasters.errors import FrameError
from calmasters.frame_layout import PEDESTAL_ADU, FrameLayout, FramePart, Section
from calmasters.images.assembled_frame import AssembledFrame

WIDTH, HEIGHT = 40, 30
ROWS = np.arange(HEIGHT)[:, None]


def image_of(
    random: np.random.Generator, data: Section, level: np.ndarray | float, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return an image of overscan at a level, and the part of it that saw light, without it."""
    seen = random.integers(100, 40000, (data.height, data.width)).astype(float)
    image = np.zeros((size[1], size[0])) + level
    image[data.top : data.bottom, data.left : data.right] += seen
    return image, seen


def write(path: Path, pixels: np.ndarray, dtype: Any = np.uint16, **cards: Any) -> Path:
    fits.PrimaryHDU(pixels.astype(dtype), fits.Header(cards)).writeto(path)
    return path


def layout_of(data: Section, *overscan: Section, level: str = "median") -> FrameLayout:
    return FrameLayout.of(
        data.width, data.height, [FramePart(data, overscan=tuple(overscan))], level
    )


def read(path: Path, layout: FrameLayout, **options: Any) -> np.ndarray:
    """Read a frame in ADU, by strips that are no complete rows."""
    options = {"pedestal_adu": layout.pedestal_adu, **options}
    with AssembledFrame(path, layout, **options) as frame:
        pieces = [
            frame.read(start, min(77, frame.size - start)).samples
            for start in range(0, frame.size, 77)
        ]
        whole = frame.read(0, frame.size).samples
    assert np.array_equal(np.concatenate(pieces), whole)
    return whole.reshape(layout.height, layout.width)


def unit(adu: np.ndarray) -> np.ndarray:
    """Return samples as a plain frame of these ADU has them, to the bit."""
    result: np.ndarray = (adu / 65535).astype(np.float32)
    return result


DATA = Section(0, WIDTH, 0, HEIGHT)
RIGHT, LEFT = Section(WIDTH, WIDTH + 8, 0, HEIGHT), Section(0, 8, 0, HEIGHT)


@pytest.mark.parametrize(
    ("data", "overscan", "level"),
    [
        pytest.param(DATA, [RIGHT], 500, id="on the right"),
        pytest.param(Section(8, 48, 0, HEIGHT), [LEFT], 500, id="on the left"),
        pytest.param(DATA, [RIGHT], 500 + 3 * ROWS, id="that drifts along the rows"),
        pytest.param(
            DATA, [RIGHT], 500 + 50 * (np.arange(HEIGHT) % 7 > 3)[:, None], id="that jumps"
        ),
        pytest.param(
            Section(0, 48, 2, HEIGHT),
            [Section(0, 48, 0, 2)],
            500 + np.arange(48)[None, :],
            id="above the image",
        ),
        pytest.param(
            Section(4, 40, 0, 26),
            [Section(40, 48, 0, 30), Section(4, 40, 26, 30)],
            500 + 2 * ROWS + np.arange(48)[None, :] * (np.arange(48) < 40),
            id="beside and below",
        ),
    ],
)
def test_the_level_of_each_line_is_subtracted_to_the_bit(
    tmp_path: Path, data: Section, overscan: list[Section], level: np.ndarray | float
) -> None:
    image, seen = image_of(np.random.default_rng(1), data, level, (48, HEIGHT))
    path = write(tmp_path / "frame.fits", image)
    assert np.array_equal(read(path, layout_of(data, *overscan)), unit(seen + PEDESTAL_ADU))


def test_the_levels_of_both_sides_are_averaged(tmp_path: Path) -> None:
    data, random = Section(8, 48, 0, HEIGHT), np.random.default_rng(1)
    image, seen = image_of(random, data, 500, (56, HEIGHT))
    image[:, :8], image[:, 48:] = 490, 510
    path = write(tmp_path / "frame.fits", image)
    layout = layout_of(data, LEFT, Section(48, 56, 0, HEIGHT))
    assert np.array_equal(read(path, layout), unit(seen + PEDESTAL_ADU))


@pytest.mark.parametrize("method", ["polynomial", "constant", "median"])
def test_methods_differ_in_the_noise_of_lines(tmp_path: Path, method: str) -> None:
    random, drift = np.random.default_rng(2), 0.02 * (np.arange(600)[:, None] - 300) ** 2 / 100
    truth = np.full((600, WIDTH), 2000.0)
    image = np.hstack([truth, np.zeros((600, 8))]) + 500 + drift + random.normal(0, 5, (600, 48))
    data = Section(0, WIDTH, 0, 600)
    path = write(tmp_path / "frame.fits", np.rint(image))
    layout = layout_of(data, Section(WIDTH, 48, 0, 600), level=method)
    rows = (read(path, layout) * 65535.0 - PEDESTAL_ADU).mean(axis=1)
    # A row's own mean has 5 / sqrt(40) = 0.79 ADU; the median of 8 samples adds 2.2.
    slow = np.median(rows.reshape(12, 50), axis=1)
    assert abs(slow.mean() - 2000) < (10 if method == "constant" else 0.5)
    assert (np.ptp(slow) > 10) == (method == "constant")
    noise = np.std(np.diff(rows)) / np.sqrt(2)
    assert noise == pytest.approx(2.3 if method == "median" else 0.8, rel=0.15)


def test_an_outlier_in_the_overscan_does_not_bend_the_polynomial(tmp_path: Path) -> None:
    image, seen = image_of(np.random.default_rng(1), DATA, 500 + 2 * ROWS, (48, HEIGHT))
    image[11, WIDTH:] += 3000
    path = write(tmp_path / "frame.fits", image)
    found = read(path, layout_of(DATA, RIGHT, level="polynomial")) * 65535.0
    assert np.abs(found - seen - PEDESTAL_ADU).max() < 0.01


def test_lines_without_an_overscan_have_the_level_of_the_next(tmp_path: Path) -> None:
    level = 500 + 10 * np.clip(ROWS, 3, 26)
    image, seen = image_of(np.random.default_rng(1), DATA, level, (48, HEIGHT))
    image[:3, WIDTH:] = 0
    path = write(tmp_path / "frame.fits", image)
    layout = layout_of(DATA, Section(WIDTH, 48, 3, 27))
    assert np.array_equal(read(path, layout), unit(seen + PEDESTAL_ADU))


def test_rows_from_bottom_to_top_keep_their_level(tmp_path: Path) -> None:
    data, random = Section(0, WIDTH, 0, 25), np.random.default_rng(1)
    image, seen = image_of(random, data, 500 + 3 * ROWS, (48, HEIGHT))
    path = write(tmp_path / "frame.fits", image, ROWORDER="BOTTOM-UP")
    layout = layout_of(data, RIGHT).upside_down([HEIGHT])
    assert layout.parts[0].data == Section(0, WIDTH, 5, HEIGHT)
    assert np.array_equal(read(path, layout), unit(seen[::-1] + PEDESTAL_ADU))


@pytest.mark.parametrize(
    ("dtype", "scale"), [(np.int16, 1), (np.int32, 1), (np.float32, 1), (np.float32, 1 / 65535)]
)
def test_every_sample_format_has_the_same_frame(tmp_path: Path, dtype: Any, scale: float) -> None:
    image, seen = image_of(np.random.default_rng(1), DATA, 500, (48, HEIGHT))
    image, seen = image // 2, (image // 2)[:, :WIDTH] - 250
    path = write(tmp_path / "frame.fits", image * scale, dtype)
    found = read(path, layout_of(DATA, RIGHT)) * 65535.0
    assert np.abs(found - seen - PEDESTAL_ADU).max() < 0.01


def test_samples_below_the_level_are_not_cut_off(tmp_path: Path) -> None:
    """The mean error at level 0 with a noise of 5 ADU is below 0.05 ADU."""
    random = np.random.default_rng(3)
    image = np.rint(random.normal(500, 5, (800, 432)))
    path = write(tmp_path / "frame.fits", image)
    data = Section(0, 400, 0, 800)
    layout = layout_of(data, Section(400, 432, 0, 800))
    found = read(path, layout) * 65535.0 - layout.pedestal_adu
    assert abs(found.mean()) < 0.05
    assert (found < 0).mean() == pytest.approx(0.5, abs=0.03)


def test_samples_that_are_not_finite_are_counted(tmp_path: Path) -> None:
    image, seen = image_of(np.random.default_rng(1), DATA, 500, (48, HEIGHT))
    image[4, 5], image[6, WIDTH + 1], image[7, WIDTH:] = np.nan, np.nan, np.inf
    path = write(tmp_path / "frame.fits", image, np.float32)
    with AssembledFrame(path, layout_of(DATA, RIGHT), pedestal_adu=PEDESTAL_ADU) as frame:
        strip = frame.read(0, frame.size)
    assert strip.not_finite == 1
    expected = unit(seen + PEDESTAL_ADU)
    expected[4, 5] = 0
    assert np.abs(strip.samples.reshape(expected.shape) - expected).max() < 1e-7


@pytest.mark.parametrize(
    ("flip_x", "flip_y"), [(False, False), (True, False), (False, True), (True, True)]
)
def test_amplifiers_are_put_in_place_and_turned(tmp_path: Path, flip_x: bool, flip_y: bool) -> None:
    """A ramp over the sensor is a ramp again."""
    ramp = np.arange(HEIGHT)[:, None] * 100 + np.arange(WIDTH)[None, :] * 10.0 + 2000
    hdus, parts = [fits.PrimaryHDU()], []
    for number, (x, y) in enumerate(((0, 0), (20, 0), (0, 15), (20, 15))):
        part = ramp[y : y + 15, x : x + 20]
        part = part[:: -1 if flip_y else 1, :: -1 if flip_x else 1]
        image = np.hstack([part, np.zeros((15, 4))]) + 300 + 50 * number
        hdus.append(fits.ImageHDU(image.astype(np.uint16)))
        overscan = (Section(20, 24, 0, 15),)
        data = Section(0, 20, 0, 15)
        parts.append(FramePart(data, x, y, flip_x, flip_y, overscan, number, f"A{number}"))
    path = tmp_path / "frame.fits"
    fits.HDUList(hdus).writeto(path)
    layout = FrameLayout.of(WIDTH, HEIGHT, parts, "median")
    assert np.array_equal(read(path, layout), unit(ramp + PEDESTAL_ADU))
    rows = layout.upside_down([15] * 4)
    assert [part.y for part in rows.parts] == [15, 15, 0, 0]


def test_pixels_between_amplifiers_are_0(tmp_path: Path) -> None:
    hdus = [fits.PrimaryHDU(), *(fits.ImageHDU(np.full((4, 5), 900, np.uint16)) for _ in range(2))]
    path = tmp_path / "frame.fits"
    fits.HDUList(hdus).writeto(path)
    data = Section(0, 5, 0, 4)
    parts = [FramePart(data, name="1"), FramePart(data, 7, 0, image=1, name="2")]
    found = read(path, FrameLayout.of(12, 4, parts))
    assert not found[:, 5:7].any()
    assert (found[:, [0, 4, 7, 11]] == unit(np.array(900.0))).all()


def test_compressed_and_zipped_amplifiers_are_read(tmp_path: Path) -> None:
    images = [np.arange(600).reshape(20, 30) + 1000 * number for number in (1, 2)]
    packed = [fits.CompImageHDU(image.astype(np.uint16)) for image in images]
    plain = [fits.ImageHDU(image.astype(np.uint16)) for image in images]
    data = Section(0, 30, 0, 20)
    parts = [FramePart(data, name="1"), FramePart(data, 0, 20, image=1, name="2")]
    for name, hdus in (("a.fits.fz", packed), ("a.fits.gz", plain), ("a.fits.bz2", plain)):
        table = fits.BinTableHDU.from_columns([fits.Column("a", "J", array=[1, 2])])
        fits.HDUList([fits.PrimaryHDU(), table, *hdus]).writeto(tmp_path / name)
        found = read(tmp_path / name, FrameLayout.of(30, 40, parts))
        assert np.array_equal(found, unit(np.vstack(images).astype(float))), name


def test_a_file_that_does_not_have_the_layout_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "frame.fits", np.ones((20, 30)))
    with pytest.raises(FrameError, match="is not inside of the image of 30x20"):
        AssembledFrame(path, layout_of(DATA, RIGHT))
    parts = [FramePart(Section(0, 5, 0, 5), image=number) for number in (0, 1)]
    with pytest.raises(FrameError, match="has 1 images, expected at least 2"):
        AssembledFrame(path, FrameLayout.of(5, 5, parts))


@pytest.mark.parametrize(("value", "message"), [(0, "every pixel is 0"), (65535, "saturated")])
def test_frames_without_an_image_are_refused(tmp_path: Path, value: int, message: str) -> None:
    path = write(tmp_path / "frame.fits", np.full((HEIGHT, 48), value))
    with (
        AssembledFrame(path, layout_of(DATA, RIGHT)) as frame,
        pytest.raises(FrameError, match=message),
    ):
        frame.require_valid_samples()


def test_samples_out_of_range_are_refused_by_their_raw_value(tmp_path: Path) -> None:
    image = np.full((HEIGHT, 48), 500)
    image[3, 3] = -7
    path = write(tmp_path / "frame.fits", image, np.int16)
    with (
        AssembledFrame(path, layout_of(DATA, RIGHT)) as frame,
        pytest.raises(FrameError, match="samples from -7 to 500"),
    ):
        frame.read(0, frame.size)
