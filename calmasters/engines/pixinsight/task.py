"""A master to be made by PixInsight: the input of its script, and the file of its report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calmasters.atomic_files import remove
from calmasters.engines.pixinsight.status import REQUESTED, Status, read_status

__all__ = ["Task"]


@dataclass(frozen=True, slots=True)
class Task:
    """A master to be made by a PixInsight of its own or a shared one.

    Attributes
    ----------
    job : mapping
        The job of the script (:func:`.script.script_job`).
    """

    job: Mapping[str, Any]

    @property
    def master(self) -> str:
        """The final path of the master."""
        return str(self.job["master"])

    @property
    def part(self) -> Path:
        """The path to which the script writes the master."""
        return Path(self.job["part"])

    @property
    def report(self) -> Path:
        """The path of the report of the script."""
        return Path(self.job["status"])

    def to_json(self) -> str:
        """Return the job for the script, in ASCII."""
        return json.dumps(self.job, indent=1)

    def prepare(self) -> None:
        """Remove the results of an earlier attempt, and request a report."""
        remove(self.part)
        self.report.write_text(REQUESTED, encoding="ascii")

    def status(self) -> Status:
        """Read the last report."""
        # The script replaces its report in two steps, between which it does not exist.
        return read_status(self.report) or Status(state="running", step="reporting")
