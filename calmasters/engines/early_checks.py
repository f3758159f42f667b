"""Checks before any master of a run is made: whether its engine can make it.

A problem that settings or a missing program cause concerns many masters, so all of them are
reported at once, also by a dry run, and not one by one when their jobs fail.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain

from calmasters.engines import needs_of
from calmasters.errors import ConfigError
from calmasters.model.job import MasterJob
from calmasters.settings import Settings

__all__ = ["EngineProblems", "engine_problems", "require_engine"]

#: Sentences, by the path of the master that cannot be made.
EngineProblems = Mapping[str, tuple[str, ...]]


def engine_problems(
    jobs: Iterable[MasterJob], settings: Settings, *, is_local: bool
) -> EngineProblems:
    """Find the masters that their engine cannot make.

    Parameters
    ----------
    jobs : iterable of MasterJob
        Of the masters that are to be made.
    settings : Settings
    is_local : bool
        Jobs run on this machine, so the program of the engine must be here.
    """
    missing = (*needs_of(settings.engine).missing(settings),) if is_local else ()
    found = {job.master: (*missing, *needs_of(job.recipe.engine).unsupported(job)) for job in jobs}
    return {master: sentences for master, sentences in found.items() if sentences}


def require_engine(master: str, problems: EngineProblems) -> None:
    """Stop if a master cannot be made by its engine.

    Parameters
    ----------
    master : str
        Its path.
    problems : mapping of str to tuple of str
        Of all masters that are to be made; all are reported together.

    Raises
    ------
    ConfigError
        Names each problem once, with what to set.
    """
    if master in problems:
        count = "1 master" if len(problems) == 1 else f"{len(problems)} masters"
        lines = dict.fromkeys(chain(*problems.values()))
        raise ConfigError("\n  ".join([f"{count} cannot be made; nothing was started:", *lines]))
