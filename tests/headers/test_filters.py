"""Which filter is in the light."""

from __future__ import annotations

from typing import Any

import pytest

from calmasters.frame import Value
from calmasters.headers.filters import FIRST_WHEEL, OTHER_FILTER_CARDS, filter_in

NAMES = (*FIRST_WHEEL, *OTHER_FILTER_CARDS)


@pytest.mark.parametrize(
    "card",
    ["FILTER", "FILT-1", "FILTER1", "FILTNAM1", "ESO INS FILT1 NAME", "FILTNAME", "FILTNAM",
     "FILTERID", "FILTID", "INSFLNAM", "WFFBAND", "ACAMFILT"],
)  # fmt: skip
def test_a_filter_is_read_from_the_card_of_any_program(card: str) -> None:
    assert filter_in({card: "Ha  7nm"}, NAMES) == ("Ha 7nm", card)
    assert filter_in({card: " "}, NAMES) == (None, "")
    assert filter_in({card: "Unknown"}, NAMES) == (None, "")


@pytest.mark.parametrize(
    "card",
    [name.format(wheel) for wheel in (2, 3, 4)
     for name in ("FILTER{}", "FILT-{}", "FILTNAM{}", "ESO INS FILT{} NAME")],
)  # fmt: skip
def test_a_further_wheel_counts_where_the_first_is_empty(card: str) -> None:
    assert filter_in({"FILTER1": "Open", card: "V"}, NAMES) == ("V", card)
    assert filter_in({"FILTER1": "B", card: "Clear"}, NAMES) == ("B", "FILTER1")
    assert filter_in({"FILTER1": "B", card: "V"}, NAMES) == ("B+V", f"FILTER1, {card}")
    assert filter_in({"FILTER1": "V", card: "v"}, NAMES) == ("V", "FILTER1")


@pytest.mark.parametrize(
    "text",
    ["NO_FILTER", "no filt", "No filter in use", "None", "CLEAR", "clr", "Open 2", "air", "Empty",
     "blank", "Hole", "free", "not used", "unused", "2", "--"],
)  # fmt: skip
def test_an_empty_position_is_no_filter_beside_another(text: str) -> None:
    assert filter_in({"FILTER1": text, "FILTER2": "V"}, NAMES) == ("V", "FILTER2")
    assert filter_in({"FILTER1": "V", "FILTER2": text}, NAMES) == ("V", "FILTER1")


@pytest.mark.parametrize("text", ["Clear", "Open", "2"])
def test_where_no_wheel_has_a_filter_the_first_stays(text: str) -> None:
    assert filter_in({"FILTER1": text, "FILTER2": "Open"}, NAMES) == (text, "FILTER1")
    assert filter_in({"FILTER": text}, NAMES) == (text, "FILTER")


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        # FILTER sums up all wheels…
        ({"FILTER": "g+V", "FILTER1": "g", "FILTER2": "V"}, ("g+V", "FILTER")),
        ({"FILTER": "V", "FILTER1": "Open", "FILTER2": "V"}, ("V", "FILTER")),
        # …unless it repeats the first one, or is an empty position.
        ({"FILTER": "g", "FILTER1": "g", "FILTER2": "V"}, ("g+V", "FILTER, FILTER2")),
        ({"FILTER": "Clear", "FILTER1": "g", "FILTER2": "V"}, ("g+V", "FILTER1, FILTER2")),
        ({"FILTER": "Clear", "FILTER1": "g"}, ("g", "FILTER1")),
        ({"FILTER": "Unknown", "FILTER1": "g"}, ("g", "FILTER1")),
        ({"FILTER": "g+V", "FILT-1": "g", "FILT-2": "V"}, ("g+V", "FILTER")),
        ({"FILTER": "Clear", "FILT-1": "g"}, ("g", "FILT-1")),
        ({"FILTER1": "H  alpha", "FILTER2": "V"}, ("H alpha+V", "FILTER1, FILTER2")),
        # A card that is not of a wheel is used as it is.
        ({"FILTNAME": "Clear", "FILTER2": "V"}, ("Clear", "FILTNAME")),
        ({"FILTER": 656, "FILTER2": "Open"}, (656, "FILTER")),
        ({"FILTER": 656, "FILTER2": "V"}, ("V", "FILTER2")),
        ({"FILTER": "a", "FILTER2": "b", "FILTER3": "c"}, ("a+b+c", "FILTER, FILTER2, FILTER3")),
        ({}, (None, "")),
    ],
)
def test_filters_of_several_wheels_are_one_value(
    cards: dict[str, Any], expected: tuple[Value | None, str]
) -> None:
    assert filter_in(cards, NAMES) == expected


def test_the_cards_of_the_configuration_come_first() -> None:
    cards = {"FILTER": "V", "MYFILTER": "mine", "FILTER2": "B"}
    assert filter_in(cards, ("MYFILTER", *NAMES)) == ("mine", "MYFILTER")
