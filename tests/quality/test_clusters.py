"""What tells two clusters of frames apart, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from calmasters.engines.clusters import split
from calmasters.frame import FrameType
from calmasters.quality.clusters import FrameFacts, cluster_finding
from calmasters.quality.quality_record import Finding

#: The frames of the first cluster: two of five.
FIRST = frozenset({1, 3})
COUNT = 5


def facts(**of_frames: Sequence[Any]) -> list[FrameFacts]:
    """Five frames that differ in what is given; keywords and cards are given by their names."""
    plain = {"path", "level_adu", "ccd_temp_c", "time_s"}
    given: dict[str, Sequence[Any]] = {
        "path": [f"{number}.fits" for number in range(COUNT)],
        "level_adu": [1000.0] * COUNT,
        **of_frames,
    }
    return [
        FrameFacts(
            keywords=named(given, number, "keyword_"),
            cards=named(given, number, "card_"),
            **{name: given[name][number] for name in plain & given.keys()},
        )
        for number in range(COUNT)
    ]


def named(given: Mapping[str, Sequence[Any]], number: int, start: str) -> dict[str, Any]:
    found = {
        name.removeprefix(start): values[number]
        for name, values in given.items()
        if name.startswith(start)
    }
    return {name: value for name, value in found.items() if value is not None}


def by_cluster(one: Any, other: Any) -> list[Any]:
    return [one if number in FIRST else other for number in range(COUNT)]


def explained(
    frames: Sequence[FrameFacts], kind: FrameType = FrameType.DARK, *, by_shape: bool = False
) -> Finding:
    found = cluster_finding(FIRST, frames, kind, ("INSTRUME", "GAIN"), by_shape=by_shape)
    assert found
    assert found.remedy
    return found


def test_a_keyword_that_is_not_grouped_by_is_added_to_the_grouping() -> None:
    levels = by_cluster(1200.0, 1000.0)
    found = explained(facts(keyword_OFFSET=by_cluster(50, 10), level_adu=levels))
    assert found.cause == "the frames form two clusters of OFFSET"
    assert "50 (2 frames, 1200 ADU) and 10 (3 frames, 1000 ADU)" in found.found
    assert found.remedy == (
        "add OFFSET to the grouping: --config 'required_keywords={dark: [INSTRUME, GAIN, OFFSET]}'"
    )


@pytest.mark.parametrize(
    ("exposures", "shown", "rounded"),
    [
        ([2.0, 1.5, 2.0, 1.5, 2.0], "1.5 s (2 frames, 1000 ADU) and 2 s (3", ""),
        ([2.04, 1.55, 1.98, 1.46, 2.0], "1.46 to 1.55 s (2 frames", "'round={EXPOSURE: 0.5}'"),
    ],
)
def test_exposures_are_rounded_where_they_scatter_inside_of_the_clusters(
    exposures: list[float], shown: str, rounded: str
) -> None:
    found = explained(facts(keyword_EXPOSURE=exposures))
    assert shown in found.found
    assert str(found.remedy).endswith(f"EXPOSURE]}}' {rounded}".strip())


def test_exposures_that_no_step_separates_are_no_cause() -> None:
    exposures = [1.0, 1.1, 1.2, 5.0, 1.3]
    frames = facts(keyword_EXPOSURE=exposures)
    assert cluster_finding(FIRST, frames, FrameType.DARK, (), by_shape=False) is None


def test_a_card_that_is_no_keyword_of_the_project_can_be_the_cause() -> None:
    found = explained(facts(card_OBSERVER=by_cluster("Ann", "Bob")))
    assert found.cause == "the frames form two clusters of OBSERVER"
    assert "Ann (2 frames" in found.found


@pytest.mark.parametrize("name", ["CHECKSUM", "DATE-OBS", "DATAMEAN"])
def test_cards_of_a_file_and_of_what_was_measured_are_no_cause(name: str) -> None:
    frames = facts(**{f"card_{name}": by_cluster("1", "2")})
    assert cluster_finding(FIRST, frames, FrameType.DARK, (), by_shape=False) is None


@pytest.mark.parametrize("start", ["card_", "keyword_"])
def test_what_some_frames_lack_cannot_group_them(start: str) -> None:
    frames = facts(**{f"{start}FOCUSPOS": by_cluster("1", None)})
    assert cluster_finding(FIRST, frames, FrameType.DARK, (), by_shape=False) is None


def test_a_keyword_that_is_grouped_by_is_no_cause() -> None:
    frames = facts(keyword_GAIN=by_cluster(1, 2))
    assert cluster_finding(FIRST, frames, FrameType.DARK, ("GAIN",), by_shape=False) is None


@pytest.mark.parametrize(
    ("what", "given", "shown"),
    [
        (
            "the temperature of the sensor",
            {"ccd_temp_c": [-10.0, -4.0, -9.8, -3.9, -10.2]},
            "-4.0 to -3.9 °C (2 frames, 1000 ADU) and -10.2 to -9.8 °C (3 frames",
        ),
        (
            "time",
            {"time_s": [0.0, 7200.0, 60.0, 7260.0, 120.0]},
            "from 2.0 h on (2 frames, 1000 ADU) and from 0.0 h on (3",
        ),
        (
            "level",
            {"level_adu": [1000.0, 1200.0, 1001.0, 1201.0, 1002.0]},
            "some (2 frames, 1200 ADU) and others (3 frames, 1001 ADU)",
        ),
    ],
)
def test_without_a_keyword_it_is_said_what_else_differs(
    what: str, given: dict[str, list[float]], shown: str
) -> None:
    found = explained(facts(**given))
    assert found.cause == f"the frames form two clusters of {what}"
    assert shown in found.found
    assert str(found.remedy).endswith('(exclude: ["1.fits", "3.fits"])')


@pytest.mark.parametrize(
    "given",
    [
        {"ccd_temp_c": [-10.0, -9.5, -9.8, -9.4, -10.2]},
        {"ccd_temp_c": [-10.0, None, -9.8, -3.9, -10.2]},
        {"time_s": [0.0, 300.0, 60.0, 360.0, 120.0]},
        {"level_adu": [1000.0, 1200.0, 1300.0, 1201.0, 1002.0]},
    ],
    ids=["too close", "unknown", "a short pause", "mixed"],
)
def test_what_does_not_separate_the_clusters_is_no_cause(given: dict[str, list[Any]]) -> None:
    frames = facts(**given)
    assert cluster_finding(FIRST, frames, FrameType.DARK, (), by_shape=False) is None


def test_clusters_of_shape_have_a_cause_of_their_own() -> None:
    found = explained(facts(), FrameType.FLAT, by_shape=True)
    assert found.cause == "the frames form two clusters of the shape of their light"


def test_of_many_frames_a_few_are_named() -> None:
    first = frozenset(range(5))
    paths = [f"{number}.fits" for number in range(10)]
    frames = [FrameFacts(path, 1000.0, {}, {}) for path in paths]
    found = cluster_finding(first, frames, FrameType.FLAT, (), by_shape=True)
    assert found
    assert '(exclude: ["0.fits", "1.fits", "2.fits"] and 2 more)' in str(found.remedy)


@pytest.mark.parametrize("values", [[1.0, 1.0, 9.0], [1.0, 1.0, 9.0, float("nan")]])
def test_too_few_values_and_unknown_ones_are_no_clusters(values: list[float]) -> None:
    assert split(values, 0.1, 1.0) is None
