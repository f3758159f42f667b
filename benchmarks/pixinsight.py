"""Measure the time saved by one PixInsight for all masters, with a stand-in that starts slowly.

    PYTHONPATH=tests/pixinsight python benchmarks/pixinsight.py

The workflow makes 20 small masters on one core, alternately with one PixInsight for each master and
with one for all. The stand-in (tests/pixinsight/standin) runs the real scripts; the option --start
sets the time that it takes to start.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from jobs_for_pixinsight import Program

from calmasters.synthetic.session import main as write_session

SNAKEFILE = Path(__file__).parents[1] / "Snakefile"
#: One bias, one dark and two flats a night (two filters), of three frames each.
FRAMES = (
    *("--size", "24", "16", "--bias", "3", "--darks", "3", "--dark-exposures", "1.5"),
    *("--flats", "3", "--lights", "0", "--broken", "0"),
)


def seconds(directory: Path, program: Program, session: str, masters: int) -> float:
    """Make all masters again, and return the wall time, s."""
    for folder in ("output", ".snakemake"):
        shutil.rmtree(directory / folder, ignore_errors=True)
    options = {"binary": str(program.binary), "js_engine": "sm", "session": session}
    config = directory / "config" / "config.yaml"
    config.parent.mkdir(exist_ok=True)
    config.write_text(json.dumps({"engine": "pixinsight", "pixinsight": options}))
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(SNAKEFILE)]
    command += ["--directory", str(directory), "--cores", "1", "masters"]
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    taken = time.perf_counter() - start
    made = len(list((directory / "output" / "masters").rglob("*.xisf")))
    if made != masters:
        raise SystemExit(f"{made} masters were made, expected {masters}")
    return taken


def main() -> None:
    """Run ``python benchmarks/pixinsight.py``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--start", type=float, default=5.0, help="start time of the stand-in [s]")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--nights", type=int, default=9, help="two flats each")
    options = parser.parse_args()
    masters = 2 + 2 * options.nights
    taken: dict[str, list[float]] = {"per_master": [], "shared": []}
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        program = Program(directory / "PixInsight")
        program.install()
        program.behave(start_s=options.start)
        write_session([str(directory / "frames"), "--nights", str(options.nights), *FRAMES])
        for _ in range(options.rounds):
            for session, times in taken.items():
                times.append(seconds(directory, program, session, masters))
    print(f"{masters} masters, start time {options.start:g} s; medians of {options.rounds}")
    print(f"{'session':12} {'s':>8} {'to per_master':>14}")
    for session, times in taken.items():
        ratios = [own / other for own, other in zip(times, taken["per_master"], strict=True)]
        print(f"{session:12} {statistics.median(times):8.1f} {statistics.median(ratios):14.2f}")


if __name__ == "__main__":
    main()
