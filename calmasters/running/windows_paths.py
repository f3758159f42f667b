"""Paths that do not work on Windows, refused before anything is made."""

from __future__ import annotations

import sys
from base64 import urlsafe_b64encode
from functools import cache
from pathlib import PurePath
from typing import Final

from calmasters.errors import ConfigError
from calmasters.model.layout import PICTURES, PREVIOUS_MASTERS, job_path_of, picture_path
from calmasters.model.layout import master_name as name_of

__all__ = ["long_paths_work", "longest_path", "require_drive", "require_short_paths"]

#: Characters of a path without the setting for long paths: 260 with the zero at its end.
_LONGEST: Final = 259
#: What is added to a file's name while it is written.
_PARTIAL: Final = "..1234567.partial"
#: Where Snakemake notes what it knows of a file, and the longest parts into which it splits names.
_NOTES: Final = ".snakemake/incomplete"
_LONGEST_PART: Final = 254


def require_drive(directory: PurePath) -> None:
    r"""Refuse a working directory such as ``\\server\share\data``.

    Windows' command interpreter, by which Snakemake starts jobs, would go to ``C:\Windows`` and not
    find any file.

    Raises
    ------
    ConfigError
        If the directory is on a share that has no letter of a drive.
    """
    if directory.drive.startswith("\\\\"):
        raise ConfigError(
            f"jobs cannot be started in '{directory}': give the share a letter ('net use Z: "
            f"{directory.drive}'), or work in a folder of a local disk; input_dir, output_dir and "
            "libraries may be on shares"
        )


def require_short_paths(master: str, output_dir: PurePath, directory: PurePath) -> None:
    """Refuse a master whose files would have longer paths than Windows takes.

    Parameters
    ----------
    master : str
        Its path relative to ``output_dir``.
    output_dir : PurePath
    directory : PurePath
        The working directory.

    Raises
    ------
    ConfigError
        With the longest path.
    """
    path = longest_path(master, output_dir, directory)
    if len(path) > _LONGEST:
        raise ConfigError(
            f"{master}: '{path}' would have {len(path)} characters, and Windows takes {_LONGEST} "
            "unless long paths are enabled: set LongPathsEnabled (docs/windows.md), or work with "
            "shorter paths of the working directory and output_dir"
        )


def longest_path(master: str, output_dir: PurePath, directory: PurePath) -> str:
    """Return the longest path of a file that making and measuring a master writes."""
    outputs = [master, *(picture_path(name_of(master), ending) for ending in PICTURES)]
    files = [*outputs, f"{PREVIOUS_MASTERS}/{master}", job_path_of(master)]
    own = (f"{directory / output_dir / file}{_PARTIAL}" for file in files)
    notes = (str(directory / _NOTES / _note((output_dir / file).as_posix())) for file in outputs)
    return max((*own, *notes), key=len)


def _note(file: str) -> str:
    """Return the name of Snakemake's note on a file."""
    code = urlsafe_b64encode(file.encode()).decode()
    parts = [code[at : at + _LONGEST_PART] for at in range(0, len(code), _LONGEST_PART)]
    return "/".join((*(f"@{part}" for part in parts[:-1]), parts[-1]))


@cache
def long_paths_work() -> bool:
    """Return whether paths may have more than 259 characters here."""
    if sys.platform != "win32":
        return True
    import ctypes

    # Python declares that it can use long paths; what is left is the setting of the machine.
    return bool(ctypes.WinDLL("ntdll").RtlAreLongPathsEnabled())
