"""Run the workflow again and again with random changes between the runs, and kill some of them.

``make soak``, or ``PYTHONPATH=tests/workflow python tests/soak/soak.py --runs 100``, works in a
temporary folder. The same seed gives the same changes, but not the same moments of kills. After
each run that ends by itself the tree is checked: a dry run has nothing to do, masters are whole,
and no temporary file is left. From time to time, and at the end, all masters are compared with
those of one clean run of the same frames.
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
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

from real_workflow import HOT, Workflow, add_another

from calmasters.images.master_file import read_image
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
_RUN_LIMIT_S = 300


class Soak:
    """A directory of frames, what is done to it, and what must be true of its masters.

    Parameters
    ----------
    folder : Path
        Empty.
    seed : int
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = Random(seed)
        self.workflow = Workflow(folder / "work")
        self.clean = Workflow(folder / "clean")
        self.settings: dict[str, object] = {}
        self.counts: Counter[str] = Counter()
        self._number = 0
        write_session(self.workflow.frames, HOT)
        self.changes: list[Callable[[], None]] = [
            *[self.add_frame] * 4,
            *[self.remove_frame] * 2,
            *[self.change_pixels] * 2,
            *[self.set_time] * 2,
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

    def frames(self, minimum: int = 0) -> list[Path]:
        """Frames of types that have more than a minimum; lights are left alone."""
        by_kind: dict[str, list[Path]] = {}
        for path in sorted(self.workflow.frames.rglob("*.fits")):
            kind = next((each for each in ("_B_", "_Ha_") if each in path.name), path.parent.name)
            by_kind.setdefault(kind, []).append(path)
        return [path for of_kind in by_kind.values() if len(of_kind) > minimum for path in of_kind]

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
        """Change some things, then run; some runs are killed, or the disk is full in them."""
        for _ in range(self.random.randrange(3)):
            change = self.random.choice(self.changes)
            change()
            self.counts[change.__name__] += 1
        way = self.random.choice(["run"] * 6 + ["kill", "kill", "interrupt", "full disk"])
        self.counts[way] += 1
        if way == "run":
            self.workflow.run("masters")
            self.check()
        elif way == "full disk":
            self.run_on_full_disk()
        else:
            self.stop_somewhere(signal.SIGKILL if way == "kill" else signal.SIGINT)

    def stop_somewhere(self, number: signal.Signals) -> None:
        """End a run and its jobs after a random time."""
        run = self.workflow.start("masters", seen=lambda: True)
        with suppress(subprocess.TimeoutExpired):
            run.wait(self.random.uniform(0.5, 8))
        with suppress(ProcessLookupError):
            os.killpg(run.pid, number)
        run.wait(_RUN_LIMIT_S)

    def run_on_full_disk(self) -> None:
        """Run with a limit for the size of each file: what is larger cannot be written."""
        blocks = self.random.choice([1, 4, 8])
        command = ["bash", "-c", f'ulimit -f {blocks}; exec "$@"', "bash"]
        subprocess.run(
            [*command, *map(str, self.workflow.command("masters"))],
            cwd=self.workflow.directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_RUN_LIMIT_S,
            check=False,
        )

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

    def check(self) -> None:
        """Check the tree after a run that ended by itself."""
        dry = self.workflow.run("-n", "masters")
        assert dry.nothing_to_do, f"after a run there is something to do: {dry.jobs}"
        assert not self.leftovers(), self.leftovers()
        for master in self.workflow.plan["masters"]:
            record = (self.workflow.output / master).with_suffix(".json")
            assert record.is_file(), f"{master} has no record"

    def compare(self) -> None:
        """Compare all masters with those of one clean run."""
        self.workflow.run("masters")
        self.check()
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
    parser.add_argument("--compare-every", type=int, default=20, metavar="RUNS")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    soak = Soak(folder, options.seed)
    try:
        for number in range(1, options.runs + 1):
            soak.step()
            if number % options.compare_every == 0 or number == options.runs:
                soak.compare()
                print(f"{number} runs: {dict(soak.counts)}", flush=True)
    except AssertionError as error:
        print(
            f"seed {options.seed}, run {number}: {str(error)[-4000:]}\nThe tree is kept: {folder}"
        )
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
