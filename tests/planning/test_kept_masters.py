"""Which masters of earlier runs flats may use."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from calmasters.model.master_record import MasterRecord
from calmasters.planning.checkpoint import refresh_plan
from calmasters.planning.planner import Decision, decide
from calmasters.settings import Settings


@pytest.fixture
def made(
    settings: Settings,
    add_frame: Callable[..., Path],
    add_master: Callable[..., Path],
    write_record: Callable[..., MasterRecord],
) -> Decision:
    """A bias and a flat that uses it, made by an earlier run."""
    for kind in ("bias", "flat"):
        for number in range(4):
            add_frame(f"{kind}/{number}.fits", kind, {"DATE-OBS": f"2026-01-15T20:00:0{number}"})
    decision = refresh_plan(settings)
    for job in decision.jobs:
        master = settings.output_dir / job.master
        cards = {"FILTER": "B"} if job.type == "flat" else {}
        add_master(master, job.type.value, cards)
        write_record(job, master)
    return decision


def bias_of_flat(decision: Decision) -> str | None:
    flat = decision.jobs[-1]
    assert flat.type == "flat"
    return flat.bias and flat.bias.origin


def test_a_master_is_used_when_all_its_frames_are_gone(settings: Settings, made: Decision) -> None:
    shutil.rmtree(settings.input_dir / "bias")
    decision = decide(settings)
    assert bias_of_flat(decision) == "kept"
    assert decision.jobs[-1].digest == made.jobs[-1].digest
    assert decision.warnings == ()


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ({"exclude": ["bias"]}, "4 of its frames are left out: exclude: bias"),
        ({"minimum_frames": 5}, "only 4 frames of this group"),
        ({"type_words": {"bias": ["x"]}, "ignored_types": ["bias"]}, "type bias"),
    ],
    ids=["excluded", "too few", "ignored"],
)
def test_a_master_is_not_used_while_its_frames_are_there(
    make_settings: Callable[..., Settings],
    add_frame: Callable[..., Path],
    made: Decision,
    setting: dict[str, object],
    reason: str,
) -> None:
    for number in range(4, 7):
        add_frame(f"flat/{number}.fits", "flat", {"DATE-OBS": f"2026-01-15T20:00:0{number}"})
    decision = decide(make_settings(**setting))
    assert bias_of_flat(decision) is None
    assert decision.kept == (made.jobs[0].master,)
    (note,) = decision.warnings
    assert reason in note
    assert "library.bias" in note


def test_frames_that_moved_to_an_excluded_folder_are_still_there(
    make_settings: Callable[..., Settings], made: Decision
) -> None:
    settings = make_settings(exclude=["rejected"])
    (settings.input_dir / "rejected").mkdir()
    (settings.input_dir / "bias").rename(settings.input_dir / "rejected" / "bias")
    decision = decide(settings)
    assert bias_of_flat(decision) is None
    assert "exclude: rejected" in decision.warnings[0]


def test_frames_that_belong_to_another_group_now_are_no_reason_to_use_their_old_master(
    make_settings: Callable[..., Settings], made: Decision
) -> None:
    decision = decide(
        make_settings(
            assume_keywords={"ATR585M": {"USBLIMIT": 40}},
            required_keywords={"bias": ["TYPE", "INSTRUME", "GAIN", "USBLIMIT"]},
        )
    )
    flat = decision.jobs[-1]
    assert flat.bias is not None
    assert (flat.bias.origin, "USBLIMIT-40" in flat.bias.path) == ("run", True)
    assert "its frames make masterBias_" in decision.warnings[0]


def test_a_master_with_some_frames_left_is_not_used(settings: Settings, made: Decision) -> None:
    for number in range(2):
        (settings.input_dir / f"bias/{number}.fits").unlink()
    decision = decide(settings)
    assert bias_of_flat(decision) is None
    assert "2 of its 4 frames are missing" in decision.warnings[0]


@pytest.mark.parametrize("setting", [{"master_format": "fits"}, {"layout": "ap-library"}])
def test_masters_of_another_format_or_layout_are_named_as_that(
    settings: Settings,
    make_settings: Callable[..., Settings],
    made: Decision,
    write_record: Callable[..., MasterRecord],
    setting: dict[str, object],
) -> None:
    bias, flat = made.jobs
    for _ in range(2):
        decision = decide(make_settings(**setting))
        assert bias_of_flat(decision) == "run"
        (note,) = decision.warnings
        assert "no flat uses 2 masters of an earlier master_format or layout" in note
        assert f"{bias.master} is {decision.jobs[0].master} now" in note
        assert "library" not in note.replace("ap-library", "")
        # The JSON beside them is that of the new masters, after the run.
        for job in decision.jobs:
            write_record(job, settings.output_dir / job.master)
    (settings.output_dir / bias.master).unlink()
    (note,) = decide(make_settings(**setting)).warnings
    assert f"no flat uses 1 master of an earlier master_format or layout: {flat.master} is" in note
    (settings.output_dir / flat.master).unlink()
    assert not decide(make_settings(**setting)).warnings


def test_a_master_of_another_format_is_used_when_its_frames_are_gone(
    settings: Settings, make_settings: Callable[..., Settings], made: Decision
) -> None:
    shutil.rmtree(settings.input_dir / "bias")
    decision = decide(make_settings(master_format="fits"))
    assert bias_of_flat(decision) == "kept"
    (note,) = decision.warnings
    assert f"{made.jobs[1].master} is {decision.jobs[-1].master} now" in note


def test_a_master_without_a_record_is_used(settings: Settings, made: Decision) -> None:
    (settings.output_dir / made.jobs[0].record).unlink()
    for number in range(2):
        (settings.input_dir / f"bias/{number}.fits").unlink()
    assert bias_of_flat(decide(settings)) == "kept"
