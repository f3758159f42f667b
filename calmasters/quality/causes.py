"""Findings of all masters by their cause, so that a cause of many masters is listed once."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from calmasters.quality.quality_record import Finding, Level, QualityRecord

__all__ = ["Cause", "shared_causes"]

#: Findings that are given as examples of a cause.
_EXAMPLES: Final = 3

#: What sentences without a cause differ in from master to master: paths and numbers.
_PATH: Final = re.compile(r"'[^'\n]*'|\S*/[^\s:,]*|\S+\.(?:fits?|fts|xisf|fz|gz|bz2)\b")
_NUMBER: Final = re.compile(r"[-+]?\d+(?:\.\d+)?")

#: The levels that matter, the worst first.
_LEVELS: Final = (Level.ERROR, Level.WARNING)


@dataclass(frozen=True, slots=True)
class Cause:
    """What is wrong with one or several masters.

    Attributes
    ----------
    text : str
        The likely cause; where none is known, what was found in the first master.
    remedy : str
        What to do; empty where none is known.
    level : Level
        The worst level of its findings.
    masters : tuple of str
        Names of the masters (:attr:`QualityRecord.name`), without repeats, in the order given.
    examples : tuple of (str, str)
        The name of a master and what was found in it, with the measured number: one of each kind
        of number first.
    """

    text: str
    remedy: str
    level: Level
    masters: tuple[str, ...]
    examples: tuple[tuple[str, str], ...]

    def sentence(self, names: Mapping[str, str]) -> str:
        """Write the cause for the terminal: what, in which masters, such as, and the remedy.

        Parameters
        ----------
        names : mapping of str to str
            Short names of masters, by name.
        """
        name, found = self.examples[0]
        first = names.get(name, name)
        more = f" and {len(self.masters) - 1} more" if len(self.masters) > 1 else ""
        cause = "" if self.text == found or found.startswith(self.text) else f"; {self.text}"
        remedy = f": {self.remedy}" if self.remedy else ""
        return f"{first}{more}: {found}{cause}{remedy}"


def shared_causes(records: Iterable[QualityRecord]) -> list[Cause]:
    """Group the findings of masters by their cause.

    Parameters
    ----------
    records : iterable of QualityRecord

    Returns
    -------
    list of Cause
        Of warnings and errors; errors come first, then what concerns most masters. A cause of a
        single master is one, too.
    """
    by_cause: dict[tuple[str, str], list[tuple[str, Finding]]] = defaultdict(list)
    for record in records:
        for finding in record.findings:
            if finding.level in _LEVELS:
                by_cause[_key(finding)].append((record.name, finding))
    causes = [_cause(members) for members in by_cause.values()]
    return sorted(causes, key=lambda cause: (_LEVELS.index(cause.level), -len(cause.masters)))


def _key(finding: Finding) -> tuple[str, str]:
    if finding.cause:
        return finding.cause, finding.remedy
    return _NUMBER.sub("0", _PATH.sub("path", finding.found)), finding.remedy


def _cause(members: list[tuple[str, Finding]]) -> Cause:
    first = members[0][1]
    kinds: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name, finding in members:
        kinds[finding.number].append((name, finding.found))
    one_of_each = [examples[0] for examples in kinds.values()]
    others = [example for examples in kinds.values() for example in examples[1:]]
    return Cause(
        text=first.cause or first.found,
        remedy=first.remedy,
        level=min((finding.level for _, finding in members), key=_LEVELS.index),
        masters=tuple(dict.fromkeys(name for name, _ in members)),
        examples=tuple([*one_of_each, *others][:_EXAMPLES]),
    )
