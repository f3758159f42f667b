"""Cards with names of their own that may have the filter, the gain, or another keyword."""

from __future__ import annotations

import pytest

from calmasters.headers.unread_cards import (
    differing_cards,
    may_have_a_keyword,
    unread_cards,
)

NONE: dict[str, tuple[str, ...]] = dict.fromkeys(
    ("FILTER", "GAIN", "OFFSET", "READOUTM", "SET-TEMP"), ()
)


@pytest.mark.parametrize(
    ("keyword", "card"),
    [
        ("FILTER", "FLTNM"),
        ("FILTER", "ALFLTNM"),
        ("FILTER", "ESO INS FILT1 ID"),
        ("FILTER", "BANDPASS"),
        ("FILTER", "WHEEL1"),
        ("FILTER", "FILPOS"),
        ("FILTER", "COLOR"),
        ("GAIN", "EGAIN"),
        ("GAIN", "CAMGN-GAIN"),
        ("GAIN", "ISOVALUE"),
        ("OFFSET", "BLACKLVL"),
        ("OFFSET", "CAMOFFS"),
        ("READOUTM", "RDSPEED"),
        ("READOUTM", "READ-SPD"),
        ("READOUTM", "READRATE"),
        ("READOUTM", "CCDMODE"),
        ("READOUTM", "SPEED"),
        ("READOUTM", "HSSPEED"),
        ("READOUTM", "QHYMODE"),
        ("READOUTM", "MODE"),
        ("READOUTM", "PIXRATE"),
        ("SET-TEMP", "DETTEMP"),
        ("SET-TEMP", "CAMTMP"),
        ("SET-TEMP", "TEMP_CCD"),
        *(("SET-TEMP", card) for card in ("T-CCD", "TDET", "CAMERAT", "CCDTEM", "SENSORT")),
        *(("SET-TEMP", card) for card in ("TE-TEMP", "TECSET", "COOLSET", "TEMPSET", "TSET")),
        *(("SET-TEMP", card) for card in ("SETPOINT", "REQTEMP", "TARGTEMP", "CRYOTEMP")),
    ],
)
def test_a_card_that_resembles_a_keyword_is_found_for_it_alone(keyword: str, card: str) -> None:
    assert may_have_a_keyword(card)
    assert unread_cards(NONE, {card: 5}) == {keyword: {card: "5"}}


@pytest.mark.parametrize(
    "card",
    [
        *("FLATS", "READNOIS", "RDNOISE", "READTIME", "RAOFFSET", "FOCOFFS", "AMBTEMP"),
        *(
            "CCD-TEMP",
            "DET_TEMP",
            "FOCTEMP",
            "OBSMODE",
            "WINDSPD",
            "TRKSPEED",
            "DEWTEMP",
            "OBJECT",
            "DATE-OBS",
            "EXPTIME",
        ),
    ],
)
def test_cards_of_other_meanings_resemble_no_keyword(card: str) -> None:
    assert not may_have_a_keyword(card)


@pytest.mark.parametrize(
    ("keyword", "value", "text"),
    [
        ("FILTER", "  Bessell   V ", "Bessell V"),
        ("FILTER", "5'7", "5'7"),
        ("FILTER", 3, "3"),
        ("FILTER", 3.0, "3"),
        ("FILTER", 12.25, ""),
        ("FILTER", "unknown", ""),
        ("FILTER", "", ""),
        ("GAIN", 1.23456, "1.235"),
        ("GAIN", True, "True"),
        ("SET-TEMP", -19.6, "-20"),
        ("SET-TEMP", "-20 C", "-20"),
        ("SET-TEMP", "cold", ""),
        ("SET-TEMP", True, ""),
    ],
)
def test_values_are_written_as_settings(keyword: str, value: object, text: str) -> None:
    card = {"FILTER": "FLTNM", "GAIN": "EGAIN", "SET-TEMP": "DETTEMP"}[keyword]
    assert unread_cards(NONE, {card: value}) == (  # type: ignore[dict-item]
        {keyword: {card: text}} if text else {}
    )


@pytest.mark.parametrize(
    ("text", "name"),
    [("Flat V", "V"), ("dome flat R 12", "R"), ("V", "V"), ("twilight_r", "r"), ("ff Ha (3)", "Ha"),
     ("FlatWizard", ""), ("skyflat_003", ""), ("dusk flat", ""), ("M31 flats", ""),
     ("Flat Ks", "Ks"), ("Skyflat_u", "u"), ("flat-gp", "gp"), ("flat clear 1", "clear"),
     ("Flat 1.1s", ""), ("flat V to R", ""), ("M 31", ""), ("", ""), (7, "")],
)  # fmt: skip
def test_object_may_have_the_filter(text: str | int, name: str) -> None:
    expected = {"FILTER": {"OBJECT": name}} if name else {}
    assert unread_cards(NONE, {"OBJECT": text}) == expected
    assert unread_cards({**NONE, "FILTER": ("OBJECT",)}, {"OBJECT": text}) == {}


def test_cards_that_are_read_are_not_named_again() -> None:
    read = {**NONE, "FILTER": ("FILT0",)}
    assert unread_cards(read, {"FILT0": "V", "FILT1": "B"}) == {"FILTER": {"FILT1": "B"}}


def test_frames_differ_in_each_card_whose_values_are_not_the_same() -> None:
    frames = [
        ({"FLTNM": "V", "FLTPOS": "1", "WHEEL": "A"}, 3),
        ({"FLTNM": "B", "FLTPOS": "2", "WHEEL": "A"}, 4),
    ]
    assert differing_cards("FILTER", frames) == {
        "FLTNM": {"V": 3, "B": 4},
        "FLTPOS": {"1": 3, "2": 4},
    }


def test_a_card_that_only_some_frames_have_is_a_difference() -> None:
    frames: list[tuple[dict[str, str], int]] = [({"FLTNM": "V"}, 3), ({}, 2)]
    assert differing_cards("FILTER", frames) == {"FLTNM": {"V": 3, "": 2}}


@pytest.mark.parametrize(
    ("keyword", "values", "are_settings"),
    [
        ("GAIN", [1.5, 1.5, 1.5], False),
        ("GAIN", [2048, 2048, 2046, 2046], False),
        ("GAIN", [200, 200, 100, 100], True),
        ("GAIN", [1.5, 1.6, 1.7], True),
        ("GAIN", [1.5, 1.6, 1.7, 1.8, 1.9], False),
        ("GAIN", [1.5, 1.6, 1.7, 1.8] * 2, True),
        ("GAIN", ["a", "b", "c", "d", "e"], True),
        ("SET-TEMP", [-10.4, -9.6, -10.9], False),
        ("SET-TEMP", [-10, -10, -12], False),
        ("SET-TEMP", [-10, -10, -13], True),
    ],
)
def test_measurements_scatter_and_settings_do_not(
    keyword: str, values: list[object], are_settings: bool
) -> None:
    card = {"GAIN": "EGAIN", "SET-TEMP": "DETTEMP"}[keyword]
    frames = [(unread_cards(NONE, {card: value})[keyword], 1) for value in values]  # type: ignore[dict-item]
    assert [*differing_cards(keyword, frames)] == [card] * are_settings
