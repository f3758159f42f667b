"""Measure the workflow on a session of realistic frames; see README.md.

python benchmarks/session.py            30 bias, 30 darks, 60 flats of 3840x2160 (2.5 GB of disk)
python benchmarks/session.py --small    the same number of 960x540, as a quick test
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
#: Where frames are kept for the next time.
MADE = Path(os.environ.get("CALMASTERS_MADE") or Path(__file__).resolve().parent / "made")

#: File in the working directory with the output of the last command.
LOG = "benchmark.log"

KINDS = ("bias", "dark", "flat")

#: Options of `python -m calmasters.synthetic`: flats of two filters, darks near their exposure.
SESSION = (
    *("--bias", "30", "--darks", "30", "--dark-exposures", "1.5", "--flats", "30"),
    *("--nights", "1", "--lights", "0", "--broken", "0"),
)

#: Program that makes one master from its job file, as the script of a rule does.
MAKE_ONE = """
import sys
from pathlib import Path
import yaml
from calmasters.engines import engine_for
from calmasters.model.job import MasterJob

job = MasterJob.from_json(Path(sys.argv[1]).read_text(encoding="utf-8"))
output = Path("one", job.type, "master.xisf")
output.parent.mkdir(parents=True, exist_ok=True)
config = yaml.safe_load(Path(sys.argv[3]).read_text(encoding="utf-8"))
engine_for(job, config, int(sys.argv[2])).make(
    job, Path("frames"), Path("output"), output, output.with_suffix(".log")
)
"""


@dataclass(frozen=True)
class Run:
    """Wall time of a command, and the memory of its largest process where known."""

    seconds: float
    peak_mib: float | None = None


@dataclass(frozen=True)
class Row:
    """The runs of one measurement."""

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
    """Run a command to its end; on failure, exit with its output."""
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
    """Wait for a process; return its exit code and the peak memory of its largest process, MiB.

    The memory is None on Windows, which does not count the children of a process.
    """
    if sys.platform == "win32":
        return process.wait(), None
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else 1024
    return process.returncode, usage.ru_maxrss * unit / 2**20


def snakemake(*arguments: str) -> list[str]:
    """Return the command line of the Snakemake of this Python."""
    return [sys.executable, "-m", "snakemake", *arguments]


class Bench:
    """A working directory with the frames of a session, and the measurements there."""

    def __init__(self, width: int, height: int, cores: int) -> None:
        self.directory = MADE / f"{width}x{height}"
        self.cores = cores
        self.frames = self.directory / "frames"
        self._write_frames("--size", str(width), str(height), *SESSION)
        snakefile = str(REPOSITORY / "Snakefile")
        self._masters = snakemake("masters", "--snakefile", snakefile, "--cores", str(cores))
        self._empty = self._empty_workflow()

    def _write_frames(self, *options: str) -> None:
        """Write the frames, unless they exist; the directory is renamed when it is complete.

        Another process writes them, since on Linux the peak memory of a command includes that of
        its parent at the start.
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
        """Compile the kernels, in a copy of the package without compiled files."""
        copy = self.directory / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        without = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / "calmasters", copy / "calmasters", ignore=without)
        return run([sys.executable, "-m", "calmasters.engines.native"], copy)

    def full_run(self) -> Run:
        """Make all masters from the frames, with nothing made before."""
        for made in ("output", ".snakemake"):
            shutil.rmtree(self.directory / made, ignore_errors=True)
        return run(self._masters, self.directory)

    def one(self, kind: str) -> Run:
        """Make one master of a type in a new process."""
        job = next(self.directory.glob(f"output/jobs/{kind}/*.json"))
        config = REPOSITORY / "config" / "config.yaml"
        arguments = [str(job), str(self.cores), str(config)]
        return run([sys.executable, "-c", MAKE_ONE, *arguments], self.directory)

    def nothing_to_do(self) -> Run:
        """Run when all masters are current."""
        idle = run(self._masters, self.directory)
        if "Nothing to do: " not in (self.directory / LOG).read_text(errors="replace"):
            sys.exit(f"a second run made something: see {self.directory / LOG}")
        return idle

    def empty(self) -> Run:
        """Run a workflow without rules: the time of Snakemake itself."""
        return run(self._empty, self.directory)

    def siril(self) -> Run:
        """Stack the same frames by one script of Siril, with the masters that were made first."""
        folder = self.directory / "siril"
        shutil.rmtree(folder, ignore_errors=True)
        script = ["requires 1.0.0", "setext fit", f"setcpu {self.cores}"]
        for kind, frames in self._stacks():
            linked = folder / kind
            linked.mkdir(parents=True)
            for number, frame in enumerate(frames, 1):
                (linked / f"{kind}_{number:05}.fit").symlink_to(frame)
            script += [f"cd {linked}"]
            if kind.startswith("flat"):
                script += [
                    f"preprocess {kind}_ -bias=../bias/bias_stacked -dark=../dark/dark_stacked"
                ]
                script += [f"stack pp_{kind}_ rej w 4 3 -norm=mul -out={kind}_stacked"]
            else:
                script += [f"stack {kind}_ rej w 4 3 -nonorm -out={kind}_stacked"]
        (folder / "night.ssf").write_text("\n".join(script) + "\n")
        return run(["siril-cli", "-d", str(folder), "-s", str(folder / "night.ssf")], folder)

    def _stacks(self) -> Iterator[tuple[str, list[Path]]]:
        for kind in ("bias", "dark"):
            yield kind, sorted(self.frames.glob(f"*/{kind.upper()}/*.fits"))
        flats = sorted(self.frames.glob("*/FLAT/*.fits"))
        for filter_ in sorted({path.name.split("_")[2] for path in flats}):
            yield f"flat{filter_}", [path for path in flats if path.name.split("_")[2] == filter_]

    def read(self) -> Run:
        """Read all frames once, in this process: the lower limit of any program."""
        start = time.perf_counter()
        for path in self.frames.rglob("*.fits"):
            path.read_bytes()
        return Run(time.perf_counter() - start)


def interleaved(repeat: int, measures: Mapping[str, Callable[[], Run]]) -> Iterator[Row]:
    """Measure in turns, so that a slow phase of the machine affects all measurements."""
    runs: dict[str, list[Run]] = {name: [] for name in measures}
    for _ in range(repeat):
        for name, measure in measures.items():
            runs[name].append(measure())
    yield from (Row(name, runs[name]) for name in measures)


def table(bench: Bench, repeat: int, *, is_compiled: bool) -> Iterator[str]:
    """Measure everything, and return the lines of the table."""
    yield f"{'':<44}{'median s':>9}{'least':>9}{'most':>9}{'peak MiB':>9}"
    if not is_compiled:
        yield str(Row("compiling the kernels, once per machine", [bench.compiling()]))
    night = {"reading the frames": bench.read, "full run": bench.full_run}
    if shutil.which("siril-cli"):
        night["stacking by Siril"] = bench.siril
    read, full, *siril = interleaved(repeat, night)
    yield from map(str, (read, full, *siril))
    kinds = {f"one master {kind}, new process": partial(bench.one, kind) for kind in KINDS}
    yield from map(str, interleaved(repeat, kinds))
    nothing, empty = interleaved(
        2 * repeat + 1, {"nothing to do": bench.nothing_to_do, "empty Snakefile": bench.empty}
    )
    yield from map(str, (nothing, empty))
    yield ""
    frames = len(list(bench.frames.rglob("*.fits")))
    yield f"full run: {frames / full.seconds:.1f} frames/s, {ratio(full, read):.1f} x reading"
    for row in siril:
        yield f"full run: {ratio(full, row):.2f} x stacking by Siril"
    yield f"nothing to do: {ratio(nothing, empty):.2f} x an empty Snakefile"


def ratio(row: Row, other: Row) -> float:
    """Return the median of the ratios of the runs of each round."""
    pairs = zip(row.runs, other.runs, strict=True)
    return statistics.median(one.seconds / two.seconds for one, two in pairs)


def main() -> None:
    """Run ``python benchmarks/session.py``."""
    # Without bytecode, each process would compile the library again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="frames of 960x540")
    parser.add_argument("--size", type=int, nargs=2, default=[3840, 2160], metavar=("W", "H"))
    parser.add_argument(
        "--without-compiling", action="store_true", help="do not measure the compilation (minutes)"
    )
    parser.add_argument("--cores", type=int, default=2, help="cores for Snakemake (default 2)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each measure (default 3)")
    options = parser.parse_args()
    width, height = (960, 540) if options.small else options.size
    bench = Bench(width, height, options.cores)
    print(
        f"30 bias, 30 darks, 60 flats of {width}x{height}; {options.cores} of {os.cpu_count()}"
        f" cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    )
    for line in table(bench, options.repeat, is_compiled=options.without_compiling):
        print(line, flush=True)


if __name__ == "__main__":
    main()
