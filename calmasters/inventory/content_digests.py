"""Digests of the content of files, cached until a file changes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Final

from calmasters.inventory.checked_json import read_checked, write_checked
from calmasters.inventory.scan import ScannedFile
from calmasters.model.layout import CONTENT_DIGESTS
from calmasters.progress import progress
from calmasters.settings import Settings

__all__ = ["ContentDigests"]

#: On Windows st_ctime is the creation time. A file rewritten with the same size and modification
#: time cannot be detected there, so files are always read.
_CTIME_IS_CHANGE_TIME: Final = os.name != "nt"

#: A file changed more recently could change again within one tick of the file system's clock.
_SETTLED_NS: Final = 2_000_000_000


class ContentDigests:
    """Digests of files, cached under ``output_dir/.cache`` by size, both times and inode.

    The kernel sets the time of the last status change (``st_ctime``): a program that restores the
    modification time of a file cannot restore that one.

    Parameters
    ----------
    settings : Settings
    ctime_is_change_time : bool
        Whether ``st_ctime`` is the time of the last status change on this system.
    """

    def __init__(
        self, settings: Settings, ctime_is_change_time: bool = _CTIME_IS_CHANGE_TIME
    ) -> None:
        self._path = settings.output_dir / CONTENT_DIGESTS
        self._ctime_is_change_time = ctime_is_change_time
        self._before = self._load()
        self._now: dict[str, list[str | int]] = {}

    def _load(self) -> dict[str, list[str | int]]:
        return read_checked(self._path) if self._ctime_is_change_time else {}

    def add_digests(self, files: Iterable[ScannedFile], root: Path) -> list[ScannedFile]:
        """Return the files with the digest of their content; empty if a file cannot be read.

        Parameters
        ----------
        files : iterable of ScannedFile
        root : Path
            The directory that their paths are relative to.
        """
        files = list(files)
        unread = [f for f in files if not f.problem and self._cached(f, root) is None]
        for file in progress(unread, "reading frames"):
            self._read(file, root)
        return [file._replace(content=self._cached(file, root) or "") for file in files]

    def _cached(self, file: ScannedFile, root: Path) -> str | None:
        """Return the cached digest; None if the file must be read."""
        key = (root / file.path).as_posix()
        stored = self._now.get(key, self._before.get(key))
        if stored is None or stored[1:] != _state(file):
            return None
        self._now[key] = stored
        return str(stored[0])

    def _read(self, file: ScannedFile, root: Path) -> None:
        path = root / file.path
        try:
            with path.open("rb") as opened:
                digest = file_digest(opened, lambda: blake2b(digest_size=16)).hexdigest()
        except OSError:
            digest = ""
        self._now[path.as_posix()] = [digest, *_state(file)]

    def save(self) -> None:
        """Write the digests of the current files to the cache, whole or not at all."""
        latest = time.time_ns() - _SETTLED_NS
        settled = {key: stored for key, stored in self._now.items() if int(stored[3]) < latest}
        if settled == self._before:
            return
        write_checked(self._path, settled)


def _state(file: ScannedFile) -> list[int]:
    return [file.size, file.mtime_ns, file.ctime_ns, file.inode]
