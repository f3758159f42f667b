"""What is wrong with frames, what to do about it, and the settings that do it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from calmasters.frame import Frame, FrameType, Value
from calmasters.inventory.camera_keywords import UNKNOWN_CAMERAS, CameraKeywords
from calmasters.inventory.faults import Fault, NamedType, find_faults, in_one_line
from calmasters.settings import Settings

MakeFrame = Callable[..., Frame]


def faults_of(
    frame: Frame,
    settings: Settings,
    named: NamedType | None = None,
    cameras: CameraKeywords = UNKNOWN_CAMERAS,
) -> list[Fault]:
    return [*find_faults(frame.traits, named, settings, cameras)]


@pytest.mark.parametrize(
    ("types_from", "path_keywords", "remedy"),
    [
        (("header", "folder"), "fallback", ", or name its folder Bias, Darks or Flats"),
        (("header", "folder"), "off", ", or name its folder Bias, Darks or Flats"),
        (("header",), "fallback", ", or name its folder TYPE_bias, TYPE_dark or TYPE_flat"),
        (("header",), "off", ""),
    ],
)
def test_a_frame_without_a_type_may_get_one_from_places_that_are_read(
    settings: Settings,
    make_frame: MakeFrame,
    types_from: tuple[str, ...],
    path_keywords: str,
    remedy: str,
) -> None:
    changed = replace(settings, types_from=types_from, path_keywords=path_keywords)
    frame = make_frame(keywords={"TYPE": None})
    (fault,) = faults_of(frame, changed)
    assert fault == ("has no frame type", f"set IMAGETYP in the capture program{remedy}", {})
    named = NamedType(FrameType.BIAS, "name")
    (fault,) = faults_of(frame, changed, named)
    places = ", ".join((*types_from, "name"))
    assert fault.remedy == (
        f"take the type from its name: set types_from: [{places}], or set IMAGETYP in the capture "
        f"program{remedy}"
    )
    assert fault.settings == {"types_from": ["name"]}


@pytest.mark.parametrize(
    ("kind", "exposure_s", "remedy", "fix"),
    [
        (
            "focus", 0.0,
            "if these are bias frames, set type_words: {\"bias\": [\"focus\"]}, or flat, dark; "
            "otherwise add 'focus' to ignored_types",
            {},
        ),
        (
            "focus", 1.0,
            "if these are flats, set type_words: {\"flat\": [\"focus\"]}, or bias, dark; "
            "otherwise add 'focus' to ignored_types",
            {},
        ),
        (
            "darkness", 0.0,
            "if these are dark frames, set type_words: {\"dark\": [\"darkness\"]}; "
            "otherwise add 'darkness' to ignored_types",
            {"type_words": {"dark": ["darkness"]}},
        ),
        (
            "darkflatness", 0.0,
            "if these are flats, set type_words: {\"flat\": [\"darkflatness\"]}, or bias, dark; "
            "otherwise add 'darkflatness' to ignored_types",
            {},
        ),
        ("light", 0.0, "add the type to ignored_types to ignore such frames", {}),
    ],
)  # fmt: skip
def test_an_unknown_type_may_be_given_a_meaning(
    settings: Settings,
    make_frame: MakeFrame,
    kind: str,
    exposure_s: float,
    remedy: str,
    fix: Mapping[str, Any],
) -> None:
    (fault,) = faults_of(make_frame(kind, keywords={"EXPOSURE": exposure_s}), settings)
    assert fault == (f"is of type '{kind}'", remedy, fix)


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        ("is damaged; copy it again", ("is damaged", "copy it again", {})),
        ("is damaged", ("is damaged", "", {})),
        (
            "is bright; if they are 16-bit ADU, set float_range: adu16",
            ("is bright", "if they are 16-bit ADU, set float_range: adu16",
             {"float_range": "adu16"}),
        ),
        (
            "has another range; set float_range: auto, or exclude it",
            ("has another range", "set float_range: auto, or exclude it",
             {"float_range": "auto"}),
        ),
        (
            "is a series; to use each plane as a frame, set cubes: frames",
            ("is a series", "to use each plane as a frame, set cubes: frames",
             {"cubes": "frames"}),
        ),
    ],
)  # fmt: skip
def test_a_problem_of_a_header_has_the_setting_of_its_remedy(
    settings: Settings, make_frame: MakeFrame, problem: str, expected: tuple[Any, ...]
) -> None:
    assert faults_of(make_frame(problems=(problem,)), settings) == [expected]
    # Without an image, nothing else of it counts.
    frame = make_frame(keywords={"TYPE": None}, problems=(problem,), geometry=None)
    assert faults_of(frame, settings) == [expected]


@pytest.mark.parametrize(
    ("missing", "path_keywords", "reader", "places"),
    [
        (
            ["GAIN"], "fallback", "native",
            "the card that has GAIN in keyword_aliases, or their folder GAIN_value",
        ),
        (
            ["GAIN", "DATE"], "fallback", "native",
            "the card that has GAIN in keyword_aliases, or their folder GAIN_value_DATE_2026-01-15",
        ),
        (["DATE"], "fallback", "native", "their folder DATE_2026-01-15"),
        (["GAIN"], "off", "native", "the card that has GAIN in keyword_aliases"),
        (["GAIN"], "fallback", "ap-common", "their folder GAIN_value"),
    ],
)  # fmt: skip
def test_a_missing_value_may_be_given_where_it_is_read(
    settings: Settings,
    make_frame: MakeFrame,
    missing: list[str],
    path_keywords: str,
    reader: str,
    places: str,
) -> None:
    changed = replace(settings, path_keywords=path_keywords, header_reader=reader)
    (fault,) = faults_of(make_frame("flat", keywords=dict.fromkeys(missing)), changed)
    assert fault.remedy.rpartition("name ")[2] == places


@pytest.mark.parametrize(
    ("gains", "listed"),
    [
        ([100], "GAIN 100"),
        ([200, 100], "GAIN 100 or 200"),
        ([100, 200, 300], "GAIN 100 or 200 or 300"),
        ([100, 200, 300, 400], "GAIN 100 or 200 or 300 or another"),
    ],
)
def test_values_of_other_frames_are_listed(
    settings: Settings, make_frame: MakeFrame, gains: list[Value], listed: str
) -> None:
    others = [make_frame(keywords={"GAIN": gain}) for gain in gains]
    cameras = CameraKeywords.of(settings, others)
    (fault,) = faults_of(make_frame(keywords={"GAIN": None}), settings, None, cameras)
    assumed = gains[0] if len(gains) == 1 else "VALUE"
    assert f"if all these were taken with {listed}, as other frames of ATR585M" in fault.remedy
    assert f'set assume_keywords: {{"ATR585M": {{"GAIN": {json.dumps(assumed)}}}}}' in fault.remedy
    # Of several values a person chooses.
    fix = {"assume_keywords": {"ATR585M": {"GAIN": assumed}}} if len(gains) == 1 else {}
    assert fault.settings == fix


def test_a_setting_is_complete_only_if_each_keyword_has_one_value(
    settings: Settings, make_frame: MakeFrame
) -> None:
    others = [make_frame(keywords={"OFFSET": offset}) for offset in (10, 20)]
    without = make_frame(keywords={"GAIN": None, "OFFSET": None})
    (fault,) = faults_of(without, settings, None, CameraKeywords.of(settings, others))
    assert "were taken with GAIN 100, OFFSET 10 or 20, as other frames" in fault.remedy
    assert fault.settings == {}
    (fault,) = faults_of(without, settings, None, CameraKeywords.of(settings, others[:1]))
    assert fault.settings == {"assume_keywords": {"ATR585M": {"GAIN": 100, "OFFSET": 10}}}


def test_several_settings_are_one_line_of_yaml() -> None:
    assert in_one_line({"a": {"b": [1, "ä"]}, "c": "d"}) == 'a: {"b": [1, "ä"]}, c: "d"'
