from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from calmasters.frame import Geometry
from calmasters.headers.dialects import ALIASES, FrameHeader, KeywordReader, read_keywords
from calmasters.headers.frame_types import canonical_type, frame_type
from calmasters.settings import HeaderRules

IMAGE = {"NAXIS": 2, "NAXIS1": 4, "NAXIS2": 3}
RULES = HeaderRules()


def read_cards(
    cards: Mapping[str, Any], path: str = "x.fits", rules: HeaderRules = RULES
) -> FrameHeader:
    return read_keywords({**IMAGE, **cards}, PurePosixPath(path), rules)


def value(keyword: str, cards: Mapping[str, Any], **rules: Any) -> object:
    return read_cards(cards, rules=replace(RULES, **rules)).traits.keywords.get(keyword)


# --- TYPE -----------------------------------------------------------------------------------------

SPELLINGS = {
    "bias": "BIAS|Bias|Bias Frame|bias frame|Offset|OFFSET FRAME|Zero|ZERO|BIAS_FRAME|bias-frames|"
    "calibration bias|biases",
    "dark": (
        "DARK|Dark|Dark Frame|dark frame|DARKFLAT|DarkFlat|Dark Flat|FLATDARK|FlatDark|Flat Dark|"
        "Dark Flat Frame"
    ),
    "flat": (
        "FLAT|Flat|Flat Frame|Flat Field|FLATFIELD|SKYFLAT|SKY FLAT|DOMEFLAT|Dome Flat|"
        "TWILIGHT FLAT|Flatlamp|LAMPFLAT|twilight|FLAT,SKY|FLAT,LAMP|dflat|Flats|PANEL FLAT|"
        "Flat (dome)|DOMEFLATS|Internal Flat|sky flat field|TwiFlat|IntFlat|projector flat|pflat"
    ),
    "light": "LIGHT|Light|Light Frame|Science|Science Frame|OBJECT|EXPOSE|SNAPSHOT|STD",
}
MASTERS = {
    "bias": "Master Bias|MASTER BIAS|MasterBias|masterBias|Master Offset|superbias",
    "dark": (
        "Master Dark|MASTER DARK|MasterDark|Master DarkFlat|MasterDarkFlat|Master FlatDark|"
        "MasterFlatDark|Master Dark Flat"
    ),
    "flat": "Master Flat|MASTER FLAT|MasterFlat",
    "light": "Master Light|MASTER LIGHT",
}


def spelled(table: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(text, kind) for kind, texts in table.items() for text in texts.split("|")]


@pytest.mark.parametrize(("text", "kind"), spelled(SPELLINGS))
@pytest.mark.parametrize("card", ["IMAGETYP", "FRAMETYP", "FRAME", "OBSTYPE", "IMAGETYPE"])
def test_types_are_recognized_in_any_spelling(card: str, text: str, kind: str) -> None:
    header = read_cards({card: text})
    assert (header.traits.keywords["TYPE"], header.traits.master) == (kind, False)


@pytest.mark.parametrize(("text", "kind"), spelled(MASTERS))
@pytest.mark.parametrize("card", ["IMAGETYP", "CALFRAME"])
def test_masters_are_recognized_by_their_type_in_any_spelling(
    card: str, text: str, kind: str
) -> None:
    header = read_cards({card: text})
    assert (header.traits.keywords["TYPE"], header.traits.master) == (kind, True)


@pytest.mark.parametrize(
    ("cards", "path"),
    [
        *(({name: 100}, "x.fits") for name in ("STACKCNT", "NCOMBINE", "NUMFRAME", "NDARKS")),
        ({}, "masterBias_GAIN-100.xisf"),
        ({}, "MASTER bias.fit"),
        ({}, "superbias.fits"),
    ],
)
def test_masters_are_recognized_by_frame_count_or_name(cards: dict[str, int], path: str) -> None:
    assert read_cards({"IMAGETYP": "Bias", **cards}, path).traits.master


@pytest.mark.parametrize("cards", [{}, {"STACKCNT": 1}, {"NCOMBINE": 0}, {"NUMFRAME": "many"}])
def test_a_single_frame_is_not_a_master(cards: dict[str, Any]) -> None:
    assert not read_cards({"IMAGETYP": "Bias", **cards}, "mastered/bias.fits").traits.master


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Tricolor Image", "tricolor"),
        ("Bad Pixel Map", "badpixelmap"),
        ("BPM", "bpm"),
        ("FOCUS", "focus"),
        ("PLATESOLVE", "platesolve"),
        ("Frame", "frame"),
        ("raw", "raw"),
        ("Dark Shark", "darkshark"),
        ("FLAT,OFF", "flat,off"),
        ("FLAT,DARK", "flat,dark"),
        ("arc lamp", "arclamp"),
    ],
)
def test_unknown_types_are_kept_as_normalized_text(text: str, kind: str) -> None:
    assert frame_type(text) is None
    assert read_cards({"IMAGETYP": text}).traits.keywords["TYPE"] == kind == canonical_type(text)


@pytest.mark.parametrize(
    "cards",
    [
        {},
        {"BIAS": 100},
        {"FRAME": "2011-05-12T21:04:11"},
        {"IMAGETYP": " ", "OBSTYPE": 3},
    ],
    ids=["nothing", "SBIG's BIAS", "Andor's FRAME", "blank"],
)
def test_cards_that_are_not_types_give_no_type(cards: dict[str, Any]) -> None:
    assert "TYPE" not in read_cards(cards).traits.keywords


@pytest.mark.parametrize(
    ("cards", "kind"),
    [
        ({"ESO DPR TYPE": "FLAT,SKY", "ESO DPR CATG": "CALIB", "OBJECT": "DARK"}, "flat"),
        ({"ESO DPR TYPE": "OBJECT,SKY", "ESO DPR CATG": "SCIENCE"}, "light"),
        ({"ESO DPR TYPE": "WAVE,LAMP", "ESO DPR CATG": "CALIB"}, "wave,lamp"),
        ({"OBSTYPE": "SKYFLAT"}, "flat"),
        ({"OBSTYPE": "ARC"}, "arc"),
        ({"OBJECT": "Dome Flat"}, "flat"),
        ({"OBJECT": "bias", "IMAGETYP": " "}, "bias"),
        ({"OBJECT": "bias", "IMAGETYP": "Light Frame"}, "light"),
        ({"OBJECT": "bias", "IMAGETYP": "focus"}, "focus"),
    ],
)
def test_the_cards_of_observatories_give_the_type(cards: dict[str, Any], kind: str) -> None:
    assert value("TYPE", cards) == kind


@pytest.mark.parametrize("text", ["Dark Shark", "M31 flat", "object", "Light", "NGC 7000", 7])
def test_an_object_that_is_more_than_a_word_for_a_type_gives_no_type(text: object) -> None:
    assert value("TYPE", {"OBJECT": text}) is None


def typed(path: str, types_from: str = "header folder", **cards: Any) -> tuple[object, ...]:
    """The type of a frame, where it is from, and what contradicts it."""
    traits = read_cards(cards, path, replace(RULES, types_from=tuple(types_from.split()))).traits
    other = traits.other_type
    return traits.keywords.get("TYPE"), traits.sources.get("TYPE"), other and str(other)


def test_a_token_of_a_number_has_a_number() -> None:
    keywords = read_cards({}, "OFFSET_ISO800/FOCALLEN_800mm/x.fits").traits.keywords
    assert keywords == {"TYPE": "bias", "FOCALLEN": 800}


def test_folders_and_names_count_only_without_a_type_card() -> None:
    assert typed("Flats/x.fits") == ("flat", "folder name", None)
    assert typed("Flats/x.fits", IMAGETYP=" ") == ("flat", "folder name", None)
    assert typed("Flats/x.fits", IMAGETYP="focus") == ("focus", None, None)
    assert typed("Flats/x.fits", "header") == (None, None, None)
    assert typed("M31/flat-1.fits") == (None, None, None)
    assert typed("M31/flat-1.fits", "header folder name") == ("flat", "file name", None)
    assert typed("Flats/TYPE_dark/x.fits") == ("dark", "path", None)


@pytest.mark.parametrize(
    ("path", "other"),
    [
        ("Flats/x.fits", "its folder 'Flats' says flat"),
        ("flat-0001.fits", "its file name says flat"),
        ("Flats/dark_1.fits", "its folder 'Flats' says flat"),
        ("M31/x.fits", None),
        ("Lights/M31_001.fits", None),
        ("Darks and Flats/x.fits", None),
    ],
)
def test_a_folder_or_file_name_that_contradicts_the_header_is_reported(
    path: str, other: str | None
) -> None:
    assert typed(path, IMAGETYP="Light Frame") == ("light", None, other)


def test_the_first_place_of_types_from_wins_without_a_contradiction() -> None:
    light = {"IMAGETYP": "Light Frame"}
    assert typed("Flats/x.fits", "folder header", **light) == ("flat", "folder name", None)
    assert typed("M31/x.fits", "folder header", **light) == ("light", None, None)
    assert typed("Flats/dark_1.fits", "folder header") == ("flat", "folder name", None)
    assert typed("Flats/dark_1.fits", "name header", **light) == ("dark", "file name", None)


def test_a_calibration_frame_in_a_folder_of_another_type_has_a_warning() -> None:
    traits = read_cards({"IMAGETYP": "Dark"}, "Flats/x.fits").traits
    assert traits.warnings == (
        "type dark, but its folder 'Flats' says flat; if that is right, "
        "set types_from: [folder, header]",
    )
    assert read_cards({"IMAGETYP": "Light"}, "Flats/x.fits").traits.warnings == ()


@pytest.mark.parametrize(
    ("path", "pattern"), [("Flats/BAD/x.fits", "BAD"), ("BAD_flat_1.fits", "BAD_*")]
)
def test_a_frame_that_its_path_marks_as_rejected_has_a_warning(path: str, pattern: str) -> None:
    (warning,) = read_cards({"IMAGETYP": "Flat"}, path).traits.warnings
    assert warning == (
        f"its path marks rejected frames ({pattern}), but it is used; "
        f'to leave such frames out, set exclude: ["{pattern}"]'
    )
    for text in ("Light", "Master Flat"):
        assert not read_cards({"IMAGETYP": text}, path).traits.warnings


def test_the_header_decides_the_type_of_a_master() -> None:
    rules = replace(RULES, types_from=("folder", "header"))
    traits = read_cards({"IMAGETYP": "Master Dark"}, "Flats/x.fits", rules).traits
    assert (traits.keywords["TYPE"], traits.other_type) == ("dark", None)


def test_a_file_without_a_type_in_a_folder_for_masters_is_a_master() -> None:
    traits = read_cards({}, "Master Darks/x.fits").traits
    assert (traits.keywords["TYPE"], traits.master) == ("dark", True)


def test_frames_share_traits_if_their_names_give_the_same_type() -> None:
    reader = KeywordReader(RULES)
    names = ("flat-1.fits", "Flat_Ha_0002.fits", "M31_1.fits", "M33_2.fits")
    one, two, three, four = (reader.read(IMAGE, name).traits for name in names)
    assert one is two
    assert three is four
    assert one is not three


def test_cards_for_types_have_an_order_of_preference() -> None:
    cards = {
        "FRAME": "Light",
        "CALFRAME": "MasterDark",
        "OBSTYPE": "Flat",
        "FRAMETYP": "Dark",
        "IMAGETYP": "Bias",
    }
    types = []
    for name in ("IMAGETYP", "FRAMETYP", "FRAME", "OBSTYPE", "CALFRAME"):
        types.append(value("TYPE", cards))
        del cards[name]
    assert types == ["bias", "dark", "light", "flat", "dark"]


# --- other keywords -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keyword", "names"), [(key, ALIASES[key]) for key in ("SET-TEMP", "GAIN", "EXPOSURE")]
)
def test_the_first_card_of_a_keyword_is_used_and_other_cards_are_named(
    keyword: str, names: tuple[str, ...]
) -> None:
    cards: dict[str, Any] = {name: number for number, name in enumerate(names, 1)}
    for number, name in enumerate(names, 1):
        header = read_cards(cards)
        assert header.traits.keywords[keyword] == number
        assert header.traits.sources.get(keyword, name) == name
        cards[name] = "  "


@pytest.mark.parametrize("card", ["EGAIN", "PEDESTAL", "BZERO", "BIAS", "CAMERATEMP"])
def test_similar_cards_are_not_used(card: str) -> None:
    assert read_cards({card: 7}).traits.keywords == {}


@pytest.mark.parametrize("raw", [100, 100.0, "100", " 100.000 "])
def test_an_integral_gain_is_an_int_in_any_spelling(raw: object) -> None:
    gain = value("GAIN", {"GAIN": raw})
    assert gain == 100
    assert type(gain) is int


@pytest.mark.parametrize(
    ("keyword", "raw", "expected"),
    [
        ("GAIN", 0.5, 0.5),
        ("GAIN", "High   Conversion", "High Conversion"),
        ("GAIN", "nan", None),
        ("SET-TEMP", -18.899999618530273, -18.9),
        ("SET-TEMP", "-10", -10.0),
        ("SET-TEMP", "cold", None),
        ("FILTER", "", None),
        ("FILTER", " H  alpha\n", "H alpha"),
        ("FILTER", 2.0, 2),
        ("READOUTM", "1", "1"),
        ("EXPOSURE", 1.0000000001, 1.0),
    ],
)
def test_values_have_their_types(keyword: str, raw: object, expected: object) -> None:
    card = "EXPTIME" if keyword == "EXPOSURE" else keyword
    typed = value(keyword, {card: raw})
    assert (typed, type(typed)) == (expected, type(expected))


def test_a_missing_set_point_is_replaced_by_the_rounded_temperature() -> None:
    header = read_cards({"CCD-TEMP": -9.7})
    assert (header.traits.keywords["SET-TEMP"], header.ccd_temp_c) == (-10.0, -9.7)
    assert header.traits.sources == {"SET-TEMP": "CCD-TEMP, rounded"}


@pytest.mark.parametrize(("step", "expected"), [(0.5, -9.0), (2, -10.0)])
def test_a_replaced_set_point_is_rounded_to_at_least_one_degree(
    step: float, expected: float
) -> None:
    assert value("SET-TEMP", {"CCD-TEMP": -9.4}, round={"SET-TEMP": step}) == expected


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({"EXPOINUS": 32}, 0.000032),
        ({"EXPTIME": 5.0, "EXPOINUS": 32}, 5.0),
        ({"EXPTIME": "", "DARKTIME": 60}, 60.0),
    ],
)
def test_exposures_in_microseconds_are_the_last_choice(
    cards: dict[str, Any], expected: float
) -> None:
    assert value("EXPOSURE", cards) == expected


@pytest.mark.parametrize(
    ("cards", "warning"),
    [
        ({"EXPTIME": 1.5, "EXPOSURE": 1.502}, "EXPTIME 1.5 s differs from EXPOSURE 1.502 s"),
        ({"EXPTIME": 1.5, "EXPOSURE": 1.5009}, None),
        ({"SET-TEMP": -10, "CCD-TEMP": 10.7}, "sensor at 10.7 C, set-point -10.0 C"),
        ({"SET-TEMP": -10, "CCD-TEMP": -9.1}, None),
    ],
)
def test_contradictory_cards_give_a_warning(cards: dict[str, Any], warning: str | None) -> None:
    assert read_cards(cards).traits.warnings == ((warning,) if warning else ())


def test_the_temperature_tolerance_is_configurable() -> None:
    cards = {"SET-TEMP": -10, "CCD-TEMP": -7.9}
    assert (
        read_cards(cards, rules=replace(RULES, temperature_tolerance_c=2.2)).traits.warnings == ()
    )
    assert read_cards(cards, rules=replace(RULES, temperature_tolerance_c=2.0)).traits.warnings


@pytest.mark.parametrize(
    ("keyword", "raw", "step", "expected"),
    [
        ("SET-TEMP", -9.8, 0.5, -10.0),
        ("SET-TEMP", -0.2, 0.5, 0.0),
        ("EXPOSURE", 300.2, 1.0, 300.0),
        ("EXPOSURE", 1.37, 0.05, 1.35),
    ],
)
def test_values_are_rounded_to_the_configured_step(
    keyword: str, raw: float, step: float, expected: float
) -> None:
    assert value(keyword, {keyword: raw}, round={keyword: step}) == expected


def test_configured_cards_come_first_and_new_keywords_can_be_added() -> None:
    cards = {"CAMNAME": "ATR585M", "INSTRUME": "ASCOM.ToupTek.Camera", "USBLIMIT": 50, "PA": "E"}
    rules = replace(RULES, aliases={"INSTRUME": ("CAMNAME",), "SIDE": ("PA",)}, extra=("USBLIMIT",))
    header = read_cards(cards, rules=rules)
    assert header.traits.keywords == {"INSTRUME": "ATR585M", "USBLIMIT": 50, "SIDE": "E"}
    assert header.traits.sources == {"INSTRUME": "CAMNAME", "SIDE": "PA"}


# --- night ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cards", "zone", "night", "source"),
    [
        ({"DATE-LOC": "2026-01-16T06:30:00.1234567"}, "auto", "2026-01-15", None),
        ({"DATE-LOC": "2026-01-15T12:00:00"}, "auto", "2026-01-15", None),
        ({"DATE-LOC": "2026-01-15T11:59:59.9"}, "auto", "2026-01-14", None),
        ({"DATE-OBS": "2026-01-15T10:30:00"}, "Europe/Berlin", "2026-01-14", "zone Europe/Berlin"),
        ({"DATE-OBS": "2026-07-15T10:30:00"}, "Europe/Berlin", "2026-07-15", "zone Europe/Berlin"),
        ({"DATE-OBS": "2026-01-15T18:59:59"}, "-07:00", "2026-01-14", "zone -07:00"),
        ({"DATE-OBS": "2026-01-15T19:00:00"}, "-07:00", "2026-01-15", "zone -07:00"),
        ({"DATE-OBS": "2026-01-15T08:00:00", "SITELONG": 75.0}, "auto", "2026-01-15", "longitude"),
        ({"DATE-OBS": "2026-01-15T08:00:00", "SITELONG": "-75 30 0"}, "auto", "2026-01-14", "long"),
        ({"DATE-OBS": "2026-01-15T08:00:00", "SITELONG": "x"}, "auto", "2026-01-14", "UTC"),
        ({"DATE-OBS": "2026-01-15T22:00:00.0000000"}, "auto", "2026-01-15", "UTC"),
        ({"DATE-OBS": "2026-01-15T22:00:00Z"}, "auto", "2026-01-15", "UTC"),
        ({"DATE-OBS": "2026-01-15T23:00:00-05:00"}, "auto", "2026-01-15", "its zone"),
        ({"DATE-OBS": "2026-01-15", "TIME-OBS": "03:00:00"}, "auto", "2026-01-14", "UTC"),
        ({"DATE-OBS": "15/01/26", "UT": "22:00:00"}, "auto", "2026-01-15", "UTC"),
        ({"DATE-OBS": "2026-01-15"}, "auto", "2026-01-15", "DATE-OBS"),
        ({"DATE": "2026-01-16T03:00:00"}, "auto", "2026-01-15", "DATE"),
        ({"DATE": "2026-01-16"}, "auto", "2026-01-16", "DATE"),
        ({"DATE": "2026-03-01", "DATE-OBS": "2026-01-15T22:00:00"}, "auto", "2026-01-15", "UTC"),
        (
            {"DATE-LOC": "0001-01-01T00:00:00", "DATE-OBS": "2026-01-15"},
            "auto",
            "2026-01-15",
            "OBS",
        ),
        ({"DATE-OBS": "yesterday", "DATE": "soon"}, "auto", None, None),
    ],
)
def test_the_night_is_the_local_date_at_its_start(
    cards: dict[str, Any], zone: str, night: str | None, source: str | None
) -> None:
    header = read_cards(cards, rules=replace(RULES, timezone=zone))
    assert header.traits.keywords.get("DATE") == night
    assert (source or "") in header.traits.sources.get("DATE", "" if source is None else "missing")


def test_a_night_has_one_date_before_and_after_midnight() -> None:
    evening = {"DATE-LOC": "2026-01-15T18:30:00", "DATE-OBS": "2026-01-16T01:30:00"}
    morning = {"DATE-LOC": "2026-01-16T06:30:00", "DATE-OBS": "2026-01-16T13:30:00"}
    assert value("DATE", evening) == value("DATE", morning) == "2026-01-15"


def test_the_start_of_an_exposure_is_utc_in_any_spelling() -> None:
    cards = {"DATE-OBS": "2026-01-16T01:30:00.1234567-07:00"}
    assert read_cards(cards).date_obs == "2026-01-16T08:30:00.123456"
    assert read_cards({"DATE-OBS": "2026-01-16"}).date_obs is None


def test_the_night_does_not_depend_on_the_computers_time_zone(
    tmp_path: Path, add_frame: Callable[..., Path]
) -> None:
    frame = add_frame("x.fits", cards={"DATE-LOC": None, "DATE-OBS": "2026-01-15T12:30:00"})
    program = f"from calmasters import *; print(get_fits_headers({str(frame)!r})['DATE'])"
    nights = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "TZ": zone},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for zone in ("Pacific/Kiritimati", "America/Los_Angeles", "UTC")
    }
    assert nights == {"2026-01-15\n"}


# --- path -----------------------------------------------------------------------------------------

USERS_TREE = (
    "FLAT/SQA55+ASCOM.ToupTek.Camera/DATE_2026-01-15_INSTRUME_ATR585M_OFFSET_150_"
    "READOUTM_Low Conversion Gain/FILTER_B_EXP_1.36_SETTEMP_-10.00/x.fits"
)
IN_ITS_PATH = {
    "DATE": "2026-01-15",
    "INSTRUME": "ATR585M",
    "OFFSET": 150,
    "READOUTM": "Low Conversion Gain",
    "FILTER": "B",
    "EXPOSURE": 1.36,
    "SET-TEMP": -10.0,
}
IN_ITS_HEADER = {
    "IMAGETYP": "FLAT",
    "INSTRUME": "ASCOM.ToupTek.Camera",
    "GAIN": 100,
    "EXPTIME": 1.4,
    "CCD-TEMP": -9.5,
}


def test_the_path_is_used_for_keywords_missing_in_the_header() -> None:
    header = read_cards(IN_ITS_HEADER, USERS_TREE)
    own = {"TYPE": "flat", "GAIN": 100, "INSTRUME": "ASCOM.ToupTek.Camera", "EXPOSURE": 1.4}
    assert header.traits.keywords == {**IN_ITS_PATH, **own}
    assert header.traits.sources == dict.fromkeys(
        ("DATE", "OFFSET", "READOUTM", "FILTER", "SET-TEMP"), "path"
    )


def test_the_path_can_override_the_header() -> None:
    rules = replace(RULES, path_keywords="override")
    header = read_cards(IN_ITS_HEADER, USERS_TREE, rules)
    assert header.traits.keywords == {**IN_ITS_PATH, "TYPE": "flat", "GAIN": 100}
    assert set(header.traits.sources) == set(IN_ITS_PATH)


def test_the_path_can_be_ignored() -> None:
    header = read_cards(IN_ITS_HEADER, USERS_TREE, replace(RULES, path_keywords="off"))
    own = {"TYPE": "flat", "GAIN": 100, "INSTRUME": "ASCOM.ToupTek.Camera", "EXPOSURE": 1.4}
    assert header.traits.keywords == {**own, "SET-TEMP": -10.0}


@pytest.mark.parametrize(
    ("path", "keyword", "expected"),
    [
        ("EXP_300s/x.fits", "EXPOSURE", 300.0),
        ("x_EXPOSURE-1.5sec.fits", "EXPOSURE", 1.5),
        ("SETTEMP--10C/x.fits", "SET-TEMP", -10.0),
        ("SET-TEMP_-5/x.fits", "SET-TEMP", -5.0),
        ("DATE-OBS_2026-01-15/x.fits", "DATE", "2026-01-15"),
        ("DATE-OBS-2026-01-15.fits", "DATE", "2026-01-15"),
        ("TYPE_Dark Flat/x.fits", "TYPE", "dark"),
        ("TYPE_unknown/x.fits", "TYPE", None),
        ("masterDark_GAIN-5.xisf", "TYPE", "dark"),
        ("GAIN_5/GAIN_7/x.fits", "GAIN", 7),
        ("GAIN_5/x_GAIN_7.fits", "GAIN", 7),
        ("GAIN_5/GAIN_.fits", "GAIN", 5),
        ("AGAIN_5/x.fits", "GAIN", None),
        ("DATE_tonight/x.fits", "DATE", None),
        ("GAIN_5/x.fits/y", "GAIN", 5),
    ],
)
def test_tokens_of_the_path(path: str, keyword: str, expected: object) -> None:
    assert read_cards({}, path).traits.keywords.get(keyword) == expected


# --- geometry and problems ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cards", "binning"),
    [
        ({}, (1, 1)),
        ({"XBINNING": 2, "YBINNING": 3}, (2, 3)),
        ({"XBINNING": 2.0, "YBINNING": 2.0}, (2, 2)),
        ({"XBINNING": "2", "YBINNING": "2"}, (2, 2)),
        ({"CCDXBIN": 2, "CCDYBIN": 1}, (2, 1)),
        ({"HBIN": 4, "VBIN": 4}, (4, 4)),
        ({"BINNING": "2*2"}, (2, 2)),
        ({"BINNING": "2x1"}, (2, 1)),
        ({"BINNING": "2"}, (2, 2)),
        ({"CCDSUM": "2 3"}, (2, 3)),
        ({"XBINNING": 0, "YBINNING": "none"}, (1, 1)),
    ],
)
def test_binning_in_any_spelling(cards: dict[str, Any], binning: tuple[int, int]) -> None:
    assert read_cards(cards).traits.geometry == Geometry(4, 3, *binning)


@pytest.mark.parametrize(
    ("cards", "pattern"),
    [
        ({"BAYERPAT": "rggb "}, "RGGB"),
        ({"COLORTYP": "GBRG"}, "GBRG"),
        ({"COLORTYP": 0}, None),
        ({"BAYERPAT": "None"}, None),
        ({"CFAIMAGE": "no"}, None),
    ],
)
def test_the_bayer_pattern_in_any_spelling(cards: dict[str, Any], pattern: str | None) -> None:
    assert read_cards(cards).traits.geometry == Geometry(4, 3, bayerpat=pattern)


@pytest.mark.parametrize(
    ("cards", "problem"),
    [
        ({"NAXIS": 3, "NAXIS3": 3}, "is a colour image of 3 planes; use the raw frame"),
        ({"NAXIS": 1, "NAXIS2": None}, "contains no two-dimensional image (NAXIS 1)"),
        ({"NAXIS": 4}, "contains no two-dimensional image (NAXIS 4)"),
        ({"CALSTAT": "BDF"}, "is already calibrated (CALSTAT 'BDF'); use the raw frame"),
    ],
)
def test_images_that_are_not_raw_frames_have_a_problem(cards: dict[str, Any], problem: str) -> None:
    (text,) = read_cards(cards).traits.problems
    assert text.startswith(problem)


def test_a_cube_of_one_plane_has_no_problem() -> None:
    header = read_cards({"NAXIS": 3, "NAXIS3": 1, "CALSTAT": "  "})
    assert (header.traits.problems, header.traits.geometry) == ((), Geometry(4, 3))


NAMES = sorted(
    {name for names in ALIASES.values() for name in names}
    | {"IMAGETYP", "NAXIS", "NAXIS1", "NAXIS3", "XBINNING", "CCDSUM", "BAYERPAT", "CALSTAT"}
    | {"DATE", "DATE-OBS", "DATE-LOC", "TIME-OBS", "SITELONG", "CCD-TEMP", "STACKCNT"}
)
ODD_TEXTS = ["0001-01-01T00:00:00", "9999-12-31T23:59:59", "9" * 400, "-0", "1e999", "nan", "²"]
ANYTHING = st.one_of(
    st.text(max_size=12),
    st.sampled_from(ODD_TEXTS),
    st.booleans(),
    st.floats(),
    st.integers(),
    st.just(10**400),
)


@given(
    st.dictionaries(st.sampled_from(NAMES), ANYTHING),
    st.text(max_size=30).map(lambda text: PurePosixPath(f"{text}.fits")),
    st.sampled_from(["auto", "+14:00", "Europe/Berlin"]),
)
def test_any_cards_and_any_path_can_be_read(
    cards: dict[str, Any], path: PurePosixPath, zone: str
) -> None:
    header = read_keywords({**IMAGE, **cards}, path, replace(RULES, timezone=zone))
    assert set(header.traits.keywords) <= {"TYPE", "DATE", *ALIASES}


#: Values that compare as equal, or that a caching reader could confuse.
ALIKE = st.sampled_from([1, 1.0, True, "1", "T", 0, 0.0, False, -10, -10.0, "-10", "Bias", "M"])
PLACES = st.sampled_from(
    [
        "a.fits",
        "b.fits",
        "DARK/a.fits",
        "GAIN_7/a.fits",
        "GAIN_7/GAIN_8_a.fits",
        "GAIN-9.fits",
        "MasterDark.fits",
        "superbias.fits",
        "Flats/FILTER_Ha/a_0001.fits",
        "x_BIN_2_y.fits",
        "Flats/bias_1.fits",
        "Lights/flat-1.fits",
        "dark_2.fits",
    ]
)
ORDERS = st.permutations(["header", "folder", "name"]).map(tuple)
HEADERS = st.tuples(st.dictionaries(st.sampled_from(NAMES), ANYTHING | ALIKE), PLACES)


@example([({"GAIN": 1}, "a.fits"), ({"GAIN": True}, "a.fits")], "fallback", ("header",))
@example(
    [({}, "GAIN_7/a.fits"), ({}, "GAIN_8/a.fits"), ({}, "GAIN_9_a.fits")], "fallback", ("header",)
)
@example([({"CCD-TEMP": 1.6}, "a.fits"), ({"CCD-TEMP": 2.6}, "a.fits")], "fallback", ("header",))
@example(
    [({"DATE-LOC": f"2026-01-0{day}T20:00:00"}, "a.fits") for day in (1, 2)], "off", ("header",)
)
@example([({"DATE": f"2026-01-0{day}"}, "a.fits") for day in (1, 2)], "off", ("header",))
@given(
    st.lists(HEADERS, min_size=2, max_size=8),
    st.sampled_from(["fallback", "override", "off"]),
    ORDERS,
)
def test_the_result_does_not_depend_on_headers_read_before(
    headers: list[tuple[dict[str, Any], str]], path_keywords: str, types_from: tuple[str, ...]
) -> None:
    rules = replace(RULES, path_keywords=path_keywords, types_from=types_from, extra=("XBINNING",))
    shared = KeywordReader(rules)
    for cards, path in headers:
        texts = [
            repr((asdict(header.traits), *header[1:]))
            for header in (reader.read(cards, path) for reader in (shared, KeywordReader(rules)))
        ]
        assert texts[0] == texts[1]


def test_frames_with_equal_traits_share_one_object() -> None:
    reader = KeywordReader(RULES)
    shots = [
        {
            **IMAGE,
            "IMAGETYP": "Flat",
            "DATE-OBS": f"2026-01-15T20:00:{second:02d}",
            "CCD-TEMP": -10.0,
        }
        for second in range(3)
    ]
    one, two, three = (reader.read(cards, f"{n}.fits") for n, cards in enumerate(shots))
    assert one.traits is two.traits is three.traits
    assert len({each.date_obs for each in (one, two, three)}) == 3
    warm = reader.read({**shots[0], "SET-TEMP": -20}, "4.fits")
    assert warm.traits is not one.traits
