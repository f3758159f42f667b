"""The Python libraries that the workflow needs; they are looked for, not imported."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Final

from calmasters import WORKFLOW_FILES
from calmasters.errors import ConfigError

__all__ = ["LIBRARIES", "require_libraries"]

#: Names to import; a test compares them with ``pyproject.toml``.
LIBRARIES: Final = (
    *("astropy", "jinja2", "jsonschema", "lz4", "markupsafe", "matplotlib", "numba", "numpy"),
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
        package = f"--editable '{WORKFLOW_FILES}'" if is_clone else "--upgrade calmasters"
        raise ConfigError(
            f"the Python environment {sys.prefix} has no {', '.join(missing)}; install what "
            f"calmasters needs: {sys.executable} -m pip install {package}"
        )
