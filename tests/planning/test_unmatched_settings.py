"""Settings that concern no frame are reported, with what was probably meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from calmasters.planning.planner import decide
from calmasters.settings import Settings

Warnings = Callable[..., list[str]]


@pytest.fixture
def warnings(make_settings: Callable[..., Settings], add_frame: Callable[..., Path]) -> Warnings:
    """Decide about four bias frames of the camera ATR585M, and give the warnings."""

    def decided(cards: dict[str, object] | None = None, **settings: Any) -> list[str]:
        for number in range(4):
            date = {"DATE-OBS": f"2026-01-15T20:00:0{number}"}
            add_frame(f"bias/b_{number}.fits", "bias", {**date, **(cards or {})})
        return [*decide(make_settings(**settings)).warnings]

    return decided


@pytest.mark.parametrize(
    ("exclude", "said"),
    [
        (["B_1.FITS"], '"B_1.FITS" (the nearest is "b_1.fits") matches no frame; correct it, or '
                       "remove it if its frame is deleted"),
        (["b_9.fits"], '"b_9.fits" matches no frame; correct it'),
        (["b_1.fits", "x", "b_2"], '"x", "b_2" (the nearest is "b_2.*") match no frame; correct '
                                   "them, or remove those whose frames are deleted"),
        ([*"vwxyz"], '"v", "w", "x" and 2 more match no frame'),
    ],
)  # fmt: skip
def test_patterns_that_match_no_frame_are_one_sentence(
    warnings: Warnings, exclude: list[str], said: str
) -> None:
    (note,) = warnings(exclude=exclude)
    assert note.startswith(f"exclude: {said}")


def test_patterns_that_match_the_same_frames_are_no_fault(warnings: Warnings) -> None:
    assert warnings(exclude=["b_1.fits", "*_1.fits", "/bias/b_1.fits"]) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"round": {"SETTEMP": 5}}, 'round: no frame has "SETTEMP"; set round: {"SET-TEMP": 5}'),
        ({"round": {"EXPTIME": 5, "GAIN": 1}}, 'round: no frame has "EXPTIME"; set round: '
                                               '{"EXPOSURE": 5, "GAIN": 1}'),
        ({"round": {"Q": 5}}, 'round: no frame has "Q"; correct or remove it; frames have "DATE"'),
        ({"keyword_patterns": {"INSTRUM": "A"}}, 'keyword_patterns: no frame has "INSTRUM"; set '
                                                 'keyword_patterns: {"INSTRUME": "A"}'),
        ({"value_aliases": {"CAM": {"A": ["B"]}}}, 'value_aliases: no frame has "CAM"; correct'),
        ({"assume_keywords": {"atr585m": {"GAIN": 1}}}, 'assume_keywords: no frame is of "atr585m";'
                                                        ' set assume_keywords: {"ATR585M": {'),
        ({"cameras": {"ATR 585": {"data": "[1:2,1:2]"}}}, 'cameras: no frame is of "ATR 585"; set '
                                                          'cameras: {"ATR585M": {"data": "[1:2,1:'),
        ({"cameras": {"QHY*": {"data": "[1:2,1:2]"}}}, 'cameras: no frame is of "QHY*"; correct or '
                                                       'remove it; frames are of "ATR585M"'),
    ],
)  # fmt: skip
def test_keywords_and_cameras_that_no_frame_has_are_reported(
    warnings: Warnings, settings: dict[str, Any], said: str
) -> None:
    (note,) = warnings(**settings)
    assert note.startswith(said)


@pytest.mark.parametrize(
    "settings",
    [
        {"round": {"SET-TEMP": 5, "EXPOSURE": 0.1}},
        # No flat is there, and so no FILTER.
        {"value_aliases": {"FILTER": {"Ha": ["H"]}}, "keyword_patterns": {"FILTER": ".+"}},
        # A second camera of a configuration for several sessions.
        {"assume_keywords": {"ATR585M": {"GAIN": 1}, "ATR585": {"GAIN": 1}}},
        {"cameras": {"atr*": {"size": [9, 9]}, "QHY": {"size": [9, 9]}}},
        {"assume_keywords": {"": {"INSTRUME": "A"}}},
        # Without a frame that is read, nothing is known.
        {"round": {"SETTEMP": 5}, "exclude": ["bias"]},
    ],
)
def test_settings_that_may_concern_other_sessions_are_not_reported(
    warnings: Warnings, settings: dict[str, Any]
) -> None:
    assert warnings(**settings) == []


def test_a_camera_may_be_named_by_a_setting(warnings: Warnings) -> None:
    assumed = {"": {"INSTRUME": "A"}, "A": {"GAIN": 1}}
    assert warnings({"INSTRUME": None}, assume_keywords=assumed) == []
    (note,) = warnings({"INSTRUME": None}, assume_keywords={"A": {"GAIN": 1}})
    assert note.endswith('no frame is of "A"; correct or remove it; frames are of ""')


def test_a_pattern_for_the_output_is_no_fault(warnings: Warnings, tmp_path: Path) -> None:
    output = tmp_path / "frames" / "out"
    assert warnings(output_dir=str(output), exclude=["out/*"]) == []
    assert warnings(output_dir=str(output / "compare"), exclude=["out/*"]) == []
