"""Run the real Snakefile in a directory of its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import yaml

from calmasters.synthetic import Camera, Session, write_session

REPOSITORY = Path(__file__).parents[2]

#: "rule master_bias:" and the indented lines below it, among them its wildcard.
_JOB = re.compile(r"^(?:local)?(?:rule|checkpoint) (\w+):\n((?: +.*\n)*)", re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """What a run of Snakemake did."""

    code: int
    output: str

    @property
    def jobs(self) -> list[str]:
        """Masters by their names, other jobs by their rules; `masters` itself does nothing."""
        found = []
        for rule, body in _JOB.findall(self.output):
            name = re.search(r"^ +wildcards: name=(.+)$", body, re.MULTILINE)
            found.append(name[1] if name else rule)
        return sorted(set(found) - {"masters"})

    @property
    def nothing_to_do(self) -> bool:
        return "Nothing to be done" in self.output


class Workflow:
    """The workflow at work on one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.frames = directory / "frames"
        self.output = directory / "output"

    def run(self, *arguments: str, succeeds: bool = True) -> Run:
        """Run Snakemake; in the default profile, with whatever arguments."""
        command = [sys.executable, "-m", "snakemake"]
        where = ["--snakefile", REPOSITORY / "Snakefile", "--directory", self.directory]
        done = subprocess.run(
            [*command, *where, *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=300,
            check=False,
        )
        run = Run(done.returncode, done.stdout + done.stderr)
        assert (run.code == 0) == succeeds, run.output
        return run

    def run_as_predicted(self, *arguments: str) -> Run:
        """Run what a dry run foretold, and see that nothing is left to do then."""
        predicted = self.run("-n", *(arguments or ("masters",)))
        run = self.run(*(arguments or ("masters",)))
        assert run.jobs == predicted.jobs
        assert self.run(*(arguments or ("masters",))).nothing_to_do
        return run

    def configure(self, **settings: object) -> None:
        """Write the working directory's own config/config.yaml."""
        path = self.directory / "config" / "config.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(settings), encoding="utf-8")

    @property
    def inventory(self) -> pd.DataFrame:
        table = pd.read_csv(self.output / "inventory.csv", dtype=str, keep_default_na=False)
        return table.set_index("path")

    @property
    def plan(self) -> dict:
        return json.loads((self.output / "plan.json").read_text(encoding="utf-8"))

    @property
    def masters(self) -> list[str]:
        """Names of the masters that are there, each with its JSON."""
        found = sorted(self.output.glob("masters/*/*.xisf"))
        assert all(path.with_suffix(".json").is_file() for path in found)
        return [path.stem for path in found]


@pytest.fixture
def real_frames() -> Path:
    """Frames of real cameras, which do not come with the project."""
    directory = REPOSITORY.parent / "shared" / "data" / "real"
    if not directory.is_dir():
        pytest.skip("the real frames are not here")
    return directory


@pytest.fixture
def workflow(tmp_path: Path) -> Workflow:
    """A workflow in an empty directory."""
    return Workflow(tmp_path)


#: A session that is made in a moment: two filters, darks of two exposures.
SMALL = Session(
    camera=Camera(width=48, height=32),
    bias=4,
    darks=3,
    dark_exposures_s=(1.5, 60.0),
    flats=3,
    filters=("B", "Ha"),
    nights=1,
    lights=1,
    broken=1,
)


@pytest.fixture
def session(workflow: Workflow) -> Workflow:
    """A workflow with a small session of frames."""
    write_session(workflow.frames, SMALL)
    return workflow


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workflow, Run, Run]:
    """A session made to masters, for tests that only look: with its dry run and its run."""
    workflow = Workflow(tmp_path_factory.mktemp("made"))
    write_session(workflow.frames, SMALL)
    predicted = workflow.run("-n", "masters")
    assert not workflow.output.exists()
    return workflow, predicted, workflow.run("masters")


#: One bias, dark and flat, of enough pixels for numbers that mean something.
FEW = Session(
    camera=Camera(width=160, height=120),
    bias=6,
    darks=6,
    dark_exposures_s=(1.5,),
    flats=6,
    filters=("B",),
    nights=1,
    lights=1,
    broken=1,
)


@pytest.fixture(scope="session")
def reported_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workflow, Run, Run]:
    """A session made to a report at once, from nothing: with its dry run and its run."""
    workflow = Workflow(tmp_path_factory.mktemp("reported"))
    write_session(workflow.frames, FEW)
    predicted = workflow.run("-n", "report")
    assert not workflow.output.exists()
    return workflow, predicted, workflow.run("report")
