"""Frames that are not averaged although their required keywords are equal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from calmasters.frame import Frame, Geometry, Status, Value
from calmasters.model.job import MasterJob
from calmasters.model.layout import ORPHANS
from calmasters.model.master_record import MasterRecord, header_cards
from calmasters.planning.checkpoint import refresh_plan
from calmasters.planning.grouping import find_group, group_frames
from calmasters.planning.naming import name_groups
from calmasters.planning.planner import decide
from calmasters.planning.short_names import short_names
from calmasters.planning.splitting import ORIGIN, SPLITTING, belongs
from calmasters.settings import Settings

MakeFrame = Callable[..., Frame]
AddFlats = Callable[..., list[Path]]

FLAT = (
    "masterFlat_FILTER-B_INSTRUME-ATR585M_DATE-2026-01-15_SETTEMP--10.00_GAIN-100_OFFSET-150_"
    "READOUTM-Low Noise"
)


@pytest.fixture
def names(settings: Settings, make_frame: MakeFrame) -> Callable[..., list[str]]:
    """Names of the masters of flats with these keywords, without what all have."""

    def names_of(*keywords: Mapping[str, Value], mixed: str = "split") -> list[str]:
        frames = [make_frame("flat", number, each) for number, each in enumerate(keywords)]
        groups = group_frames(frames, replace(settings, mixed=mixed))
        assert sum(len(group.frames) for group in groups) == len(frames)
        return [name.removeprefix(FLAT) for name in name_groups(groups)]

    return names_of


@pytest.mark.parametrize(
    ("keyword", "values", "expected"),
    [
        ("TELESCOP", ["Newton", "Refractor"], ["_TELESCOP-Newton", "_TELESCOP-Refractor"]),
        ("TELESCOP", ["RC 8", "rc_8"], [""]),
        ("CAMERAID", ["left", "right"], ["_CAMERAID-left", "_CAMERAID-right"]),
        (
            "FLATKIND",
            ["dome", "sky", "panel"],
            [f"_FLATKIND-{x}" for x in ("dome", "panel", "sky")],
        ),
        ("FOCALLEN", [800, 640], ["_FOCALLEN-640", "_FOCALLEN-800"]),
        ("FOCALLEN", [500, 510], [""]),
        ("FOCALLEN", [0, 500], [""]),
        ("FOCALLEN", [1, 500], ["_FOCALLEN-1", "_FOCALLEN-500"]),
        ("FOCALLEN", [500, 511], ["_FOCALLEN-500", "_FOCALLEN-511"]),
        ("ROTATOR", [90.2, 270.4], ["_ROTATOR-90", "_ROTATOR-270"]),
        ("ROTATOR", [359.2, 1.1], [""]),
        ("ROTATOR", [359.7, 179.0, 1.0], ["_ROTATOR-0", "_ROTATOR-179"]),
        ("ROTATOR", [0.5, 1.0, 90.0, 359.5], ["_ROTATOR-0", "_ROTATOR-90"]),
        ("ROTATOR", [-90.0, 0.0], ["_ROTATOR-0", "_ROTATOR-270"]),
        ("ROTATOR", [1.0, 90.0, 91.0, 180.0], [f"_ROTATOR-{x}" for x in (1, 90, 180)]),
        ("ROTATOR", [10.0, 12.0], [""]),
        ("ROTATOR", [10.0, 11.5, 13.0], ["_ROTATOR-10", "_ROTATOR-13"]),
        ("ROTATOR", [11.9, 10.0, 12.1], ["_ROTATOR-10", "_ROTATOR-12"]),
        ("ROTATOR", [10.0, 12.1], ["_ROTATOR-10", "_ROTATOR-12"]),
        ("GRATING", ["Grism 7", "none"], ["_GRATING-Grism 7", "_GRATING-none"]),
        ("GRATING", [600, 1200], ["_GRATING-600", "_GRATING-1200"]),
        ("SLIT", ["1.0 arcsec", "1.0  ARCSEC"], [""]),
        ("SLIT", [1.0003, 1.0004], [""]),
    ],
)
def test_flats_that_differ_in_a_distinguishing_keyword_have_it_in_their_names(
    names: Callable[..., list[str]], keyword: str, values: Sequence[Value], expected: list[str]
) -> None:
    assert names(*({keyword: value} for value in values)) == expected


def test_one_keyword_is_in_the_names_where_several_differ(
    names: Callable[..., list[str]],
) -> None:
    newton, refractor = {"TELESCOP": "N", "FOCALLEN": 800}, {"TELESCOP": "R", "FOCALLEN": 400}
    assert names(newton, refractor) == ["_TELESCOP-N", "_TELESCOP-R"]
    reduced = {"TELESCOP": "R", "FOCALLEN": 320}
    assert names(newton, refractor, reduced) == [
        "_TELESCOP-N",
        "_TELESCOP-R_FOCALLEN-320",
        "_TELESCOP-R_FOCALLEN-400",
    ]


@pytest.mark.parametrize("absent", [{}, {"TELESCOP": "Unknown"}, {"FOCALLEN": 0}])
def test_flats_without_a_value_join_the_only_value_or_are_on_their_own(
    names: Callable[..., list[str]], absent: dict[str, Value]
) -> None:
    newton, refractor = {"TELESCOP": "N"}, {"TELESCOP": "R"}
    assert names(newton, absent) == [""]
    assert names(newton, refractor, absent) == ["_TELESCOP-N", "_TELESCOP-R", ""]


def test_mixed_flats_are_averaged_where_the_configuration_says_so(
    names: Callable[..., list[str]],
) -> None:
    assert names({"FLATKIND": "dome"}, {"FLATKIND": "sky"}, mixed="warn") == [""]


@pytest.mark.parametrize("kind", ["bias", "dark", "flat"])
def test_subframes_of_other_places_make_masters_of_their_own(
    settings: Settings, make_frame: MakeFrame, kind: str
) -> None:
    places = [(0, 0), (0, 0), (1000, 0), (1000, 500)]
    frames = [
        make_frame(kind, number, geometry=Geometry(4, 3, 1, 1, None, x, y))
        for number, (x, y) in enumerate(places)
    ]
    groups = group_frames(frames, replace(settings, mixed="warn"))
    assert [group.geometry.origin for group in groups] == [(0, 0), (1000, 0), (1000, 500)]
    endings = [name.rpartition("Low Noise")[2] for name in name_groups(groups)]
    first = "_XORGSUBF-1000_YORGSUBF"
    assert endings == ["_XORGSUBF-0", f"{first}-0", f"{first}-500"]
    assert len(set(short_names(groups))) == 3


def test_a_single_place_is_not_in_the_name(settings: Settings, make_frame: MakeFrame) -> None:
    plain, placed = make_frame("dark"), make_frame("dark", 2, geometry=Geometry(4, 3, xorigin=70))
    (group,) = group_frames([plain, placed], settings)
    assert group.geometry.origin == (70, 0)
    assert name_groups([group]) == name_groups(group_frames([plain], settings))


def test_a_frame_that_is_not_used_belongs_to_the_group_with_its_value(
    settings: Settings, make_frame: MakeFrame
) -> None:
    frames = [make_frame("flat", n, {"ROTATOR": angle}) for n, angle in enumerate((10.0, 90.0))]
    groups = dict(zip("ab", group_frames(frames, settings), strict=True))
    damaged = make_frame("flat", 7, {"ROTATOR": 91.0}).traits
    assert find_group(damaged, groups) == "b"
    assert find_group(make_frame("flat", 8, {"ROTATOR": 45.0}).traits, groups) == ""


# --- plans ----------------------------------------------------------------------------------------


@pytest.fixture
def add_flats(add_frame: Callable[..., Path]) -> AddFlats:
    def add(folder: str, count: int = 3, **cards: Any) -> list[Path]:
        return [
            add_frame(
                f"{folder}/{number}.fits",
                "flat",
                {"DATE-OBS": f"2026-01-15T20:00:{number:02d}", "TELESCOP": None, **cards},
            )
            for number in range(count)
        ]

    return add


def test_masters_of_plain_flats_are_as_before_these_keywords_were_read(
    settings: Settings, add_flats: AddFlats, add_frame: Callable[..., Path]
) -> None:
    add_flats("a", TELESCOP="Newton", FOCALLEN=800)
    (before,) = decide(settings).jobs
    for number, path in enumerate(add_flats("a", TELESCOP="Newton", FOCALLEN=800)):
        status = path.stat()
        more = {
            "ROTATOR": 90.0 + number / 7,
            "CAMERAID": "a",
            "IMAGETYP": "Sky Flat",
            "XORGSUBF": 9,
        }
        cards = {"DATE-OBS": f"2026-01-15T20:00:0{number}", "TELESCOP": "Newton", "FOCALLEN": 800}
        add_frame(f"a/{path.name}", "flat", cards | more)
        assert path.stat().st_size == status.st_size
    (after,) = decide(settings).jobs
    unchanged = replace(after, frames=before.frames)
    assert (unchanged.name, unchanged.digest) == (before.name, before.digest)


def test_a_master_superseded_by_a_split_moves_to_orphans(
    settings: Settings, add_flats: AddFlats, write_record: Callable[..., MasterRecord]
) -> None:
    add_flats("newton", TELESCOP="Newton")
    (job,) = refresh_plan(settings).jobs
    old = settings.output_dir / job.master
    write_record(job, old)
    add_flats("refractor", TELESCOP="Refractor")
    preview = decide(settings)
    assert preview.superseded == (job.master,)
    assert old.is_file()
    decision = refresh_plan(settings)
    assert not old.exists()
    moved = settings.output_dir / ORPHANS / job.master
    assert moved.is_file()
    assert moved.with_suffix(".json").is_file()
    (note,) = decision.warnings
    assert f"{FLAT} was made of frames that make several masters now" in note
    assert decide(settings).superseded == ()


def test_a_group_that_a_split_makes_too_small_is_named_with_the_setting(
    settings: Settings, add_flats: AddFlats
) -> None:
    add_flats("dome", IMAGETYP="Dome Flat")
    add_flats("sky", 2, IMAGETYP="Sky Flat")
    decision = decide(settings)
    (group,) = decision.not_made
    assert group.short_name.endswith("sky")
    assert "differ in FLATKIND (mixed: warn)" in group.reason
    assert decision.verdicts["sky/0.fits"].status is Status.REFUSED


def test_the_header_of_a_master_has_what_distinguishes_it(
    settings: Settings, add_flats: AddFlats
) -> None:
    add_flats("a", ROTATOR=10.0, XORGSUBF=0)
    add_flats("b", ROTATANG=100.2, XORGSUBF=0)
    add_flats("c", ROTATANG=100.2, XORGSUBF=32, YORGSUBF=8)
    jobs = decide(settings).jobs

    def values(job: MasterJob) -> dict[str, object]:
        wanted = {*ORIGIN, "ROTATOR"}
        return {card.keyword: card.value for card in header_cards(job) if card.keyword in wanted}

    assert [*map(values, jobs)] == [
        {"ROTATOR": 10},
        {"ROTATOR": 100},
        {"XORGSUBF": 32, "YORGSUBF": 8},
    ]
    again = [MasterJob.from_json(job.to_json()) for job in jobs]
    assert [job.geometry.origin for job in again] == [(0, 0), (0, 0), (32, 8)]


def test_flats_take_the_dark_of_their_own_place(
    settings: Settings, add_flats: AddFlats, add_frame: Callable[..., Path]
) -> None:
    for place in (0, 640):
        add_flats(f"flat{place}", XORGSUBF=place)
        for kind, number in ((kind, number) for kind in ("bias", "dark") for number in range(3)):
            add_frame(f"{kind}{place}/{number}.fits", kind, {"XORGSUBF": place})
    flats = [job for job in decide(settings).jobs if job.type == "flat"]
    used = [(job.bias, job.dark) for job in flats]
    for place, masters in zip((0, 640), used, strict=True):
        assert all(each and f"XORGSUBF-{place}" in each.path for each in masters)


@pytest.mark.parametrize("keyword", SPLITTING["flat"])  # type: ignore[index]
def test_averaged_flats_that_differ_are_reported(
    make_settings: Callable[..., Settings], add_flats: AddFlats, keyword: str
) -> None:
    values: dict[str, tuple[Value, Value]] = {
        "TELESCOP": ("A", "B"),
        "FOCALLEN": (300, 400),
        "CAMERAID": ("1", "2"),
        "ROTATOR": (10.0, 20.0),
        "GRATING": (600, 1200),
        "SLIT": ("long", "mask 1"),
        "FLATKIND": ("dflat", "sflat"),
    }
    card = "IMAGETYP" if keyword == "FLATKIND" else keyword
    for folder, value in zip("ab", values[keyword], strict=True):
        add_flats(folder, **{card: value})
    (note,) = decide(make_settings(mixed="warn")).warnings
    assert f"differ in {keyword}" in note
    assert "mixed: split" in note


def test_darks_of_two_cameras_of_one_model_are_reported(
    settings: Settings, add_frame: Callable[..., Path]
) -> None:
    for camera in ("east", "west"):
        for number in range(2):
            add_frame(f"{camera}/{number}.fits", "dark", {"CAMERAID": camera})
    (note,) = decide(settings).warnings
    assert "differ in CAMERAID" in note
    assert "required_keywords" in note


# --- exposures ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exposures", "text"),
    [
        ([2.0] * 4 + [4.0] * 4, "2 s (4 frames) and 4 s (4 frames)"),
        ([1.0, 1.1, 9.0, 9.5, 10.0], "1 to 1.1 s (2 frames) and 9 to 10 s (3 frames)"),
        ([1.0, 1.5, 2.2, 3.3, 5.0, 7.4], ""),
        ([2.0] * 5 + [20.0], ""),
        ([2.0, 2.1, 2.2, 2.3], ""),
    ],
    ids=["two lamps", "two ranges", "twilight", "one outlier", "jitter"],
)
def test_flats_of_two_exposures_are_reported(
    settings: Settings, add_flats: AddFlats, exposures: list[float], text: str
) -> None:
    for number, exposure in enumerate(exposures):
        add_flats(f"{number}", 1, EXPTIME=exposure, EXPOSURE=exposure)
    notes = decide(settings).warnings
    assert [text in note for note in notes] == [True] * bool(text)
    if text:
        assert "add EXPOSURE to required_keywords.flat" in notes[0]


def test_the_keyword_that_separates_two_exposures_is_named(
    make_settings: Callable[..., Settings], add_flats: AddFlats
) -> None:
    for lamp, exposure in (("halogen", 2.0), ("led", 8.0)):
        add_flats(lamp, EXPTIME=exposure, EXPOSURE=exposure, LAMP=lamp)
    settings = make_settings(optional_keywords=["READOUTM", "FILTER", "LAMP"])
    (note,) = decide(settings).warnings
    assert "add LAMP to required_keywords.flat" in note


@pytest.mark.parametrize(
    ("keywords", "is_one"),
    [
        ({"TELESCOP": "N", "FOCALLEN": 800}, True),
        ({"TELESCOP": "n", "FOCALLEN": 816}, True),
        ({"TELESCOP": "N"}, True),
        ({}, True),
        ({"TELESCOP": "N", "FOCALLEN": 400}, False),
        ({"TELESCOP": "R", "FOCALLEN": 800}, False),
    ],
)
def test_a_frame_belongs_to_a_group_if_all_its_values_are_alike(
    make_frame: MakeFrame, keywords: dict[str, Value], is_one: bool
) -> None:
    traits = make_frame("flat", keywords=keywords).traits
    assert belongs(traits, (("TELESCOP", "N"), ("FOCALLEN", 800))) is is_one
    assert belongs(traits, ())
