"""The real Snakefile, run in a directory of its own; and what it did."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from warm_python import warm_python

from calmasters.synthetic.camera import Camera
from calmasters.synthetic.session import ObservingSession

REPOSITORY = Path(__file__).parents[2]

#: "rule master_bias:" and the indented lines below it, among them its wildcard.
_JOB = re.compile(r"^(?:local)?(?:rule|checkpoint) (\w+):\n((?: +.*\n)*)", re.MULTILINE)


def add_another(source: Path, name: str) -> Path:
    """Write a frame that is like another one but no copy of it: its last byte differs."""
    content = bytearray(source.read_bytes())
    content[-1] ^= 1
    added = source.with_name(name)
    added.write_bytes(content)
    return added


def spoil(*frames: Path) -> None:
    """Overwrite frames so that only their job finds it: their sizes and times stay."""
    for path in frames:
        status = path.stat()
        path.write_bytes(b"X" * status.st_size)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@dataclass(frozen=True)
class Run:
    """What a run of Snakemake did."""

    code: int
    output: str

    @property
    def jobs(self) -> list[str]:
        """Masters by their names, other jobs by their rules; `masters` itself does nothing."""
        found = []
        for rule, body in _JOB.findall(self.output):
            name = re.search(r"^ +wildcards: name=(.+)$", body, re.MULTILINE)
            found.append(name[1] if name else rule)
        return sorted(set(found) - {"masters"})

    @property
    def nothing_to_do(self) -> bool:
        return "Nothing to be done" in self.output


class Workflow:
    """The workflow at work on one directory."""

    def __init__(self, directory: Path, repository: Path = REPOSITORY) -> None:
        self.directory = directory
        self.repository = repository
        self.frames = directory / "frames"
        self.output = directory / "output"

    def command(self, *arguments: str, python: str = sys.executable) -> list[str | Path]:
        where = ["--snakefile", self.repository / "Snakefile", "--directory", self.directory]
        return [python, "-m", "snakemake", *where, *arguments]

    @property
    def environment(self) -> dict[str, str]:
        """The library of the same repository; this one's is installed."""
        own = {} if self.repository == REPOSITORY else {"PYTHONPATH": str(self.repository)}
        return {**os.environ, **own}

    def run(self, *arguments: str, succeeds: bool = True) -> Run:
        """Run Snakemake in the default profile; its own output says which jobs ran."""
        return self._run("--verbose", *arguments, succeeds=succeeds)

    def show(
        self, *arguments: str, succeeds: bool = True, started_in: Path | None = None
    ) -> list[str]:
        """Run Snakemake, and give what a person sees, without seconds and the line on profiles."""
        run = self._run(*arguments, succeeds=succeeds, started_in=started_in)
        lines = run.output.splitlines()
        return [
            re.sub(r" *\d+\.\d s\b", "… s", line)
            for line in lines
            if not line.startswith("Using workflow specific profile")
        ]

    def _run(self, *arguments: str, succeeds: bool, started_in: Path | None = None) -> Run:
        done = subprocess.run(
            self.command(*arguments, python=warm_python()),
            cwd=started_in or self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=300,
            check=False,
        )
        run = Run(done.returncode, done.stdout + done.stderr)
        assert (run.code == 0) == succeeds, run.output
        return run

    def start(self, *arguments: str, seen: Callable[[], bool]) -> subprocess.Popen[bytes]:
        """Start a run in a process group of its own; come back when something is seen."""
        with (self.directory / "run.log").open("wb") as log:
            run = subprocess.Popen(
                self.command("--verbose", *arguments),
                cwd=self.directory,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=sys.platform != "win32",
            )
        deadline = time.monotonic() + 120
        while not seen():
            assert run.poll() is None, self.said
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return run

    @property
    def said(self) -> str:
        """What the run said that was started last."""
        return (self.directory / "run.log").read_text(encoding="utf-8", errors="replace")

    def finish(self, run: subprocess.Popen[bytes]) -> Run:
        """Wait for a run that was started."""
        run.wait(timeout=300)
        return Run(run.returncode, self.said)

    def run_as_predicted(self, *arguments: str) -> Run:
        """Run what a dry run predicted, and see that nothing is left to do then."""
        predicted = self.run("-n", *(arguments or ("masters",)))
        run = self.run(*(arguments or ("masters",)))
        assert run.jobs == predicted.jobs
        assert self.run(*(arguments or ("masters",))).nothing_to_do
        return run

    def configure(self, **settings: object) -> None:
        """Write the working directory's own config/config.yaml."""
        path = self.directory / "config" / "config.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(settings), encoding="utf-8")

    @property
    def inventory(self) -> pd.DataFrame:
        table = pd.read_csv(self.output / "inventory.csv", dtype=str, keep_default_na=False)
        return table.set_index("path")

    @property
    def plan(self) -> dict:
        return json.loads((self.output / "plan.json").read_text(encoding="utf-8"))

    @property
    def masters(self) -> list[str]:
        """Names of the masters that are there, each with its JSON."""
        found = sorted(self.output.glob("masters/*/*.xisf"))
        assert all(path.with_suffix(".json").is_file() for path in found)
        return [path.stem for path in found]


# --- a session of four masters ----------------------------------------------------------------

SETTINGS = "INSTRUME-ATR585M_SETTEMP--10.00_GAIN-100_OFFSET-150_READOUTM-Low Noise"
BIAS = f"masterBias_{SETTINGS}"
DARK = f"masterDark_EXPOSURE-60.00_{SETTINGS}"
NEAR_DARK = f"masterDark_EXPOSURE-1.50_{SETTINGS}"


def flat_name(filter_name: str, night: str = "2026-01-16") -> str:
    return f"masterFlat_FILTER-{filter_name}_" + SETTINGS.replace(
        "_SETTEMP", f"_DATE-{night}_SETTEMP"
    )


BLUE, RED = flat_name("B"), flat_name("Ha")
FLATS = (BLUE, RED)
ALL = (BIAS, DARK, *FLATS)

TINY = ObservingSession(
    camera=Camera(width=24, height=16),
    **{"bias": 4, "darks": 4, "flats": 4, "nights": 1, "lights": 1, "broken": 0},
    dark_exposures_s=(60.0,),
)

#: Its flats depend on the dark, as those of larger frames do: there are enough hot pixels to scale
#: it, and the factor that is found is not 0, in spite of the vignetting of so few pixels.
HOT = replace(TINY, camera=replace(TINY.camera, hot_pixels=0.1, seed=8))


def copied(made: Path, target: Path) -> Workflow:
    """Copy a directory as ``cp -a`` does; that alone makes nothing stale, as the tests see."""
    return Workflow(Path(shutil.copytree(made, target / "work", symlinks=True)))


def times(workflow: Workflow) -> dict[str, int]:
    found = workflow.output.glob("masters/*/*.xisf")
    return {path.stem: path.stat().st_mtime_ns for path in found}


def frame(workflow: Workflow, kind: str, number: int = 0) -> Path:
    """One of the frames: bias, dark, blue or red flat, light."""
    words = {"blue": ("FLAT", "_B_"), "red": ("FLAT", "_Ha_")}
    folder, text = words.get(kind, (kind.upper(), ""))
    found = [path for path in workflow.frames.rglob("*.fits") if folder in path.parts]
    return sorted(path for path in found if text in path.name)[number]


def slow_but(cases: Mapping[str, tuple[Any, ...]], *quick: str) -> list[Any]:
    """Return cases as parameters, of which make test tries the named ones only."""
    assert cases.keys() >= {*quick}
    return [
        pytest.param(*case, id=name, marks=() if name in quick else pytest.mark.slow)
        for name, case in cases.items()
    ]
