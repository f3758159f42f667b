"""What a script reports: the only word of PixInsight that is believed."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from calmasters.settings import PixInsight

__all__ = ["REQUESTED", "Status", "explain", "read_status"]

#: What lies at the place of the status before PixInsight starts: it tells the script that a
#: runner waits, and the runner whether the script ever began.
REQUESTED: Final = '{"state": "requested"}\n'

#: How many of the console's last lines a failing job shows.
_LAST_LINES: Final = 12

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


def explain(status: Status, ending: str | None, options: PixInsight) -> str:
    """Say why there is no master, and what a person can do.

    Parameters
    ----------
    status : Status
        What the script reported last.
    ending : str or None
        How PixInsight ended; None where it was ended by us.
    options : PixInsight
    """
    if status.state == "failed":
        lines = "\n    ".join(status.console.splitlines()[-_LAST_LINES:])
        return f"{status.error}\n  the console's last lines:\n    {lines}"
    limit = f"did not end within pixinsight.timeout_minutes: {options.timeout_minutes:g}"
    ended = f"ended ({ending})" if ending else limit
    if status.state == "requested":
        return (
            f"PixInsight {ended} without running its script: start it by hand to see whether "
            "it waits for a licence, an update or another dialog (docs/pixinsight.md); where it "
            "has no old JavaScript engine, set pixinsight.js_engine: v8"
        )
    if ending is None:
        return (
            f"PixInsight {limit} while {status.step}: raise the limit for large groups; see "
            "docs/pixinsight.md for what to do when it hangs"
        )
    tries = f" in {1 + options.retries} attempts" if options.retries else ""
    return f"PixInsight crashed{tries} while {status.step} ({ending})"
