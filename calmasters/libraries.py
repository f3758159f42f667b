"""The Python libraries that the workflow needs, and the package itself; not imported here."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from calmasters import SNAKEFILE, WORKFLOW_FILES, __version__
from calmasters.errors import ConfigError, shell_words

__all__ = ["LIBRARIES", "require_libraries", "require_same_version"]

#: Names to import; a test compares them with ``pyproject.toml``.
LIBRARIES: Final = (
    *("astropy", "jinja2", "jsonschema", "lz4", "markupsafe", "numba", "numpy"),
    *("pandas", "PIL", "psutil", "tqdm", "watchfiles", "yaml", "zstandard"),
)


def require_libraries(names: Iterable[str] = LIBRARIES) -> None:
    """Stop if a library is not installed where this Python looks for it.

    Raises
    ------
    ConfigError
        Names the missing ones, the environment, and the command that installs them.
    """
    if missing := [name for name in names if not find_spec(name)]:
        is_clone = (WORKFLOW_FILES / "pyproject.toml").is_file()
        package = ["--editable", str(WORKFLOW_FILES)] if is_clone else ["--upgrade", "calmasters"]
        command = shell_words([sys.executable, "-m", "pip", "install", *package])
        raise ConfigError(
            f"the Python environment {sys.prefix} has no {', '.join(missing)}; install what "
            f"calmasters needs: {command}"
        )


def require_same_version(config: Path) -> None:
    """Stop if the Snakefile is of another version than the package, such as a module by URL.

    Parameters
    ----------
    config : Path
        ``config.yaml`` beside the Snakefile. Nearly every version has other settings.

    Raises
    ------
    ConfigError
        If it differs from that of the package.
    """
    own = WORKFLOW_FILES / "config" / "config.yaml"
    if config != own and _text(config) != _text(own):
        raise ConfigError(
            f"the Snakefile is of another version than the package calmasters ({__version__} in "
            f"{own.parents[1]}): install the version of the Snakefile, or use {SNAKEFILE}"
        )


def _text(path: Path) -> str:
    """Read a file without what git changes at the ends of its lines and at its own end."""
    return path.read_text(encoding="utf-8").rstrip()
