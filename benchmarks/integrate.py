"""Time masters of the native engine against Siril and ccdproc: whole cold processes, interleaved.

    python benchmarks/integrate.py --counts 3 10 30 --rounds 3
    python benchmarks/integrate.py --counts 3 5 10 30 100 200 300 --plot integrate.png

Each result is a ratio to the time of the native engine in the same round, since the speed of a
machine varies. The frames are synthetic, and are read once before, so that they are in the file
cache. Programs that are not installed are left out. Siril and ccdproc have other rejection rules:
the same job, not the same arithmetic. `floor` reads and sums all bytes with two threads, `rule`
makes the same master with Snakemake. At the end two masters are made at the same time, with one
thread each.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
SNAKEFILE = HERE.parent / "Snakefile"

WRITE_FRAMES = """
import sys
import numpy as np
directory, kind, count, width, height = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
rng = np.random.default_rng(7)
shape = (height, width)
fixed = 800 + 2 * rng.standard_normal(shape, "f4")
thermal = (300 * rng.standard_exponential(shape, "f4")) * (rng.random(shape, "f4") < 0.01)
y, x = np.mgrid[-1:1:height * 1j, -1:1:width * 1j]
level = (28000 * (1 - 0.3 * (x * x + y * y))).astype("f4")
axes = {"SIMPLE": "T", "BITPIX": 16, "NAXIS": 2, "NAXIS1": width, "NAXIS2": height,
        "BZERO": 32768, "BSCALE": 1}
header = "".join(f"{key:8}= {value:>20}".ljust(80) for key, value in axes.items()) + "END"
rng = np.random.default_rng(["bias", "dark", "flat"].index(kind))
for i in range(count):
    image = fixed + {"bias": 0, "dark": thermal}.get(kind, 0.35 * thermal + level)
    image = image + rng.standard_normal(shape, "f4") * (9 if kind != "flat" else np.sqrt(level))
    hits = rng.integers(0, image.size, image.size // 50000)
    image.reshape(-1)[hits] += 2000
    stored = (np.clip(np.round(image), 0, 65535).astype("i4") - 32768).astype(">i2").tobytes()
    with open(f"{directory}/{kind}_{i + 1:05}.fit", "wb") as file:
        file.write(header.ljust(2880).encode() + stored + bytes(-len(stored) % 2880))
"""

FLOOR = """
import sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
with ThreadPoolExecutor(2) as pool:
    print(sum(pool.map(lambda p: int(np.fromfile(p, "u8").sum()), sys.argv[1:])))
"""

CCDPROC = """
import sys
import ccdproc
master = ccdproc.combine(sys.argv[2:], sys.argv[1], method="average", unit="adu", sigma_clip=True,
                         sigma_clip_low_thresh=4, sigma_clip_high_thresh=3, mem_limit=2e9,
                         overwrite_output=True)
"""


@dataclass(frozen=True)
class Run:
    """Time and memory of a process."""

    wall_s: float
    cpu_s: float
    peak_mib: float


@dataclass(frozen=True)
class Case:
    """One master to make: its type and frames, and for flats the calibration masters."""

    kind: str
    frames: Sequence[Path]
    directory: Path

    @property
    def masters(self) -> dict[str, Path]:
        """Bias and dark of a flat."""
        if self.kind != "flat":
            return {}
        return {kind: self.directory / f"master_{kind}" for kind in ("bias", "dark")}


def run(command: Sequence[str | Path]) -> Run:
    """Run a process to its end."""
    started = time.perf_counter()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(list(map(str, command)), **quiet)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"failed with {process.returncode}: {command}")
    wall_s = time.perf_counter() - started
    return Run(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def native_command(case: Case, output: Path, threads: int) -> list[str | Path]:
    """Return the command line of the native engine."""
    masters = [
        part for kind, path in case.masters.items() for part in (f"--{kind}", f"{path}.xisf")
    ]
    options = ["--type", case.kind, "--output", output, "--threads", str(threads), *masters]
    return [sys.executable, HERE / "one_master.py", *options, *case.frames]


def run_native(case: Case) -> Run:
    """Make the master with the native engine."""
    return run(native_command(case, fresh(case.directory / "native.xisf"), threads=2))


def fresh(output: Path) -> Path:
    """Delete the file of the run before: replacing a file that was just written waits for the disk.

    Snakemake also deletes outputs before a job.
    """
    output.unlink(missing_ok=True)
    return output


def run_rule(case: Case) -> Run:
    """Make the master with `snakemake masters`; the plan exists before."""
    site = case.directory / f"{case.kind} {len(case.frames)}"
    command = [sys.executable, "-m", "snakemake", "--snakefile", SNAKEFILE, "--directory", site]
    command += ["--quiet", "all", "--cores", "2"]
    if not site.exists():
        write_site(case, site)
        run([*command, "inventory"])
    for path in site.glob("output/masters/*/*"):
        path.unlink()
    taken = run([*command, "masters"])
    if len([*site.glob("output/masters/*/*.xisf")]) != 1:
        raise SystemExit(f"{site}: expected one master in output/masters")
    return taken


def write_site(case: Case, site: Path) -> None:
    """Write a directory for Snakemake; the folder of each frame is its type."""
    frames = site / "frames" / case.kind
    frames.mkdir(parents=True)
    for frame in case.frames:
        os.link(frame, frames / frame.name)
    library = {kind: [path.parent / f"library {kind}"] for kind, path in case.masters.items()}
    for kind, (folder,) in library.items():
        folder.mkdir(exist_ok=True)
        shutil.copy(case.directory / f"master_{kind}.xisf", folder)
    # The frames have only the header cards that Siril needs.
    keywords = "INSTRUME, SET-TEMP, GAIN, OFFSET, READOUTM, EXPOSURE, FILTER, DATE"
    lines = ["types_from: [header, folder]", f"optional_keywords: [{keywords}]", "library:"]
    lines += [f"  {kind}: ['{folder}']" for kind, (folder,) in library.items()] or ["  bias: []"]
    (site / "config").mkdir()
    (site / "config" / "config.yaml").write_text("\n".join(lines) + "\n")


def run_floor(case: Case) -> Run:
    """Read and sum all bytes."""
    return run([sys.executable, "-c", FLOOR, *case.frames])


def run_ccdproc(case: Case) -> Run:
    """Combine with ccdproc, with sigma clipping and without calibration."""
    output = fresh(case.directory / "ccdproc.fits")
    return run([sys.executable, "-c", CCDPROC, output, *case.frames])


def run_siril(case: Case) -> Run:
    """Stack with Siril, Winsorized 4/3; flats are calibrated first and scaled."""
    script = case.directory / "siril.ssf"
    script.write_text("\n".join(siril_commands(case)) + "\n")
    sequence = case.directory / "siril"
    shutil.rmtree(sequence, ignore_errors=True)
    sequence.mkdir()
    fresh(case.directory / f"siril_{case.kind}.fit")
    for frame in case.frames:
        (sequence / frame.name).symlink_to(frame)
    return run(["siril-cli", "-d", sequence, "-s", script])


def siril_commands(case: Case) -> Iterator[str]:
    """Return the commands of a Siril script."""
    yield from ("requires 1.0.0", "setext fit", "setcpu 2")
    if case.kind == "flat":
        # Without -opt, which scales the dark as the native engine does: Siril 1.0.6 may crash.
        bias, dark = (f"../{path.name}" for path in case.masters.values())
        yield f"preprocess flat_ -bias={bias} -dark={dark}"
        yield "stack pp_flat_ rej w 4 3 -norm=mul -out=master"
    else:
        yield f"stack {case.kind}_ rej w 4 3 -nonorm -out=../siril_{case.kind}"


def write_frames(directory: Path, kind: str, count: int, width: int, height: int) -> list[Path]:
    """Write synthetic raw frames, in another process to keep the memory of this one small."""
    run([sys.executable, "-c", WRITE_FRAMES, directory, kind, *map(str, (count, width, height))])
    return sorted(directory.glob(f"{kind}_*.fit"))


def prepare_masters(directory: Path, width: int, height: int) -> None:
    """Make the bias and dark masters for the flats, with both programs."""
    for kind in ("bias", "dark"):
        case = Case(kind, write_frames(directory, kind, 10, width, height), directory)
        run_native(case)
        shutil.copy(directory / "native.xisf", directory / f"master_{kind}.xisf")
        if shutil.which("siril-cli"):
            run_siril(case)
            shutil.copy(directory / f"siril_{kind}.fit", directory / f"master_{kind}.fit")


def installed_programs() -> dict[str, Callable[[Case], Run]]:
    """Return the programs that are installed."""
    programs: dict[str, Callable[[Case], Run]] = {
        "native": run_native,
        "rule": run_rule,
        "floor": run_floor,
    }
    if shutil.which("siril-cli"):
        programs["siril"] = run_siril
    try:
        import ccdproc  # noqa: F401
    except ImportError:
        return programs
    return {**programs, "ccdproc": run_ccdproc}


def measure(
    case: Case, programs: dict[str, Callable[[Case], Run]], rounds: int
) -> dict[str, list[Run]]:
    """Run all programs in turn, several times."""
    runs: dict[str, list[Run]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, program in programs.items():
            runs[name].append(program(case))
    return runs


def rows(runs: dict[str, list[Run]]) -> Iterator[tuple[str, float, float, float, float]]:
    """Return program, native / program in wall and CPU time (medians), seconds, peak MiB."""
    native = runs["native"]
    for name, own in runs.items():
        pairs = list(zip(native, own, strict=True))
        yield (
            name,
            statistics.median(base.wall_s / other.wall_s for base, other in pairs),
            statistics.median(base.cpu_s / other.cpu_s for base, other in pairs),
            statistics.median(each.wall_s for each in own),
            max(each.peak_mib for each in own),
        )


def at_once(case: Case, rounds: int) -> float:
    """Return the time of two processes with one thread each, relative to one process."""

    def timed(processes: int) -> float:
        commands = [
            native_command(case, case.directory / f"at_once_{number}.xisf", threads=1)
            for number in range(processes)
        ]
        started = time.perf_counter()
        with ThreadPoolExecutor(processes) as pool:
            list(pool.map(run, commands))
        return time.perf_counter() - started

    return statistics.median(timed(2) / timed(1) for _ in range(rounds))


def plot(path: Path, ratios: dict[str, dict[int, float]]) -> None:
    """Draw the ratios against the number of frames."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    for name, by_count in ratios.items():
        axes.plot(list(by_count), list(by_count.values()), "o-", label=name)
    axes.set(xscale="log", yscale="log", xlabel="frames", ylabel="wall time, native / other")
    axes.legend()
    figure.savefig(path)


def main() -> int:
    """Run ``python benchmarks/integrate.py``."""
    # Without bytecode, each process would compile the library again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--kinds", nargs="+", default=["bias", "flat"], choices=["bias", "dark", "flat"]
    )
    parser.add_argument("--counts", type=int, nargs="+", default=[10, 30])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, nargs=2, default=[3840, 2160], metavar=("W", "H"))
    parser.add_argument("--without", nargs="*", default=[], help="programs to leave out")
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    programs = {
        name: each for name, each in installed_programs().items() if name not in options.without
    }
    ratios: dict[str, dict[int, float]] = {}
    print(
        f"{'job':12} {'program':8} {'native/it, wall':>16} {'native/it, CPU':>15}"
        f" {'s':>7} {'MiB':>6}"
    )
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        prepare_masters(directory, *options.size)
        for kind in options.kinds:
            frames = write_frames(directory, kind, max(options.counts), *options.size)
            for count in options.counts:
                case = Case(kind, frames[:count], directory)
                run_floor(case)
                for program, wall, cpu, seconds, mib in rows(
                    measure(case, programs, options.rounds)
                ):
                    print(
                        f"{kind + ' ' + str(count):12} {program:8} {wall:16.3f} {cpu:15.3f}"
                        f" {seconds:7.2f} {mib:6.0f}",
                        flush=True,
                    )
                    ratios.setdefault(f"{kind} / {program}", {})[count] = wall
            slowdown = at_once(Case(kind, frames[: min(options.counts)], directory), options.rounds)
            print(f"{kind}: two at the same time take {slowdown:.2f} x the time of one", flush=True)
    if options.plot:
        plot(options.plot, ratios)
    return 0


if __name__ == "__main__":
    sys.exit(main())
