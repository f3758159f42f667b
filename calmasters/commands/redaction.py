"""Texts for a bug report, in one zip and without personal paths."""

from __future__ import annotations

import getpass
import json
import os
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Self
from zipfile import ZIP_DEFLATED, ZipFile

from calmasters.atomic_files import replacing
from calmasters.settings import Settings

__all__ = ["Redaction", "write_redacted"]

#: The folder of any user, also of one who does not run this.
_HOMES: Final = re.compile(r"""((?:[A-Za-z]:)?[\\/]+(?:home|Users)[\\/]+)([^\\/\s"',;:]+)""")

#: In scripts, these characters are escaped in addition to those that JSON escapes.
_IN_SCRIPTS: Final = str.maketrans({"#": "\\u0023", "*": "\\u002a"})


class Redaction:
    """Replaces texts that say who and where somebody is.

    Parameters
    ----------
    paths : mapping of Path to str
        Placeholders of folders: a longer path is replaced before one that contains it.
    names : iterable of str
        Names of the user and of the machine; only whole words are replaced.
    """

    def __init__(self, paths: Mapping[Path, str], names: Iterable[str]) -> None:
        replaced = {
            spelling: placeholder
            for path, placeholder in paths.items()
            for form in (path.absolute(), path.resolve())
            if len(form.parts) > 1
            for spelling in _spellings(form)
        }
        ordered = sorted(replaced, key=len, reverse=True)
        self._patterns = [
            (re.compile(rf"{re.escape(text)}(?!\w)", re.IGNORECASE), replaced[text])
            for text in ordered
        ]
        self._patterns += [
            (re.compile(rf"(?<!\w){re.escape(text)}(?!\w)", re.IGNORECASE), "<name>")
            for name in sorted({*names}, key=len, reverse=True)
            if len(name) > 1
            for text in _text_spellings(name)
        ]

    @classmethod
    def of(cls, settings: Settings, folder: Path) -> Self:
        """Make the one for a run.

        Parameters
        ----------
        settings : Settings
            The user's.
        folder : Path
            Another folder, such as the one in which an engine check makes its masters.
        """
        paths = dict.fromkeys(settings.input_dirs, "<input_dir>")
        paths |= dict.fromkeys((*settings.library.bias, *settings.library.dark), "<library>")
        paths |= {Path.home(): "<home>", Path.cwd(): "<working directory>"}
        paths |= {settings.output_dir: "<output_dir>", folder: "<folder>"}
        return cls(paths, _names())

    def __call__(self, text: str) -> str:
        """Return a text with placeholders."""
        for pattern, placeholder in self._patterns:
            # Not a template: a backslash in a placeholder would have a meaning.
            text = pattern.sub(lambda _, placeholder=placeholder: placeholder, text)  # type: ignore[misc]
        # A name that is blanked already keeps its length.
        return _HOMES.sub(
            lambda match: match[0] if {*match[2]} == {"x"} else f"{match[1]}<name>", text
        )

    def blanked(self, text: str) -> str:
        """Return a text of the same length, with x for what would be replaced."""
        for pattern, _ in self._patterns:
            text = pattern.sub(lambda match: "x" * len(match[0]), text)
        return _HOMES.sub(lambda match: match[1] + "x" * len(match[2]), text)


def _spellings(path: Path) -> Iterator[str]:
    """Yield how a path is written in logs, in JSON and in scripts."""
    for text in {str(path), path.as_posix()}:
        yield from _text_spellings(text)


def _text_spellings(text: str) -> set[str]:
    in_json = json.dumps(text)[1:-1]
    in_script = in_json.translate(_IN_SCRIPTS).replace("//", "/\\/")
    return {text, in_json, in_script, json.dumps(text, ensure_ascii=False)[1:-1]}


def _names() -> set[str]:
    names = {os.environ.get(name, "") for name in ("USER", "LOGNAME", "USERNAME", "COMPUTERNAME")}
    # Without a name in the environment, a container's user may have none.
    with suppress(OSError, KeyError, ImportError):
        names.add(getpass.getuser())
    return {*names, socket.gethostname(), Path.home().name}


def write_redacted(path: Path, texts: Mapping[str, str], redaction: Redaction) -> None:
    """Write a zip of texts, whole or not at all.

    Parameters
    ----------
    path : Path
        Its folder is created.
    texts : mapping of str to str
        By their names in the zip.
    redaction : Redaction
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file, ZipFile(file, "w", ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            archive.writestr(name, redaction(text))
