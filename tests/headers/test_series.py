from __future__ import annotations

from typing import Any

import pytest

from calmasters.frame import plane_path, split_plane
from calmasters.headers.fits_cards import ImageHeader
from calmasters.headers.series import SERIES_CARDS, plane_header, planes_of, series_problem

CUBE = {"BITPIX": 16, "NAXIS": 3, "NAXIS1": 8, "NAXIS2": 6, "NAXIS3": 10}


def plane(number: int, **cards: Any) -> ImageHeader:
    named = {key.replace("__", "-"): value for key, value in cards.items()}
    return plane_header(ImageHeader({**CUBE, **named}, 2880, 2880 + 960), number)


@pytest.mark.parametrize(
    ("cards", "planes"),
    [
        ({"NAXIS": 2}, 0),
        ({"NAXIS": 3, "NAXIS3": 1}, 0),
        ({"NAXIS": 3, "NAXIS3": 2}, 2),
        ({"NAXIS": 3, "NAXIS3": 3}, 0),
        ({"NAXIS": 3, "NAXIS3": 3, "NUMKIN": 3}, 3),
        ({"NAXIS": 3, "NAXIS3": 3, "NUMKIN": 1}, 0),
        ({"NAXIS": 4, "NAXIS3": 1, "NAXIS4": 25}, 25),
        ({"NAXIS": 4, "NAXIS3": 2, "NAXIS4": 2}, 4),
        ({"NAXIS": 4, "NAXIS3": 3, "NAXIS4": 7}, 0),
        ({"NAXIS": 2, "NAXIS3": 5}, 0),
        ({"NAXIS": 3, "NAXIS3": -5}, 0),
        ({"NAXIS": 3, "NAXIS3": "five"}, 0),
        ({"NAXIS": 5, "NAXIS3": 5}, 0),
        ({"NAXIS": 4, "NAXIS3": 10, "NAXIS4": 0}, 0),
    ],
)
def test_planes_that_are_no_colours_are_a_series(cards: dict[str, Any], planes: int) -> None:
    assert planes_of(cards) == planes


def test_a_plane_has_the_header_of_a_frame() -> None:
    third = plane(3, GAIN=4, NAXIS4=1)
    assert third.cards == {"BITPIX": 16, "NAXIS": 2, "NAXIS1": 8, "NAXIS2": 6, "GAIN": 4}
    assert (third.data_offset, third.end_of_data) == (2880 + 2 * 96, 2880 + 3 * 96)


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({"KCT": 2.5}, "2026-01-15T20:00:05"),
        ({"ACT": 0.25}, "2026-01-15T20:00:00.500000"),
        ({"KCT": 2.5, "ACT": 0.25}, "2026-01-15T20:00:05"),
        ({"KCT": 0.0}, "2026-01-15T20:00:00"),
        ({"KCT": -1.0}, "2026-01-15T20:00:00"),
        ({"KCT": "n/a"}, "2026-01-15T20:00:00"),
        ({}, "2026-01-15T20:00:00"),
    ],
)
def test_frames_have_the_times_of_the_cadence(cards: dict[str, Any], expected: str) -> None:
    start = {"DATE__OBS": "2026-01-15T20:00:00", "DATE__LOC": "2026-01-15T20:00:00"}
    third = plane(3, **start, **cards)
    assert (third.cards["DATE-OBS"], third.cards["DATE-LOC"]) == (expected, expected)


def test_a_date_with_a_time_in_another_card_has_a_cadence_too() -> None:
    third = plane(3, DATE__OBS="2026-01-15", TIME__OBS="23:59:58", KCT=2)
    assert third.cards["DATE-OBS"] == "2026-01-16T00:00:02"


@pytest.mark.parametrize(
    ("total", "left"), [(600.0, None), (600.3, None), (601.0, 601.0), (60.0, 60.0)]
)
def test_the_exposure_of_all_frames_gives_way_to_that_of_one(
    total: float, left: float | None
) -> None:
    cards = plane(1, EXPTIME=total, EXPOSURE=60.0).cards
    assert cards.get("EXPTIME") == left
    assert cards["EXPOSURE"] == 60.0
    assert "EXPTIME" not in plane(1, EXPTIME=1000.0, EXPOSURE=99.9).cards  # a thousandth less


@pytest.mark.parametrize(
    ("packing", "planes", "problem"),
    [
        ("", 10, ""),
        ("gzip", 10, "is a series of 10 frames in a compressed file; unpack it"),
        ("tiles", 10, "is a series of 10 frames in a compressed file; unpack it"),
        ("xisf", 10, "is a series of 10 frames in an XISF file; save it as FITS"),
        ("", 100_000, ""),
        ("", 100_001, "declares 100001 frames (limit 100000); split it into several files"),
    ],
)
def test_a_series_that_cannot_be_split_says_what_to_do(
    packing: str, planes: int, problem: str
) -> None:
    header = ImageHeader({**CUBE, "NAXIS3": planes}, 0, 0, packing)
    assert series_problem(header) == problem


@pytest.mark.parametrize(("plane", "count"), [(1, 1), (3, 10), (10, 10), (7, 1000)])
def test_paths_of_planes_are_taken_apart_again(plane: int, count: int) -> None:
    assert split_plane(plane_path("a [2]/b.fits", plane, count)) == ("a [2]/b.fits", plane)


def test_a_file_without_planes_is_its_own_path() -> None:
    for path in ("a.fits", "a[1].fits", "a[1]/b.fits", "a[x]", "[3]"):
        assert split_plane(path) == (path, 0)


def test_the_cards_that_decide_whether_an_image_is_a_series_are_named() -> None:
    assert set(SERIES_CARDS) == {"NAXIS", "NAXIS3", "NAXIS4", "NUMKIN"}
