"""Targets on the command line that do not exist, and which existing one was probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher
from pathlib import PurePath
from typing import Final

__all__ = ["RULES", "nearest_target", "unknown_target_message"]

#: The rules that can be targets, as in the Snakefile.
RULES: Final = (
    *("masters", "inventory", "report", "summary", "why", "orphans", "scripts", "verdict"),
    *("engine_check", "compare", "bug_report"),
)

#: Least similarity of a suggestion, from 0 to 1. Of file names that are not similar at all, the
#: nearest one is still an example of what can be asked for.
_SIMILAR: Final = 0.6


def nearest_target(target: str, masters: Iterable[str]) -> str:
    """Return the rule or master that is most similar to a target; empty if none is similar.

    Parameters
    ----------
    target : str
        As given on the command line: a rule, or the path or name of a file.
    masters : iterable of str
        Paths of masters, as Snakemake writes them.
    """
    is_path = len(PurePath(target).parts) > 1
    paths = {
        master: max(_similarity(target, master), _similarity(_name(target), _name(master)))
        for master in masters
    }
    found = paths if is_path else {**{rule: _similarity(target, rule) for rule in RULES}, **paths}
    best = max(found, key=found.__getitem__, default="")
    return best if is_path or found.get(best, 0) >= _SIMILAR else ""


def unknown_target_message(target: str, masters: Iterable[str]) -> str:
    """Return a sentence about a target that no rule makes; see :func:`nearest_target`."""
    near = nearest_target(target, masters)
    hint = f"did you mean '{near}'?" if near else "masters and report are the usual targets"
    return (
        f"'{target}' is no rule, and no file that a rule makes; {hint} "
        "('snakemake --list' shows all rules, 'snakemake -n masters' all masters to be made)"
    )


def _name(path: str) -> str:
    return PurePath(path).stem


def _similarity(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other, autojunk=False).ratio()
