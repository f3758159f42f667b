"""A few hundred changed files, the same in every run; `make fuzz` tries others for minutes."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from fuzz import fuzz


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer to end an endless loop")
def test_changed_files_are_read_or_refused(tmp_path: Path) -> None:
    tried, read, faults = fuzz(seed=0, first=0, count=200, seconds=120, folder=tmp_path)
    assert faults == []
    # Some inputs are still valid, and some are not.
    assert 0.05 < read / tried < 0.8
