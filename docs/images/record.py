r"""Record a terminal session as a moving picture: ``docs/images/terminal.svg`` of README.md.

Run it in a clone after ``make docs``, with the environment active::

    python docs/images/record.py docs/images/terminal.svg \
        'python -m calmasters.synthetic frames' 'snakemake masters'

The commands run in a terminal of their own, in a folder like a new clone. The picture has what they
printed and when, four times as fast. It needs pyte, and Linux or macOS.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

import pyte

REPOSITORY = Path(__file__).parents[2]
CLONE = ("Snakefile", "rules", "scripts", "config", "pixinsight", "profiles", "report")

COLUMNS, ROWS = 96, 16
CHARACTER, LINE, MARGIN = 8.4, 18, 12
#: How much faster than the run the picture is.
SPEED = 4
#: Pictures that follow each other faster are left out.
SHORTEST_S = 0.08
LAST_WAIT_S = 6.0

#: Colours of a terminal with a dark background.
COLOURS = {
    "black": "#5c6370",
    "red": "#e06c75",
    "green": "#98c379",
    "brown": "#e5c07b",
    "yellow": "#e5c07b",
    "blue": "#61afef",
    "magenta": "#c678dd",
    "cyan": "#56b6c2",
    "default": "#d7dae0",
}

Row = tuple[tuple[str, str, bool], ...]
Picture = tuple[Row, ...]


def recorded(commands: Sequence[str], directory: Path) -> Iterator[tuple[float, Picture]]:
    """Run commands in a terminal; give each picture of it with the time for which it stays."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    for command in commands:
        stream.feed(b"$ ")
        for letter in command:
            stream.feed(letter.encode())
            yield 0.04, _picture(screen)
        yield 0.5, _picture(screen)
        stream.feed(b"\r\n")
        since = time.monotonic()
        for output in _output(command, directory):
            before, passed = _picture(screen), (time.monotonic() - since) / SPEED
            stream.feed(output)
            if passed > SHORTEST_S:
                yield passed, before
                since = time.monotonic()
        yield 0.5, _picture(screen)
    stream.feed(b"$ ")
    yield LAST_WAIT_S, _picture(screen)


def _output(command: str, directory: Path) -> Iterator[bytes]:
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "TERM": "xterm-256color"}
    run = subprocess.Popen(
        command, shell=True, cwd=directory, env=environment, stdin=its, stdout=its, stderr=its
    )
    os.close(its)
    while True:
        if select.select([ours], [], [], 0.05)[0]:
            try:
                output = os.read(ours, 65536)
            except OSError:  # Linux: the other end is closed
                output = b""
            if not output:
                break
            yield output
    run.wait()
    os.close(ours)


def _picture(screen: pyte.Screen) -> Picture:
    return tuple(_row(screen, number) for number in range(ROWS))


def _row(screen: pyte.Screen, number: int) -> Row:
    parts: list[tuple[str, str, bool]] = []
    for column in range(COLUMNS):
        cell = screen.buffer[number][column]
        colour = cell.fg if cell.fg in COLOURS else f"#{cell.fg}"
        if parts and parts[-1][1:] == (colour, cell.bold):
            parts[-1] = (parts[-1][0] + cell.data, colour, cell.bold)
        else:
            parts.append((cell.data, colour, cell.bold))
    if parts[-1][1:] == ("default", False):
        parts[-1] = (parts[-1][0].rstrip(), "default", False)
    return tuple(part for part in parts if part[0])


def moving(pictures: Sequence[tuple[float, Picture]]) -> str:
    """Return an SVG in which a reel of all pictures passes a window.

    It begins with the last picture, the end of the run: many read no further, and a program that
    moves nothing shows it, too.
    """
    merged: list[tuple[float, Picture]] = []
    for seconds, picture in pictures:
        if merged and merged[-1][1] == picture:
            merged[-1] = (merged[-1][0] + seconds, picture)
        else:
            merged.append((seconds, picture))
    width, height = round(COLUMNS * CHARACTER + 2 * MARGIN), ROWS * LINE + 2 * MARGIN
    total = sum(seconds for seconds, _ in merged)
    steps, begin = [], 0.0
    for number, (seconds, _) in enumerate(merged):
        steps.append(f"{100 * begin / total:.3f}%{{transform:translateY({-number * height}px)}}")
        begin += seconds
    last = -(len(merged) - 1) * height
    # Each row is written once: most pictures differ from the one before in one row.
    rows = {
        row: number for number, row in enumerate(dict.fromkeys(r for _, p in merged for r in p))
    }
    texts = "".join(_text(row, number) for row, number in rows.items() if row)
    reel = "".join(
        f'<g transform="translate(0 {number * height})">{_uses(picture, rows)}</g>'
        for number, (_, picture) in enumerate(merged)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">'
        "<style>"
        "text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;"
        f"fill:{COLOURS['default']};white-space:pre}}"
        f".reel{{transform:translateY({last}px);"
        f"animation:play {total:.2f}s step-end {merged[-1][0] - total:.2f}s infinite}}"
        f"@keyframes play{{{''.join(steps)}}}"
        "@media (prefers-reduced-motion){.reel{animation:none}}"
        f"</style><defs>{texts}</defs>"
        f'<rect width="{width}" height="{height}" rx="8" fill="#1e2127"/><g class="reel">{reel}</g>'
        "</svg>\n"
    )


def _text(row: Row, number: int) -> str:
    return (
        f'<text id="r{number}" x="{MARGIN}" xml:space="preserve" textLength="{_length(row):.1f}">'
        f"{''.join(map(_span, row))}</text>"
    )


def _uses(picture: Picture, rows: Mapping[Row, int]) -> str:
    return "".join(
        f'<use href="#r{rows[row]}" y="{MARGIN + LINE * (number + 0.75):.1f}"/>'
        for number, row in enumerate(picture)
        if row
    )


def _length(row: Row) -> float:
    return sum(len(text) for text, *_ in row) * CHARACTER


def _span(part: tuple[str, str, bool]) -> str:
    text, colour, bold = part
    if colour == "default" and not bold:
        return escape(text)
    style = f"fill:{COLOURS.get(colour, colour)}" + (";font-weight:bold" if bold else "")
    return f'<tspan style="{style}">{escape(text)}</tspan>'


def main() -> None:
    """Record the commands of the command line into its first argument."""
    target, *commands = sys.argv[1:]
    with tempfile.TemporaryDirectory() as directory:
        clone = Path(directory)
        for name in CLONE:
            copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy
            copy(REPOSITORY / name, clone / name)
        pictures = [*recorded(commands, clone)]
    Path(target).write_text(moving(pictures), encoding="utf-8")


if __name__ == "__main__":
    main()
