"""Runs a command when frames have arrived and the directory has been quiet for a while.

``calmasters watch FRAMES`` is for a night at the telescope. A frame that is being written keeps the
directory from being quiet; one that is incomplete all the same is refused by the inventory, and
read again when it is complete.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
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
    from watchfiles import watch

    changes = watch(
        *folders,
        watch_filter=lambda _, path: path.lower().endswith(FRAME_EXTENSIONS),
        rust_timeout=round(quiet_s * 1000),
        yield_on_timeout=True,
        force_polling=polls or None,
        raise_interrupt=False,
    )
    _run(command)
    for _ in quiet_after(changes):
        _run(command)


def _run(command: Sequence[str]) -> None:
    """Run the command; where it fails, the next arrival is another chance."""
    done = subprocess.run(command, check=False)
    if done.returncode:
        print(f"calmasters: {command[0]} ended with {done.returncode}", file=sys.stderr)
