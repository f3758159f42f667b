from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from calmasters.frame import Frame, Value
from calmasters.inventory.assumed_values import with_assumed_values
from calmasters.inventory.camera_keywords import (
    UNKNOWN_CAMERAS,
    CameraKeywords,
    absence_sentences,
    lacking_keywords,
    missing_keywords,
)
from calmasters.settings import Settings

MakeFrame = Callable[..., Frame]


def absent(settings: Settings, *frames: Frame, **known: list[Frame]) -> Mapping[str, object]:
    cameras = CameraKeywords.of(settings, frames, **known)
    return cameras.absent(lacking_keywords(frames, settings))


# --- absent for a camera --------------------------------------------------------------------------


def test_a_keyword_that_no_frame_of_a_camera_has_is_absent(
    settings: Settings, make_frame: MakeFrame
) -> None:
    old = {"INSTRUME": "ST-7", "OFFSET": None, "GAIN": None, "READOUTM": None}
    frames = [make_frame("bias"), make_frame("flat", keywords=old)]
    assert absent(settings, *frames) == {"ST-7": ("GAIN", "OFFSET")}
    cameras = CameraKeywords.of(settings, frames)
    assert missing_keywords(frames[1].traits, "flat", settings, cameras) == []
    assert missing_keywords(frames[1].traits, "flat", settings, UNKNOWN_CAMERAS) == [
        "GAIN",
        "OFFSET",
    ]


@pytest.mark.parametrize("evidence", ["frames", "library", "made"])
@pytest.mark.parametrize("kind", ["bias", "light"])
def test_one_frame_or_master_of_the_camera_that_has_it_makes_it_missing(
    settings: Settings, make_frame: MakeFrame, evidence: str, kind: str
) -> None:
    without, has_it = make_frame("dark", keywords={"GAIN": None}), make_frame(kind)
    known = {evidence: [has_it]} if evidence != "frames" else {}
    frames = [without, has_it] if evidence == "frames" else [without]
    assert absent(settings, *frames, **known) == {}
    cameras = CameraKeywords.of(settings, frames, **known)
    assert missing_keywords(without.traits, "dark", settings, cameras) == ["GAIN"]


def test_an_excluded_frame_says_nothing(settings: Settings, make_frame: MakeFrame) -> None:
    unread = make_frame(keywords=dict.fromkeys(make_frame().keywords), excluded="exclude: x")
    frames = [make_frame("flat", keywords={"GAIN": None}), unread]
    assert absent(settings, *frames) == {"ATR585M": ("GAIN",)}


@pytest.mark.parametrize(("kind", "keyword"), [("flat", "DATE"), ("dark", "EXPOSURE")])
def test_night_and_exposure_are_never_absent(
    settings: Settings, make_frame: MakeFrame, kind: str, keyword: str
) -> None:
    frame = make_frame(kind, keywords={keyword: None})
    cameras = CameraKeywords.of(settings, [frame])
    assert absent(settings, frame) == {}
    assert missing_keywords(frame.traits, kind, settings, cameras) == [keyword]


def test_a_keyword_of_the_user_that_nobody_writes_is_absent(
    settings: Settings, make_frame: MakeFrame
) -> None:
    lists = settings.required_keywords
    required = {**lists, "flat": (*lists["flat"], "ROTATOR")}
    rotated = replace(settings, required_keywords=required)
    # Bias frames do not need it.
    assert absent(rotated, make_frame("bias")) == {}
    assert absent(rotated, make_frame("bias"), make_frame("flat")) == {"ATR585M": ("ROTATOR",)}
    assert absent(rotated, make_frame("light", keywords={"ROTATOR": 1}), make_frame("flat")) == {}


def test_with_refuse_nothing_is_absent(settings: Settings, make_frame: MakeFrame) -> None:
    refusing = replace(settings, missing_keywords="refuse")
    frame = make_frame(keywords={"GAIN": None})
    assert absent(refusing, frame) == {}
    cameras = CameraKeywords.of(refusing, [frame])
    assert missing_keywords(frame.traits, "bias", refusing, cameras) == ["GAIN"]


def test_only_raw_calibration_frames_lack_keywords(
    settings: Settings, make_frame: MakeFrame
) -> None:
    assert lacking_keywords([make_frame("bias"), make_frame("flat")], settings) == {}
    others = [
        make_frame("light", keywords={"GAIN": None}),
        make_frame("dark", keywords={"GAIN": None}, master=True),
    ]
    assert lacking_keywords(others, settings) == {}
    dark = make_frame("dark", keywords={"OFFSET": None, "GAIN": None})
    assert lacking_keywords([*others, dark], settings) == {"ATR585M": ["GAIN", "OFFSET"]}


# --- frames without the name of a camera ----------------------------------------------------------


def test_the_camera_is_absent_if_no_frame_names_one(
    settings: Settings, make_frame: MakeFrame
) -> None:
    nameless = make_frame(keywords={"INSTRUME": None, "GAIN": None})
    expected = {"": ("INSTRUME", "GAIN")}
    assert absent(settings, nameless) == expected
    # A library may be of other cameras.
    assert absent(settings, nameless, library=[make_frame()]) == expected


@pytest.mark.parametrize("evidence", ["frames", "made"])
def test_the_camera_is_missing_if_others_name_it(
    settings: Settings, make_frame: MakeFrame, evidence: str
) -> None:
    nameless, other = make_frame(keywords={"INSTRUME": None}), make_frame("light")
    known = {evidence: [other]} if evidence == "made" else {}
    frames = [nameless] if known else [nameless, other]
    assert absent(settings, *frames, **known) == {}
    cameras = CameraKeywords.of(settings, frames, **known)
    assert missing_keywords(nameless.traits, "bias", settings, cameras) == ["INSTRUME"]


def test_a_frame_that_may_be_of_any_camera_needs_what_one_of_them_has(
    settings: Settings, make_frame: MakeFrame
) -> None:
    nameless = make_frame(keywords={"INSTRUME": None, "GAIN": None, "OFFSET": None})
    other = make_frame(keywords={"OFFSET": None})
    cameras = CameraKeywords.of(settings, [nameless, other])
    missing = missing_keywords(nameless.traits, "bias", settings, cameras)
    assert missing == ["INSTRUME", "GAIN"]


# --- sentences ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("camera", "keywords", "sentence"),
    [
        ("SBIG ST-7", ("GAIN",), "SBIG ST-7 writes no GAIN; all"),
        ("ST-7", ("GAIN", "OFFSET"), "ST-7 writes no GAIN and no OFFSET; all"),
        (
            "",
            ("INSTRUME", "GAIN", "OFFSET"),
            "The camera writes no INSTRUME, no GAIN and no OFFSET; all",
        ),
    ],
)
def test_each_camera_has_a_sentence(camera: str, keywords: tuple[str, ...], sentence: str) -> None:
    assert absence_sentences({camera: keywords}) == [f"{sentence} its frames count as one setting"]


# --- assumed values -------------------------------------------------------------------------------

Assumed = Mapping[str, Mapping[str, Value]]


@pytest.mark.parametrize(
    ("lacked", "assumed", "found"),
    [
        (("GAIN",), {"ATR585M": {"GAIN": 120}}, {"GAIN": 120}),
        (("GAIN",), {"ATR585M": {"GAIN": "120"}}, {"GAIN": 120}),
        (("SET-TEMP",), {"ATR585M": {"SET-TEMP": -5}}, {"SET-TEMP": -5.0}),
        (("GAIN",), {"other": {"GAIN": 120}}, {"GAIN": None}),
        ((), {"ATR585M": {"GAIN": 120}}, {"GAIN": 100}),
        (("INSTRUME",), {"": {"INSTRUME": "X"}}, {"INSTRUME": "X"}),
        (
            ("INSTRUME", "GAIN"),
            {"": {"INSTRUME": "X"}, "X": {"GAIN": 120}},
            {"INSTRUME": "X", "GAIN": 120},
        ),
    ],
)
def test_a_value_is_assumed_for_frames_of_the_camera_that_lack_it(
    settings: Settings,
    make_frame: MakeFrame,
    lacked: tuple[str, ...],
    assumed: Assumed,
    found: Mapping[str, object],
) -> None:
    frame = make_frame(keywords=dict.fromkeys(lacked))
    (changed,) = with_assumed_values([frame], replace(settings, assume_keywords=assumed))
    assert {keyword: changed.keywords.get(keyword) for keyword in found} == found
    was_assumed = {keyword for keyword in lacked if found[keyword] is not None}
    assert changed.traits.sources == dict.fromkeys(was_assumed, "assume_keywords")


def test_a_word_of_the_configuration_is_a_type(settings: Settings, make_frame: MakeFrame) -> None:
    frame = make_frame("flat", keywords={"TYPE": "ledflatpanel"})
    worded = replace(settings, type_words={"flat": ("Ledflatpanel",)})
    (changed,) = with_assumed_values([frame], worded)
    assert changed.keywords["TYPE"] == "flat"
    assert changed.traits.sources == {"TYPE": "type_words"}


def test_frames_still_share_traits(settings: Settings, make_frame: MakeFrame) -> None:
    traits = make_frame(keywords={"GAIN": None}).traits
    frames = [Frame(f"{number}.fits", 1, 1, traits) for number in range(2)]
    one, other = with_assumed_values(
        frames, replace(settings, assume_keywords={"ATR585M": {"GAIN": 1}})
    )
    assert one.traits is other.traits
    assert one.keywords["GAIN"] == 1
