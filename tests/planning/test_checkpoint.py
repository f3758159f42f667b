"""What the checkpoint writes, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from calmasters.errors import FrameError
from calmasters.model.layout import (
    HEADER_CACHE,
    INVENTORY,
    JOBS,
    PLAN,
    PREVIOUS_MASTERS,
    SUGGESTED,
)
from calmasters.model.master_record import MasterRecord
from calmasters.planning.checkpoint import refresh_plan
from calmasters.planning.plan_file import Plan
from calmasters.settings import Settings

AddFrame = Callable[..., Path]


@pytest.fixture
def frames(add_frame: AddFrame) -> list[Path]:
    """Three frames of a bias, and three of a flat."""
    return [
        add_frame(f"{kind}/{number}.fits", kind, {"DATE-OBS": f"2026-01-15T20:00:0{number}"})
        for kind in ("bias", "flat")
        for number in range(3)
    ]


def test_the_plan_and_what_belongs_to_it_are_written(
    settings: Settings, frames: list[Path]
) -> None:
    decision = refresh_plan(settings)
    output = settings.output_dir
    for path in (INVENTORY, PLAN, HEADER_CACHE):
        assert (output / path).stat().st_size > 0, path
    assert not (output / SUGGESTED).exists()
    assert Plan.load(output / PLAN) == Plan.of(decision)
    assert {path.relative_to(output).as_posix() for path in (output / JOBS).rglob("*.*")} == {
        job.file for job in decision.jobs
    }


def test_settings_that_would_help_are_suggested(settings: Settings, add_frame: AddFrame) -> None:
    for number in range(3):
        add_frame(f"bias/{number}.fits")
    add_frame("bias/odd.fits", cards={"GAIN": None})
    refresh_plan(settings)
    assert "assume_keywords" in (settings.output_dir / SUGGESTED).read_text(encoding="utf-8")


def test_job_files_of_groups_that_are_gone_go(settings: Settings, frames: list[Path]) -> None:
    _, flat = refresh_plan(settings).jobs
    note = settings.output_dir / JOBS / "note.txt"
    note.touch()
    for path in frames[3:]:
        path.unlink()
    refresh_plan(settings)
    assert not (settings.output_dir / flat.file).exists()
    assert note.exists()


def test_only_a_master_that_is_made_again_is_kept_as_it_was(
    settings: Settings, frames: list[Path], write_record: Callable[..., MasterRecord]
) -> None:
    output = settings.output_dir
    bias, flat = refresh_plan(settings).jobs
    for job in (bias, flat):
        write_record(job, output / job.master)
    refresh_plan(settings)
    assert not (output / PREVIOUS_MASTERS).exists()
    frames[3].unlink()
    frames[4].unlink()  # too few for a flat
    refresh_plan(settings)
    assert not (output / PREVIOUS_MASTERS).exists()
    frames[0].write_bytes(frames[0].read_bytes() + bytes(2880))
    refresh_plan(settings)
    assert (output / PREVIOUS_MASTERS / bias.master).exists()
    assert not (output / PREVIOUS_MASTERS / flat.master).exists()


def test_nothing_is_written_where_a_damaged_frame_stops_the_run(
    make_settings: Callable[..., Settings], frames: list[Path]
) -> None:
    frames[0].write_bytes(b"")
    settings = make_settings(on_bad_frame="fail")
    with pytest.raises(FrameError, match=r"bias/0\.fits"):
        refresh_plan(settings)
    for path in (PLAN, JOBS, INVENTORY):
        assert not (settings.output_dir / path).exists()
