"""Directory to files: what there is, at the cost of one ``stat`` a file."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Final, NamedTuple

from calmasters.errors import ConfigError
from calmasters.frame import IMAGE_EXTENSIONS, FrameType
from calmasters.model.layout import LAYOUTS, MASTERS, master_folder
from calmasters.settings import Settings

__all__ = [
    "ScannedFile",
    "fingerprint",
    "scan_frames",
    "scan_library",
    "scan_masters",
]

_NO_FILE: Final = "is not a regular file (a broken link, a pipe or a device)"


class ScannedFile(NamedTuple):
    """A file as the scan saw it.

    Attributes
    ----------
    path : str
        Relative to the scanned directory (or as configured, for a library), with ``/``.
    size, mtime_ns : int
    problem : str
        Why it cannot even be opened; empty for a regular file.
    ctime_ns, inode : int
        By which :class:`~calmasters.inventory.content_digests.ContentDigests` knows a file that
        was written again.
    content : str
        Digest of its content; empty where files are compared by their time (``fingerprint: stat``).
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
        """What tells it, with its size, from another file by the same path."""
        return self.content or self.mtime_ns


def scan_frames(settings: Settings) -> list[ScannedFile]:
    """List the raw frames below ``input_dir``, sorted by path.

    Hidden folders, ``output_dir`` and the libraries are not entered, wherever they lie.

    Raises
    ------
    ConfigError
        If ``input_dir`` is missing, empty of frames, or inside ``output_dir``.
    """
    root = settings.input_dir
    if not root.is_dir():
        raise ConfigError(
            f"input_dir: there is no directory '{root}' (from {Path.cwd()}); set input_dir in "
            "config/config.yaml or with --config input_dir=..."
        )
    output = _real(settings.output_dir)
    if Path(output) in (Path(_real(root)), *Path(_real(root)).parents):
        raise ConfigError(
            f"output_dir '{settings.output_dir}' holds input_dir '{root}', so every frame would "
            "count as output: choose an output_dir beside or below input_dir"
        )
    kept_out = {output, *(_real(path) for path in _library_directories(settings))}
    files = sorted(_walk(root, "", kept_out), key=lambda file: file.path)
    if not files:
        raise ConfigError(
            f"input_dir: no frames ({', '.join(IMAGE_EXTENSIONS)}) below '{root}'; "
            "set input_dir to the directory that holds them"
        )
    return files


def scan_library(settings: Settings) -> list[ScannedFile]:
    """List the files of all libraries, their paths as configured; ``output_dir`` is not entered.

    Raises
    ------
    ConfigError
        If a library directory does not exist.
    """
    files: dict[str, ScannedFile] = {}
    for directory in _library_directories(settings):
        if not directory.is_dir():
            raise ConfigError(
                f"library: there is no directory '{directory}' (from {Path.cwd()}); "
                "correct library.bias or library.dark, or take it out"
            )
        kept_out = {_real(settings.output_dir)}
        found = _walk(directory, f"{directory.as_posix()}/", kept_out)
        files |= {file.path: _named_well(file) for file in found}
    return [files[path] for path in sorted(files)]


def _named_well(file: ScannedFile) -> ScannedFile:
    """Keep a master from Snakemake, which sees every input, where it cannot take the name."""
    text = file.path.encode("utf-8", "replace").decode() == file.path
    if text and not set("{}<>") & set(file.path):
        return file
    problem = "has {, }, <, > or bytes that are no text in its name; rename it for Snakemake"
    return file._replace(problem=file.problem or problem)


def scan_masters(
    settings: Settings, kinds: Sequence[FrameType] = (FrameType.BIAS, FrameType.DARK)
) -> list[ScannedFile]:
    """List the masters of some kinds in ``output_dir``, their paths relative to it.

    In both layouts: masters made before the layout was changed still serve.
    """
    files: list[ScannedFile] = []
    for kind, layout in product(kinds, LAYOUTS):
        folder = f"{MASTERS}/{master_folder(kind, layout)}"
        if (settings.output_dir / folder).is_dir():
            files += _walk(settings.output_dir / folder, f"{folder}/", set())
    return sorted(files, key=lambda file: file.path)


def _library_directories(settings: Settings) -> tuple[Path, ...]:
    return (*settings.library.bias, *settings.library.dark)


def _real(path: Path | str) -> str:
    return os.path.realpath(path)


def _walk(root: Path, prefix: str, kept_out: set[str]) -> Iterator[ScannedFile]:
    """Walk a tree, following links but coming to no folder and no file twice.

    Links come last, so that what lies in the tree itself has its own path.
    """
    entered: set[str] = set()
    folders = deque([(str(root), _real(root), prefix)])
    links: dict[str, tuple[os.DirEntry[str], str]] = {}
    while folders:
        folder, real, prefix = folders.pop()
        if real in entered or real in kept_out:
            continue
        entered.add(real)
        try:
            # By name, so that of two links to a thing it is always the same that counts.
            inner, linked, files = _entries(folder)
        except OSError as error:
            yield ScannedFile(prefix.rstrip("/"), 0, 0, f"cannot be opened: {error.strerror}")
            continue
        for name in inner:
            folders.append((f"{folder}{os.sep}{name}", f"{real}{os.sep}{name}", f"{prefix}{name}/"))
        for entry in linked:
            target, path = _real(entry.path), prefix + entry.name
            if not _is_folder(entry) and _is_image(path):
                links.setdefault(target, (entry, path))
            elif _is_folder(entry) and _outside(target, kept_out):
                folders.appendleft((entry.path, target, f"{path}/"))
        for entry in files:
            yield _scanned(entry, prefix + entry.name)
    for target, (entry, path) in links.items():
        folder, _, name = target.rpartition(os.sep)
        listed = folder in entered and _is_image(name) and not name.startswith(".")
        if not (listed and Path(target).exists()):
            yield _scanned(entry, path)


def _entries(folder: str) -> tuple[list[str], list[os.DirEntry[str]], list[os.DirEntry[str]]]:
    """List what is not hidden in a folder: folders by name, links by name, and image files."""
    folders: list[str] = []
    links: list[os.DirEntry[str]] = []
    files: list[os.DirEntry[str]] = []
    for entry in os.scandir(folder):
        if entry.name.startswith("."):
            continue
        if entry.is_symlink():
            links.append(entry)
        elif _is_folder(entry):
            folders.append(entry.name)
        elif _is_image(entry.name):
            files.append(entry)
    return sorted(folders), sorted(links, key=lambda entry: entry.name), files


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_EXTENSIONS)


def _outside(target: str, kept_out: set[str]) -> bool:
    return kept_out.isdisjoint((target, *map(str, Path(target).parents)))


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
            reason = _NO_FILE
        return ScannedFile(path, 0, 0, reason)
    if not stat.S_ISREG(status.st_mode):
        return ScannedFile(path, 0, 0, _NO_FILE)
    told = (status.st_mtime_ns, "", status.st_ctime_ns, status.st_ino)
    return ScannedFile(path, status.st_size, *told)


def fingerprint(*parts: object) -> str:
    """Hash what decides a plan: the scans and the settings."""
    return sha256(repr(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]
