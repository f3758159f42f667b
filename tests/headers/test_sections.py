"""Sections of an image as cards give them."""

from __future__ import annotations

import pytest

from calmasters.frame_layout import Section
from calmasters.headers.sections import CardSection, section_of, sections_in


@pytest.mark.parametrize(
    ("text", "section", "reverses"),
    [
        ("[1:48,1:40]", Section(0, 48, 0, 40), (False, False)),
        ("[48:1,3:7]", Section(0, 48, 2, 7), (True, False)),
        ("[5:9,40:2]", Section(4, 9, 1, 40), (False, True)),
        ("[5:5,3:3]", Section(4, 5, 2, 3), (False, False)),
        ("[*,2:3]", Section(0, 56, 1, 3), (False, False)),
        ("[2:3,*]", Section(1, 3, 0, 40), (False, False)),
    ],
)
def test_a_section_is_read_with_its_direction(
    text: str, section: Section, reverses: tuple[bool, bool]
) -> None:
    (found,) = sections_in(text)
    assert found.in_image(56, 40) == section
    assert (found.reverses_x, found.reverses_y) == reverses
    assert str(found) == text


@pytest.mark.parametrize("text", ["[0:0,0:0]", "[0:0,1:40]", "[1:56,0:0]", "[*,0:0]", "1024", None])
def test_an_empty_section_is_none(text: str | None) -> None:
    assert [*sections_in(text)] == []
    assert section_of({"TRIMSEC": text or ""}, "TRIMSEC", (56, 40)) == []


@pytest.mark.parametrize(
    ("section", "binned"),
    [
        (CardSection((1, 112), (1, 120)), Section(0, 56, 0, 40)),
        (CardSection((), ()), Section(0, 56, 0, 40)),
        # Columns 4, 5 and 6, 7 from 0; of the rows 4 to 11 only 6 to 11 are complete threes.
        (CardSection((4, 9), (5, 12)), Section(2, 4, 2, 4)),
        (CardSection((5, 9), (4, 11)), Section(2, 4, 1, 3)),
    ],
)
def test_only_complete_binned_pixels_belong_to_a_section(
    section: CardSection, binned: Section
) -> None:
    assert section.binned(56, 40, (2, 3)) == binned


def test_a_card_gives_first_and_last_pixels() -> None:
    cards = {"DSEC11": "[*,3:7]"}
    assert section_of(cards, "DSEC11", (56, 40)) == [(1, 56), (3, 7)]
    assert section_of(cards, "DSEC12", (56, 40)) == []
