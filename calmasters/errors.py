"""What can go wrong, and who has to mend it.

::

    CalmastersError
    ├── ConfigError        a setting is wrong: mend config.yaml or the command line
    ├── FrameError         a file cannot serve as a raw frame or as a master
    ├── EngineError        an engine could not make a master from sound frames
    ├── OutputError        output_dir cannot take what is to be written: in use, full, read-only
    └── QualityError       a master is made, but its numbers are outside the ranges asked for

A message says what was being done, on which file or group, what was found and what was
expected, and what to do next.
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
    "explained",
    "reported",
]


class CalmastersError(Exception):
    """Base of everything this library raises on purpose."""


class ConfigError(CalmastersError):
    """A setting is unknown, mistyped or impossible."""


class FrameError(CalmastersError):
    """A file cannot be used as a frame or a master; the message is the reason shown to the user."""


class EngineError(CalmastersError):
    """An engine could not make a master."""


class OutputError(CalmastersError):
    """What is to be made cannot be written: another run is at work, the disk is full."""


class QualityError(CalmastersError):
    """A number of a master is outside its range, and the configuration asks to fail then."""


#: What to do about errors of the system; other ones tell it by their names.
_REMEDIES: Final[Mapping[int, str]] = {
    errno.ENOSPC: "make room there (for temporary files TMPDIR names the folder), and run again",
    errno.EDQUOT: "the quota is used up: make room there, and run again",
    errno.EROFS: "make it writable, or choose another folder, and run again",
    errno.EACCES: "give yourself the permission, or choose another folder, and run again",
    errno.EPERM: "give yourself the permission, or choose another folder, and run again",
}
_GONE: Final = "is the disk or the network folder that holds it connected? Then run again"


def explained(error: OSError) -> str:
    """Say what the system refused, on which file, and what to do."""
    file = error.filename2 or error.filename
    where = f" ('{file}')" if file else ""
    remedy = _REMEDIES.get(error.errno or 0, _GONE)
    return f"{error.strerror or error}{where}; {remedy}"


@contextmanager
def reported(log: Path | None = None) -> Iterator[None]:
    """End the process with the message alone, in the log too, where one of our errors is raised.

    So with errors of the system (no room, no permission, a folder that is gone), whose traceback
    goes to the log. Anything else is a defect and keeps its traceback.
    """
    try:
        yield
    except CalmastersError as error:
        _end(f"calmasters: {error}", log)
    except OSError as error:
        _end(f"calmasters: {explained(error)}", log, traceback.format_exc())


def _end(message: str, log: Path | None, details: str = "") -> NoReturn:
    # The log lies on the disk that may be the very trouble.
    with suppress(OSError):
        if log:
            with log.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{details}{message}\n")
    sys.exit(message)
