"""A few hundred changed files, the same in every run; `make fuzz` tries others for minutes."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from fuzz import fuzz, give_up, try_file
from readers import all_readers

pytestmark = pytest.mark.skipif(
    not hasattr(signal, "setitimer"), reason="needs a timer to end an endless loop"
)

#: Files with which a reader failed once.
FINDINGS = sorted((Path(__file__).parent / "findings").glob("*/*"))


def test_changed_files_are_read_or_refused(tmp_path: Path) -> None:
    tried = fuzz(seed=0, first=0, count=400, seconds=120, folder=tmp_path, readers=all_readers())
    assert tried.faults == []
    # Some inputs are still valid, and some are not.
    assert 0.05 < tried.read.total() / tried.inputs.total() < 0.8


@pytest.mark.parametrize("path", FINDINGS, ids=lambda path: f"{path.parent.name}: {path.name}")
def test_a_file_that_once_failed_is_read_or_refused(path: Path) -> None:
    (reader,) = (each for each in all_readers() if each.name == path.parent.name)
    signal.signal(signal.SIGPROF, give_up)
    try_file(reader, path)
