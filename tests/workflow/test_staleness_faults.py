"""Clocks, copies, touches, kills and lost files: no stale master ever counts as current.

What is right is decided by pixels: those of a workflow that nothing disturbed, before and after
one dark frame was changed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from real_workflow import (
    ALL,
    BIAS,
    BLUE,
    DARK,
    FLATS,
    REPOSITORY,
    TINY,
    Workflow,
    copied,
    frame,
)

from calmasters.images.master_file import read_image
from calmasters.running.lock import RunLock
from calmasters.synthetic.session import write_session

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals and pipes of POSIX"),
]

SECOND_NS = 10**9
HOUR_NS = 3_600 * SECOND_NS
DAY_NS = 24 * HOUR_NS


def cases(all_of_them: Mapping[str, Any]) -> list[Any]:
    """Give the cases of a test by their names."""
    return [
        pytest.param(*(case if isinstance(case, list) else [case]), id=name)
        for name, case in all_of_them.items()
    ]


def pixels(workflow: Workflow) -> dict[str, bytes]:
    found = workflow.output.glob("masters/*/*.xisf")
    return {path.stem: read_image(path)[0].tobytes() for path in found}


Change = Callable[[Workflow], None]


def date(path: Path, mtime_ns: int) -> None:
    os.utime(path, ns=(mtime_ns, mtime_ns))


def change_dark(workflow: Workflow) -> Path:
    """Give a dark frame other pixels, and thereby its master and all flats."""
    path = frame(workflow, "dark")
    content = path.read_bytes()
    # The pixels of so small a frame lie in the last block.
    start = len(content) - 2880
    end = start + 2 * TINY.camera.width * TINY.camera.height
    turned = np.frombuffer(content[start:end], dtype=">i2")[::-1].tobytes()
    path.write_bytes(content[:start] + turned + content[end:])
    return path


@dataclass(frozen=True)
class Truth:
    """The pixels of all masters: as first made, and when a dark frame has changed."""

    before: dict[str, bytes]
    after: dict[str, bytes]


@pytest.fixture(scope="session")
def truth(made_session: Path, tmp_path_factory: pytest.TempPathFactory) -> Truth:
    workflow = copied(made_session, tmp_path_factory.mktemp("truth"))
    before = pixels(workflow)
    change_dark(workflow)
    workflow.run("masters")
    after = pixels(workflow)
    assert {name for name in ALL if before[name] != after[name]} == {DARK, *FLATS}
    return Truth(before, after)


def written(workflow: Workflow) -> dict[str, str]:
    """The record of each master: the seconds that it took differ each time a master is made."""
    found = workflow.output.glob("masters/*/*.json")
    return {path.stem: path.read_text(encoding="utf-8") for path in found}


def see_made_again(workflow: Workflow, *expected: str) -> None:
    """Run what a dry run predicts, and see that just these masters were made."""
    before = written(workflow)
    run = workflow.run_as_predicted()
    assert run.jobs == sorted(expected)
    after = written(workflow)
    made = {name for name in after if after[name] != before.get(name)}
    assert made == set(expected) - {"inventory"}


def see_no_master_made(workflow: Workflow) -> None:
    """Run what a dry run predicts, and see that it is the inventory at most."""
    before = written(workflow)
    assert set(workflow.run_as_predicted().jobs) <= {"inventory"}
    assert written(workflow) == before


def files_of(workflow: Workflow, *patterns: str) -> list[Path]:
    """Files of output_dir, in the order of the patterns and their names; each once."""
    found = [path for pattern in patterns for path in sorted(workflow.output.glob(pattern))]
    return [path for path in dict.fromkeys(found) if path.is_file()]


def forget(workflow: Workflow) -> None:
    shutil.rmtree(workflow.directory / ".snakemake")


# --- runs that are killed after a job has failed --------------------------------------------------

#: Comes before the script that makes a master.
GATE = """
import sys
from pathlib import Path

fails, held = (Path({faults!r}, snakemake.wildcards.name + end) for end in (".fails", ".held"))
if fails.exists():
    fails.unlink()
    sys.exit("fails once, as the test asks")
if held.exists():
    held.with_suffix(".begun").touch()
    held.read_bytes()
"""


class Faults:
    """The workflow with a script that fails, or does not end, where the test says so."""

    def __init__(self, workflow: Workflow, place: Path) -> None:
        self._workflow = workflow
        self._place = place / "faults"
        self._place.mkdir()
        workflow.repository = place / "repository"
        for name in ("config", "profiles", "rules", "scripts"):
            shutil.copytree(REPOSITORY / name, workflow.repository / name)
        shutil.copy(REPOSITORY / "Snakefile", workflow.repository)
        script = workflow.repository / "scripts" / "master.py"
        gate = GATE.format(faults=str(self._place))
        script.write_text(gate + script.read_text(encoding="utf-8"), encoding="utf-8")

    def fail_once(self, master: str) -> None:
        (self._place / f"{master}.fails").touch()

    def hold(self, master: str) -> None:
        os.mkfifo(self._place / f"{master}.held")

    def kill_when_held(self, master: str, *arguments: str) -> str:
        """Start a run, kill all of it when the held job is at work, and tell what it said."""
        begun = self._place / f"{master}.begun"
        run = self._workflow.start("masters", *arguments, seen=begun.exists)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait(60)
        for path in self._place.iterdir():
            path.unlink()
        return self._workflow.said


@pytest.fixture
def faults(made: Workflow, tmp_path: Path) -> Faults:
    return Faults(made, tmp_path)


def touch_bias_frame(workflow: Workflow) -> None:
    """Have the bias made again, of the same pixels."""
    date(frame(workflow, "bias"), time.time_ns())


@pytest.mark.parametrize("planned", ["by that run", "before"])
def test_a_failed_rebuild_of_a_killed_run_is_made_again(
    made: Workflow, faults: Faults, truth: Truth, planned: str
) -> None:
    change_dark(made)
    touch_bias_frame(made)
    if planned == "before":
        made.run("inventory")
    faults.fail_once(DARK)
    faults.hold(BIAS)
    # With one core, the bias begins when Snakemake is through with the failed dark.
    first = ("--prioritize", f"output/masters/dark/{DARK}.xisf")
    said = faults.kill_when_held(BIAS, "--keep-going", "--cores", "1", *first)
    assert "Error in rule master_dark" in said
    see_made_again(made, BIAS, DARK, *FLATS)
    assert pixels(made) == truth.after


def test_a_rebuild_killed_in_its_second_attempt_is_made_again(
    made: Workflow, faults: Faults, truth: Truth
) -> None:
    change_dark(made)
    faults.fail_once(DARK)
    faults.hold(DARK)
    said = faults.kill_when_held(DARK, "--retries", "1")
    assert "Error in rule master_dark" in said
    see_made_again(made, DARK, *FLATS)
    assert pixels(made) == truth.after


def test_a_rebuild_killed_at_work_is_made_again(
    made: Workflow, faults: Faults, truth: Truth
) -> None:
    change_dark(made)
    faults.hold(DARK)
    faults.kill_when_held(DARK)
    see_made_again(made, DARK, *FLATS)
    assert pixels(made) == truth.after


def test_a_flat_that_failed_in_a_killed_run_is_made_again(
    made: Workflow, faults: Faults, truth: Truth
) -> None:
    change_dark(made)
    red = next(name for name in FLATS if name != BLUE)
    faults.fail_once(BLUE)
    faults.hold(red)
    first = ("--prioritize", f"output/masters/flat/{BLUE}.xisf")
    said = faults.kill_when_held(red, "--keep-going", "--cores", "1", *first)
    assert "Error in rule master_flat" in said
    see_made_again(made, *FLATS)
    assert pixels(made) == truth.after


# --- changes that are taken back ------------------------------------------------------------------


def plan_and_take_back_a_setting(workflow: Workflow) -> None:
    workflow.configure(integration={"dark": {"combination": "Median"}})
    workflow.run("inventory")
    workflow.configure()


def plan_and_take_back_a_frame(workflow: Workflow) -> None:
    gone = frame(workflow, "dark")
    aside = workflow.directory / "aside"
    gone.rename(aside)
    workflow.run("inventory")
    aside.rename(gone)


TAKEN_BACK = {
    "a setting": plan_and_take_back_a_setting,
    "a frame": plan_and_take_back_a_frame,
}


@pytest.mark.parametrize("change", cases(TAKEN_BACK))
def test_a_change_taken_back_after_the_inventory_makes_no_master_again(
    made: Workflow, truth: Truth, change: Change
) -> None:
    change(made)
    see_made_again(made, "inventory")
    assert pixels(made) == truth.before


# --- two at once ----------------------------------------------------------------------------------


def read_once(path: Path) -> None:
    """Have a file vanish while it is read for the first time; the reader gets all of it."""
    content, mtime_ns = path.read_bytes(), path.stat().st_mtime_ns
    path.unlink()
    os.mkfifo(path)
    date(path, mtime_ns)

    def serve() -> None:
        with path.open("wb") as pipe:  # waits for the reader
            path.unlink()
            pipe.write(content)

    Thread(target=serve, daemon=True).start()


def test_a_plan_that_another_run_removes_meanwhile_is_reported(made: Workflow) -> None:
    other = RunLock(made.output)
    other.take()
    try:
        read_once(made.output / "plan.json")
        done = subprocess.run(
            made.command("masters"), cwd=made.directory, capture_output=True, text=True, timeout=300
        )
    finally:
        other.release()
    output = done.stdout + done.stderr
    assert "Nothing to be done" in output or "another run is at work there" in output, output
    assert "Traceback" not in output


# --- the report -----------------------------------------------------------------------------------


@pytest.fixture
def with_library(made: Workflow, tmp_path: Path) -> Workflow:
    """Flats alone, with bias and dark from a library."""
    workflow = Workflow(tmp_path / "with library")
    session = {"bias": 0, "darks": 0, "lights": 0, "flats": 4, "filters": ("B",)}
    write_session(workflow.frames, TINY.__class__(**{**vars(TINY), **session}))
    library = shutil.copytree(made.output / "masters", workflow.directory / "library")
    shutil.rmtree(library / "flat")
    workflow.configure(library={"bias": ["library/bias"], "dark": ["library/dark"]})
    return workflow


def test_a_library_bias_ahead_of_the_clock_counts_in_the_report(with_library: Workflow) -> None:
    quality = with_library.output / "quality" / f"{BLUE}.json"
    numbers = []
    for ahead_ns in (-DAY_NS, DAY_NS):
        bias = next(with_library.directory.glob("library/bias/*.xisf"))
        date(bias, time.time_ns() + ahead_ns)
        with_library.run(f"output/quality/{BLUE}.json")
        numbers.append(json.loads(quality.read_text(encoding="utf-8"))["numbers"])
        quality.unlink()
    assert numbers[0] == numbers[1]


# --- clocks ---------------------------------------------------------------------------------------


def set_clock_back(workflow: Workflow) -> None:
    """Have all that was written today lie ahead, as after a clock was set back by three hours."""
    now_ns = time.time_ns()
    for path in files_of(workflow, "**/*"):
        mtime_ns = path.stat().st_mtime_ns
        if mtime_ns > now_ns - DAY_NS:
            date(path, mtime_ns + 3 * HOUR_NS)


def date_all_ahead(workflow: Workflow) -> None:
    ahead_ns = time.time_ns() + 3 * HOUR_NS
    for path in files_of(workflow, "**/*"):
        date(path, ahead_ns)


CLOCKS = {"as they were made": set_clock_back, "at one time": date_all_ahead}


@pytest.mark.parametrize("clock", cases(CLOCKS))
def test_results_dated_ahead_are_used_and_made_again_when_stale(
    made: Workflow, truth: Truth, clock: Change
) -> None:
    clock(made)
    assert made.run("-n", "masters").nothing_to_do
    assert made.run("masters").nothing_to_do
    assert pixels(made) == truth.before
    change_dark(made)
    see_made_again(made, "inventory", DARK, *FLATS)
    assert pixels(made) == truth.after


def test_a_change_is_seen_at_once_when_the_clock_was_set_back(made: Workflow, truth: Truth) -> None:
    set_clock_back(made)
    change_dark(made)
    see_made_again(made, "inventory", DARK, *FLATS)
    assert pixels(made) == truth.after


def test_what_was_planned_is_made_when_the_clock_was_set_back(made: Workflow, truth: Truth) -> None:
    change_dark(made)
    made.run("inventory")
    set_clock_back(made)
    see_made_again(made, DARK, *FLATS)
    assert pixels(made) == truth.after


# --- times of two seconds -------------------------------------------------------------------------


def truncate(*paths: Path) -> None:
    for path in paths:
        date(path, path.stat().st_mtime_ns // (2 * SECOND_NS) * 2 * SECOND_NS)


@pytest.mark.parametrize("planned", ["by the run", "before"])
def test_times_of_two_seconds_are_enough(made: Workflow, truth: Truth, planned: str) -> None:
    truncate(*made.frames.rglob("*.fits"))
    made.run("masters")
    truncate(*files_of(made, "**/*"))
    assert made.run("-n", "masters").nothing_to_do
    assert made.run("masters").nothing_to_do
    before_ns = frame(made, "dark").stat().st_mtime_ns
    date(change_dark(made), before_ns + 2 * SECOND_NS)
    if planned == "before":
        time.sleep(2)  # a plan of the same two seconds as the change is made again
        made.run("inventory")
        truncate(*files_of(made, "**/*"))
    inventory = [] if planned == "before" else ["inventory"]
    see_made_again(made, *inventory, DARK, *FLATS)
    assert pixels(made) == truth.after
    truncate(*files_of(made, "**/*"))
    assert made.run("masters").nothing_to_do


# --- copies without times -------------------------------------------------------------------------

ORDERS = {
    "jobs before masters": ("jobs/**/*", "masters/**/*", "**/*"),
    "masters before jobs": ("masters/**/*", "jobs/**/*", "**/*"),
    "flats first and the plan last": ("masters/flat/*", "masters/**/*", "jobs/**/*", "**/*"),
}


def copy_without_times(workflow: Workflow, order: tuple[str, ...], step_ns: int) -> None:
    """Date all of output_dir as ``cp -r`` does, some milliseconds after each other."""
    files = files_of(workflow, *order)
    start_ns = time.time_ns() - len(files) * step_ns - SECOND_NS
    for number, path in enumerate(files):
        date(path, start_ns + number * step_ns)


@pytest.mark.parametrize("order", ["jobs before masters", "masters before jobs"])
def test_current_masters_copied_without_times_are_not_made_again(
    made: Workflow, truth: Truth, order: str
) -> None:
    copy_without_times(made, ORDERS[order], 5_000_000)
    forget(made)
    see_no_master_made(made)
    assert pixels(made) == truth.before


def test_flats_copied_before_their_bias_are_made_again(made: Workflow, truth: Truth) -> None:
    # The bias is newer: somebody may have replaced it.
    copy_without_times(made, ORDERS["flats first and the plan last"], 5_000_000)
    assert set(made.run_as_predicted().jobs) <= {"inventory", *FLATS}
    assert pixels(made) == truth.before


@pytest.mark.parametrize("order", cases(ORDERS))
def test_stale_masters_copied_without_times_are_made_again(
    made: Workflow, truth: Truth, order: tuple[str, ...]
) -> None:
    change_dark(made)
    made.run("inventory")
    copy_without_times(made, order, 5_000_000)
    forget(made)
    made.run_as_predicted()
    assert pixels(made) == truth.after


def test_current_masters_copied_in_one_tick_of_the_clock_are_not_made_again(
    made: Workflow, truth: Truth
) -> None:
    copy_without_times(made, ("**/*",), 0)
    forget(made)
    see_no_master_made(made)
    assert pixels(made) == truth.before


def test_stale_masters_copied_in_one_tick_of_the_clock_are_made_again(
    made: Workflow, truth: Truth
) -> None:
    change_dark(made)
    made.run("inventory")
    copy_without_times(made, ("**/*",), 0)
    forget(made)
    made.run_as_predicted()
    assert pixels(made) == truth.after


# --- times that Snakemake takes for none ----------------------------------------------------------


ZERO = {
    "the plan": ("plan.json",),
    "the masters and their records": ("masters/**/*",),
    "everything": ("**/*",),
}


@pytest.mark.parametrize("files", cases(ZERO))
@pytest.mark.parametrize("planned", ["by that run", "before"])
def test_a_stale_master_is_made_again_where_files_have_the_time_0(
    made: Workflow, truth: Truth, files: tuple[str, ...], planned: str
) -> None:
    change_dark(made)
    if planned == "before":
        made.run("inventory")
    for path in files_of(made, *files):
        date(path, 0)
    assert set(made.run_as_predicted().jobs) - {"inventory"} == {DARK, *FLATS}
    assert pixels(made) == truth.after


# --- masters that are not those of their records --------------------------------------------------


def test_a_truncated_bias_is_made_again_and_its_flats(made: Workflow, truth: Truth) -> None:
    (bias,) = made.output.glob("masters/bias/*.xisf")
    before = bias.stat().st_mtime_ns
    bias.write_bytes(bias.read_bytes()[:4000])
    date(bias, before)
    see_made_again(made, "inventory", BIAS, *FLATS)
    assert pixels(made) == truth.before


def test_flats_are_made_again_where_an_older_version_of_a_kept_dark_comes_back(
    made: Workflow, truth: Truth
) -> None:
    folder, backup = made.output / "masters" / "dark", made.directory / "backup"
    shutil.copytree(folder, backup)
    change_dark(made)
    made.run("masters")
    darks = next(path for path in made.frames.rglob("DARK"))
    darks.rename(made.directory / "archive")
    see_made_again(made, "inventory")
    shutil.copytree(backup, folder, dirs_exist_ok=True)
    see_made_again(made, "inventory", *FLATS)
    assert pixels(made) == truth.before


def test_masters_ahead_of_the_clock_are_used_also_without_a_plan(
    made: Workflow, truth: Truth
) -> None:
    ahead = time.time_ns() + DAY_NS
    for path in files_of(made, "masters/**/*"):
        date(path, ahead)
    lose_plan(made)
    change_dark(made)
    see_made_again(made, "inventory", DARK, *FLATS)
    assert pixels(made) == truth.after


def test_until_is_refused_where_the_plan_has_to_be_made_first(made: Workflow) -> None:
    change_dark(made)
    for arguments in (["-n"], []):
        run = made.run("masters", "--until", "master_dark", *arguments, succeeds=False)
        assert "run 'snakemake inventory' first" in run.output
    made.run("inventory")
    assert made.run("masters", "--until", "master_dark").jobs == [DARK]


# --- touched files --------------------------------------------------------------------------------

TOUCHED = {
    "the dark": ("masters/dark/*.xisf",),
    "the dark and its record": ("masters/dark/*",),
    "the job files": ("jobs/**/*",),
    "everything": ("**/*",),
}


def touch(workflow: Workflow, *patterns: str) -> None:
    for path in files_of(workflow, *patterns):
        path.touch()


@pytest.mark.parametrize("touched", cases(TOUCHED))
def test_what_is_touched_stays_right_and_predicted(
    made: Workflow, truth: Truth, touched: tuple[str, ...]
) -> None:
    touch(made, *touched)
    made.run_as_predicted()
    assert pixels(made) == truth.before


@pytest.mark.parametrize("touched", cases(TOUCHED))
def test_a_touch_makes_no_stale_master_current(
    made: Workflow, truth: Truth, touched: tuple[str, ...]
) -> None:
    change_dark(made)
    made.run("inventory")
    touch(made, *touched)
    made.run_as_predicted()
    assert pixels(made) == truth.after


def test_snakemakes_own_touch_makes_no_stale_master_current(made: Workflow, truth: Truth) -> None:
    change_dark(made)
    made.run("--touch", "masters")
    made.run_as_predicted()
    assert pixels(made) == truth.after


def test_snakemakes_own_touch_makes_no_master_current_that_was_planned_again(
    made: Workflow, truth: Truth
) -> None:
    change_dark(made)
    made.run("inventory")
    made.run("--touch", "masters")
    made.run_as_predicted()
    assert pixels(made) == truth.after


def test_snakemakes_own_touch_of_current_masters_leaves_nothing_to_do(
    made: Workflow, truth: Truth
) -> None:
    made.run("--touch", "masters")
    assert made.run("-n", "masters").nothing_to_do
    assert made.run("masters").nothing_to_do
    assert pixels(made) == truth.before


# --- all by force ---------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["current", "stale"])
def test_all_is_made_again_by_force_and_then_nothing(
    made: Workflow, truth: Truth, state: str
) -> None:
    if state == "stale":
        change_dark(made)
    before = written(made)
    predicted = made.run("-n", "masters", "--forceall")
    run = made.run("masters", "--forceall")
    assert run.jobs == predicted.jobs == sorted(["inventory", *ALL])
    after = written(made)
    assert all(after[name] != before[name] for name in ALL)
    assert made.run("masters").nothing_to_do
    assert pixels(made) == (truth.before if state == "current" else truth.after)


# --- files that are lost --------------------------------------------------------------------------


def lose_plan(workflow: Workflow) -> None:
    (workflow.output / "plan.json").unlink()


def lose_jobs_and_records(workflow: Workflow) -> None:
    shutil.rmtree(workflow.output / "jobs")
    forget(workflow)


def lose_all_but_masters(workflow: Workflow) -> None:
    lose_plan(workflow)
    lose_jobs_and_records(workflow)


LOST: dict[str, list[Any]] = {
    "what Snakemake remembers": [forget, ()],
    "all but the masters": [lose_all_but_masters, ("inventory",)],
}


@pytest.mark.parametrize(("lose", "expected"), cases(LOST))
def test_no_master_is_made_again_for_what_is_lost(
    made: Workflow, truth: Truth, lose: Change, expected: tuple[str, ...]
) -> None:
    lose(made)
    see_made_again(made, *expected)
    assert pixels(made) == truth.before


@pytest.mark.parametrize(("lose", "expected"), cases(LOST))
def test_stale_masters_are_made_again_whatever_is_lost(
    made: Workflow, truth: Truth, lose: Change, expected: tuple[str, ...]
) -> None:
    change_dark(made)
    made.run("inventory")
    lose(made)
    see_made_again(made, *expected, DARK, *FLATS)
    assert pixels(made) == truth.after
