"""Finding siril-cli, its version and its command line."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from calmasters.engines.subprocesses import find_program
from calmasters.errors import EngineError
from calmasters.settings import Siril

__all__ = ["VARIABLES", "Version", "command", "find_binary", "version_of"]

#: Its log is read, so it must not be translated.
VARIABLES: Final = {"LANGUAGE": "C"}

_SET_BINARY: Final = "set siril.binary in config.yaml to siril-cli, or engine: native"

#: Seconds in which a program that only says its version must have done so.
_PATIENCE_S: Final = 60


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A version of Siril; ``text`` is all of it (``1.4.0-beta3``)."""

    major: int
    minor: int
    text: str


def find_binary(options: Siril) -> Path:
    """Find siril-cli: as configured, else on the PATH or in the usual places.

    Raises
    ------
    ConfigError
        If it is not there.
    """
    return find_program("siril", options.binary, ["siril-cli"], _usual_places(), remedy=_SET_BINARY)


def _usual_places() -> Iterator[Path]:
    yield Path("/Applications/Siril.app/Contents/MacOS/siril-cli")
    for variable in ("ProgramFiles", "ProgramW6432"):
        if variable in os.environ:
            yield Path(os.environ[variable]) / "Siril/bin/siril-cli.exe"


def version_of(binary: Path) -> Version:
    """Ask the program for its version.

    Raises
    ------
    EngineError
        If it does not tell.
    """
    try:
        done = subprocess.run(
            [str(binary), "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"'{binary}' cannot be started: {error}; {_SET_BINARY}") from error
    found = re.search(r"siril (\d+)\.(\d+)\S*", done.stdout, re.IGNORECASE)
    if not found:
        raise EngineError(
            f"'{binary} --version' does not say which Siril it is ({done.stdout.strip()!r}); "
            f"{_SET_BINARY}"
        )
    return Version(int(found[1]), int(found[2]), found[0].split()[1])


def command(binary: Path, preferences: str, script: str) -> list[str]:
    """Make the command line, for files of the working directory: no path has to be quoted.

    Siril writes its preferences when it ends; those of the person who uses it are left alone.
    """
    return [str(binary), "-i", preferences, "-d", ".", "-s", script]
