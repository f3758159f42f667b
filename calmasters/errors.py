"""Exceptions of this package, and how they end a process.

::

    CalmastersError
    ├── ConfigError        a setting is wrong: fix config.yaml or the command line
    ├── FrameError         a file cannot be used as a raw frame or as a master
    ├── EngineError        an engine could not make a master from valid frames
    ├── OutputError        output_dir cannot be written: in use, full, read-only
    ├── RecordError        a plan, job file or record in output_dir is damaged
    └── QualityError       a master was made, but its numbers are outside the configured ranges

A message names the file or group, what was found, what was expected, and what to do next.
"""

from __future__ import annotations

import errno
import os
import shlex
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from math import floor, isfinite, log10
from pathlib import Path
from typing import Final, NoReturn

__all__ = [
    "MESSAGES_IN_LOG",
    "CalmastersError",
    "ConfigError",
    "EngineError",
    "FrameError",
    "OutputError",
    "QualityError",
    "RecordError",
    "exit_on_error",
    "is_in_use",
    "message_in_log",
    "os_error_message",
    "plain_number",
    "shell_words",
]


class CalmastersError(Exception):
    """Base class of the exceptions of this package."""


class ConfigError(CalmastersError):
    """A setting is unknown, has the wrong type or an invalid value."""


class FrameError(CalmastersError):
    """A file cannot be used as a frame or as a master; the message gives the reason."""


class EngineError(CalmastersError):
    """An engine could not make a master."""


class OutputError(CalmastersError):
    """Output cannot be written: another run uses output_dir, or the disk is full."""


class RecordError(CalmastersError):
    """A plan, job file or record in ``output_dir`` is damaged: delete it, and run again.

    Parameters
    ----------
    path : Path
    kind : str
        What the file should be, such as ``"a plan"``.
    found : Exception
        Why it cannot be read.
    """

    def __init__(self, path: Path, kind: str, found: Exception) -> None:
        why = f"{type(found).__name__}: {found}"
        super().__init__(f"'{path}' is not {kind} ({why}): delete it, and run again")


class QualityError(CalmastersError):
    """A number of a master is outside its range, and ``quality.fail_on`` is ``error``."""


#: Environment variable: the run reads the messages of its jobs from their logs, and shows them.
MESSAGES_IN_LOG: Final = "CALMASTERS_MESSAGES_IN_LOG"

_MARK: Final = "calmasters: "
#: File systems count times in steps of up to two seconds.
_CLOCK_STEP_S: Final = 2.0

#: What to do about errors of the operating system.
_REMEDIES: Final[Mapping[int, str]] = {
    errno.ENOSPC: "free disk space there (TMPDIR sets the temporary folder), and run again",
    errno.EDQUOT: "the quota is used up: free disk space there, and run again",
    errno.EROFS: "make it writable or choose another folder, and run again",
    errno.EACCES: "change its permissions or choose another folder, and run again",
    errno.EPERM: "change its permissions or choose another folder, and run again",
}
#: Windows' numbers of errors. 5 stands for a file that is open in another program as well as for
#: one that this user may not change; Python gives both the ``errno`` of a missing permission.
_ACCESS_DENIED: Final = 5
_SHARING_VIOLATIONS: Final = (32, 33)
_CLOSE: Final = "close the program that has it open (PixInsight, an image viewer, Excel)"
_WINDOWS_REMEDIES: Final[Mapping[int, str]] = {
    _ACCESS_DENIED: f"{_CLOSE}, or change its permissions, and run again",
    **dict.fromkeys(_SHARING_VIOLATIONS, f"{_CLOSE}, and run again"),
}
#: Longest path that Windows takes without its setting for long paths.
_LONGEST_PATH: Final = 259

_OTHER_REMEDY: Final = "check that its disk or network folder is connected, and run again"


def is_in_use(error: OSError) -> bool:
    """Return whether Windows refused a file because another program may have it open."""
    return _windows_number(error) in _WINDOWS_REMEDIES


def _windows_number(error: OSError) -> int:
    """Return Windows' number of an error; 0 on other systems."""
    return getattr(error, "winerror", None) or 0


def os_error_message(error: OSError) -> str:
    """Return what failed, on which file, and what to do, as one sentence."""
    file = error.filename2 or error.filename
    where = f" ('{file}')" if file else ""
    number = _windows_number(error)
    remedy = _WINDOWS_REMEDIES.get(number) or _REMEDIES.get(error.errno or 0, _OTHER_REMEDY)
    if number and file and len(str(file)) > _LONGEST_PATH:
        remedy = (
            f"its path has {len(str(file))} characters, and Windows takes {_LONGEST_PATH} unless "
            "long paths are enabled (docs/windows.md); enable them or choose a folder with a "
            "shorter path, and run again"
        )
    return f"{error.strerror or error}{where}; {remedy}"


def shell_words(words: Sequence[str]) -> str:
    """Write a command of a message, ready to paste: words with blanks are quoted.

    Examples
    --------
    >>> shell_words(["calmasters", "masters", "frames"])
    'calmasters masters frames'
    """
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)


@contextmanager
def exit_on_error(log: Path | None = None) -> Iterator[None]:
    """End the process with a message, without a traceback, if the block raises a known error.

    Known errors are those of this package and those of the operating system (disk full, no
    permission, a missing folder). The message also goes to the log, for errors of the operating
    system with the traceback; where the run shows the messages of its jobs itself, only to the log.
    Any other exception is a defect: its traceback goes to the log, or to the terminal without one.
    """
    try:
        yield
    except CalmastersError as error:
        _end(str(error), log)
    except OSError as error:
        _end(os_error_message(error), log, traceback.format_exc())
    except Exception as error:
        if log is None:
            raise
        defect = f"{type(error).__name__}: {error}; this is a defect, please report it with the log"
        _end(defect, log, traceback.format_exc())


def _end(message: str, log: Path | None, details: str = "") -> NoReturn:
    # The log may be on the disk that failed.
    with suppress(OSError):
        if log:
            with log.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{details}{_MARK}{message}\n")
            if MESSAGES_IN_LOG in os.environ:
                sys.exit(1)
    sys.exit(f"{_MARK}{message}")


def message_in_log(log: Path, since: float) -> str:
    """Return the message with which a job ended; empty without one.

    Parameters
    ----------
    log : Path
        As given to :func:`exit_on_error`.
    since : float
        Start of the job, in seconds since the epoch; an older log is that of another job.
    """
    try:
        if log.stat().st_mtime < since - _CLOCK_STEP_S:
            return ""
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    _, mark, message = f"\n{text}".rpartition(f"\n{_MARK}")
    return message.strip() if mark else ""


def plain_number(value: float, digits: int = 6, *, sign: bool = False) -> str:
    """Write a number with some significant digits, or all of its integer part, and no exponent.

    Parameters
    ----------
    value : float
    digits : int
        Zeros at the end of decimals are left out.
    sign : bool
        Write the sign of positive numbers, too.

    >>> plain_number(-171.4, 2, sign=True), plain_number(0.0123456, 2), plain_number(4294967295)
    ('-171', '0.012', '4294967295')
    """
    decimals = max(0, digits - 1 - floor(log10(abs(value)))) if isfinite(value) and value else 0
    text = f"{value:{'+' if sign else ''}.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text
