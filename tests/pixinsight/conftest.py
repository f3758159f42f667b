"""Fixtures of the tests of PixInsight."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jobs_for_pixinsight import MODES, SMALL, Program, Session, make_job

from calmasters.frame import FrameType
from calmasters.model.job import MasterJob, UsedMaster


@pytest.fixture
def program(tmp_path: Path) -> Program:
    installed = Program(tmp_path / "PixInsight")
    installed.install()
    return installed


@pytest.fixture
def session(tmp_path: Path, program: Program) -> Session:
    return Session(tmp_path, program)


@pytest.fixture
def shared(session: Session, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """Make the masters in one PixInsight."""
    monkeypatch.setenv("CALMASTERS_PIXINSIGHT", "")  # restores it
    session.share()
    yield session
    session.leave()


@pytest.fixture(params=["per_master", "shared"])
def way(request: pytest.FixtureRequest) -> str:
    """Make the masters each in a PixInsight of its own, and all in one."""
    if request.param == "shared":
        request.getfixturevalue("shared")
    return str(request.param)


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest, program: Program) -> str:
    """Let the program be each PixInsight, one after the other."""
    behaviour, program.js_engine = MODES[request.param]
    program.behave(**behaviour)
    return str(request.param)


@pytest.fixture
def flat_with_masters(session: Session) -> Callable[..., MasterJob]:
    """Make bias and dark masters by the native engine; return the job of a flat that uses them."""

    def job(*kinds: FrameType, origin: str = "run", **changes: Any) -> MasterJob:
        masters = {}
        for kind in kinds:
            geometry = changes.get("geometry", SMALL)
            master = make_job(session, kind, geometry=geometry)
            path = session.make_native(master)
            target = session.output_dir / master.master
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
            named = str(target) if origin == "library" else master.master
            masters[kind.value] = UsedMaster(named, origin, "nearest")
        return make_job(session, FrameType.FLAT, **masters, **changes)

    return job
