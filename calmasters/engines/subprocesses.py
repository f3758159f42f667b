"""Find a program, run it, and end it with all its processes, also after errors.

A program can be started by a launcher, show dialogs that nobody answers, and continue after its
script has ended. So it runs in its own process group with a time limit. The group (on Windows, the
tree of its processes) is ended when the work is done, when the caller is interrupted, and after the
time limit.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType as StackFrame
from typing import TYPE_CHECKING, BinaryIO, Final

from calmasters.errors import ConfigError, EngineError

if TYPE_CHECKING:
    # Imported late: most jobs start no program.
    import psutil

__all__ = ["end", "end_tree", "ended_by_signals", "find_program", "run", "start", "wait"]

#: Seconds between SIGTERM and SIGKILL to a process group.
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
        Name of the engine, and of its section of the configuration.
    configured : Path or None
        The ``binary`` of that section.
    names : sequence of str
        Names of the program on the PATH, in order of preference; messages use the last one.
    places : iterable of Path
        Other paths where it can be.
    remedy : str
        What to set if it is not found.

    Raises
    ------
    ConfigError
        If it is not found.
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
    """Run a program until it ends, is done or exceeds its time; then end its process group.

    Parameters
    ----------
    arguments : list of str
        The command line.
    output : file
        Receives its output.
    is_done : callable
        Returns whether it has done its work, even if it still runs.
    limit_s : float
        Time limit in seconds.
    exit_grace_s : float
        Seconds in which it can end by itself after it is done.
    directory : Path or None
        Its working directory; None for that of this process.
    variables : mapping of str to str or None
        Environment variables in addition to those of this process.

    Returns
    -------
    str or None
        How it ended by itself (``exit code 0``); None if it had to be ended.

    Raises
    ------
    EngineError
        If it cannot be started.
    """
    with ended_by_signals():
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
    """Start a program in its own process group; see :func:`run`.

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
    """Wait until a program has ended, is done or exceeds its time; see :func:`run`."""
    deadline, done = time.monotonic() + limit_s, False
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        if not done and (done := is_done()):
            deadline = min(deadline, time.monotonic() + exit_grace_s)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all processes that it started: by SIGTERM, then by SIGKILL.

    Windows has no signals: there they are ended at once (:func:`end_tree`).
    """
    if sys.platform == "win32":
        end_tree(process)
    else:
        for number in (signal.SIGTERM, signal.SIGKILL):
            _signal_group(process.pid, number)
            deadline = time.monotonic() + _TERMINATE_S
            while _signal_group(process.pid, 0) and time.monotonic() < deadline:
                process.poll()  # a dead leader counts as alive until it is waited for
                time.sleep(_POLL_S)
    process.wait()


def end_tree(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it started, found by their parents."""
    import psutil

    deadline = time.monotonic() + _TERMINATE_S
    while True:
        tree = _started_by(process.pid)
        process.kill()
        for each in tree:
            with suppress(psutil.Error):  # has ended meanwhile
                each.kill()
        psutil.wait_procs(tree, timeout=max(0.0, deadline - time.monotonic()))
        # Some may have started others, after the list was made.
        if not tree or time.monotonic() > deadline:
            return


def _started_by(number: int) -> list[psutil.Process]:
    """List the processes that a process has started, and those that these have started.

    The number stays that of the process while this one holds it, also after it has ended.
    """
    import psutil

    tree = [each for each in psutil.process_iter(["ppid"]) if each.info["ppid"] == number]
    for child in tuple(tree):
        with suppress(psutil.Error):
            tree += child.children(recursive=True)
    return tree


def _signal_group(group: int, sign: int) -> bool:
    """Signal a process group (0 only checks); return whether any process was alive."""
    try:
        os.killpg(group, sign)
    except (ProcessLookupError, PermissionError):  # macOS: EPERM if all are dead
        return False
    return True


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let SIGTERM, as clusters send it, and Ctrl-C run the ``finally`` clauses of this process."""

    def leave(number: int, _frame: StackFrame | None) -> None:
        raise SystemExit(128 + number)

    before = {}
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            before[number] = signal.signal(number, leave)
    except ValueError:  # not in the main thread, which handles signals
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
