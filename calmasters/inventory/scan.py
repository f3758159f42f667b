"""List the files of directories, with one ``stat`` per file."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Final, NamedTuple

from calmasters.errors import ConfigError
from calmasters.frame import FRAME_EXTENSIONS, IMAGE_EXTENSIONS, FrameType
from calmasters.inventory.other_files import (
    OTHER_EXTENSIONS,
    is_system_folder,
    problem_of_format,
)
from calmasters.model.layout import LAYOUTS, MASTERS, master_folder
from calmasters.settings import Settings

__all__ = [
    "ScannedFile",
    "fingerprint",
    "scan_frames",
    "scan_library",
    "scan_masters",
]

#: Windows' tag of such folders (IO_REPARSE_TAG_MOUNT_POINT).
_JUNCTION: Final = 0xA0000003

_NOT_A_FILE: Final = "is not a regular file (a broken link, a pipe or a device); exclude it"


class ScannedFile(NamedTuple):
    """A file at the time of the scan.

    Attributes
    ----------
    path : str
        Relative to the scanned directory (or as configured, for a library), with ``/``.
    size, mtime_ns : int
        Bytes, and modification time in nanoseconds.
    problem : str
        Why the file cannot be opened; empty for a regular file.
    ctime_ns, inode : int
        Used by :class:`~calmasters.inventory.content_digests.ContentDigests` to detect rewritten
        files.
    content : str
        Digest of the content; empty with ``fingerprint: stat``, which compares files by time.
    """

    path: str
    size: int
    mtime_ns: int
    problem: str = ""
    ctime_ns: int = 0
    inode: int = 0
    content: str = ""

    @property
    def version(self) -> str | int:
        """Content digest or modification time: identifies, with the size, a version of the file."""
        return self.content or self.mtime_ns


def scan_frames(settings: Settings) -> list[ScannedFile]:
    """List the raw frames below the directories of ``input_dir``, sorted by path.

    Hidden folders, recycle bins, ``output_dir`` and the libraries are skipped, wherever they are.
    Files of other formats that probably contain frames are listed with a problem.

    Raises
    ------
    ConfigError
        If a directory is missing or inside ``output_dir``, or all of them have no frames.
    """
    output = _real(settings.output_dir)
    for directory in settings.input_dirs:
        _require_input(directory, output, settings)
    skipped = {output, *(_real(path) for path in _library_directories(settings))}
    root = settings.input_dir
    folders = [
        (directory, "" if directory == root else f"{directory.relative_to(root).as_posix()}/")
        for directory in settings.input_dirs
    ]
    found = _walk(folders, skipped, FRAME_EXTENSIONS + OTHER_EXTENSIONS)
    files = sorted(map(_check_format, found), key=lambda file: file.path)
    if not files:
        names = ", ".join(f"'{directory}'" for directory in settings.input_dirs)
        raise ConfigError(
            f"input_dir: no frames (FITS, XISF or camera raws) below {names}; "
            "set input_dir to the directory that contains them"
        )
    return files


def _require_input(directory: Path, output: str, settings: Settings) -> None:
    if directory.is_file():
        raise ConfigError(f"input_dir: '{directory}' is a file; set input_dir to its directory")
    if not directory.is_dir():
        raise ConfigError(
            f"input_dir: directory '{directory}' does not exist (from {Path.cwd()}); set input_dir "
            "in config/config.yaml or with --config input_dir=..."
        )
    if Path(output) in (real := Path(_real(directory)), *real.parents):
        raise ConfigError(
            f"output_dir '{settings.output_dir}' contains input_dir '{directory}', so every frame "
            "would count as output: choose an output_dir next to or below input_dir"
        )


def _check_format(file: ScannedFile) -> ScannedFile:
    """Add a problem to a file of a format that is not read."""
    if file.problem or file.path.lower().endswith(IMAGE_EXTENSIONS):
        return file
    return file._replace(problem=problem_of_format(file.path))


def scan_library(settings: Settings) -> list[ScannedFile]:
    """List the files of all libraries, with paths as configured; ``output_dir`` is skipped.

    Raises
    ------
    ConfigError
        If a library directory does not exist.
    """
    files: dict[str, ScannedFile] = {}
    for directory in _library_directories(settings):
        if not directory.is_dir():
            raise ConfigError(
                f"library: directory '{directory}' does not exist (from {Path.cwd()}); "
                "correct or remove it in library.bias or library.dark"
            )
        skipped = {_real(settings.output_dir)}
        masters = _walk([(directory, f"{directory.as_posix()}/")], skipped)
        files |= {file.path: _check_name(file) for file in masters}
    return [files[path] for path in sorted(files)]


def _check_name(file: ScannedFile) -> ScannedFile:
    """Add a problem to a file with a name that Snakemake cannot use as an input."""
    is_text = file.path.encode("utf-8", "replace").decode() == file.path
    if is_text and not set("{}<>") & set(file.path):
        return file
    problem = (
        "has {, }, <, > or bytes that are not text in its path, which Snakemake rejects; rename it"
    )
    return file._replace(problem=file.problem or problem)


def scan_masters(
    settings: Settings, kinds: Sequence[FrameType] = (FrameType.BIAS, FrameType.DARK)
) -> list[ScannedFile]:
    """List the masters of some types in ``output_dir``, with paths relative to it.

    Both layouts are searched, since masters in the previous layout can still be used.
    """
    files: list[ScannedFile] = []
    for kind, layout in product(kinds, LAYOUTS):
        folder = f"{MASTERS}/{master_folder(kind, layout)}"
        if (settings.output_dir / folder).is_dir():
            files += _walk([(settings.output_dir / folder, f"{folder}/")], set())
    return sorted(files, key=lambda file: file.path)


def _library_directories(settings: Settings) -> tuple[Path, ...]:
    return (*settings.library.bias, *settings.library.dark)


def _real(path: Path | str) -> str:
    return os.path.realpath(path)


def _walk(
    roots: Iterable[tuple[Path, str]],
    skipped: set[str],
    endings: tuple[str, ...] = IMAGE_EXTENSIONS,
) -> Iterator[ScannedFile]:
    """Walk trees and follow links, but yield no folder or file twice.

    Links are followed last, so that files inside a tree keep their own path.

    Parameters
    ----------
    roots : iterable of (Path, str)
        Folders, and the start of the paths of their files.
    skipped : set of str
        Real paths of folders that are not entered.
    endings : tuple of str
        Of the files that are listed, in lower case.
    """
    entered: set[str] = set()
    folders = deque((str(root), _real(root), prefix) for root, prefix in roots)
    links: dict[str, tuple[os.DirEntry[str], str]] = {}
    while folders:
        folder, real, prefix = folders.pop()
        if real in entered or real in skipped:
            continue
        entered.add(real)
        try:
            # Sorted, so that of two links to the same target always the same one is used.
            inner, linked, files = _entries(folder, endings)
        except OSError as error:
            yield ScannedFile(prefix.rstrip("/"), 0, 0, f"cannot be opened: {error.strerror}")
            continue
        for name in inner:
            folders.append((f"{folder}{os.sep}{name}", f"{real}{os.sep}{name}", f"{prefix}{name}/"))
        for entry in linked:
            target, path = _real(entry.path), prefix + entry.name
            if not _is_folder(entry) and _ends(path, endings):
                links.setdefault(target, (entry, path))
            elif _is_folder(entry) and _outside(target, skipped):
                folders.appendleft((entry.path, target, f"{path}/"))
        for entry in files:
            yield _scanned(entry, prefix + entry.name)
    for target, (entry, path) in links.items():
        folder, _, name = target.rpartition(os.sep)
        listed = folder in entered and _ends(name, endings) and not name.startswith(".")
        if not (listed and Path(target).exists()):
            yield _scanned(entry, path)


def _entries(
    folder: str, endings: tuple[str, ...]
) -> tuple[list[str], list[os.DirEntry[str]], list[os.DirEntry[str]]]:
    """Return the names of folders, the links and the files of a folder.

    Hidden ones, recycle bins and other folders of the system are skipped.
    """
    folders: list[str] = []
    links: list[os.DirEntry[str]] = []
    files: list[os.DirEntry[str]] = []
    for entry in os.scandir(folder):
        if entry.name.startswith(".") or is_system_folder(entry.name):
            continue
        if _is_link(entry):
            links.append(entry)
        elif _is_folder(entry):
            folders.append(entry.name)
        elif _ends(entry.name, endings):
            files.append(entry)
    return sorted(folders), sorted(links, key=lambda entry: entry.name), files


def _is_link(entry: os.DirEntry[str]) -> bool:
    # Elsewhere the second question would cost a call for each file.
    is_windows = os.name == "nt"
    return entry.is_symlink() or (is_windows and is_junction(entry.stat(follow_symlinks=False)))


def is_junction(status: object) -> bool:
    """Return whether a folder is elsewhere: a junction or a mounted disk of Windows.

    Python 3.11 takes a junction for a plain folder. One that leads to a folder above it would
    list every frame again and again.

    Parameters
    ----------
    status : os.stat_result
        Of the folder itself.
    """
    return getattr(status, "st_reparse_tag", 0) == _JUNCTION


def _ends(name: str, endings: tuple[str, ...]) -> bool:
    return name.lower().endswith(endings)


def _outside(target: str, skipped: set[str]) -> bool:
    return skipped.isdisjoint((target, *map(str, Path(target).parents)))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _scanned(entry: os.DirEntry[str], path: str) -> ScannedFile:
    try:
        status = entry.stat()
    except OSError as error:
        reason = f"cannot be opened: {error.strerror}"
        if isinstance(error, FileNotFoundError) and entry.is_symlink():
            reason = _NOT_A_FILE
        return ScannedFile(path, 0, 0, reason)
    if not stat.S_ISREG(status.st_mode):
        return ScannedFile(path, 0, 0, _NOT_A_FILE)
    return ScannedFile(
        path,
        status.st_size,
        status.st_mtime_ns,
        ctime_ns=status.st_ctime_ns,
        inode=status.st_ino,
    )


def fingerprint(*parts: object) -> str:
    """Return a short hash of values, such as scanned files and settings."""
    return sha256(repr(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]
