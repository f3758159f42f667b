"""The settings of one folder of frames, in a file beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from calmasters import WORKFLOW_FILES
from calmasters.atomic_files import write_whole
from calmasters.errors import ConfigError

__all__ = ["SETTINGS_FILE", "settings_text", "write_settings_file"]

#: In the folder of the frames; ``calmasters COMMAND FRAMES`` reads it.
SETTINGS_FILE: Final = "calmasters.yaml"

_HEAD: Final = """\
# Settings for the frames in this folder. Every "calmasters COMMAND FRAMES" reads this file; with
# Snakemake: snakemake masters --configfile calmasters.yaml
#
# Values that begin with # are defaults. To change one, remove the # before it (and before the line
# of the group that it belongs to) and nothing else. config/README.md of calmasters explains all.
"""


def write_settings_file(frames: Path, output: Path | None) -> Path:
    """Write the file for a folder of frames, and return its path.

    Parameters
    ----------
    frames : Path
    output : Path or None
        Folder of the results; None leaves the default.

    Raises
    ------
    ConfigError
        If there is no such folder, or it has a file already.
    """
    file = frames / SETTINGS_FILE
    if not frames.is_dir():
        raise ConfigError(f"'{frames}' is no folder: give the folder of the frames")
    if file.exists():
        raise ConfigError(f"{file} is there already: edit it, or remove it and try again")
    write_whole(file, settings_text(frames, output))
    return file


def settings_text(frames: Path, output: Path | None) -> str:
    """Return all settings with their comments; only the folders are set."""
    folders = {"input_dir": frames, "output_dir": output}
    return "".join((_HEAD, *_lines({key: path for key, path in folders.items() if path})))


def _lines(folders: dict[str, Path]) -> Iterator[str]:
    text = (WORKFLOW_FILES / "config" / "config.yaml").read_text(encoding="utf-8")
    # The comment at its top is about the file of the repository.
    lines = iter(text.splitlines(keepends=True))
    for line in lines:
        if not line.startswith("#"):
            yield line
            break
    for line in lines:
        key = line.partition(":")[0]
        if key in folders:
            yield f"{key}: {json.dumps(folders[key].absolute().as_posix(), ensure_ascii=False)}\n"
        else:
            yield line if line.startswith("#") or not line.strip() else f"#{line}"
