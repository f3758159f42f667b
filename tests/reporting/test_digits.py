"""Digits: as many as mean something."""

from __future__ import annotations

import pytest

from calmasters.quality.estimate import Estimate
from calmasters.reporting.digits import (
    keyword_value,
    measured,
    range_text,
    setting_value,
    short,
    temperature,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12.0, "12"),
        (612.34, "612.3"),
        (0.7966, "0.797"),
        (28_095.31, "28095"),
        (0.00193, "0.00193"),
        (3.3979, "3.40"),
        (0.4, "0.4"),
        (-0.0000001, "0"),
        (3.174e11, "3.17 \N{MULTIPLICATION SIGN} 10¹¹"),
        (float("nan"), ""),
        (None, ""),
    ],
)
def test_numbers_are_short(value: float | None, text: str) -> None:
    assert short(value) == text


def test_digits_follow_a_rounded_uncertainty() -> None:
    assert measured(Estimate(1234.56, 98.7)) == "1235 ± 99"
    assert measured(Estimate(1.23456, 0.0997)) == "1.23 ± 0.10"
    assert measured(Estimate(34_600.0, 0.0)) == "34600"
    assert measured(Estimate.unknown("why")) == ""
    assert measured(Estimate(34_612.7, 1234.5)) == "34600 ± 1200"


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ((0.3, 1.1), "0.3 to 1.1"),
        ((2.91341234, None), "at least 2.913"),
        ((None, 20_000), "at most 20000"),
        ((None, None), ""),
    ],
)
def test_expected_values_are_short(limits: tuple[float | None, float | None], text: str) -> None:
    assert range_text(limits) == text


def test_temperatures_are_written_to_a_tenth_of_a_degree() -> None:
    values = (-10.104270106606831, -0.04, 20.0, None)
    assert [temperature(value) for value in values] == ["-10.1", "0.0", "20.0", ""]


def test_keywords_and_settings_have_no_more_digits_than_were_meant() -> None:
    assert keyword_value("SET-TEMP", -10.100000381469727) == "-10.1 °C"
    assert keyword_value("FOCALLEN", 479.99998474121094) == "480 mm"
    assert keyword_value("GAIN", 100) == "100"
    assert keyword_value("FILTER", "Ha") == "Ha"
    assert [setting_value(value) for value in (True, 4.0, 0.00001, "auto", None)] == [
        *("true", "4", "0.00001", "auto", "None")
    ]
