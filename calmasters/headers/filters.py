"""Find the filter in the light: the one of several wheels that is not at an empty position."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from calmasters.frame import Value
from calmasters.headers.fits_cards import Cards, CardValue, first_of
from calmasters.headers.values import is_unknown, typed_value

__all__ = ["FIRST_WHEEL", "MORE_WHEELS", "OTHER_FILTER_CARDS", "filter_in", "has_filter"]

#: Cards of the filter in the first or only wheel, in order of preference.
FIRST_WHEEL: Final = ("FILTER", "FILT-1", "FILTER1", "FILTNAM1", "ESO INS FILT1 NAME")
#: Cards of the filter in each further wheel.
MORE_WHEELS: Final = tuple(
    (f"FILTER{wheel}", f"FILT-{wheel}", f"FILTNAM{wheel}", f"ESO INS FILT{wheel} NAME")
    for wheel in (2, 3, 4)
)
#: Cards of the filter that some cameras of observatories have instead; they are used as they are.
OTHER_FILTER_CARDS: Final = (
    "FILTNAME", "FILTNAM", "FILTERID", "FILTID", "INSFLNAM", "WFFBAND", "ACAMFILT",
)  # fmt: skip
#: Names of empty positions in filter wheels, without case and separators: 'NO_FILTER', 'Open 2'.
_EMPTY_POSITION: Final = re.compile(
    r"(?:nofilter|nofilt|nofilterinuse|none|clear|clr|open|air|empty|blank|hole|free|notused|unused)?"
    r"\d*"
)


def filter_in(cards: Cards, names: Iterable[str]) -> tuple[Value | None, str]:
    """Return the filter in the light: of several wheels those that are not at an empty position.

    FILTER beside FILTER1 sums up all wheels, unless it only repeats FILTER1. Where no wheel has a
    filter, the value of the first one stays: 'Clear' may be a filter.
    """
    name, raw = first_of(cards, [name for name in names if not is_unknown(cards.get(name))])
    value = typed_value("FILTER", raw)
    one = first_of(cards, FIRST_WHEEL[1:])[1]
    sums_up = name == FIRST_WHEEL[0] and one is not None and _filter_text(one) != _filter_text(raw)
    if (name and name not in FIRST_WHEEL) or (sums_up and _filter_text(raw)):
        return value, name
    wheels = [(name, raw), *(first_of(cards, names) for names in MORE_WHEELS)]
    if sums_up:
        wheels.insert(0, first_of(cards, FIRST_WHEEL[1:]))
    texts = {_filter_text(raw): (name, raw) for name, raw in reversed(wheels)}
    texts.pop("", None)
    if not texts:
        return value, name if value is not None else ""
    filters = [*reversed(texts.values())]
    if len(filters) == 1:
        return typed_value("FILTER", filters[0][1]), filters[0][0]
    return (
        "+".join(" ".join(str(raw).split()) for _, raw in filters),
        ", ".join(name for name, _ in filters),
    )


def has_filter(value: CardValue | None) -> bool:
    """Return whether a value of FILTER is not that of an empty position of a wheel."""
    return isinstance(value, int | float) or bool(_filter_text(value))


def _filter_text(raw: CardValue | None) -> str:
    """Return the name of a filter for comparison; empty for an empty position of a wheel."""
    text = re.sub(r"[\W_]+", "", str(raw if isinstance(raw, str) else "")).casefold()
    return "" if is_unknown(raw) or _EMPTY_POSITION.fullmatch(text) else text
