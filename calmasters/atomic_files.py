"""Files written whole or not at all, and on the disk before they take their place.

What is written goes to a file beside its place, from there to the disk, and only then under its
own name: after a killed process, and after a power failure, there is the old file, the new one, or
none.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import BinaryIO, Final

__all__ = [
    "put_in_place",
    "replacing",
    "sweep",
    "sweep_temporary",
    "temporary_folder",
    "write_whole",
]

#: What a killed process leaves: files of :func:`replacing`, and what other programs work on beside
#: a master (PixInsight's files, named for the job's digest; Siril's folder).
_LEFT_BEHIND: Final = re.compile(
    r"\..+\.(\d+\.partial|siril)|\.[0-9a-f]{16}\.(xisf|fits|status\.json(\.tmp)?)", re.DOTALL
)

#: Of the names of temporary folders, before the process that they belong to.
_PREFIX: Final = "calmasters-"


@contextmanager
def replacing(path: Path, mtime_ns: int | None = None) -> Iterator[BinaryIO]:
    """Open a file that takes the place of ``path`` when the block ends well.

    Until then it lies beside it, as ``.NAME.PROCESS.partial``. Its data are on the disk before it
    is renamed; when the block fails it is removed.

    Parameters
    ----------
    path : Path
    mtime_ns : int, optional
        Its time of change, where that is not to be now.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            yield file
        if mtime_ns is not None:
            os.utime(partial, ns=(mtime_ns, mtime_ns))
        put_in_place(partial, path)
    finally:
        # Where the disk has failed, that is to be told, not that nothing can be removed from it.
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def write_whole(path: Path, text: str, mtime_ns: int | None = None) -> None:
    """Write text as UTF-8, whole or not at all; its folder is made where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, mtime_ns) as file:
        file.write(text.encode("utf-8"))


def put_in_place(partial: Path, path: Path) -> None:
    """Rename a file that is written when its data are on the disk, and the name after them."""
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    partial.replace(path)
    # Windows opens no folders; the name is as safe there as its file system makes it.
    if hasattr(os, "O_DIRECTORY"):
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            # Network folders of some kinds cannot.
            with suppress(OSError):
                os.fsync(folder)
        finally:
            os.close(folder)


def temporary_folder(place: str | None = None) -> TemporaryDirectory[str]:
    """Make a temporary folder; those of processes that were killed are removed on the way.

    Parameters
    ----------
    place : str, optional
        The folder to make it in; the system's for temporary files where left out.
    """
    place = place or gettempdir()
    sweep_temporary(place)
    return TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-", dir=place)


def sweep_temporary(place: str | None = None) -> None:
    """Remove the temporary folders of processes that were killed; see :func:`temporary_folder`."""
    for folder in Path(place or gettempdir()).glob(f"{_PREFIX}*"):
        process = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if process.isdigit() and not _lives(int(process)):
            shutil.rmtree(folder, ignore_errors=True)


def _lives(process: int) -> bool:
    # Not imported by runs that have nothing to do.
    import psutil

    return bool(psutil.pid_exists(process))


def sweep(folder: Path) -> list[Path]:
    """Remove what killed processes left anywhere below a folder that nobody writes into now."""
    found = [
        Path(directory, name)
        for directory, folders, files in os.walk(folder)
        for name in (*folders, *files)
        if _LEFT_BEHIND.fullmatch(name)
    ]
    for path in found:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return found
