"""Frames that differ from their group are named, left out or refused; good sessions are not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

from calmasters.engines.frame_measures import FrameMeasure, measure_frame, measure_image
from calmasters.engines.native.engine import NativeEngine
from calmasters.engines.outliers import Outliers, find_outliers
from calmasters.engines.preflight import check_frames
from calmasters.errors import EngineError
from calmasters.frame import FrameType, Geometry
from calmasters.images.master_file import read_image
from calmasters.images.raw_frame import RawFrame
from calmasters.model.job import MasterJob, Recipe
from calmasters.model.master_record import MasterStatistics
from calmasters.model.master_warning import WarningKind
from calmasters.settings import BadFrames
from calmasters.synthetic.camera import Camera

BIAS, DARK, FLAT = FrameType.BIAS, FrameType.DARK, FrameType.FLAT
SIDE = 120
Y, X = np.mgrid[0:SIDE, 0:SIDE] / SIDE
RNG = np.random.default_rng(16)
OFFSET = 500 + 20 * Y
VIGNETTING = 1 - 1.2 * ((X - 0.5) ** 2 + (Y - 0.5) ** 2)
RESPONSE = VIGNETTING * RNG.normal(1, 0.01, X.shape)
MOSAIC = np.where((np.arange(SIDE)[:, None] + np.arange(SIDE)) % 2, 1.0, 0.5)
TINY = Camera(width=24, height=16)
HOT = np.where(RNG.random(X.shape) < 0.002, 9000.0, 0.0)

Codes = np.ndarray


def codes(image: np.ndarray) -> Codes:
    return np.clip(np.rint(image), 0, 65535).astype(np.uint16)


def bias(level: float = 0, noise: float = 5) -> Codes:
    return codes(OFFSET + level + RNG.normal(0, noise, X.shape))


def flat(
    level: float = 25000, shape: np.ndarray | float = 1, dark: np.ndarray | float = 0
) -> Codes:
    light = level * RESPONSE * shape
    return codes(OFFSET + dark + light + RNG.normal(0, 1, X.shape) * np.sqrt(light + 25))


def spot(depth: float, x: float = 0.3, y: float = 0.6, radius: float = 0.06) -> np.ndarray:
    return 1 - depth * np.exp(-((X - x) ** 2 + (Y - y) ** 2) / (2 * radius**2))


def measure(image: Codes) -> FrameMeasure:
    return measure_image(image.astype(np.float32) / np.float32(65535))


def compare(kind: FrameType, frames: Sequence[Codes], *, with_bias: bool = True) -> Outliers:
    base = measure(codes(OFFSET)) if kind is FLAT and with_bias else None
    height, width = frames[0].shape
    return find_outliers(kind, Geometry(width, height), [*map(measure, frames)], base)


# --- good sessions --------------------------------------------------------------------------------

GOOD: dict[str, Callable[[], Outliers]] = {
    "bias": lambda: compare(BIAS, [bias() for _ in range(20)]),
    "bias of little noise": lambda: compare(BIAS, [bias(0, 0.4) for _ in range(20)]),
    "bias whose level wanders": lambda: compare(BIAS, [bias(3 * np.sin(i)) for i in range(20)]),
    "constant frames": lambda: compare(BIAS, [codes(OFFSET)] * 5),
    "darks with hot pixels": lambda: compare(DARK, [bias() + codes(HOT) for _ in range(12)]),
    "small darks with many hot pixels": lambda: compare(
        DARK, [TINY.expose(seed, 60.0) for seed in range(6)]
    ),
    "a lamp that gets brighter": lambda: compare(FLAT, [flat(2e4 + 500 * i) for i in range(16)]),
    "twilight": lambda: compare(FLAT, [flat(level) for level in np.geomspace(4000, 45000, 12)]),
    "faint flats": lambda: compare(FLAT, [flat(level) for level in np.geomspace(300, 2000, 12)]),
    "a colour camera": lambda: compare(
        FLAT, [flat(level, MOSAIC) for level in np.geomspace(8000, 50000, 12)]
    ),
    "stars": lambda: compare(
        FLAT,
        [flat(15000, 1 + 2 * (1 - spot(1, x, 1 - x, 0.015))) for x in np.linspace(0.1, 0.9, 12)],
    ),
    "an amplifier's glow": lambda: compare(
        FLAT, [flat(2e4 + 300 * i, dark=100 * np.exp(4 * (X + Y - 2))) for i in range(12)]
    ),
    "twilight without a bias": lambda: compare(
        FLAT, [flat(level) for level in np.geomspace(4000, 45000, 12)], with_bias=False
    ),
    "a lamp without a bias": lambda: compare(
        FLAT, [flat(2e4 + 50 * i) for i in range(12)], with_bias=False
    ),
    "two frames": lambda: compare(BIAS, [bias(), bias()]),
    "a flat without light": lambda: compare(FLAT, [flat(), flat(0), flat()]),
}


@pytest.mark.parametrize("session", GOOD.values(), ids=GOOD)
def test_good_sessions_are_not_reported(session: Callable[[], Outliers]) -> None:
    found = session()
    assert (dict(found.frames), found.drift) == ({}, "")


# --- frames that differ ---------------------------------------------------------------------------

DIFFERENT = {
    "half at 16 times the level": (
        *(BIAS, [bias() for _ in range(8)] + [bias(7500) for _ in range(8)]),
        *([*range(8, 16)], "level 80.. ADU where the others have 5.* ADU"),
    ),
    "every second one brighter": (
        *(BIAS, [bias(30 * (i % 2)) for i in range(9)]),
        *([1, 3, 5, 7], "level 5.* ADU where"),
    ),
    "one after a change of gain": (
        *(BIAS, [bias(0, 12 if i == 4 else 5) for i in range(9)]),
        *([4], "noise 1.* ADU where the others have [45]"),
    ),
    "darks with a light leak": (
        *(DARK, [bias(60 * i if i in (2, 6) else 0) for i in range(9)]),
        *([2, 6], "level .* ADU where"),
    ),
    "a cap that is half closed": (
        *(FLAT, [flat(shape=1 - 0.9 * (i == 3) * (X > 0.7)) for i in range(9)]),
        *([3], r"shape differs by -(90|89) % near x \d+, y \d+"),
    ),
    "sky flats among dome flats": (
        *(FLAT, [flat(2e4 + 500 * i, 1 + 0.1 * (i > 4) * (X - 0.5)) for i in range(9)]),
        *([5, 6, 7, 8], "shape differs by"),
    ),
    "dew on one flat": (
        *(FLAT, [flat(shape=spot(0.1 * (i == 0))) for i in range(9)]),
        *([0], "shape differs by -.* % near x 3., y 7."),
    ),
}


@pytest.mark.parametrize(("kind", "frames", "apart", "how"), DIFFERENT.values(), ids=DIFFERENT)
def test_frames_that_differ_are_named(
    kind: FrameType, frames: list[Codes], apart: list[int], how: str
) -> None:
    found = compare(kind, frames)
    assert list(found.frames) == apart
    for sentence in found.frames.values():
        assert re.search(how, sentence)
    assert found.drift == ""


CHANGING = {
    "dew that dries": (FLAT, [flat(shape=spot(0.3 * (1 - i / 15))) for i in range(16)]),
    "shallow dew": (FLAT, [flat(shape=spot(0.08 * (1 - i / 9), radius=0.1)) for i in range(10)]),
    "gradient of the twilight": (
        FLAT,
        [flat(30000 - 2000 * i, 1 + 0.12 * i / 11 * (X - 0.5)) for i in range(12)],
    ),
    "a sensor that warms up": (DARK, [bias(4 * i) for i in range(12)]),
}


@pytest.mark.parametrize(("kind", "frames"), CHANGING.values(), ids=CHANGING)
def test_a_steady_change_is_reported_without_outliers(kind: FrameType, frames: list[Codes]) -> None:
    found = compare(kind, frames)
    assert not found.frames
    assert ("shape of the flats drifts" if kind is FLAT else "level of the frames drifts") in (
        found.drift
    )


def test_the_sentence_names_three_frames_and_counts_the_others() -> None:
    found = compare(BIAS, [bias(7500 * (i > 4)) for i in range(9)])
    paths = [f"{i}.fits" for i in range(9)]
    assert found.sentence(paths).startswith(
        "4 of 9 frames differ from the others (5.fits, 6.fits, 7.fits and 1 more): level 80"
    )


# --- measuring ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (2, 2), (3, 50), (48, 48), (301, 205)])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.uint8])
def test_a_file_is_measured_as_its_image(tmp_path, shape: tuple[int, int], dtype: type) -> None:
    image = np.random.default_rng(1).integers(0, 200, shape)
    unity = {np.uint16: 65535, np.float32: 1, np.uint8: 255}[dtype]
    stored = (image / 255 if dtype is np.float32 else image).astype(dtype)
    fits.writeto(tmp_path / "a.fits", stored)
    with RawFrame(tmp_path / "a.fits") as frame:
        of_file = measure_frame(frame)
    of_image = measure_image((stored / unity).astype(np.float32))
    np.testing.assert_allclose(of_file.cells, of_image.cells, rtol=1e-5)
    assert of_file.noise == pytest.approx(of_image.noise, rel=1e-5)


def test_the_noise_of_a_sample_is_measured_beside_hot_pixels_and_colours() -> None:
    image = OFFSET * MOSAIC + RNG.normal(0, 7, X.shape) + HOT
    assert 65535 * measure(codes(image)).noise == pytest.approx(7, rel=0.1)


# --- engines --------------------------------------------------------------------------------------


def make(site, job: MasterJob, rules: BadFrames | None = None) -> MasterStatistics:
    engine = NativeEngine(2, rules)
    return engine.make(job, site.input_dir, site.output_dir, site.output, site.log)


def mixed_job(site, *, odd: int = 2, count: int = 8, skip: bool = False, **changes) -> MasterJob:
    """A job of bias frames of which the last ones are at another level."""
    frames = site.write(np.array([bias(7500 * (i >= count - odd)) for i in range(count)]))
    job = site.job(frames, X.shape, **changes)
    return replace(job, recipe=replace(job.recipe, skip_outliers=skip))


def test_outliers_are_combined_with_a_warning_by_default(site) -> None:
    made = make(site, mixed_job(site))
    (warning,) = made.warnings
    assert warning.kind is WarningKind.OUTLIERS
    assert "2 of 8 frames differ from the others (frame006.fits, frame007.fits)" in warning.text
    assert "or set outlier_frames: skip" in warning.text
    record = json.loads(site.output.with_suffix(".json").read_text())
    how = [frame["difference"] for frame in record["frames"]]
    assert how[:6] == [""] * 6
    assert all("where the others have" in each for each in how[6:])


def test_outliers_are_left_out_with_skip_and_the_master_is_that_of_the_others(site) -> None:
    job = mixed_job(site, skip=True)
    made = make(site, job)
    assert not made.warnings
    assert [frame.path for frame in made.left_out] == ["frame006.fits", "frame007.fits"]
    assert all(frame.outlier and "level 80" in frame.reason for frame in made.left_out)
    skipped = read_image(site.output)[0]
    make(site, replace(job, frames=job.frames[:6]))
    np.testing.assert_array_equal(skipped, read_image(site.output)[0])


@pytest.mark.parametrize(
    ("odd", "rules", "expected"),
    [
        (2, BadFrames(fail_on_outliers=True), "outlier_frames is fail"),
        (2, BadFrames(minimum_frames=7), "6 frames remain, and minimum_frames is 7"),
        (4, BadFrames(), "they are not the larger part of the group"),
    ],
)
def test_outliers_that_must_not_be_left_out_stop_the_master(
    site, odd: int, rules: BadFrames, expected: str
) -> None:
    with pytest.raises(EngineError, match=expected) as error:
        make(site, mixed_job(site, odd=odd, skip=not rules.fail_on_outliers), rules)
    assert "frame006.fits" in str(error.value)
    assert not site.output.exists()


def test_half_of_the_frames_are_never_offered_to_be_skipped(site) -> None:
    (warning,) = make(site, mixed_job(site, odd=4)).warnings
    assert "exclude the frames that do not belong" in warning.text
    assert "outlier_frames" not in warning.text


@pytest.mark.parametrize(
    ("kind", "how", "why"),
    [
        (FLAT, "shape differs", "probably the light changed (the gradient or stars of twilight"),
        (BIAS, "level", "probably light leaked in, the temperature changed"),
        (DARK, "level", "probably light leaked in, the temperature changed"),
    ],
)
def test_frames_of_which_no_majority_agrees_are_not_to_be_excluded(
    site, kind: FrameType, how: str, why: str
) -> None:
    """Each frame differs from all others: a few would be left."""
    factors = 2.0 ** np.arange(9)
    if kind is FLAT:
        images = [flat(shape=1 + factor * (X - 0.5) / 150) for factor in factors]
    else:
        images = [bias(20 * factor) for factor in factors]
    job = site.job(site.write(np.array(images)), X.shape, kind)
    rules = BadFrames(fail_on_outliers=True)
    texts = [str(each) for each in make(site, job).warnings if "majority" in str(each)]
    with pytest.raises(EngineError) as failed:
        make(site, job, rules)
    with pytest.raises(EngineError) as skipped:
        make(site, replace(job, recipe=skipping(job)))
    assert len(texts) == 1
    for text in (*texts, str(failed.value), str(skipped.value)):
        assert re.search(
            r"no majority of the frames agrees: [5-8] of 9 frames differ from the others \(", text
        )
        assert how in text
        assert why in text
        assert "take them again, or split the session" in text
        assert "exclude the frames" not in text


def test_other_engines_find_the_same_before_they_start(site) -> None:
    warned = mixed_job(site)
    for job in (warned, replace(warned, recipe=skipping(warned))):
        checked = check_frames(job, site.input_dir, site.output_dir, BadFrames())
        made = make(site, job)
        assert tuple(checked.left_out) == made.left_out
        assert tuple(checked.warnings) == made.warnings
        assert checked.differences == made.differences


def skipping(job: MasterJob) -> Recipe:
    return replace(job.recipe, skip_outliers=True)


def test_flats_are_compared_after_the_bias_is_subtracted(site) -> None:
    frames = site.write(np.array([flat(level) for level in np.geomspace(3000, 50000, 12)]))
    master = site.master(OFFSET / 65535, "bias.fits")
    job = site.job(frames, X.shape, FLAT, bias=master)
    checked = check_frames(job, site.input_dir, site.output_dir, BadFrames())
    for made in (checked, make(site, job)):
        (warning,) = made.warnings
        assert "frame011.fits is 16.7 times as bright as frame000.fits" in warning.text


def test_large_differences_are_written_without_an_exponent() -> None:
    images = [flat(15000, spot(-3.0) if number == 4 else 1) for number in range(8)]
    (how,) = compare(FLAT, images).frames.values()
    assert 130 < float(re.findall(r"by \+(\d+) % near", how)[0]) < 400


def test_drifting_flats_stop_the_master_only_with_fail(site) -> None:
    frames = np.array([flat(shape=spot(0.3 * (1 - i / 15))) for i in range(16)])
    job = site.job(site.write(frames), X.shape, FLAT, bias=site.master(OFFSET / 65535, "bias.fits"))
    job = replace(job, recipe=skipping(job))
    made = make(site, job)
    assert ["drifts" in warning.text for warning in made.warnings] == [True]
    assert not made.left_out
    with pytest.raises(EngineError, match="the shape of the flats drifts"):
        make(site, job, BadFrames(fail_on_outliers=True))
