"""Engines make a master from a job; a rule does not know which one runs.

An engine is a package with two modules: ``needs`` declares what the engine takes of the machine and
what it refuses (:mod:`calmasters.engines.needs`), ``engine`` makes masters. A line in
:data:`ENGINES` registers it.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol

from calmasters.engines.needs import EngineNeeds
from calmasters.errors import ConfigError
from calmasters.model.job import MasterJob
from calmasters.model.master_record import MasterStatistics

__all__ = ["ENGINES", "Engine", "engine_for", "needs_of"]

#: The package of each engine, by the name that the configuration has for it.
ENGINES: Final[Mapping[str, str]] = {
    "native": "calmasters.engines.native",
    "pixinsight": "calmasters.engines.pixinsight",
    "siril": "calmasters.engines.siril",
}


class Engine(Protocol):
    """What an engine is: one method."""

    def make(
        self, job: MasterJob, input_dir: Path, output_dir: Path, output: Path, log: Path
    ) -> MasterStatistics:
        """Make a master, whole or not at all, and the JSON beside it.

        Parameters
        ----------
        job : MasterJob
        input_dir, output_dir : Path
            What the job's paths are relative to.
        output : Path
            The master's file.
        log : Path
            Receives what a person may want to read afterwards.

        Raises
        ------
        ConfigError
            If the job has settings that the engine does not support.
        EngineError
            If the master cannot be made; nothing is left at ``output``.
        """
        ...


def needs_of(engine: str) -> EngineNeeds:
    """Load what an engine declares, without the engine.

    Parameters
    ----------
    engine : str
        Its name.

    Raises
    ------
    ConfigError
        If there is no such engine.
    """
    needs: EngineNeeds = _module(engine, "needs").NEEDS
    return needs


def engine_for(job: MasterJob, config: Mapping[str, Any], threads: int) -> Engine:
    """Load the engine that a job asks for, and nothing of the others.

    Parameters
    ----------
    job : MasterJob
    config : mapping
        All of ``config.yaml``, checked before: how PixInsight and Siril are run, and what
        becomes of bad frames. What decides the pixels is in the job.
    threads : int
        How many the engine may use.

    Raises
    ------
    ConfigError
        If there is no such engine.
    """
    engine: Engine = _module(job.recipe.engine, "engine").create_engine(config, threads)
    return engine


def _module(engine: str, name: str) -> Any:
    if engine not in ENGINES:
        raise ConfigError(f"engine: there is no engine '{engine}'; choose {', '.join(ENGINES)}")
    return import_module(f"{ENGINES[engine]}.{name}")
