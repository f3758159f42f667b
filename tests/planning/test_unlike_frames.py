"""Frames of one master that may not belong together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from calmasters.frame import Frame, Value
from calmasters.planning.grouping import group_frames
from calmasters.planning.unlike_frames import superseded_sentences, unlike_frames
from calmasters.settings import Settings

MakeFrame = Callable[..., Frame]


@pytest.fixture
def notes(settings: Settings, make_frame: MakeFrame) -> Callable[..., list[str]]:
    """Sentences about flats of these exposures and keywords, all in one group."""

    def notes_of(
        *exposures_s: float | None, kind: str = "flat", keywords: Sequence[dict[str, Value]] = ()
    ) -> list[str]:
        frames = [
            make_frame(
                kind, number, {"EXPOSURE": exposure, **(keywords[number] if keywords else {})}
            )
            for number, exposure in enumerate(exposures_s)
        ]
        (group,) = group_frames(frames, replace(settings, mixed="warn"))
        return [*unlike_frames({"name": group}, {"name": "short"})]

    return notes_of


@pytest.mark.parametrize(
    ("exposures_s", "texts"),
    [
        ((1.0, 1.0, 1.5, 1.5), "1 s (2 frames) and 1.5 s (2 frames)"),
        ((2.0, 1.0, 2.0, 1.0), "1 s (2 frames) and 2 s (2 frames)"),
        ((1.0, 1.2, 2.0, 2.4), "1 to 1.2 s (2 frames) and 2 to 2.4 s (2 frames)"),
        ((1.0, 1.1, 1.2, 3.0, 3.3), "1 to 1.2 s (3 frames) and 3 to 3.3 s (2 frames)"),
        ((0.5, 0.5, 10.0, 10.0, 10.0, 0.0), "0.5 s (2 frames) and 10 s (3 frames)"),
        ((100.0, 100.0, 200.0, 200.0), "100 s (2 frames) and 200 s (2 frames)"),
    ],
)
def test_flats_of_two_exposures_are_reported(
    notes: Callable[..., list[str]], exposures_s: tuple[float, ...], texts: str
) -> None:
    assert notes(*exposures_s) == [
        f"1 master is of flats of two different exposures, such as short: {texts}; if they do not "
        "belong together, add EXPOSURE to required_keywords.flat"
    ]


@pytest.mark.parametrize(
    "exposures_s",
    [
        pytest.param((1.0, 1.0, 1.49, 1.49), id="less than half as long again"),
        pytest.param((1.0, 1.0, 2.0), id="a single frame"),
        pytest.param((1.0, 2.0, 2.0), id="a single short frame"),
        pytest.param((1.0, 1.3, 1.7, 2.2, 2.9, 3.8), id="of a twilight"),
        pytest.param((1.0, 1.3, 2.0, 2.6), id="a gap as the others"),
        pytest.param((0.0, 0.0, 1.0, 1.0), id="unknown ones"),
        pytest.param((1.0,), id="one frame"),
    ],
)
def test_flats_of_one_exposure_or_of_a_twilight_are_not(
    notes: Callable[..., list[str]], exposures_s: tuple[float, ...]
) -> None:
    assert notes(*exposures_s) == []


def test_flats_without_an_exposure_do_not_count(notes: Callable[..., list[str]]) -> None:
    assert notes(None, None, 9.0, 9.0) == []


def test_all_keywords_that_differ_are_named(settings: Settings, make_frame: MakeFrame) -> None:
    frames = [
        make_frame("flat", number, {"TELESCOP": name, "FLATKIND": name})
        for number, name in enumerate(["A", "B"])
    ]
    (group,) = group_frames(frames, replace(settings, mixed="warn"))
    (note,) = unlike_frames({"x": group}, {"x": "short"})
    assert "frames that differ in TELESCOP, FLATKIND, such as" in note


def test_darks_have_their_exposure_in_the_name(notes: Callable[..., list[str]]) -> None:
    assert notes(0.0, 0.0, 0.001, 0.001, kind="bias") == []


def test_a_keyword_that_tells_the_exposures_apart_is_named(
    notes: Callable[..., list[str]],
) -> None:
    keywords: list[dict[str, Value]] = [
        {"USBLIMIT": 1, "APERTUR": "f/4", "BOTH": 1},
        {"USBLIMIT": 1, "APERTUR": "f/4", "BOTH": 2},
        {"USBLIMIT": 1, "APERTUR": "f/4", "BOTH": 2},
        {"USBLIMIT": 1, "APERTUR": "f/8", "BOTH": 1},
        {"USBLIMIT": 1, "APERTUR": "f/8", "BOTH": 2},
    ]
    (note,) = notes(1.0, 1.1, 1.2, 3.0, 3.0, keywords=keywords)
    assert note.endswith("add APERTUR to required_keywords.flat")


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        ("flat", "set mixed: split"),
        ("bias", "add TELESCOP to required_keywords and master_match_keywords"),
    ],
)
def test_frames_that_differ_in_a_keyword_are_reported(
    settings: Settings, make_frame: MakeFrame, kind: str, remedy: str
) -> None:
    frames = [
        make_frame(kind, number, {"TELESCOP": name}) for number, name in enumerate(["A", "B", "A"])
    ]
    warn = replace(settings, mixed="warn")
    (group,) = group_frames(frames, warn)
    found = [*unlike_frames({"x": group}, {"x": "short"})]
    expected = [
        "1 master is of frames that differ in TELESCOP, such as short; to make one master of each, "
        f"{remedy}"
    ]
    assert found == (expected if kind == "flat" else [])
    several = {"x": group, "y": group}
    assert [note[:16] for note in unlike_frames(several, {"x": "x", "y": "y"})] == (
        ["2 masters are of"] if kind == "flat" else []
    )


@pytest.mark.parametrize(
    ("masters", "what"),
    [
        ([], None),
        (["flat/a.xisf"], "a was made of frames"),
        (["flat/a.xisf", "flat/b.xisf"], "2 masters, such as a, were made of frames"),
    ],
)
def test_masters_that_are_moved_away_are_named(masters: list[str], what: str | None) -> None:
    notes = [*superseded_sentences(masters)]
    assert len(notes) == bool(what)
    for note in notes:
        assert note.startswith(f"{what} that make several masters now: moved to output_dir/orphans")
