"""Measure how the time of runs with little to do grows with the number of frames; see README.md.

python benchmarks/scale.py                      1,000 to 100,000 frames (1.3 GB of disk)
python benchmarks/scale.py --sizes 1000/100     one size: frames/masters
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import chdir
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import numpy as np
from session import MADE, REPOSITORY, Row, Run, interleaved, ratio, run, snakemake

from calmasters.frame import FrameType
from calmasters.inventory.header_cache import HeaderCache
from calmasters.inventory.listing import list_files
from calmasters.inventory.scan import scan_frames
from calmasters.model.layout import job_path_of
from calmasters.settings import Settings
from calmasters.synthetic.camera import Camera, write_frame
from calmasters.synthetic.session import Shot, nina_header

#: For the end of a run that was stopped.
_END_S = 20

SIZES = ("1000/100", "10000/1000", "50000/1000", "100000/1000")

#: Groups of a gain: one of bias, four of darks, the others of flats with five filters.
GROUPS, DARKS = 50, 4
EXPOSURES_S = {FrameType.BIAS: 0.0, FrameType.FLAT: 1.5}


class Site:
    """A directory of frames with masters that count as current, and the measurements there.

    Frames have one pixel, and masters are empty files: nothing here reads pixels.
    """

    def __init__(self, frames: int, masters: int) -> None:
        self.size = (frames, masters)
        self.directory = MADE / "scale" / f"{frames}-{masters}"
        self.output = self.directory / "output"
        where = ("--snakefile", str(REPOSITORY / "Snakefile"), "--cores", "2")
        self._masters = snakemake("masters", *where)
        self._inventory = snakemake("inventory", *where)
        self._touch = snakemake("masters", "--touch", "--forceall", *where)
        (self.directory / "empty").mkdir(parents=True, exist_ok=True)
        (self.directory / "empty" / "Snakefile").write_text("")
        self._empty = snakemake("--snakefile", "empty/Snakefile", "--directory", "empty", "-c2")
        if not (self.directory / "ready").exists():
            self._prepare()
        # Another version of the code may have other digests and another header cache.
        self.inventory()
        self._write_empty_masters()

    def _prepare(self) -> None:
        """Write frames, plan and masters, and have Snakemake record the masters as made."""
        for folder in ("frames", "output", ".snakemake"):
            shutil.rmtree(self.directory / folder, ignore_errors=True)
        frames, masters = self.size
        for group, number in product(range(masters), range(frames // masters)):
            write_header(self.directory / "frames", group, number)
        run(self._inventory, self.directory)
        self._write_empty_masters()
        run(self._touch, self.directory)
        (self.directory / "ready").touch()

    def _write_empty_masters(self) -> None:
        """Write all masters as empty files with the digests of their jobs: they are current."""
        plan = json.loads((self.output / "plan.json").read_text(encoding="utf-8"))
        for path in plan["masters"]:  # bias and darks before flats, which must be younger
            master = self.output / path
            job = json.loads((self.output / job_path_of(path)).read_text(encoding="utf-8"))
            record = {"digest": job["digest"], "frames": job["frames"], "recipe": job["recipe"]}
            master.parent.mkdir(parents=True, exist_ok=True)
            master.with_suffix(".json").write_text(json.dumps(job | record))
            master.touch()

    # --- measurements ---

    def empty(self) -> Run:
        """Run Snakemake on an empty Snakefile."""
        return run(self._empty, self.directory)

    def nothing(self) -> Run:
        """Run with nothing to do."""
        return self._idle(self._masters)

    def dry_run_nothing(self) -> Run:
        """Dry run with nothing to do."""
        return self._idle([*self._masters, "--dry-run"])

    def _idle(self, command: list[str]) -> Run:
        measured = run(command, self.directory)
        log = self.directory / "benchmark.log"
        if "Nothing to do: " not in log.read_text(errors="replace"):
            sys.exit(f"nothing has changed, but the run made something: see {log}")
        return measured

    def dry_run_one_flat(self) -> Run:
        """Dry run with one more flat."""
        added = self._add_flat()
        try:
            return run([*self._masters, "--dry-run"], self.directory)
        finally:
            added.unlink()

    def one_flat(self) -> Run:
        """Run with one more flat, up to the start of its job; then restore the directory."""
        added = self._add_flat()
        logs = self.directory / ".snakemake" / "log"
        shutil.rmtree(logs, ignore_errors=True)
        started = time.perf_counter()
        process = subprocess.Popen(
            self._masters,
            cwd=self.directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        # Snakemake's log names the job when it starts; the terminal shows masters that are made.
        while not any("rule master_flat:" in log.read_text() for log in logs.glob("*.log")):
            if process.poll() is not None:
                sys.exit(f"the run made no flat: see {logs}")
            time.sleep(0.005)
        seconds = time.perf_counter() - started
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            # Snakemake 9.27 waits for itself if the signal comes while it notes the end of a job.
            process.kill()
            process.wait()
        added.unlink()
        run(self._inventory, self.directory)
        self._write_empty_masters()
        return Run(seconds)

    def _add_flat(self) -> Path:
        frames, masters = self.size
        return write_header(self.directory / "frames", DARKS + 1, frames // masters)

    def inventory(self) -> Run:
        """Plan again with all headers in the cache, as after a changed setting."""
        (self.output / "plan.json").unlink(missing_ok=True)
        return run(self._inventory, self.directory)

    def first_inventory(self) -> Run:
        """Plan without a header cache."""
        (self.output / ".cache" / "headers.json").unlink()
        return self.inventory()


def write_header(directory: Path, group: int, number: int) -> Path:
    """Write a frame of one pixel; the frames of a group differ only in their time."""
    setting = group % GROUPS
    kind = (
        FrameType.BIAS if setting == 0 else FrameType.DARK if setting <= DARKS else FrameType.FLAT
    )
    start = datetime(2026, 1, 1, 20, tzinfo=UTC) + timedelta(days=group // 5, seconds=2 * number)
    filter_name = "LRGBS"[group % 5] if kind is FrameType.FLAT else None
    shot = Shot(kind, start, EXPOSURES_S.get(kind, 10.0 * setting), filter=filter_name)
    camera = Camera(width=1, height=1, gain=group // GROUPS)
    path = directory / f"{group:04d}-{kind.value}" / f"{number:04d}.fits"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_frame(path, np.full((1, 1), 600, np.uint16), nina_header(camera, shot))
    return path


# --- headers, in one process ----------------------------------------------------------------------


def headers(site: Site, repeat: int) -> Iterator[str]:
    """Compare the first and later inventories of headers with astropy's getheader.

    If nothing has changed, a run only scans; if a frame was added, it also reads the headers of
    all other frames from the cache. The working directory is that of the site, since the keys of
    the cache are paths relative to it.
    """
    with chdir(site.directory):
        yield from _headers(site, repeat)


def _headers(site: Site, repeat: int) -> Iterator[str]:
    import yaml
    from astropy.io import fits

    config = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text(encoding="utf-8"))
    settings = Settings.from_config(config, REPOSITORY / "config" / "config.schema.yaml")
    every = sorted((site.directory / "frames").rglob("*.fits"))
    for path in every:
        path.read_bytes()  # so that all of them are in the file cache of the system
    some = every[::10]
    cache = site.output / ".cache" / "headers.json"
    content = cache.read_bytes()

    def inventory(*, cached: bool) -> Callable[[], Run]:
        def measure() -> Run:
            cache.write_bytes(content) if cached else cache.unlink()
            start = time.perf_counter()
            HeaderCache(settings).read(scan_frames(settings), settings.input_dir)
            return Run(time.perf_counter() - start)

        return measure

    def astropy() -> Run:
        start = time.perf_counter()
        for path in some:
            fits.getheader(path)
        return Run(10 * (time.perf_counter() - start))

    def scan() -> Run:
        start = time.perf_counter()
        list_files(settings)
        return Run(time.perf_counter() - start)

    measures = {
        "astropy getheader (of a tenth, times ten)": astropy,
        "first inventory of headers": inventory(cached=False),
        "unchanged: the scan": scan,
        "unchanged: scan, and all headers from the cache": inventory(cached=True),
    }
    rows = [*interleaved(repeat, measures)]
    cache.write_bytes(content)
    yield from (f"{row}  {ratio(rows[0], row):.1f} x as fast as astropy" for row in rows)


# --- system calls ---------------------------------------------------------------------------------


def system_calls(site: Site) -> Iterator[str]:
    """Count the system calls for each frame."""
    if not shutil.which("strace"):
        yield "system calls are not counted: strace is not installed"
        return
    trace = site.directory / "trace"
    strace = ["strace", "-f", "-qq", "-s", "400", "-e", "trace=%file", "-o", str(trace)]
    cases = {"nothing to do": site._masters, "an inventory of known headers": site._inventory}
    for name, command in cases.items():
        if command is site._inventory:
            (site.output / "plan.json").unlink()
        run([*strace, *command], site.directory)
        calls = re.findall(r"(\w+)\([^\n]*frames/[^\n]*\.fits\"", trace.read_text())
        opened = sum(call.startswith("open") for call in calls)
        per_frame = (len(calls) - opened) / site.size[0]
        yield f"{name}: {per_frame:.2f} stats a frame, {opened} frames opened"
    trace.unlink()


# --- all sizes ------------------------------------------------------------------------------------


def measured(site: Site, repeat: int) -> dict[str, Row]:
    """Measure a site, in turns with an empty Snakefile."""
    measures: dict[str, Callable[[], Run]] = {
        "empty Snakefile": site.empty,
        "nothing to do": site.nothing,
        "nothing to do, dry run": site.dry_run_nothing,
        "one more flat, dry run": site.dry_run_one_flat,
    }
    rows = {row.name: row for row in interleaved(repeat, measures)}
    few = {"empty Snakefile": site.empty, "one more flat, to its job's start": site.one_flat}
    again = {row.name: row for row in interleaved(min(repeat, 2), few)}
    empty = again.pop("empty Snakefile")
    (flat,) = again.values()
    rows["one more flat, to its job's start"] = flat
    rows["empty Snakefile, in these rounds"] = empty
    return rows


def ratios(rows: dict[str, Row]) -> dict[str, float]:
    """Return the times as multiples of that of an empty Snakefile."""
    references = {"one more flat, to its job's start": rows["empty Snakefile, in these rounds"]}
    return {
        name: ratio(row, references.get(name, rows["empty Snakefile"]))
        for name, row in rows.items()
        if not name.startswith("empty")
    }


def draw(by_frames: dict[int, dict[str, float]], picture: Path) -> None:
    """Plot the ratios against the number of frames."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for name in next(iter(by_frames.values())):
        axes.plot([*by_frames], [each[name] for each in by_frames.values()], "o-", label=name)
    axes.set(xscale="log", ylim=(0, None), xlabel="frames")
    axes.set_ylabel("time / that of an empty Snakefile")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    figure.savefig(picture)


def main() -> None:
    """Run ``python benchmarks/scale.py``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=SIZES, help="frames/masters")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each measure (default 3)")
    options = parser.parse_args()
    by_frames: dict[int, dict[str, float]] = {}
    for size in options.sizes:
        frames, masters = map(int, size.split("/"))
        site = Site(frames, masters)
        rows = measured(site, options.repeat)
        by_frames[frames] = multiples = ratios(rows)
        print(
            f"\n{frames} frames, {masters} masters{'median s':>26}{'least':>9}{'most':>9}  peak MiB"
        )
        for name, row in rows.items():
            multiple = f"  {multiples[name]:.2f} x" if name in multiples else ""
            print(f"{row}{multiple}", flush=True)
        if frames == 10_000:
            print(*headers(site, options.repeat), sep="\n", flush=True)
        if frames <= 10_000:
            print(*system_calls(site), sep="\n", flush=True)
        if frames == 100_000:
            print(Row("planning again, headers in the cache", [site.inventory()]), flush=True)
            print(Row("first inventory", [site.first_inventory()]), flush=True)
    picture = MADE / "scale" / "scale.svg"
    draw(by_frames, picture)
    print(f"\nas multiples of an empty Snakefile: {picture}")


if __name__ == "__main__":
    main()
