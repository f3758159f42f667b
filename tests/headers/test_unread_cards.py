"""Cards with names of their own that may have the filter, the gain, or another keyword."""

from __future__ import annotations

import pytest

from calmasters.headers.unread_cards import may_have_a_keyword, unread_cards, unread_values

KEYWORDS = ("FILTER", "GAIN", "OFFSET", "READOUTM", "SET-TEMP")


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
    found = {each: unread_cards(each, (), {card: 5}) for each in KEYWORDS}
    assert found.pop(keyword) == f"{card} '5', not read as {keyword}"
    assert not any(found.values())


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
        ("FILTER", "5'7", "57"),
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
    expected = f"{card} '{text}', not read as {keyword}" if text else ""
    assert unread_cards(keyword, (), {card: value}) == expected  # type: ignore[dict-item]


def test_cards_that_are_read_are_not_named_again_and_of_many_the_first_four() -> None:
    cards = {f"FILT{number}": "V" for number in range(7)}
    text = unread_cards("FILTER", ["FILT0"], cards)
    assert text == "FILT1 'V', FILT2 'V', FILT3 'V', FILT4 'V', not read as FILTER"
    assert unread_cards("OBJECT", (), cards) == ""


def test_frames_differ_in_each_card_whose_values_are_not_the_same() -> None:
    sources = {
        unread_cards("FILTER", (), {"FLTNM": "V", "FLTPOS": 1, "WHEEL": "A"}): 3,
        unread_cards("FILTER", (), {"FLTNM": "B", "FLTPOS": 2, "WHEEL": "A"}): 4,
    }
    assert unread_values("FILTER", sources) == {
        "FLTNM": {"V": 3, "B": 4},
        "FLTPOS": {"1": 3, "2": 4},
    }
    assert unread_values("GAIN", sources) == {}


def test_a_card_that_only_some_frames_have_is_a_difference() -> None:
    sources = {unread_cards("FILTER", (), {"FLTNM": "V"}): 3, "": 2, "FILTER 'x', bad": 1}
    assert unread_values("FILTER", sources) == {"FLTNM": {"V": 3, "": 3}}


@pytest.mark.parametrize(
    ("keyword", "values", "are_settings"),
    [
        ("GAIN", [1.5, 1.5, 1.5], False),
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
    sources: dict[str, int] = {}
    for value in values:
        text = unread_cards(keyword, (), {card: value})  # type: ignore[dict-item]
        sources[text] = sources.get(text, 0) + 1
    assert [*unread_values(keyword, sources)] == [card] * are_settings
