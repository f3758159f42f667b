"""Print the ratios of the other benchmarks beside those of the last release; see README.md.

python benchmarks/ratios.py                  half an hour on a quiet machine
python benchmarks/ratios.py --small          small frames: minutes
python benchmarks/ratios.py --write 1.2.3    also keep them, as those of this release
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
LAST_RELEASE = HERE / "last-release.json"

#: Scripts with their arguments: usual, small, and only to see that it runs.
BENCHMARKS: Mapping[str, tuple[Sequence[str], Sequence[str], Sequence[str]]] = {
    "session.py": (
        ["--without-compiling"],
        ["--without-compiling", "--small"],
        ["--without-compiling", "--size", "48", "32", "--repeat", "1"],
    ),
    "integrate.py": (
        ["--counts", "10", "30"],
        ["--counts", "10", "--size", "960", "540"],
        [
            *("--counts", "3", "--rounds", "1", "--size", "48", "32", "--kinds", "bias"),
            *("--without", "rule", "siril", "ccdproc"),
        ],
    ),
    "scale.py": (
        ["--sizes", "1000/100", "10000/1000"],
        ["--sizes", "1000/100"],
        ["--sizes", "24/8", "--repeat", "1"],
    ),
}
SIZES = ("usual", "small", "smallest")

#: In the order of the lines that they are on.
_OF_SESSION = re.compile(r"^(full run|nothing to do): .*?([\d.]+) x (.+)$")
_OF_MASTERS = re.compile(r"^(\w+ \d+) +(\w+) +[\d.]+ +([\d.]+) ")
_FRAMES = re.compile(r"^(\d+) frames, \d+ masters")
_OF_FRAMES = re.compile(r"^(\S.*?) {2,}.* ([\d.]+) x$")


def ratios_in(output: str) -> Iterator[tuple[str, float]]:
    """Find the ratios in what a benchmark printed: what was measured, and how many times it is."""
    frames = ""
    for line in output.splitlines():
        if found := _OF_SESSION.match(line):
            yield f"{found[1]} / {found[3]}", float(found[2])
        elif (found := _OF_MASTERS.match(line)) and found[2] != "native":
            yield f"{found[1]}: native / {found[2]}, CPU time", float(found[3])
        elif found := _FRAMES.match(line):
            frames = found[1]
        elif found := _OF_FRAMES.match(line):
            yield f"{frames} frames: {found[1]} / an empty Snakefile", float(found[2])


def measured(size: str) -> dict[str, float]:
    """Run the benchmarks; their own output goes to the standard error."""
    ratios: dict[str, float] = {}
    for script, arguments in BENCHMARKS.items():
        command = [sys.executable, HERE / script, *arguments[SIZES.index(size)]]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        print(done.stdout, file=sys.stderr, flush=True)
        found = dict(ratios_in(done.stdout))
        if not found:
            sys.exit(f"{script} printed no ratio that is known here: see ratios_in")
        ratios |= found
    return ratios


def machine() -> str:
    """Describe this machine, without its name."""
    python, load = platform.python_version(), ""
    if hasattr(os, "getloadavg"):
        load = f", load {os.getloadavg()[1]:.1f}"
    system = f"{platform.system()} {platform.machine()}"
    return f"{system}, {os.cpu_count()} cores, Python {python}{load}"


def table(now: Mapping[str, float], last: Mapping[str, Any]) -> Iterator[str]:
    """Give the lines of the table; ratios of one of both only are there, too."""
    before = last.get("ratios", {})
    width = max(map(len, {*now, *before}))
    yield f"{'':{width}} {last.get('version', 'last release'):>12} {'today':>8} {'change':>8}"
    for name in {**before, **now}:
        old, new = before.get(name), now.get(name)
        change = f"{100 * (new / old - 1):+.0f} %" if old and new else ""
        texts = ["" if each is None else f"{each:.2f}" for each in (old, new)]
        yield f"{name:{width}} {texts[0]:>12} {texts[1]:>8} {change:>8}".rstrip()


def main() -> int:
    """Run ``python benchmarks/ratios.py``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    size = parser.add_mutually_exclusive_group()
    for name in SIZES[1:]:
        size.add_argument(f"--{name}", dest="size", action="store_const", const=name)
    parser.add_argument("--write", metavar="VERSION", help="keep them as those of this release")
    options = parser.parse_args()
    chosen = options.size or SIZES[0]
    kept = json.loads(LAST_RELEASE.read_text(encoding="utf-8")) if LAST_RELEASE.exists() else {}
    last = kept.get(chosen, {})
    now = measured(chosen)
    about = f"{last['date']}, {last['machine']}" if last else "not measured"
    print(f"last release: {about}\ntoday: {date.today().isoformat()}, {machine()}\n")
    print(*table(now, last), sep="\n")
    if options.write:
        made = {"version": options.write, "date": date.today().isoformat(), "machine": machine()}
        kept[chosen] = {**made, "ratios": now}
        LAST_RELEASE.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
