"""What a script reports: the only word of PixInsight that is believed."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["REQUESTED", "Status", "read_status"]

#: What lies at the place of the status before PixInsight starts: it tells the script that a
#: runner waits, and the runner whether the script ever began.
REQUESTED: Final = '{"state": "requested"}\n'

_WARNING: Final = re.compile(r"^\*\* Warning:\s*(.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Status:
    """How far a script came.

    Attributes
    ----------
    state : str
        ``requested`` (it never began), ``running``, ``completed`` or ``failed``.
    step : str
        What it was doing when it last reported.
    error : str
        Why it failed.
    version : str
        Of PixInsight.
    console : str
        All that PixInsight's console said.
    rejected : sequence of [int, int]
        Samples of each frame rejected as too low and too high.
    k : sequence of (float or None)
        Factor of the dark of each frame; empty where none was calibrated.
    """

    state: str = "requested"
    step: str = ""
    error: str = ""
    version: str = ""
    console: str = ""
    rejected: Sequence[Sequence[int]] = ()
    k: Sequence[float | None] = ()

    @property
    def is_final(self) -> bool:
        """Whether the script has ended."""
        return self.state in ("completed", "failed")

    @property
    def warnings(self) -> tuple[str, ...]:
        """What PixInsight's console warned of, each once."""
        return tuple(dict.fromkeys(_WARNING.findall(self.console)))


def read_status(path: Path) -> Status | None:
    """Read a status; None where there is none to read (just now).

    The script replaces the file in two steps, between which there is none.
    """
    try:
        return Status(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
