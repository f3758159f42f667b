"""Two runs at once on one output_dir, one library, one cache; frames that arrive during a run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_workflow import ALL, BIAS, BLUE, DARK, RED, Workflow, add_another, frame, times

pytestmark = pytest.mark.slow

#: Another run on an output_dir, as long as it may live.
OTHER = """
import sys
from pathlib import Path
from calmasters.running.run import Run
Run(Path(sys.argv[1])).begin()
print("at work", flush=True)
input()
"""


@pytest.fixture
def other(made: Workflow) -> Iterator[subprocess.Popen[str]]:
    """Another run, at work on the same output_dir."""
    with subprocess.Popen(
        [sys.executable, "-c", OTHER, str(made.output)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdout
        assert run.stdout.readline() == "at work\n"
        yield run
        run.kill()


@pytest.fixture
def elsewhere(made: Workflow, tmp_path: Path) -> Workflow:
    """The same frames and output_dir, from another working directory."""
    workflow = Workflow(tmp_path / "elsewhere")
    workflow.directory.mkdir()
    workflow.configure(input_dir=str(made.frames), output_dir=str(made.output))
    workflow.frames, workflow.output = made.frames, made.output
    return workflow


def state(workflow: Workflow) -> dict[str, int]:
    found = (path for path in workflow.output.rglob("*") if path.is_file())
    return {str(path): path.stat().st_mtime_ns for path in found if path.name != ".lock"}


def add(workflow: Workflow, kind: str, number: int = 0) -> None:
    add_another(frame(workflow, kind, number), f"added{number}.fits")


def test_a_second_run_is_refused_and_touches_nothing(
    made: Workflow, elsewhere: Workflow, other: subprocess.Popen[str]
) -> None:
    # Nothing to do is nothing to refuse.
    assert made.run("masters").nothing_to_do
    numbers = made.output / "masters" / "dark" / f"{DARK}.json"
    numbers.unlink()
    before = state(made)
    # The plan holds and a master does not; then the plan does not hold either.
    for workflow in (made, elsewhere):
        run = workflow.run("masters", succeeds=False)
        assert "another run is at work there" in run.output
        assert f"process {other.pid} on" in run.output
    assert state(made) == before


def test_looking_needs_no_lock(made: Workflow, other: subprocess.Popen[str]) -> None:
    add(made, "dark")
    assert made.run("-n", "masters").jobs
    assert made.run("why", "summary", "orphans").jobs == ["orphans", "summary", "why"]
    assert (made.output / ".lock").is_file()


def test_a_run_takes_over_from_one_that_was_killed_and_says_so(
    made: Workflow, elsewhere: Workflow, other: subprocess.Popen[str]
) -> None:
    other.kill()
    other.wait()
    add(made, "blue")
    run = elsewhere.run("masters")
    assert "The previous run was interrupted" in run.output
    assert f"process {other.pid} on" in run.output
    assert run.jobs == sorted(["inventory", BLUE])
    assert not (made.output / ".lock").exists()


def test_of_two_started_together_one_makes_and_the_other_harms_nothing(
    made: Workflow, elsewhere: Workflow
) -> None:
    shutil.rmtree(made.output / "masters")
    started = [(each, each.start("masters", seen=lambda: True)) for each in (made, elsewhere)]
    runs = [workflow.finish(run) for workflow, run in started]
    refused = [run.output for run in runs if run.code]
    assert all("another run is at work there" in output for output in refused), refused
    assert len(refused) < 2, refused
    assert set(times(made)) == set(ALL)
    # Paths are settings: written otherwise, they make the inventory again, and no master.
    assert elsewhere.run("masters").jobs in ([], ["inventory"])


def test_frames_that_arrive_during_a_run_are_for_the_next(made: Workflow) -> None:
    for kind in ("bias", "dark", "blue"):
        add(made, kind)
    bias = made.output / "masters" / "bias" / f"{BIAS}.json"
    bias.unlink()
    run = made.start("masters", "--cores", "1", seen=bias.is_file)
    add(made, "red", 1)
    add(made, "bias", 1)
    assert made.finish(run).code == 0, made.said
    assert len(json.loads(bias.read_text())["frames"]) == 5
    assert made.run("masters").jobs == sorted(["inventory", BIAS, BLUE, RED])
    assert len(json.loads(bias.read_text())["frames"]) == 6


def test_two_outputs_share_a_library_at_once(made: Workflow, tmp_path: Path) -> None:
    library = {kind: [str(made.output / "masters" / kind)] for kind in ("bias", "dark")}
    before = state(made)
    runs = []
    for name in ("one", "two"):
        workflow = Workflow(tmp_path / name)
        shutil.copytree(made.frames, workflow.frames, ignore=shutil.ignore_patterns("BIAS", "DARK"))
        workflow.configure(library=library)
        runs.append((workflow, workflow.start("masters", seen=lambda: True)))
    for workflow, run in runs:
        assert workflow.finish(run).code == 0, workflow.said
        assert set(times(workflow)) == {BLUE, RED}
        assert {entry["dark"]["origin"] for entry in workflow.plan["masters"].values()} == {
            "library"
        }
    assert state(made) == before
