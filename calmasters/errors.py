"""What can go wrong, and who has to mend it.

::

    CalmastersError
    ├── ConfigError        a setting is wrong: mend config.yaml or the command line
    ├── FrameError         a file cannot serve as a raw frame or as a master
    ├── EngineError        an engine could not make a master from sound frames
    └── QualityError       a master is made, but its numbers are outside the ranges asked for

A message says what was being done, on which file or group, what was found and what was
expected, and what to do next.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = [
    "CalmastersError",
    "ConfigError",
    "EngineError",
    "FrameError",
    "QualityError",
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


class QualityError(CalmastersError):
    """A number of a master is outside its range, and the configuration asks to fail then."""


@contextmanager
def reported(log: Path | None = None) -> Iterator[None]:
    """End the process with the message alone, in the log too, where one of our errors is raised.

    Anything else is a defect and keeps its traceback.
    """
    try:
        yield
    except CalmastersError as error:
        message = f"calmasters: {error}"
        if log:
            with log.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{message}\n")
        sys.exit(message)
