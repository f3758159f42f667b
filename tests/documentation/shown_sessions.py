"""Terminal sessions that a page shows: run again, and compared with what the page says.

A session is a fenced block of the language ``console``: ``$ `` and a command, then what it prints.
A line ``…`` stands for those that the page leaves out.
All sessions of a page belong together. To write what is printed now into pages::

    PYTHONPATH=. python tests/documentation/shown_sessions.py docs/first-night.md
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PAGES", "REPOSITORY", "Shown", "comparable", "played", "sessions", "shortened"]

REPOSITORY = Path(__file__).parents[2]
#: The parts of a clone that commands of the pages need; the package is installed.
CLONE = ("Snakefile", "rules", "scripts", "config", "pixinsight", "profiles", "report")

#: Lines that pages do not show: the name of the profile, and what the first run on a machine says.
_LEFT_OUT = ("Using workflow specific profile", "compiling the native engine", "compiled ")

#: Stands for lines that a page leaves out.
_OMITTED = "…"

_BLOCK = re.compile(r"(?<=^```console\n)(.*?)(?=^```$)", re.DOTALL | re.MULTILINE)
#: A command continues to the end of its here-document.
_COMMAND = re.compile(
    r"^\$ (?P<command>(?:.*<<'(?P<end>\w+)'(?:.*\n)+?(?P=end)|.*))\n(?P<output>(?:(?!\$ ).*\n)*)",
    re.MULTILINE,
)
#: How long a run or a master took. After the exposure of a dark more text follows.
_DURATION = re.compile(r" *\b(?:\d+ min \d+|\d+\.\d) s(?=\)?$)")


@dataclass(frozen=True)
class Shown:
    """A command on a page, and what the page says that it prints."""

    command: str
    output: str


def sessions(page: Path) -> list[Shown]:
    """Return the commands of all sessions of a page, in order."""
    blocks = _BLOCK.findall(page.read_text(encoding="utf-8"))
    return [Shown(m["command"], m["output"]) for block in blocks for m in _COMMAND.finditer(block)]


#: Pages with sessions.
PAGES = [
    page
    for page in (REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md")))
    if sessions(page)
]


def played(commands: list[str], directory: Path) -> Iterator[str]:
    """Run commands in a directory like a new clone; give what each prints."""
    for name in CLONE:
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy
        copy(REPOSITORY / name, directory / name)
    programs = directory / ".venv" / "bin"
    programs.mkdir(parents=True)
    command = programs / "calmasters"
    command.write_text(
        f"#!{sys.executable}\nimport sys\n"
        "from calmasters.commands.command_line import main\nsys.exit(main())\n",
        encoding="utf-8",
    )
    command.chmod(0o755)
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=directory,
            env={**os.environ, "PATH": path, "PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            timeout=600,
            check=False,
        )
        kept = [line for line in done.stdout.splitlines() if not line.startswith(_LEFT_OUT)]
        yield "".join(f"{line}\n" for line in kept)


def comparable(output: str) -> list[str]:
    """Lines without what differs from run to run: seconds, and the order of finished masters."""
    lines = [_DURATION.sub(" … s", line.rstrip()) for line in output.splitlines()]
    finished = [line for line in lines if line.endswith("frames … s")]
    return [line for line in lines if line not in finished] + sorted(finished)


def shortened(output: str, shown: str) -> str:
    """Leave out what the page leaves out: as many lines stay at both ends as are shown there."""
    lines, kept = output.splitlines(), shown.splitlines()
    if _OMITTED not in kept:
        return output
    first = kept.index(_OMITTED)
    last = len(kept) - first - 1
    return "".join(f"{line}\n" for line in (*lines[:first], _OMITTED, *lines[len(lines) - last :]))


def _rewritten(text: str, outputs: Iterator[str]) -> str:
    def command(found: re.Match[str]) -> str:
        return f"$ {found['command']}\n{shortened(next(outputs), found['output'])}"

    return _BLOCK.sub(lambda block: _COMMAND.sub(command, block[0]), text)


def main() -> None:
    """Write what is printed now into the pages of the command line."""
    for name in sys.argv[1:]:
        page = Path(name)
        with tempfile.TemporaryDirectory() as directory:
            outputs = played([shown.command for shown in sessions(page)], Path(directory))
            page.write_text(_rewritten(page.read_text(encoding="utf-8"), outputs), encoding="utf-8")


if __name__ == "__main__":
    main()
