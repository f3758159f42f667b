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
        ({"DATE-LOC": "2026-01-15T20:00:00", "SITELONG": 11}, "DATE-LOC"),
        ({"DATE-OBS": "2026-01-15T20:00:00"}, "DATE-OBS, UTC"),
        ({"DATE-OBS": "2026-01-15T20:00:00", "SITELONG": 11}, "DATE-OBS, site longitude"),
        ({"DATE-OBS": "2026-01-15"}, "DATE-OBS"),
        ({"DATE-OBS": "2026-01-15T12:30:00+09:00"}, "DATE-OBS, its zone"),
        ({"MJD-OBS": 61055.8}, "DATE-OBS, UTC"),
        ({"DATE-OBS": "2026-01-15T12:30:00", "TIMESYS": "LOCAL"}, "DATE-OBS, TIMESYS LOCAL"),
        (
            {"DATE-OBS": "2026-01-16T11:30:00", "TIMESYS": "lt", "SITELONG": 11},
            "DATE-OBS, TIMESYS lt",
        ),
        *(
            ({"DATE-OBS": "2026-01-15T12:30:00", "TIMESYS": system}, f"DATE-OBS, TIMESYS {system}")
            for system in ("LOCALTIME", "Local-Time", "Local (CET)", "LOC", "civil", "CET", "mst")
        ),
        *(
            ({"DATE-OBS": "2026-01-15T12:30:00", "TIMESYS": system}, "DATE-OBS, UTC")
            for system in ("UTC", "UT", "UT1", "GMT", "TAI", "IAT", "TT", "TDT", "ET", "GPS", "TDB")
        ),
        (
            {
                "DATE-OBS": "2026-01-16T20:00:00",
                "DATE-LOC": "2026-01-16T10:00:00",
                "TIMESYS": "LOCAL",
            },
            "DATE-LOC",
        ),
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


@pytest.mark.parametrize(
    ("cards", "time"),
    [
        ({"MJD-OBS": 61055.75}, "2026-01-15T18:00:00"),
        ({"JD": 2461056.25}, "2026-01-15T18:00:00"),
        ({"DATE-OBS": "2026-01-15", "MJD-OBS": "61055.75"}, "2026-01-15T18:00:00"),
        ({"DATE-OBS": "2026-01-15T19:00:00", "MJD-OBS": 61055.75}, "2026-01-15T19:00:00"),
        ({"MJD-OBS": 0.0}, None),
        ({"JD": 0}, None),
        ({"MJD-OBS": 2461056.25}, None),
    ],
)
def test_a_julian_date_is_a_time(cards: Mapping[str, str], time: str | None) -> None:
    found = utc_of(cards)
    assert (found and found.isoformat()) == time


def test_a_creation_date_may_have_no_time() -> None:
    assert creation_date({"DATE": "2026-01-15"})[:2] == ("2026-01-15", "DATE")
    assert creation_date({"DATE": "soon"})[:2] == (None, "")


@pytest.mark.parametrize("text", ["2026-01-16T03:00:00", "16-Jan-2026 3h00m00s"])
def test_a_creation_time_belongs_to_the_night_before_noon(text: str) -> None:
    assert creation_date({"DATE": text}) == ("2026-01-15", "DATE", "")


#: Each card that may say when and where a frame was taken.
UTC_CARDS = ("DATE-OBS", "DATE-BEG", "DATE_OBS", "DATE-HP")
TIME_CARDS = ("TIME-OBS", "UT", "UTC", "UT-OBS", "UTSTART", "TIME-BEG")
LOCAL_CARDS = ("DATE-LOC", "LOCALTIM", "DATE-LT")
LONGITUDES = ("OBSGEO-L", "SITELONG", "SITE-LON", "OBSLONG", "LONG-OBS", "LONGITUD", "GEOLON")


def test_each_card_of_date_time_and_longitude_is_read() -> None:
    time = "2026-01-15T03:00:00"
    assert [night_of({card: time}, "auto")[0] for card in UTC_CARDS] == ["2026-01-14"] * 4
    split = [night_of({"DATE-OBS": "2026-01-15", card: "3:00"}, "auto")[0] for card in TIME_CARDS]
    assert split == ["2026-01-14"] * 6
    local = [night_of({card: time}, "auto")[:2] for card in LOCAL_CARDS]
    assert local == [("2026-01-14", card) for card in LOCAL_CARDS]
    east = [night_of({"DATE-OBS": time, card: 150}, "auto")[0] for card in LONGITUDES]
    assert east == ["2026-01-15"] * 7


@pytest.mark.parametrize("text", ["", " ", "-", "n/a", "NaN", "None", "UNKNOWN"])
def test_a_card_without_a_value_is_as_if_it_were_absent(text: str) -> None:
    assert night_of({"DATE-OBS": text}, "auto") == (None, "", "")
    without_time = night_of({"DATE-OBS": "2026-01-15", "UT": text}, "auto")
    assert without_time == ("2026-01-15", "DATE-OBS", "")


def test_a_header_without_any_date_has_no_night() -> None:
    assert night_of({}, "auto") == (None, "", "")
    assert night_of({"UT": "2026-01-15T21:00:00"}, "auto") == (None, "", "")
    damaged = {"DATE-OBS": "2026-13-45T25:99", "UT": "2026-01-15T21:00:00"}
    assert utc_of(damaged) is None
    assert utc_of({"DATE-OBS": "", "UT": "2026-01-15T21:00:00"}) is None


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


# --- dates that a person can read -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("cards", "utc"),
    [
        ({"DATE-OBS": "2026-01-15", "UT": "9:50:00"}, "2026-01-15T09:50:00"),
        ({"DATE-OBS": "2026-01-15", "TIME-OBS": " 9:58:00.5 "}, "2026-01-15T09:58:00.500000"),
        ({"DATE-OBS": "2026-01-15", "UT": "9 50 00"}, "2026-01-15T09:50:00"),
        ({"DATE-OBS": "2026-01-15", "UT": "9:50"}, "2026-01-15T09:50:00"),
        ({"DATE-OBS": "2026-01-15T23:59:60.000"}, "2026-01-16T00:00:00"),
        ({"DATE-OBS": "2026-01-15T24:00:00"}, "2026-01-16T00:00:00"),
        ({"DATE-OBS": "2026-1-5 9:05"}, "2026-01-05T09:05:00"),
        ({"DATE-OBS": "2026/01/15 21:00:00"}, "2026-01-15T21:00:00"),
        ({"DATE-OBS": "15/01/26", "UT": "21:00:00"}, "2026-01-15T21:00:00"),
        ({"DATE-OBS": "07/05/99", "UT": "21:00:00"}, "1999-05-07T21:00:00"),
        ({"DATE-OBS": "01/15/2026 9:00:00 PM"}, "2026-01-15T21:00:00"),
        ({"DATE-OBS": "15-Jan-2026 21h05m30s"}, "2026-01-15T21:05:30"),
        ({"DATE-OBS": "2026-01-15 12:30:00 AM"}, "2026-01-15T00:30:00"),
        ({"DATE-OBS": "2026-01-15 12:30:00 p.m."}, "2026-01-15T12:30:00"),
        ({"DATE-OBS": "2026-01-15T9:00:00 -05:00"}, "2026-01-15T14:00:00"),
        ({"DATE-OBS": "2026-01-15 21:00:00,25 UTC"}, "2026-01-15T21:00:00.250000"),
        ({"DATE-OBS": "2026-01-15 9:00:00 +05:30"}, "2026-01-15T03:30:00"),
        ({"DATE-OBS": "2026-01-15 1:00:00 am"}, "2026-01-15T01:00:00"),
        ({"DATE-OBS": "2026-01-15T21:60:00"}, "2026-01-15T22:00:00"),
        ({"DATE-OBS": "1900-01-01T00:00:00"}, "1900-01-01T00:00:00"),
        ({"DATE-OBS": "9998-12-31T21:00:00"}, "9998-12-31T21:00:00"),
        ({"DATE-OBS": "N/A", "DATE-BEG": "2026-01-15T21:00:00"}, "2026-01-15T21:00:00"),
    ],
)
def test_times_that_a_person_can_read_are_read(cards: dict[str, str], utc: str) -> None:
    moment = utc_of(cards)
    assert moment is not None
    assert moment.isoformat() == utc


@pytest.mark.parametrize(
    "text",
    ["01/02/2026 21:00:00", "2026-13-15 21:00:00", "2026-01-15 25:00:00", "2026-01-15 13:00:00 PM",
     "2026-Foo-15 21:00:00", "2026-01-15 21:61:00", "21:00:00", "soon: now",
     "2026-01-15 0:30:00 AM", "2026-01-15 21:00:61", "1899-12-31T21:00:00", "9999-01-15T21:00:00"],
)  # fmt: skip
def test_times_with_no_or_two_readings_are_not_read(text: str) -> None:
    assert utc_of({"DATE-OBS": text}) is None


@pytest.mark.parametrize(
    ("month", "name"),
    [
        *enumerate(
            [
                "Jan",
                "Feb",
                "MAR",
                "Apr",
                "May",
                "June",
                "jul",
                "Aug",
                "Sep",
                "Oct",
                "Nov",
                "December",
            ],
            start=1,
        )
    ],
)
def test_months_may_be_names(month: int, name: str) -> None:
    assert night_of({"DATE-OBS": f"15-{name}-2026"}, "auto")[0] == f"2026-{month:02}-15"


@pytest.mark.parametrize(
    ("text", "night"),
    [
        ("15/12/2026", "2026-12-15"),
        ("12/15/2026", "2026-12-15"),
        ("13/01/2026", "2026-01-13"),
        ("01/13/2026", "2026-01-13"),
        ("11/11/2026", "2026-11-11"),
        ("11/12/2026", None),
        ("12/11/2026", None),
        ("01/02/99", "1999-02-01"),
        ("01/02/70", "1970-02-01"),
        ("01/02/69", "2069-02-01"),
        ("15/01/00", "2000-01-15"),
        ("1900-01-15", "1900-01-15"),
        ("1899-01-15", None),
        ("0100-01-15", None),
    ],
)
def test_a_date_is_read_where_it_has_one_reading(text: str, night: str | None) -> None:
    assert night_of({"DATE-OBS": text}, "auto")[0] == night


def test_a_local_time_may_have_am_and_pm_and_the_name_of_a_zone() -> None:
    evening, morning = "2020-04-16 08:20:00.039 PM DST", "2020-04-17 05:40:00.039 AM DST"
    assert night_of({"LOCALTIM": evening}, "auto")[:2] == ("2020-04-16", "LOCALTIM")
    assert night_of({"LOCALTIM": morning}, "auto")[:2] == ("2020-04-16", "LOCALTIM")


@pytest.mark.parametrize("text", ["tomorrow", "01/02/2026", "2026-00-15"])
def test_a_date_that_cannot_be_read_is_named(text: str) -> None:
    night = night_of({"DATE-OBS": text}, "auto")
    assert night[:2] == (None, f"DATE-OBS '{text}', which is not a date that can be read")


def test_a_time_that_cannot_be_read_is_reported_and_the_date_is_the_night() -> None:
    night = night_of({"DATE-OBS": "2026-01-15", "UT": "late"}, "auto")
    assert night[:2] == ("2026-01-15", "DATE-OBS")
    assert night.warning == "UT 'late' is not a time that can be read: the night is DATE-OBS"


# --- contradicting cards --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "longitude",
    [-111.6, "-111.6", "-111 36 00", "111 36 00 W", "W111:36:00", "111d36m00s W", "248.4", 248.4],
)
@pytest.mark.parametrize("card", ["SITELONG", "LONGITUD", "OBSGEO-L", "SITE-LON"])
def test_longitudes_are_read_in_any_notation(card: str, longitude: object) -> None:
    cards = {"DATE-OBS": "2026-01-15T17:00:00", card: longitude}
    assert night_of(cards, "auto")[:2] == (  # type: ignore[arg-type]
        "2026-01-14",
        "DATE-OBS, site longitude",
    )


@pytest.mark.parametrize(
    ("longitude", "noon"),
    [
        (-75, "17:00:00"),
        (285, "17:00:00"),
        ("75W", "17:00:00"),
        ("75 30 00 W", "17:02:00"),
        ("75 30 30 W", "17:02:02"),
        (360, "12:00:00"),
        (-360, "12:00:00"),
    ],
)
def test_the_night_begins_at_mean_noon_of_the_longitude(longitude: object, noon: str) -> None:
    start = datetime.fromisoformat(f"2026-01-15T{noon}")
    for second, night in ((0, "2026-01-15"), (-1, "2026-01-14")):
        time = (start + timedelta(seconds=second)).isoformat()
        cards: dict[str, object] = {"DATE-OBS": time, "SITELONG": longitude}
        assert night_of(cards, "auto")[:2] == (  # type: ignore[arg-type]
            night,
            "DATE-OBS, site longitude",
        )


def test_a_longitude_of_more_than_three_numbers_is_none() -> None:
    cards = {"DATE-OBS": "2026-01-15T20:00:00", "SITELONG": "75 30 00 00"}
    assert night_of(cards, "auto")[1] == "DATE-OBS, UTC"


#: The evening of night 16 at 75 degrees west.
DUSK = {"DATE-OBS": "2020-04-17T00:20:00"}
DAWN = {"DATE-OBS": "2020-04-17T09:40:00"}
LOCAL = {"LOCALTIM": "2020-04-16 08:20:00 PM DST"}


@pytest.mark.parametrize(
    ("cards", "ignored"),
    [
        (DUSK | LOCAL | {"SITELONG": "+75 00 00", "OBSGEO-L": -75.0}, "SITELONG"),
        (DUSK | {"SITELONG": "+75 00 00", "OBSGEO-L": -75.0}, "SITELONG"),
        (DAWN | {"SITELONG": 75, "LONGITUD": 75, "OBSGEO-L": -75.0}, "SITELONG"),
        (DUSK | LOCAL | {"SITELONG": 75}, "SITELONG"),
        (DUSK | LOCAL | {"SITELONG": 75, "LONGITUD": 75, "GEOLON": 75.0}, "SITELONG"),
        (
            DUSK | {"DATE-LOC": "2020-04-17T12:20:00", "SITELONG": -75, "OBSGEO-L": -75.0},
            "DATE-LOC",
        ),
    ],
)
def test_contradicting_cards_are_resolved_by_majority_and_reported(
    cards: dict[str, str], ignored: str
) -> None:
    night = night_of(cards, "auto")
    assert night.date == "2020-04-16"
    assert night.warning.startswith(f"{ignored} (UTC")
    assert ("count west" in night.warning) == (ignored == "SITELONG")


@pytest.mark.parametrize(
    "cards",
    [
        # mean local time, zone and daylight saving time differ by up to three hours
        DUSK | LOCAL | {"SITELONG": -75.0, "OBSGEO-L": -75.1},
        {"DATE-OBS": "2026-07-15T16:00:00", "DATE-LOC": "2026-07-16T00:00:00", "SITELONG": 75.0},
        {"DATE-OBS": "2026-07-15T20:00:00", "DATE-LOC": "2026-07-15T22:00:00", "SITELONG": -6.0},
        {"DATE-OBS": "2026-01-15T09:00:00", "DATE-LOC": "2026-01-15T22:00:00", "SITELONG": 179.0},
    ],
)
def test_cards_that_differ_by_a_time_zone_do_not_contradict(cards: dict[str, str]) -> None:
    assert night_of(cards, "auto").warning == ""


@pytest.mark.parametrize(
    ("local", "longitudes", "warning"),
    [
        (
            "2026-01-15T20:00:00",
            {"SITELONG": 105.0},
            "SITELONG (UTC+7 h) contradicts DATE-LOC (UTC-7 h): the night is that of DATE-LOC; "
            "SITELONG seems to count west",
        ),
        (
            "2026-01-16T08:30:00",
            {"SITELONG": -75.0},
            "SITELONG (UTC-5 h) contradicts DATE-LOC (UTC+6 h): the night is that of DATE-LOC; "
            "SITELONG seems to count west",
        ),
        (
            "2026-01-16T16:00:00",
            {"SITELONG": 0.0},
            "SITELONG (UTC+0 h) contradicts DATE-LOC (UTC-11 h): the night is that of DATE-LOC",
        ),
        (
            "2026-01-15T22:00:00",
            {"OBSGEO-L": -75.0, "SITELONG": 15.0},
            "SITELONG (UTC+1 h) contradicts DATE-LOC (UTC-5 h) and OBSGEO-L (UTC-5 h): the night "
            "is that of DATE-LOC",
        ),
        # 13 hours east, where the zone of the longitude is 10 hours east
        ("2026-01-16T16:00:00", {"SITELONG": 150.0}, ""),
        # 3.5 hours are within the zones, a little more is not
        ("2026-01-16T03:00:00", {"SITELONG": 52.5}, ""),
        (
            "2026-01-16T03:00:00",
            {"SITELONG": 54.0},
            "SITELONG (UTC+4 h) contradicts DATE-LOC (UTC+0 h): the night is that of DATE-LOC",
        ),
        # nearly equal longitudes are of one program and count once
        (
            "2026-01-16T05:00:00",
            {"SITELONG": -75.0, "OBSLONG": -75.03},
            "SITELONG (UTC-5 h) contradicts DATE-LOC (UTC+2 h): the night is that of DATE-LOC; "
            "SITELONG seems to count west",
        ),
    ],
)
def test_a_contradiction_is_reported_with_the_hours_of_each_card(
    local: str, longitudes: Mapping[str, float], warning: str
) -> None:
    cards = {"DATE-LOC": local, "DATE-OBS": "2026-01-16T03:00:00", **longitudes}
    assert night_of(cards, "auto")[1:] == ("DATE-LOC", warning)
