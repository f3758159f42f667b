"""What jobs write to stderr, line by line: it must not run into the progress bar."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Final

__all__ = ["JobOutput"]

_STDERR: Final = 2
#: What Python writes to a pipe. Without it, that is the code page on Windows.
_ENCODING: Final = {"PYTHONIOENCODING": "utf-8:backslashreplace"}
#: A job that outlives the run keeps the pipe open.
_LAST_LINES_S: Final = 1.0


class JobOutput:
    """Takes over the stderr of this process and of the jobs that it starts from now on.

    Parameters
    ----------
    take : callable
        Called with each line, in a thread of its own.
    """

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        os.environ.update(_ENCODING)
        self._before = os.dup(_STDERR)
        self._reader, writer = os.pipe()
        os.dup2(writer, _STDERR)
        os.close(writer)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Give stderr back, after the last lines of jobs that have ended."""
        os.dup2(self._before, _STDERR)
        os.close(self._before)
        self._thread.join(_LAST_LINES_S)

    def _read(self) -> None:
        with os.fdopen(self._reader, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                self._take(line.rstrip("\n"))
