"""Values that stand for an unknown one, and numbers written as text."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import pytest

from calmasters.frame import Traits, Value
from calmasters.headers.dialects import FrameHeader, read_keywords
from calmasters.settings import HeaderRules

IMAGE = {"NAXIS": 2, "NAXIS1": 4, "NAXIS2": 3}


def header(path: str = "x.fits", **cards: Any) -> FrameHeader:
    named = {key.replace("__", "-"): value for key, value in cards.items()}
    return read_keywords({**IMAGE, **named}, PurePosixPath(path), HeaderRules())


def traits(path: str = "x.fits", **cards: Any) -> Traits:
    return header(path, **cards).traits


@pytest.mark.parametrize(
    ("keyword", "raw"),
    [
        *(("GAIN", raw) for raw in (-1, -1.0, "-1", -999, "nan", "N/A", "-", "Unknown", "")),
        *(("OFFSET", raw) for raw in (-1, -9999, "unknown", "n/a")),
        *(("EXPTIME", raw) for raw in (-1, -1.0, "-999", "N/A", "nan")),
        *(("SET-TEMP", raw) for raw in (-999.0, -273.15, -1000, 9999, "N/A", "--")),
        *(("FILTER", raw) for raw in ("", "  ", "N/A", "-", "Unknown")),
        *(("INSTRUME", raw) for raw in ("Unknown", "-", "n/a")),
        ("IMAGETYP", "Unknown"),
    ],
)
def test_implausible_values_count_as_absent(keyword: str, raw: Value) -> None:
    names = {"EXPTIME": "EXPOSURE", "IMAGETYP": "TYPE"}
    assert names.get(keyword, keyword) not in header(**{keyword: raw}).traits.keywords


@pytest.mark.parametrize(
    ("keyword", "raw", "expected"),
    [
        ("GAIN", 0, 0),
        ("GAIN", -5, -5),
        ("OFFSET", 0, 0),
        ("EXPTIME", 0.0, 0.0),
        ("SET-TEMP", -120.0, -120.0),
        ("SET-TEMP", 0.0, 0.0),
        ("FILTER", "None", "None"),
        ("FILTER", "Na", "Na"),
    ],
)
def test_plausible_values_stay(keyword: str, raw: Value, expected: Value) -> None:
    name = "EXPOSURE" if keyword == "EXPTIME" else keyword
    assert header(**{keyword: raw}).traits.keywords[name] == expected


def test_the_next_card_is_used_instead_of_an_implausible_value() -> None:
    assert traits(GAIN=-1, ISOSPEED=800).keywords["GAIN"] == 800
    assert traits(EXPTIME="N/A", EXPOSURE=30.0).keywords["EXPOSURE"] == 30.0


def test_a_token_of_the_path_is_used_instead_of_an_implausible_value() -> None:
    assert traits("GAIN_100/x.fits", GAIN=-1).keywords["GAIN"] == 100


@pytest.mark.parametrize("cold", [-273.15, -999.0, "N/A", 1000.0])
def test_an_implausible_temperature_is_unknown(cold: Value) -> None:
    found = header(CCD__TEMP=cold)
    assert found.ccd_temp_c is None
    assert "SET-TEMP" not in found.traits.keywords
    assert header(CCD__TEMP=cold, CCDTEMP=-10.0).ccd_temp_c == -10.0


@pytest.mark.parametrize(
    ("keyword", "raw", "expected"),
    [
        ("EXPTIME", "30,0", 30.0),
        ("EXPTIME", "30 s", 30.0),
        ("EXPTIME", "0,5 sec", 0.5),
        ("EXPTIME", "250 ms", 0.25),
        ("EXPTIME", "1/250", 0.004),
        ("EXPTIME", "2 min", 120.0),
        ("SET-TEMP", "-10.0 °C", -10.0),
        ("SET-TEMP", "-10,0", -10.0),
        ("SET-TEMP", "-10 deg C", -10.0),
        ("SET-TEMP", "+5C", 5.0),
        ("GAIN", "1,5", 1.5),
        ("GAIN", "100,0", 100),
        ("OFFSET", "50,", 50),
    ],
)
def test_numbers_written_as_text_are_read(keyword: str, raw: str, expected: float) -> None:
    name = "EXPOSURE" if keyword == "EXPTIME" else keyword
    assert header(**{keyword: raw}).traits.keywords[name] == expected


def test_a_measured_temperature_may_be_a_text() -> None:
    assert header(CCD__TEMP="-9,8 °C").ccd_temp_c == -9.8


@pytest.mark.parametrize(
    ("cards", "keyword", "text"),
    [
        (
            {"EXPTIME": "half a minute"},
            "EXPOSURE",
            "EXPTIME 'half a minute', which is not a number",
        ),
        ({"EXPTIME": "1.234,5"}, "EXPOSURE", "EXPTIME '1.234,5', which is not a number"),
        ({"SET-TEMP": "263 X"}, "SET-TEMP", "SET-TEMP '263 X', which is not a number"),
        ({"GAIN": -1}, "GAIN", "GAIN -1, which stands for an unknown value"),
    ],
)
def test_sources_say_why_a_value_cannot_be_used(
    cards: dict[str, Value], keyword: str, text: str
) -> None:
    found = header(**cards).traits
    assert keyword not in found.keywords
    assert found.sources[keyword] == text


@pytest.mark.parametrize("keyword", ["GAIN", "OFFSET"])
@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (1.29999995, 1.3),
        (1.2999999523162842, 1.3),
        ("1.29999995", 1.3),
        (99.9999999, 100),
        (0.123456, 0.123456),
        (1.0029141902923584, 1.0029141902923584),
        (1.30001, 1.30001),
    ],
)
def test_numbers_written_as_float32_are_the_decimal_ones(
    keyword: str, raw: Value, expected: float
) -> None:
    assert header(**{keyword: raw}).traits.keywords[keyword] == expected


@pytest.mark.parametrize(
    "folder", ["OFFSET_ISO800", "OFFSET-2026b", "GAIN_high", "EXPOSURE_long", "SETTEMP_cold"]
)
def test_tokens_of_numeric_keywords_take_only_numbers(folder: str) -> None:
    found = traits(f"{folder}/x.fits").keywords
    assert not {"OFFSET", "GAIN", "EXPOSURE", "SET-TEMP"} & found.keys()


def test_a_token_may_have_a_decimal_comma() -> None:
    assert traits("EXPOSURE_0,5s/x.fits").keywords["EXPOSURE"] == 0.5
