"""One PixInsight that makes one master after another.

Its script (``pixinsight/session.js``) waits for files in a folder of its own; of each master it
reports what the script of a single one does.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from calmasters.engines.pixinsight.find_program import find_binary
from calmasters.engines.pixinsight.runner import EXIT_GRACE_S, command, safe_folder
from calmasters.engines.pixinsight.script import session_text
from calmasters.engines.pixinsight.task import Task
from calmasters.engines.subprocesses import end, start, wait
from calmasters.settings import PixInsight

__all__ = ["Instance", "Timeouts", "running"]

#: How often the script looks for its files, and how long it stays without a sign of its supervisor.
_SCRIPT_WAITS: Final = {"poll_ms": 50, "patience_ms": 60_000}


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long PixInsight is waited for.

    Attributes
    ----------
    limit_s : float
        For a master, and for a new PixInsight to start, in seconds.
    answer_s : float
        For one that has made masters to take the next, in seconds: later, it hangs.
    """

    limit_s: float
    answer_s: float


@contextmanager
def running(options: PixInsight, log: BinaryIO) -> Iterator[Instance]:
    """Start a PixInsight, and end it with all its processes.

    Parameters
    ----------
    options : PixInsight
    log : file
        Takes what it prints.

    Raises
    ------
    ConfigError, EngineError
        If it cannot be started.
    """
    with safe_folder() as folder:
        script = folder / "session.js"
        session = {"folder": folder.as_posix(), **_SCRIPT_WAITS}
        script.write_text(session_text(session, options), encoding="ascii", newline="\n")
        arguments = command(find_binary(options), script, options)
        _note(log, f"$ {' '.join(arguments)}")
        process = start(arguments, log)
        try:
            yield Instance(folder, process, log, EXIT_GRACE_S if options.force_exit else 0.0)
        finally:
            end(process)


def _note(log: BinaryIO, line: str) -> None:
    log.write(os.fsencode(f"{line}\n"))
    log.flush()


class Instance:
    """A PixInsight that was started.

    Attributes
    ----------
    asked : int
        How many masters it was asked for.
    """

    def __init__(
        self, folder: Path, process: subprocess.Popen[bytes], log: BinaryIO, exit_grace_s: float
    ) -> None:
        self.asked = 0
        self._folder = folder
        self._process = process
        self._log = log
        self._exit_grace_s = exit_grace_s

    @property
    def is_running(self) -> bool:
        """Whether it has not ended by itself."""
        return self._process.poll() is None

    def beat(self) -> None:
        """Tell the script, while it has nothing to do, that somebody is there who will end it."""
        if not (self._folder / "beat").exists():
            self._put("beat", ".")

    def make(self, task: Task, timeouts: Timeouts, is_wanted: Callable[[], bool]) -> str | None:
        """Ask for a master, and wait until the script has reported, or will not any more.

        Parameters
        ----------
        task : Task
        timeouts : Timeouts
        is_wanted : callable
            Whether somebody still waits for the master.

        Returns
        -------
        str or None
            How PixInsight ended by itself (``exit code 0``); None where it did not.
        """
        answered_by = time.monotonic() + (timeouts.answer_s if self.asked else timeouts.limit_s)
        self.asked += 1
        _note(self._log, task.master)
        task.prepare()
        handed_in = self._put("job.json", task.to_json())

        def is_over() -> bool:
            hangs = time.monotonic() > answered_by and handed_in.exists()
            return task.status().is_final or hangs or not is_wanted()

        wait(self._process, is_over, timeouts.limit_s, 0.0)
        code = self._process.poll()
        return None if code is None else f"exit code {code}"

    def _put(self, name: str, text: str) -> Path:
        """Put a file where the script looks for it: whole, and open nowhere."""
        new = self._folder / "new"
        new.write_text(text, encoding="ascii")
        return new.replace(self._folder / name)

    def leave(self) -> None:
        """Let it end by itself, which it does more tidily than one that is ended."""
        self._put("end", "")
        wait(self._process, lambda: False, self._exit_grace_s, 0.0)
