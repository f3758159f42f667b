from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from calmasters.frame import Frame, FrameType, Geometry, Value
from calmasters.frame_layout import FrameLayout, FramePart, Section
from calmasters.model.master_warning import WarningKind
from calmasters.planning.grouping import Group, group_frames
from calmasters.planning.matching import (
    Candidate,
    Match,
    candidate_of,
    match_darks,
    match_flats,
)
from calmasters.settings import Settings

MakeFrame = Callable[..., Frame]
Flats = Callable[..., Group]
Matched = Callable[..., Match]

SAME: Mapping[str, Value] = {
    "INSTRUME": "ATR585M",
    "SET-TEMP": -10.0,
    "GAIN": 100,
    "OFFSET": 150,
    "READOUTM": "Low Noise",
}


def master(kind: str, path: str, /, origin: str = "library", **fields: Any) -> Candidate:
    """A master that matches the flats, but for the keywords given."""
    keywords = {**SAME, **fields.pop("keywords", {})}
    known = {key: value for key, value in keywords.items() if value is not None}
    candidate = Candidate(FrameType(kind), path, origin, known, Geometry(4, 3))
    return replace(candidate, **fields)


def bias(path: str = "bias.xisf", /, **fields: Any) -> Candidate:
    return master("bias", path, **fields)


def dark(exposure_s: float | None, path: str = "", /, **fields: Any) -> Candidate:
    keywords = {"EXPOSURE": exposure_s, **fields.pop("keywords", {})}
    return master("dark", path or f"dark{exposure_s}.xisf", keywords=keywords, **fields)


@pytest.fixture
def flats(settings: Settings, make_frame: MakeFrame) -> Flats:
    """A group of flats of some exposures."""

    def make(*exposures_s: float | None, **fields: Any) -> Group:
        keywords = fields.pop("keywords", {})
        frames = [
            make_frame("flat", number, {"EXPOSURE": exposure, **keywords}, **fields)
            for number, exposure in enumerate(exposures_s or (1.4, 1.5, 1.9))
        ]
        (group,) = group_frames(frames, settings)
        return group

    return make


@pytest.fixture
def matched(settings: Settings, flats: Flats) -> Matched:
    def match(
        candidates: Sequence[Candidate], group: Group | None = None, **overrides: Any
    ) -> Match:
        (match,) = match_flats([group or flats()], candidates, replace(settings, **overrides))
        return match

    return match


def texts_of(match: Match) -> tuple[str, ...]:
    assert all(warning.kind is WarningKind.CALIBRATION for warning in match.warnings)
    return tuple(warning.text for warning in match.warnings)


def dark_of(match: Match) -> str:
    assert match.dark is not None, match.warnings
    return match.dark.path


def bias_of(match: Match) -> str:
    assert match.bias is not None, match.warnings
    return match.bias.path


# --- samples of 8 bits ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of_flats", "of_master", "is_used"),
    [
        (False, True, False),
        (True, False, False),
        (True, True, True),
        (False, False, True),
        (True, None, True),
        (False, None, True),
    ],
)
def test_masters_of_8_bits_are_used_for_flats_of_8_bits(
    matched: Matched, flats: Flats, of_flats: bool, of_master: bool | None, is_used: bool
) -> None:
    group = flats(has_8_bits=of_flats)
    offered = [bias(has_8_bits=of_master), dark(1.5, has_8_bits=of_master)]
    match = matched(offered, group)
    assert (match.bias is not None, match.dark is not None) == (is_used, is_used)
    texts = [warning.text for warning in match.warnings]
    expected = "more against 8 bits" if of_flats else "8 bits against more"
    assert any(f"bias, has samples of {expected}" in text for text in texts) != is_used
    assert any(f"dark1.5, has samples of {expected}" in text for text in texts) != is_used


# --- darks by exposure ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exposures", "chosen", "why"),
    [
        ([0.9, 60.0, 1.7], 1.7, "exposure 1.7 s within 0.5 s of the flats' 1.5 s"),
        ([0.3, 2.0], 2.0, "exposure 2 s within 0.5 s of the flats' 1.5 s"),
        ([60.0, 0.3, 0.9], 0.9, "longest exposure (0.9 s) not above the flats' 1.4 s"),
        ([60.0, 2.1, 300.0], 2.1, "nearest exposure (2.1 s) above the flats' 1.4 s"),
    ],
    ids=["dark-flat", "at the tolerance", "longest below", "nearest above"],
)
def test_a_dark_is_chosen_by_its_exposure(
    matched: Matched, exposures: list[float], chosen: float, why: str
) -> None:
    match = matched([bias(), *map(dark, exposures)])
    assert dark_of(match) == f"dark{chosen}.xisf"
    assert match.dark is not None
    assert match.dark.why.startswith(why)
    assert match.warnings == ()


def test_the_tolerance_is_taken_about_the_median_and_the_rest_about_the_shortest(
    matched: Matched, flats: Flats
) -> None:
    group = flats(1.0, 5.0, 5.1)
    darks = [bias(), dark(1.0), dark(3.0), dark(0.5)]
    assert dark_of(matched(darks, group)) == "dark1.0.xisf"
    assert dark_of(matched(darks, group, flat_dark_tolerance_s=2.0)) == "dark3.0.xisf"


def test_of_dark_flats_the_newest_is_taken(matched: Matched) -> None:
    dated = {1.5: "2025-01-01T20:00:00", 1.9: "2026-01-01T20:00:00"}
    darks = [dark(exposure, date_obs=date) for exposure, date in dated.items()]
    assert dark_of(matched([bias(), *darks])) == "dark1.9.xisf"


@pytest.mark.parametrize("darks", [[], [dark(None)], [dark(60.0), dark(None)]])
def test_a_dark_without_an_exposure_is_never_taken(
    matched: Matched, darks: list[Candidate]
) -> None:
    match = matched([bias(), *darks])
    if len(darks) == 2:
        assert dark_of(match) == "dark60.0.xisf"
    else:
        assert match.dark is None
        expected = "no dark used: the darks that match have no EXPOSURE" if darks else "none at all"
        assert expected in texts_of(match)[0]


def test_flats_without_an_exposure_get_no_dark(matched: Matched, flats: Flats) -> None:
    match = matched([bias(), dark(1.5)], flats(None, None))
    assert (match.dark, texts_of(match)) == (None, ("no dark used: the flats have no EXPOSURE",))


# --- equals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [bias, lambda path, **rest: dark(1.5, path, **rest)])
def test_of_equals_this_run_comes_first_then_kept_then_library_then_the_newest_then_by_path(
    matched: Matched, make: Callable[..., Candidate]
) -> None:
    order = [
        make("z1", origin="run"),
        make("z2", origin="kept", date_obs="2026-01-01T20:00:00"),
        make("z3", origin="kept"),
        make("d", origin="library", date_obs="2026-01-01T20:00:00"),
        make("c", origin="library", date_obs="2025-12-31T20:00:00"),
        make("a", origin="library"),
        make("b", origin="library"),
    ]
    while order:
        match = matched([bias("own"), *reversed(order)] if order[0].exposure_s else order[::-1])
        found = match.dark if order[0].exposure_s else match.bias
        assert found is not None
        assert (found.path, found.origin) == (order[0].path, order[0].origin)
        order.pop(0)


def test_exposure_counts_more_than_origin(matched: Matched) -> None:
    assert dark_of(matched([bias(), dark(60.0, origin="run"), dark(1.5)])) == "dark1.5.xisf"


def test_the_reason_names_the_rule_the_place_and_the_choice(matched: Matched) -> None:
    match = matched([bias(origin="kept"), dark(1.5, "a"), dark(1.5, "b")])
    assert match.bias is not None
    assert match.dark is not None
    assert match.bias.why == "same settings; kept in output_dir"
    assert match.dark.why == (
        "exposure 1.5 s within 0.5 s of the flats' 1.5 s; library, chosen among 2"
    )


# --- with and without a bias ----------------------------------------------------------------------


def test_a_dark_is_optimized_where_there_is_a_bias_and_the_configuration_says_so(
    matched: Matched, settings: Settings
) -> None:
    never = {"flat": replace(settings.calibration["flat"], optimizeDarks=False)}
    assert matched([bias(), dark(60.0)]).optimize_dark
    assert not matched([bias(), dark(1.5)], calibration=never).optimize_dark
    assert not matched([bias()]).optimize_dark


def test_an_unscaled_dark_of_another_exposure_is_not_used_and_the_plan_says_so(
    matched: Matched, settings: Settings
) -> None:
    never = {"flat": replace(settings.calibration["flat"], optimizeDarks=False)}
    for exposure_s in (0.5, 2.5, 300.0):
        match = matched([bias(), dark(exposure_s)], calibration=never)
        assert (match.dark, match.optimize_dark) == (None, False)
        assert texts_of(match) == (
            "no dark used: with optimizeDarks: false only a dark within 0.5 s of the flats' 1.5 s "
            f"serves, the nearest has {exposure_s:g} s: take darks of 1.5 s",
        )
    match = matched([bias(), dark(300.0), dark(1.2)], calibration=never)
    assert (dark_of(match), texts_of(match)) == ("dark1.2.xisf", ())


def test_the_exposure_of_the_dark_is_kept_to_judge_its_factor(matched: Matched) -> None:
    assert matched([bias(), dark(60.0)]).dark.exposure_s == 60.0


def test_without_a_bias_a_dark_of_the_flats_exposure_is_used_unscaled(matched: Matched) -> None:
    match = matched([dark(1.9), dark(60.0)])
    assert dark_of(match) == "dark1.9.xisf"
    assert (match.bias, match.optimize_dark) == (None, False)
    assert texts_of(match) == ()


def test_a_bias_that_does_not_match_is_not_lacking_beside_a_dark_of_the_flats_exposure(
    matched: Matched,
) -> None:
    match = matched([dark(1.9), bias(keywords={"GAIN": 99})])
    assert (match.bias, dark_of(match)) == (None, "dark1.9.xisf")
    assert texts_of(match) == ()


def test_without_a_bias_no_other_dark_is_used_and_the_plan_says_so(matched: Matched) -> None:
    match = matched([dark(60.0)])
    assert (match.bias, match.dark, match.optimize_dark) == (None, None, False)
    assert texts_of(match) == (
        "no dark used: without a bias master only a dark within 0.5 s of the flats' 1.5 s serves, "
        "the nearest has 60 s: take darks of 1.5 s",
        "no bias master: there is none at all",
        "the flats are integrated uncalibrated",
    )


def test_without_any_master_flats_are_integrated_uncalibrated_and_the_plan_says_so(
    matched: Matched,
) -> None:
    assert texts_of(matched([])) == (
        "no bias master: there is none at all",
        "no dark master: there is none at all",
        "the flats are integrated uncalibrated",
    )


# --- what must be equal ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keywords", "miss"),
    [
        ({"GAIN": 99}, "GAIN 99 against 100"),
        ({"SET-TEMP": -5}, "SET-TEMP -5.00 against -10.00"),
        (
            {"INSTRUME": "other", "OFFSET": 1},
            "INSTRUME other against ATR585M, OFFSET 1 against 150",
        ),
        ({"READOUTM": None}, "READOUTM absent against Low Noise"),
    ],
)
def test_the_nearest_miss_is_named(
    matched: Matched, keywords: Mapping[str, Value | None], miss: str
) -> None:
    far = {**dict.fromkeys(SAME, "far"), "GAIN": 1}
    match = matched([bias("far", keywords=far), bias(keywords=keywords)])
    assert match.bias is None
    assert texts_of(match)[0].startswith(f"no bias master matches; the nearest, bias, has {miss}")


@pytest.mark.parametrize(
    ("keywords", "setting"),
    [
        ({"READOUTM": None}, "name the card that has READOUTM in keyword_aliases, or the folder"),
        ({"GAIN": 101}, "set round: {GAIN: 2}"),
        ({"SET-TEMP": -10.5}, "set round: {SET-TEMP: 1}"),
        ({"SET-TEMP": -9.9, "GAIN": 101}, "set round: {SET-TEMP: 0.2}, and set round: {GAIN: 2}"),
        ({"SET-TEMP": -9.9, "GAIN": 240}, None),
        ({"OFFSET": 10}, None),
    ],
)
def test_the_setting_that_would_join_the_nearest_is_named(
    matched: Matched, keywords: Mapping[str, Value | None], setting: str | None
) -> None:
    warning = texts_of(matched([bias("old/masterBias_x.xisf", keywords=keywords)]))[0]
    assert "the nearest, masterBias_x, has" in warning
    joined = warning.partition("; if they belong together, ")[2]
    assert joined.startswith(setting) if setting else not joined
    assert ("take READOUTM out of master_match_keywords" in joined) == ("READOUTM" in keywords)


def test_no_setting_joins_frames_of_two_sizes(matched: Matched) -> None:
    warning = texts_of(matched([bias(keywords={"GAIN": 101}, geometry=Geometry(8, 6))]))[0]
    assert "GAIN 101 against 100, 8x6 binned 1x1 against 4x3" in warning
    assert "belong together" not in warning


def test_the_nearest_of_numbers_is_the_one_least_apart(matched: Matched) -> None:
    biases = [bias(str(gain), keywords={"GAIN": gain}) for gain in (239, 101, 0, 1000)]
    assert "GAIN 101 against 100" in texts_of(matched(biases))[0]


@pytest.mark.parametrize("keywords", [{"GAIN": 100.0}, {"GAIN": "100"}, {"SET-TEMP": -10}])
def test_equal_values_match_however_they_are_written(
    matched: Matched, keywords: Mapping[str, Value]
) -> None:
    assert bias_of(matched([bias(keywords=keywords)])) == "bias.xisf"


@pytest.mark.parametrize("keywords", [{"DATE": "2020-01-01"}, {"FILTER": "Dark"}])
def test_date_and_filter_never_matter(matched: Matched, keywords: Mapping[str, Value]) -> None:
    match = matched([bias(keywords=keywords), dark(1.5, keywords=keywords)])
    assert match.bias is not None
    assert match.dark is not None


def test_an_absent_keyword_equals_an_absent_one_and_no_other(
    matched: Matched, flats: Flats
) -> None:
    group = flats(keywords={"READOUTM": None})
    masters = [bias("with"), bias("without", keywords={"READOUTM": None})]
    assert bias_of(matched(masters, group)) == "without"
    match = matched(masters[:1], group)
    assert "READOUTM Low Noise against absent" in texts_of(match)[0]


def test_another_list_of_keywords_matches_otherwise(matched: Matched) -> None:
    other = [bias(keywords={"GAIN": 240, "READOUTM": None})]
    assert matched(other).bias is None
    assert bias_of(matched(other, master_match_keywords=("INSTRUME", "OFFSET"))) == "bias.xisf"


@pytest.mark.parametrize(
    ("theirs", "fits"),
    [
        (Geometry(4, 3, bayerpat="RGGB"), True),
        (Geometry(4, 3), True),
        (Geometry(4, 3, bayerpat="BGGR"), False),
        (Geometry(8, 6, bayerpat="RGGB"), False),
        (Geometry(4, 3, 2, 2), False),
    ],
    ids=str,
)
def test_geometry_must_be_equal_but_a_master_may_lack_its_bayer_pattern(
    matched: Matched, flats: Flats, theirs: Geometry, fits: bool
) -> None:
    ours = Geometry(4, 3, bayerpat="RGGB")
    match = matched([bias(geometry=theirs)], flats(geometry=ours))
    assert (match.bias is not None) == fits
    assert fits or f"{theirs} against {ours}" in texts_of(match)[0]


@pytest.mark.parametrize(
    ("ours", "theirs", "fits"),
    [
        ((0, 0), (0, 0), True),
        ((0, 0), (0, 8), False),
        ((64, 8), (None, None), True),
        ((None, None), (64, 8), True),
        ((64, 0), (0, 0), False),
    ],
)
def test_positions_on_the_sensor_must_be_equal_where_both_are_known(
    matched: Matched,
    flats: Flats,
    ours: tuple[int | None, int | None],
    theirs: tuple[int | None, int | None],
    fits: bool,
) -> None:
    group = flats(geometry=Geometry(4, 3, 1, 1, None, *ours))
    match = matched([bias(geometry=Geometry(4, 3, 1, 1, None, *theirs))], group)
    assert (match.bias is not None) == fits


def test_a_master_at_the_position_of_the_flats_is_preferred(matched: Matched, flats: Flats) -> None:
    newer = bias("newer.xisf", date_obs="2026-02-01")
    placed = bias("placed.xisf", geometry=Geometry(4, 3, xorigin=64, yorigin=0))
    group = flats(geometry=Geometry(4, 3, xorigin=64, yorigin=0))
    assert bias_of(matched([newer, placed], group)) == "placed.xisf"


# --- what is a master -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["bias", "dark"])
def test_a_stack_of_biases_or_darks_is_a_candidate(make_frame: MakeFrame, kind: str) -> None:
    frame = make_frame(kind, master=True)
    found = candidate_of(frame, "kept")
    assert found == Candidate(
        FrameType(kind),
        frame.path,
        "kept",
        frame.keywords,
        Geometry(4, 3),
        "2026-01-15T21:00:01",
    )


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("flat", {"master": True}),
        ("light", {"master": True}),
        ("bias", {"master": False}),
        ("bias", {"master": True, "problems": ("is truncated",)}),
        ("bias", {"master": True, "geometry": None}),
        ("bias", {"master": True, "keywords": {"TYPE": None}}),
    ],
)
def test_nothing_else_is_a_candidate(
    make_frame: MakeFrame, kind: str, fields: dict[str, Any]
) -> None:
    assert candidate_of(make_frame(kind, **fields), "library") is None


# --- darks that contain no bias -------------------------------------------------------------------


@pytest.mark.parametrize("with_bias", [True, False])
def test_a_dark_without_bias_is_not_used_and_reported(matched: Matched, with_bias: bool) -> None:
    without = dark(1.5, "lib/Dark 2s.fit", bias_removal="CALSTAT 'BM'")
    match = matched([without, *([bias()] if with_bias else [])])
    assert match.dark is None
    assert any(
        text.startswith("no dark used: Dark 2s contains no bias (CALSTAT 'BM')")
        for text in texts_of(match)
    )


def test_another_dark_is_used_instead_of_one_without_bias(matched: Matched) -> None:
    without = dark(1.5, "lib/a.fit", bias_removal="CALSTAT 'BM'")
    match = matched([without, dark(1.5, "lib/b.fit"), bias()])
    assert dark_of(match) == "lib/b.fit"
    assert texts_of(match) == ()


@pytest.mark.parametrize(
    ("level", "is_used"),
    [(1.0, False), (240.0, False), (250.0, True), (490.0, True), (900.0, True), (None, True)],
)
def test_a_library_dark_far_below_its_bias_contains_none(
    settings: Settings, flats: Flats, level: float | None, is_used: bool
) -> None:
    levels = {"dark.fit": level, "bias.xisf": 500.0}
    candidates = [dark(1.5, "dark.fit"), bias("bias.xisf", origin="run")]
    (match,) = match_flats([flats()], candidates, settings, lambda path, _: levels[path])
    assert (match.dark is not None) == is_used
    assert any("contains no bias (its median is" in text for text in texts_of(match)) != is_used


def test_levels_of_darks_of_this_run_are_not_measured(settings: Settings, flats: Flats) -> None:
    def unexpected(path: str, origin: str) -> float | None:
        raise AssertionError(f"{path} ({origin}) was measured")

    candidates = [dark(1.5, origin="run"), dark(60.0, origin="kept"), bias(origin="run")]
    (match,) = match_flats([flats()], candidates, settings, unexpected)
    assert match.dark is not None


def test_a_master_dark_of_0_s_is_no_candidate(make_frame: MakeFrame) -> None:
    frame = make_frame("dark", keywords={"EXPOSURE": 0.0}, master=True)
    assert candidate_of(frame, "library") is None


# --- overscan, cuts, pedestals --------------------------------------------------------------------


def layout(left: int = 0, level: str = "median") -> FrameLayout:
    """A frame of 4x3 pixels from some column on, with an overscan at its right."""
    overscan = (Section(left + 4, left + 6, 0, 3),)
    part = FramePart(Section(left, left + 4, 0, 3), overscan=overscan)
    return FrameLayout.of(4, 3, [part], level)


@pytest.mark.parametrize(
    ("of_flats", "of_master", "miss"),
    [
        ("median", {"is_levelled": True, "pedestal_adu": 1000.0}, ""),
        ("median", {"is_levelled": True, "pedestal_adu": -1000.0}, ""),
        (
            "median",
            {"is_levelled": True, "pedestal_adu": 100.0},
            "PEDESTAL 100 where their subtracted overscan leaves 1000: make it of its raw frames",
        ),
        ("median", {}, "no overscan subtracted, the flats have theirs subtracted"),
        ("", {"is_levelled": True}, "an overscan subtracted, the flats have none"),
        ("", {}, ""),
    ],
)
def test_a_master_must_have_the_level_of_the_flats(
    matched: Matched, flats: Flats, of_flats: str, of_master: dict[str, Any], miss: str
) -> None:
    geometry = Geometry(4, 3, layout=layout(level=of_flats))
    group = flats(geometry=geometry)
    match = matched([bias(geometry=geometry, **of_master)], group)
    assert (match.bias is None) == bool(miss)
    if miss:
        assert match.warnings[0].text == f"no bias master matches; the nearest, bias, has {miss}"


def test_a_master_that_was_cut_elsewhere_is_missed_by_its_cut(
    matched: Matched, flats: Flats
) -> None:
    group = flats(geometry=Geometry(4, 3, layout=layout(level="")))
    elsewhere = Geometry(4, 3, layout=layout(left=2, level=""))
    assert str(elsewhere) != str(group.geometry)
    texts = texts_of(matched([bias(geometry=elsewhere)], group))
    assert texts[0].endswith(f"has {elsewhere} against {group.geometry}")
    # With an overscan, the text of a geometry does not say where it is cut.
    ours, theirs = (Geometry(4, 3, layout=layout(left)) for left in (0, 2))
    assert str(ours) == str(theirs)
    texts = texts_of(matched([bias(geometry=theirs)], flats(geometry=ours)))
    assert texts[0].endswith("has a cut to [3:6,1:3] against [1:4,1:3] of the image")


def test_a_master_of_another_size_is_a_further_miss_than_one_of_another_gain(
    matched: Matched,
) -> None:
    small, other = bias("small.fits", geometry=Geometry(2, 3)), bias("x.fits", keywords={"GAIN": 7})
    texts = texts_of(matched([small, other]))
    assert texts[0].startswith("no bias master matches; the nearest, x, has GAIN 7 against 100")


@pytest.mark.parametrize(("of_bias", "is_reported"), [(50.0, True), (-100.0, False)])
def test_another_pedestal_of_what_is_subtracted_is_reported(
    matched: Matched, flats: Flats, of_bias: float, is_reported: bool
) -> None:
    group = flats(1.5, 1.5, pedestal_adu=100.0)
    texts = texts_of(matched([bias(pedestal_adu=of_bias), dark(1.5, pedestal_adu=100.0)], group))
    text = "PEDESTAL of the flats is 100 ADU, that of their bias 50: the difference remains"
    assert any(each.startswith(text) for each in texts) == is_reported


def test_flats_of_one_frame_are_matched(matched: Matched, flats: Flats) -> None:
    missed = texts_of(matched([bias(keywords={"GAIN": 7})], flats(1.5)))
    assert missed[0].startswith("no bias master matches; the nearest, bias, has GAIN 7 against 100")
    match = matched([bias(), dark(1.5)], flats(1.5))
    assert (bias_of(match), dark_of(match)) == ("bias.xisf", "dark1.5.xisf")


def test_darks_are_compared_with_the_bias_that_fits_them(
    settings: Settings, make_frame: MakeFrame
) -> None:
    groups = group_frames([make_frame("dark", number) for number in range(3)], settings)
    offered = [bias("other.xisf", keywords={"GAIN": 7}), bias("own.xisf")]
    (found,) = match_darks(groups, offered, settings)
    assert found is not None
    assert found.path == "own.xisf"
    assert match_darks(groups, offered[:1], settings) == [None]
