"""The report of a script: the only information about its result that is used."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from calmasters.settings import PixInsight

__all__ = ["REQUESTED", "Status", "failure_reason", "read_status"]

#: Content of the status file before PixInsight starts: the script sees that a runner waits, and the
#: runner sees whether the script has started.
REQUESTED: Final = '{"state": "requested"}\n'

#: Number of the last console lines in the message of a failed job.
_LAST_LINES: Final = 12

#: PixInsight begins the lines of a log with the time: ``[2026-11-02 21:04:05]``.
_STAMP: Final = re.compile(r"^\[[\d: .-]+\] ", re.MULTILINE)
_NO_DISPLAY: Final = (
    'there is no display (DISPLAY is not set): run \'xvfb-run -a -s "-screen 0 1600x1000x24" '
    "snakemake …'; if that does not help, "
)

_WARNING: Final = re.compile(r"^\*\* Warning:\s*(.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Status:
    """The progress of a script.

    Attributes
    ----------
    state : str
        ``requested`` (not started), ``running``, ``completed`` or ``failed``.
    step : str
        The step of the last report.
    error : str
        Why it failed.
    version : str
        Version of PixInsight.
    console : str
        Complete output of PixInsight's console.
    rejected : sequence of [int, int]
        Samples of each frame rejected as too low and too high.
    k : sequence of (float or None)
        Factor of the dark of each frame; empty if frames were not calibrated.
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
        """The distinct warnings of PixInsight's console."""
        return tuple(dict.fromkeys(_WARNING.findall(_STAMP.sub("", self.console))))


def read_status(path: Path) -> Status | None:
    """Read a status; None if it is missing or incomplete.

    The script replaces the file in two steps, between which it does not exist.
    """
    try:
        return Status(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _has_display() -> bool:
    """Return whether there is a display, as programs on Linux find it."""
    names = ("DISPLAY", "WAYLAND_DISPLAY")
    is_offscreen = os.environ.get("QT_QPA_PLATFORM", "").startswith("offscreen")
    return sys.platform != "linux" or is_offscreen or any(map(os.environ.get, names))


def failure_reason(status: Status, ending: str | None, options: PixInsight) -> str:
    """Return why there is no master, and what the user can do.

    Parameters
    ----------
    status : Status
        The last report of the script.
    ending : str or None
        How PixInsight ended; None if the engine ended it.
    options : PixInsight
    """
    if status.state == "failed":
        lines = "\n    ".join(status.console.splitlines()[-_LAST_LINES:])
        return f"{status.error}\n  last lines of the console:\n    {lines}"
    limit = f"did not end within pixinsight.timeout_minutes: {options.timeout_minutes:g}"
    ended = f"ended ({ending})" if ending else limit
    if status.state == "requested":
        # Without a display, PixInsight ends; a dialog that waits has one.
        display = _NO_DISPLAY if ending and not _has_display() else ""
        return (
            f"PixInsight {ended} without running its script: {display}start PixInsight yourself "
            "and check whether it shows a dialog (licence, update; see docs/pixinsight.md); if "
            "this version has no old JavaScript engine, set pixinsight: {js_engine: v8}"
        )
    if ending is None:
        return (
            f"PixInsight {limit} while {status.step}: raise the limit for large groups; if "
            "PixInsight hangs, see docs/pixinsight.md"
        )
    tries = f" in {1 + options.retries} attempts" if options.retries else ""
    return f"PixInsight crashed{tries} while {status.step} ({ending})"
