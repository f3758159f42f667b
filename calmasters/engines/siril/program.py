"""Find siril-cli, read its version, and form its command line."""

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

#: The log is parsed, so it must not be translated.
VARIABLES: Final = {"LANGUAGE": "C"}

_SET_BINARY: Final = "set siril.binary in config.yaml to siril-cli, or engine: native"

#: Seconds in which the program must print its version.
_VERSION_S: Final = 60


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A version of Siril; ``text`` is the complete version (``1.4.0-beta3``)."""

    major: int
    minor: int
    text: str


def find_binary(options: Siril) -> Path:
    """Find siril-cli: as configured, else on the PATH or in the usual places.

    Raises
    ------
    ConfigError
        If it is not found.
    """
    return find_program("siril", options.binary, ["siril-cli"], _usual_places(), remedy=_SET_BINARY)


def _usual_places() -> Iterator[Path]:
    yield Path("/Applications/Siril.app/Contents/MacOS/siril-cli")
    for variable in ("ProgramFiles", "ProgramW6432"):
        if variable in os.environ:
            yield Path(os.environ[variable]) / "Siril/bin/siril-cli.exe"


def version_of(binary: Path) -> Version:
    """Return the version that the program prints.

    Raises
    ------
    EngineError
        If it cannot be started, or prints no version.
    """
    try:
        process = subprocess.run(
            [str(binary), "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_VERSION_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"'{binary}' cannot be started: {error}; {_SET_BINARY}") from error
    match = re.search(r"siril (\d+)\.(\d+)\S*", process.stdout, re.IGNORECASE)
    if not match:
        raise EngineError(
            f"'{binary} --version' does not print a version of Siril ({process.stdout.strip()!r}); "
            f"{_SET_BINARY}"
        )
    return Version(int(match[1]), int(match[2]), match[0].split()[1])


def command(binary: Path, preferences: str, script: str) -> list[str]:
    """Return the command line, with files of the working directory: no path has to be quoted.

    Siril writes its preferences when it ends; so it gets its own file, not that of the user.
    """
    return [str(binary), "-i", preferences, "-d", ".", "-s", script]
