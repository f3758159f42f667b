"""Commands that the pages show, and whether their programs would accept them."""

from __future__ import annotations

import re
import shlex
import tomllib
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent
from typing import Any

import yaml
from shown_sessions import REPOSITORY

from calmasters.commands.command_line import command_parser
from calmasters.config_check import check_config

__all__ = ["PAGES", "Command", "accept", "check_settings", "commands", "targets", "yaml_blocks"]

#: Every page; CHANGELOG.md names commands of the past, too.
PAGES = sorted(
    page
    for pattern in ("*.md", "config/*.md", "docs/**/*.md", "benchmarks/*.md", "pixinsight/*.md")
    for page in REPOSITORY.glob(pattern)
    if page.name != "CHANGELOG.md" and "generated" not in page.parts
)

CONFIG = REPOSITORY / "config"

_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"(?<=\n\n)(?: {4}.*\n(?:\n(?= {4}))?)+", re.MULTILINE)
#: Words of a text that are a command: `snakemake masters`.
_INLINE = re.compile(r"(?<!`)`((?:snakemake|calmasters|make|python -m) [^`\n]+)`(?!`)")


@dataclass(frozen=True)
class Command:
    """A command on a page."""

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        """Return what a failed test shows."""
        return f"{self.page}: {shlex.join(self.words)}"


def commands(page: Path) -> Iterator[Command]:
    """Give the commands of a page: those of its blocks, and those within sentences."""
    text = page.read_text(encoding="utf-8")
    name = page.relative_to(REPOSITORY).as_posix()
    for language, block in _FENCE.findall(text):
        for line in _lines(language, block):
            yield Command(name, line)
    outside = _FENCE.sub("", text)
    indented = re.findall(r"^    (\S.*)$", outside, re.MULTILINE)
    inline = _INLINE.findall(re.sub(r"^    .*$", "", outside, flags=re.MULTILINE))
    for line in [*indented, *inline]:
        for words in _parts(line):
            if words[0] in PROGRAMS:
                yield Command(name, words)


def _lines(language: str, block: str) -> Iterator[tuple[str, ...]]:
    """Give the commands of a fenced block: all of ``bash``, those after ``$`` of ``console``."""
    if language == "console":
        for line in re.findall(r"^\$ (.*)$", block, re.MULTILINE):
            yield from _parts(line)
    elif language in ("", "bash", "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            yield from (words for words in _parts(line) if language or words[0] in PROGRAMS)


def _parts(line: str) -> Iterator[tuple[str, ...]]:
    """Give the words of each command of a line, without what is the shell's."""
    plain = re.sub(r" (?:\d?>&?|<<)\S+", "", line)
    for part in re.split(r" (?:\||&&) ", plain):
        # A path of Windows has backslashes, which are no escapes there.
        with suppress(ValueError):
            if words := tuple(shlex.split(part.replace("\\", "/"), comments=True)):
                yield words


# --- what programs accept -------------------------------------------------------------------------


def accept(words: Sequence[str]) -> None:
    """Fail if the program of a command would not accept its words.

    Raises
    ------
    AssertionError, ConfigError, SystemExit
        The last one by a parser, which has written the reason to the standard error output.
    """
    program = words[0].rpartition("/")[2]
    assert program in PROGRAMS, "unknown program: add it to PROGRAMS with a check or a reason"
    check = PROGRAMS[program]
    if not isinstance(check, str):
        check([word for word in words[1:] if word not in ("…", "--help", "--version")])


def _snakemake(words: Sequence[str]) -> None:
    given = _snakemake_parser().parse_args([*words])
    check_settings(_snakemake_config(given.config))
    for target in given.targets:
        # A module of another workflow has names such as a_masters.
        names = {target, target.partition("_")[2]}
        assert names & _rules() or "/" in target, f"no rule is named {target}"
    for profile in filter(None, [given.workflow_profile]):
        assert (REPOSITORY / profile).is_dir() or profile.startswith("$("), profile


def targets(command: Command) -> set[str]:
    """Return the rules that a command of Snakemake asks for."""
    if command.words[0] != "snakemake" or "--help" in command.words:
        return set()
    return {*_snakemake_parser().parse_args(command.words[1:]).targets} & _rules()


# Snakemake is imported late: each process of pytest imports this file, but few use it.


@cache
def _snakemake_parser() -> ArgumentParser:
    from snakemake.cli import get_argument_parser

    return get_argument_parser()


def _snakemake_config(given: Sequence[str]) -> dict[str, Any]:
    from snakemake.cli import parse_config

    return parse_config(given)


@cache
def _rules() -> set[str]:
    files = [REPOSITORY / "Snakefile", *REPOSITORY.glob("rules/*.smk")]
    texts = "\n".join(path.read_text(encoding="utf-8") for path in files)
    return set(re.findall(r"^(?:rule|checkpoint) (\w+):", texts, re.MULTILINE))


def _calmasters(words: Sequence[str]) -> None:
    end = words.index("--") if "--" in words else len(words)
    numbers = {"X": "1", "Y": "1"}
    given = [numbers.get(word, word) for word in words[:end]]
    if given and given[0] != "--print-completion":
        settings = vars(command_parser().parse_args(given)).get("set", [])
        check_settings(_snakemake_config(settings))
    _snakemake(words[end + 1 :])


def _make(words: Sequence[str]) -> None:
    text = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([\w-]+):", text, re.MULTILINE)
    for word in words:
        assert "=" in word or word in targets, f"the Makefile has no target {word}"


def _python(words: Sequence[str]) -> None:
    module = words[words.index("-m") + 1] if "-m" in words else ""
    if module:
        assert find_spec(module), f"there is no module {module}"
    elif words and words[0].endswith(".py"):
        assert (REPOSITORY / words[0]).is_file(), f"there is no file {words[0]}"


def _pip(words: Sequence[str]) -> None:
    assert words[0] == "install"
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for extra in re.findall(r"\[([\w,]+)\]", " ".join(words)):
        assert {*extra.split(",")} <= {*project["optional-dependencies"]}, f"no extra {extra}"


#: How the words of a program are checked, or why they are not.
PROGRAMS: Mapping[str, Callable[[Sequence[str]], None] | str] = {
    "snakemake": _snakemake,
    "calmasters": _calmasters,
    "make": _make,
    "python": _python,
    "python3": _python,
    "pip": _pip,
    **dict.fromkeys(("py", "reg"), "programs of Windows"),
    **dict.fromkeys(("docker", "kubectl"), "tests/workflow/test_container.py checks the image"),
    **dict.fromkeys(("srun", "sbatch"), "need a cluster; make test-slurm has one"),
    **dict.fromkeys(("git", "conda"), "get the program, before there is anything to test"),
    **dict.fromkeys(
        ("cat", "cd", "cp", "grep", "head", "less", "ls", "mkdir", "mv", "rm", "tail", "."),
        "programs of the shell; sessions that show output are run",
    ),
    **dict.fromkeys(("for", "do", "done"), "words of the shell"),
}


# --- settings -------------------------------------------------------------------------------------


def check_settings(settings: Mapping[str, Any]) -> None:
    """Fail if settings, put over the defaults, are no configuration."""
    # `--config key=value` stands for any setting.
    changed = {k: v for k, v in settings.items() if (k, v) != ("key", "value")}
    if changed:
        check_config(_merged(_defaults(), changed), CONFIG / "config.schema.yaml")


@cache
def _defaults() -> Mapping[str, Any]:
    defaults: Mapping[str, Any] = yaml.safe_load((CONFIG / "config.yaml").read_text("utf-8"))
    return defaults


def _merged(defaults: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**deepcopy(dict(defaults))}
    for key, value in settings.items():
        old = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, Mapping)
        merged[key] = _merged(old, value) if both else value
    return merged


def yaml_blocks(page: Path) -> Iterator[Mapping[str, Any]]:
    """Give the settings that a page shows: fenced as ``yaml``, or indented and begun by a key."""
    text = page.read_text(encoding="utf-8")
    for language, block in _FENCE.findall(text):
        if language == "yaml":
            yield yaml.safe_load(block)
    for block in _INDENTED.findall(_FENCE.sub("", text)):
        if re.match(r"(?:#.*\n)*[a-z_]+:(?: |$)", plain := dedent(block), re.MULTILINE):
            yield yaml.safe_load(plain)
