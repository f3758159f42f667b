"""A progress bar for long loops, shown only on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TypeVar

__all__ = ["progress"]

Item = TypeVar("Item")


def progress(items: Iterable[Item], description: str) -> Iterable[Item]:
    """Iterate over items, with a progress bar on the terminal after one second.

    Parameters
    ----------
    items : iterable
        Without a length, only the count is shown.
    description : str
        Shown before the bar.
    """
    if not sys.stderr.isatty():
        return items
    # Imported late: most runs have no terminal to show it on.
    from tqdm import tqdm

    bar: Iterable[Item] = tqdm(items, description, delay=1.0, leave=False, unit=" files")
    return bar
