"""Commands that are shown, quoted so that a shell reads them back as they were meant."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence

__all__ = ["shell_words"]


def shell_words(words: Sequence[str]) -> str:
    """Write words for the shell of this system, with quotes where they have blanks.

    Examples
    --------
    >>> shell_words(["out/a.yaml"])
    'out/a.yaml'
    """
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)
