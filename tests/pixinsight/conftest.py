"""Fixtures of the tests of PixInsight."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from jobs_for_pixinsight import MODES, Program, Site, make_flat_with_masters

from calmasters.model.job import MasterJob


@pytest.fixture
def program(tmp_path: Path) -> Program:
    installed = Program(tmp_path / "PixInsight")
    installed.install()
    return installed


@pytest.fixture
def site(tmp_path: Path, program: Program) -> Site:
    return Site(tmp_path, program)


@pytest.fixture
def shared(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Make all masters in one PixInsight."""
    monkeypatch.setenv("CALMASTERS_PIXINSIGHT", "")  # restored after the test
    site.share()
    yield site
    site.unshare()


@pytest.fixture(params=["per_master", "shared"])
def way(request: pytest.FixtureRequest) -> str:
    """Make each master in its own PixInsight, and all masters in one."""
    if request.param == "shared":
        request.getfixturevalue("shared")
    return str(request.param)


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest, program: Program) -> str:
    """Run the test with each version of the program."""
    behaviour, program.js_engine = MODES[request.param]
    program.behave(**behaviour)
    return str(request.param)


@pytest.fixture
def flat_with_masters(site: Site) -> Callable[..., MasterJob]:
    """Make bias and dark masters by the native engine; return the job of a flat that uses them."""

    return partial(make_flat_with_masters, site)
