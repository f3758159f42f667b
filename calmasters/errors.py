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
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NoReturn

__all__ = [
    "CalmastersError",
    "ConfigError",
    "EngineError",
    "FrameError",
    "OutputError",
    "QualityError",
    "RecordError",
    "exit_on_error",
    "os_error_message",
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
    """A plan, job file or record in ``output_dir`` is damaged: delete it, and run again."""


class QualityError(CalmastersError):
    """A number of a master is outside its range, and ``quality.fail_on`` is ``error``."""


#: What to do about errors of the operating system.
_REMEDIES: Final[Mapping[int, str]] = {
    errno.ENOSPC: "free disk space there (TMPDIR sets the temporary folder), and run again",
    errno.EDQUOT: "the quota is used up: free disk space there, and run again",
    errno.EROFS: "make it writable or choose another folder, and run again",
    errno.EACCES: "change its permissions or choose another folder, and run again",
    errno.EPERM: "change its permissions or choose another folder, and run again",
}
_OTHER_REMEDY: Final = "check that its disk or network folder is connected, and run again"


def os_error_message(error: OSError) -> str:
    """Return what failed, on which file, and what to do, as one sentence."""
    file = error.filename2 or error.filename
    where = f" ('{file}')" if file else ""
    remedy = _REMEDIES.get(error.errno or 0, _OTHER_REMEDY)
    return f"{error.strerror or error}{where}; {remedy}"


@contextmanager
def exit_on_error(log: Path | None = None) -> Iterator[None]:
    """End the process with a message, without a traceback, if the block raises a known error.

    Known errors are those of this package and those of the operating system (disk full, no
    permission, a missing folder). The message also goes to the log, for errors of the operating
    system with the traceback. Any other exception is a defect and keeps its traceback.
    """
    try:
        yield
    except CalmastersError as error:
        _end(f"calmasters: {error}", log)
    except OSError as error:
        _end(f"calmasters: {os_error_message(error)}", log, traceback.format_exc())


def _end(message: str, log: Path | None, details: str = "") -> NoReturn:
    # The log may be on the disk that failed.
    with suppress(OSError):
        if log:
            with log.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{details}{message}\n")
    sys.exit(message)
