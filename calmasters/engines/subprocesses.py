"""Finding a program, running it, and ending it: the whole process tree, whatever happens.

A program may be started through a launcher, show dialogs that nobody clicks, and outlive its
script. So it runs in a process group of its own, under a time limit, and when the caller is done
with it, interrupted or out of patience, the group is ended.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType as StackFrame
from typing import BinaryIO, Final

from calmasters.errors import ConfigError, EngineError

__all__ = ["end", "ended_by_sigterm", "find_program", "run", "start", "wait"]

#: Seconds that a process group has to end after SIGTERM, before SIGKILL.
_TERMINATE_S: Final = 5.0
_POLL_S: Final = 0.05


def find_program(
    engine: str,
    configured: Path | None,
    names: Sequence[str],
    places: Iterable[Path],
    *,
    remedy: str,
) -> Path:
    """Find the program of an engine: as configured, else on the PATH or in the usual places.

    Parameters
    ----------
    engine : str
        Also the name of its settings, which have a ``binary``.
    configured : Path or None
        That ``binary``.
    names : sequence of str
        What the program is called on the PATH, the best name first and the plain one last.
    places : iterable of Path
        Where else it may be.
    remedy : str
        What to set where it is not there.

    Raises
    ------
    ConfigError
        If it is not there.
    """
    if configured:
        if configured.is_file():
            return configured.absolute()
        raise ConfigError(f"{engine}.binary: there is no file '{configured}'; {remedy}")
    for name in names:
        if found := shutil.which(name):
            return Path(found).absolute()
    for place in places:
        if place.is_file():
            return place
    raise ConfigError(f"engine: {engine}, but {names[-1]} was not found; {remedy}")


def run(
    arguments: list[str],
    output: BinaryIO,
    is_done: Callable[[], bool],
    *,
    limit_s: float,
    exit_grace_s: float = 0.0,
    directory: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> str | None:
    """Run a program until it ends, is done or out of time; then end what is left of it.

    Parameters
    ----------
    arguments : list of str
        The command line.
    output : file
        Takes what it prints.
    is_done : callable
        Whether it has done its work, though it may still run.
    limit_s : float
        Seconds it may take.
    exit_grace_s : float
        Seconds it may take to end by itself once it is done.
    directory : Path or None
        Its working directory; None is this process's own.
    variables : mapping of str to str or None
        What its environment has besides this process's.

    Returns
    -------
    str or None
        How it ended by itself (``exit code 0``); None where it had to be ended.

    Raises
    ------
    EngineError
        If it cannot be started.
    """
    with ended_by_sigterm():
        process = start(arguments, output, directory, variables)
        try:
            wait(process, is_done, limit_s, exit_grace_s)
            code = process.poll()
        finally:
            end(process)
    return None if code is None else f"exit code {code}"


def start(
    arguments: list[str],
    output: BinaryIO,
    directory: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program in a process group of its own; see :func:`run`.

    Raises
    ------
    EngineError
        If it cannot be started.
    """
    try:
        return subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=directory,
            env={**os.environ, **(variables or {})},
            start_new_session=sys.platform != "win32",
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
    except OSError as error:
        raise EngineError(f"'{arguments[0]}' cannot be started: {error}") from error


def wait(
    process: subprocess.Popen[bytes],
    is_done: Callable[[], bool],
    limit_s: float,
    exit_grace_s: float,
) -> None:
    """Wait until a program has ended, is done or out of time; see :func:`run`."""
    deadline, done = time.monotonic() + limit_s, False
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        if not done and (done := is_done()):
            deadline = min(deadline, time.monotonic() + exit_grace_s)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started: asked first, then killed."""
    if sys.platform == "win32":
        subprocess.run(
            ["taskkill", "/T", "/F", "/PID", str(process.pid)], capture_output=True, check=False
        )
    else:
        for number in (signal.SIGTERM, signal.SIGKILL):
            _signal_group(process.pid, number)
            deadline = time.monotonic() + _TERMINATE_S
            while _signal_group(process.pid, 0) and time.monotonic() < deadline:
                process.poll()  # a dead leader that nobody waited for still counts as alive
                time.sleep(_POLL_S)
    process.wait()


def _signal_group(group: int, sign: int) -> bool:
    """Signal a process group (0 only looks); whether any of it was alive."""
    try:
        os.killpg(group, sign)
    except (ProcessLookupError, PermissionError):  # macOS: EPERM where all are dead
        return False
    return True


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM, as a cluster sends it, end this process through its ``finally`` clauses."""

    def leave(number: int, _frame: StackFrame | None) -> None:
        raise SystemExit(128 + number)

    try:
        before = signal.signal(signal.SIGTERM, leave)
    except ValueError:  # not in the main thread: the main thread's business
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
