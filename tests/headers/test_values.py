"""Numbers as people and programs write them, and values that say nothing."""

from __future__ import annotations

import pytest

from calmasters.frame import Value
from calmasters.headers.fits_cards import CardValue
from calmasters.headers.values import (
    is_known,
    number_in,
    round_to,
    rounded,
    temperature_c,
    typed_value,
)


@pytest.mark.parametrize(
    ("unit", "seconds"),
    [
        *((unit, 2.5) for unit in ("", "s", "sec", "secs", "second", "seconds", " S", "Sec.")),
        ("ms", 0.0025),
        ("us", 0.0000025),
        ("min", 150.0),
    ],
)
def test_an_exposure_may_have_a_unit(unit: str, seconds: float) -> None:
    assert number_in("EXPOSURE", f"2.5{unit}") == pytest.approx(seconds, rel=1e-12)
    assert number_in("GAIN", f"2.5{unit}") == (2.5 if not unit else None)


@pytest.mark.parametrize(
    "unit",
    ["", "C", "°", "°C", "º", "ºC", "degC", "deg", "deg C", "Celsius", "degrees", "degrees C"],
)
def test_a_temperature_may_have_a_unit(unit: str) -> None:
    assert number_in("SET-TEMP", f"-10.5{unit}") == -10.5
    assert number_in("SET-TEMP", f"-10,5 {unit}") == -10.5


@pytest.mark.parametrize("text", ["263 X", "-10 R", "-10/2", "cold", "", "1.234,5"])
def test_other_texts_are_no_temperature(text: str) -> None:
    assert number_in("SET-TEMP", text) is None


@pytest.mark.parametrize(
    ("text", "number"), [("1/250", 0.004), (".5", 0.5), ("5e-3", 0.005), ("+2,", 2.0)]
)
def test_numbers_may_be_written_in_several_ways(text: str, number: float) -> None:
    assert number_in("EXPOSURE", text) == number


@pytest.mark.parametrize(
    "text",
    ["", " ", "-", "--", "---", "?", "N/A", "NaN", "null", "Unknown", "undefined",
     " not available "],
)  # fmt: skip
def test_texts_for_an_unknown_value_are_no_value(text: str) -> None:
    assert typed_value("FILTER", text) is None


@pytest.mark.parametrize(
    ("keyword", "raw", "value"),
    [
        ("SET-TEMP", -18.899999618530273, -18.9),
        ("SET-TEMP", -10.014, -10.01),
        ("SET-TEMP", -0.001, 0.0),
        ("EXPOSURE", 0.00012345678, 0.000123),
        ("EXPOSURE", "about 2", None),
        ("GAIN", 100.0, 100),
        ("GAIN", "1.29999995", 1.3),
        ("GAIN", "High  Gain", "High Gain"),
        ("FILTER", 656.0, 656),
        ("FILTER", "656.0", "656.0"),
        ("FILTER", 1.29999995, 1.29999995),
        ("FILTER", True, "True"),
    ],
)
def test_a_value_gets_the_type_of_its_keyword(
    keyword: str, raw: Value | bool, value: Value | None
) -> None:
    found = typed_value(keyword, raw)
    assert (str(found), type(found)) == (str(value), type(value))


@pytest.mark.parametrize(
    ("keyword", "value", "known"),
    [
        *(("GAIN", value, False) for value in (-1, -99, -999.0)),
        *(("OFFSET", value, False) for value in (-1.0, -9999)),
        *(("GAIN", value, True) for value in (0, -5, -9, -10, -998, "-1")),
        ("SET-TEMP", -273.15, False),
        ("SET-TEMP", -273.14, True),
        ("SET-TEMP", 150.0, True),
        ("SET-TEMP", 150.1, False),
        ("EXPOSURE", 0.0, True),
        ("EXPOSURE", -0.1, False),
        ("FILTER", -1, True),
    ],
)
def test_some_numbers_stand_for_an_unknown_value(keyword: str, value: Value, known: bool) -> None:
    assert is_known(keyword, value) is known


@pytest.mark.parametrize(
    "card",
    ["CCD-TEMP", "CCD_TEMP", "CCDTEMP", "TEMPERAT", "CAMTCCD", "DET-TEMP", "DET_TEMP",
     "SENSOR-TEMP", "TEMP", "CAMTEMP"],
)  # fmt: skip
def test_the_measured_temperature_is_read_from_the_card_of_any_program(card: str) -> None:
    assert temperature_c({card: -9.8}) == -9.8
    assert temperature_c({card: "-9,8 °C"}) == -9.8


@pytest.mark.parametrize(("celsius", "known"), [(150.0, True), (330.1, False), (-273.15, False)])
def test_a_temperature_that_cannot_be_is_unknown(celsius: float, known: bool) -> None:
    assert temperature_c({"CCD-TEMP": celsius}) == (celsius if known else None)
    assert temperature_c({"CCD-TEMP": celsius, "CAMTEMP": 5}) == (celsius if known else 5)


def test_rounding_gives_no_negative_zero() -> None:
    assert str(round_to(-0.001, 2)) == "0.0"
    assert str(rounded(-2.4, 5)) == "0.0"
    assert rounded(-12.6, 5) == -15.0
    assert rounded(0.3, 0.1) == 0.3


@pytest.mark.parametrize(
    ("raw", "celsius"),
    [
        (263.15, -10.0),
        (153, -120.15),
        ("263.15 K", -10.0),
        ("14 F", -10.0),
        ("-4 °F", -20.0),
        ("100 K", -173.15),
        (330.0, 56.85),
    ],
)
def test_temperatures_in_kelvin_and_fahrenheit_are_converted(
    raw: CardValue, celsius: float
) -> None:
    assert typed_value("SET-TEMP", raw) == celsius
    assert temperature_c({"CCD-TEMP": raw}) == celsius
