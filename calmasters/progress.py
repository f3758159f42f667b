"""How far the loops of a process are: as a bar on the terminal, or as a file for the main process.

The jobs of a run share one terminal, on which the main process draws a single bar
(:mod:`calmasters.console.bar`). It names a folder in the environment, and each job keeps a small
file there.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

__all__ = ["JOB_PROGRESS", "PROGRESS_FOLDER", "JobProgress", "Share", "progress", "read_shares"]

#: Environment variable with the folder for the files of jobs; set only if there is a bar.
PROGRESS_FOLDER: Final = "CALMASTERS_PROGRESS"

#: At most five files a second.
_INTERVAL_S: Final = 0.2

Item = TypeVar("Item")


class Share(NamedTuple):
    """How far a job is.

    Attributes
    ----------
    what : str
        The master that it makes, or what it does.
    share : float
        From 0 to 1.
    """

    what: str
    share: float


class JobProgress:
    """How far the job of this process is: it has some stages, each of which is a loop.

    Attributes
    ----------
    what : str
        As in :class:`Share`.
    """

    def __init__(self) -> None:
        self.what = ""
        self._stages, self._stage = 1, 0
        self._next_s = 0.0

    def begin(self, what: str, stages: int = 1) -> None:
        """Begin a job that has a number of loops."""
        self.what, self._stages, self._stage = what, stages, 0

    def stage(self, items: Iterable[Item]) -> Iterator[Item]:
        """Iterate over the items of the next stage."""
        count = len(items) if isinstance(items, Sized) else 1
        before, self._stage = self._stage, self._stage + 1
        for done, item in enumerate(items):
            self._report((before + done / count) / self._stages)
            yield item

    def _report(self, share: float) -> None:
        folder, now_s = os.environ.get(PROGRESS_FOLDER), time.monotonic()
        if folder and now_s >= self._next_s:
            self._next_s = now_s + _INTERVAL_S
            # A bar that does not move is no reason to lose a master.
            with suppress(OSError):
                text = f"{min(1.0, share):.4f}\n{self.what}"
                Path(folder, str(os.getpid())).write_text(text, "utf-8", "surrogateescape")


#: That of this process.
JOB_PROGRESS: Final = JobProgress()


def read_shares(folder: Path) -> list[Share]:
    """Read how far all jobs are that have reported it."""
    shares = []
    for file in folder.iterdir():
        with suppress(OSError, ValueError):
            share, _, what = file.read_text("utf-8", "surrogateescape").partition("\n")
            shares.append(Share(what, float(share)))
    return shares


def progress(items: Iterable[Item], description: str) -> Iterable[Item]:
    """Iterate over items, and show how far the loop is.

    In a job the main process shows it; elsewhere a bar appears on the terminal after one second.

    Parameters
    ----------
    items : iterable
        Without a length, only the count is shown.
    description : str
        Shown before the bar.
    """
    if PROGRESS_FOLDER in os.environ:
        JOB_PROGRESS.begin(description)
        return JOB_PROGRESS.stage(items)
    if not sys.stderr.isatty():
        return items
    # Imported late: most runs have no terminal to show it on.
    from tqdm import tqdm

    bar: Iterable[Item] = tqdm(items, description, delay=1.0, leave=False, unit=" files")
    return bar
