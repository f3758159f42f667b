from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calmasters.frame import Frame, FrameType, Geometry, Value
from calmasters.planning.grouping import Group, group_frames
from calmasters.planning.naming import LONGEST_NAME, name_groups
from calmasters.settings import Settings

MakeFrame = Callable[..., Frame]

#: What a name may consist of, on any system.
SAFE = re.compile(r"master(Bias|Dark|Flat)[A-Za-z0-9 .+_-]*(?<![ .])")


SMALL = Geometry(4, 3)


def group(kind: str = "bias", geometry: Geometry = SMALL, /, **key: str) -> Group:
    return Group(FrameType(kind), tuple(key.items()), geometry, ())


def name(of: Group) -> str:
    (only,) = name_groups([of])
    return only


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (
            "bias",
            "masterBias_INSTRUME-ATR585M_SETTEMP--10.00_GAIN-100_OFFSET-150_READOUTM-Low Noise",
        ),
        (
            "dark",
            "masterDark_EXPOSURE-60.00_INSTRUME-ATR585M_SETTEMP--10.00_GAIN-100_OFFSET-150_"
            "READOUTM-Low Noise",
        ),
        (
            "flat",
            "masterFlat_FILTER-B_INSTRUME-ATR585M_DATE-2026-01-15_SETTEMP--10.00_GAIN-100_"
            "OFFSET-150_READOUTM-Low Noise",
        ),
    ],
)
def test_names_are_those_agreed(
    settings: Settings, make_frame: MakeFrame, kind: str, expected: str
) -> None:
    assert name_groups(group_frames([make_frame(kind)], settings)) == [expected]


@pytest.mark.parametrize(
    ("keywords", "expected"),
    [
        ({"READOUTM": None, "FILTER": None}, "masterDark_EXPOSURE-0.0015_INSTRUME-X_SETTEMP-0.00"),
        (
            {"READOUTM": "a+b 1.5"},
            "masterDark_EXPOSURE-0.0015_INSTRUME-X_SETTEMP-0.00_READOUTM-a+b 1.5",
        ),
    ],
)
def test_what_is_absent_is_left_out_and_other_lists_give_other_names(
    settings: Settings, make_frame: MakeFrame, keywords: Mapping[str, Value | None], expected: str
) -> None:
    lists = {"dark": ("TYPE", "INSTRUME", "READOUTM", "SET-TEMP", "EXPOSURE")}
    other = replace(settings, required_keywords={**settings.required_keywords, **lists})
    own = {"INSTRUME": "X", "SET-TEMP": -0.001, "EXPOSURE": 0.0015, **keywords}
    assert name_groups(group_frames([make_frame("dark", 1, own)], other)) == [expected]


def test_binning_is_in_the_name_where_there_is_some() -> None:
    assert name(group("bias", Geometry(4, 3, 2, 2), GAIN="1")) == "masterBias_GAIN-1_BIN-2x2"
    assert name(group("bias", Geometry(4, 3, 1, 2), GAIN="1")) == "masterBias_GAIN-1_BIN-1x2"


def test_further_keywords_come_last_in_their_order() -> None:
    keys = {"USB-LIMIT": "1", "FILTER": "B", "FOCALLEN": "9"}
    assert name(group(**keys)) == "masterBias_FILTER-B_USBLIMIT-1_FOCALLEN-9"


def test_keywords_of_each_layout_are_in_its_order() -> None:
    keys = {"USB": "1", "READOUTM": "r", "FOCALLEN": "9", "SET-TEMP": "0", "OFFSET": "5"}
    of = group(**keys, GAIN="2", EXPOSURE="3")
    assert name_groups([of]) == [
        "masterBias_EXPOSURE-3_SETTEMP-0_GAIN-2_OFFSET-5_READOUTM-r_USB-1_FOCALLEN-9"
    ]
    assert name_groups([of], "ap-library") == [
        "masterBias_EXPOSURE_3_GAIN_2_OFFSET_5_SETTEMP_0_FOCALLEN_9_READOUTM_r_USB_1"
    ]


def test_what_splits_groups_is_in_the_name() -> None:
    of = replace(group("flat", FILTER="B"), labels=(("FOCALLEN", 400.0),))
    assert name(of).startswith("masterFlat_FILTER-B_FOCALLEN-400")


@pytest.mark.parametrize(
    "value",
    [
        *("SBIG ST-7/7E/7XE", "../../etc/passwd", "..", "C:\\x", "a_b", "a|b", "a<b>", "{name}"),
        *("con?", 'a"b', "Hä", "日本", " x", "x.", "a\nb", "\0", "'", "*", "%", "~"),
    ],
)
def test_what_is_unsafe_becomes_a_dash_and_the_name_ends_in_a_digest(value: str) -> None:
    found = name(group(FILTER=value))
    assert re.fullmatch(r"masterBias_FILTER-[A-Za-z0-9 .+-]*_ID-[0-9a-f]{8}", found)
    assert SAFE.fullmatch(found)


def test_values_that_clean_to_the_same_have_their_own_names() -> None:
    names = name_groups(group(FILTER=value) for value in ("a/b", "a\\b", "a-b", "a_b"))
    assert len(set(names)) == 4
    assert names[2] == "masterBias_FILTER-a-b"


@pytest.mark.parametrize(
    "others",
    [
        [group(FILTER="Ha"), group(FILTER="HA")],
        [group("bias", Geometry(4, 3), GAIN="1"), group("bias", Geometry(8, 6), GAIN="1")],
        [
            group("bias", Geometry(4, 3), GAIN="1"),
            group("bias", Geometry(4, 3, bayerpat="RGGB"), GAIN="1"),
        ],
    ],
    ids=["letter case", "frame size", "Bayer pattern"],
)
def test_two_groups_of_one_name_both_get_a_digest(others: list[Group]) -> None:
    names = name_groups([*others, group(FILTER="B")])
    assert [bool(re.search("_ID-[0-9a-f]{8}$", found)) for found in names] == [True, True, False]
    assert len({found.casefold() for found in names}) == 3


def test_a_name_is_bounded_in_length_and_stays_its_own() -> None:
    names = name_groups(group(FILTER="x" * 300 + end) for end in "ab")
    assert len(set(names)) == 2
    assert {len(found) for found in names} == {LONGEST_NAME}
    assert LONGEST_NAME == 180
    longest = "x" * (180 - len("masterBias_FILTER-"))
    assert name(group(FILTER=longest)) == f"masterBias_FILTER-{longest}"
    assert re.search("_ID-[0-9a-f]{8}$", name(group(FILTER=f"{longest}x")))


def test_folders_do_not_count_in_the_length_of_a_name() -> None:
    (found,) = name_groups([group(INSTRUME="XCam X", FILTER="X" * 300)], "ap-library")
    folder, file = found.split("/")
    assert folder == "XCam X"
    assert len(file) == LONGEST_NAME


def test_a_digest_is_the_same_in_every_run() -> None:
    assert name(group(FILTER="a/b", GAIN="1")) == "masterBias_FILTER-a-b_GAIN-1_ID-d0581c1d"


TEXTS = st.one_of(
    st.text(min_size=1, max_size=6), st.sampled_from(["a/b", "A-B", "a-b", "..", "x" * 300])
)
KEYS = st.dictionaries(
    st.sampled_from(["FILTER", "INSTRUME", "DATE", "GAIN", "A-B", "AB"]), TEXTS, max_size=3
)
GROUPS = st.builds(
    lambda kind, key, geometry: Group(kind, tuple(key.items()), geometry, ()),
    st.sampled_from([FrameType.BIAS, FrameType.DARK, FrameType.FLAT]),
    KEYS,
    st.sampled_from([Geometry(4, 3), Geometry(8, 3), Geometry(4, 3, 2, 2)]),
)


@pytest.mark.parametrize(
    ("kind", "keys", "expected"),
    [
        (
            "bias",
            {"INSTRUME": "ATR585M", "SET-TEMP": "-10.00", "GAIN": "100", "READOUTM": "Low Noise"},
            "ATR585M/masterBias_GAIN_100_SETTEMP_-10.00_READOUTM_Low Noise",
        ),
        (
            "dark",
            {"INSTRUME": "ATR585M", "OFFSET": "150", "EXPOSURE": "300.00"},
            "ATR585M/masterDark_EXPOSURE_300.00_OFFSET_150",
        ),
        (
            "flat",
            {
                "TELESCOP": "SQA55",
                "INSTRUME": "ATR585M",
                "DATE": "2026-01-15",
                "FOCALLEN": "264",
                "FILTER": "B",
                "GAIN": "100",
            },
            "ATR585M/SQA55/DATE_2026-01-15/masterFlat_FILTER_B_GAIN_100_FOCALLEN_264",
        ),
        ("bias", {"GAIN": "100", "USBLIMIT": "50"}, "masterBias_GAIN_100_USBLIMIT_50"),
    ],
)
def test_names_of_the_ap_library_are_those_of_its_tools(
    kind: str, keys: dict[str, str], expected: str
) -> None:
    (found,) = name_groups([group(kind, **keys)], "ap-library")
    assert found == expected


@pytest.mark.parametrize("camera", ["CON", "nul", "Com1", "LPT9", "aux.fits"])
def test_no_folder_is_a_device_on_windows(camera: str) -> None:
    (found,) = name_groups([group("bias", INSTRUME=camera, GAIN="1")], "ap-library")
    assert found.partition("/")[0] == f"{camera}-"


def test_a_folder_that_lost_something_gives_the_name_a_digest() -> None:
    cameras = ("SBIG ST-7/7E", "SBIG ST-7-7E", "x" * 300, "..", "a_b")
    names = name_groups([group(INSTRUME=camera) for camera in cameras], "ap-library")
    folders, files = zip(*(found.split("/") for found in names), strict=True)
    assert folders == ("SBIG ST-7-7E", "SBIG ST-7-7E", "x" * 60, "-", "a-b")
    digests = [bool(re.fullmatch("masterBias_ID-[0-9a-f]{8}", file)) for file in files]
    assert digests == [True, False, True, True, True]


def identity(of: Group) -> Any:
    return of.type, of.key, of.geometry


@given(st.lists(GROUPS, max_size=8, unique_by=identity), st.sampled_from(["by-type", "ap-library"]))
def test_any_groups_have_safe_names_of_their_own(groups: list[Group], layout: str) -> None:
    names = name_groups(groups, layout)
    assert len({found.casefold() for found in names}) == len(groups)
    for found in names:
        *folders, file = found.split("/")
        assert SAFE.fullmatch(file)
        assert len(file) <= LONGEST_NAME
        assert all(re.fullmatch(r"[A-Za-z0-9 .+_-]*[A-Za-z0-9+_-]", folder) for folder in folders)
