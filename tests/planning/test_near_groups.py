"""Groups that differ only in jitter, spelling or an absent card are named, with what joins them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from calmasters.commands.summary import summarize
from calmasters.console.summary import Ending, RunResult, end_of_run
from calmasters.planning.findings import Findings
from calmasters.planning.planner import Decision, decide
from calmasters.settings import Settings

Add = Callable[..., None]


@pytest.fixture
def add(add_frame: Callable[..., Path]) -> Add:
    """Add frames of one type, one for each value of a card."""

    def added(kind: str, card: str, values: Iterable[object], **cards: object) -> None:
        for number, value in enumerate(values):
            extra = {"CCD-TEMP": value} if card == "SET-TEMP" else {}
            when = {"DATE-OBS": f"2026-01-15T20:00:{number:02}"}
            every = {**when, **extra, **cards, card: value}
            folder = "_".join(map(str, (kind, card, *cards.values())))
            add_frame(f"{folder}/{number:02}.fits", kind, every)

    return added


def notes(decision: Decision) -> list[str]:
    return [note for note in decision.warnings if "differ only in" in note]


def remedy_of(note: str) -> dict[str, Any]:
    """The settings that a note proposes to paste."""
    return yaml.safe_load("\n".join(note.partition(", set ")[2].split("; and set ")))


JITTER = [60.0, 59.9987, 60.0021, 59.99, 60.01, 60.006] * 2


def test_darks_whose_exposure_jitters_are_no_reason_to_shoot_more(
    add: Add, make_settings: Callable[..., Settings]
) -> None:
    add("dark", "EXPTIME", JITTER, EXPOSURE=None)
    decision = decide(make_settings())
    text = end_of_run(RunResult(Ending.FAILED), Findings.of(decision))
    assert "Shoot next" not in text
    assert (
        "12 dark frames are in 6 groups that differ only in EXPOSURE (59.99 to 60.01, which the "
        "program seems to have measured): dark 59.99 s, ATR585M, -10 °C, gain 100 and 5 more; if "
        "they belong together, set round: {EXPOSURE: 0.05}" in text
    )
    # It may be a series on purpose: a person decides.
    assert decision.suggested == {}
    (job,) = decide(make_settings(round={"EXPOSURE": 0.05})).jobs
    assert len(job.frames) == 12


def test_too_few_frames_in_all_are_to_be_taken(
    add: Add, make_settings: Callable[..., Settings]
) -> None:
    add("dark", "EXPTIME", (60.0, 60.01), EXPOSURE=None)
    findings = Findings.of(decide(make_settings()))
    assert len(findings.wanted) == 2
    assert "differ only in EXPOSURE" in findings.notes[0]


@pytest.mark.parametrize(
    ("card", "values", "joined"),
    [
        ("READOUTM", ("Low Noise", "LOW NOISE"), "READOUTM ('LOW NOISE', 'Low Noise')"),
        ("SET-TEMP", (-10.0, -10.04), "SET-TEMP (-10.04 to -10, which"),
        ("GAIN", (0.249, 0.2491), "GAIN (0.249 to 0.2491, which"),
        ("GAIN", (100, 101), "GAIN (100 to 101, which"),
        ("INSTRUME", ("ZWO ASI2600MM Pro", "ASI2600MM Pro"), "INSTRUME ("),
        ("INSTRUME", ("QSI 583ws FW 05.02.05", "QSI 583ws FW 05.02.06"), "INSTRUME ("),
    ],
)
def test_two_masters_of_one_group_are_named_with_the_setting_that_joins_them(
    add: Add,
    make_settings: Callable[..., Settings],
    card: str,
    values: tuple[object, ...],
    joined: str,
) -> None:
    add("bias", card, values * 6)
    decision = decide(make_settings())
    assert [len(job.frames) for job in decision.jobs] == [6, 6]
    (note,) = notes(decision)
    assert note.startswith(f"12 bias frames are in 2 groups that differ only in {joined}")
    assert all(name in note for name in decision.short_names.values())
    assert note in summarize(decision)
    (job,) = decide(make_settings(**remedy_of(note))).jobs
    assert len(job.frames) == 12


def test_two_cards_that_differ_have_two_settings_besides_those_in_use(
    add: Add, make_settings: Callable[..., Settings]
) -> None:
    add("bias", "SET-TEMP", (-10.0, -10.04) * 3, READOUTM="Low Noise")
    add("bias", "SET-TEMP", (-10.0, -10.04) * 3, READOUTM="low noise")
    in_use = {"round": {"EXPOSURE": 0.5}, "value_aliases": {"FILTER": {"Ha": ["H-alpha"]}}}
    (note,) = notes(decide(make_settings(**in_use)))
    assert "12 bias frames are in 4 groups that differ only in SET-TEMP" in note
    assert "and 3 more; if they" in note
    assert "set round: {EXPOSURE: 0.5, SET-TEMP: 0.1}" in note
    settings = remedy_of(note)
    assert settings["value_aliases"]["FILTER"] == {"Ha": ["H-alpha"]}
    (job,) = decide(make_settings(**settings)).jobs
    assert len(job.frames) == 12


def test_flats_of_which_some_lack_the_bayer_pattern_are_named(
    add: Add, make_settings: Callable[..., Settings]
) -> None:
    add("flat", "BAYERPAT", ("RGGB", None) * 6)
    (note,) = notes(decide(make_settings()))
    assert "differ only in BAYERPAT ('RGGB', none)" in note
    assert note.endswith("write BAYERPAT RGGB into the headers that lack it")


def test_a_card_that_some_lack_may_be_of_no_matter(
    add: Add, make_settings: Callable[..., Settings]
) -> None:
    add("flat", "READOUTM", ("Low Noise", None) * 3)
    (note,) = notes(decide(make_settings()))
    assert "differ only in READOUTM ('Low Noise', none)" in note
    assert note.endswith("or take READOUTM out of required_keywords")


@pytest.mark.parametrize(
    ("kind", "card", "values"),
    [
        ("dark", "EXPTIME", (1.0, 1.5, 2.0)),
        ("dark", "EXPTIME", (0.001, 0.004, 0.0249)),
        ("dark", "SET-TEMP", (-10.0, -15.0)),
        ("bias", "GAIN", (0, 100)),
        ("bias", "GAIN", (0, 1)),
        ("bias", "GAIN", (0.25, 1.0)),
        ("bias", "READOUTM", (0, 1)),
        ("bias", "READOUTM", ("Extend Fullwell", "Extend Fullwell 2CMS")),
        ("flat", "FILTER", ("Ha", "OIII")),
        ("flat", "FILTER", ("L", "R")),
        ("flat", "BAYERPAT", ("RGGB", "BGGR", None)),
        ("bias", "INSTRUME", ("ASI2600MM Pro", "ATR585M")),
        ("bias", "XBINNING", (1, 2)),
    ],
)
def test_what_is_different_is_left_apart(
    add: Add,
    make_settings: Callable[..., Settings],
    kind: str,
    card: str,
    values: tuple[object, ...],
) -> None:
    add(kind, card, values * 4, **({"EXPOSURE": None} if card == "EXPTIME" else {}))
    decision = decide(make_settings())
    assert len(decision.jobs) == len(values)
    assert notes(decision) == []


@pytest.mark.parametrize("frames", [6, 10])
def test_groups_of_enough_frames_are_left_apart(
    add: Add, make_settings: Callable[..., Settings], frames: int
) -> None:
    add("bias", "GAIN", (100, 101) * frames)
    assert bool(notes(decide(make_settings()))) is (frames < 10)


def test_a_spelling_that_is_suggested_is_no_note_too(
    add: Add, make_settings: Callable[..., Settings]
) -> None:
    add("bias", "READOUTM", ["Low Noise"] * 6 + ["LOW NOISE"])
    decision = decide(make_settings())
    assert "value_aliases" in decision.suggested
    assert notes(decision) == []


def test_no_step_is_proposed_that_makes_the_exposure_of_flats_0(
    add: Add, make_settings: Callable[..., Settings]
) -> None:
    add("dark", "EXPTIME", [60.0] * 6 + [60.01] * 2, EXPOSURE=None)
    add("flat", "EXPTIME", [0.02] * 3, EXPOSURE=None)
    (note,) = notes(decide(make_settings()))
    assert note.endswith("put them into a folder EXPOSURE_60 and set path_keywords: override")
