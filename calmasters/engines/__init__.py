"""Engines make a master from a job; rules do not depend on which one runs.

An engine is a package with two modules: ``needs`` declares the resources that the engine needs and
the settings that it does not support (:mod:`calmasters.engines.needs`), ``engine`` makes masters. A
line in :data:`ENGINES` registers it.
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

#: The package of each engine, by its name in the configuration.
ENGINES: Final[Mapping[str, str]] = {
    "native": "calmasters.engines.native",
    "pixinsight": "calmasters.engines.pixinsight",
    "siril": "calmasters.engines.siril",
}


class Engine(Protocol):
    """An engine."""

    def make(
        self, job: MasterJob, input_dir: Path, output_dir: Path, output: Path, log: Path
    ) -> MasterStatistics:
        """Make a master, whole or not at all, and the JSON next to it.

        Parameters
        ----------
        job : MasterJob
        input_dir, output_dir : Path
            The folders to which the paths of the job are relative.
        output : Path
            The master's file.
        log : Path
            Log file for the user.

        Raises
        ------
        ConfigError
            If the job has settings that the engine does not support.
        EngineError
            If the master cannot be made; nothing is left at ``output``.
        """
        ...


def needs_of(engine: str) -> EngineNeeds:
    """Load the needs of an engine, without the engine itself.

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


def engine_for(
    job: MasterJob, config: Mapping[str, Any], threads: int, evidence: Path | None = None
) -> Engine:
    """Load the engine of a job, and no other.

    Parameters
    ----------
    job : MasterJob
    config : mapping
        The complete, checked ``config.yaml``: how to run PixInsight and Siril, and what to do
        with bad frames. Settings that decide the pixels are in the job.
    threads : int
        Maximum number of threads.
    evidence : Path, optional
        Folder for what a bug report should contain besides the log, such as the script that
        PixInsight ran and its report.

    Raises
    ------
    ConfigError
        If there is no such engine.
    """
    create = _module(job.recipe.engine, "engine").create_engine
    engine: Engine = create(config, threads, evidence)
    return engine


def _module(engine: str, name: str) -> Any:
    if engine not in ENGINES:
        raise ConfigError(f"engine: there is no engine '{engine}'; choose {', '.join(ENGINES)}")
    return import_module(f"{ENGINES[engine]}.{name}")
