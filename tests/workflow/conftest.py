"""Run the real Snakefile in a directory of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from real_workflow import ALL, HOT, REPOSITORY, Run, Workflow, copied

from calmasters.synthetic.camera import Camera
from calmasters.synthetic.session import ObservingSession, write_session


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
SMALL = ObservingSession(
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
FEW = ObservingSession(
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


@pytest.fixture(scope="session")
def made_session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory whose masters are made: to be copied."""
    workflow = Workflow(tmp_path_factory.mktemp("made_session"))
    write_session(workflow.frames, HOT)
    assert workflow.run("masters").jobs == sorted(["inventory", *ALL])
    return workflow.directory


@pytest.fixture
def made(made_session: Path, tmp_path: Path) -> Workflow:
    """A workflow whose masters are made."""
    return copied(made_session, tmp_path)
