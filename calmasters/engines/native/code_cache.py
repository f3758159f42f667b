"""Compiled code in a file, compiled by one process only.

Jobs start at the same time, and compiling takes up to a minute and 500 MB: the first job compiles,
the others wait for its file. The system releases the lock of a process that was killed.
"""

from __future__ import annotations

import marshal
import os
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import gettempdir
from typing import Final, TextIO, TypeAlias, TypeVar

from calmasters.atomic_files import replacing

__all__ = [
    "TRIED",
    "MachineCode",
    "cache_folders",
    "cached",
    "cached_by_numba",
    "cached_or_built",
]

Result = TypeVar("Result")

#: The name of a function, and an object file that has it.
MachineCode: TypeAlias = tuple[str, bytes]

#: Environment variable with the folders of compiled code, in a process that only tries it.
TRIED: Final = "CALMASTERS_TRIED_KERNELS"

#: Environment variable with the folder of the user's caches.
_USER_FOLDER: Final = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"
#: In a folder of numba's: all of its code has been compiled.
_COMPLETE: Final = "complete"
#: Seconds between two attempts to get the lock.
_POLL_S: Final = 0.2


def cache_folders() -> Iterator[Path]:
    """Yield the folders for compiled code: of the package, of the user, for temporary files."""
    if tried := os.environ.get(TRIED):
        yield from map(Path, tried.split(os.pathsep))
        return
    yield Path(__file__).parent / "__pycache__"
    if sys.platform == "win32":
        yield Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local") / "calmasters"
        return
    with suppress(RuntimeError):  # a user of a container may have no home
        yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "calmasters"
    temporary = Path(gettempdir(), f"calmasters-{os.getuid()}")
    if _is_private(temporary):
        yield temporary


def _is_private(folder: Path) -> bool:
    """Make a folder; return whether only this user can write in it, since its code is run."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return False
    mode = stat.S_IMODE(status.st_mode)
    return stat.S_ISDIR(status.st_mode) and (status.st_uid, mode) == (os.getuid(), 0o700)


def cached(name: str, folders: Iterable[Path]) -> MachineCode | None:
    """Read compiled code from the first folder that has it; None if it is missing or damaged."""
    for folder in folders:
        with suppress(OSError, EOFError, ValueError, TypeError):
            return marshal.loads((folder / name).read_bytes())  # type: ignore[no-any-return]
    return None


def cached_or_built(
    name: str, folders: Iterable[Path], build: Callable[[], MachineCode]
) -> MachineCode:
    """Compile code and keep it, unless another process does so at the same time.

    Parameters
    ----------
    name : str
        Name of the file.
    folders : iterable of Path
        The code is kept in the first one that is writable.
    build : callable
        Compiles.
    """
    return _compiled_once(
        *(name, folders),
        find=lambda folder: cached(name, [folder]),
        build=lambda _: build(),
        keep=lambda folder, objects: _keep(folder / name, objects),
    )


def cached_by_numba(
    name: str, folders: Iterable[Path], load: Callable[[Path | None], Result]
) -> Result:
    """Have numba load code from a folder of its own, where one process compiles it.

    Parameters
    ----------
    name : str
        Name of that folder.
    folders : iterable of Path
        It is in the first one of them that is writable.
    load : callable
        Loads the code, with numba's cache in the given folder, or without a cache.
    """
    folders = [*folders]

    def find(folder: Path) -> Result | None:
        place = folder / name
        # numba refuses a folder that it cannot write, even where it only reads.
        is_usable = (place / _COMPLETE).is_file() and os.access(place, os.W_OK)
        return load(place) if is_usable else None

    def mark(folder: Path, _: Result) -> bool:
        with suppress(OSError):
            (folder / name / _COMPLETE).touch()
            return True
        return False

    found = (loaded for folder in folders if (loaded := find(folder)) is not None)
    if (loaded := next(found, None)) is not None:
        return loaded
    return _compiled_once(
        *(name, folders),
        find=find,
        build=lambda folder: load(folder and folder / name),
        keep=mark,
    )


def _compiled_once(
    name: str,
    folders: Iterable[Path],
    find: Callable[[Path], Result | None],
    build: Callable[[Path | None], Result],
    keep: Callable[[Path, Result], bool],
) -> Result:
    """Compile code and keep it in a folder, unless another process does so at the same time."""
    with _locked(name, folders) as folder:
        if folder and (found := find(folder)) is not None:
            return found
        started, kernel = time.perf_counter(), name.split("-")[0]
        _say(f"compiling the native engine, once on this machine: {kernel}…")
        built = build(folder)
        is_kept = folder is not None and keep(folder, built)
    _say(f"compiled {kernel} in {time.perf_counter() - started:.0f} s")
    if not is_kept:
        _say(
            "no folder for compiled code is writable, or its disk is full, so each job compiles: "
            f"set {_USER_FOLDER} to a folder that is writable"
        )
    return built


def _keep(path: Path, objects: MachineCode) -> bool:
    with suppress(OSError), replacing(path) as file:
        file.write(marshal.dumps(objects))
        return True
    return False


@contextmanager
def _locked(name: str, folders: Iterable[Path]) -> Iterator[Path | None]:
    """Lock the first folder that is writable, for this file; None if there is none."""
    for folder in folders:
        path = folder / f"{name}.lock"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = path.open("a", encoding="ascii")
        except OSError:
            continue
        with file:
            _wait_for(file)
            yield folder
            # Who waits has the file open; who comes later finds the code.
            if (folder / name).exists():
                with suppress(OSError):  # Windows does not remove an open file
                    path.unlink()
        return
    yield None


def _wait_for(file: TextIO) -> None:
    """Take the lock on a file, which ends with the process; some network folders have none."""
    if not _gets_lock(file):
        _say("another job compiles the native engine: waiting for it…")
        while not _gets_lock(file):
            time.sleep(_POLL_S)


def _gets_lock(file: TextIO) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
