"""Starting PixInsight, and ending it: the whole process tree, whatever happens.

PixInsight is started through a launcher, shows dialogs that nobody clicks, and may outlive its
script. So it runs in a process group of its own, under a time limit, and when the caller is done
with it, interrupted or out of patience, the group is ended.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType as StackFrame
from typing import BinaryIO, Final

from calmasters.errors import ConfigError, EngineError
from calmasters.settings import PixInsight

__all__ = ["command", "find_binary", "run", "safe_folder"]

#: PixInsight splits its arguments at commas and equals signs, and shows a dialog at what it does
#: not understand; blanks do not survive every launcher.
_SAFE_PATH: Final = re.compile(r"[A-Za-z0-9_.:~/\\-]+")

#: Options: a new instance in the next free slot (without it the script would go to a PixInsight
#: that the person has open), no messages, nothing that starts with the program.
_OPTIONS: Final = (
    "-n",
    "--automation-mode",
    "--no-splash",
    "--no-startup-scripts",
    "--no-startup-check-updates",
    "--no-startup-gui-messages",
)

#: How long a process may take to end when it is asked to.
_MERCY_S: Final = 5.0
_POLL_S: Final = 0.05


def find_binary(options: PixInsight) -> Path:
    """Find the program: as configured, else on the PATH or in the usual places.

    Raises
    ------
    ConfigError
        If it is not there.
    """
    if options.binary:
        if options.binary.is_file():
            return options.binary.absolute()
        raise ConfigError(f"pixinsight.binary: there is no file '{options.binary}'; {_SET_BINARY}")
    for name in ("PixInsight.sh", "PixInsight"):
        if found := shutil.which(name):
            return Path(found)
    for place in _usual_places():
        if place.is_file():
            return place
    raise ConfigError(f"engine: pixinsight, but PixInsight was not found; {_SET_BINARY}")


_SET_BINARY: Final = (
    "set pixinsight.binary in config.yaml to the program (such as "
    "/opt/PixInsight/bin/PixInsight.sh), or engine: native"
)


def _usual_places() -> Iterator[Path]:
    for root in (Path("/opt"), Path("/usr/local"), Path.home()):
        yield root / "PixInsight/bin/PixInsight.sh"
    for root in (Path("/Applications/PixInsight"), Path("/Applications")):
        yield root / "PixInsight.app/Contents/MacOS/PixInsight"
    for variable in ("ProgramFiles", "ProgramW6432"):
        if variable in os.environ:
            yield Path(os.environ[variable]) / "PixInsight/bin/PixInsight.exe"


def command(binary: Path, script: Path, options: PixInsight) -> list[str]:
    """Make the command line; the script takes no arguments, for PixInsight would split them."""
    leave = ["--force-exit"] if options.force_exit else []
    return [str(binary), *_OPTIONS, f"--run={script.as_posix()}", *leave]


@contextmanager
def safe_folder() -> Iterator[Path]:
    """Make a temporary folder whose path PixInsight takes as an argument.

    Raises
    ------
    EngineError
        If there is no place for one.
    """
    places = [tempfile.gettempdir(), os.environ.get("PUBLIC", ""), "/tmp", "/var/tmp"]
    for place in places:
        if _SAFE_PATH.fullmatch(place) and os.access(place, os.W_OK):
            with tempfile.TemporaryDirectory(prefix="calmasters-", dir=place) as folder:
                yield Path(folder)
            return
    raise EngineError(
        "PixInsight cannot run a script whose path has letters beyond ASCII, blanks, commas or "
        f"equals signs, and the temporary folder is '{places[0]}': set the environment variable "
        "TMPDIR (TEMP on Windows) to a folder with a plain path"
    )


def run(
    arguments: list[str],
    output: BinaryIO,
    is_done: Callable[[], bool],
    *,
    limit_s: float,
    farewell_s: float,
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
    farewell_s : float
        Seconds it may take to end by itself once it is done.

    Returns
    -------
    str or None
        How it ended by itself (``exit code 0``); None where it had to be ended.
    """
    with _ended_by_sigterm():
        process = _start(arguments, output)
        try:
            _wait(process, is_done, limit_s, farewell_s)
            code = process.poll()
        finally:
            _end_tree(process)
    return None if code is None else f"exit code {code}"


def _start(arguments: list[str], output: BinaryIO) -> subprocess.Popen[bytes]:
    """Start a program in a process group of its own."""
    try:
        return subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=sys.platform != "win32",
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
    except OSError as error:
        raise EngineError(f"'{arguments[0]}' cannot be started: {error}; {_SET_BINARY}") from error


def _wait(
    process: subprocess.Popen[bytes],
    is_done: Callable[[], bool],
    limit_s: float,
    farewell_s: float,
) -> None:
    deadline, done = time.monotonic() + limit_s, False
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        if not done and (done := is_done()):
            deadline = min(deadline, time.monotonic() + farewell_s)


def _end_tree(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started: asked first, then killed."""
    if sys.platform == "win32":
        subprocess.run(
            ["taskkill", "/T", "/F", "/PID", str(process.pid)], capture_output=True, check=False
        )
    else:
        for sign in (signal.SIGTERM, signal.SIGKILL):
            _signal_group(process.pid, sign)
            deadline = time.monotonic() + _MERCY_S
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
def _ended_by_sigterm() -> Iterator[None]:
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
