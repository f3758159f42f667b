"""Commands in messages, as the user of ``calmasters`` types them.

Messages suggest commands of Snakemake, which work in a clone. Whoever runs ``calmasters`` has no
Snakefile at hand: for these runs the console writes the same command as one of ``calmasters``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final

__all__ = ["WHERE", "as_typed", "renamed"]

#: Environment variable that ``calmasters`` sets: the words of its command line that select frames
#: and output.
WHERE: Final = "CALMASTERS_WHERE"

_SUGGESTED: Final = re.compile(
    r"\bsnakemake (?P<dry>-n )?"
    r"(?P<target>masters|report|summary|why|orphans|scripts|compare|engine_check|bug_report)\b"
    # Values as `shell_words` quotes them: 'a b', 'it'"'"'s', on Windows "a b".
    r"(?P<options>(?: --[a-z]+ (?:'[^']*'(?:\"'\"'[^']*')*|\"[^\"]*\"|[^\s'\";]+))*)"
)
#: A setting for one run, outside of such a command.
_SETTING: Final = re.compile(r"(?<!-- )--config (?='?\w+=)")


def as_typed(text: str) -> str:
    """Write the commands in a text as those of ``calmasters``, if that was run."""
    where = os.environ.get(WHERE)
    if where is None:
        return text
    return _SETTING.sub("--set ", _SUGGESTED.sub(lambda found: _command(found, where), text))


def renamed(text: str, names: Mapping[str, str]) -> str:
    """Write the targets of the commands in a text as an outer workflow names them.

    Parameters
    ----------
    text : str
    names : mapping of str to str
        Names in the outer workflow, by those of this one.
    """

    def command(found: re.Match[str]) -> str:
        begin = f"snakemake {found['dry'] or ''}"
        return f"{begin}{names.get(found['target'], found['target'])}{found['options']}"

    return _SUGGESTED.sub(command, text)


def _command(found: re.Match[str], where: str) -> str:
    parts = ["calmasters", found["target"].replace("_", "-"), where, found["dry"] and "-n"]
    words = " ".join(part.strip() for part in parts if part)
    return f"{words} --{found['options']}" if found["options"] else words
