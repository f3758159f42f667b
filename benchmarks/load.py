"""Measure time and memory of large masters, and compare with the prediction; see README.md.

python benchmarks/load.py                       0.3 to 100 Mpx, up to 1,000 frames (8 GB of disk)
python benchmarks/load.py --many 100000/2000    also runs with 100,000 frames and 2,000 masters
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from integrate import HERE, WRITE_FRAMES, run
from one_master import job_of
from session import MADE

from calmasters.engines.native.needs import NEEDS
from calmasters.running import job_resources as resources

#: Width, height and number of frames by megapixels.
SIZES = {
    "0.01": (128, 96, 5),
    "0.3": (640, 480, 1000),
    "2": (1728, 1152, 100),
    "8": (3456, 2304, 100),
    "100": (11648, 8736, 5),
}
DARKS = 5

#: Megapixels, frames, threads; each for bias and for flats.
CASES = (
    ("0.01", 5, 1),
    *(
        (size, frames, threads)
        for size in ("2", "8")
        for frames, threads in ((5, 1), (30, 2), (100, 4))
    ),
    *(("0.3", 1000, threads) for threads in (1, 4)),
    *(("100", 5, threads) for threads in (1, 4)),
)


@dataclass(frozen=True)
class Case:
    """A master to make."""

    kind: str
    size: str
    frames: int
    threads: int

    @property
    def folder(self) -> Path:
        """The folder of the frames of this size."""
        return MADE / "load" / self.size

    @property
    def arguments(self) -> SimpleNamespace:
        """The command line of ``one_master.py``, parsed."""
        numbers = range(1, self.frames + 1)
        calibrated = self.kind == "flat"
        return SimpleNamespace(
            type=self.kind,
            output=self.folder / f"master_{self.kind}.xisf",
            rejection="WinsorizedSigmaClip",
            frames=[self.folder / f"{self.kind}_{number:05}.fit" for number in numbers],
            bias=self.folder / "master_bias.xisf" if calibrated else None,
            dark=self.folder / "master_dark.xisf" if calibrated else None,
        )

    def measure(self) -> str:
        """Make the master in a new process; return the measured and the predicted needs."""
        arguments = self.arguments
        options = [
            "--type",
            self.kind,
            "--threads",
            str(self.threads),
            "--output",
            arguments.output,
        ]
        masters = ["--bias", arguments.bias, "--dark", arguments.dark] if arguments.bias else []
        taken = run([sys.executable, HERE / "one_master.py", *options, *masters, *arguments.frames])
        job = job_of(arguments)
        predicted = NEEDS.process_mb(job, self.threads)
        width, height, _ = SIZES[self.size]
        taken_mb = taken.peak_mib * 2**20 / 1e6
        return (
            f"{self.kind:<6}{self.size:>5}{self.frames:>7}{self.threads:>8}{taken_mb:>9.0f}"
            f"{predicted:>11.0f}{predicted / taken_mb:>7.2f}"
            f"{resources.memory_mb(job, self.threads):>8}{taken.wall_s:>8.1f}"
            f"{taken.cpu_s / self.frames / width / height * 1e9:>10.1f}"
        )


def prepare(size: str) -> None:
    """Write the frames of a size and the masters for its flats, unless they exist."""
    folder = MADE / "load" / size
    if (folder / "master_dark.xisf").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    width, height, frames = SIZES[size]
    for kind, count in {"bias": frames, "dark": DARKS, "flat": frames}.items():
        arguments = map(str, (folder, kind, count, width, height))
        run([sys.executable, "-c", WRITE_FRAMES, *arguments])
    for kind in ("bias", "dark"):
        Case(kind, size, DARKS, 2).measure()


def many(frames: int, masters: int) -> Iterator[str]:
    """Measure runs with many frames that make few masters or none."""
    from scale import Row, Site, interleaved, ratio

    site = Site(frames, masters)
    yield f"\n{frames} frames, {masters} masters{'median s':>26}{'least':>9}{'most':>9}  peak MiB"
    measures = {"empty Snakefile": site.empty, "nothing to do": site.nothing}
    empty, nothing = interleaved(3, measures)
    yield from map(str, (empty, nothing))
    yield str(Row("one more flat, dry run", [site.dry_run_one_flat()]))
    yield str(Row("an inventory of known headers", [site.inventory()]))
    yield f"nothing to do: {ratio(nothing, empty):.1f} x an empty Snakefile"


def main() -> None:
    """Run ``python benchmarks/load.py``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--many", metavar="FRAMES/MASTERS", help="also measure runs of this size")
    parser.add_argument(
        "--sizes", nargs="*", choices=SIZES, default=[*SIZES][1:], help="megapixels"
    )
    options = parser.parse_args()
    print("type    Mpx frames threads  peak MB  predicted  ratio request  wall s  ns/sample")
    for size, frames, threads in CASES:
        if size in options.sizes:
            prepare(size)
            for kind in ("bias", "flat"):
                print(Case(kind, size, frames, threads).measure(), flush=True)
    if options.many:
        for line in many(*map(int, options.many.split("/"))):
            print(line, flush=True)


if __name__ == "__main__":
    main()
