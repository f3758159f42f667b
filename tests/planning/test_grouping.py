from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import pytest

from calmasters.frame import Frame, FrameType, Geometry
from calmasters.frame_layout import FrameLayout, FramePart, Section
from calmasters.headers.dialects import MEASURED, read_keywords
from calmasters.planning.grouping import (
    Group,
    find_group,
    group_frames,
    identity,
    mixed_keywords,
)
from calmasters.planning.naming import name_groups
from calmasters.planning.notes import measured_temperatures
from calmasters.settings import HeaderRules, Settings

MakeFrame = Callable[..., Frame]


def values(group: Group) -> dict[str, str]:
    return dict(group.key)


def requiring(settings: Settings, **lists: tuple[str, ...]) -> Settings:
    return replace(settings, required_keywords={**settings.required_keywords, **lists})


# --- what goes together ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "keyword", "value"),
    [
        *(("bias", key, "other") for key in ("INSTRUME", "READOUTM")),
        *(("bias", key, 7) for key in ("SET-TEMP", "GAIN", "OFFSET")),
        ("dark", "EXPOSURE", 5.0),
        ("flat", "FILTER", "Ha"),
        ("flat", "DATE", "2026-01-16"),
    ],
)
def test_frames_that_differ_in_a_required_keyword_make_two_groups(
    settings: Settings, make_frame: MakeFrame, kind: str, keyword: str, value: Any
) -> None:
    frames = [make_frame(kind, 1), make_frame(kind, 2, {keyword: value}), make_frame(kind, 3)]
    groups = group_frames(frames, settings)
    assert sorted(len(group.frames) for group in groups) == [1, 2]
    assert len({values(group)[keyword] for group in groups}) == 2


@pytest.mark.parametrize(
    ("kind", "keyword", "value"),
    [
        ("bias", "FILTER", "Dark"),
        ("bias", "DATE", "2025-01-01"),
        ("dark", "DATE", "2025-01-01"),
        ("bias", "GAIN", 100.0),
        ("bias", "GAIN", "100"),
        ("dark", "EXPOSURE", 60.0000001),
    ],
)
def test_frames_that_differ_in_nothing_required_make_one_group(
    settings: Settings, make_frame: MakeFrame, kind: str, keyword: str, value: Any
) -> None:
    frames = [make_frame(kind, 1), make_frame(kind, 2, {keyword: value})]
    (group,) = group_frames(frames, settings)
    assert len(group.frames) == 2


def test_flats_of_one_twilight_are_one_group_and_darks_of_two_exposures_are_two(
    settings: Settings, make_frame: MakeFrame
) -> None:
    flats = [make_frame("flat", n, {"EXPOSURE": 1.36 + n / 100}) for n in range(34)]
    darks = [make_frame("dark", n, {"EXPOSURE": 1.0 + 4.0 * (n % 2)}) for n in range(6)]
    groups = group_frames(flats + darks, settings)
    assert [(group.type.value, len(group.frames)) for group in groups] == [
        ("dark", 3),
        ("dark", 3),
        ("flat", 34),
    ]


def test_another_list_of_keywords_makes_other_groups(
    settings: Settings, make_frame: MakeFrame
) -> None:
    frames = [make_frame("bias", n, {"GAIN": n % 2, "USBLIMIT": n % 3}) for n in range(6)]
    assert len(group_frames(frames, settings)) == 2
    by_usb = requiring(settings, bias=("TYPE", "USBLIMIT"))
    assert [values(group) for group in group_frames(frames, by_usb)] == [
        {"USBLIMIT": str(n)} for n in range(3)
    ]


@pytest.mark.parametrize(
    "geometry",
    [
        *(Geometry(8, 3), Geometry(4, 6), Geometry(4, 3, 2, 1), Geometry(4, 3, 1, 2)),
        Geometry(4, 3, bayerpat="RGGB"),
    ],
    ids=str,
)
def test_geometry_separates(settings: Settings, make_frame: MakeFrame, geometry: Geometry) -> None:
    frames = [make_frame("flat", 1), make_frame("flat", 2, geometry=geometry)]
    assert {group.geometry for group in group_frames(frames, settings)} == {
        Geometry(4, 3),
        geometry,
    }


@pytest.mark.parametrize("keyword", ["READOUTM", "FILTER"])
def test_the_absence_of_an_optional_keyword_is_a_value_of_its_own(
    settings: Settings, make_frame: MakeFrame, keyword: str
) -> None:
    frames = [make_frame("flat", 1), make_frame("flat", 2, {keyword: None})]
    with_it, without = sorted(map(values, group_frames(frames, settings)), key=len, reverse=True)
    assert set(with_it) - set(without) == {keyword}


def test_a_group_keeps_the_types_and_the_order_of_its_keywords(
    settings: Settings, make_frame: MakeFrame
) -> None:
    (group,) = group_frames([make_frame("dark")], settings)
    assert list(group.keywords.items()) == [
        ("INSTRUME", "ATR585M"),
        ("SET-TEMP", -10.0),
        ("GAIN", 100),
        ("OFFSET", 150),
        ("READOUTM", "Low Noise"),
        ("EXPOSURE", 60.0),
    ]


def test_frames_are_in_order_of_time_then_of_path_those_without_a_time_last(
    settings: Settings, make_frame: MakeFrame
) -> None:
    times = {"d": None, "c": "2026-01-15T21:00:02", "b": "2026-01-15T21:00:01.5", "a": None}
    times |= {"f": "2026-01-15T21:00:02"}
    frames = [make_frame(path=path, date_obs=time) for path, time in times.items()]
    (group,) = group_frames(frames, settings)
    assert [frame.path for frame in group.frames] == ["b", "c", "f", "a", "d"]


def test_groups_do_not_depend_on_the_order_of_frames(
    settings: Settings, make_frame: MakeFrame
) -> None:
    frames = [
        make_frame(kind, n, {"GAIN": n % 3}) for kind in ("flat", "dark", "bias") for n in range(6)
    ]
    groups = group_frames(frames, settings)
    assert group_frames(reversed(frames), settings) == groups
    assert [group.type for group in groups] == [FrameType.BIAS] * 3 + [FrameType.DARK] * 3 + [
        FrameType.FLAT
    ] * 3


def test_a_keyword_made_optional_may_be_lacking(settings: Settings, make_frame: MakeFrame) -> None:
    frame = make_frame(keywords={"GAIN": None, "OFFSET": None})
    optional = replace(settings, optional_keywords=("GAIN", "OFFSET"))
    (group,) = group_frames([frame], optional)
    assert "GAIN" not in values(group)


def test_jitter_does_not_split_groups_and_names_stay_when_frames_arrive(
    settings: Settings, make_frame: Callable[..., Frame]
) -> None:
    rules = HeaderRules(round={"SET-TEMP": 0.5, "EXPOSURE": 0.05})

    def frame(number: int, temperature: float, exposure: float) -> Frame:
        cards = {"SET-TEMP": temperature, "EXPTIME": exposure}
        found = read_keywords(cards, PurePosixPath("x.fits"), rules).traits.keywords
        return make_frame("dark", number, found)

    early = [frame(1, -10.0, 300.0), frame(2, -9.9, 300.01)]
    late = [frame(3, -10.2, 299.98), frame(4, -10.24, 300.02)]
    (before,), (after,) = group_frames(early, settings), group_frames(early + late, settings)
    assert name_groups([before]) == name_groups([after])
    assert len(after.frames) == 4
    assert dict(after.key)["SET-TEMP"] == "-10.00"


# --- uncooled cameras -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("temperatures_c", "near", "remedy"),
    [
        ((18, 19, 20), 3, "set round: {SET-TEMP: 5}"),
        ((19, 20), 2, "set round: {SET-TEMP: 2}"),
        ((-10, 5, 6), 2, "set round: {SET-TEMP: 5}"),
        ((8, 15, 22), 3, "name their folder SET-TEMP_15"),  # no step makes them equal
    ],
)
def test_darks_split_by_the_temperature_of_the_sensor_are_reported_with_the_setting(
    settings: Settings,
    make_frame: MakeFrame,
    temperatures_c: tuple[float, ...],
    near: int,
    remedy: str,
) -> None:
    frames = [
        make_frame("dark", number, {"SET-TEMP": temperature}, sources={"SET-TEMP": MEASURED})
        for number, temperature in enumerate(temperatures_c * 4)
    ]
    (sentence,) = measured_temperatures(group_frames(frames, settings))
    assert f"are in {near} groups by the temperature of the sensor" in sentence
    assert sentence.endswith(remedy)


@pytest.mark.parametrize(("source", "count"), [({}, 4), ({"SET-TEMP": MEASURED}, 10)])
def test_set_points_and_large_groups_are_not_reported(
    settings: Settings, make_frame: MakeFrame, source: dict[str, str], count: int
) -> None:
    frames = [
        make_frame("dark", number, {"SET-TEMP": temperature}, sources=source)
        for number, temperature in enumerate((-10.0, -20.0) * count)
    ]
    assert not [*measured_temperatures(group_frames(frames, settings))]


# --- what a group leaves out, and what it says ----------------------------------------------------


@pytest.mark.parametrize(
    ("has_8_bits", "used", "of_group"),
    [((True, False, True), [2], False), ((True, True, True), [1, 2, 3], True)],
)
def test_frames_of_8_bits_are_left_out_where_others_are_finer(
    settings: Settings,
    make_frame: MakeFrame,
    has_8_bits: tuple[bool, ...],
    used: list[int],
    of_group: bool,
) -> None:
    frames = [make_frame(number=i, has_8_bits=each) for i, each in enumerate(has_8_bits, start=1)]
    (group,) = group_frames(frames, settings)
    assert [frame.path for frame in group.frames] == [f"bias/{each:04d}.fits" for each in used]
    assert group.has_8_bits == of_group


def cut(left: int) -> Geometry:
    part = FramePart(Section(left, left + 4, 0, 3))
    return Geometry(4, 3, layout=FrameLayout.of(4, 3, [part]))


@pytest.mark.parametrize(
    ("lefts", "used"), [((1, 2, 2), [2, 3]), ((1, 1, 2), [1, 2]), ((2, 1, 1, 2), [1, 4])]
)
def test_of_several_layouts_that_of_most_frames_is_used_of_equals_the_first(
    settings: Settings, make_frame: MakeFrame, lefts: tuple[int, ...], used: list[int]
) -> None:
    frames = [make_frame(number=i, geometry=cut(left)) for i, left in enumerate(lefts, start=1)]
    (group,) = group_frames(reversed(frames), settings)
    assert [frame.path for frame in group.frames] == [f"bias/{each:04d}.fits" for each in used]
    assert group.geometry == cut(lefts[used[0] - 1])
    assert group.identity == (FrameType.BIAS, group.key, Geometry(4, 3))


def test_the_position_of_a_group_is_that_of_the_frames_that_have_one(
    settings: Settings, make_frame: MakeFrame
) -> None:
    places = [Geometry(4, 3), Geometry(4, 3, xorigin=8, yorigin=0), Geometry(4, 3)]
    frames = [make_frame(number=i, geometry=place) for i, place in enumerate(places)]
    (group,) = group_frames(frames, settings)
    assert group.geometry == places[1]
    assert group.unsplit.geometry == Geometry(4, 3)
    assert group.unsplit.labels == ()


def test_a_group_tells_the_different_pedestals_of_its_frames(
    settings: Settings, make_frame: MakeFrame
) -> None:
    frames = [make_frame(number=i, pedestal_adu=p) for i, p in enumerate((100.0, 0.0, 100.0))]
    (group,) = group_frames(frames, settings)
    assert group.pedestals_adu == [0.0, 100.0]


FOCAL_LENGTHS = {"FOCALLEN": 400.0}, {"FOCALLEN": 800.0}


def test_flats_of_two_telescopes_are_split_if_configured_and_found_again(
    settings: Settings, make_frame: MakeFrame
) -> None:
    frames = [make_frame("flat", i, FOCAL_LENGTHS[i % 2]) for i in range(4)]
    groups = group_frames(frames, settings)
    assert [group.labels for group in groups] == [
        (("FOCALLEN", 400.0),),
        (("FOCALLEN", 800.0),),
    ]
    assert [len(group.frames) for group in groups] == [2, 2]
    assert [mixed_keywords(group) for group in groups] == [[], []]
    (mixed,) = group_frames(frames, replace(settings, mixed="warn"))
    assert len(mixed.frames) == 4
    assert mixed_keywords(mixed) == ["FOCALLEN"]
    alike = {"all": mixed, "short": groups[0], "long": groups[1]}
    found = [find_group(frame.traits, alike) for frame in frames]
    assert found == ["short", "long", "short", "long"]
    third = make_frame("flat", 9, {"FOCALLEN": 1200.0}).traits
    assert find_group(third, alike) == "all"
    assert find_group(third, {"short": groups[0]}) == ""


def test_biases_of_two_cameras_of_one_model_are_mixed(
    settings: Settings, make_frame: MakeFrame
) -> None:
    for cameras, mixed in ((("a", "b"), ["CAMERAID"]), (("a", "a"), [])):
        frames = [make_frame(number=i, keywords={"CAMERAID": c}) for i, c in enumerate(cameras)]
        (group,) = group_frames(frames, settings)
        assert mixed_keywords(group) == mixed


def test_a_light_a_master_and_a_frame_without_a_size_belong_to_no_group(
    settings: Settings, make_frame: MakeFrame
) -> None:
    assert identity(make_frame("bias").traits, settings) is not None
    for others in (
        make_frame("light"),
        make_frame("bias", master="calmasters"),
        make_frame("bias", geometry=None),
        make_frame("bias", keywords={"GAIN": None}),
    ):
        assert identity(others.traits, settings) is None


@pytest.mark.parametrize("others", [[], ["Other"]])
def test_a_split_has_the_name_that_its_first_frame_has(
    settings: Settings, make_frame: MakeFrame, others: list[str]
) -> None:
    flats = [
        ("newton 200", "2026-01-15T21:00:01"),
        ("Newton_200", "2026-01-15T21:00:09"),
        *((name, "2026-01-15T21:00:00") for name in ("Refractor", *others)),
        ("Newton_200", "2026-01-15T20:00:00"),
    ]
    frames = [
        make_frame("flat", i, {"TELESCOP": name}, date_obs=time)
        for i, (name, time) in enumerate(flats)
    ]
    labels = [dict(group.labels)["TELESCOP"] for group in group_frames(frames, settings)]
    assert labels == ["Newton_200", *others, "Refractor"]
    (alone,) = group_frames([frames[0], frames[1], frames[-1]], settings)
    assert alone.labels == ()
