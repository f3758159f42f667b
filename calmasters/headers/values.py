"""Values of keywords: numbers as people and programs write them, and values that say nothing."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from typing import Final

from calmasters.frame import Value
from calmasters.headers.fits_cards import Cards, CardValue, number_of

__all__ = [
    "CCD_TEMP_CARDS",
    "MAYBE_NUMBERS",
    "NUMBERS",
    "UNKNOWN_TEXTS",
    "is_known",
    "is_unknown",
    "number_in",
    "round_to",
    "rounded",
    "temperature_c",
    "typed_value",
]

#: Cards of the measured temperature of the sensor, in order of preference.
CCD_TEMP_CARDS: Final = (
    "CCD-TEMP", "CCD_TEMP", "CCDTEMP", "TEMPERAT", "CAMTCCD", "DET-TEMP", "DET_TEMP",
    "SENSOR-TEMP", "TEMP", "CAMTEMP",
)  # fmt: skip

#: Keywords whose values are numbers, and those whose values usually are.
NUMBERS: Final = frozenset({"SET-TEMP", "EXPOSURE"})
MAYBE_NUMBERS: Final = frozenset({"GAIN", "OFFSET", "FOCALLEN"})

#: Numbers as texts: '30,0', '-10.0 °C', '1/250 s'.
_NUMBER_TEXT: Final = re.compile(
    r"(?P<number>[-+]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:e[-+]?\d+)?)(?:/(?P<divisor>\d+))?\s*"
    r"(?P<unit>[a-z°º]*(?:\s*[a-z]+)?)\.?",
    re.IGNORECASE,
)
_SECONDS: Final = {
    **dict.fromkeys(("", "s", "sec", "secs", "second", "seconds"), 1.0),
    "ms": 1e-3,
    "us": 1e-6,
    "min": 60.0,
}
_CELSIUS: Final = frozenset(
    {"", "c", "°", "°c", "º", "ºc", "degc", "deg", "deg c", "celsius", "degrees", "degrees c"}
)
_FAHRENHEIT: Final = frozenset({"f", "°f", "ºf", "degf", "deg f", "fahrenheit", "degrees f"})
_KELVIN: Final = frozenset({"k", "kelvin"})

_UNITS: Final[Mapping[str, Container[str]]] = {
    "SET-TEMP": _CELSIUS | _FAHRENHEIT | _KELVIN,
    "EXPOSURE": _SECONDS,
}

#: Texts that stand for an unknown value. 'None' is not one of them: it is an empty filter.
UNKNOWN_TEXTS: Final = frozenset(
    {"", "-", "--", "---", "?", "n/a", "nan", "null", "unknown", "undefined", "not available"}
)
#: Numbers that stand for an unknown gain or offset: -1, -99, -999…
_UNKNOWN_NUMBER: Final = re.compile(r"-1|-9{2,}")
#: Temperatures of sensors, degrees Celsius; others stand for an unknown one, or are kelvins.
_COLDEST_C, _WARMEST_C = -273.15, 150.0
_WARMEST_K: Final = 330.0
#: Rounding error of float32, with which some programs write decimal numbers.
_FLOAT32_ERROR: Final = 1e-7


def is_unknown(raw: CardValue | None) -> bool:
    """Return whether a card is absent, empty, or a text that stands for an unknown value."""
    return raw is None or (isinstance(raw, str) and raw.strip().casefold() in UNKNOWN_TEXTS)


def is_known(keyword: str, value: Value) -> bool:
    """Return False for a number that stands for an unknown value, such as GAIN -1.

    Parameters
    ----------
    keyword : str
    value : Value
        As :func:`typed_value` returns it.
    """
    if isinstance(value, str):
        return True
    if keyword in ("GAIN", "OFFSET"):
        return not _UNKNOWN_NUMBER.fullmatch(f"{value:g}")
    if keyword == "SET-TEMP":
        return _COLDEST_C < value <= _WARMEST_C
    return keyword != "EXPOSURE" or value >= 0


def temperature_c(cards: Cards) -> float | None:
    """Return the measured temperature of the sensor, degrees Celsius; None if unknown."""
    for name in CCD_TEMP_CARDS:
        raw = cards.get(name)
        if raw is not None:
            celsius = number_in("SET-TEMP", raw)
            if celsius is not None and _COLDEST_C < celsius <= _WARMEST_C:
                return celsius
    return None


def typed_value(keyword: str, raw: CardValue | None) -> Value | None:
    """Convert the raw value of a keyword to its canonical type; None if impossible."""
    if raw is None or is_unknown(raw):
        return None
    if keyword in NUMBERS:
        # Drivers write -18.899999618530273 for a set-point of -18.9.
        number = number_in(keyword, raw)
        return None if number is None else round_to(number, 2 if keyword == "SET-TEMP" else 6)
    if keyword in MAYBE_NUMBERS:
        number = number_in(keyword, raw)
    else:
        number = None if isinstance(raw, str) else number_of(raw)
    if number is None or isinstance(raw, bool):
        return " ".join(str(raw).split())
    if keyword in MAYBE_NUMBERS:
        number = _without_float32_error(number)
    return int(number) if number.is_integer() else number


def number_in(keyword: str, raw: CardValue) -> float | None:
    """Read a number or a text with a number in the unit of its keyword; None for anything else."""
    number, unit = number_of(raw), ""
    if number is None:
        found = _NUMBER_TEXT.fullmatch(raw.strip()) if isinstance(raw, str) else None
        if not found:
            return None
        unit = found["unit"].casefold()
        if unit not in _UNITS.get(keyword, {""}) or (found["divisor"] and keyword != "EXPOSURE"):
            return None
        number = float(found["number"].replace(",", ".")) / float(found["divisor"] or 1)
    if keyword == "SET-TEMP":
        return _celsius(number, unit)
    return number * _SECONDS[unit] if keyword == "EXPOSURE" else number


def _celsius(number: float, unit: str) -> float:
    """Convert a temperature to degrees Celsius; no sensor is at 260 of them, but many at 260 K."""
    if unit in _FAHRENHEIT:
        return round_to((number - 32) / 1.8, 6)
    if unit in _KELVIN or (not unit and _WARMEST_C < number <= _WARMEST_K):
        return round_to(number - 273.15, 6)
    return number


def _without_float32_error(number: float) -> float:
    """Return 1.3 for 1.29999995, which is 1.3 as float32; other numbers stay as they are."""
    short = float(f"{number:.6g}")
    return short if abs(short - number) <= _FLOAT32_ERROR * abs(number) else number


def rounded(value: float, step: float) -> float:
    """Round to the nearest multiple of a step."""
    return round_to(round(value / step) * step, 6)


def round_to(value: float, digits: int) -> float:
    """Round to a number of decimals."""
    return round(value, digits) + 0.0  # adding 0.0 turns negative zero into zero
