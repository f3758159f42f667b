"""Masters applied to their frames: healthy ones leave noise, wrong ones are found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from frames_and_master import Change, Made, combined, exposed

from calmasters.frame import FrameType
from calmasters.quality.judgement import check_ranges
from calmasters.quality.sample import Float32
from calmasters.quality.verification import Applied, Residuals, verify
from calmasters.settings import Integration, Settings
from calmasters.synthetic.camera import Camera

CCD = Camera(width=128, height=96, read_noise_adu=36, electrons_per_adu=0.46)
CMOS = Camera(width=128, height=96, read_noise_adu=2, hits=3)
COLOUR = replace(CMOS, bayerpat="RGGB")


def judged(residuals: Residuals | None, kind: FrameType, settings: Settings) -> set[str]:
    """Give the names of the numbers that the default configuration finds out of range."""
    assert residuals
    numbers = {
        "residual_over_error": residuals.mean_over_error,
        "residual_noise_over_expected": residuals.noise_over_expected,
        "residual_pixels_over_noise": residuals.pixels_over_noise,
        "residual_pattern_over_noise": residuals.pattern_over_noise,
    }
    ranges = settings.quality.ranges[kind.value]
    return {finding.number for finding in check_ranges(numbers, ranges)}


def row_noise(camera: Camera, seed: int) -> Change:
    random = np.random.default_rng(seed)
    return lambda _, frame: frame + random.normal(0, camera.read_noise_adu, (camera.height, 1))


def moving_lamp(camera: Camera) -> Change:
    tilt = np.linspace(-1, 1, camera.width)
    return lambda number, frame: frame * (1 + 0.02 * number) * (1 + 0.02 * np.sin(number) * tilt)


HEALTHY = [
    (FrameType.BIAS, CCD, 3, ""),
    (FrameType.BIAS, CMOS, 12, "row noise"),
    (FrameType.DARK, CMOS, 5, ""),
    (FrameType.DARK, CCD, 12, "warming"),
    (FrameType.FLAT, CCD, 5, ""),
    (FrameType.FLAT, COLOUR, 12, "moving lamp"),
    (FrameType.FLAT, CMOS, 3, "moving lamp"),
]


#: Of which make test tries the first.
SEEDS = [range(15), pytest.param(range(15, 50), marks=pytest.mark.slow)]


@pytest.mark.parametrize("seeds", SEEDS, ids=str)
@pytest.mark.parametrize(("kind", "camera", "count", "how"), HEALTHY)
def test_healthy_frames_raise_no_alarm(
    kind: FrameType, camera: Camera, count: int, how: str, seeds: range, settings: Settings
) -> None:
    alarms = []
    for seed in seeds:
        changes: dict[str, Change | None] = {
            "": None,
            "row noise": row_noise(camera, seed),
            "warming": lambda number, frame: frame + 30 * np.exp(-number),
            "moving lamp": moving_lamp(camera),
        }
        frames = exposed(replace(camera, seed=seed), kind, count, change=changes[how])
        made = combined(frames, kind, mosaic=camera.bayerpat is not None)
        residuals = verify(made.sample, made.applied())
        alarms += [
            *judged(residuals, kind, settings),
            *(residuals.noisy_frames if residuals else ()),
        ]
    assert not alarms


def dark_master() -> Made:
    return combined(exposed(CMOS, FrameType.DARK, 8), FrameType.DARK)


def test_a_master_of_other_frames_of_the_same_camera_is_found(settings: Settings) -> None:
    made = dark_master()
    other = combined(exposed(CMOS, FrameType.DARK, 8, first=100), FrameType.DARK)
    found = judged(verify(made.sample, made.applied(other.master)), FrameType.DARK, settings)
    assert "residual_pixels_over_noise" in found


def test_a_master_whose_level_is_half_a_sigma_off_is_found(settings: Settings) -> None:
    made = dark_master()
    off = made.applied(made.master + np.float32(0.5 * CMOS.read_noise_adu))
    residuals = verify(made.sample, off)
    assert residuals
    assert residuals.mean_adu.value == pytest.approx(-0.5 * CMOS.read_noise_adu, rel=0.1)
    assert "residual_over_error" in judged(residuals, FrameType.DARK, settings)


def test_rows_in_the_wrong_place_are_found(settings: Settings) -> None:
    made = dark_master()
    shifted = made.applied(np.roll(made.master, 1, axis=0))
    found = judged(verify(made.sample, shifted), FrameType.DARK, settings)
    assert "residual_pixels_over_noise" in found
    assert "residual_noise_over_expected" in found


def test_a_gradient_in_the_master_is_a_pattern(settings: Settings) -> None:
    made = dark_master()
    slope = np.linspace(-2, 2, CMOS.width, dtype=np.float32) * CMOS.read_noise_adu
    found = judged(verify(made.sample, made.applied(made.master + slope)), FrameType.DARK, settings)
    assert "residual_pattern_over_noise" in found


def flats_and_dark() -> tuple[Float32, Float32, Float32]:
    """Give flats of 120 s, the true bias, and the true signal of their darks, with glow."""
    camera = replace(CMOS, hits=0, dark_rate_adu_s=20.0)
    frames = np.array([camera.expose(seed, 120.0, 60.0) for seed in range(8)], np.float32)
    return frames, camera.bias, np.float32(120.0) * camera.dark_rate


def test_flats_with_their_dark_subtracted_are_right(settings: Settings) -> None:
    frames, bias, thermal = flats_and_dark()
    made = combined(frames, FrameType.FLAT, bias + thermal)
    residuals = verify(made.sample, made.applied(bias=bias, thermal=thermal))
    assert not judged(residuals, FrameType.FLAT, settings)


def test_a_wrong_dark_subtracted_from_flats_is_found(settings: Settings) -> None:
    frames, bias, thermal = flats_and_dark()
    wrong = combined(frames, FrameType.FLAT, bias + np.float32(0.5) * thermal)
    residuals = verify(wrong.sample, wrong.applied(bias=bias, thermal=thermal))
    found = judged(residuals, FrameType.FLAT, settings)
    assert {"residual_over_error", "residual_pattern_over_noise"} <= found


def test_a_noisy_frame_is_named() -> None:
    random = np.random.default_rng(1)

    def noisy(number: int, frame: np.ndarray) -> np.ndarray:
        return frame + (random.normal(0, 36, frame.shape) if number == 4 else 0)

    made = combined(exposed(CCD, FrameType.BIAS, 8, change=noisy), FrameType.BIAS)
    residuals = verify(made.sample, made.applied())
    assert residuals
    assert [*residuals.noisy_frames] == [4]
    assert "its noise is" in residuals.noisy_frames[4]


def test_frames_that_differ_are_not_part_of_the_residual(settings: Settings) -> None:
    def lit(number: int, frame: np.ndarray) -> np.ndarray:
        return frame + (np.linspace(0, 500, CCD.width) if number == 2 else 0)

    made = combined(exposed(CCD, FrameType.BIAS, 6, change=lit), FrameType.BIAS)
    applied = made.applied()
    with_all = judged(verify(made.sample, applied), FrameType.BIAS, settings)
    assert "residual_pattern_over_noise" in with_all
    without = replace(applied, odd=frozenset({2}))
    # The rejection also took good samples where the odd frame made sigma large.
    assert "residual_pattern_over_noise" not in judged(
        verify(made.sample, without), FrameType.BIAS, settings
    )


def test_frames_without_noise_or_a_single_frame_give_nothing() -> None:
    frames = np.full((3, 32, 32), 600, np.float32)
    made = combined(frames, FrameType.BIAS)
    assert verify(made.sample, made.applied()) is None
    single = Made(frames[:1], FrameType.BIAS, frames[0], None)
    assert verify(single.sample, single.applied()) is None


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (200, 3), (17, 65)])
def test_small_frames_are_verified_too(shape: tuple[int, int]) -> None:
    frames = np.random.default_rng(2).normal(600, 5, (4, *shape)).astype(np.float32)
    made = combined(frames, FrameType.BIAS)
    residuals = verify(made.sample, made.applied())
    assert residuals is None or abs(residuals.mean_over_error) < 5


def test_a_median_has_its_own_noise(settings: Settings) -> None:
    made = combined(exposed(CCD, FrameType.BIAS, 5), FrameType.BIAS)
    median = np.median(made.frames, axis=0).astype(np.float32)
    applied = replace(made.applied(median), integration=Integration(combination="Median"))
    residuals = verify(made.sample, applied)
    assert residuals
    assert residuals.noise_over_expected == pytest.approx(1, abs=0.02)
    assert not judged(residuals, FrameType.BIAS, settings)
    lowest = replace(applied, integration=Integration(combination="Minimum"))
    assert verify(made.sample, lowest) is None


def test_a_pedestal_of_the_calibration_is_part_of_the_master(settings: Settings) -> None:
    made = combined(exposed(CCD, FrameType.FLAT, 5), FrameType.FLAT, -100.0)
    applied: Applied = made.applied(bias=-100.0)
    assert not judged(verify(made.sample, applied), FrameType.FLAT, settings)
