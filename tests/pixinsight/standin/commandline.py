"""PixInsight's command line; an unknown argument opens a dialog."""

from __future__ import annotations

import re
from dataclasses import dataclass

FLAGS = {
    "--automation-mode",
    "--force-exit",
    "--no-splash",
    "--no-startup-scripts",
    "--no-startup-check-updates",
    "--no-startup-gui-messages",
}
NEW_INSTANCE = re.compile(r"-n(=\d+)?|--new-instance=\d+")


class DialogError(Exception):
    """A modal dialog opens: the program waits forever."""


@dataclass(frozen=True)
class CommandLine:
    new_instance: bool
    force_exit: bool
    script: str | None
    arguments: tuple[str, ...]


def parse(arguments: list[str]) -> CommandLine:
    script: list[str] = []
    seen = set()
    for argument in arguments:
        run = re.fullmatch(r"(?:-r|--run)=(.+)", argument)
        if run:
            script = run[1].split(",")
        elif NEW_INSTANCE.fullmatch(argument):
            seen.add("-n")
        elif argument in FLAGS:
            seen.add(argument)
        else:
            raise DialogError(f"Unknown command line argument: {argument}")
    return CommandLine(
        "-n" in seen, "--force-exit" in seen, script[0] if script else None, tuple(script[1:])
    )
