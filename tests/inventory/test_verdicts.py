from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from calmasters.frame import Frame, OtherType, Status, Verdict
from calmasters.headers.frame_types import canonical_type
from calmasters.inventory.camera_keywords import CameraKeywords
from calmasters.inventory.verdicts import FrameChecks, check_frame, usable_frames
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
        ({"keywords": {"TYPE": None}}, "has no frame type", "set IMAGETYP in the capture program"),
        ({"keywords": {"TYPE": "raw"}}, "is of type 'raw'", "ignored_types"),
        ({"master": True}, "is a master", "library, or exclude"),
        ({"problems": ("is truncated; copy it again",)}, "is truncated", "^copy it again$"),
        ({"problems": ("is not a FITS file",), "geometry": None}, "is not a", "is not a FITS"),
        (
            {"keywords": {"GAIN": None, "OFFSET": None, "READOUTM": None}},
            "^lacks GAIN, OFFSET;",
            "^if the camera writes no GAIN and no OFFSET, set missing_keywords: by_camera; "
            "otherwise name .*keyword_aliases, or their folder GAIN_value_OFFSET_value$",
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


@pytest.mark.parametrize(
    ("path", "types_from", "part"),
    [
        ("flats/a.fits", ("header",), "folder"),
        ("x/flat_0001.fits", ("header",), "name"),
        ("flats/dark_0001.fits", ("header",), "folder"),
        ("flats/dark_0001.fits", ("header", "folder"), "name"),
        ("flats/a.fits", ("header", "folder"), None),
        ("x/a.fits", ("header",), None),
    ],
)
def test_a_type_that_only_folder_or_name_has_is_a_setting_away(
    settings: Settings,
    make_frame: MakeFrame,
    path: str,
    types_from: tuple[str, ...],
    part: str | None,
) -> None:
    frame = make_frame("flat", keywords={"TYPE": None}, path=path)
    result = verdict(frame, replace(settings, types_from=types_from))
    assert result.settings == ({"types_from": [part]} if part else {})
    assert (f"take the type from its {part}" in result.remedy) == bool(part)


def test_the_folder_of_a_frame_with_a_type_does_not_matter(
    settings: Settings, make_frame: MakeFrame
) -> None:
    assert check_frame(make_frame("bias", path="flats/a.fits"), settings) is None
    damaged = make_frame("raw", path="flats/a.fits")
    assert "take the type from" not in verdict(damaged, settings).remedy


def assert_matches(pattern: str, text: str) -> None:
    assert re.search(pattern, text), text


def test_all_faults_of_a_frame_are_reported_together(
    settings: Settings, make_frame: MakeFrame
) -> None:
    frame = make_frame("flat", keywords={"GAIN": None}, problems=("is calibrated; give the raw",))
    result = verdict(frame, settings)
    assert "is calibrated; give the raw. lacks GAIN; if the camera" in result.reason
    assert result.remedy.startswith("give the raw. if the camera writes no GAIN, set missing_")
    assert result.settings == {}, "no setting helps a calibrated frame"


@pytest.mark.parametrize(
    ("kind", "missing", "reasons"),
    [
        (None, ("GAIN",), ["has no frame type", "lacks GAIN"]),
        ("Ledflatpanel", ("GAIN", "OFFSET"), ["is of type", "lacks GAIN, OFFSET"]),
        # Only flats need a night.
        (None, ("DATE",), ["has no frame type"]),
    ],
)
def test_of_a_frame_of_unknown_type_what_every_type_needs_is_reported_too(
    settings: Settings,
    make_frame: MakeFrame,
    kind: str | None,
    missing: tuple[str, ...],
    reasons: list[str],
) -> None:
    keywords = {"TYPE": kind and canonical_type(kind), **dict.fromkeys(missing)}
    found = verdict(make_frame(keywords=keywords), settings).reason.split(". ")
    assert len(found) == len(reasons)
    assert all(text.startswith(start) for text, start in zip(found, reasons, strict=True))


def test_frames_with_the_same_faults_share_a_verdict(
    settings: Settings, make_frame: MakeFrame
) -> None:
    checks = FrameChecks(settings)
    traits = make_frame(keywords={"GAIN": None}).traits
    frames = [Frame(f"{number}.fits", 1, 1, traits) for number in range(2)]
    assert checks.verdict(frames[0]) is checks.verdict(frames[1])


@pytest.mark.parametrize(
    ("word", "fix"),
    [
        ("Ledflatpanel", {"type_words": {"flat": ["ledflatpanel"]}}),
        ("my bias", {"type_words": {"bias": ["mybias"]}}),
        ("flat or dark", {}),
        ("sausage", {}),
        ("tricolor", None),
    ],
)
def test_an_unknown_word_for_a_type_can_be_given_a_type(
    settings: Settings, make_frame: MakeFrame, word: str, fix: object
) -> None:
    result = verdict(make_frame(keywords={"TYPE": canonical_type(word)}), settings)
    if fix is None:
        assert result.status is Status.IGNORED
    else:
        assert result.settings == fix
        assert "type_words" in result.remedy
        assert result.remedy.endswith(f"otherwise add '{canonical_type(word)}' to ignored_types")


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"path_keywords": "off"}, "name the card that has GAIN in keyword_aliases"),
        ({"header_reader": "ap-common"}, "name their folder GAIN_value"),
        ({"header_reader": "ap-common", "path_keywords": "off"}, ""),
    ],
)
def test_only_places_that_are_read_are_named(
    settings: Settings, make_frame: MakeFrame, changed: dict[str, Any], named: str
) -> None:
    frame = make_frame(keywords={"GAIN": None})
    remedy = verdict(frame, replace(settings, **changed)).remedy
    assert remedy.partition("; otherwise ")[2] == named


@pytest.mark.parametrize(("kind", "keyword"), [("flat", "DATE"), ("dark", "EXPOSURE")])
def test_what_differs_from_frame_to_frame_has_no_setting(
    settings: Settings, make_frame: MakeFrame, kind: str, keyword: str
) -> None:
    others = CameraKeywords.of(settings, [make_frame(kind)])
    nothing = CameraKeywords.of(settings, [])
    for cameras in (others, nothing):
        result = check_frame(make_frame(kind, keywords={keyword: None}), settings, cameras)
        assert result is not None
        assert result.settings == {}
        assert f"their folder {keyword}_" in result.remedy
        assert "missing_keywords" not in result.remedy


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


# --- wrong exposures and values that cannot be used -----------------------------------------------


@pytest.mark.parametrize("exposure", [0.0, 0])
def test_a_dark_of_0_s_is_refused(
    settings: Settings, make_frame: MakeFrame, exposure: float
) -> None:
    dark = verdict(make_frame("dark", keywords={"EXPOSURE": exposure}), settings)
    assert dark.reason.startswith("is a dark with an exposure of 0 s, which cannot be; ")
    assert "name its folder EXPOSURE_60 and set path_keywords: override" in dark.remedy


@pytest.mark.parametrize("exposure", [0.0, 0.001, 0.3, 1.0, None])
def test_a_bias_of_a_short_or_unknown_exposure_is_used(
    settings: Settings, make_frame: MakeFrame, exposure: float | None
) -> None:
    assert check_frame(make_frame("bias", keywords={"EXPOSURE": exposure}), settings) is None


def test_a_bias_of_a_long_exposure_is_refused(settings: Settings, make_frame: MakeFrame) -> None:
    bias = make_frame("bias", keywords={"EXPOSURE": 1.5})
    assert verdict(bias, settings).reason.startswith(
        "is a bias with an exposure of 1.5 s (bias_max_exposure_s is 1)"
    )
    assert check_frame(bias, replace(settings, bias_max_exposure_s=2.0)) is None
    assert check_frame(make_frame("flat", keywords={"EXPOSURE": 1.5}), settings) is None


def test_a_value_that_cannot_be_used_is_not_called_missing(
    settings: Settings, make_frame: MakeFrame
) -> None:
    sources = {"EXPOSURE": "EXPTIME '30 x', which is not a number"}
    frame = make_frame("dark", keywords={"EXPOSURE": None}, sources=sources)
    assert verdict(frame, settings).reason.startswith("has EXPTIME '30 x', which is not a number; ")
    frame = make_frame("dark", keywords={"EXPOSURE": None, "GAIN": None}, sources=sources)
    assert verdict(frame, settings).reason.startswith("lacks GAIN and has EXPTIME '30 x', which")


def test_the_remedy_for_a_master_among_raw_frames_calls_it_a_master(
    settings: Settings, make_frame: MakeFrame
) -> None:
    remedy = verdict(make_frame(master=True), settings).remedy
    assert remedy.startswith("a master is no raw frame: move it to a directory named in library")
