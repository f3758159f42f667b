"""Measure the workflow on a session of realistic frames; see README.md beside this file.

python benchmarks/session.py            30 bias, 30 darks, 60 flats of 3840x2160 (2.5 GB of disk)
python benchmarks/session.py --small    the same number of 960x540, to try it out
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
MADE = Path(__file__).resolve().parent / "made"

#: What the last command printed, in the working directory.
LOG = "benchmark.log"

KINDS = ("bias", "dark", "flat")

#: Options of `python -m calmasters.synthetic`: flats of two filters, a dark near their exposure.
SESSION = (
    *("--bias", "30", "--darks", "30", "--dark-exposures", "1.5", "--flats", "30"),
    *("--nights", "1", "--lights", "0", "--broken", "0"),
)

#: A new process that makes one master of its job file, as a rule's script does.
MAKE_ONE = """
import sys
from pathlib import Path
from calmasters.engines import engine_for
from calmasters.model.job import MasterJob

job = MasterJob.from_json(Path(sys.argv[1]).read_text(encoding="utf-8"))
output = Path("one", job.type, "master.xisf")
output.parent.mkdir(parents=True, exist_ok=True)
engine_for(job, {}, int(sys.argv[2])).make(
    job, Path("frames"), Path("output"), output, output.with_suffix(".log")
)
"""


@dataclass(frozen=True)
class Run:
    """One command's wall time, and the memory of the largest process in it where that is known."""

    seconds: float
    peak_mib: float | None = None


@dataclass(frozen=True)
class Row:
    """What was measured, and every run of it."""

    name: str
    runs: list[Run]

    @property
    def seconds(self) -> float:
        """Median."""
        return statistics.median(run.seconds for run in self.runs)

    def __str__(self) -> str:
        times = sorted(run.seconds for run in self.runs)
        peaks = [run.peak_mib for run in self.runs if run.peak_mib is not None]
        peak = f"{max(peaks):9.0f}" if peaks else f"{'-':>9}"
        return f"{self.name:<44}{self.seconds:9.2f}{times[0]:9.2f}{times[-1]:9.2f}{peak}"


def run(command: list[str], directory: Path) -> Run:
    """Run a command to its end; a failure shows what it printed."""
    log = directory / LOG
    with log.open("wb") as out:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=directory, stdout=out, stderr=subprocess.STDOUT)
        code, peak_mib = wait(process)
        seconds = time.perf_counter() - start
    if code:
        sys.exit(f"{log.read_text(errors='replace')}\nfailed with {code}: {' '.join(command)}")
    return Run(seconds, peak_mib)


def wait(process: subprocess.Popen[bytes]) -> tuple[int, float | None]:
    """Wait for a process: its exit code, and the peak memory of the largest of its family, MiB.

    Windows does not tell the memory of a process's children: there it is None.
    """
    if sys.platform == "win32":
        return process.wait(), None
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else 1024
    return process.returncode, usage.ru_maxrss * unit / 2**20


def snakemake(*arguments: str) -> list[str]:
    """Command line of the Snakemake that runs with this Python."""
    return [sys.executable, "-m", "snakemake", *arguments]


class Bench:
    """A working directory with a session's frames, and what is measured there."""

    def __init__(self, width: int, height: int, cores: int) -> None:
        self.directory = MADE / f"{width}x{height}"
        self.cores = cores
        self.frames = self.directory / "frames"
        self._write_frames("--size", str(width), str(height), *SESSION)
        snakefile = str(REPOSITORY / "Snakefile")
        self._masters = snakemake("masters", "--snakefile", snakefile, "--cores", str(cores))
        self._empty = self._empty_workflow()

    def _write_frames(self, *options: str) -> None:
        """Write the frames, once: a directory that has its final name was written whole.

        Another process does it, since on Linux a command is charged with the memory that its
        parent had when it started.
        """
        if not self.frames.exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            run(
                [sys.executable, "-m", "calmasters.synthetic", "new", *options],
                self.directory,
            )
            (self.directory / "new").rename(self.frames)

    def _empty_workflow(self) -> list[str]:
        folder = self.directory / "empty"
        folder.mkdir(exist_ok=True)
        (folder / "Snakefile").write_text("")
        return snakemake("--snakefile", "empty/Snakefile", "--directory", "empty", "--cores", "1")

    def compiling(self) -> Run:
        """Compile the kernels, in a copy of the package that has nothing compiled beside it."""
        copy = self.directory / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        without = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / "calmasters", copy / "calmasters", ignore=without)
        return run([sys.executable, "-m", "calmasters.engines.native"], copy)

    def whole(self) -> Run:
        """Everything from the frames, nothing made before."""
        for made in ("output", ".snakemake"):
            shutil.rmtree(self.directory / made, ignore_errors=True)
        return run(self._masters, self.directory)

    def one(self, kind: str) -> Run:
        """One master of a kind in a process of its own."""
        job = next(self.directory.glob(f"output/jobs/{kind}/*.json"))
        return run([sys.executable, "-c", MAKE_ONE, str(job), str(self.cores)], self.directory)

    def nothing_to_do(self) -> Run:
        """Everything is made already, and Snakemake says so."""
        nothing = run(self._masters, self.directory)
        if "Nothing to be done" not in (self.directory / LOG).read_text(errors="replace"):
            sys.exit(f"a run after a whole run made something: see {self.directory / LOG}")
        return nothing

    def empty(self) -> Run:
        """Run a workflow without rules: what Snakemake takes for itself."""
        return run(self._empty, self.directory)

    def read(self) -> Run:
        """Read every frame's bytes once, in this process: the floor of any program."""
        start = time.perf_counter()
        for path in self.frames.rglob("*.fits"):
            path.read_bytes()
        return Run(time.perf_counter() - start)


def interleaved(repeat: int, measures: Mapping[str, Callable[[], Run]]) -> Iterator[Row]:
    """Measure in turns, so that a slow minute of the machine falls on all alike."""
    runs: dict[str, list[Run]] = {name: [] for name in measures}
    for _ in range(repeat):
        for name, measure in measures.items():
            runs[name].append(measure())
    yield from (Row(name, runs[name]) for name in measures)


def table(bench: Bench, repeat: int) -> Iterator[str]:
    """Measure all, and tell it line by line."""
    yield f"{'':<44}{'median s':>9}{'least':>9}{'most':>9}{'peak MiB':>9}"
    yield str(Row("compiling the kernels, once on a machine", [bench.compiling()]))
    read, whole = interleaved(repeat, {"reading the frames": bench.read, "whole run": bench.whole})
    yield from map(str, (read, whole))
    kinds = {f"one master {kind}, new process": partial(bench.one, kind) for kind in KINDS}
    yield from map(str, interleaved(repeat, kinds))
    nothing, empty = interleaved(
        2 * repeat + 1, {"nothing to do": bench.nothing_to_do, "empty Snakefile": bench.empty}
    )
    yield from map(str, (nothing, empty))
    yield ""
    frames = len(list(bench.frames.rglob("*.fits")))
    yield f"whole run: {frames / whole.seconds:.1f} frames/s, {ratio(whole, read):.1f} x reading"
    yield f"nothing to do: {ratio(nothing, empty):.2f} x an empty Snakefile"


def ratio(row: Row, other: Row) -> float:
    """Median of the ratios of runs made one after the other."""
    pairs = zip(row.runs, other.runs, strict=True)
    return statistics.median(one.seconds / two.seconds for one, two in pairs)


def main() -> None:
    """Run ``python benchmarks/session.py``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="frames of 960x540")
    parser.add_argument("--cores", type=int, default=2, help="cores for Snakemake (default 2)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each measure (default 3)")
    options = parser.parse_args()
    width, height = (960, 540) if options.small else (3840, 2160)
    bench = Bench(width, height, options.cores)
    print(
        f"30 bias, 30 darks, 60 flats of {width}x{height}; {options.cores} of {os.cpu_count()}"
        f" cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    )
    for line in table(bench, options.repeat):
        print(line, flush=True)


if __name__ == "__main__":
    main()
