"""Find the program of PixInsight, as configured or in the usual places."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from calmasters.engines.subprocesses import find_program
from calmasters.settings import PixInsight

__all__ = ["find_binary"]

_SET_BINARY: Final = (
    "set pixinsight.binary in config.yaml to the program (such as "
    "/opt/PixInsight/bin/PixInsight.sh), or engine: native"
)


def find_binary(options: PixInsight) -> Path:
    """Find the program: as configured, else on the PATH or in the usual places.

    Raises
    ------
    ConfigError
        If it is not found.
    """
    names = ("PixInsight.sh", "PixInsight")
    return find_program("pixinsight", options.binary, names, _usual_places(), remedy=_SET_BINARY)


def _usual_places() -> Iterator[Path]:
    for root in (Path("/opt"), Path("/usr/local"), Path.home()):
        yield root / "PixInsight/bin/PixInsight.sh"
    for root in (Path("/Applications/PixInsight"), Path("/Applications")):
        yield root / "PixInsight.app/Contents/MacOS/PixInsight"
    for variable in ("ProgramFiles", "ProgramW6432"):
        if variable in os.environ:
            yield Path(os.environ[variable]) / "PixInsight/bin/PixInsight.exe"
