"""The reference implementation against PixInsight's published code, and closed forms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from calmasters.engines.native import reference, reference_flats
from calmasters.engines.native.reference import Fate, integrate_pixel
from calmasters.engines.output_range import fix_range
from calmasters.settings import Integration

Vectors = Mapping[str, np.ndarray]

METHODS = {
    "sigma_": "SigmaClip",
    "averaged_": "AveragedSigmaClip",
    "percentile_": "PercentileClip",
    "minmax_": "MinMax",
    "esd_": "Rejection_ESD",
}


@pytest.mark.parametrize("n", [3, 5, 10, 20, 50])
def test_winsorized_pixels_and_masks_equal_those_of_pixinsights_code(
    vectors: Vectors, n: int
) -> None:
    pixels = [integrate_pixel(x, x, Integration()) for x in vectors[f"winsor_n{n}_stack"].T]
    fates = np.array([pixel.fates for pixel in pixels]).T
    np.testing.assert_array_equal([p.value for p in pixels], vectors[f"winsor_n{n}_out"])
    np.testing.assert_array_equal(fates == Fate.LOW, vectors[f"winsor_n{n}_low"])
    np.testing.assert_array_equal(fates == Fate.HIGH, vectors[f"winsor_n{n}_high"])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [3, 5, 10, 20, 50])
def test_other_methods_equal_pixinsights_code(vectors: Vectors, n: int, method: str) -> None:
    settings = Integration(rejection=METHODS[method])
    stacks = vectors[f"winsor_n{n}_stack"].T
    expected = vectors[f"winsor_n{n}_{method}out"]
    # ESD in pure Python takes a millisecond per pixel.
    step = 7 if method == "esd_" and n > 20 else 1
    made = [integrate_pixel(x, x, settings).value for x in stacks[::step]]
    np.testing.assert_array_equal(made, expected[::step])


def test_flats_are_normalized_and_combined_as_by_pixinsights_code(vectors: Vectors) -> None:
    frames = vectors["flat_stack"]
    levels = [reference_flats.location(frame) for frame in frames]
    np.testing.assert_array_equal(levels, vectors["flat_locations"])
    scaled = np.array(
        [
            reference.normalized(frame, levels[0], level, "EqualizeFluxes") if i else frame
            for i, (frame, level) in enumerate(zip(frames, levels, strict=True))
        ]
    ).reshape(len(frames), -1)
    pixels = [integrate_pixel(x, x, Integration()) for x in scaled.T]
    image = np.array([pixel.value for pixel in pixels])
    fates = np.array([pixel.fates for pixel in pixels]).T.reshape(frames.shape)
    np.testing.assert_array_equal(fix_range(image, True), vectors["flat_out"].reshape(-1))
    np.testing.assert_array_equal(fates == Fate.LOW, vectors["flat_low"])
    np.testing.assert_array_equal(fates == Fate.HIGH, vectors["flat_high"])


def test_median_of_a_large_image_equals_pixinsights_code(vectors: Vectors) -> None:
    image = vectors["bigmedian_img"]
    assert reference_flats.image_median(image) == vectors["bigmedian_plain"]
    assert reference_flats.location(image) == vectors["bigmedian_clipped"]


@pytest.mark.parametrize("cfa", [False, True])
@pytest.mark.parametrize("scene", ["wellposed", "typicalflat", "k0", "kbig"])
def test_darks_factor_and_calibrated_frame_equal_pixinsights_code(
    vectors: Vectors, scene: str, cfa: bool
) -> None:
    target, bias, dark = (vectors[f"dark_{scene}_{name}"] for name in ("target", "bias", "dark"))
    k = reference_flats.optimal_dark_scale(target, dark - bias, sigmas=3, cfa=cfa)
    assert float(k) == vectors[f"dark_{scene}_k_cfa{int(cfa)}"]
    np.testing.assert_array_equal(
        reference_flats.calibrate(target, bias, dark - bias, k),
        vectors[f"dark_{scene}_out_cfa{int(cfa)}"],
    )


def test_sn_of_three_values_is_the_closed_form() -> None:
    # |0-1| = 1, |1-3| = 2, |0-3| = 3: high medians 1, 1, 2; low median 1.
    assert reference.scale_estimate_sn(np.array([0.0, 1.0, 3.0])) == 1.851


def test_standard_deviation_is_that_of_a_sample() -> None:
    assert reference.standard_deviation(np.array([1.0, 2.0, 3.0, 4.0])) == math.sqrt(5 / 3)
    assert reference.standard_deviation(np.array([7.0])) == 0.0


@pytest.mark.parametrize(
    ("probability", "freedom", "quantile"),
    # Abramowitz & Stegun, table 26.10, and the closed forms for 1 and 2 degrees of freedom.
    [(0.25, 1, 1.0), (0.05, 2, 2.919986), (0.025, 9, 2.262157), (0.001, 30, 3.385185)],
)
def test_quantiles_of_students_t(probability: float, freedom: int, quantile: float) -> None:
    assert reference.student_t_quantile(probability, freedom) == pytest.approx(quantile, abs=1e-6)


def test_least_absolute_line_ignores_outliers() -> None:
    values = 0.25 + 0.5 * np.arange(11.0)
    values[[2, 9]] = 50, -3
    intercept, slope, deviation = reference.least_absolute_line(values)
    assert (intercept, slope) == (0.25, 0.5)
    assert deviation == pytest.approx((50 - 1.25 + 3 + 4.75) / 11)


def test_least_absolute_line_is_the_best_through_any_two_points() -> None:
    rng = np.random.default_rng(5)
    for n in (5, 8, 13):
        values = np.sort(rng.normal(size=n))
        ranks = np.arange(n)
        best = min(
            np.abs(values - values[i] - (values[j] - values[i]) / (j - i) * (ranks - i)).mean()
            for i in range(n)
            for j in range(i + 1, n)
        )
        assert reference.least_absolute_line(values)[2] == pytest.approx(best, rel=1e-12)


def test_majority_of_equal_samples_hides_any_outlier() -> None:
    # As in PixInsight: Sn is 0, and no sample is rejected.
    stack = np.array([0.25] * 6 + [0.9], np.float32)
    assert not integrate_pixel(stack, stack, Integration()).fates.any()


def test_without_survivors_the_pixel_is_the_median() -> None:
    stack = np.array([0.1, 0.4, 0.2, 0.3], np.float32)
    settings = Integration(rejection="MinMax", minMaxLow=2, minMaxHigh=2)
    pixel = integrate_pixel(stack, stack, settings)
    assert pixel.value == np.float32(0.25)
    assert pixel.fates.all()


@pytest.mark.parametrize(
    ("combination", "expected"),
    [("Average", 0.25), ("Median", 0.2), ("Minimum", 0.1), ("Maximum", 0.5)],
)
def test_combinations(combination: str, expected: float) -> None:
    stack = np.array([0.5, 0.1, 0.2, 0.2], np.float32)
    settings = Integration(rejection="NoRejection", combination=combination)
    value = integrate_pixel(stack, stack, settings).value
    assert value == np.float32(
        np.mean(stack.astype(float)) if combination == "Average" else expected
    )


def test_range_clipping_comes_before_rejection() -> None:
    stack = np.array([0.0, 0.2, 0.3, 0.98, 1.0], np.float32)
    settings = Integration(rejection="NoRejection", rangeClipLow=True, rangeClipHigh=True)
    pixel = integrate_pixel(stack, stack, settings)
    np.testing.assert_array_equal(
        pixel.fates, [Fate.LOW, Fate.KEPT, Fate.KEPT, Fate.HIGH, Fate.HIGH]
    )
    assert pixel.value == np.float32(np.float64(stack[1:3].sum(dtype=float)) / 2)


def test_sides_that_are_not_clipped_keep_their_outliers() -> None:
    stack = np.array([0.01, *np.linspace(0.5, 0.51, 12), 0.99], np.float32)
    for method in ("WinsorizedSigmaClip", "SigmaClip", "PercentileClip", "MinMax"):
        settings = Integration(rejection=method, sigmaLow=2, sigmaHigh=2)
        both = integrate_pixel(stack, stack, settings).fates
        high = integrate_pixel(stack, stack, replace(settings, clipLow=False)).fates
        assert (both[0], both[-1]) == (Fate.LOW, Fate.HIGH)
        assert (high[0], high[-1]) == (Fate.KEPT, Fate.HIGH)


def test_additive_normalization_shifts_all_but_black() -> None:
    frame = np.array([[0.0, 0.25]], np.float32)
    np.testing.assert_array_equal(
        reference.normalized(frame, 0.5, 0.25, "Additive"), np.array([[0, 0.5]], np.float32)
    )


@pytest.mark.parametrize(
    ("image", "truncate", "expected"),
    [
        ([0.0, 0.5, 1.0], True, [0.0, 0.5, 1.0]),
        ([-0.5, 0.5, 1.5], True, [0.0, 0.5, 1.0]),
        ([-0.5, 0.5, 1.5], False, [0.0, 0.5, 1.0]),
        ([0.5, 1.0, 2.0], False, [0.25, 0.5, 1.0]),
    ],
)
def test_range_is_fixed(image: list[float], truncate: bool, expected: list[float]) -> None:
    made = fix_range(np.array(image, np.float32), truncate)
    np.testing.assert_array_equal(made, np.array(expected, np.float32))


def test_calibration_subtracts_bias_and_scaled_dark_and_truncates() -> None:
    target, bias, dark = (np.full((1, 1), v, np.float32) for v in (0.5, 0.125, 0.25))
    assert reference_flats.calibrate(target, bias, dark, 0.5)[0, 0] == 0.25
    assert reference_flats.calibrate(target, bias, None)[0, 0] == 0.375
    assert reference_flats.calibrate(target, None, dark)[0, 0] == 0.25
    assert reference_flats.calibrate(target, bias, dark, 4.0)[0, 0] == 0
    assert reference_flats.calibrate(target, None, None, pedestal=65535)[0, 0] == 1


def test_search_finds_the_minimum_of_a_parabola() -> None:
    for minimum in (0.0, 0.02, 0.35, 1.0, 7.5):
        k = reference_flats.minimize(lambda k, m=minimum: np.float32((k - np.float32(m)) ** 2))
        assert float(k) == pytest.approx(minimum, abs=0.001)


def test_negative_factors_become_zero() -> None:
    assert reference_flats.minimize(lambda k: np.float32((k + 1) ** 2)) == 0


def test_dark_with_few_thermal_pixels_is_not_scaled() -> None:
    dark = np.random.default_rng(1).normal(0.01, 0.0001, (50, 50)).astype(np.float32)
    dark[:3, :3] = 0.5
    target = np.full((50, 50), 0.3, np.float32)
    assert reference_flats.optimal_dark_scale(target, dark, sigmas=6) == 1


def test_crop_is_centred() -> None:
    image = np.arange(30, dtype=np.float32).reshape(5, 6)
    np.testing.assert_array_equal(reference_flats.centred_crop(image, 3), image[1:4, 1:4])
    assert reference_flats.centred_crop(image, 0).shape == (5, 6)
    assert reference_flats.centred_crop(image, 6).shape == (5, 6)
