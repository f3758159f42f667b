"""When a frame was taken: the moment (UTC) and the night (a local date)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from calmasters.config_check import parse_zone
from calmasters.headers.fits_cards import Cards, CardValue, first_of, number_of

__all__ = ["DATE", "Night", "creation_date", "night_of", "utc_of"]

#: A night, ISO 8601, and what told it; None where nothing did.
Night: TypeAlias = tuple[str | None, str]

#: How a date is written.
DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")

_HALF_A_DAY: Final = timedelta(hours=12)
_UTC: Final = ("DATE-OBS", "DATE-BEG", "DATE_OBS", "DATE-HP")
_TIME_OF_DAY: Final = ("TIME-OBS", "UT", "UTC", "UT-OBS")
_LOCAL: Final = ("DATE-LOC", "LOCALTIM", "DATE-LT")
_LONGITUDE: Final = ("SITELONG", "SITE-LON", "OBSLONG", "LONG-OBS", "OBSGEO-L")


def night_of(cards: Cards, zone: str) -> Night:
    """Find the night: the local date of the exposure's start, minus 12 hours.

    Parameters
    ----------
    cards : Cards
    zone : str
        Time zone of the observatory, for frames without a local time; ``auto`` if unknown.

    Returns
    -------
    night : str or None
        ISO 8601.
    source : str
        The card, and what told the zone: nothing for a local time, else the configured zone, the
        longitude of the site (15 degrees an hour), or UTC.
    """
    if local := _moment(cards, _LOCAL):
        return _evening(local), _LOCAL[0]
    utc = utc_of(cards)
    if utc is None:
        # A date without a time is taken for the night it says.
        name, text = first_of(cards, _UTC)
        return (found[0], name) if (found := DATE.match(str(text))) else (None, "")
    if zone != "auto":
        local = utc.replace(tzinfo=UTC).astimezone(parse_zone(zone))
        return _evening(local), f"DATE-OBS, zone {zone}"
    longitude = _degrees(first_of(cards, _LONGITUDE)[1])
    if longitude is not None:
        return _evening(utc + timedelta(hours=longitude / 15)), "DATE-OBS, site longitude"
    return _evening(utc), "DATE-OBS, UTC"


def creation_date(cards: Cards) -> Night:
    """Take the date on which the file was written for the night: the last resort."""
    text = str(cards.get("DATE", ""))
    if moment := _parse_moment(text):
        return _evening(moment), "DATE"
    return (text, "DATE") if DATE.fullmatch(text) else (None, "")


def utc_of(cards: Cards) -> datetime | None:
    """Find the start of the exposure, UTC, naive; None where the header has no time of day."""
    moment = _moment(cards, _UTC)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment and moment.tzinfo else moment


def _evening(local: datetime) -> str:
    return (local.replace(tzinfo=None) - _HALF_A_DAY).date().isoformat()


def _moment(cards: Cards, names: Iterable[str]) -> datetime | None:
    """Read the first card that holds a date and a time, joined with TIME-OBS where it must be."""
    for name in names:
        text = str(cards.get(name, "")).strip()
        if text and "T" not in text and ":" not in text:
            text = f"{text}T{first_of(cards, _TIME_OF_DAY)[1]}"
        if moment := _parse_moment(text):
            return moment
    return None


def _parse_moment(text: str) -> datetime | None:
    text = text.strip()
    if text[2:3] == "/":  # MaxIm once wrote dd/mm/yy
        text = re.sub(r"^(\d\d)/(\d\d)/(\d\d)(?=T)", r"20\3-\2-\1", text)
    if "T" not in text and " " not in text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    # An unknown time is written as year 1; such a time also has no evening before it.
    return moment if 1 < moment.year < 9999 else None


def _degrees(raw: CardValue | None) -> float | None:
    """Read a longitude, decimal or 'd m s', as degrees east of Greenwich from -180 to 180."""
    degrees = number_of(raw)
    if degrees is None and raw is not None:
        parts = [number_of(part) for part in re.split(r"[\s:]+", str(raw).strip())]
        if len(parts) == 3 and None not in parts:
            degrees = sum(abs(part or 0.0) / 60**power for power, part in enumerate(parts))
            degrees = -degrees if str(raw).strip().startswith("-") else degrees
    if degrees is None or abs(degrees) > 360:
        return None
    # Some programs count from 0 to 360: 285 degrees east are 75 west, not a day later.
    return (degrees + 180) % 360 - 180
