"""Words for types, one by one: what capture programs write is in ``test_keyword_reader.py``."""

from __future__ import annotations

import pytest

from calmasters.frame import FrameType
from calmasters.headers.frame_types import (
    canonical_type,
    flat_kind,
    frame_type,
    is_master_type,
    may_have_type,
    types_in_name,
)

BIAS, DARK, FLAT, LIGHT = FrameType.BIAS, FrameType.DARK, FrameType.FLAT, FrameType.LIGHT


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        (BIAS, "bias biases biais offset zero nullbild nullbilder Bias_Frame biasframes superbias "
         "masterbias rawbias biasshots flat-bias bias_of_flat ZeroImage"),
        (DARK, "dark darks DarkFrame dunkel dunkelbild noir oscuro oscura donker darkflat flatdark "
         "dark_for_flats DarkFlat masterdark dunkelaufnahme dunkelaufnahmen"),
        (FLAT, "flat flats FlatField FLAT,SKY dflat hellbild hellfeld weissfeld plano plana piatto "
         "piatti flatlamp domeflats plu twilight twi flatha flats_ha superflat lflat"),
        (LIGHT, "light lights LightFrame licht science object expose snapshot standard std sci"),
    ],
)  # fmt: skip
def test_each_word_for_a_type_is_known(kind: FrameType, texts: str) -> None:
    assert {text: frame_type(text.replace("_", " ")) for text in texts.split()} == dict.fromkeys(
        texts.split(), kind
    )
    assert {canonical_type(text.replace("_", " ")) for text in texts.split()} == {kind.value}


@pytest.mark.parametrize(
    "text",
    ["", "null", "hell", "plus", "Tricolor Image", "dark and flat", "stacked dark", "d", "7"],
)
def test_other_words_are_no_type(text: str) -> None:
    assert frame_type(text) is None


def test_another_type_is_written_without_case_separators_and_suffix() -> None:
    found = [canonical_type(text) for text in ("Tri-Color Image", "FOCUS_frames", "frame", "Field")]
    assert found == ["tricolor", "focus", "frame", "field"]


def test_masters_are_known_by_their_type() -> None:
    texts = ("Master Dark", "masterflat", "SUPERBIAS", "super bias", "dark", "remaster")
    assert [is_master_type(text) for text in texts] == [True] * 4 + [False] * 2


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        ("dome", ["dome flat", "dme flat", "dflat", "projector flat", "flat screen", "FLAT,DOME",
                  "masterdomeflats", "dome lamp flat", "FlatDome", "projectorflat"]),
        ("sky", ["sky flat", "skyflats", "twilight", "TWI", "dusk flat", "dawnflat", "flat evening",
                 "morning flat", "tshirt flat", "sflat", "tflat", "dome twilight flat",
                 "sky panel flat", "superskyflat", "twilightflat", "morningflat", "eveningflat"]),
        ("panel", ["panel flat", "LED flat", "flat box", "lightbox flat", "rawpanelflatfield",
                   "lightboxflat"]),
        ("internal", ["internal flat", "int flat", "lamp flat", "quartz flat", "slit flat", "iflat",
                      "flatlamp", "intflatlamps", "quartzflatframes", "slitflatimages",
                      "internalflat", "t flat lamp"]),
        ("", ["", "flat", "Flat Field", "dome dark", "s flat", "lightbox", "dome", "domed",
              "dome flat dark"]),
    ],
)  # fmt: skip
def test_what_lights_a_flat_is_read_of_its_type(kind: str, texts: list[str]) -> None:
    assert {text: flat_kind(text) for text in texts} == dict.fromkeys(texts, kind)


@pytest.mark.parametrize(
    ("name", "types"),
    [
        ("Flats Newton 2026-01-15", (FLAT,)),
        ("flat Newton", ()),
        ("flat frames Newton", (FLAT,)),
        ("flat frames Newton Orion", ()),
        ("bias Newton", (BIAS,)),
        ("Zero Gravity", ()),
        ("Dark Shark", ()),
        ("salt flats", ()),
        ("stacked darks", ()),
        ("M31 light 300s ASI2600MM", (LIGHT,)),
        ("flat dusk", (FLAT,)),
        ("dark dusk", ()),
        ("dark gain 100", (DARK,)),
        ("Darks_Flats", (DARK, FLAT)),
        ("Darks and Flats", (DARK, FLAT)),
        ("darks for flats", (DARK,)),
        ("flats for darks", (DARK,)),
        ("dark flats", (DARK,)),
        ("dark flats Newton", (DARK,)),
        ("FlatDark", (DARK,)),
        ("flat bias", (BIAS,)),
        ("flats bias", (FLAT, BIAS)),
        ("bias of flats", (BIAS,)),
        ("bias flats", (BIAS, FLAT)),
        ("bias and dark", (BIAS, DARK)),
        ("bias dark flat", (BIAS, DARK, FLAT)),
        ("offset_50 darks", (DARK,)),
        ("OFFSET=150", ()),
        ("offset_0", ()),
        ("offset_0001", (BIAS,)),
        ("offset 2026-01-15", (BIAS,)),
        ("offset 20260115", (BIAS,)),
        ("offset 1826", ()),
        ("dark300s", (DARK,)),
        ("object", ()),
        ("twilight", ()),
    ],
)
def test_types_in_names_are_those_that_cannot_be_an_object(
    name: str, types: tuple[FrameType, ...]
) -> None:
    assert types_in_name(name) == types
    assert may_have_type(name) or not types


def test_most_names_are_seen_at_once_to_have_no_type() -> None:
    words = (
        "bias offset zero nullbild hellfeld dark dunkel noir oscuro donker flat plano piatto plu"
    )
    assert all(
        may_have_type(word.upper()) for word in [*words.split(), "light", "licht", "science"]
    )
    assert not may_have_type("M31_300s_0001.fits")
