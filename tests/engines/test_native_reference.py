"""The reference implementation against PixInsight's published code, and closed forms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

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


# Tiny stacks, by hand -------------------------------------------------------------------

K, L, H = Fate.KEPT, Fate.LOW, Fate.HIGH


def fates_of(samples: Sequence[float], rejection: str, **settings: Any) -> list[int]:
    """Reject samples, which are given in 64ths, so that they and their sums are exact."""
    stack = (np.array(samples) / 64).astype(np.float32)
    return [*integrate_pixel(stack, stack, Integration(rejection=rejection, **settings)).fates]


@pytest.mark.parametrize("rejection", reference.REJECTIONS)
@pytest.mark.parametrize("samples", [[7.0], [7.0, 60.0], [60.0, 7.0]])
def test_one_or_two_samples_are_kept(rejection: str, samples: list[float]) -> None:
    limits = {"minMaxLow": 0, "minMaxHigh": 0, "pcClipLow": 1.0, "pcClipHigh": 1.0}
    assert fates_of(samples, rejection, **limits) == [K] * len(samples)


@pytest.mark.parametrize(
    ("settings", "fates"),
    [
        ({"minMaxLow": 1, "minMaxHigh": 1}, [K, L, K, H, K]),
        ({"minMaxLow": 2, "minMaxHigh": 0}, [K, L, L, K, K]),
        ({"minMaxLow": 0, "minMaxHigh": 2}, [H, K, K, H, K]),
        ({"minMaxLow": 9, "minMaxHigh": 9}, [L] * 5),
        ({"minMaxLow": 3, "minMaxHigh": 9}, [H, L, L, H, L]),
        ({"minMaxLow": 1, "minMaxHigh": 1, "clipLow": False}, [K, K, K, H, K]),
        ({"minMaxLow": 1, "minMaxHigh": 1, "clipHigh": False}, [K, L, K, K, K]),
    ],
)
def test_min_max_drops_the_outermost(settings: dict[str, Any], fates: list[int]) -> None:
    assert fates_of([40, 10, 20, 50, 30], "MinMax", **settings) == fates


@pytest.mark.parametrize(
    ("samples", "settings", "fates"),
    [
        # The median is 32: 16 and 48 differ from it by a half, which is still inside.
        ([16, 32, 48], {"pcClipLow": 0.5, "pcClipHigh": 0.5}, [K, K, K]),
        ([15, 32, 49], {"pcClipLow": 0.5, "pcClipHigh": 0.5}, [L, K, H]),
        ([15, 32, 49], {"pcClipLow": 0.5, "pcClipHigh": 0.5, "clipLow": False}, [K, K, H]),
        ([15, 32, 49], {"pcClipLow": 0.5, "pcClipHigh": 0.5, "clipHigh": False}, [L, K, K]),
        ([15, 32, 49], {"pcClipLow": 0.6, "pcClipHigh": 0.5}, [K, K, H]),
        ([15, 32, 49], {"pcClipLow": 0.5, "pcClipHigh": 0.6}, [L, K, K]),
        ([49, 15, 33, 31], {"pcClipLow": 0.5, "pcClipHigh": 0.5}, [H, L, K, K]),
        ([0, 0, 60], {"pcClipLow": 0.1, "pcClipHigh": 0.1}, [K, K, K]),
    ],
)
def test_percentiles_are_fractions_of_the_median(
    samples: list[float], settings: dict[str, Any], fates: list[int]
) -> None:
    assert fates_of(samples, "PercentileClip", **settings) == fates


@pytest.mark.parametrize(
    ("samples", "settings", "fates"),
    [
        # Median 8 and, of seven times 8 and 40, the deviation sqrt(32^2 * 7/8 / 7) = 11.31.
        ([8, 8, 8, 40, 8, 8, 8, 8], {"sigmaHigh": 2.82}, [K, K, K, H, K, K, K, K]),
        ([8, 8, 8, 40, 8, 8, 8, 8], {"sigmaHigh": 2.83}, [K] * 8),
        ([8, 8, 8, 40, 8, 8, 8, 8], {"sigmaHigh": 2.82, "clipHigh": False}, [K] * 8),
        ([40, 40, 8, 40, 40, 40, 40, 40], {"sigmaLow": 2.82}, [K, K, L, K, K, K, K, K]),
        ([40, 40, 8, 40, 40, 40, 40, 40], {"sigmaLow": 2.83}, [K] * 8),
        ([40, 40, 8, 40, 40, 40, 40, 40], {"sigmaLow": 2.82, "clipLow": False}, [K] * 8),
        # Without 60, 20 is an outlier of the others, too; then all are equal.
        ([8, 60, 8, 8, 20, 8, 8, 8, 8, 8], {"sigmaHigh": 2.5}, [K, H, K, K, H, *[K] * 5]),
        # Two are left, and no more are rejected.
        ([8, 20, 60], {"sigmaHigh": 1.0, "sigmaLow": 0.1}, [L, K, H]),
        ([8, 20, 60, 20], {"sigmaHigh": 1.0, "sigmaLow": 0.4}, [L, K, H, K]),
        ([8] * 5, {"sigmaHigh": 0.1, "sigmaLow": 0.1}, [K] * 5),
    ],
)
def test_sigma_clipping_is_about_the_median_until_nothing_is_rejected(
    samples: list[float], settings: dict[str, Any], fates: list[int]
) -> None:
    assert fates_of(samples, "SigmaClip", **settings) == fates


@pytest.mark.parametrize(
    ("samples", "settings", "fates"),
    [
        # Median 16: the gain is sqrt(48^2/16 / 4) = 6, and sigma 6 * sqrt(1/4) / 8 of 64ths…
        ([16, 16, 64, 16, 16], {"sigmaHigh": 1.99}, [K, K, H, K, K]),
        ([16, 16, 64, 16, 16], {"sigmaHigh": 2.01}, [K] * 5),
        ([16, 16, 4, 16, 16], {"sigmaLow": 1.99}, [K, K, L, K, K]),
        ([16, 16, 4, 16, 16], {"sigmaLow": 2.01}, [K] * 5),
        # Dark pixels have no noise to compare with: all are rejected.
        ([0, 0, 0, 50], {}, [L, L, L, L]),
    ],
)
def test_averaged_sigma_grows_with_the_root_of_the_median(
    samples: list[float], settings: dict[str, Any], fates: list[int]
) -> None:
    assert fates_of(samples, "AveragedSigmaClip", **settings) == fates


def test_averaged_sigma_has_the_gain_of_all_samples() -> None:
    stack = np.array([0.25, 0.25, 0.25, 0.25, 1.0], np.float32)
    estimate = reference.averaged_estimate(stack)
    # Squares over the median: 0.75^2 / 0.25 = 2.25, over four: gain 0.75; sigma 0.75 * 0.5.
    assert estimate(stack, 0) == (0.25, 0.375)
    assert estimate(stack[3:], 1) == (0.625, 0.75 * math.sqrt(0.625))
    (centre, sigma) = reference.averaged_estimate(stack[:1])(stack[:1], 0)
    assert (centre, sigma) == (0.25, 0)


@pytest.mark.parametrize(
    ("samples", "settings", "fates"),
    [
        # On a line but for 4.5 and 40: the mean deviation is 33.5/7, and 33 is 3.447 sigma.
        ([1, 2, 3, 4.5, 5, 6, 40], {"linearFitHigh": 3.44}, [*[K] * 6, H]),
        ([1, 2, 3, 4.5, 5, 6, 40], {"linearFitHigh": 3.45}, [K] * 7),
        ([1, 2, 3, 4.5, 5, 6, 40], {"linearFitHigh": 3.44, "clipHigh": False}, [K] * 7),
        ([1, 35, 36, 37.5, 38, 39, 40], {"linearFitLow": 3.44}, [L, *[K] * 6]),
        ([1, 35, 36, 37.5, 38, 39, 40], {"linearFitLow": 3.45}, [K] * 7),
        ([1, 35, 36, 37.5, 38, 39, 40], {"linearFitLow": 3.44, "clipLow": False}, [K] * 7),
        # Sigma is 2 * (2 + 6)/8, and the residual of 14 exactly three times that.
        ([6, 8, 8, 8, 8, 8, 8, 14], {"linearFitHigh": 3.0}, [*[K] * 7, H]),
        (
            [2, 8, 8, 8, 8, 8, 8, 10],
            {"linearFitLow": 3.0, "linearFitHigh": 50.0},
            [L, *[K] * 7],
        ),
        # Without 60, the line finds 30, too.
        ([6, 8, 8, 8, 8, 8, 8, 8, 30, 60], {"linearFitHigh": 3.4}, [*[K] * 8, H, H]),
        # Four samples have no line at first, but later.
        ([6, 8, 8, 60], {"linearFitHigh": 1.0}, [K] * 4),
        ([6, 8, 8, 8, 60], {"linearFitHigh": 2.4}, [K, K, K, K, H]),
    ],
)
def test_linear_fit_clips_about_the_line_through_the_sorted_samples(
    samples: list[float], settings: dict[str, Any], fates: list[int]
) -> None:
    assert fates_of(samples, "LinearFit", **{"linearFitLow": 50.0, **settings}) == fates


def test_a_line_may_be_steep() -> None:
    """Sigma grows with the slope in samples per frame, of which 1 is the whole range."""
    values = np.array([0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 1.0], np.float32)
    intercept, slope, deviation = reference.least_absolute_line(values.astype(np.float64))
    assert (intercept, slope, deviation) == (0.0, 0.125, 0.25 / 7)
    # 0.25 over 2 * 0.25/7 * sqrt(1 + 1/64) is 3.473.
    for limit, fate in ((3.47, H), (3.48, K), (3.5, K)):
        settings = Integration(rejection="LinearFit", linearFitHigh=limit, linearFitLow=50.0)
        assert integrate_pixel(values, values, settings).fates[-1] == fate


@pytest.mark.parametrize("samples", [[8] * 5, [12, 8, 10, 11, 9]])
def test_equal_samples_or_those_at_equal_distances_are_kept(samples: list[float]) -> None:
    """Saturated pixels, and those of a sensor that is quieter than 1 ADU, have equal samples."""
    for rejection in reference.REJECTIONS.keys() - {"MinMax", "LinearFit"}:
        limits = {"pcClipLow": 1.0, "pcClipHigh": 1.0}
        assert fates_of(samples, rejection, **limits) == [K] * len(samples), rejection


@pytest.mark.parametrize(
    ("samples", "settings", "fates"),
    [
        # As far from the centre: the lowest goes first, and only one of eleven may.
        ([0, *range(24, 41, 2), 64], {"esdLowRelaxation": 1.0}, [L, *[K] * 10]),
        # Low ones are given twice as much room.
        ([0, *range(24, 41, 2), 64], {"esdLowRelaxation": 2.0}, [*[K] * 10, H]),
        # At least one may go, and all but two.
        ([8, 8, 60], {"esdOutliersFraction": 0.0, "esdAlpha": 0.9}, [K, K, H]),
        ([8, 8, 9, 60], {"esdOutliersFraction": 1.0, "esdAlpha": 0.9}, [K, K, H, H]),
        # 30 is 1.659 sigma from the mean of the middle; limits of five are 1.715 and 1.602.
        ([8, 12, 16, 20, 30], {"esdAlpha": 0.05}, [K] * 5),
        ([8, 12, 16, 20, 30], {"esdAlpha": 0.2}, [K, K, K, K, H]),
    ],
)
def test_deviates_are_removed_one_by_one(
    samples: list[float], settings: dict[str, Any], fates: list[int]
) -> None:
    chosen = {"esdOutliersFraction": 0.1, "esdAlpha": 0.5, **settings}
    assert fates_of(samples, "Rejection_ESD", **chosen) == fates
