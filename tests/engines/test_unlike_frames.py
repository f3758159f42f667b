"""Bias frames and darks of one level and noise that do not belong together are named."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

from calmasters.engines.frame_measures import FrameMeasure, measure_frame, measure_image
from calmasters.engines.outliers import Outliers, find_outliers
from calmasters.engines.preflight import check_frames
from calmasters.errors import EngineError
from calmasters.frame import FrameType, Geometry
from calmasters.images.raw_frame import RawFrame
from calmasters.model.master_warning import WarningKind
from calmasters.settings import BadFrames

SIDE = 128
Y, X = np.mgrid[0:SIDE, 0:SIDE]
RNG = np.random.default_rng(71)

Map = np.ndarray


def hot(share: float = 0.01, brightness_adu: float = 400, side: int = SIDE) -> Map:
    """Hot pixels of a camera, of which a few are much brighter than most."""
    places = RNG.random((side, side)) < share
    return np.where(places, brightness_adu * (1 + RNG.pareto(1.5, places.shape)), 0).clip(0, 60000)


A, B = hot(), hot()
FEW = hot(0.0005)
GLOW = 300 * np.exp(-((SIDE - X) ** 2 + (SIDE - Y) ** 2) / 500)
COLUMN = np.where(X == 77, 300.0, 0.0)


def frame(image: Map | float = 0, noise: float = 8, hits: int = 0, step: int = 1) -> Map:
    samples = 500 + image + RNG.normal(0, noise, np.shape(image) or (SIDE, SIDE))
    samples.flat[RNG.integers(0, samples.size, hits)] += RNG.exponential(3000, hits)
    return np.clip(step * np.rint(samples / step), 0, 65535).astype(np.uint16)


def telegraph(image: Map) -> Map:
    """Half of the pixels, others in each frame."""
    return np.where(RNG.random(image.shape) < 0.5, image, 0)


def measure(image: Map) -> FrameMeasure:
    return measure_image(image.astype(np.float32) / np.float32(65535))


def compare(frames: list[Map]) -> Outliers:
    height, width = frames[0].shape
    return find_outliers(FrameType.DARK, Geometry(width, height), [*map(measure, frames)])


def halves(first: Map | float, second: Map | float, count: int = 10) -> list[Map]:
    return [frame(second if i >= count // 2 else first) for i in range(count)]


# --- frames that belong together ------------------------------------------------------------------

LIKE = {
    "hardly any hot pixels": lambda: [frame(FEW) for _ in range(10)],
    "hot pixels": lambda: [frame(A) for _ in range(10)],
    "cosmic rays in long darks": lambda: [frame(A, hits=30) for _ in range(10)],
    "cosmic rays, and hardly any hot pixels": lambda: [frame(FEW, hits=30) for _ in range(10)],
    "cosmic rays in some frames": lambda: [frame(FEW, hits=40 * (i > 6)) for i in range(10)],
    "two degrees apart": lambda: [frame((A + GLOW) * (1 + 0.3 * (i > 4))) for i in range(10)],
    "random telegraph noise": lambda: [frame(telegraph(A)) for _ in range(10)],
    "random telegraph noise of few pixels": lambda: [
        frame(telegraph(hot(0.002)), 8) for _ in range(10)
    ],
    "a column that comes and goes": lambda: halves(FEW, FEW + COLUMN),
    "saturated frames": lambda: [np.full((SIDE, SIDE), 65535, np.uint16)] * 6,
    "saturated hot pixels": lambda: [frame(np.where(A > 0, 65535, 0)) for _ in range(6)],
    "little noise": lambda: [frame(A, 0.3) for _ in range(10)],
    "little noise, in steps of 16": lambda: [frame(A, 5, step=16) for _ in range(10)],
    "an uncooled camera that warms up": lambda: [frame(A * (1 + 0.1 * i)) for i in range(10)],
    "small frames with cosmic rays": lambda: [frame(A[:48, :48], hits=30) for _ in range(10)],
    "the glow of an amplifier": lambda: [frame(GLOW * (1 + 0.01 * i)) for i in range(10)],
    "banding that is other in each frame": lambda: [
        frame(RNG.normal(0, 2, (SIDE, 1)) + 0 * X) for _ in range(10)
    ],
    "two frames": lambda: [frame(A, hits=30), frame(A, hits=30)],
    "frames of two sizes, which engines refuse": lambda: [frame(A), frame(A[:64])],
    "frames of a few pixels": lambda: [frame(A[:6, :4]) for _ in range(5)],
}


@pytest.mark.parametrize("frames", LIKE.values(), ids=LIKE)
def test_frames_of_one_camera_are_not_reported(frames) -> None:
    found = compare(frames())
    assert (dict(found.frames), found.drift) == ({}, "")


def test_healthy_groups_of_all_sizes_are_not_reported() -> None:
    for _ in range(20):
        side, noise = int(RNG.choice([48, 96, 160])), float(RNG.choice([1.5, 4, 20]))
        pixels = hot(float(RNG.choice([1e-3, 1e-2])), 20 * noise, side)
        warmth = RNG.uniform(0.85, 1.15, RNG.integers(2, 15))
        found = compare([frame(pixels * each, noise, RNG.integers(31)) for each in warmth])
        assert (dict(found.frames), found.drift) == ({}, "")


# --- frames that do not ---------------------------------------------------------------------------

LEAK = np.where((X < 32) & (Y < 32), 1000.0, 0.0)
LAST_ROWS = np.where(Y >= 104, -2000.0, 0.0)
SECOND_HALF = [*range(5, 10)]
OTHER_PIXELS = r"^hot pixels at other places, \d of \d\d+ where the others have theirs: another"

UNLIKE = {
    "light in a corner": (
        *(lambda: halves(0, LEAK), SECOND_HALF),
        r"^level of rows 1 to 32, columns 1 to 32 1[45]\d\d.* ADU where the others have (49|50)\d",
    ),
    "the last rows at 0": (
        *(lambda: halves(0, LAST_ROWS), SECOND_HALF),
        "^level of rows 105 to 128, columns 1 to 128 0 ADU where the others have (49|50)",
    ),
    "a gradient": (lambda: halves(0, 60 * X / SIDE - 30), SECOND_HALF, "^level of rows 1 to 128,"),
    "banding": (lambda: halves(0, 30 * np.sin(Y / 8)), SECOND_HALF, "^level of rows .* ADU where"),
    "light in one frame": (
        *(lambda: [frame(LEAK * (i == 3)) for i in range(10)], [3]),
        "^level of rows 1 to 32, columns 1 to 32",
    ),
    "another camera": (lambda: halves(A, B), SECOND_HALF, OTHER_PIXELS),
    "another camera and cosmic rays": (
        *(lambda: [frame(B if i > 6 else A, hits=40) for i in range(10)], [7, 8, 9]),
        OTHER_PIXELS,
    ),
    "shifted by three rows": (lambda: halves(A, np.roll(A, 3, 0)), SECOND_HALF, OTHER_PIXELS),
    "shifted, with a bad column": (
        *(lambda: halves(A + COLUMN, np.roll(A, 3, 0) + COLUMN), SECOND_HALF),
        OTHER_PIXELS,
    ),
    "flipped": (lambda: halves(A, A[::-1]), SECOND_HALF, OTHER_PIXELS),
    "one frame of another camera": (
        *(lambda: [frame(B if i == 2 else A) for i in range(8)], [2]),
        OTHER_PIXELS,
    ),
    "the first of three": (lambda: [frame(B), frame(A), frame(A)], [0], OTHER_PIXELS),
    "every second one": (
        *(lambda: [frame(B if i % 2 else A) for i in range(12)], [1, 3, 5, 7, 9, 11]),
        OTHER_PIXELS,
    ),
    "another exposure": (
        *(lambda: halves(A, 2 * A), SECOND_HALF),
        "^brightness of the hot pixels 1[234]. % where the others have 6. %, as with another",
    ),
    "one frame much colder": (
        *(lambda: [frame(A * (0.1 if i == 3 else 1)) for i in range(10)], [3]),
        "^brightness of the hot pixels 1. % where the others have",
    ),
    "a few of another exposure, and cosmic rays": (
        *(lambda: [frame(A * (1 if i in (2, 7) else 1.8), hits=40) for i in range(10)], [2, 7]),
        "^brightness of the hot pixels 5. % where the others have (99|100|101) %",
    ),
    "small frames": (
        *(lambda: [frame((B if i > 4 else A)[:64, :64]) for i in range(10)], SECOND_HALF),
        OTHER_PIXELS,
    ),
    "three cameras": (
        *(lambda: [frame([A, B, A.T][i // 4]) for i in range(12)], [*range(4, 12)]),
        OTHER_PIXELS,
    ),
}


@pytest.mark.parametrize(("frames", "apart", "how"), UNLIKE.values(), ids=UNLIKE)
def test_frames_that_do_not_belong_together_are_named(frames, apart: list[int], how: str) -> None:
    found = compare(frames())
    assert list(found.frames) == apart
    for sentence in found.frames.values():
        assert re.search(how, sentence)
    assert found.drift == ""


def test_light_that_grows_is_a_drift_of_its_place() -> None:
    found = compare([frame(LEAK * i / 10) for i in range(10)])
    assert not found.frames
    assert "the level of rows 1 to 32, columns 1 to 32 of the frames drifts from 49" in found.drift


def test_a_camera_that_warms_up_much_is_a_drift_of_its_hot_pixels() -> None:
    found = compare([frame(A * (1 + 0.3 * i)) for i in range(10)])
    assert not found.frames
    assert re.match(
        "the brightness of the hot pixels of the frames drifts from 4. % to", found.drift
    )


def test_frames_of_one_level_are_compared_by_hot_pixels_beside_those_of_another_level() -> None:
    found = compare([frame((B if i > 5 else A) + 100 * (i < 3)) for i in range(10)])
    assert [how.split()[0] for how in found.frames.values()] == ["level"] * 3 + ["hot"] * 3


def test_hot_pixels_of_a_file_are_those_of_its_image(tmp_path) -> None:
    image = frame(A)
    image[:, 40], image[:, 100] = 0, 65535 * (Y[:, 0] % 8 == 0)
    fits.writeto(tmp_path / "a.fits", image)
    with RawFrame(tmp_path / "a.fits") as opened:
        of_file = measure_frame(opened).hot_pixels
    of_image = measure(image).hot_pixels
    assert len(of_file.hot) > 50
    np.testing.assert_array_equal(np.sort(of_file.hot), np.sort(of_image.hot))
    np.testing.assert_array_equal(of_file.warm, of_image.warm)


# --- engines --------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", [B, LEAK], ids=["hot pixels", "light"])
def test_skip_and_fail_treat_them_like_other_outliers(site, other: Map) -> None:
    frames = np.array([frame(other if i > 6 else A) for i in range(10)])
    job = site.job(site.write(frames), A.shape)
    (warning,) = check_frames(job, site.input_dir, site.output_dir, BadFrames()).warnings
    assert warning.kind is WarningKind.OUTLIERS
    assert "3 of 10 frames differ from the others (frame007.fits" in warning.text
    with pytest.raises(EngineError, match="outlier_frames is fail"):
        check_frames(job, site.input_dir, site.output_dir, BadFrames(fail_on_outliers=True))
    skipping = replace(job, recipe=replace(job.recipe, skip_outliers=True))
    checked = check_frames(skipping, site.input_dir, site.output_dir, BadFrames())
    assert [each.path for each in checked.left_out] == [f"frame{i:03d}.fits" for i in (7, 8, 9)]
    assert not checked.warnings
