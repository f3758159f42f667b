from __future__ import annotations

import re
from math import inf

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from calmasters.frame import format_value
from calmasters.headers.values import rounded
from calmasters.planning.near_misses import Difference, differences, texts

LISTED = "master_match_keywords"


@pytest.mark.parametrize(
    ("keyword", "ours", "theirs", "step"),
    [
        ("SET-TEMP", "-10.00", "-9.90", 0.2),
        ("SET-TEMP", "-10.00", "-10.50", 1),
        ("SET-TEMP", "-10.00", "-10.40", 1),
        ("GAIN", "239", "240", 2),
        ("OFFSET", "50", "51", 5),
        ("EXPOSURE", "300.00", "300.20", 0.5),
        ("EXPOSURE", "1.36", "1.37", 0.05),
        ("EXPOSURE", "0.0249", "0.0251", 0.001),
        ("GAIN", "0.249", "0.2491", 0.001),
    ],
)
def test_near_numbers_are_joined_by_the_finest_step_that_does(
    keyword: str, ours: str, theirs: str, step: float
) -> None:
    found = Difference(keyword, ours, theirs)
    assert found.setting(LISTED) == f"set round: {{{keyword}: {step:g}}}"
    assert rounded(float(ours), step) == rounded(float(theirs), step)


@pytest.mark.parametrize(
    ("keyword", "ours", "theirs"),
    [
        ("SET-TEMP", "-10.00", "-5.00"),
        ("SET-TEMP", "-10.00", "-11.50"),
        ("INSTRUME", "Ha", "H-alpha"),
        ("GAIN", "100", "240"),
        ("GAIN", "0", "1"),
        ("GAIN", "0.25", "1"),
        ("READOUTM", "0", "1"),
        ("READOUTM", "Extend Fullwell", "Extend Fullwell 2CMS"),
        ("EXPOSURE", "0.004", "0.00403"),
        ("EXPOSURE", "1.00", "2.00"),
        ("FILTER", "B", "Ha"),
        ("INSTRUME", "ATR585M", "ASI2600MM"),
        ("DATE", "2026-01-15", "2026-01-16"),
    ],
)
def test_what_is_not_near_has_no_setting(keyword: str, ours: str, theirs: str) -> None:
    assert Difference(keyword, ours, theirs).setting(LISTED) == ""


@pytest.mark.parametrize(("ours", "theirs"), [("", "Low Noise"), ("Low Noise", "")])
def test_an_absent_keyword_may_be_an_alias_a_folder_or_no_matter(ours: str, theirs: str) -> None:
    setting = Difference("READOUTM", ours, theirs).setting(LISTED)
    assert "keyword_aliases" in setting
    assert "READOUTM_Low Noise" in setting
    assert f"take READOUTM out of {LISTED}" in setting


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("ASI2600MM Pro", "ZWO ASI2600MM Pro"), ("LOW_NOISE", "Low Noise"), ("Ha", "HA")],
)
def test_what_is_spelled_alike_is_joined_by_an_alias(ours: str, theirs: str) -> None:
    setting = Difference("INSTRUME", ours, theirs).setting(LISTED)
    assert setting == f'set value_aliases: {{"INSTRUME": {{"{theirs}": ["{ours}"]}}}}'


@pytest.mark.parametrize(
    ("ours", "theirs", "part"),
    [
        ("QSI 583ws SN 01 FW 05.02.05 PI 7.6", "QSI 583ws SN 01 FW 05.02.06 PI 7.6", "FW"),
        ("Atik 460EX v1.2", "Atik 460EX v1.13", "v1"),
        ("ATR585M (Firmware 7)", "ATR585M (Firmware 12)", "Firmware"),
    ],
)
def test_values_that_differ_in_a_version_are_joined_by_a_pattern(
    ours: str, theirs: str, part: str
) -> None:
    setting = Difference("INSTRUME", ours, theirs).setting(LISTED)
    pattern = yaml.safe_load(setting.removeprefix("set "))["keyword_patterns"]["INSTRUME"]
    (before,) = {found[1] for text in (ours, theirs) if (found := re.search(pattern, text))}
    assert part not in before
    assert before in ours


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("QSI 583ws SN 0001", "QSI 583ws SN 0002"), ("Camera 1", "Camera 2"), ("v1.2", "v1.3")],
)
def test_two_cameras_are_not_joined_by_a_pattern(ours: str, theirs: str) -> None:
    assert Difference("INSTRUME", ours, theirs).setting(LISTED) == ""


@pytest.mark.parametrize("value", ["Low_Noise", "Low/Noise"])
def test_a_value_that_no_name_of_a_folder_can_give_is_not_advised(value: str) -> None:
    assert "READOUTM_" not in Difference("READOUTM", "", value).setting(LISTED)


def test_exposures_are_near_within_a_hundredth_of_the_longer() -> None:
    assert Difference("EXPOSURE", "99.00", "99.995").setting(LISTED).startswith("set round")


def test_names_of_one_filter_are_joined_by_an_alias() -> None:
    assert Difference("FILTER", "Ha", "H-alpha").fix == {
        "value_aliases": {"FILTER": {"H-alpha": ["Ha"]}}
    }


def test_an_absent_keyword_has_no_fix() -> None:
    assert Difference("GAIN", "", "5").fix == {}


@pytest.mark.parametrize(
    ("ours", "theirs", "fix"),
    [
        ("Cam 1.2", "Cam 1.2 Pro", "value_aliases"),
        ("Cam 1.2", "Cam 1.3", "keyword_patterns"),
        ("Cam FW1.2", "Cam FW1.13", "keyword_patterns"),
        ("V 1.2", "V 1.3", "keyword_patterns"),
        ("Cam 1.2", "Cam 1.", "value_aliases"),
    ],
)
def test_only_versions_are_joined_by_a_pattern(ours: str, theirs: str, fix: str) -> None:
    assert [*Difference("INSTRUME", ours, theirs).fix] == [fix]


def test_texts_are_those_that_are_compared() -> None:
    assert texts({"GAIN": 100.0, "FILTER": "B"}, ["FILTER", "GAIN", "OFFSET"]) == ("B", "100", "")


def test_keywords_are_compared_as_they_are_written() -> None:
    ours = {"GAIN": 100, "SET-TEMP": -10, "FILTER": "B", "OFFSET": 50}
    theirs = {"GAIN": 100.0, "SET-TEMP": -10.001, "FILTER": "Ha"}
    found = differences(ours, theirs, ["GAIN", "SET-TEMP", "FILTER", "OFFSET", "READOUTM"])
    assert [*map(str, found)] == ["FILTER Ha against B", "OFFSET absent against 50"]
    assert [each.distance for each in found] == [inf, inf]


NUMBERS = st.floats(-1e5, 1e5)


@given(st.sampled_from(["SET-TEMP", "GAIN", "EXPOSURE"]), NUMBERS, NUMBERS)
def test_a_step_that_is_advised_does_join(keyword: str, ours: float, theirs: float) -> None:
    one, other = format_value(keyword, ours), format_value(keyword, theirs)
    setting = Difference(keyword, one, other).setting(LISTED)
    if setting and one != other:
        step = float(setting.rpartition(": ")[2].removesuffix("}"))
        assert rounded(float(one), step) == rounded(float(other), step)
