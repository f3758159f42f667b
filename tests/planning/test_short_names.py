"""Names for people: short, and never the same for two masters."""

from __future__ import annotations

from dataclasses import replace

import pytest

from calmasters.frame import Frame, FrameType, Geometry, Traits, Value, format_value
from calmasters.planning.grouping import Group
from calmasters.planning.short_names import short_names

SETTING: dict[str, Value] = {"INSTRUME": "ATR585M", "SET-TEMP": -10.0, "GAIN": 100, "OFFSET": 150}


def group(kind: str, geometry: Geometry | None = None, **keywords: Value) -> Group:
    values = {**SETTING, **{key.replace("_", "-"): value for key, value in keywords.items()}}
    key = tuple((keyword, format_value(keyword, value)) for keyword, value in values.items())
    frame = Frame("a.fits", 0, 0, Traits(values))
    return Group(FrameType(kind), key, geometry or Geometry(48, 48), (frame,))


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (group("bias"), "bias, ATR585M, -10 °C, gain 100"),
        (group("dark", EXPOSURE=300.0), "dark 300 s, ATR585M, -10 °C, gain 100"),
        (group("dark", EXPOSURE=0.0015), "dark 0.0015 s, ATR585M, -10 °C, gain 100"),
        (
            group("flat", FILTER="Ha", DATE="2026-01-16", SET_TEMP=-0.5),
            "flat Ha 2026-01-16, ATR585M, -0.5 °C, gain 100",
        ),
    ],
)
def test_a_name_has_what_people_call_a_master(made: Group, name: str) -> None:
    assert short_names([made]) == [name]


def test_what_differs_is_added_to_equal_names() -> None:
    groups = [
        group("bias"),
        group("bias", OFFSET=10),
        group("bias", Geometry(24, 24, 2, 2)),
        group("dark", EXPOSURE=10.0),
    ]
    assert short_names(groups) == [
        "bias, ATR585M, -10 °C, gain 100, offset 150, binned 1x1, 48x48",
        "bias, ATR585M, -10 °C, gain 100, offset 10, binned 1x1, 48x48",
        "bias, ATR585M, -10 °C, gain 100, offset 150, binned 2x2, 24x24",
        "dark 10 s, ATR585M, -10 °C, gain 100",
    ]


def test_a_master_without_a_keyword_has_a_name_of_its_own() -> None:
    bare = Group(FrameType.BIAS, (), Geometry(48, 48), (Frame("a.fits", 0, 0, Traits({})),))
    assert short_names([bare, group("bias")]) == ["bias", "bias, ATR585M, -10 °C, gain 100"]


def test_what_is_added_explains_itself() -> None:
    words: dict[str, Value] = {"READOUTM": "Low", "TELESCOP": "Newton", "FLATKIND": "sky"}
    other: dict[str, Value] = {"READOUTM": "High", "TELESCOP": "Refractor", "FLATKIND": "dome"}
    assert short_names([group("bias", **words), group("bias", **other)]) == [
        "bias, ATR585M, -10 °C, gain 100, Low, Newton, sky",
        "bias, ATR585M, -10 °C, gain 100, High, Refractor, dome",
    ]


def test_what_splits_flats_and_their_bayer_patterns_are_added() -> None:
    flat = group("flat", FILTER="B", DATE="2026-01-16")
    split = replace(flat, labels=(("FOCALLEN", 400.0),))
    colour = replace(flat, geometry=Geometry(48, 48, bayerpat="RGGB"))
    name = "flat B 2026-01-16, ATR585M, -10 °C, gain 100"
    number = format_value("FOCALLEN", 400.0)
    assert short_names([flat, split]) == [name, f"{name}, focallen {number}"]
    assert short_names([flat, colour]) == [f"{name}, no Bayer pattern", f"{name}, RGGB"]
