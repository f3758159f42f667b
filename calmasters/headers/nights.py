"""Read when a frame was taken: the time (UTC) and the night (a local date)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from calmasters.config_check import parse_zone
from calmasters.headers.fits_cards import Cards, CardValue, first_of, number_of

__all__ = ["DATE", "Night", "creation_date", "night_of", "utc_of"]

#: A night, ISO 8601, and its source; None and an empty source if unknown.
Night: TypeAlias = tuple[str | None, str]

#: Format of a date.
DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")

_HALF_A_DAY: Final = timedelta(hours=12)
_UTC: Final = ("DATE-OBS", "DATE-BEG", "DATE_OBS", "DATE-HP")
_TIME_OF_DAY: Final = ("TIME-OBS", "UT", "UTC", "UT-OBS")
_LOCAL: Final = ("DATE-LOC", "LOCALTIM", "DATE-LT")
_LONGITUDE: Final = ("SITELONG", "SITE-LON", "OBSLONG", "LONG-OBS", "OBSGEO-L")


def night_of(cards: Cards, zone: str) -> Night:
    """Return the night: the date of the exposure's start in local time minus 12 hours.

    Parameters
    ----------
    cards : Cards
    zone : str
        Time zone of the observatory, used for frames without a local time; ``auto`` if unknown.

    Returns
    -------
    night : str or None
        ISO 8601.
    source : str
        The card. For a UTC card also the source of the zone: the configured zone, the longitude of
        the site (15 degrees per hour), or UTC.
    """
    if local := _moment(cards, _LOCAL):
        return _to_night(local), _LOCAL[0]
    utc = utc_of(cards)
    if utc is None:
        # A date without a time is used as the night.
        name, text = first_of(cards, _UTC)
        return (date[0], name) if (date := DATE.match(str(text))) else (None, "")
    if zone != "auto":
        local = utc.replace(tzinfo=UTC).astimezone(parse_zone(zone))
        return _to_night(local), f"DATE-OBS, zone {zone}"
    longitude = _degrees(first_of(cards, _LONGITUDE)[1])
    if longitude is not None:
        return _to_night(utc + timedelta(hours=longitude / 15)), "DATE-OBS, site longitude"
    return _to_night(utc), "DATE-OBS, UTC"


def creation_date(cards: Cards) -> Night:
    """Return the night in which the file was written, for frames without any other date."""
    text = str(cards.get("DATE", ""))
    if moment := _parse_moment(text):
        return _to_night(moment), "DATE"
    return (text, "DATE") if DATE.fullmatch(text) else (None, "")


def utc_of(cards: Cards) -> datetime | None:
    """Return the start of the exposure, UTC, naive; None if the header has no time of day."""
    moment = _moment(cards, _UTC)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment and moment.tzinfo else moment


def _to_night(local: datetime) -> str:
    return (local.replace(tzinfo=None) - _HALF_A_DAY).date().isoformat()


def _moment(cards: Cards, names: Iterable[str]) -> datetime | None:
    """Read the first card with date and time; a date alone is combined with a card for the time."""
    for name in names:
        text = str(cards.get(name, "")).strip()
        if text and "T" not in text and ":" not in text:
            text = f"{text}T{first_of(cards, _TIME_OF_DAY)[1]}"
        if moment := _parse_moment(text):
            return moment
    return None


def _parse_moment(text: str) -> datetime | None:
    text = text.strip()
    if text[2:3] == "/":  # old versions of MaxIm wrote dd/mm/yy
        text = re.sub(r"^(\d\d)/(\d\d)/(\d\d)(?=T)", r"20\3-\2-\1", text)
    if "T" not in text and " " not in text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    # Some programs write an unknown time as year 1, from which 12 hours cannot be subtracted.
    return moment if 1 < moment.year < 9999 else None


def _degrees(raw: CardValue | None) -> float | None:
    """Read a longitude, decimal or 'd m s'; return degrees east of Greenwich, -180 to 180."""
    degrees = number_of(raw)
    if degrees is None and raw is not None:
        parts = [number_of(part) for part in re.split(r"[\s:]+", str(raw).strip())]
        if len(parts) == 3 and None not in parts:
            degrees = sum(abs(part or 0.0) / 60**power for power, part in enumerate(parts))
            degrees = -degrees if str(raw).strip().startswith("-") else degrees
    if degrees is None or abs(degrees) > 360:
        return None
    # Some programs count from 0 to 360: 285 degrees east is 75 degrees west, not a day later.
    return (degrees + 180) % 360 - 180
