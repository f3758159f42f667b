"""Read when a frame was taken: the time (UTC) and the night (a local date)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from math import remainder
from typing import Final, NamedTuple

from calmasters.config_check import parse_zone
from calmasters.headers.fits_cards import Cards, CardValue, first_of, number_of

__all__ = ["DATE", "LONGITUDE_CARDS", "UTC_SOURCE", "Night", "creation_date", "night_of", "utc_of"]


class Night(NamedTuple):
    """The night of a frame.

    Attributes
    ----------
    date : str or None
        ISO 8601; None if unknown.
    source : str
        The card. For a UTC card also the source of the zone: the configured zone, the longitude of
        the site (15 degrees per hour), or UTC. If the night is unknown: a card that cannot be read.
    warning : str
        Cards that contradict each other or cannot be read; empty without any.
    """

    date: str | None
    source: str
    warning: str = ""


class _Moment(NamedTuple):
    time: datetime
    card: str


class _Claim(NamedTuple):
    """What a card says about the zone of the observatory: its difference from UTC in hours."""

    card: str
    hours: float


#: Format of a date.
DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
#: Source of a night for which the header has neither a local time nor a longitude.
UTC_SOURCE: Final = "DATE-OBS, UTC"

_NOON: Final = 12
_ONE_DAY: Final = timedelta(days=1)
_UTC: Final = ("DATE-OBS", "DATE-BEG", "DATE_OBS", "DATE-HP")
_TIME_OF_DAY: Final = ("TIME-OBS", "UT", "UTC", "UT-OBS", "UTSTART", "TIME-BEG")
_LOCAL: Final = ("DATE-LOC", "LOCALTIM", "DATE-LT")
#: The scale of all times of a header, and its values for the time of clocks on the wall: also the
#: names of zones, such as CET, which are no scales of FITS.
_SYSTEM: Final = "TIMESYS"
_LOCAL_SYSTEM: Final = re.compile(
    r"loc(?:al)?\b.*|local[-_ ]?time.*|lt|civil|msk|(?!(?:et|gmt|iat|tdt)$)[a-z]{2,4}t",
    re.IGNORECASE,
)
#: The longitude that FITS defines, east of Greenwich; programs disagree about the other cards.
_FITS_LONGITUDE: Final = "OBSGEO-L"
#: Cards with the longitude of the observatory.
LONGITUDE_CARDS: Final = (
    _FITS_LONGITUDE, "SITELONG", "SITE-LON", "OBSLONG", "LONG-OBS", "LONGITUD", "GEOLON",
)  # fmt: skip
#: Zones differ from the mean time of their places by up to 3 hours.
_SAME_ZONE_HOURS: Final = 3.5

#: Modified Julian dates count days from here; later ones than the year 2099 are no dates.
_MJD_ZERO: Final = datetime(1858, 11, 17)
_MJD_ZERO_JD: Final = 2_400_000.5
_MOST_MJD: Final = 88_000

_NO_VALUE: Final = frozenset({"", "-", "n/a", "nan", "none", "unknown"})
#: Some programs write an unknown date as year 1.
_FIRST_YEAR: Final = 1900
#: The FITS format before 2000 was dd/mm/yy for 19yy; capture programs wrote it later, too. Earlier
#: years of two digits are 20yy: there were no digital cameras.
_FIRST_SHORT_YEAR: Final = 70
_MONTHS: Final = (
    "jan",
    "feb",
    "mar",
    "apr",
    "may",
    "jun",
    "jul",
    "aug",
    "sep",
    "oct",
    "nov",
    "dec",
)
_DATES: Final = (
    re.compile(
        r"(?P<year>\d{4})[-/. ](?P<month>\d{1,2}|[A-Za-z]{3,9})[-/. ](?P<day>\d{1,2})(?!\d)"
    ),
    re.compile(
        r"(?P<day>\d{1,2})[-/. ](?P<month>\d{1,2}|[A-Za-z]{3,9})[-/. ](?P<year>\d{4}|\d\d)(?!\d)"
    ),
)
_TIME: Final = re.compile(
    r"[T,\s]*(?P<hour>\d{1,2})(?:\s*[:h]\s*|\s+)(?P<minute>\d{1,2})"
    r"(?:(?:\s*[:m]\s*|\s+)(?P<second>\d{1,2}(?:[.,]\d*)?)\s*s?)?\s*(?P<half>[ap]\.?m\.?)?"
    r"\s*(?P<zone>Z|UTC|GMT|[-+]\d\d:?\d\d)?(?:\s*[a-z]{2,5})?\s*",
    re.IGNORECASE,
)


def night_of(cards: Cards, zone: str) -> Night:
    """Return the night: the date of the exposure's start in local time minus 12 hours.

    Cards that contradict each other about the zone are resolved by majority. Without one, the
    local time counts, then OBSGEO-L, then the other longitudes in order.

    Parameters
    ----------
    cards : Cards
    zone : str
        Time zone of the observatory, used for frames without a local time; ``auto`` if unknown.
    """
    own, local = _moment(cards, _UTC), _moment(cards, _LOCAL)
    system = str(cards.get(_SYSTEM, "")).strip()
    if own and not local and not own.time.tzinfo and _LOCAL_SYSTEM.fullmatch(system):
        return Night(_to_night(own.time), f"{own.card}, {_SYSTEM} {system}")
    longitudes = tuple((name, cards[name]) for name in LONGITUDE_CARDS if name in cards)
    if local and not longitudes:
        return Night(_to_night(local.time), local.card)
    utc = utc_of(cards)
    if utc is None:
        return Night(_to_night(local.time), local.card) if local else _night_without_time(cards)
    hours = _hours_between(utc, local.time) if local else 0
    best, warning = _majority(local.card if local else "", hours, longitudes)
    if local and best and best.card == local.card:
        return Night(_to_night(local.time), local.card, warning)
    if zone != "auto":
        moment = utc.replace(tzinfo=UTC).astimezone(parse_zone(zone))
        return Night(_to_night(moment), f"DATE-OBS, zone {zone}")
    if best:
        moment = utc + timedelta(hours=best.hours)
        return Night(_to_night(moment), "DATE-OBS, site longitude", warning)
    if own and own.time.utcoffset():
        return Night(_to_night(own.time), f"{own.card}, its zone")
    return Night(_to_night(utc), UTC_SOURCE)


def _night_without_time(cards: Cards) -> Night:
    """Return the night of a header without a time of day: its date."""
    name, text = first_of(cards, _UTC)
    if str(text).strip().casefold() in _NO_VALUE or not name:
        return Night(None, "")
    day = _parse_date(str(text))
    if day is None:
        return Night(None, f"{name} '{text}', which is not a date that can be read")
    time_card, time = first_of(cards, _TIME_OF_DAY)
    is_unreadable = time_card and str(time).strip().casefold() not in _NO_VALUE
    warning = f"{time_card} '{time}' is not a time that can be read: the night is {name}"
    return Night(day.isoformat(), name, warning if is_unreadable else "")


def creation_date(cards: Cards) -> Night:
    """Return the night in which the file was written, for frames without any other date."""
    text = str(cards.get("DATE", ""))
    if moment := _parse_moment(text):
        return Night(_to_night(moment), "DATE")
    return Night(text, "DATE") if DATE.fullmatch(text) else Night(None, "")


def utc_of(cards: Cards) -> datetime | None:
    """Return the start of the exposure, UTC, naive; None if the header has no time of day."""
    found = _moment(cards, _UTC)
    if found is None:
        return _of_julian_date(cards)
    moment = found.time
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _of_julian_date(cards: Cards) -> datetime | None:
    days = number_of(cards.get("MJD-OBS"))
    if days is None and (julian := number_of(cards.get("JD"))) is not None:
        days = julian - _MJD_ZERO_JD
    if days is None or not 0 < days < _MOST_MJD:
        return None
    return (_MJD_ZERO + timedelta(days=days)).replace(microsecond=0)


def _to_night(local: datetime) -> str:
    day = local.date()
    return (day if local.hour >= _NOON else day - _ONE_DAY).isoformat()


# --- the zone -------------------------------------------------------------------------------------


def _hours_between(utc: datetime, local: datetime) -> int:
    """Return local time minus UTC in whole hours, from -12 to 11."""
    seconds = (local.replace(tzinfo=None) - utc).total_seconds()
    return (round(seconds / 3600) + 12) % 24 - 12


def _longitude_claims(longitudes: tuple[tuple[str, CardValue], ...]) -> tuple[_Claim, ...]:
    """Return what longitudes say; cards with one value come from one program and count once."""
    hours: dict[float, str] = {}
    claims = []
    for name, raw in longitudes:
        if (degrees := _degrees(raw)) is not None:
            claim = _Claim(name, degrees / 15)
            if name == _FITS_LONGITUDE or hours.setdefault(round(claim.hours, 2), name) == name:
                claims.append(claim)
    return tuple(claims)


@lru_cache(256)
def _majority(
    local_card: str, hours: float, longitudes: tuple[tuple[str, CardValue], ...]
) -> tuple[_Claim | None, str]:
    """Return the first of the claims that most others support, and a text about the others."""
    claims = [*([_Claim(local_card, hours)] if local_card else []), *_longitude_claims(longitudes)]
    if not claims:
        return None, ""
    supporters = {each: [other for other in claims if _agree(each, other)] for each in claims}
    best = max(claims, key=lambda each: len(supporters[each]))  # of equals the first
    others = [each for each in claims if each not in supporters[best]]
    if not others:
        return best, ""
    used, ignored = (
        " and ".join(f"{each.card} (UTC{each.hours:+.0f} h)" for each in side)
        for side in (supporters[best], others)
    )
    west = [each.card for each in others if _agree(each._replace(hours=-each.hours), best)]
    hint = f"; {' and '.join(west)} seems to count west" if west else ""
    return best, f"{ignored} contradicts {used}: the night is that of {best.card}{hint}"


def _agree(one: _Claim, other: _Claim) -> bool:
    return abs(remainder(one.hours - other.hours, 24)) <= _SAME_ZONE_HOURS


def _degrees(raw: CardValue | None) -> float | None:
    """Read a longitude: decimal, 'd m s', '75 30 00 W'; return degrees east, -180 to 180."""
    degrees = number_of(raw)
    if degrees is None and isinstance(raw, str):
        text = raw.strip().upper()
        parts = [float(part) for part in re.findall(r"\d+(?:\.\d*)?", text)]
        if 1 <= len(parts) <= 3 and re.fullmatch(r"[EW]?[-+]?[\d\s:.DMS°'\"]+[EW]?", text):
            degrees = sum(part / 60**power for power, part in enumerate(parts))
            degrees = -degrees if "-" in text or "W" in text else degrees
    if degrees is None or abs(degrees) > 360:
        return None
    # Some programs count from 0 to 360: 285 degrees east is 75 degrees west, not a day later.
    return (degrees + 180) % 360 - 180


# --- dates and times ------------------------------------------------------------------------------


def _moment(cards: Cards, names: Iterable[str]) -> _Moment | None:
    """Read the first card with date and time; a date alone is combined with a card for the time."""
    for name in names:
        if name not in cards:
            continue
        text = str(cards[name])
        if moment := _parse_moment(text):
            return _Moment(moment, name)
        if text.strip() and ":" not in text:
            time = str(first_of(cards, _TIME_OF_DAY)[1])
            if moment := _parse_moment(f"{text.strip()}T{time}") or _parse_moment(time):
                return _Moment(moment, name)
    return None


@lru_cache(64)  # a frame's time is needed twice
def _parse_moment(text: str) -> datetime | None:
    """Read date and time as a person would: ISO 8601, '15/01/2026 9:50', '… 08:20:00 PM DST'."""
    text = text.strip()
    if "T" not in text and ":" not in text and "h" not in text:
        return None
    moment: datetime | None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = _parse_written(text)
    return moment if moment and _FIRST_YEAR <= moment.year < 9999 else None


def _parse_written(text: str) -> datetime | None:
    day = _parse_date(text)
    if day is None:
        return None
    match = next(match for pattern in _DATES if (match := pattern.match(text)))
    time = _TIME.fullmatch(text, match.end())
    if not time:
        return None
    hour, minute = int(time["hour"]), int(time["minute"])
    second = float((time["second"] or "0").replace(",", "."))
    if time["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + 12 * (time["half"][0] in ("p", "P"))
    if hour > 24 or minute > 60 or second >= 61:
        return None
    midnight = datetime(day.year, day.month, day.day)
    # 24:00:00 and 59.9999 s written as 60.000 are times of the next hour or minute.
    moment = midnight + timedelta(hours=hour, minutes=minute, seconds=second)
    # A time of which the card does not say that it is local is UTC: Z, UTC and GMT add nothing.
    has_offset = time["zone"] and time["zone"][0] in ("+", "-")
    return moment.replace(tzinfo=parse_zone(time["zone"])) if has_offset else moment


def _parse_date(text: str) -> date | None:
    """Read the date at the start of a text; None if day and month could be exchanged."""
    match = next((match for pattern in _DATES if (match := pattern.match(text.strip()))), None)
    if not match:
        return None
    year, day, word = int(match["year"]), int(match["day"]), match["month"][:3].lower()
    if word.isdigit():
        month = int(word)
        is_day_first, is_long = match.start("day") < match.start("month"), year > 99
        if is_day_first and is_long and "/" in match[0]:
            # 01/02/2026 may be in January or February; 01/15/2026 has only one reading.
            if max(day, month) <= 12 and day != month:
                return None
            day, month = (month, day) if month > 12 else (day, month)
    else:
        month = _MONTHS.index(word) + 1 if word in _MONTHS else 0
    if year < 100:
        year += 1900 if year >= _FIRST_SHORT_YEAR else 2000
    try:
        return date(year, month, day) if year >= _FIRST_YEAR else None
    except ValueError:
        return None
