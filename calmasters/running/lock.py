"""One run at a time on an ``output_dir``, from any working directory or machine."""

from __future__ import annotations

import json
import os
import platform
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryFile
from threading import Event, Thread
from typing import Final, Self

from calmasters.atomic_files import remove, when_free
from calmasters.errors import OutputError
from calmasters.model.layout import LOCK

__all__ = ["RunLock"]

#: How often a run shows that it lives, in seconds.
_RENEW_S: Final = 20.0
#: When it counts as dead on another machine: it may miss some, while a network folder is away.
_DEAD_AFTER_S: Final = 9 * _RENEW_S

#: How long a lock may be empty, in seconds: it is being written, or the disk was full.
_EMPTY_S: Final = 1.0


@dataclass(frozen=True)
class _Holder:
    """Whose a lock is."""

    pid: int
    command: str
    host: str
    started: str
    directory: str

    @classmethod
    def me(cls) -> Self:
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        pid = os.getpid()
        return cls(pid, _command(pid) or "", platform.node(), now, str(Path.cwd()))

    @classmethod
    def of(cls, path: Path) -> Self:
        """Read a lock; one that stays empty belongs to nobody."""
        deadline = time.monotonic() + _EMPTY_S
        while time.monotonic() < deadline:
            with suppress(OSError, ValueError, TypeError):
                return cls(**json.loads(path.read_text(encoding="utf-8")))
            time.sleep(_EMPTY_S / 20)
        return cls(0, "", platform.node(), "once", "an unknown folder")

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, started {self.started} in {self.directory}"


class RunLock:
    """The file ``output_dir/.lock``, there while a run makes something.

    A run that was killed leaves it behind. The next one takes it over where that process does not
    exist any more on this machine. Processes of another machine cannot be seen: its lock is taken
    over when it was not renewed for three minutes. The process that runs the workflow takes the
    lock: jobs, here or on a cluster, are part of that run.

    Parameters
    ----------
    output_dir : Path
    renew_s : float
        Seconds between signs of life.
    """

    def __init__(self, output_dir: Path, renew_s: float = _RENEW_S) -> None:
        self._path = output_dir / LOCK
        self._renew_s = renew_s
        self._mine: _Holder | None = None
        self._released = Event()

    @property
    def exists(self) -> bool:
        """Whether a run has taken the lock, which may be dead."""
        return self._path.exists()

    @property
    def is_held(self) -> bool:
        """Whether a run that lives has the lock."""
        return self.exists and not _is_dead(_Holder.of(self._path), self._path)

    def take(self) -> str:
        """Take the lock, for this process.

        Returns
        -------
        str
            Whose lock it was that a killed run had left behind; empty where there was none.

        Raises
        ------
        OutputError
            If another run holds it.
        OSError
            If it cannot be written.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        left_by = ""
        while not self._created():
            holder = _Holder.of(self._path)
            if not _is_dead(holder, self._path):
                raise OutputError(self._refusal(holder))
            _remove(self._path, holder)
            left_by = str(holder)
        Thread(target=self._renew, daemon=True).start()
        return left_by

    def _created(self) -> bool:
        try:
            file = self._path.open("x", encoding="utf-8")
        except FileExistsError:
            return False
        try:
            with file:
                json.dump(asdict(me := _Holder.me()), file)
        except OSError:
            self._path.unlink()
            raise
        self._mine = me
        return True

    def _refusal(self, holder: _Holder) -> str:
        return (
            f"output_dir '{self._path.parent}': another run is at work there ({holder}); wait for "
            "it to end, or choose another output_dir. Where no such run lives any more, remove "
            f"'{self._path}'"
        )

    def _renew(self) -> None:
        while not self._released.wait(self._renew_s):
            with suppress(OSError):  # a network folder may come back
                os.utime(self._path)

    def now_ns(self) -> int:
        """Give the time of now by the clock of the disk that the lock is on."""
        os.utime(self._path)
        return self._path.stat().st_mtime_ns

    def release(self) -> None:
        """Give the lock back, if this process holds it."""
        self._released.set()
        if self._mine and self._path.exists() and _Holder.of(self._path) == self._mine:
            remove(self._path)
        self._mine = None


def _is_dead(holder: _Holder, path: Path) -> bool:
    """Return whether the process that has a lock does not exist any more."""
    if holder.host != platform.node():
        return _silent_s(path) > _DEAD_AFTER_S
    # Nobody's; or of a container that was started again, whose process had the number of this one.
    if holder.pid in (0, os.getpid()):
        return True
    # Numbers are used again, by processes with other commands.
    return _command(holder.pid) not in (holder.command, None)


def _silent_s(path: Path) -> float:
    """Seconds since a lock was renewed, by the clock of its disk."""
    try:
        with TemporaryFile(dir=path.parent) as now:
            return os.fstat(now.fileno()).st_mtime - path.stat().st_mtime
    except OSError:
        return 0.0  # read-only, or removed just now


def _command(pid: int) -> str | None:
    """Give the command line of a process: empty where there is none, None where it is secret."""
    import psutil

    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.AccessDenied:
        return None  # another user's
    except psutil.Error:
        return ""


def _remove(path: Path, dead: _Holder) -> None:
    """Remove a lock that was left behind, but not one that has taken its place meanwhile."""
    aside = path.with_name(f"{path.name}.{platform.node()}.{os.getpid()}")
    with suppress(FileNotFoundError):
        when_free(lambda: path.replace(aside))
        if _Holder.of(aside) == dead:
            remove(aside)
        else:
            aside.replace(path)
