"""A path of this Python that Snakemake can start.

Snakemake starts the script of each job by a command line, and does not quote the path of Python in
it. So no job would start from an environment in a folder such as ``C:/Users/Jane Doe`` or
``My Projects``.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from calmasters.atomic_files import temporary_folder
from calmasters.errors import ConfigError

__all__ = ["StartablePython", "is_plain"]

#: Characters that no shell interprets.
_PLAIN: Final = re.compile(r"[\w.:/\\~+-]+")


def is_plain(path: str) -> bool:
    """Return whether a shell takes a path as one word, without quotes."""
    return _PLAIN.fullmatch(path) is not None


class StartablePython:
    """Another path of this Python, if its own has to be quoted.

    It is the short name that Windows gives folders with blanks, or a link in a temporary folder.

    Parameters
    ----------
    executable : str
        Path of this Python.

    Attributes
    ----------
    path : str

    Raises
    ------
    ConfigError
        If there is no such path.
    """

    def __init__(self, executable: str = sys.executable) -> None:
        self._folder: TemporaryDirectory[str] | None = None
        self.path = executable
        if not is_plain(executable):
            self.path = _short_name(executable) if sys.platform == "win32" else self._linked()
        if not is_plain(self.path):
            self.close()
            raise ConfigError(
                f"Python is '{executable}', and Snakemake cannot start it from a folder with "
                "blanks or special characters; make the environment in another folder, such as "
                f"{'C:/calmasters' if sys.platform == 'win32' else '~/calmasters'}"
            )

    def close(self) -> None:
        """Remove the link, if there is one."""
        if self._folder:
            self._folder.cleanup()

    def _linked(self) -> str:
        # The whole environment is linked: Python looks for its libraries beside its own path.
        program = Path(self.path)
        self._folder = temporary_folder()
        link = Path(self._folder.name, "environment")
        link.symlink_to(program.parents[1].absolute())
        return str(link / program.parent.name / program.name)


def _short_name(path: str) -> str:
    if sys.platform != "win32":
        return path
    import ctypes

    text = ctypes.create_unicode_buffer(32_768)
    found = ctypes.windll.kernel32.GetShortPathNameW(path, text, len(text))
    return text.value if found else path
