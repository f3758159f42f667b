"""What headers say of filter wheels, places on the sensor, rotators, and kinds of flats."""

from __future__ import annotations

from pathlib import PurePath

import pytest

from calmasters.headers.dialects import KeywordReader, read_keywords
from calmasters.headers.fits_cards import CardValue
from calmasters.headers.frame_types import flat_kind
from calmasters.settings import HeaderRules

IMAGE: dict[str, CardValue] = {"NAXIS": 2, "NAXIS1": 4, "NAXIS2": 3, "IMAGETYP": "FLAT"}


def keywords_of(path: str = "a/b.fits", /, **cards: CardValue) -> dict[str, object]:
    header = read_keywords({**IMAGE, **cards}, PurePath(path), HeaderRules())
    return {**header.traits.keywords}


@pytest.mark.parametrize(
    ("cards", "name", "source"),
    [
        ({"FILTER": "B"}, "B", None),
        ({"FILTER1": "NO_FILTER", "FILTER2": "B"}, "B", "FILTER2"),
        ({"FILTER": "Open", "FILTER2": "Halpha"}, "Halpha", "FILTER2"),
        ({"FILTER": "Clear", "FILTER1": "Clear", "FILTER2": "R"}, "R", "FILTER2"),
        ({"FILT-1": "open 1", "FILT-2": "SII"}, "SII", "FILT-2"),
        ({"FILTNAM1": "None", "FILTNAM2": "I"}, "I", "FILTNAM2"),
        ({"FILTER": "air", "FILTER1": "air", "FILTER2": "air", "FILTER3": "rp"}, "rp", "FILTER3"),
        ({"FILTER2": "V"}, "V", "FILTER2"),
        (
            {"ESO INS FILT1 NAME": "OPEN", "ESO INS FILT2 NAME": "ESO844"},
            "ESO844",
            "ESO INS FILT2 NAME",
        ),
        ({"FILTER1": "B", "FILTER2": "ND 1"}, "B+ND 1", "FILTER1, FILTER2"),
        ({"FILTER": "V", "FILTER2": "ND1"}, "V+ND1", "FILTER, FILTER2"),
        ({"FILTER": "V", "FILTER1": "V", "FILTER2": "Empty"}, "V", None),
        ({"FILTER": "V", "FILTER1": "Bessell V", "FILTER2": "ND1"}, "V", None),
        ({"FILTER1": "B", "FILTER2": "b"}, "B", "FILTER1"),
        ({"FILTER": "Ha", "FILTER2": 2}, "Ha", None),
        ({"FILTER": "Clear"}, "Clear", None),
        ({"FILTER": "None", "FILTER2": "NO_FILTER"}, "None", None),
        ({"FILTER": "L", "FILTER1": " "}, "L", None),
        ({"INSFLNAM": "Har V"}, "Har V", "INSFLNAM"),
        ({"FILTER": "Unknown", "FILTNAME": "V"}, "V", "FILTNAME"),
        ({"FILTER": "Unknown", "FILTER1": "V"}, "V", "FILTER1"),
        ({"FILTER": "B", "FILTER2": "unknown"}, "B", None),
        ({"FILTER": "B", "FILTNAME": "Bessell B"}, "B", None),
    ],
)
def test_the_filter_is_that_of_all_wheels(
    cards: dict[str, CardValue], name: str, source: str | None
) -> None:
    traits = read_keywords({**IMAGE, **cards}, PurePath("x.fits"), HeaderRules()).traits
    assert (traits.keywords["FILTER"], traits.sources.get("FILTER")) == (name, source)


def test_empty_further_wheels_give_no_filter() -> None:
    assert "FILTER" not in keywords_of(FILTER2="Clear", FILTER3="Open")


@pytest.mark.parametrize(
    ("cards", "keyword", "value"),
    [
        ({"GRISM": "Grism_#7"}, "GRATING", "Grism_#7"),
        ({"GRATING": 600}, "GRATING", 600),
        ({"ESO INS GRIS1 NAME": "GRIS_600B"}, "GRATING", "GRIS_600B"),
        ({"SLITNAME": "long_1.0"}, "SLIT", "long_1.0"),
        ({"GRISM": "unknown", "DISPERSR": "B600"}, "GRATING", "B600"),
    ],
)
def test_spectrographs_have_a_grating_and_a_slit(
    cards: dict[str, CardValue], keyword: str, value: object
) -> None:
    assert keywords_of(**cards)[keyword] == value


def test_names_of_files_give_no_slit() -> None:
    assert "SLIT" not in keywords_of("flats/SLIT_0001.fits")


def test_a_configured_card_for_the_filter_is_used_as_it_is() -> None:
    rules = HeaderRules(aliases={"FILTER": ("WHEEL",)})
    cards = {**IMAGE, "WHEEL": "Open", "FILTER": "B", "FILTER2": "ND1"}
    assert read_keywords(cards, PurePath("x.fits"), rules).traits.keywords["FILTER"] == "Open"


@pytest.mark.parametrize(
    ("cards", "origin"),
    [
        ({}, (None, None)),
        ({"XORGSUBF": 0, "YORGSUBF": 0}, (0, 0)),
        ({"XORGSUBF": 1000, "YORGSUBF": "20"}, (1000, 20)),
        ({"ROIX": 64, "ROIY": 32}, (64, 32)),
        ({"DETSEC": "[1001:1048,1:48]"}, (1000, 0)),
        ({"DETSEC": "[2048:2001, 101:148]", "XBINNING": 2}, (1000, 50)),
        ({"CCDSEC": "[1:48,33:80]"}, (0, 32)),
        ({"SUBRECT": "11, 14, 23, 21"}, (10, 20)),
        ({"ESO DET WIN1 STRX": 1, "ESO DET WIN1 STRY": 501.0}, (0, 500)),
        ({"LTV1": -100.0, "LTV2": 0.0}, (100, 0)),
        ({"LTV1": 50.0, "LTV2": 0.0}, (0, 0)),
        ({"DETSEC": "all", "XORGSUBF": "left"}, (None, None)),
    ],
)
def test_the_place_of_a_subframe_is_read(
    cards: dict[str, CardValue], origin: tuple[int | None, int | None]
) -> None:
    geometry = read_keywords({**IMAGE, **cards}, PurePath("x.fits"), HeaderRules()).traits.geometry
    assert geometry is not None
    assert (geometry.xorigin, geometry.yorigin) == origin


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Dome Flat", "dome"),
        ("dflat", "dome"),
        ("DOMEFLATS", "dome"),
        ("Flat (dome)", "dome"),
        ("dome lamp flat", "dome"),
        ("FLAT,SKY", "sky"),
        ("twilight", "sky"),
        ("DuskFlats", "sky"),
        ("Evening flats 2026-01-15", "sky"),
        ("PANEL FLAT", "panel"),
        ("Flats LED", "panel"),
        ("FLATPANEL", "panel"),
        ("LAMPFLAT", "internal"),
        ("FLAT,LAMP", "internal"),
        ("Internal Flat", "internal"),
        ("Flat", ""),
        ("Flat Field", ""),
        ("Sky", ""),
        ("dome dark", ""),
    ],
)
def test_words_for_kinds_of_flats(text: str, kind: str) -> None:
    assert flat_kind(text) == kind


@pytest.mark.parametrize(
    ("path", "cards"),
    [
        ("x.fits", {"IMAGETYP": "Sky Flat"}),
        ("x.fits", {"OBSTYPE": "SKYFLAT"}),
        ("x.fits", {"OBJECT": "twilight"}),
        ("Sky Flats/x.fits", {}),
        ("Sky Flats/x.fits", {"IMAGETYP": ""}),
    ],
)
def test_the_kind_of_a_flat_is_read_from_types_object_and_folder(
    path: str, cards: dict[str, CardValue]
) -> None:
    assert keywords_of(path, **cards)["FLATKIND"] == "sky"


@pytest.mark.parametrize(
    "cards", [{"OBJECT": "Sky Box Nebula"}, {"IMAGETYP": "Dark", "OBJECT": "dome"}, {}]
)
def test_other_frames_have_no_kind_of_flat(cards: dict[str, CardValue]) -> None:
    assert "FLATKIND" not in keywords_of(**cards)


def test_the_noise_of_a_rotator_does_not_make_traits_of_each_frame() -> None:
    reader = KeywordReader(HeaderRules())
    flats = [reader.read({**IMAGE, "ROTATOR": 90 + n / 1000}, "x.fits") for n in range(40)]
    assert {flat.traits.keywords["ROTATOR"] for flat in flats} == {90.0}
    assert len({flat.traits for flat in flats}) == 1
    lights = {"IMAGETYP": "LIGHT"}
    angles = [reader.read({**IMAGE, **lights, "ROTATOR": 7.0 * n}, "x.fits") for n in range(40)]
    assert len({light.traits for light in angles}) == 1


def test_angles_are_those_of_a_circle() -> None:
    assert keywords_of(ROTATOR=359.97)["ROTATOR"] == 0
    assert keywords_of(ROTATANG="-90")["ROTATOR"] == 270
