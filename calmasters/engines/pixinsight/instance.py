"""One PixInsight that makes several masters in sequence.

Its script (``pixinsight/session.js``) waits for files in its own folder. For each master it writes
the same report as the script of a single master.
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

from calmasters.atomic_files import when_free
from calmasters.engines.pixinsight.find_program import find_binary
from calmasters.engines.pixinsight.runner import EXIT_GRACE_S, command, safe_folder
from calmasters.engines.pixinsight.script import session_text
from calmasters.engines.pixinsight.task import Task
from calmasters.engines.subprocesses import end, start, wait
from calmasters.settings import PixInsight

__all__ = ["Instance", "Timeouts", "running"]

#: How often the script checks for files, and how long it continues without its supervisor.
_SCRIPT_TIMES: Final = {"poll_ms": 50, "patience_ms": 60_000}


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait for PixInsight.

    Attributes
    ----------
    limit_s : float
        Seconds for a master, and for the start of a new PixInsight.
    answer_s : float
        Seconds in which a running PixInsight must take the next master; otherwise it hangs.
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
        Receives its output.

    Raises
    ------
    ConfigError, EngineError
        If it cannot be started.
    """
    with safe_folder() as folder:
        script = folder / "session.js"
        session = {"folder": folder.as_posix(), **_SCRIPT_TIMES}
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
    """A running PixInsight.

    Attributes
    ----------
    requests : int
        Number of masters that were requested from it.
    """

    def __init__(
        self, folder: Path, process: subprocess.Popen[bytes], log: BinaryIO, exit_grace_s: float
    ) -> None:
        self.requests = 0
        self._folder = folder
        self._process = process
        self._log = log
        self._exit_grace_s = exit_grace_s

    @property
    def is_running(self) -> bool:
        """Whether it has not ended by itself."""
        return self._process.poll() is None

    def send_heartbeat(self) -> None:
        """Show an idle script that its supervisor, which will end it, is still running."""
        if not (self._folder / "beat").exists():
            self._put("beat", ".")

    def make(self, task: Task, timeouts: Timeouts, is_wanted: Callable[[], bool]) -> str | None:
        """Request a master, and wait until the script has reported or can no longer report.

        Parameters
        ----------
        task : Task
        timeouts : Timeouts
        is_wanted : callable
            Returns whether the client still waits for the master.

        Returns
        -------
        str or None
            How PixInsight ended by itself (``exit code 0``); None if it did not.
        """
        answered_by = time.monotonic() + (timeouts.answer_s if self.requests else timeouts.limit_s)
        self.requests += 1
        _note(self._log, task.master)
        task.prepare()
        request = self._put("job.json", task.to_json())

        def is_over() -> bool:
            hangs = time.monotonic() > answered_by and request.exists()
            return task.status().is_final or hangs or not is_wanted()

        wait(self._process, is_over, timeouts.limit_s, 0.0)
        code = self._process.poll()
        return None if code is None else f"exit code {code}"

    def _put(self, name: str, text: str) -> Path:
        """Write a file for the script: atomically, so that it never reads a part of it."""
        new = self._folder / "new"
        new.write_text(text, encoding="ascii")
        return when_free(lambda: new.replace(self._folder / name))

    def request_exit(self) -> None:
        """Ask PixInsight to end by itself, and wait for that; it can then clean up."""
        self._put("end", "")
        wait(self._process, lambda: False, self._exit_grace_s, 0.0)
