"""The workflow with ``engine: pixinsight``: the real Snakefile with the stand-in program."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jobs_for_pixinsight import Program, assert_ended, is_ended
from warm_python import warm_python

from calmasters.images.master_file import read_image
from calmasters.synthetic.session import main as write_session

REPOSITORY = Path(__file__).parents[2]
SMALL = (
    *("--size", "24", "16", "--bias", "3", "--darks", "3", "--dark-exposures", "1.5"),
    *("--flats", "3", "--nights", "1", "--lights", "0", "--broken", "0"),
)


class Workflow:
    def __init__(self, directory: Path, program: Program) -> None:
        self.directory = directory
        self.program = program
        self.output = directory / "output"
        self.configure()

    def configure(self, **settings: Any) -> None:
        pixinsight = {"binary": str(self.program.binary), "js_engine": "sm", "retries": 0}
        path = self.directory / "config" / "config.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"pixinsight": pixinsight, **settings}))

    def share(self) -> None:
        """Make all masters of a run in one PixInsight."""
        pixinsight = {"binary": str(self.program.binary), "js_engine": "sm", "session": "shared"}
        self.configure(engine="pixinsight", pixinsight=pixinsight)

    def command(self, *arguments: str, python: str = sys.executable) -> list[Any]:
        where = ["--snakefile", REPOSITORY / "Snakefile", "--directory", self.directory]
        # The tests read in Snakemake's own output which jobs ran.
        return [python, "-m", "snakemake", "--verbose", *where, *arguments]

    def run(self, *arguments: str, succeeds: bool = True) -> str:
        done = subprocess.run(
            self.command(*arguments, python=warm_python()),
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        output = done.stdout + done.stderr
        assert (done.returncode == 0) == succeeds, output
        return output

    def run_by_hand(self, script: str) -> str:
        """Run a script as a user does; return the output of the console."""
        text = (self.output / "scripts" / f"{script}.js").read_text(encoding="ascii")
        return "\n".join(self.program.run_script(text).console)

    def files(self, folder: str, pattern: str) -> dict[str, Path]:
        paths = sorted(self.output.glob(f"{folder}/**/{pattern}"))
        return {path.stem.split("_SETTEMP")[0]: path for path in paths}


@pytest.fixture
def workflow(tmp_path: Path, program: Program) -> Workflow:
    write_session([str(tmp_path / "frames"), *SMALL])
    return Workflow(tmp_path, program)


def test_masters_of_scripts_that_are_run_by_hand_are_up_to_date(workflow: Workflow) -> None:
    workflow.run("scripts")
    scripts = workflow.files("scripts/*", "*.js")
    assert [path.parent.name for path in scripts.values()] == ["bias", "dark", "flat", "flat"]
    assert not (workflow.output / "masters").exists()
    assert not (workflow.program.folder / "journal.jsonl").exists()
    assert "Nothing to be done" in workflow.run("scripts")
    # Run by hand. The plan is for the native engine, so the masters are those of another plan.
    made = workflow.run_by_hand("all")
    assert "Masters: 4 made, 0 up to date, 0 failed, in " in made
    assert len(workflow.files("masters", "*.xisf")) == 4
    workflow.configure(engine="pixinsight")
    output = workflow.run("masters")
    assert "rule master_" not in output
    records = workflow.files("masters", "*.json").values()
    assert all("made by a script that was run by hand" in path.read_text() for path in records)
    assert "Nothing to be done" in workflow.run("masters")
    assert "Masters: 0 made, 4 up to date, 0 failed" in workflow.run_by_hand("all")
    # One script alone makes its master again, and the flats that use it are out of date.
    bias, _, *flats = (f"{path.parent.name}/{path.stem}" for path in scripts.values())
    workflow.run_by_hand(bias)
    assert workflow.run("-n", "masters").count("rule master_") == len(flats)
    for flat in flats:
        workflow.run_by_hand(flat)
    assert "Nothing to be done" in workflow.run("masters")
    assert not (workflow.program.folder / "journal.jsonl").exists()


def test_another_engine_rebuilds_the_same_masters(workflow: Workflow) -> None:
    workflow.run("masters")
    native = {
        name: read_image(path)[0] for name, path in workflow.files("masters", "*.xisf").items()
    }
    workflow.configure(engine="pixinsight")
    assert workflow.run("-n", "masters").count("rule master_") == len(native)
    output = workflow.run("masters")
    assert output.count("Finished jobid") == 1 + len(native) + 1  # inventory, masters, target
    by_pixinsight = workflow.files("masters", "*.xisf")
    assert list(by_pixinsight) == list(native)
    for name, path in by_pixinsight.items():
        assert np.array_equal(read_image(path)[0], native[name]), name
    journal = workflow.program.journal()
    assert len({run["script"] for run in journal}) == len(native)
    times = sorted((run["began"], run["ended"]) for run in journal)
    assert all(ended <= began for (_, ended), (began, _) in pairwise(times))
    assert "Nothing to be done" in workflow.run("masters")


def test_one_failing_master_leaves_the_others(workflow: Workflow) -> None:
    workflow.program.behave(fault="no-signal", fault_of="FILTER-Ha")
    workflow.configure(engine="pixinsight")
    output = workflow.run("masters", "--keep-going", succeeds=False)
    assert "Zero or insignificant signal detected." in output
    made = set(workflow.files("masters", "*.xisf"))
    assert len(made) == 3
    assert not any("FILTER-Ha" in name for name in made)
    assert not list((workflow.output / "masters").rglob(".*"))
    log = next(path for name, path in workflow.files("logs", "*.log").items() if "-Ha_" in name)
    assert "Zero or insignificant signal detected." in log.read_text()
    workflow.program.behave(fault="")
    assert "FILTER-Ha" in workflow.run("masters")
    assert len(workflow.files("masters", "*.xisf")) == 4


def test_settings_of_the_program_rebuild_no_master_but_those_of_pixels_do(
    workflow: Workflow,
) -> None:
    workflow.configure(engine="pixinsight")
    workflow.run("masters")

    def masters_to_make(**settings: Any) -> int:
        pixinsight = {"binary": str(workflow.program.binary), "js_engine": "sm", **settings}
        workflow.configure(engine="pixinsight", pixinsight=pixinsight)
        return workflow.run("-n", "masters").count("rule master_")

    speed = {"ImageIntegration": {"bufferSizeMB": 64}}
    pixels = {"ImageIntegration": {"largeScaleClipHigh": True}}
    assert masters_to_make(timeout_minutes=5, retries=2, parameters=speed) == 0
    assert masters_to_make(parameters=pixels) == 4


# One PixInsight for a run ----------------------------------------------------------------


def test_a_run_with_one_core_starts_one_pixinsight_and_ends_it(workflow: Workflow) -> None:
    workflow.program.behave(fault="no-signal", fault_of="FILTER-Ha")
    workflow.share()
    workflow.run("masters", "--cores", "1", "--keep-going", succeeds=False)
    assert len(workflow.files("masters", "*.xisf")) == 3
    # The failed master was repeated in a new PixInsight.
    assert len(workflow.program.pids()) == 2
    workflow.program.behave(fault="")
    workflow.run("masters", "--cores", "1")
    assert len(workflow.files("masters", "*.xisf")) == 4
    assert "Nothing to be done" in workflow.run("masters", "--cores", "1")
    assert len(workflow.program.pids()) == 3
    for pid in workflow.program.pids():
        assert_ended(pid)


def descendants(pid: int) -> Iterator[int]:
    """Yield the child processes of a process, recursively."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(stat.read_text().rsplit(")", 1)[1].split()[1]) == pid:
                child = int(stat.parent.name)
                yield from (child, *descendants(child))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT"])
def test_no_process_outlives_a_run_that_is_killed_or_interrupted(
    workflow: Workflow, name: str
) -> None:
    workflow.program.behave(fault="hang")
    workflow.share()
    snakemake = subprocess.Popen(
        workflow.command("masters"), stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while not (workflow.program.folder / "journal.jsonl").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    left = list(descendants(snakemake.pid))
    assert set(workflow.program.pids()) < set(left)
    if name == "SIGKILL":
        snakemake.kill()
    else:
        os.killpg(snakemake.pid, signal.SIGINT)
    assert snakemake.wait(30) != 0
    while not all(is_ended(pid) for pid in left):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not list((workflow.output / "masters").rglob("*.*"))
