"""The real Snakefile, run in a directory of its own; and what it did."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

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

    def command(self, *arguments: str) -> list[str | Path]:
        where = ["--snakefile", self.repository / "Snakefile", "--directory", self.directory]
        return [sys.executable, "-m", "snakemake", *where, *arguments]

    @property
    def environment(self) -> dict[str, str]:
        """The library of the same repository; this one's is installed."""
        own = {} if self.repository == REPOSITORY else {"PYTHONPATH": str(self.repository)}
        return {**os.environ, **own}

    def run(self, *arguments: str, succeeds: bool = True) -> Run:
        """Run Snakemake; in the default profile, with whatever arguments."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.directory,
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

    def run_as_predicted(self, *arguments: str) -> Run:
        """Run what a dry run foretold, and see that nothing is left to do then."""
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
