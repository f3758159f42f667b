"""Atomic writes: a file is written whole or not at all.

The data go to a temporary file in the same folder, are flushed to the disk, and only then get
their final name. After a killed process or a power failure there is the old file, the new file, or
no file, but never a part of one.

Windows refuses to replace or remove a file that another program has open. That is often over in a
moment: a virus scanner or an indexer looks at each new file. So :func:`when_free` waits for it.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import BinaryIO, Final, TypeVar

from calmasters.errors import is_in_use

__all__ = [
    "put_in_place",
    "remove",
    "replacing",
    "sweep",
    "sweep_temporary",
    "temporary_folder",
    "when_free",
    "write_whole",
]

#: Names of what a killed process leaves: files of :func:`replacing`, and the working files of other
#: programs next to a master (PixInsight's, named by the digest of the job; Siril's folder).
_LEFT_BEHIND: Final = re.compile(
    r"\..+\.(\d+\.partial|siril)|\.[0-9a-f]{16}\.(xisf|fits|frames|status\.json(\.tmp)?)", re.DOTALL
)

#: Prefix of the names of temporary folders; the process id follows. With the machine's name, since
#: several machines may use one folder, and processes of another machine cannot be seen. PixInsight
#: accepts plain names only.
_PREFIX: Final = f"calmasters-{re.sub(r'[^A-Za-z0-9.-]', '-', platform.node())}-"

#: How long to wait for a file that another program has open, and between two attempts, in seconds.
_PATIENCE_S: Final = 5.0
_RETRY_S: Final = 0.1

Result = TypeVar("Result")


@contextmanager
def replacing(path: Path, mtime_ns: int | None = None) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces ``path`` when the block ends without an error.

    The temporary file is ``.NAME.PROCESS.partial`` in the same folder. Its data are flushed to the
    disk before it is renamed. If the block fails, it is removed.

    Parameters
    ----------
    path : Path
    mtime_ns : int, optional
        Modification time to set; the current time if omitted.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            yield file
        if mtime_ns is not None:
            os.utime(partial, ns=(mtime_ns, mtime_ns))
        put_in_place(partial, path)
    finally:
        # If the disk failed, report that error, not that the file cannot be removed.
        with suppress(OSError):
            remove(partial)


def write_whole(path: Path, text: str, mtime_ns: int | None = None) -> None:
    """Write text as UTF-8, whole or not at all; create the folder if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, mtime_ns) as file:
        file.write(text.encode("utf-8"))


def put_in_place(partial: Path, path: Path) -> None:
    """Flush a complete file to the disk, rename it to ``path``, then flush the new name."""
    with when_free(lambda: partial.open("rb+")) as file:
        os.fsync(file.fileno())
    when_free(lambda: partial.replace(path))
    # Windows cannot open folders: there the file system decides when the name is on the disk.
    if hasattr(os, "O_DIRECTORY"):
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            # Some network file systems do not support this.
            with suppress(OSError):
                os.fsync(folder)
        finally:
            os.close(folder)


def remove(path: Path) -> None:
    """Remove a file, if it is there."""
    when_free(lambda: path.unlink(missing_ok=True))


def when_free(action: Callable[[], Result], patience_s: float = _PATIENCE_S) -> Result:
    """Do something with a file, and wait while another program has it open.

    Parameters
    ----------
    action : callable
        Replaces, renames or removes a file.
    patience_s : float
        How long to try, in seconds.

    Raises
    ------
    OSError
        The last one, if the file is still open then; any other one at once.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return action()
        except OSError as error:
            if not is_in_use(error) or time.monotonic() > deadline:
                raise
        time.sleep(_RETRY_S)


def temporary_folder(place: str | None = None) -> TemporaryDirectory[str]:
    """Create a temporary folder, and remove those that killed processes left.

    Parameters
    ----------
    place : str, optional
        Parent folder; the system's folder for temporary files if omitted.
    """
    place = place or gettempdir()
    sweep_temporary(place)
    # What another program has open cannot be removed on Windows; the next run does it.
    prefix = f"{_PREFIX}{os.getpid()}-"
    return TemporaryDirectory(prefix=prefix, dir=place, ignore_cleanup_errors=True)


def sweep_temporary(place: str | None = None) -> None:
    """Remove the folders of :func:`temporary_folder` whose processes do not run any more."""
    for folder in Path(place or gettempdir()).glob(f"{_PREFIX}*"):
        process = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if process.isdigit() and not _is_running(int(process)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_running(process: int) -> bool:
    # Imported late: runs with nothing to do do not need it.
    import psutil

    return bool(psutil.pid_exists(process))


def sweep(folder: Path) -> list[Path]:
    """Remove the leftovers of killed processes below a folder, and return their paths.

    No other process may write into the folder at the same time.
    """
    leftovers = [
        Path(directory, name)
        for directory, folders, files in os.walk(folder)
        for name in (*folders, *files)
        if _LEFT_BEHIND.fullmatch(name)
    ]
    for path in leftovers:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            remove(path)
    return leftovers
