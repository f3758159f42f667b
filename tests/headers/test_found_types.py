"""Where the type of a frame is found, and which place counts."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from calmasters.frame import OtherType
from calmasters.headers.found_types import (
    TYPE_CARDS,
    TYPE_SOURCES,
    FoundTypes,
    flat_kind_in,
    is_stack_by_cards,
    type_in,
    type_places,
)

#: Cards of capture programs and observatories that have the type of a frame.
ONLY_TYPES = ["TYPE", "IMAGETYP", "FRAMETYP", "OBSTYPE", "OBSTYP", "OBS_TYPE", "IMTYPE",
              "IMAGETYPE", "IMGTYPE", "ESO DPR TYPE"]  # fmt: skip
WITH_OTHERS = ["FRAME", "CALFRAME", "ESO DPR CATG"]


@pytest.mark.parametrize("card", [*ONLY_TYPES, *WITH_OTHERS])
def test_a_type_is_read_from_the_card_of_any_program(card: str) -> None:
    assert type_in({"GAIN": 3, card: "Dark Frame"}, TYPE_CARDS) == ("dark", card)
    assert type_in({card: "Dark Frame"}, ()) == ((None, ""))
    unknown = ("focus", card) if card in ONLY_TYPES else (None, "")
    assert type_in({card: "Focus"}, TYPE_CARDS) == unknown
    for text in ("", " Unknown ", "n/a"):
        assert type_in({card: text}, TYPE_CARDS) == (None, "")


def test_a_known_type_counts_more_than_an_unknown_one_before_it() -> None:
    cards = {"IMAGETYP": "Focus", "OBSTYPE": "BIAS"}
    assert type_in(cards, TYPE_CARDS) == ("bias", "OBSTYPE")


@pytest.mark.parametrize(
    ("target", "found"),
    [("Dark", ("dark", "OBJECT")), ("Light", (None, "")), ("M 31", (None, ""))],
)
def test_the_target_may_be_a_type_of_calibration_frames(
    target: str, found: tuple[str | None, str]
) -> None:
    assert type_in({"OBJECT": target}, TYPE_CARDS) == found


@pytest.mark.parametrize(
    ("cards", "folder", "kind"),
    [
        ({"IMAGETYP": "Dome Flat"}, "sky flats", "dome"),
        ({"IMAGETYP": "FLAT", "OBSTYPE": "skyflat"}, "", "sky"),
        ({"IMAGETYP": "FLAT", "OBJECT": "Dome"}, "", "dome"),
        ({"IMAGETYP": "FLAT", "OBJECT": "Sky Nebula"}, "", ""),
        ({"IMAGETYP": "FLAT"}, "sky flats", "sky"),
        ({"IMAGETYP": 5}, "Flats", ""),
    ],
)
def test_a_header_says_what_kind_of_flat_it_is_or_else_a_folder(
    cards: dict[str, str], folder: str, kind: str
) -> None:
    assert flat_kind_in(cards, folder) == kind


def test_places_beside_the_header_have_a_name_for_people() -> None:
    places = found("flat", "flat", "Flats/flat_1.fits").types.keys() - {"header"}
    assert {place: TYPE_SOURCES[place] for place in places} == {
        "path": "path",
        "folder": "folder name",
        "name": "file name",
    }


def found(header: str | None, token: str | None, path: str) -> FoundTypes:
    return FoundTypes(header, token, PurePosixPath(path))


def test_each_place_gives_its_own_type() -> None:
    types = found("flat", "light", "Darks/bias_1.fits")
    assert types.types == {"header": "flat", "path": "light", "folder": "dark", "name": "bias"}
    assert types.folder == "Darks"
    assert types.place(["folder", "header"]) == "folder"
    nothing = found(None, None, "x.fits")
    assert (nothing.types, nothing.folder, nothing.place(["header", "name"])) == ({}, "", "")
    assert nothing.other_than("header", ["header"]) is None


@pytest.mark.parametrize(
    ("types", "place", "types_from", "other"),
    [
        (
            ("flat", None, "Darks/1.fits"), "header", ["header"],
            OtherType("folder", "dark", "Darks"),
        ),
        (("flat", None, "2/dark_1.fits"), "header", ["header"], OtherType("name", "dark", "")),
        (("flat", None, "Flats/dark_1.fits"), "header", ["header"], OtherType("name", "dark", "")),
        (("flat", None, "Flats/flat_1.fits"), "header", ["header"], None),
        (("flat", None, "2/1.fits"), "header", ["header"], None),
        # A word that is no type of frames is unknown, and refused as such.
        (("focus", None, "Darks/1.fits"), "header", ["header"], None),
        ((None, "flat", "Darks/1.fits"), "path", ["header"], None),
        (("flat", None, "Darks/bias_1.fits"), "folder", ["folder", "header"], None),
        (
            ("flat", None, "Darks/bias_1.fits"), "folder", ["header", "folder"],
            OtherType("name", "bias", ""),
        ),
    ],
)  # fmt: skip
def test_a_folder_or_name_that_contradicts_is_reported(
    types: tuple[str | None, str | None, str],
    place: str,
    types_from: list[str],
    other: OtherType | None,
) -> None:
    assert found(*types).other_than(place, types_from) == other


@pytest.mark.parametrize(
    ("types_from", "override", "master", "places"),
    [
        (["header", "folder", "name"], False, False, ["header", "path", "folder", "name"]),
        (["header", "folder", "name"], True, False, ["path", "header", "folder", "name"]),
        (["folder", "header"], False, False, ["path", "folder", "header"]),
        (["header"], False, False, ["header", "path"]),
        (["header"], True, False, ["path", "header"]),
        (["folder", "header"], False, True, ["header", "path", "folder", "header"]),
        (["folder"], False, True, ["header", "path", "folder"]),
    ],
)
def test_a_token_comes_before_other_words_of_a_path(
    types_from: list[str], override: bool, master: bool, places: list[str]
) -> None:
    """The header of a master, which a program wrote, comes first."""
    assert type_places(types_from, override, master) == places


@pytest.mark.parametrize(
    ("cards", "stack"),
    [
        ({"IMAGETYP": "Master Dark"}, True),
        ({"IMAGETYP": "FLAT", "OBSTYPE": "MASTERFLAT"}, True),
        ({"NCOMBINE": 20}, True),
        ({"IMAGETYP": "Dark Frame", "NCOMBINE": 1}, False),
        ({}, False),
    ],
)
def test_a_stack_is_known_by_its_type_or_its_count(cards: dict[str, str], stack: bool) -> None:
    assert is_stack_by_cards(cards) is stack
