"""Digests of the content of files: each is read once and remembered until it is written again."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Final

from calmasters.atomic_files import write_whole
from calmasters.inventory.scan import ScannedFile
from calmasters.model.layout import CONTENT_DIGESTS
from calmasters.progress import progress
from calmasters.settings import Settings

__all__ = ["ContentDigests"]

#: On Windows st_ctime is the time of creation: nothing there tells a file that was written again
#: under its old size and time, so each is read each time.
_TELLS_CHANGES: Final = os.name != "nt"

#: A file changed this lately could change again within the same tick of the file system's clock.
_SETTLED_NS: Final = 2_000_000_000


class ContentDigests:
    """Digests of files, remembered under ``output_dir/.cache`` by size, both times and inode.

    The time of the last change of status (``st_ctime``) is the kernel's own: a program that puts
    back a file's time of modification cannot put that one back.

    Parameters
    ----------
    settings : Settings
    tells_changes : bool
        Whether this system's ``st_ctime`` is that time.
    """

    def __init__(self, settings: Settings, tells_changes: bool = _TELLS_CHANGES) -> None:
        self._path = settings.output_dir / CONTENT_DIGESTS
        self._tells_changes = tells_changes
        self._before = self._load()
        self._now: dict[str, list[str | int]] = {}

    def _load(self) -> dict[str, list[str | int]]:
        try:
            stored = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return stored if isinstance(stored, dict) and self._tells_changes else {}

    def identify(self, files: Iterable[ScannedFile], root: Path) -> list[ScannedFile]:
        """Give files the digest of their content; it stays empty where a file cannot be read.

        Parameters
        ----------
        files : iterable of ScannedFile
        root : Path
            What their paths are relative to.
        """
        files = list(files)
        unread = [f for f in files if not f.problem and self._known(f, root) is None]
        for file in progress(unread, "reading frames"):
            self._read(file, root)
        return [file._replace(content=self._known(file, root) or "") for file in files]

    def _known(self, file: ScannedFile, root: Path) -> str | None:
        """Look a digest up; None where the file has to be read."""
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
        """Write the digests of the files asked for, whole or not at all."""
        latest = time.time_ns() - _SETTLED_NS
        settled = {key: stored for key, stored in self._now.items() if int(stored[3]) < latest}
        if settled == self._before:
            return
        write_whole(self._path, json.dumps(settled))


def _state(file: ScannedFile) -> list[int]:
    return [file.size, file.mtime_ns, file.ctime_ns, file.inode]
