"""The pixels of masters never change unnoticed: users' masters would not be made again."""

from __future__ import annotations

from pathlib import Path

import pytest
from golden_masters import CASES, digest_of, stored

from calmasters.engines.native.needs import NEEDS


@pytest.mark.parametrize("name", CASES)
def test_pixels_change_only_with_the_version_of_the_arithmetic(name: str, tmp_path: Path) -> None:
    known = stored()
    assert known["algorithm_version"] == NEEDS.algorithm_version, (
        "algorithm_version was raised, so the digests change, too: python"
        " tests/engines/golden_masters.py"
    )
    assert digest_of(CASES[name], tmp_path) == known["pixels"].get(name), (
        f"other pixels than before: {name}. If they are to change, raise algorithm_version in"
        " calmasters/engines/native/needs.py (all masters of all users are made again), run python"
        " tests/engines/golden_masters.py, and say so in CHANGELOG.md. For a new case only run it."
    )


def test_no_digest_is_left_of_a_case_that_is_gone() -> None:
    assert stored()["pixels"].keys() == CASES.keys()
