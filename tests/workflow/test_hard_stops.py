"""Runs, jobs and PixInsight killed at any moment; re-makes that fail. Nothing is lost by it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from jobs_for_pixinsight import Program
from real_workflow import ALL, DARK, FLATS, Workflow, copied, frame, spoil

from calmasters.images.master_file import read_image
from calmasters.model.job import read_made_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX"),
]

#: Settings that give other pixels than the default ones.
OTHERS = {"integration": {kind: {"combination": "Median"} for kind in ("bias", "dark", "flat")}}


def pixels(workflow: Workflow) -> dict[str, bytes]:
    found = workflow.output.glob("masters/*/*.xisf")
    return {path.stem: read_image(path)[0].tobytes() for path in found}


@pytest.fixture(scope="session")
def undisturbed(
    made_session: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[bool, dict[str, bytes]]:
    """The pixels of all masters: with the default settings, and with the others."""
    workflow = copied(made_session, tmp_path_factory.mktemp("undisturbed"))
    by_default = pixels(workflow)
    workflow.configure(**OTHERS)
    workflow.run("masters")
    by_others = pixels(workflow)
    assert by_default.keys() == by_others.keys() == set(ALL)
    assert all(by_default[name] != by_others[name] for name in ALL)
    return {False: by_default, True: by_others}


# --- re-makes that fail ---------------------------------------------------------------------------


def files(workflow: Workflow) -> dict[str, bytes]:
    """Masters and what lies beside them, byte for byte."""
    return {path.name: path.read_bytes() for path in workflow.output.glob("masters/*/*")}


def test_a_master_that_cannot_be_made_again_is_restored_and_stays_stale(made: Workflow) -> None:
    before = files(made)
    made.configure(integration={"dark": {"sigmaHigh": 2.5}})
    spoil(*(frame(made, "dark", number) for number in range(3)))
    for _ in range(2):
        run = made.run("masters", "--keep-going", succeeds=False)
        assert f"{DARK}.xisf; restored the previous version" in run.output
        assert DARK in run.jobs
        assert files(made) == before
        assert not (made.output / ".previous").exists()
    # The restored master is what the settings of before ask for.
    made.configure()
    assert made.run("masters").jobs == ["inventory"]
    assert files(made) == before


def test_a_master_that_was_made_again_by_force_is_restored_too(made: Workflow) -> None:
    before = files(made)
    spoil(*(frame(made, "dark", number) for number in range(3)))
    run = made.run("masters", "--forceall", "--keep-going", succeeds=False)
    assert f"{DARK}.xisf; restored the previous version" in run.output
    after = files(made)
    assert after.keys() == before.keys()
    for name in (f"{DARK}.xisf", *(f"{flat}.xisf" for flat in FLATS)):
        assert after[name] == before[name]


# --- kills ----------------------------------------------------------------------------------------


class Hunt:
    """Runs of a workflow that are hit at random moments: the same ones for the same seed."""

    def __init__(self, workflow: Workflow, undisturbed: dict[bool, dict[str, bytes]]) -> None:
        self.workflow = workflow
        self.undisturbed = undisturbed
        self.random = random.Random(20)
        self.settings: dict[str, object] = {}
        self.others = False

    def make_stale(self) -> None:
        """Give all masters other pixels to have."""
        self.others = not self.others
        self.workflow.configure(**self.settings, **(OTHERS if self.others else {}))

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a run; come back when it has begun to make something."""
        before = self.lock()
        return self.workflow.start(
            *("masters", "--cores", "1", *arguments), seen=lambda: self.lock() not in ("", before)
        )

    def lock(self) -> str:
        with suppress(FileNotFoundError):
            return (self.workflow.output / ".lock").read_text()
        return ""

    def whole(self) -> dict[str, int]:
        """The times of the masters that are as they are to be, each with its JSON."""
        output, wanted = self.workflow.output, self.undisturbed[self.others]
        made = pixels(self.workflow)
        return {
            path.stem: path.stat().st_mtime_ns
            for path in output.glob("masters/*/*.xisf")
            if made[path.stem] == wanted[path.stem]
            and read_made_of(path.with_suffix(".json"))
            == read_made_of(output / "jobs" / path.parent.name / f"{path.stem}.json")
        }

    def see_nothing_lost(self) -> None:
        """Whatever was killed: each master is the old or the new one, or kept."""
        made = pixels(self.workflow)
        for name in ALL:
            whole = {each[name] for each in self.undisturbed.values()}
            kept = [*(self.workflow.output / ".previous").glob(f"masters/*/{name}.xisf")]
            assert made[name] in whole if name in made else kept

    def see_all_made(self) -> None:
        assert pixels(self.workflow) == self.undisturbed[self.others]
        assert self.whole().keys() == set(ALL)
        hidden = [path for path in self.workflow.output.rglob(".*") if path.name != ".cache"]
        calibrated = [*self.workflow.output.glob("calibrated/*")]
        temporary = [*self.workflow.directory.glob("tmp/calmasters-*")]
        assert [*hidden, *calibrated, *temporary] == []


@pytest.fixture
def hunt(
    made: Workflow,
    undisturbed: dict[bool, dict[str, bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> Hunt:
    (made.directory / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(made.directory / "tmp"))
    return Hunt(made, undisturbed)


def kill_group(leader: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def test_a_workflow_killed_at_any_moment_is_taken_up_where_it_was(hunt: Hunt) -> None:
    hunt.make_stale()
    groups = []
    for _ in range(6):
        if hunt.whole().keys() == set(ALL):
            hunt.make_stale()
        before = hunt.whole()
        run = hunt.start()
        groups.append(run.pid)
        time.sleep(hunt.random.uniform(0.0, 3.0))
        run.kill()
        run.wait()
        # Its jobs live on for a while, or they do not.
        if hunt.random.random() < 0.5:
            kill_group(run.pid)
        hunt.see_nothing_lost()
        assert before.items() <= hunt.whole().items()
    for leader in groups:
        kill_group(leader)
    before = hunt.whole()
    done = hunt.workflow.run("masters")
    assert set(done.jobs) - {"inventory"} == set(ALL) - before.keys()
    assert before.items() <= hunt.whole().items()
    hunt.see_all_made()


def jobs_of(run: subprocess.Popen[bytes], *words: str) -> Iterator[psutil.Process]:
    """Find the processes that a run has started, by words of their command lines."""
    with suppress(psutil.Error):
        for process in psutil.Process(run.pid).children(recursive=True):
            with suppress(psutil.Error):
                line = " ".join(process.cmdline())
                if any(word in line for word in words):
                    yield process


def kill_jobs(hunt: Hunt, times: int, *words: str) -> None:
    """Kill processes of runs at random moments; Snakemake tries the jobs again."""
    hits = 0
    while hits < times:
        hunt.make_stale()
        run = hunt.start("--retries", "50")
        while run.poll() is None and hits < times:
            time.sleep(hunt.random.uniform(0.1, 1.0))
            if found := [*jobs_of(run, *words)]:
                with suppress(psutil.Error):
                    hunt.random.choice(found).kill()
                    hits += 1
        assert hunt.workflow.finish(run).code == 0, hunt.workflow.said
        hunt.see_all_made()


def test_jobs_killed_at_any_moment_are_made_again(hunt: Hunt) -> None:
    kill_jobs(hunt, 7, ".snakemake/scripts/")


def test_pixinsight_and_its_jobs_killed_at_any_moment_are_started_again(
    hunt: Hunt, tmp_path: Path
) -> None:
    program = Program(tmp_path / "PixInsight")
    program.install()
    hunt.settings = {
        "engine": "pixinsight",
        "pixinsight": {"binary": str(program.binary), "js_engine": "sm", "retries": 0},
    }
    kill_jobs(hunt, 7, ".snakemake/scripts/", "standin")
