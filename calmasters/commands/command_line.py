"""The command ``calmasters``: most of its commands run the Snakemake target of that name.

Snakemake runs in this process. In a process of its own it would continue after this one was ended.
Everything that takes long to import is imported after the command line was read, so that ``--help``
and ``--version`` answer at once.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from calmasters import SNAKEFILE, __version__
from calmasters.commands.settings_file import SETTINGS_FILE, write_settings_file
from calmasters.commands.suggested import WHERE
from calmasters.config_check import has_settings
from calmasters.errors import CalmastersError, ConfigError, os_error_message, shell_words

__all__ = ["command_parser", "joined_options", "main"]

#: Commands that run the target of their name, and what ``--help`` says of them.
_TARGETS: Final[Mapping[str, str]] = {
    "masters": "make missing and stale masters",
    "report": "make the masters, measure them, and write OUTPUT/report.html",
    "summary": "print which frames were left out and why, and which to take next",
    "why": "print which frames or settings changed for each stale master",
    "orphans": "list masters whose frames are missing, and the flats that use them",
    "scripts": "write scripts that make the masters in PixInsight by hand",
    "compare": "make the masters by several engines, and compare them pixel by pixel",
    "bug-report": "write one zip with headers, plan and logs; without pixels and personal paths",
    "engine-check": "check that the installed PixInsight or Siril makes the expected masters",
}

_CONFIG_FILES: Final = ("--configfile", "--configfiles")
_PAIR: Final = re.compile(r"(?P<key>[A-Za-z_][\w-]*\w)(?:=|\s*:(?:\s+|$))(?P<value>.*)", re.DOTALL)

#: As shells count a program that Ctrl-C ended.
_INTERRUPTED: Final = 130

_EPILOG: Final = """\
Each command has a --help of its own. Options after -- are Snakemake's:

    calmasters masters frames --output masters -- --keep-going

The workflow's Snakefile for other uses: {snakefile}"""


class _Completion(argparse.Action):
    """``--print-completion SHELL``: write the completion of the command for a shell."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,  # noqa: ARG002 (argparse defines it)
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        if not find_spec("shtab"):
            parser.error(f"{option_string} needs shtab: pip install 'calmasters[completion]'")
        import shtab

        print(shtab.complete(parser, str(values)))
        parser.exit()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Words of the command line; those of this process if they are not given.

    Returns
    -------
    int
        0 if everything was done, 130 after Ctrl-C. Where Snakemake runs, it ends the process by
        SystemExit.
    """
    words = [*(sys.argv[1:] if arguments is None else arguments)]
    end = words.index("--") if "--" in words else len(words)
    given = command_parser().parse_args(words[:end])
    try:
        return int(given.run(given, words[end + 1 :]))
    except CalmastersError as error:
        message = str(error)
    except OSError as error:
        message = os_error_message(error)
    except KeyboardInterrupt:
        # Later in a run, Snakemake and the console end it.
        print("Interrupted. Run the same command again.", file=sys.stderr)
        return _INTERRUPTED
    print(f"calmasters: {message}", file=sys.stderr)
    return 1


# --- the command line -----------------------------------------------------------------------------


def command_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line up to ``--``; what follows is Snakemake's."""
    parser = argparse.ArgumentParser(
        prog="calmasters",
        description="Make master bias, dark and flat frames from raw astronomical frames.",
        epilog=_EPILOG.format(snakefile=SNAKEFILE),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"calmasters {__version__}")
    parser.add_argument(
        "--print-completion",
        action=_Completion,
        choices=["bash", "zsh", "tcsh"],
        help="print the completion of this command for a shell",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")

    for name, text in _TARGETS.items():
        target = add(name, text)
        target.set_defaults(run=_run_target, target=name.replace("-", "_"), frames=[])
        _add_run_options(target, has_frames=name != "engine-check")
        if name == "orphans":
            target.add_argument(
                "--prune",
                action="store_true",
                help="move those that no flat uses to OUTPUT/orphans",
            )
        elif name == "compare":
            target.add_argument("--engines", help="such as native,pixinsight")
    watch = add("watch", "make masters each time frames have arrived and the folder is quiet")
    watch.set_defaults(run=_watch)
    watch.add_argument("--quiet-s", type=float, default=30.0, help="seconds without a change")
    watch.add_argument("--poll", action="store_true", help="for network folders")
    _add_run_options(watch, has_frames=True)
    init = add("init", f"write {SETTINGS_FILE} beside the frames: all settings, with comments")
    init.set_defaults(run=_init)
    init.add_argument("folder", metavar="FRAMES", type=Path, help="folder of the frames")
    _add_output(init)
    pixel = add("pixel", "explain a pixel of a master: its samples, and which were rejected")
    pixel.set_defaults(run=_explain_pixel)
    pixel.add_argument("master", type=Path, help="OUTPUT/masters/TYPE/NAME.xisf")
    pixel.add_argument("x", type=int, help="column, from 0")
    pixel.add_argument("y", type=int, help="row, from 0")
    _add_frames(pixel, "those that the master was made of", nargs="+")
    return parser


def _add_run_options(parser: argparse.ArgumentParser, *, has_frames: bool) -> None:
    if has_frames:
        _add_frames(parser, f"a {SETTINGS_FILE} in them is read; default: frames", nargs="*")
    _add_output(parser)
    parser.add_argument("--engine", help="native, pixinsight or siril (default: native)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a setting for this run; may be repeated",
    )
    parser.add_argument("--cores", "-c", metavar="N", help="number of cores (default: all)")
    parser.add_argument(
        "--dry-run", "-n", action="store_true", help="show what would be made, and why"
    )


def _add_frames(parser: argparse.ArgumentParser, note: str, *, nargs: str) -> None:
    text = f"folders of the frames ({note})"
    _complete_folders(parser.add_argument("frames", metavar="FRAMES", nargs=nargs, help=text))


def _add_output(parser: argparse.ArgumentParser) -> None:
    text = "folder of all results (default: output)"
    _complete_folders(parser.add_argument("--output", "-o", metavar="DIR", help=text))


def _complete_folders(action: argparse.Action) -> None:
    # As shtab.DIRECTORY, which need not be installed.
    action.complete = {"bash": "_shtab_compgen_dirs", "zsh": "_files -/", "tcsh": "d"}  # type: ignore[attr-defined]


# --- what they do ---------------------------------------------------------------------------------


def _run_target(given: argparse.Namespace, options: Sequence[str]) -> int:
    os.environ[WHERE] = shell_words(_where(given))
    files = _settings_files(given)
    for file in files:
        note = "" if has_settings(Path(file)) else " (none is active)"
        print(f"Settings: {file}{note}", file=sys.stderr)
    words = [
        *("--snakefile", str(SNAKEFILE)),
        *(("--cores", given.cores) if given.cores else ()),
        *(("--dry-run",) if given.dry_run else ()),
        *joined_options(
            _without_empty_files(joined_options(options, _CONFIG_FILES, files)),
            ("--config", "-C"),
            [*_settings(given)],
        ),
    ]
    # An option with several values would take the target as one of them.
    words += ["--", given.target]
    from snakemake.cli import main as snakemake

    return int(snakemake(words) or 0)


def _watch(given: argparse.Namespace, options: Sequence[str]) -> int:
    from calmasters.commands.watch import run_after_arrivals

    command = [sys.executable, "-m", "calmasters.commands.command_line", "masters", *_where(given)]
    for name in ("engine", "cores"):
        command += [f"--{name}", getattr(given, name)] if getattr(given, name) else []
    command += [word for pair in map(_pair, given.set) for word in ("--set", pair)]
    command += ["--dry-run"] if given.dry_run else []
    run_after_arrivals(
        given.frames or ["frames"],
        [*command, *(("--", *options) if options else ())],
        quiet_s=given.quiet_s,
        polls=given.poll,
    )
    return 0


def _init(given: argparse.Namespace, _: Sequence[str]) -> int:
    file = write_settings_file(given.folder, given.output and Path(given.output))
    command = shell_words(["calmasters", "masters", str(given.folder)])
    print(f"Wrote {file}. Edit it, then run: {command}")
    return 0


def _explain_pixel(given: argparse.Namespace, _: Sequence[str]) -> int:
    from calmasters.commands.explain_pixel import explanation_of
    from calmasters.settings import input_root

    print(*explanation_of(given.master, given.x, given.y, input_root(given.frames)), sep="\n")
    return 0


# --- words for Snakemake --------------------------------------------------------------------------


def _where(given: argparse.Namespace) -> list[str]:
    return [*given.frames, *(("--output", given.output) if given.output else ())]


def _settings_files(given: argparse.Namespace) -> list[str]:
    """Find the file that ``calmasters init`` wrote."""
    found = [file for folder in given.frames if (file := Path(folder, SETTINGS_FILE)).is_file()]
    if len(found) > 1:
        raise ConfigError(
            f"{' and '.join(map(str, found))} both have settings for this run: keep one of them"
        )
    return [*map(str, found)]


def _settings(given: argparse.Namespace) -> Iterator[str]:
    """Write what was given as settings."""
    frames = given.frames
    if frames:
        yield f"input_dir={_quoted(frames[0] if len(frames) == 1 else frames)}"
    for key, value in (("output_dir", given.output), ("engine", given.engine)):
        if value:
            yield f"{key}={_quoted(value)}"
    if engines := getattr(given, "engines", None):
        yield f"engines={_quoted(engines.split(','))}"
    if getattr(given, "prune", False):
        yield "prune=true"
    yield from map(_pair, given.set)


def _pair(text: str) -> str:
    """Write ``key: value``, the spelling of files and messages, as Snakemake's ``key=value``."""
    if not (found := _PAIR.fullmatch(text.lstrip())):
        raise ConfigError(
            f"--set {shell_words([text])}: is no setting; give it as KEY=VALUE, such as "
            "--set minimum_frames=5 or --set 'round={SET-TEMP: 10}'"
        )
    return f"{found['key']}={found['value']}"


def _without_empty_files(options: Sequence[str]) -> list[str]:
    """Remove files without settings, such as those in which everything was made a comment."""
    if _CONFIG_FILES[0] not in options:
        return [*options]
    # :func:`joined_options` puts it at the end.
    at = options.index(_CONFIG_FILES[0])
    # Snakemake says which file does not exist.
    files = [
        file for file in options[at + 1 :] if not Path(file).is_file() or has_settings(Path(file))
    ]
    return [*options[:at], *((_CONFIG_FILES[0], *files) if files else ())]


def _quoted(value: str | Sequence[str]) -> str:
    """Write a text or a list of them so that Snakemake reads no number: a folder may be ``2026``.

    Snakemake removes quotes at both ends, so there is something else.
    """
    text = json.dumps(value, ensure_ascii=False)
    return f"!!str {text} " if isinstance(value, str) else text


def joined_options(
    options: Sequence[str], names: Sequence[str], values: Sequence[str]
) -> list[str]:
    """Add values to an option of which Snakemake takes only the last occurrence.

    Parameters
    ----------
    options : sequence of str
        As the user gave them; later values of the option count more, so theirs come last.
    names : sequence of str
        Spellings of the option.
    values : sequence of str
        To be added.
    """
    words = [part for word in options for part in _split(word, names)]
    own: dict[bool, list[str]] = {True: [*values], False: []}
    is_value = False
    for word in words:
        is_value = word in names or (is_value and not word.startswith("-"))
        if word not in names:
            own[is_value].append(word)
    return [*own[False], *((names[0], *own[True]) if own[True] else ())]


def _split(word: str, names: Sequence[str]) -> list[str]:
    """Write ``--config=key=value`` and ``-Ckey=value`` as two words."""
    name, equals, value = word.partition("=")
    if equals and name in names:
        return [name, value]
    short = word[:2]
    return [short, word[2:]] if short in names and len(word) > len(short) else [word]


if __name__ == "__main__":
    sys.exit(main())
