from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from calmasters.config_check import parse_zone
from calmasters.errors import ConfigError
from calmasters.headers.nights import creation_date, night_of, utc_of

#: Cards, configured zone, night. Tested with several time zones of the computer.
NIGHTS: tuple[tuple[Mapping[str, object], str, str], ...] = (
    # local time, with any configured zone
    ({"DATE-LOC": "2026-01-15T23:59:59", "DATE-OBS": "2026-01-16T06:59:59"}, "auto", "2026-01-15"),
    ({"DATE-LOC": "2026-01-16T00:00:01", "DATE-OBS": "2026-01-16T07:00:01"}, "UTC", "2026-01-15"),
    ({"DATE-LOC": "2026-01-16T11:59:59", "DATE-OBS": "2026-01-16T18:59:59"}, "auto", "2026-01-15"),
    ({"DATE-LOC": "2026-01-16T12:00:00", "DATE-OBS": "2026-01-16T19:00:00"}, "auto", "2026-01-16"),
    # both sides of the date line at the same time, a day apart
    ({"DATE-OBS": "2026-01-15T09:00:00"}, "Pacific/Kiritimati", "2026-01-15"),
    ({"DATE-OBS": "2026-01-15T09:00:00"}, "Pacific/Pago_Pago", "2026-01-14"),
    ({"DATE-OBS": "2026-01-15T09:00:00", "SITELONG": 179.9}, "auto", "2026-01-15"),
    ({"DATE-OBS": "2026-01-15T09:00:00", "SITELONG": -179.9}, "auto", "2026-01-14"),
    # degrees from 0 to 360: the same site in both conventions
    ({"DATE-OBS": "2026-01-15T16:30:00", "SITELONG": -75.0}, "auto", "2026-01-14"),
    ({"DATE-OBS": "2026-01-15T16:30:00", "SITELONG": 285.0}, "auto", "2026-01-14"),
    ({"DATE-OBS": "2026-01-15T17:30:00", "SITELONG": "285 00 00"}, "auto", "2026-01-15"),
    # an exposure across midnight UTC, across local midnight, across noon: the start decides
    ({"DATE-OBS": "2026-01-15T23:58:00", "DATE-END": "2026-01-16T00:03:00"}, "UTC", "2026-01-15"),
    ({"DATE-OBS": "2026-01-16T00:03:00"}, "UTC", "2026-01-15"),
    # daylight saving: 12:30 in summer, 11:30 in winter; and the night when clocks are set back
    ({"DATE-OBS": "2026-07-15T10:30:00"}, "Europe/Berlin", "2026-07-15"),
    ({"DATE-OBS": "2026-01-15T10:30:00"}, "Europe/Berlin", "2026-01-14"),
    ({"DATE-OBS": "2026-10-25T00:30:00"}, "Europe/Berlin", "2026-10-24"),
    ({"DATE-OBS": "2026-10-25T01:30:00"}, "Europe/Berlin", "2026-10-24"),
    # an offset with half an hour
    ({"DATE-OBS": "2026-01-15T06:29:59"}, "+05:30", "2026-01-14"),
    ({"DATE-OBS": "2026-01-15T06:30:00"}, "+05:30", "2026-01-15"),
    # a configured zone precedes the longitude
    ({"DATE-OBS": "2026-01-15T09:00:00", "SITELONG": 179.9}, "-11:00", "2026-01-14"),
)


@pytest.mark.parametrize(("cards", "zone", "night"), NIGHTS)
def test_the_night_is_the_local_date_at_its_start(
    cards: Mapping[str, str], zone: str, night: str
) -> None:
    assert night_of(cards, zone)[0] == night


@pytest.mark.parametrize(
    "machine", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "America/St_Johns", "UTC"]
)
def test_nights_do_not_depend_on_the_computers_time_zone(machine: str) -> None:
    program = (
        "import ast, sys; from calmasters.headers.nights import night_of, creation_date\n"
        "print(*(night_of(cards, zone)[0] for cards, zone, _ in ast.literal_eval(sys.argv[1])))\n"
        "print(creation_date({'DATE': '2026-01-15T12:30:00'})[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, repr(NIGHTS)],
        env={**os.environ, "TZ": machine},
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.split() == [*(night for _, _, night in NIGHTS), "2026-01-15"]


@pytest.mark.parametrize(
    ("cards", "source"),
    [
        ({"DATE-LOC": "2026-01-15T20:00:00"}, "DATE-LOC"),
        ({"DATE-OBS": "2026-01-15T20:00:00"}, "DATE-OBS, UTC"),
        ({"DATE-OBS": "2026-01-15T20:00:00", "SITELONG": 11}, "DATE-OBS, site longitude"),
        ({"DATE-OBS": "2026-01-15"}, "DATE-OBS"),
    ],
)
def test_the_source_of_the_night_is_named(cards: Mapping[str, str], source: str) -> None:
    assert night_of(cards, "auto") == ("2026-01-15", source, "")


@pytest.mark.parametrize("longitude", [361, -400, "east", "11 x 0", True])
def test_an_invalid_longitude_is_ignored(longitude: object) -> None:
    cards = {"DATE-OBS": "2026-01-15T20:00:00", "SITELONG": longitude}
    assert night_of(cards, "auto")[1] == "DATE-OBS, UTC"  # type: ignore[arg-type]


def test_times_are_converted_to_utc() -> None:
    moment = utc_of({"DATE-OBS": "2026-01-15T23:00:00-05:00"})
    assert moment is not None
    assert moment.isoformat() == "2026-01-16T04:00:00"
    assert utc_of({"DATE-OBS": "2026-01-15"}) is None


def test_a_creation_date_may_have_no_time() -> None:
    assert creation_date({"DATE": "2026-01-15"})[:2] == ("2026-01-15", "DATE")
    assert creation_date({"DATE": "soon"})[:2] == (None, "")


@pytest.mark.parametrize(
    ("text", "hours"),
    [("+02:00", 2), ("-0330", -3.5), ("+5", 5), ("Europe/Berlin", 1), ("UTC", 0)],
)
def test_zones_are_names_or_offsets(text: str, hours: float) -> None:
    assert parse_zone(text).utcoffset(datetime(2026, 1, 15)) == timedelta(hours=hours)


@pytest.mark.parametrize("text", ["Europe/Berlyn", "+25:00", "", "../etc", "2", "Europe"])
def test_an_invalid_zone_is_reported_with_valid_examples(text: str) -> None:
    with pytest.raises(ConfigError, match=r"night\.timezone: .*such as Europe/Berlin.*\+02:00"):
        parse_zone(text)
