from __future__ import annotations

import sys
from pathlib import Path

import pytest
from soak import Soak

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX"),
]


def test_masters_are_those_of_a_clean_run_after_random_changes_and_kills(tmp_path: Path) -> None:
    soak = Soak(tmp_path, seed=2)
    for _ in range(4):
        soak.step()
    soak.compare()
