"""Engines make a master from a job; a rule does not know which one runs."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from calmasters.jobs import MasterJob
from calmasters.masters import MasterStatistics

__all__ = ["Engine"]


class Engine(Protocol):
    """What an engine is: one method."""

    def make(
        self, job: MasterJob, input_dir: Path, output: Path, log: Path
    ) -> MasterStatistics:
        """Make the master of ``job`` at ``output``, whole or not at all."""
        ...
