"""Each benchmark runs, in its smallest form."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
BENCHMARKS = REPOSITORY / "benchmarks"

#: Arguments of the smallest form, and a text of the result.
QUICK = {
    "gain.py": (["--seeds", "1", "plain"], "plain"),
    "integrate.py": (
        [
            "--counts",
            "3",
            "--rounds",
            "1",
            "--size",
            "48",
            "32",
            "--kinds",
            "bias",
            "--without",
            "rule",
            "siril",
            "ccdproc",
        ],
        "two at the same time",
    ),
    "load.py": (["--sizes", "0.01"], "flat "),
}
SLOW = {
    "agreement.py": (["--counts", "5", "--size", "60x40"], "bias"),
    "pixinsight.py": (["--start", "0", "--nights", "1"], "shared"),
    "ratios.py": (["--smallest"], "nothing to do / an empty Snakefile"),
    "report.py": (["--size", "120", "90"], "200 masters"),
    "scale.py": (["--sizes", "24/8", "--repeat", "1"], "one more flat, dry run"),
    "session.py": (
        ["--size", "48", "32", "--repeat", "1", "--without-compiling"],
        "x an empty Snakefile",
    ),
}
#: Not a benchmark of its own: others start it.
STARTED_BY_OTHERS = {"one_master.py"}


@pytest.mark.parametrize(
    "name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
)
def test_a_benchmark_runs(name: str, tmp_path: Path) -> None:
    if name == "agreement.py" and not shutil.which("siril-cli"):
        pytest.skip("Siril is not installed")
    arguments, expected = (QUICK | SLOW)[name]
    paths = os.pathsep.join(str(REPOSITORY / each) for each in ("", "tests/pixinsight"))
    done = subprocess.run(
        [sys.executable, BENCHMARKS / name, *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths, "CALMASTERS_MADE": str(tmp_path / "made")},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert expected in done.stdout


def test_every_benchmark_is_tried() -> None:
    scripts = {path.name for path in BENCHMARKS.glob("*.py")}
    assert scripts == QUICK.keys() | SLOW.keys() | STARTED_BY_OTHERS
