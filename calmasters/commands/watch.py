"""Runs a command when frames have arrived and the directory has been quiet for a while.

``python -m calmasters.commands.watch frames snakemake masters`` is for a night at the
telescope. A frame that is being written keeps the directory from being quiet; one that is
incomplete all the same is refused by the inventory, and read again when it is complete.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from calmasters.frame import FRAME_EXTENSIONS

__all__ = ["main", "quiet_after"]

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, run the command once, and then after every arrival."""
    given = _parser().parse_args(arguments)
    # Imported here: nothing else needs it.
    from watchfiles import watch

    changes = watch(
        given.directory,
        watch_filter=lambda _, path: path.lower().endswith(FRAME_EXTENSIONS),
        rust_timeout=round(given.quiet_s * 1000),
        yield_on_timeout=True,
        force_polling=given.poll or None,
        raise_interrupt=False,
    )
    _run(given.command)
    for _ in quiet_after(changes):
        _run(given.command)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m calmasters.commands.watch")
    parser.add_argument("--quiet-s", type=float, default=30.0, help="seconds without a change")
    parser.add_argument("--poll", action="store_true", help="for network folders")
    parser.add_argument("directory", type=Path, help="where frames arrive")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="such as: snakemake masters")
    return parser


def _run(command: Sequence[str]) -> None:
    """Run the command; where it fails, the next arrival is another chance."""
    done = subprocess.run(command, check=False)
    if done.returncode:
        print(f"calmasters: {command[0]} ended with {done.returncode}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
