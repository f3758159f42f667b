"""The command line of PixInsight; :mod:`calmasters.engines.subprocesses` runs it."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from calmasters.atomic_files import temporary_folder
from calmasters.errors import EngineError
from calmasters.settings import PixInsight

__all__ = ["EXIT_GRACE_S", "command", "safe_folder"]

#: Seconds in which PixInsight can exit by itself after its script has ended.
EXIT_GRACE_S: Final = 15.0

#: PixInsight splits its arguments at commas and equals signs, and shows a dialog for unknown ones;
#: some launchers split at spaces.
_SAFE_PATH: Final = re.compile(r"[A-Za-z0-9_.:~/\\-]+")

#: Options: a new instance in the next free slot (otherwise a PixInsight that the user has open
#: would run the script), no messages, no startup scripts.
_OPTIONS: Final = (
    "-n",
    "--automation-mode",
    "--no-splash",
    "--no-startup-scripts",
    "--no-startup-check-updates",
    "--no-startup-gui-messages",
)


def command(binary: Path, script: Path, options: PixInsight) -> list[str]:
    """Return the command line; the script has no arguments, since PixInsight would split them."""
    force_exit = ["--force-exit"] if options.force_exit else []
    return [str(binary), *_OPTIONS, f"--run={script.as_posix()}", *force_exit]


@contextmanager
def safe_folder(others: Sequence[str] = ("/tmp", "/var/tmp")) -> Iterator[Path]:
    """Make a temporary folder whose path PixInsight accepts as an argument.

    Parameters
    ----------
    others : sequence of str
        Where to try besides the system's folder for temporary files and Windows' public folder.

    Raises
    ------
    EngineError
        If no suitable folder is writable.
    """
    # On Windows, the folder of a user has the user's name, which often has a blank.
    places = [tempfile.gettempdir(), os.environ.get("PUBLIC", ""), *others]
    for place in filter(_SAFE_PATH.fullmatch, places):
        # Only trying says whether it can be written: Windows' permissions are not those of POSIX.
        with suppress(OSError):
            made = temporary_folder(place)
            break
    else:
        raise EngineError(_no_safe_folder(places[0]))
    with made as folder:
        yield Path(folder).absolute()


def _no_safe_folder(temporary: str) -> str:
    return (
        "PixInsight cannot run a script whose path has non-ASCII letters, spaces, commas or equals "
        f"signs, and the temporary folder is '{temporary}': set the environment variable TMPDIR "
        "(TEMP on Windows) to a folder with a plain path"
    )
