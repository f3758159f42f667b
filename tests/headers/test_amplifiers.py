"""Which amplifiers a header names, and what it says of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from calmasters.frame_layout import FrameLayout, FramePart, Section
from calmasters.headers.amplifiers import (
    Amplifier,
    amplifiers_in,
    amplifiers_of,
    declared_numbers,
)
from calmasters.headers.fits_cards import ImageHeader

LEFT, RIGHT = "[1:4,1:6]", "[5:8,1:6]"
SIDE_BY_SIDE = [Amplifier("11", 0, 4, 0, 6), Amplifier("12", 4, 8, 0, 6)]


def found(cards: Mapping[str, Any]) -> list[Amplifier]:
    """Find the amplifiers of an image of 8x6 pixels."""
    return [*amplifiers_of(ImageHeader(cards, 2880, 5760), 8, 6)]


@pytest.mark.parametrize("prefix", ["DSEC", "TSEC", "ASEC"])
@pytest.mark.parametrize("order", [("11", "12"), ("12", "11")])
def test_sections_of_amplifiers_are_read_in_the_order_of_their_names(
    prefix: str, order: tuple[str, str]
) -> None:
    sections = {"11": LEFT, "12": RIGHT}
    assert found({f"{prefix}{name}": sections[name] for name in order}) == SIDE_BY_SIDE


@pytest.mark.parametrize("order", [("A", "B"), ("B", "A")])
def test_rows_are_counted_from_the_top(order: tuple[str, str]) -> None:
    sections = {"A": "[1:8,1:2]", "B": "[1:8,3:6]"}
    cards = {f"DSEC{name}": sections[name] for name in order}
    assert found(cards) == [Amplifier("A", 0, 8, 0, 2), Amplifier("B", 0, 8, 2, 6)]
    turned = found({**cards, "ROWORDER": "BOTTOM-UP"})
    assert turned == [Amplifier("A", 0, 8, 4, 6), Amplifier("B", 0, 8, 0, 4)]


def test_a_quarter_of_the_image_may_be_an_amplifier() -> None:
    quarters = {f"ASEC{x}{y}": f"[{4 * x - 3}:{4 * x},{3 * y - 2}:{3 * y}]"
                for x in (1, 2) for y in (1, 2)}  # fmt: skip
    assert found(quarters) == [
        Amplifier("11", 0, 4, 0, 3),
        Amplifier("12", 0, 4, 3, 6),
        Amplifier("21", 4, 8, 0, 3),
        Amplifier("22", 4, 8, 3, 6),
    ]


@pytest.mark.parametrize(
    "cards",
    [
        pytest.param({}, id="none"),
        pytest.param({"DSEC11": "[1:8,1:6]"}, id="only one"),
        pytest.param({"DSEC11": LEFT, "ASEC12": RIGHT}, id="of different cards"),
        pytest.param({"DSEC11": LEFT, "DSEC": RIGHT}, id="one has no name"),
        pytest.param({"DSEC11": LEFT, "DSECRIGHT": RIGHT}, id="one has a long name"),
        pytest.param({"DSEC11": LEFT, "ROI": RIGHT}, id="one is of another card"),
        pytest.param({"DSEC11": LEFT, "DSEC12": "[6:8,1:6]"}, id="a gap"),
        pytest.param({"DSEC11": LEFT, "DSEC12": "[4:8,1:6]"}, id="they overlap"),
        pytest.param({"DSEC11": LEFT, "DSEC12": LEFT}, id="they are the same"),
        pytest.param(
            {"DSEC11": "[1:4,1:3]", "DSEC12": "[1:4,1:3]", "DSEC13": RIGHT}, id="two are the same"
        ),
        pytest.param({"DSEC11": LEFT, "DSEC12": "[9:12,1:6]"}, id="one is right of the image"),
        pytest.param({"DSEC11": RIGHT, "DSEC12": "[0:3,1:6]"}, id="one begins left of the image"),
        pytest.param({"DSEC11": "[1:8,1:3]", "DSEC12": "[1:8,7:9]"}, id="one is below the image"),
        pytest.param({"DSEC11": "[1:8,4:6]", "DSEC12": "[1:8,0:2]"}, id="one begins above it"),
        pytest.param({"DSEC11": LEFT, "DSEC12": "[0:0,0:0]"}, id="one is empty"),
        pytest.param({"DSEC11": LEFT, "DSEC12": "right"}, id="one is no section"),
    ],
)
def test_sections_that_do_not_make_the_image_are_no_amplifiers(cards: dict[str, str]) -> None:
    assert found(cards) == []


def test_sections_that_fit_are_used_instead_of_those_that_do_not() -> None:
    untrimmed = {"DSEC11": "[11:14,1:6]", "DSEC12": "[15:18,1:6]"}
    assert found({**untrimmed, "ASEC11": LEFT, "ASEC12": RIGHT}) == SIDE_BY_SIDE


def test_a_frame_that_is_put_together_has_the_amplifiers_of_its_parts() -> None:
    data = Section(0, 4, 0, 6)
    parts = (FramePart(data, 4, name="12", image=1), FramePart(data, 0, name="11"))
    assert amplifiers_in(FrameLayout(8, 6, parts)) == SIDE_BY_SIDE
    assert [*amplifiers_in(FrameLayout(4, 6, parts[1:]))] == []


@pytest.mark.parametrize(
    ("cards", "numbers"),
    [
        ({"EGAIN11": 1.5, "RDNOISE11": 4}, {"gain_e_adu": 1.5, "read_noise_e": 4.0}),
        ({"GAIN11": "1.5", "READNOIS11": 4.0}, {"gain_e_adu": 1.5, "read_noise_e": 4.0}),
        ({"GTGAIN11": 0.5, "GTRON11": 0.9}, {"gain_e_adu": 0.5, "read_noise_e": 0.9}),
        ({"EGAIN11": 0, "GAIN11": -1.0, "GTGAIN11": 2.5}, {"gain_e_adu": 2.5}),
        ({"EGAIN12": 1.5, "EGAIN": 1.5, "GAIN": 3, "GAIN11": "high"}, {}),
    ],
)
def test_numbers_of_an_amplifier_have_its_name(
    cards: dict[str, Any], numbers: dict[str, float]
) -> None:
    part = FramePart(Section(0, 4, 0, 6), name="11")
    header = ImageHeader({"GAIN": 100, **cards}, 2880, 5760)
    assert declared_numbers(header, part) == numbers
    assert declared_numbers(header, part._replace(name="")) == {}


@pytest.mark.parametrize(
    ("shared", "own", "numbers"),
    [
        ({"GAIN": 100}, {"GAIN": 100}, {}),
        ({"GAIN": 100}, {"GAIN": 100, "GTGAIN": 0.5}, {"gain_e_adu": 0.5}),
        ({"GAIN": 100}, {"GAIN": 1.5}, {"gain_e_adu": 1.5}),
        ({}, {"GAIN": 1.5}, {"gain_e_adu": 1.5}),
        ({"EGAIN": 1.5}, {"EGAIN": 1.5}, {"gain_e_adu": 1.5}),
    ],
)
def test_a_gain_that_all_images_share_may_be_a_setting(
    shared: dict[str, Any], own: dict[str, Any], numbers: dict[str, float]
) -> None:
    images = tuple(ImageHeader(cards, 2880, 5760) for cards in ({}, own))
    part = FramePart(Section(0, 4, 0, 6), name="11", image=1)
    assert declared_numbers(ImageHeader(shared, 2880, 5760, parts=images), part) == numbers
