"""Masters that another machine made: its clock, its slow copies."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_workflow import Workflow, add_another

pytestmark = pytest.mark.slow

TOMORROW_S = 86_400


@pytest.fixture
def made(made_once: tuple[Workflow, object, object], tmp_path: Path) -> Workflow:
    directory = made_once[0].directory
    return Workflow(Path(shutil.copytree(directory, tmp_path / "work", symlinks=True)))


def date(path: Path, ahead_s: float) -> None:
    then = time.time() + ahead_s
    os.utime(path, (then, then))


def flats_of(workflow: Workflow) -> list[Path]:
    return [path for path in workflow.frames.rglob("*_B_*.fits") if "FLAT" in path.parts]


def add_flat(workflow: Workflow) -> None:
    flat = min(flats_of(workflow))
    add_another(flat, "added.fits")


# --- clocks ---------------------------------------------------------------------------------------


def test_masters_that_a_fast_clock_has_dated_are_used_and_made_again_when_stale(
    made: Workflow,
) -> None:
    for path in made.output.rglob("*"):
        then = path.stat().st_mtime + TOMORROW_S
        os.utime(path, (then, then))
    assert made.run("masters").nothing_to_do
    add_flat(made)
    jobs = made.run_as_predicted().jobs
    assert [job for job in jobs if job.startswith("master")] == [
        name for name in made.masters if "FILTER-B" in name
    ]


def test_a_frame_is_noticed_when_the_clock_was_set_back(made: Workflow) -> None:
    # What was made counts as written tomorrow, by flats that are older than their bias and dark.
    for path in made.output.rglob("masters/*/*"):
        date(path, TOMORROW_S if path.parent.name == "flat" else TOMORROW_S - 60)
    bias = min(made.frames.rglob("BIAS/*.fits"))
    bias.unlink()
    jobs = made.run_as_predicted().jobs
    assert [job for job in jobs if job.startswith("master")] == [
        name for name in made.masters if not name.startswith("masterDark")
    ]


# --- a shared library -----------------------------------------------------------------------------


@pytest.fixture
def flats_alone(made: Workflow, tmp_path: Path) -> Workflow:
    """Flats on another machine, which takes bias and dark from an empty library."""
    workflow = Workflow(tmp_path / "other machine")
    workflow.frames.mkdir(parents=True)
    for path in flats_of(made):
        shutil.copy2(path, workflow.frames)
    library = tmp_path / "library"
    library.mkdir()
    workflow.configure(library={"bias": [str(library)], "dark": [str(library)]})
    return workflow


SLOW_COPY = """
import sys, time
content = open(sys.argv[1], "rb").read()
with open(sys.argv[2], "wb") as file:
    for start in range(0, len(content), 512):
        file.write(content[start : start + 512])
        file.flush()
        if start > len(content) // 2:
            print("half", flush=True)
            sys.stdin.readline()
"""


@pytest.fixture
def slow_copies(made: Workflow, tmp_path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Bias and dark on their way to the library, by processes that wait when half is written."""
    copies = []
    for master in made.output.glob("masters/[bd]*/*.xisf"):
        command = [sys.executable, "-c", SLOW_COPY, master, tmp_path / "library" / master.name]
        copies.append(
            subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        )
    yield copies
    for copy in copies:
        copy.kill()
        copy.communicate()


def used(workflow: Workflow) -> list[object]:
    (flat,) = workflow.plan["masters"].values()
    return [flat["bias"] and flat["bias"]["origin"], flat["dark"] and flat["dark"]["origin"]]


def test_a_master_that_is_still_being_copied_is_not_read_half(
    flats_alone: Workflow, slow_copies: list[subprocess.Popen[str]]
) -> None:
    for copy in slow_copies:
        assert copy.stdout is not None
        assert copy.stdout.readline() == "half\n"
    flats_alone.run("masters")
    assert used(flats_alone) == [None, None]
    log = (flats_alone.output / "logs" / "inventory.log").read_text(encoding="utf-8")
    assert log.count(".xisf is truncated") == len(slow_copies)
    for copy in slow_copies:
        copy.communicate("\n" * 10_000)
        assert copy.returncode == 0
    assert [*flats_alone.run_as_predicted().jobs] == ["inventory", *flats_alone.masters]
    assert used(flats_alone) == ["library", "library"]


def test_a_library_master_dated_tomorrow_is_used(flats_alone: Workflow, made: Workflow) -> None:
    for master in made.output.glob("masters/[bd]*/*.xisf"):
        library = flats_alone.directory.parent / "library" / master.name
        shutil.copy(master, library)
        date(library, TOMORROW_S)
    flats_alone.run("masters")
    assert used(flats_alone) == ["library", "library"]
    assert flats_alone.run("masters").nothing_to_do
