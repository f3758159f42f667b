"""What the rules tell that write nothing: why masters are made, and which nobody makes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from real_workflow import Workflow, add_another
from warm_python import warm_python


@pytest.fixture
def made(made_once: tuple[Workflow, object, object], tmp_path: Path) -> Workflow:
    """A session of its own whose masters are made."""
    directory = made_once[0].directory
    return Workflow(Path(shutil.copytree(directory, tmp_path / "work", symlinks=True)))


def printed(workflow: Workflow, *arguments: str) -> str:
    """What is printed on standard error; nothing may go to standard output, nothing be written."""
    before = files(workflow)
    done = subprocess.run(
        workflow.command(*arguments, python=warm_python()),
        cwd=workflow.directory,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    assert files(workflow) == before
    return done.stderr


def files(workflow: Workflow) -> set[tuple[Path, int]]:
    return {(path, path.stat().st_mtime_ns) for path in workflow.output.rglob("*")}


def test_why_tells_what_changed_in_words_as_a_dry_run_does(made: Workflow) -> None:
    assert "Every master is current." in printed(made, "why")
    bias = sorted(made.frames.rglob("BIAS/*.fits"))
    add_another(bias[0], "late.fits")
    made.configure(integration={"dark": {"sigmaHigh": 2.5}})
    name = bias[0].with_name("late.fits").relative_to(made.frames).as_posix()
    words = (
        f"1 frame added: {name}",
        "integration.sigmaHigh: 3.0 is now 2.5",
        "its bias is rebuilt",
        "its dark is rebuilt",
    )
    why, predicted = printed(made, "why"), made.run("-n", "masters").output
    for word in words:
        assert word in why
        assert word in predicted
    made.run("masters")
    reasons = [reason for entry in made.plan["masters"].values() for reason in entry["why"]]
    assert set(words[:2]) <= set(reasons)
    assert "Every master is current." in printed(made, "why")


def test_orphans_are_listed_and_the_unused_moved_only_when_asked(made: Workflow) -> None:
    assert "No orphans" in printed(made, "orphans")
    flats = [path for path in made.frames.rglob("*_Ha_*.fits") if "FLAT" in path.parts]
    for path in [*made.frames.rglob("DARK/**/*.fits"), *flats]:
        path.unlink()
    text = printed(made, "orphans")
    assert text.count("its frames are missing") == 3
    assert text.count("used by masterFlat_FILTER-B") == 1
    assert text.count("used by no flat") == 2
    masters = set(made.masters)
    made.run("orphans", "--config", "prune=true")
    kept = {name for name in masters if "EXPOSURE-60" not in name and "FILTER-Ha" not in name}
    assert set(made.masters) == kept
    aside = {path.stem for path in made.output.glob("orphans/masters/*/*.xisf")}
    assert aside == masters - kept
    # Frames have gone, and the flats that are left use what they used.
    assert made.run_as_predicted().jobs == ["inventory"]
