"""Warnings of masters with weak input, and their limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calmasters.engines.dark_scaling import DarkScaling, thermal_pixels, weak_factors
from calmasters.engines.native.engine import NativeEngine
from calmasters.engines.native.reference import integrate_pixel
from calmasters.engines.result_warnings import (
    weak_dark,
    weak_flats,
    zero_pixels,
)
from calmasters.frame import FrameType
from calmasters.model.job import FrameFile, UsedMaster
from calmasters.model.master_record import small_group_warning
from calmasters.model.master_warning import WarningKind
from calmasters.settings import Integration


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ((0.3, 0.31, 0.3), None),
        ((0.2, 0.4, 0.3), None),
        ((0.19, 0.4, 0.3), "b is 2.1 times as bright as a"),
        ((0.009, 0.012, 0.01), "a has 590 ADU: expose flats longer"),
        ((0.7, 0.81, 0.8), "b is at 81% of saturation: expose flats shorter"),
    ],
)
def test_uneven_or_badly_exposed_flats_are_reported(
    levels: tuple[float, ...], expected: str | None
) -> None:
    warnings = list(weak_flats("abc", levels))
    assert len(warnings) == (expected is not None)
    assert all(expected in warning.text for warning in warnings)
    assert all(warning.kind is WarningKind.LEVEL for warning in warnings)


@pytest.mark.parametrize(
    ("signal_adu", "expected"),
    [
        *((-19.9, None), (0, None), (2999, None)),
        (-21, "21 ADU fainter than the bias"),
        (3001, "3001 ADU brighter than the bias: there was a light leak"),
    ],
)
def test_a_dark_that_does_not_match_its_bias_is_reported(
    signal_adu: float, expected: str | None
) -> None:
    warnings = list(weak_dark(signal_adu))
    assert len(warnings) == (expected is not None)
    assert all(expected in warning.text for warning in warnings)


def test_factors_are_judged_by_what_they_change() -> None:
    by_exposure = DarkScaling(0.01, 0.02, signal=0.02, flat_exposure_s=3.0)
    (warning,) = weak_factors([0.015, 0.5, 0.2, None], by_exposure, 0.002)
    assert "0.200 to 0.500 for 2 of 4 frames, expected 0.010 to 0.020" in warning.text
    assert "wrong by up to 629 ADU; take darks of 3 s" in warning.text
    assert not [*weak_factors([0.015, 0.11], by_exposure, 0.002)]
    assert not [*weak_factors([0.5], replace(by_exposure, signal=0.001), 0.002)]
    assert not [*weak_factors([0.5], None, 0.002)]


def test_a_factor_that_was_not_searched_is_reported_even_below_the_noise_of_a_flat() -> None:
    scaling = DarkScaling(0.033, 0.033, 0.001, flat_exposure_s=2.0, is_searched=False)
    (warning,) = weak_factors([1.0, 1.0], scaling, 0.01)
    assert "factor is 1.000 for 2 of 2 frames, expected 0.033:" in warning.text
    assert "wrong by up to 63 ADU; take darks of 2 s" in warning.text
    (warning,) = weak_factors([0.0], scaling, 0.01)
    assert "wrong by up to 2 ADU" in warning.text
    assert not [*weak_factors([1.0, 0.0], replace(scaling, signal=1e-5), 0.01)]


def test_factors_found_at_the_end_of_the_search_are_judged_by_the_noise_of_the_master() -> None:
    dark_flat = DarkScaling(1.0, 1.0, signal=8 / 65535, flat_exposure_s=2.0)
    noise = 160 / 65535
    assert not [*weak_factors([0.0] * 7 + [0.9] * 3, dark_flat, noise)]
    (warning,) = weak_factors([0.0] * 10, replace(dark_flat, signal=60 / 65535), noise)
    assert "is 0.000 for 10 of 10 frames, expected 1.000: pixels" in warning.text


COLUMN = np.mgrid[:100, :600][1]
#: 2 % of the pixels of a sensor.
HOT = np.random.default_rng(8).random(COLUMN.shape) < 0.02


@pytest.mark.parametrize(
    ("thermal_adu", "factor", "is_right"),
    [
        # The search fails: hardly any dark current, or the glow of an amplifier.
        (20 * HOT, 0.0, True),
        (400 * np.exp((COLUMN - 600) / 80) + 5 * HOT, 0.0, True),
        # The factor is slightly off, as that of a dark which fits.
        (1000 * HOT, 0.98, True),
        # Sums of 2 and of 12 frames, with offsets of 100 and 1000 ADU.
        (100 + 5 * HOT, 0.0, False),
        (11_000 + 30 * HOT, 0.0, False),
        # Of 300 s among those of 5 s, of a cold and a warm sensor.
        (90 * HOT, 0.0, False),
        (2000 * HOT, 0.03, False),
        # Of other settings than the bias, and with light: a warning says so already.
        (COLUMN * 0 - 30, 0.0, False),
        (4000 + COLUMN, 0.995, False),
    ],
)
def test_only_a_dark_that_fits_the_flats_is_to_be_subtracted_without_a_factor(
    site, thermal_adu: np.ndarray, factor: float, is_right: bool
) -> None:
    dark = UsedMaster("d.xisf", "run", "", exposure_s=1.5)
    job = site.job(files(3), (4, 3), FrameType.FLAT, dark=dark)
    thermal = np.random.default_rng(9).normal(thermal_adu, 2) / 65535
    bias = np.full(COLUMN.shape, 1000 / 65535, np.float32)
    scaling = DarkScaling.measured(job, thermal.astype(np.float32), bias)
    (warning,) = weak_factors([factor] * 100, scaling, 130 / 65535)
    assert ("; set calibration: {flat: {optimizeDarks: false}}" in warning.text) == is_right
    assert ("; check the darks, which do not fit the flats: are they sums" in warning.text) != (
        is_right
    )


def test_a_sum_of_darks_is_not_to_be_subtracted_without_a_factor(site) -> None:
    """A dark of a library that is the sum of 12 frames of 1.5 s, as long as the flats."""
    random = np.random.default_rng(5)
    images = random.normal(22_932 - 9_000 * (COLUMN / 600 - 0.5) ** 2, 100, (10, *COLUMN.shape))
    bias = site.master(np.full(COLUMN.shape, 1000 / 65535), "bias.fits")
    sums = random.normal(12_000 + 30 * HOT, 20) / 65535
    dark = replace(site.master(sums, "dark.fits"), exposure_s=1.5)
    frames = site.write(images.astype(np.uint16))
    job = site.job(frames, COLUMN.shape, FrameType.FLAT, bias=bias, dark=dark)
    job = replace(job, optimize_dark=True)
    made = NativeEngine(1).make(job, site.input_dir, site.output_dir, site.output, site.log)
    text = "\n".join(warning.text for warning in made.warnings)
    assert "expected 1.000" in text
    assert "check the darks, which do not fit the flats" in text
    assert "optimizeDarks" not in text


def test_a_flat_slightly_fainter_than_its_bias_has_0_adu_more() -> None:
    (warning,) = weak_flats(["a.fits"], [-0.3 / 65535])
    assert "a.fits with 0 ADU more" in warning.text


@pytest.mark.parametrize(
    ("lowest", "highest", "factor"),
    [(0.007, 0.007, 0), (0.4, 0.4, 0), (0.6, 0.6, 1), (0.9, 1.1, 1), (1.5, 4, 1), (0.1, 3.0, 1)],
)
def test_a_dark_that_cannot_be_scaled_is_subtracted_only_if_that_is_less_wrong(
    lowest: float, highest: float, factor: float
) -> None:
    assert DarkScaling(lowest, highest, 0.01, None).unsearched == factor


@pytest.mark.parametrize("cfa", [False, True])
def test_pixels_above_the_noise_of_a_dark_are_counted(cfa: bool) -> None:
    thermal = np.random.default_rng(3).normal(0.001, 1e-4, (61, 80)).astype(np.float32)
    thermal[::6, ::20] = 0.9
    assert thermal_pixels(thermal, 6.0, cfa=cfa) == (40 if cfa else 44)


def test_factors_are_judged_by_the_range_of_exposures_and_without_them_by_plausibility(
    site,
) -> None:
    dark = UsedMaster("d.xisf", "run", "", exposure_s=60.0)
    job = site.job(files(3), (4, 3), FrameType.FLAT, dark=dark)
    varied = replace(job, header={"EXPTIME": 3.0, "EXPMIN": 1.5, "EXPMAX": 6.0})
    for each, lowest, highest in (
        (job, 0.025, 0.025),
        (varied, 0.025, 0.1),
        (replace(job, dark=replace(dark, exposure_s=None)), 0.1, 3.0),
        (replace(job, header={}), 0.1, 3.0),
    ):
        scaling = DarkScaling.of(each, 0.02)
        assert (scaling.lowest, scaling.highest) == pytest.approx((lowest, highest))


@pytest.mark.parametrize(("zeros", "expected"), [(0, None), (1, "1 pixel is"), (7, "7 pixels are")])
def test_pixels_of_a_flat_at_zero_are_counted(zeros: int, expected: str | None) -> None:
    image = np.full((40, 40), 0.4, np.float32)
    image[5, :zeros] = [0, *[2e-4] * (zeros - 1)][:zeros]
    warnings = list(zero_pixels(image))
    assert len(warnings) == (expected is not None)
    assert all(f"{expected} at 0" in warning.text for warning in warnings)


@pytest.mark.parametrize(
    ("dark", "expected"),
    [
        (np.s_[:, 37:], "0 whole columns at the left edge and 3 at the right are dark"),
        (np.s_[:, :2], "2 whole columns at the left edge and 0 at the right are dark"),
        (np.s_[:, 5:9], None),
        (np.s_[:20, :4], None),
    ],
)
def test_dark_columns_at_an_edge_may_be_an_overscan(dark: slice, expected: str | None) -> None:
    image = np.full((40, 40), 0.4, np.float32)
    image[dark] = 1e-5
    (warning,) = zero_pixels(image)
    assert ("whole columns" in warning.text) == (expected is not None)
    assert (expected or "mask them") in warning.text


def files(count: int) -> tuple[FrameFile, ...]:
    return tuple(FrameFile(f"{number}.fits", 1, 1) for number in range(count))


@pytest.mark.parametrize(("count", "percent"), [(3, 2.3), (4, 2.3), (5, 1.3), (9, 1.3)])
def test_groups_that_lose_good_samples_are_reported(site, count: int, percent: float) -> None:
    warning = small_group_warning(site.job(files(count), (4, 3)))
    assert f"of {count} frames the rejection takes up to {percent} % of good" in warning.text


@pytest.mark.parametrize("count", [3, 5])
def test_the_reported_share_of_good_samples_is_lost(site, count: int) -> None:
    stacks = np.random.default_rng(11).normal(0.5, 0.01, (5000, count)).astype(np.float32)
    fates = np.array([integrate_pixel(stack, stack, Integration()).fates for stack in stacks])
    lost = [100 * (fates == side).mean() for side in (1, 2)]
    warning = small_group_warning(site.job(files(count), (4, 3)))
    numbers = [float(part) for part in warning.text.split() if part.replace(".", "", 1).isdigit()]
    assert sorted(lost) == pytest.approx(numbers[1:3], rel=0.2)


def test_large_groups_and_other_rejections_are_not_reported(site) -> None:
    job = site.job(files(10), (4, 3))
    assert small_group_warning(job) is None
    for change in ({"rejection": "NoRejection"}, {"sigmaHigh": 5.0}):
        other = replace(job.recipe, integration=Integration(**change))
        assert small_group_warning(replace(job, frames=files(3), recipe=other)) is None


def test_the_engine_reports_a_light_among_flats_and_a_dark_with_a_light_leak(site) -> None:
    rng = np.random.default_rng(5)
    images = rng.integers(20_000, 22_000, (4, 40, 40)).astype(np.uint16)
    images[2] = rng.integers(6_000, 6_100, (40, 40))
    bias = site.master(np.full((40, 40), 500 / 65535), "bias.fits")
    dark = site.master(np.full((40, 40), 5000 / 65535), "dark.fits")
    job = site.job(site.write(images), (40, 40), FrameType.FLAT, bias=bias, dark=dark)
    NativeEngine(1).make(job, site.input_dir, site.output_dir, site.output, site.log)
    log = site.log.read_text()
    assert "times as bright as frame002.fits" in log
    assert "4500 ADU brighter than the bias" in log
