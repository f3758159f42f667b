from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from calmasters.frame import Frame, Status, Verdict
from calmasters.inventory.verdicts import check_frame, sound_frames
from calmasters.settings import Settings

MakeFrame = Callable[..., Frame]


def verdict(frame: Frame, settings: Settings) -> Verdict:
    found = check_frame(frame, settings)
    assert found is not None
    assert sound_frames([frame], settings) == {}
    return found


@pytest.mark.parametrize("kind", ["bias", "dark", "flat"])
def test_a_sound_frame_has_no_verdict(settings: Settings, make_frame: MakeFrame, kind: str) -> None:
    assert check_frame(make_frame(kind), settings) is None


@pytest.mark.parametrize("spelling", ["light", "LIGHT", "Light Frame", "science", "OBJECT"])
def test_ignored_types_are_known_in_any_spelling(
    settings: Settings, make_frame: MakeFrame, spelling: str
) -> None:
    light = verdict(make_frame("light"), replace(settings, ignored_types=(spelling,)))
    assert light == Verdict(Status.IGNORED, "type light")


@pytest.mark.parametrize("word", ["tricolor", "bpm", "badpixelmap", "focus", "platesolve"])
def test_frames_of_no_use_are_ignored_by_the_defaults(
    settings: Settings, make_frame: MakeFrame, word: str
) -> None:
    assert verdict(make_frame(word), settings).status is Status.IGNORED


def test_an_ignored_frame_may_be_as_damaged_as_it_likes(
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
    ids=["no type", "unknown type", "master", "truncated", "unreadable", "lacking"],
)
def test_a_frame_is_refused_with_a_reason_and_a_remedy(
    settings: Settings, make_frame: MakeFrame, fields: dict[str, Any], reason: str, remedy: str
) -> None:
    found = verdict(make_frame(**fields), settings)
    assert found.status is Status.REFUSED
    assert_matches(reason, found.reason)
    assert_matches(remedy, found.remedy)


def assert_matches(pattern: str, text: str) -> None:
    assert re.search(pattern, text), text


def test_all_faults_of_a_frame_are_given_at_once(settings: Settings, make_frame: MakeFrame) -> None:
    frame = make_frame("flat", keywords={"GAIN": None}, problems=("is calibrated; give the raw",))
    found = verdict(frame, settings)
    assert "is calibrated; give the raw. lacks GAIN; add GAIN" in found.reason
    assert found.remedy.startswith("give the raw. add GAIN to optional_keywords")


def test_a_light_that_is_not_ignored_is_refused_and_never_a_wildcard(
    settings: Settings, make_frame: MakeFrame
) -> None:
    found = verdict(make_frame("light"), replace(settings, ignored_types=()))
    assert (found.status, found.reason[:21]) == (Status.REFUSED, "is of type 'light'; a")
