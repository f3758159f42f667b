"""Sentences about the whole directory: when they are said, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from calmasters.frame import Frame, FrameType, Geometry, Value
from calmasters.headers.dialects import MEASURED
from calmasters.headers.fits_cards import Card
from calmasters.headers.nights import UTC_SOURCE
from calmasters.headers.sample_scale import BOTTOM_UP
from calmasters.images.master_file import write_master
from calmasters.inventory.camera_keywords import CameraKeywords
from calmasters.model.job import FrameFile, MasterJob, Recipe, UsedMaster
from calmasters.planning.grouping import Group, group_frames
from calmasters.planning.notes import (
    filter_spellings,
    flats_without_exposure,
    library_warnings,
    masters_without_keywords,
    measured_temperatures,
    reversed_rows,
    rows_against_each_other,
    uncertain_nights,
)
from calmasters.planning.planner import Decision, decide
from calmasters.settings import Integration, Settings

MakeFrame = Callable[..., Frame]
AddFile = Callable[..., Path]


# --- libraries ------------------------------------------------------------------------------------


def test_only_files_of_a_library_that_are_not_used_are_reported(make_frame: MakeFrame) -> None:
    library = [
        make_frame("dark", path="good.fits", master=True),
        make_frame("dark", path="no_time.fits", master=True, keywords={"EXPOSURE": None}),
        make_frame("bias", path="bias.fits", master=True),
        make_frame("dark", path="zero.fits", master=True, keywords={"EXPOSURE": 0.0}),
        make_frame("dark", path="raw.fits"),
        make_frame("dark", path="bad.fits", master=True, problems=("is damaged", "is empty")),
        make_frame("dark", path="raw_bad.fits", problems=("is damaged",)),
    ]
    assert [*library_warnings(library)] == [
        "library: zero.fits is not used: a dark of 0 s cannot be; correct its EXPTIME",
        "library: raw.fits is not used: neither its IMAGETYP, nor a count of frames, nor its name "
        "says that it is a master",
        "library: bad.fits is damaged; is empty",
        "library: raw_bad.fits is damaged",
    ]


# --- nights ---------------------------------------------------------------------------------------


@pytest.fixture
def flats_at(settings: Settings, make_frame: MakeFrame) -> Callable[..., list[Group]]:
    """Groups of flats at these times of day, with the source of their nights."""

    def groups_of(times: Iterable[str | None], source: str = UTC_SOURCE) -> list[Group]:
        frames = [
            make_frame(
                "flat",
                number,
                date_obs=time and f"2026-01-{time}",
                sources={"DATE": source},
            )
            for number, time in enumerate(times)
        ]
        return group_frames(frames, settings)

    return groups_of


@pytest.mark.parametrize(
    ("times", "count"),
    [
        (["15T06:00:00", "15T10:00:00"], 2),
        (["15T10:00:00", "15T08:00:00", "15T06:00:00", None], 4),
        (["14T23:00:00", "15T03:00:00"], 2),
        (["15T06:00:00", "15T09:59:59"], 0),
        (["15T06:00:00", None], 0),
        (["15T06:00:00"], 0),
        ([None, None], 0),
        ([], 0),
    ],
)
def test_nights_by_utc_are_uncertain_if_flats_are_of_more_than_one_twilight(
    flats_at: Callable[..., list[Group]], times: list[str | None], count: int
) -> None:
    notes = [*uncertain_nights(flats_at(times))]
    assert len(notes) == bool(count)
    for note in notes:
        assert f"{count} flats are without local time and longitude" in note
    assert not [*uncertain_nights(flats_at(times, "DATE-LOC"))]


def panel_flats(
    add_frame: AddFile, minutes: Iterable[int], filters: str = "B", **cards: object
) -> None:
    """Flats these minutes before (negative) or after noon, by local time."""
    for number, after_noon in enumerate(minutes):
        local = datetime(2026, 1, 16, 12) + timedelta(minutes=after_noon)
        times = {
            "DATE-LOC": local.isoformat(),
            "DATE-OBS": (local - timedelta(hours=1)).isoformat(),
        }
        name = filters[number % len(filters)]
        add_frame(f"flats/{number:02}.fits", "flat", {"FILTER": name, **times, **cards})


def split_notes(decision: Decision) -> list[str]:
    return [note for note in decision.warnings if "a night begins at noon" in note]


def test_flats_taken_across_noon_are_named_with_what_makes_them_one_master(
    make_settings: Callable[..., Settings], add_frame: AddFile
) -> None:
    panel_flats(add_frame, [*range(-6, 0), *range(6)])
    settings = make_settings()
    decision = decide(settings)
    assert [len(job.frames) for job in decision.jobs] == [6, 6]
    (note,) = split_notes(decision)
    assert note.startswith("12 flats that were taken one after another are of two nights")
    assert all(name in note for name in decision.short_names.values())
    assert note.endswith("put them into a folder DATE_2026-01-15 and set path_keywords: override")
    frames = settings.input_dir
    (frames / "flats").rename(frames / "DATE_2026-01-15")
    (job,) = decide(make_settings(path_keywords="override")).jobs
    assert len(job.frames) == 12


def test_a_noon_of_utc_may_be_no_noon_of_the_observatory(
    make_settings: Callable[..., Settings], add_frame: AddFile
) -> None:
    panel_flats(add_frame, [*range(57, 63)], SITELONG=None, **{"DATE-LOC": None})
    (note,) = split_notes(decide(make_settings()))
    assert "a night begins at noon UTC" in note
    assert "set night.timezone to the zone of the observatory, or put them" in note


@pytest.mark.parametrize(
    ("minutes", "filters"),
    [
        ([-300, -299, -298, 300, 301, 302], "B"),  # dawn and dusk
        ([-40, -39, -38, 1, 2, 3], "B"),
        ([-4, 4, -3, 3, -2, 2], "BV"),  # each filter on one side
        ([*range(-10, 10)], "B"),  # enough flats on both
    ],
)
def test_other_flats_of_two_nights_are_two_masters(
    make_settings: Callable[..., Settings], add_frame: AddFile, minutes: list[int], filters: str
) -> None:
    panel_flats(add_frame, minutes, filters)
    decision = decide(make_settings())
    assert len(decision.jobs) == 2
    assert split_notes(decision) == []


# --- exposures, rows ------------------------------------------------------------------------------


def test_flats_of_0_s_are_counted(settings: Settings, make_frame: MakeFrame) -> None:
    zero = [make_frame("flat", number, {"EXPOSURE": 0.0}) for number in range(2)]
    others = [make_frame("flat", 7), make_frame("flat", 8, {"EXPOSURE": 0.001})]
    assert not [*flats_without_exposure(group_frames(others, settings))]
    (note,) = flats_without_exposure(group_frames([*zero[:1], *others], settings))
    assert note.startswith("1 flat has an exposure of 0 s")
    assert "such as flat/0000.fits;" in note
    (note,) = flats_without_exposure(group_frames([*zero, *others], settings))
    assert note.startswith("2 flats have an exposure of 0 s")


def test_rows_of_one_group_in_two_orders_are_reported(
    settings: Settings, make_frame: MakeFrame
) -> None:
    orders = {
        "all": [BOTTOM_UP] * 3,
        "none": [""] * 3,
        "some": [BOTTOM_UP, "", f"signed, {BOTTOM_UP}"],
    }
    groups = {
        name: group_frames(
            [make_frame(number=n, read_as=read_as) for n, read_as in enumerate(each)], settings
        )[0]
        for name, each in orders.items()
    }
    (note,) = reversed_rows(groups, {name: f"short {name}" for name in groups})
    assert note.startswith("short some: 2 of 3 frames say ROWORDER 'BOTTOM-UP'")


# --- masters that lack a keyword ------------------------------------------------------------------


@pytest.fixture
def cameras(settings: Settings, make_frame: MakeFrame) -> CameraKeywords:
    """What is known of a camera that writes two values of GAIN and one of OFFSET."""
    frames = [make_frame(keywords={"GAIN": gain}) for gain in (100, 200)]
    return CameraKeywords.of(settings, frames)


def test_masters_that_lack_what_their_camera_writes_are_reported(
    settings: Settings, make_frame: MakeFrame, cameras: CameraKeywords
) -> None:
    without = {"GAIN": None, "OFFSET": None}
    masters = [
        make_frame("bias", path=f"bias/master{number}.fits", master=True, keywords=without)
        for number in range(2)
    ]
    (note,) = masters_without_keywords(masters, settings, cameras)
    assert note.startswith(
        "output_dir: 2 masters have no GAIN and no OFFSET, unlike other frames of ATR585M, such as "
        "master0: "
    )
    assert note.endswith('set assume_keywords: {"ATR585M": {"GAIN": "VALUE", "OFFSET": 150}}')
    (note,) = masters_without_keywords(masters[1:], settings, cameras)
    assert note.startswith("output_dir: 1 master has no GAIN")
    assert "such as master1: " in note


@pytest.mark.parametrize(
    ("kind", "lacked", "fields"),
    [
        ("bias", "SET-TEMP", {"INSTRUME": "another"}),  # no frame of it has one
        ("bias", "FILTER", {}),  # a bias needs none
        ("dark", "EXPOSURE", {}),  # it differs from frame to frame
        ("focus", "GAIN", {}),
        ("bias", "", {}),
    ],
)
def test_other_masters_are_not(
    settings: Settings,
    make_frame: MakeFrame,
    cameras: CameraKeywords,
    kind: str,
    lacked: str,
    fields: dict[str, Value],
) -> None:
    master = make_frame(
        kind, master=True, keywords={**fields, **({lacked: None} if lacked else {})}
    )
    assert not [*masters_without_keywords([master], settings, cameras)]
    damaged = make_frame("bias", keywords={"GAIN": None}, problems=("is damaged",))
    assert not [*masters_without_keywords([damaged], settings, cameras)]


# --- names of filters -----------------------------------------------------------------------------


def test_the_most_frequent_spelling_is_the_name_of_a_filter(
    settings: Settings, make_frame: MakeFrame
) -> None:
    counts = {"Ha": 2, "H-alpha": 3, "HA 7nm": 2, "B": 9}
    frames = [
        make_frame("flat", number, {"FILTER": name}, path=f"{name}/{number}.fits")
        for name, count in counts.items()
        for number in range(count)
    ]
    (note,) = filter_spellings(group_frames(frames, settings), settings)
    assert "make a master each: 'H-alpha', 'HA 7nm', 'Ha'; if they are one filter" in note
    assert note.endswith('set value_aliases: {"FILTER": {"H-alpha": ["HA 7nm", "Ha"]}}')
    in_use = replace(settings, value_aliases={"FILTER": {"Ha": ["x"]}})
    (note,) = filter_spellings(group_frames(frames, in_use), in_use)
    assert note.endswith('{"FILTER": {"Ha": ["x", "H-alpha", "HA 7nm"]}}')


def test_names_of_filters_count_by_camera_and_only_of_flats(
    settings: Settings, make_frame: MakeFrame
) -> None:
    flats = [
        make_frame("flat", 1, {"FILTER": "Ha", "INSTRUME": "one"}),
        make_frame("flat", 2, {"FILTER": "HA", "INSTRUME": "two"}),
        make_frame("flat", 3, {"FILTER": 656}),
        make_frame("flat", 4, {"FILTER": "656"}),
        make_frame("bias", 5, {"FILTER": "ha", "INSTRUME": "one"}),
    ]
    assert not [*filter_spellings(group_frames(flats, settings), settings)]


# --- measured temperatures ------------------------------------------------------------------------


@pytest.fixture
def temperatures(settings: Settings, make_frame: MakeFrame) -> Callable[..., list[str]]:
    """Notes on groups of these numbers of frames by temperature."""

    def notes_of(
        counts: dict[float, int], kind: str = "bias", source: str = MEASURED, **keywords: Value
    ) -> list[str]:
        frames = [
            make_frame(
                kind,
                number,
                {"SET-TEMP": celsius, **keywords},
                path=f"{celsius}/{number}.fits",
                sources={"SET-TEMP": source},
            )
            for celsius, count in counts.items()
            for number in range(count)
        ]
        groups = group_frames(frames, settings)
        assert len(groups) == len(counts)
        return [*measured_temperatures(groups)]

    return notes_of


@pytest.mark.parametrize(
    ("counts", "remedy"),
    [
        ({19.0: 3, 20.0: 9}, "set round: {SET-TEMP: 2}"),
        ({18.0: 3, 22.0: 9}, "set round: {SET-TEMP: 5}"),
        ({16.0: 3, 24.0: 9}, "set round: {SET-TEMP: 10}"),
        ({12.0: 3, 18.0: 4}, "name their folder SET-TEMP_15"),
        ({14.0: 3, 16.0: 4, 24.0: 4}, "name their folder SET-TEMP_16"),
        ({16.0: 3, 26.0: 4}, "name their folder SET-TEMP_21"),
    ],
)
def test_small_groups_that_differ_in_a_measured_temperature_are_to_be_combined(
    temperatures: Callable[..., list[str]], counts: dict[float, int], remedy: str
) -> None:
    (note,) = temperatures(counts)
    count, low, high = sum(counts.values()), min(counts), max(counts)
    assert note.startswith(
        f"{count} bias frames of ATR585M, which writes no set-point, are in {len(counts)} groups"
    )
    assert note.endswith(f", {low:g} to {high:g} C; to combine them, {remedy}")


@pytest.mark.parametrize(
    ("counts", "source"),
    [
        ({19.0: 10, 20.0: 10}, MEASURED),
        ({19.0: 3}, MEASURED),
        ({9.0: 3, 20.0: 3}, MEASURED),
        ({19.0: 3, 20.0: 3}, "SET-TEMP"),
    ],
)
def test_other_groups_are_not(
    temperatures: Callable[..., list[str]], counts: dict[float, int], source: str
) -> None:
    assert temperatures(counts, source=source) == []


def test_groups_far_apart_in_temperature_are_reported_by_themselves(
    temperatures: Callable[..., list[str]],
) -> None:
    notes = temperatures({0.0: 3, 1.0: 3, 20.0: 3, 21.0: 2, 30.0: 1})
    assert [note.partition(" bias")[0] for note in notes] == ["6", "6"]
    assert "20 to 30 C" in notes[1]


def test_darks_are_named_by_their_exposure(temperatures: Callable[..., list[str]]) -> None:
    (note,) = temperatures({19.0: 3, 20.0: 9}, "dark", EXPOSURE=120.0)
    assert note.startswith("12 dark frames of 120 s of ATR585M")


def test_only_groups_with_equal_other_keywords_are_combined(
    settings: Settings, make_frame: MakeFrame
) -> None:
    frames = [
        make_frame(
            number=number, keywords=keywords, sources={"SET-TEMP": MEASURED}, path=f"{number}"
        )
        for number, keywords in enumerate(
            [{"SET-TEMP": 19.0, "GAIN": 1}, {"SET-TEMP": 20.0, "GAIN": 2}]
        )
    ]
    assert not [*measured_temperatures(group_frames(frames, settings))]


# --- rows of flats and of what calibrates them ----------------------------------------------------

RECIPE = Recipe("native", 1, Integration(), None, "unit", "xisf")


def job_of(kind: FrameType, *read_as: str, **masters: UsedMaster | None) -> MasterJob:
    """A job of two frames, of which the first counts."""
    files = tuple(
        FrameFile(f"{kind}/{n}.fits", 5760, n, read_as=each) for n, each in enumerate(read_as)
    )
    return MasterJob(f"master_{kind}", kind, {}, Geometry(4, 3), files, {}, RECIPE, **masters)


@pytest.fixture
def notes_on_rows(settings: Settings) -> Callable[..., list[str]]:
    """Notes on bottom-up flats with a bias of a library."""

    def notes_of(bias: Path, read_as: str = "", of_flats: str = BOTTOM_UP) -> list[str]:
        used = UsedMaster(str(bias), "library", "nearest", read_as=read_as)
        flat = job_of(FrameType.FLAT, of_flats, "", bias=used)
        return [*rows_against_each_other({flat.master: flat}, {flat.master: "flats"}, settings)]

    return notes_of


def test_the_rows_of_a_library_master_are_those_of_its_file(
    notes_on_rows: Callable[..., list[str]], tmp_path: Path
) -> None:
    image, gone = np.zeros((3, 4), np.float32), tmp_path / "gone.fits"
    without, named, other = (tmp_path / f"bias.{name}" for name in ("fits", "fit", "xisf"))
    write_master(without, image, [])
    write_master(named, image, [Card("ROWORDER", "TOP-DOWN")])
    write_master(other, image, [])
    (note,) = notes_on_rows(without)
    assert note.startswith("frames of flats say ROWORDER 'BOTTOM-UP'")
    assert f"those of {without} have no ROWORDER" in note
    # XISF files have the top row first, and what cannot be read says nothing.
    for path in (named, other, gone):
        assert notes_on_rows(path) == []
    assert notes_on_rows(without, read_as=f"signed, {BOTTOM_UP}") == []
    assert notes_on_rows(without, of_flats="") == []


def test_flats_with_one_bias_share_a_note(settings: Settings, add_frame: AddFile) -> None:
    add_frame("bias/0.fits", cards={"ROWORDER": None})
    bias = job_of(FrameType.BIAS, "", BOTTOM_UP)
    used = UsedMaster(bias.master, "run", "nearest")
    flat = job_of(FrameType.FLAT, BOTTOM_UP, "", bias=used, dark=None)
    flats = {f"{n}.xisf": replace(flat, name=str(n)) for n in range(3)}
    names = {bias.master: "bias", **{path: f"flat {path[0]}" for path in flats}}
    (note,) = rows_against_each_other({bias.master: bias, **flats}, names, settings)
    assert note.startswith("frames of flat 0 and 2 more say ROWORDER 'BOTTOM-UP'")
    assert "those of bias have no ROWORDER" in note
    (note,) = rows_against_each_other(
        {bias.master: bias, "0.xisf": flats["0.xisf"]}, names, settings
    )
    assert note.startswith("frames of flat 0 say ROWORDER")
