"""Dark current against temperature, of simulated libraries with a known doubling temperature."""

from __future__ import annotations

import numpy as np
import pytest

from calmasters.quality.dark_temperature import (
    DarkCurrent,
    DarkLevel,
    dark_currents,
    doubling_temperature,
)

#: Doubling temperature and dark current at 0 degrees of the simulated camera.
DOUBLING_C, AT_ZERO = 6.3, 0.2


def library(
    seed: int,
    temperatures: tuple[float, ...] = (-20.0, -10.0, 0.0, 10.0),
    exposures: tuple[float, ...] = (0.0, 60.0, 300.0),
) -> list[DarkLevel]:
    """Levels with an error of 0.3 ADU, and temperatures with one of 0.1 degrees."""
    random = np.random.default_rng(seed)
    return [
        DarkLevel(
            f"{temperature:.2f}",
            temperature,
            exposure,
            600
            + exposure * AT_ZERO * 2 ** ((temperature + random.normal(0, 0.1)) / DOUBLING_C)
            + random.normal(0, 0.3),
            0.3,
        )
        for temperature in temperatures
        for exposure in exposures
    ]


@pytest.mark.parametrize("exposures", [(0.0, 60.0, 300.0), (0.0, 300.0), (30.0, 300.0)])
def test_the_doubling_temperature_is_found_within_its_uncertainty(
    exposures: tuple[float, ...],
) -> None:
    inside = 0
    for seed in range(100):
        estimate = doubling_temperature(dark_currents(library(seed, exposures=exposures)))
        assert estimate.known, estimate.reason
        value, error = estimate.known
        assert value == pytest.approx(DOUBLING_C, rel=0.05)
        inside += abs(value - DOUBLING_C) < 2 * error
    assert inside >= 90


def test_the_dark_current_at_each_temperature_is_found() -> None:
    currents = dark_currents(library(1))
    assert [each.temperature_c for each in currents] == [-20, -10, 0, 10]
    for each in currents:
        true = AT_ZERO * 2 ** (each.temperature_c / DOUBLING_C)
        assert each.current == pytest.approx(true, abs=max(5 * each.uncertainty, 0.06 * true))


def test_temperatures_that_disagree_make_the_uncertainty_larger() -> None:
    currents = [DarkCurrent(t, 2 ** (t / 6), 1e-4) for t in (-20.0, -10.0, 0.0)]
    odd = [*currents[:2], DarkCurrent(0.0, 2.0, 1e-4)]
    errors = [doubling_temperature(each).uncertainty for each in (currents, odd)]
    assert errors[0]
    assert errors[1]
    assert errors[1] > 2 * errors[0]


@pytest.mark.parametrize(
    ("levels", "reason"),
    [
        (library(1, (-10.0,)), "two or more set-points"),
        (library(1, exposures=(60.0,)), "two or more set-points"),
        (library(1, (-10.0, -7.0)), "differ by 3.0 °C only"),
        (library(1, (-60.0, -50.0)), "at 0 of 2 temperatures"),
        ([], "two or more set-points"),
    ],
)
def test_without_a_doubling_temperature_there_is_a_reason(
    levels: list[DarkLevel], reason: str
) -> None:
    estimate = doubling_temperature(dark_currents(levels))
    assert estimate.value is None
    assert reason in estimate.reason


def test_a_dark_current_that_does_not_rise_has_a_reason() -> None:
    currents = [DarkCurrent(t, 0.2, 0.001) for t in (-20.0, -10.0, 0.0)]
    assert "does not rise" in doubling_temperature(currents).reason
