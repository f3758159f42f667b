from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from calmasters.frame import Frame, OtherType, Status, Verdict
from calmasters.inventory.verdicts import check_frame, usable_frames
from calmasters.settings import Settings

MakeFrame = Callable[..., Frame]


def verdict(frame: Frame, settings: Settings) -> Verdict:
    result = check_frame(frame, settings)
    assert result is not None
    assert usable_frames([frame], settings) == {}
    return result


@pytest.mark.parametrize("kind", ["bias", "dark", "flat"])
def test_a_usable_frame_has_no_verdict(
    settings: Settings, make_frame: MakeFrame, kind: str
) -> None:
    assert check_frame(make_frame(kind), settings) is None


@pytest.mark.parametrize("spelling", ["light", "LIGHT", "Light Frame", "science", "OBJECT"])
def test_ignored_types_are_recognized_in_any_spelling(
    settings: Settings, make_frame: MakeFrame, spelling: str
) -> None:
    light = verdict(make_frame("light"), replace(settings, ignored_types=(spelling,)))
    assert light == Verdict(Status.IGNORED, "type light")


@pytest.mark.parametrize("kind", ["tricolor", "bpm", "badpixelmap", "focus", "platesolve"])
def test_unsuitable_types_are_ignored_by_default(
    settings: Settings, make_frame: MakeFrame, kind: str
) -> None:
    assert verdict(make_frame(kind), settings).status is Status.IGNORED


def test_a_damaged_frame_of_an_ignored_type_is_ignored(
    settings: Settings, make_frame: MakeFrame
) -> None:
    light = make_frame("light", problems=("is truncated",), geometry=None, master=True)
    assert verdict(light, settings).status is Status.IGNORED


def test_an_excluded_frame_is_ignored_with_the_pattern(
    settings: Settings, make_frame: MakeFrame
) -> None:
    frame = make_frame(excluded="exclude: *cloudy*")
    assert verdict(frame, settings) == Verdict(Status.IGNORED, "exclude: *cloudy*")


@pytest.mark.parametrize(
    ("fields", "reason", "remedy"),
    [
        ({"keywords": {"TYPE": None}}, "has no frame type", "set IMAGETYP .*TYPE_bias"),
        ({"keywords": {"TYPE": "raw"}}, "is of type 'raw'", "ignored_types"),
        ({"master": True}, "is a master", "library, or exclude"),
        ({"problems": ("is truncated; copy it again",)}, "is truncated", "^copy it again$"),
        ({"problems": ("is not a FITS file",), "geometry": None}, "is not a", "is not a FITS"),
        (
            {"keywords": {"GAIN": None, "OFFSET": None, "READOUTM": None}},
            "^lacks GAIN, OFFSET;",
            "GAIN, OFFSET to optional_keywords .*keyword_aliases.*folder GAIN_value",
        ),
    ],
    ids=["no type", "unknown type", "master", "truncated", "unreadable", "missing keywords"],
)
def test_a_frame_is_refused_with_a_reason_and_a_remedy(
    settings: Settings, make_frame: MakeFrame, fields: dict[str, Any], reason: str, remedy: str
) -> None:
    result = verdict(make_frame(**fields), settings)
    assert result.status is Status.REFUSED
    assert_matches(reason, result.reason)
    assert_matches(remedy, result.remedy)


def assert_matches(pattern: str, text: str) -> None:
    assert re.search(pattern, text), text


def test_all_faults_of_a_frame_are_reported_together(
    settings: Settings, make_frame: MakeFrame
) -> None:
    frame = make_frame("flat", keywords={"GAIN": None}, problems=("is calibrated; give the raw",))
    result = verdict(frame, settings)
    assert "is calibrated; give the raw. lacks GAIN; add GAIN" in result.reason
    assert result.remedy.startswith("give the raw. add GAIN to optional_keywords")


def test_a_light_that_is_not_ignored_is_refused(settings: Settings, make_frame: MakeFrame) -> None:
    result = verdict(make_frame("light"), replace(settings, ignored_types=()))
    assert (result.status, result.reason[:21]) == (Status.REFUSED, "is of type 'light'; a")


@pytest.mark.parametrize(
    ("other", "remedy", "types_from"),
    [
        (
            OtherType("folder", "flat", "Flats"),
            "type light, but their folders say flat; if that is right, "
            "set types_from: [folder, header]",
            ["folder", "header"],
        ),
        (
            OtherType("name", "flat"),
            "type light, but their file names say flat; if that is right, "
            "set types_from: [name, header, folder]",
            ["name", "header", "folder"],
        ),
    ],
)
def test_a_light_whose_folder_or_name_says_flat_is_ignored_with_the_setting_that_uses_it(
    settings: Settings,
    make_frame: MakeFrame,
    other: OtherType,
    remedy: str,
    types_from: list[str],
) -> None:
    light = verdict(make_frame("light", other_type=other), settings)
    assert light == Verdict(Status.IGNORED, f"type light, but {other}", remedy)
    assert light.settings == {"types_from": types_from}
