from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from calmasters.frame import Frame, Value
from calmasters.inventory.assumed_values import with_assumed_values
from calmasters.planning.grouping import group_frames
from calmasters.settings import Settings

MakeFrame = Callable[..., Frame]


def changed(frame: Frame, settings: Settings, **keys: Any) -> Frame:
    (result,) = with_assumed_values([frame], replace(settings, **keys))
    return result


@pytest.mark.parametrize(
    ("pattern", "camera"),
    [
        ("(.+?) FW", "QSI 583ws SN 0 HW 06.00"),
        (r"^\S+ \S+", "QSI 583ws"),
        ("ATR", "QSI 583ws SN 0 HW 06.00 FW 05.02.05"),
    ],
)
def test_a_pattern_takes_a_part_of_a_value(
    settings: Settings, make_frame: MakeFrame, pattern: str, camera: str
) -> None:
    frame = make_frame(keywords={"INSTRUME": "QSI 583ws SN 0 HW 06.00 FW 05.02.05"})
    found = changed(frame, settings, keyword_patterns={"INSTRUME": pattern})
    assert found.keywords["INSTRUME"] == camera
    is_used = camera != frame.keywords["INSTRUME"]
    assert found.traits.sources == ({"INSTRUME": "keyword_patterns"} if is_used else {})


@pytest.mark.parametrize("text", ["Ha", "HA", "h-ALPHA", "Ha  7nm", "ha 7NM"])
def test_aliases_give_one_spelling_to_a_value(
    settings: Settings, make_frame: MakeFrame, text: str
) -> None:
    aliases = {"FILTER": {"Ha": ("H-alpha", "Ha 7nm"), "B": ("Blue",)}}
    frame = make_frame("flat", keywords={"FILTER": text})
    assert changed(frame, settings, value_aliases=aliases).keywords["FILTER"] == "Ha"


@pytest.mark.parametrize("raw", [120, 120.0, "120"])
def test_aliases_of_numbers_are_compared_as_numbers(
    settings: Settings, make_frame: MakeFrame, raw: Value
) -> None:
    frame = make_frame(keywords={"GAIN": 120})
    found = changed(frame, settings, value_aliases={"GAIN": {"100": (raw,)}})
    assert found.keywords["GAIN"] == 100


def test_other_values_and_frames_stay_as_they_are(
    settings: Settings, make_frame: MakeFrame
) -> None:
    frame = make_frame("flat")
    found = changed(
        frame,
        settings,
        value_aliases={"FILTER": {"Ha": ("H-alpha",)}},
        keyword_patterns={"READOUTM": "High"},
    )
    assert found is frame


def test_a_pattern_comes_before_an_alias_and_an_assumed_value(
    settings: Settings, make_frame: MakeFrame
) -> None:
    frame = make_frame(keywords={"INSTRUME": "atr585m FW 3", "GAIN": None})
    found = changed(
        frame,
        settings,
        keyword_patterns={"INSTRUME": "(.+?) FW"},
        value_aliases={"INSTRUME": {"ATR585M": ("ATR",)}},
        assume_keywords={"ATR585M": {"GAIN": 7}},
    )
    assert (found.keywords["INSTRUME"], found.keywords["GAIN"]) == ("ATR585M", 7)


def test_frames_of_two_firmwares_make_one_group(settings: Settings, make_frame: MakeFrame) -> None:
    frames = [
        make_frame(number=number, keywords={"INSTRUME": f"QSI 583ws FW 05.02.0{number}"})
        for number in range(4)
    ]
    asked = replace(settings, keyword_patterns={"INSTRUME": "(.+?) FW"})
    assert len(group_frames(frames, settings)) == 4
    assert len(group_frames(with_assumed_values(frames, asked), asked)) == 1
