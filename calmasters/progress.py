"""How far a long loop has come, shown on a terminal and nowhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TypeVar

__all__ = ["progress"]

Item = TypeVar("Item")


def progress(items: Iterable[Item], words: str) -> Iterable[Item]:
    """Go through items; what takes longer than a second gets a bar on the terminal.

    Parameters
    ----------
    items : iterable
        Where it has no length, only the count is shown.
    words : str
        What is being done.
    """
    if not sys.stderr.isatty():
        return items
    # Not imported by the runs that cannot show it.
    from tqdm import tqdm

    bar: Iterable[Item] = tqdm(items, words, delay=1.0, leave=False, unit=" files")
    return bar
