"""Runs a command when frames have arrived and the directory has been quiet for a while.

``calmasters watch FRAMES`` is for a night at the telescope. A frame that is being written keeps the
directory from being quiet; one that is incomplete all the same is refused by the inventory, and
read again when it is complete.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from calmasters.frame import FRAME_EXTENSIONS

__all__ = ["quiet_after", "run_after_arrivals"]

Changes = TypeVar("Changes")


def quiet_after(changes: Iterable[Changes]) -> Iterator[None]:
    """Yield whenever something had changed and nothing has since.

    Parameters
    ----------
    changes : iterable
        What changed in each span of time; empty for a span without any change.
    """
    waiting = False
    for change in changes:
        if change:
            waiting = True
        elif waiting:
            waiting = False
            yield


def run_after_arrivals(
    folders: Sequence[str], command: Sequence[str], *, quiet_s: float = 30.0, polls: bool = False
) -> None:
    """Run a command once, and then after every arrival, until Ctrl-C.

    Parameters
    ----------
    folders : sequence of str
        Where frames arrive.
    command : sequence of str
    quiet_s : float
        Seconds without a change after which it is run.
    polls : bool
        Look for changes; network folders do not report them.
    """
    # Imported here: nothing else needs it.
    from watchfiles import Change, watch

    def is_arrival(change: Change, path: str) -> bool:
        # A folder that is moved in is one event, which names none of its frames.
        return path.lower().endswith(FRAME_EXTENSIONS) or (
            change is Change.added and Path(path).is_dir() and bool(_frames_below([path]))
        )

    changes = watch(
        *folders,
        watch_filter=is_arrival,
        rust_timeout=round(quiet_s * 1000),
        yield_on_timeout=True,
        force_polling=polls or None,
        raise_interrupt=False,
    )
    before = _frames_below(folders)
    _run(command)
    for _ in quiet_after(_with_missed(changes, lambda: _frames_below(folders) != before)):
        _run(command)


def _with_missed(changes: Iterable[Changes], missed: Callable[[], bool]) -> Iterator[bool]:
    """Add what arrived before the first span: nothing is watched before it is asked for."""
    for place, change in enumerate(changes):
        yield bool(change) or (place == 0 and missed())


def _frames_below(folders: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return size and time of each frame; folders that cannot be opened have none."""
    found = {}
    for folder in folders:
        for parent, _, names in os.walk(folder):
            for name in names:
                if name.lower().endswith(FRAME_EXTENSIONS):
                    path = os.path.join(parent, name)  # noqa: PTH118 (Path takes longer)
                    # Removed meanwhile.
                    with suppress(OSError):
                        status = os.stat(path)  # noqa: PTH116
                        found[path] = (status.st_size, status.st_mtime_ns)
    return found


def _run(command: Sequence[str]) -> None:
    """Run the command; where it fails, the next arrival is another chance."""
    done = subprocess.run(command, check=False)
    if done.returncode:
        print(f"calmasters: {command[0]} ended with {done.returncode}", file=sys.stderr)
