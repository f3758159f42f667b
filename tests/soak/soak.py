"""Run the workflow again and again with random changes between the runs, and stop some of them.

``make soak``, or ``PYTHONPATH=tests/workflow python tests/soak/soak.py --runs 100``, works in a
temporary folder; as root on a small disk in memory, so that the disk can be full. The same seed
gives the same changes, but not the same moments of kills. After each run the frames must be as they
were, and no master lost. After each run that ends by itself there is nothing to do, no temporary
file is left, and the inventory has each frame once. From time to time, and at the end, all masters
are compared with those of one clean run of the same frames.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

from real_workflow import HOT, Workflow, add_another, spoil

from calmasters.images.master_file import read_image
from calmasters.model.layout import PREVIOUS_MASTERS
from calmasters.synthetic.session import write_session

#: Settings that change masters, alone or together.
SETTINGS: dict[str, list[object]] = {
    "minimum_frames": [3, 4],
    "integration": [
        {},
        {"bias": {"combination": "Median"}},
        {"flat": {"sigmaHigh": 2.5}},
        {"dark": {"rejection": "PercentileClip"}},
    ],
    "master_format": ["xisf", "fits"],
    "fingerprint": ["stat", "content"],
    "exclude": [[], ["*_0001.fits"]],
}
#: The most frames a type has, so that runs stay short.
_MOST_FRAMES = 12
_DAY_S = 86_400
_HOUR_NS = 3_600_000_000_000
_RUN_LIMIT_S = 600
#: Share of the runs after which a dry run is asked whether something is left to do.
_DRY_RUNS = 0.3
_DISK_BYTES = 96_000_000


@contextmanager
def small_disk() -> Iterator[Path]:
    """Give an empty folder: a disk of its own where this user may mount one."""
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    options = ["-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", str(folder)]
    can_mount = bool(shutil.which("mount")) and sys.platform == "linux"
    mounted = can_mount and not subprocess.run(["mount", *options], capture_output=True).returncode
    try:
        yield folder
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False)
        shutil.rmtree(folder, ignore_errors=True)


class Soak:
    """A directory of frames, what is done to it, and what must be true of its masters.

    Parameters
    ----------
    folder : Path
        Empty.
    seed : int
    temporary : Path, optional
        The folder for temporary files of this process and all that it starts, if nothing else
        uses it.
    """

    def __init__(self, folder: Path, seed: int, temporary: Path | None = None) -> None:
        self.random = Random(seed)
        self.workflow = Workflow(folder / "work")
        self.clean = Workflow(folder / "clean")
        self.settings: dict[str, object] = {}
        self.counts: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        self.is_small_disk = os.path.ismount(folder)
        self.temporary = temporary
        self._filler = folder / "filler"
        self._number = 0
        self._run_s = 8.0
        write_session(self.workflow.frames, HOT)
        self.changes: list[Callable[[], None]] = [
            *[self.add_frame] * 4,
            *[self.remove_frame] * 2,
            *[self.change_pixels] * 2,
            *[self.set_time] * 2,
            self.set_clock_back,
            self.copy_frame,
            self.rename_frame,
            self.damage_frame,
            *[self.change_setting] * 3,
            self.remove_master,
            self.remove_record,
            self.damage_plan,
            self.forget_snakemake,
        ]

    # --- changes

    def by_kind(self) -> dict[str, list[Path]]:
        """Frames that are not damaged by filter or type."""
        found: dict[str, list[Path]] = {}
        paths = sorted(self.workflow.frames.rglob("*.fits"))
        whole = max(path.stat().st_size for path in paths)
        for path in (path for path in paths if path.stat().st_size == whole):
            kind = next((each for each in ("_B_", "_Ha_") if each in path.name), path.parent.name)
            found.setdefault(kind, []).append(path)
        return found

    def frames(self, minimum: int = 0) -> list[Path]:
        """Frames of types that have more than a minimum, without copies.

        Where too few are left, the master is kept, and flats use it: a clean run does not have it.
        """
        return [
            path
            for frames in self.by_kind().values()
            if len({path.read_bytes() for path in frames}) > minimum
            for path in frames
        ]

    def add_frame(self) -> None:
        """Add a frame that is like another one."""
        source = self.random.choice(self.frames())
        if len([*source.parent.glob("*.fits")]) < _MOST_FRAMES:
            self._number += 1
            add_another(source, f"{source.stem}_{self._number:04d}.fits")

    def remove_frame(self) -> None:
        """Remove a frame; enough are left for a master."""
        if frames := self.frames(minimum=5):
            self.random.choice(frames).unlink()

    def change_pixels(self) -> None:
        """Write other pixels into a frame."""
        path = self.random.choice(self.frames())
        content = bytearray(path.read_bytes())
        content[-self.random.randrange(2, 400)] ^= 1
        path.write_bytes(content)

    def set_time(self) -> None:
        """Give a file a time in the past or in the future."""
        files = [*self.frames(), *self.workflow.output.glob("masters/*/*")]
        when = time.time() + self.random.choice([-400, -1, 1]) * _DAY_S
        os.utime(self.random.choice(files), (when, when))

    def set_clock_back(self) -> None:
        """Have all that was written lie ahead, as after a clock was set back."""
        for path in (*self.workflow.output.rglob("*"), *self.workflow.frames.rglob("*.fits")):
            with suppress(FileNotFoundError):
                ahead_ns = path.stat().st_mtime_ns + 3 * _HOUR_NS
                if path.is_file() and ahead_ns < time.time_ns() + 12 * _HOUR_NS:
                    os.utime(path, ns=(ahead_ns, ahead_ns))

    def copy_frame(self) -> None:
        """Copy a frame: copies count once."""
        path = self.random.choice(self.frames())
        shutil.copy2(path, path.with_name(f"copy of {path.name}"))

    def rename_frame(self) -> None:
        """Give a frame another name."""
        path = self.random.choice(self.frames())
        self._number += 1
        path.rename(path.with_name(f"{path.stem[:30]}_r{self._number}.fits"))

    def damage_frame(self) -> None:
        """Cut a frame; it is left out then."""
        if frames := self.frames(minimum=6):
            path = self.random.choice(frames)
            os.truncate(path, path.stat().st_size - 2880)

    def change_setting(self) -> None:
        """Change one setting."""
        name = self.random.choice([*SETTINGS])
        self.settings[name] = self.random.choice(SETTINGS[name])
        self.workflow.configure(**self.settings)

    def remove_master(self) -> None:
        """Remove a master."""
        if masters := self.masters(self.workflow):
            self.random.choice(masters).unlink()

    def remove_record(self) -> None:
        """Remove the record beside a master."""
        if masters := self.masters(self.workflow):
            self.random.choice(masters).with_suffix(".json").unlink(missing_ok=True)

    def damage_plan(self) -> None:
        """Cut the plan."""
        with suppress(FileNotFoundError):
            os.truncate(self.workflow.output / "plan.json", 100)

    def forget_snakemake(self) -> None:
        """Remove what Snakemake knows of earlier runs."""
        shutil.rmtree(self.workflow.directory / ".snakemake", ignore_errors=True)

    # --- runs

    def step(self) -> None:
        """Change some things, then run; some runs are stopped, fail, or find the disk full."""
        for _ in range(self.random.randrange(4)):
            change = self.random.choice(self.changes)
            change()
            self.counts[change.__name__] += 1
        ways = [
            *[self.run] * 5,
            *[self.run_and_kill] * 2,
            self.run_and_interrupt,
            self.run_on_full_disk,
            self.fail,
            self.fail_and_kill,
        ]
        way = self.random.choice(ways)
        before, masters = self.contents(), self.masters(self.workflow)
        started = time.monotonic()
        way()
        self.counts[way.__name__] += 1
        self.seconds[way.__name__] += round(time.monotonic() - started)
        assert self.contents() == before, f"{way.__name__} changed frames"
        previous = self.workflow.output / PREVIOUS_MASTERS
        lost = [
            path
            for path in masters
            if not path.exists() and not (previous / path.relative_to(previous.parent)).exists()
        ]
        assert not lost, f"{way.__name__} lost {lost}"

    def run(self) -> None:
        """Let a run end."""
        # A killed run cannot remove its own.
        for path in self.temporary_files():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        started = time.monotonic()
        self.workflow.run("masters")
        self._run_s = time.monotonic() - started
        assert not self.temporary_files(), self.temporary_files()
        self.check(dry_run=self.random.random() < _DRY_RUNS)

    def run_and_kill(self) -> None:
        """Kill a run and its jobs."""
        self._stop_somewhere(signal.SIGKILL)

    def run_and_interrupt(self) -> None:
        """Interrupt a run and its jobs, as Ctrl+C does."""
        self._stop_somewhere(signal.SIGINT)

    def _stop_somewhere(self, number: signal.Signals) -> None:
        run = self.workflow.start("masters", seen=lambda: True)
        with suppress(subprocess.TimeoutExpired):
            run.wait(self.random.uniform(0.1, 1.2) * self._run_s)
        with suppress(ProcessLookupError):
            os.killpg(run.pid, number)
        run.wait(_RUN_LIMIT_S)

    def run_on_full_disk(self) -> None:
        """Run with a few free kilobytes, or with a limit for the size of each file."""
        if self.is_small_disk:
            free = shutil.disk_usage(self._filler.parent).free
            left = self.random.choice([0, 4096, 20_000, 60_000, 150_000])
            with self._filler.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, max(1, free - left))
            try:
                self._run_somehow()
            finally:
                self._filler.unlink()
        else:
            limit = f'ulimit -f {self.random.choice([1, 4, 8])}; exec "$@"'
            subprocess.run(
                ["bash", "-c", limit, "bash", *map(str, self.workflow.command("masters"))],
                cwd=self.workflow.directory,
                env=self.workflow.environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_RUN_LIMIT_S,
                check=False,
            )

    def _run_somehow(self, *arguments: str) -> None:
        """Run, whether it succeeds or not."""
        with suppress(AssertionError):
            self.workflow.run(*arguments, "masters")

    @contextmanager
    def spoiled_frames(self) -> Iterator[None]:
        """Make a master stale, and most of its frames bad, so that only its job finds it."""
        kind, frames = self.random.choice([*self.by_kind().items()])
        self._number += 1
        add_another(self.random.choice(frames), f"new_{kind}_{self._number:04d}.fits")
        # Their headers are in the cache, and their sizes and times stay.
        self.workflow.run("inventory")
        kept = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in frames}
        spoil(*frames)
        yield
        for path, (content, mtime_ns) in kept.items():
            path.write_bytes(content)
            os.utime(path, ns=(mtime_ns, mtime_ns))

    def fail(self) -> None:
        """Let a rebuild fail."""
        with self.spoiled_frames():
            self._run_somehow("--keep-going")

    def fail_and_kill(self) -> None:
        """Let a rebuild fail, and kill the run somewhere."""
        with self.spoiled_frames():
            self._stop_somewhere(signal.SIGKILL)

    # --- what must be true

    @staticmethod
    def masters(workflow: Workflow) -> list[Path]:
        """All masters."""
        files = workflow.output.glob("masters/*/*")
        return sorted(path for path in files if path.suffix in (".xisf", ".fits"))

    def planned(self, workflow: Workflow) -> dict[str, bytes]:
        """The pixels of the planned masters; others may be left of other settings."""
        return {
            master: read_image(workflow.output / master)[0].tobytes()
            for master in workflow.plan["masters"]
        }

    def leftovers(self) -> list[Path]:
        """Files that only a run that is at work may have: hidden ones, apart from caches."""
        output = self.workflow.output
        hidden = [path for path in output.rglob("*") if path.name.startswith(".")]
        inside = [path for path in (output / ".previous").rglob("*") if path.is_file()]
        return [*inside, *(path for path in hidden if path.name not in (".cache", ".previous"))]

    def temporary_files(self) -> list[Path]:
        """What is in the folder for temporary files, apart from that of the tests' own Python."""
        found = self.temporary.iterdir() if self.temporary else ()
        return [path for path in found if not path.name.startswith("warm-python-")]

    def contents(self) -> Mapping[str, bytes]:
        """All files among the frames that a run must not change; a failing one got a new frame."""
        found = self.workflow.frames.rglob("*")
        return {
            path.name: path.read_bytes()
            for path in found
            if path.is_file() and not path.name.startswith("new_")
        }

    def check(self, *, dry_run: bool) -> None:
        """Check the tree after a run that ended by itself."""
        if dry_run:
            dry = self.workflow.run("-n", "masters")
            assert dry.nothing_to_do, f"after a run there is something to do: {dry.jobs}"
        assert not self.leftovers(), self.leftovers()
        files = self.workflow.frames.rglob("*.fits")
        expected = sorted(path.relative_to(self.workflow.frames).as_posix() for path in files)
        assert sorted(self.workflow.inventory.index) == expected
        for master in self.workflow.plan["masters"]:
            record = (self.workflow.output / master).with_suffix(".json")
            assert record.is_file(), f"{master} has no record"

    def compare(self) -> None:
        """Compare all masters with those of one clean run."""
        self.workflow.run("masters")
        self.check(dry_run=True)
        shutil.rmtree(self.clean.directory, ignore_errors=True)
        self.clean.directory.mkdir()
        # With their times: which of two copies is the original depends on them.
        shutil.copytree(self.workflow.frames, self.clean.frames)
        self.clean.configure(**self.settings)
        self.clean.run("masters")
        here, clean = self.planned(self.workflow), self.planned(self.clean)
        assert here.keys() == clean.keys(), f"{here.keys() ^ clean.keys()}"
        different = [name for name, content in here.items() if clean[name] != content]
        assert not different, f"other pixels than after a clean run: {different}"
        self.counts["comparison with a clean run"] += 1


def main() -> int:
    """Run ``python tests/soak/soak.py``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--compare-every", type=int, default=50, metavar="RUNS")
    options = parser.parse_args()
    with small_disk() as folder:
        return soak(folder, options)


def soak(folder: Path, options: argparse.Namespace) -> int:
    """Do the runs, and say what was done."""
    temporary = folder / "tmp"
    temporary.mkdir()
    # Before a Python starts that reads it.
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
    at_work = Soak(folder, options.seed, temporary)
    started = time.monotonic()
    try:
        for number in range(1, options.runs + 1):
            at_work.step()
            if number % options.compare_every == 0 or number == options.runs:
                at_work.compare()
                seconds = time.monotonic() - started
                print(f"{number} runs in {seconds:.0f} s: {dict(at_work.counts)}")
                print(f"  seconds: {dict(at_work.seconds)}", flush=True)
    except AssertionError as error:
        kept = tempfile.mkdtemp(prefix="soak-kept-", dir=folder.parent)
        shutil.copytree(
            folder,
            kept,
            ignore=shutil.ignore_patterns("warm-python-*"),
            dirs_exist_ok=True,
            symlinks=True,
        )
        print(f"seed {options.seed}, run {number}: {str(error)[-4000:]}\nThe tree is kept: {kept}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
