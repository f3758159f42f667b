"""Cards that may have a keyword's value, but are not read: FLTNM 'V' for FILTER.

Cameras of observatories have cards with names of their own. Where a keyword has no value, its
source names the cards that resemble it. Frames that differ in such a card are perhaps of two
filters, gains or temperatures, and no master may be made of them without a warning.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Mapping
from typing import Final

from calmasters.headers.fits_cards import Cards, CardValue, number_of
from calmasters.headers.values import CCD_TEMP_CARDS, UNKNOWN_TEXTS, number_in

__all__ = ["is_unusable", "may_have_a_keyword", "unread_cards", "unread_values"]

#: Names of cards that may have the value of a keyword, without those of other meanings: the noise
#: or duration of the readout, the offset of a telescope or focuser.
_RESEMBLING: Final[Mapping[str, re.Pattern[str]]] = {
    "FILTER": re.compile(r"FI?LT|FILPOS|FL(?:NAM|POS)|BAND|WHEEL|COLOU?R|OPTI[0-9]"),
    "GAIN": re.compile(r"GAIN|^CVF$|^ISO|SENSITIV"),
    "OFFSET": re.compile(r"BLACK|BLKL|(?:CAM|CCD|DET|ADC)[-_ ]?OFF"),
    "READOUTM": re.compile(
        r"^(?!.*(?:WIND|TRA?C?K|DOME|GUID|SLEW|SCOPE|FAN|NOI)).*(?:SPEED|SPD"
        r"|(?:READ|RDO?UT|RD)[-_ ]?(?:OUT)?[-_ ]?(?:MO?D|RATE)|^MODE$|PIXRATE|OUTPTAMP"
        r"|(?:CCD|CAM|QHY|ADC?|AMP|SENS|DET)[-_ ]?MOD)"
    ),
    "SET-TEMP": re.compile(
        r"(?:CCD|CAM(?:ERA)?|DET|CHIP|SENS(?:OR)?|COOL(?:ER)?|CRYO|FPA|IMG|^TEC?)[-_ ]?"
        r"(?:TE?M?P?$|SET)|(?:^T|TE?M?P)[-_ ]?(?:CCD|CAM|DET|CHIP|SENS|SET)"
        r"|(?:REQ|TARG|SET)[A-Z]*[-_ ]?TE?M?P|SETPOINT"
    ),
}
_MOST_CARDS: Final = 4
#: So many different numbers may be those of settings, however few frames there are.
_FEW: Final = 3
_CARD_AND_VALUE: Final = re.compile(r"([^',]+) '([^']*)'(?:, )?")
#: Measured temperatures that differ by less, in degrees Celsius or kelvins, are one set-point.
_SAME_TEMPERATURE: Final = 2.0


def may_have_a_keyword(card: str) -> bool:
    """Return whether a card of this name may have the value of a keyword."""
    # The temperature of each frame is read, but not as a setting.
    return card not in CCD_TEMP_CARDS and any(
        pattern.search(card) for pattern in _RESEMBLING.values()
    )


def unread_cards(keyword: str, read: Container[str], cards: Cards) -> str:
    """Return the cards that may have the value of a keyword; empty if there are none.

    Parameters
    ----------
    keyword : str
    read : container of str
        The cards of the keyword that are read.
    cards : Cards

    Examples
    --------
    >>> unread_cards("FILTER", ["FILTER"], {"FLTNM": "V", "GAIN": 100})
    "FLTNM 'V', not read as FILTER"
    """
    pattern = _RESEMBLING.get(keyword)
    found = [
        f"{name} '{text}'"
        for name, raw in cards.items()
        if pattern and name not in read and pattern.search(name) and (text := _text(keyword, raw))
    ]
    return f"{', '.join(found[:_MOST_CARDS])}, not read as {keyword}" if found else ""


def is_unusable(keyword: str, source: str) -> bool:
    """Return whether the source of a keyword without a value names a card that is read."""
    return bool(source) and not source.endswith(f", not read as {keyword}")


def unread_values(keyword: str, sources: Mapping[str, int]) -> Mapping[str, Mapping[str, int]]:
    """Return the values of unread cards in which frames differ, with their numbers of frames.

    Numbers of which most frames have one of their own are measurements, not settings, and are left
    out.

    Parameters
    ----------
    keyword : str
        One that none of the frames has.
    sources : mapping of str to int
        Results of :func:`unread_cards`, or other texts, each with its number of frames.

    Examples
    --------
    >>> unread_values("FILTER", {"FLTNM 'V', not read as FILTER": 5, "": 1})
    {'FLTNM': {'V': 5, '': 1}}
    """
    found = [
        ({} if is_unusable(keyword, source) else dict(_CARD_AND_VALUE.findall(source)), frames)
        for source, frames in sources.items()
    ]
    counts: dict[str, dict[str, int]] = {}
    for card in dict.fromkeys(card for cards, _ in found for card in cards):
        values: dict[str, int] = defaultdict(int)
        for cards, frames in found:
            values[cards.get(card, "")] += frames
        if _are_settings(keyword, values):
            counts[card] = {**values}
    return counts


def _text(keyword: str, raw: CardValue) -> str:
    if keyword == "SET-TEMP":
        celsius = None if isinstance(raw, bool) else number_in(keyword, raw)
        return "" if celsius is None else f"{celsius:.0f}"
    if isinstance(raw, float):
        # No filter has such a number: it is the angle of a wheel, which is measured.
        return "" if keyword == "FILTER" and not raw.is_integer() else f"{raw:.4g}"
    text = " ".join(str(raw).replace("'", "").split())
    return "" if text.casefold() in UNKNOWN_TEXTS else text


def _are_settings(keyword: str, values: Mapping[str, int]) -> bool:
    """Return whether values differ, and not as the results of measurements do."""
    numbers = [number for value in values if (number := number_of(value)) is not None]
    if len(numbers) < len(values):
        return len(values) > 1
    if keyword == "SET-TEMP":
        return max(numbers) - min(numbers) > _SAME_TEMPERATURE
    return 1 < len(values) <= max(_FEW, sum(values.values()) // 2)
