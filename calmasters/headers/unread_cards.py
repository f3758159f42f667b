"""Cards that may have a keyword's value, but are not read: FLTNM 'V' for FILTER.

Cameras of observatories have cards with names of their own. Frames of one group that differ in such
a card are perhaps of two filters, gains or temperatures, and no master may be made of them without
a warning.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from typing import Final

from calmasters.headers.fits_cards import Cards, CardValue, number_of
from calmasters.headers.values import CCD_TEMP_CARDS, UNKNOWN_TEXTS, number_in

__all__ = ["differing_cards", "may_have_a_keyword", "unread_cards"]

#: Names of cards that may have the value of a keyword, without those of other meanings: the noise
#: or duration of the readout, the offset of a telescope or focuser.
_RESEMBLING: Final[Mapping[str, re.Pattern[str]]] = {
    "FILTER": re.compile(r"FI?LT|FILPOS|^FW(?!HM)|FL(?:NAM|POS)|BAND|WHEEL|^COLOU?R$|OPTI[0-9]"),
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
#: OBJECT may have the filter in words, and the number of the frame: 'Flat V 3'.
_OBJECT: Final = "OBJECT"
_FILTER_WORD: Final = re.compile(
    r"(?<![^\W_])(?:[lrgbuvizyjhkw]|[ugrizy]p|ks|lum(?:inance)?|red|green|blue|clear|clr|white|ir|uv"
    r"|h-?a(?:lpha)?|h-?b(?:eta)?|oiii|o3|sii|s2|nii|n2|ch4|methane|uhc|cls)(?![^\W_])",
    re.IGNORECASE,
)
#: Up to this number of different values may be those of settings, however few frames there are.
_FEW: Final = 3
#: Measured temperatures that differ by less, in degrees Celsius or kelvins, are one set-point.
_SAME_TEMPERATURE: Final = 2.0
#: Other numbers that differ by less, as a share, are one setting.
_SAME_SHARE: Final = 0.01


def may_have_a_keyword(card: str) -> bool:
    """Return whether a card of this name may have the value of a keyword."""
    # The temperature of each frame is read, but not as a setting.
    return card not in CCD_TEMP_CARDS and any(
        pattern.search(card) for pattern in _RESEMBLING.values()
    )


def unread_cards(read: Mapping[str, Container[str]], cards: Cards) -> dict[str, dict[str, str]]:
    """Return for each keyword the cards that may have its value, and are not read for it.

    Parameters
    ----------
    read : mapping of str to container of str
        The cards that are read, by keyword.
    cards : Cards

    Examples
    --------
    >>> names = dict.fromkeys(("FILTER", "GAIN", "OFFSET", "READOUTM", "SET-TEMP"), ("GAIN",))
    >>> unread_cards(names, {"FLTNM": "V", "GAIN": 100})
    {'FILTER': {'FLTNM': 'V'}}
    """
    found: dict[str, dict[str, str]] = {
        keyword: {
            name: text
            for name, raw in cards.items()
            if name not in read[keyword] and pattern.search(name) and (text := _text(keyword, raw))
        }
        for keyword, pattern in _RESEMBLING.items()
    }
    words = {*_FILTER_WORD.findall(_text("FILTER", cards.get(_OBJECT, "")))}
    if len(words) == 1 and _OBJECT not in read["FILTER"]:
        found["FILTER"].setdefault(_OBJECT, *words)
    return {keyword: values for keyword, values in found.items() if values}


def differing_cards(
    keyword: str, frames: Sequence[tuple[Mapping[str, str], int]]
) -> Mapping[str, Mapping[str, int]]:
    """Return the unread cards in which frames differ: their values with the numbers of frames.

    Numbers of which most frames have one of their own are measurements, not settings, and are left
    out.

    Parameters
    ----------
    keyword : str
    frames : sequence of (mapping of str to str, int)
        The unread cards of the keyword, each with the number of frames that have them.
    """
    counts: dict[str, dict[str, int]] = {}
    for card in dict.fromkeys(card for cards, _ in frames for card in cards):
        values: dict[str, int] = defaultdict(int)
        for cards, count in frames:
            values[cards.get(card, "")] += count
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
    text = " ".join(str(raw).split())
    return "" if text.casefold() in UNKNOWN_TEXTS else text


def _are_settings(keyword: str, values: Mapping[str, int]) -> bool:
    """Return whether values differ, and not as the results of measurements do."""
    numbers = [number for value in values if (number := number_of(value)) is not None]
    if len(numbers) < len(values):
        return len(values) > 1
    apart = max(numbers) - min(numbers)
    if keyword == "SET-TEMP":
        return apart > _SAME_TEMPERATURE
    if apart <= _SAME_SHARE * max(map(abs, numbers)):
        return False  # a black level or a gain that is measured
    return 1 < len(values) <= max(_FEW, sum(values.values()) // 2)
