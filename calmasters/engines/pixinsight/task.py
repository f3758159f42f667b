"""A master that PixInsight is asked for: what its script reads, and where it answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calmasters.engines.pixinsight.status import REQUESTED, Status, read_status

__all__ = ["Task"]


@dataclass(frozen=True, slots=True)
class Task:
    """What is the same whichever PixInsight makes the master.

    Attributes
    ----------
    job : mapping
        What the script reads of its job (:func:`.script.script_job`).
    """

    job: Mapping[str, Any]

    @property
    def master(self) -> str:
        """Where the master is to be in the end."""
        return str(self.job["master"])

    @property
    def part(self) -> Path:
        """Where the script writes it."""
        return Path(self.job["part"])

    @property
    def report(self) -> Path:
        """Where the script reports."""
        return Path(self.job["status"])

    def to_json(self) -> str:
        """Write the job for the script, in ASCII."""
        return json.dumps(self.job, indent=1)

    def prepare(self) -> None:
        """Take away what an earlier attempt has left, and ask for a report."""
        self.part.unlink(missing_ok=True)
        self.report.write_text(REQUESTED, encoding="ascii")

    def status(self) -> Status:
        """Read what was reported last."""
        # Between the two steps in which the script replaces its report there is none.
        return read_status(self.report) or Status(state="running", step="reporting")
