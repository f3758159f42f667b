"""Engines make a master from a job; a rule does not know which one runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from calmasters.errors import ConfigError
from calmasters.model.job import MasterJob
from calmasters.model.master_record import MasterStatistics
from calmasters.settings import BadFrames

__all__ = ["Engine", "engine_for"]


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
        EngineError
            If the master cannot be made; nothing is left at ``output``.
        """
        ...


def engine_for(job: MasterJob, config: Mapping[str, Any], threads: int) -> Engine:
    """Load the engine that a job asks for, and nothing of the others.

    Parameters
    ----------
    job : MasterJob
    config : mapping
        All of ``config.yaml``, checked before: how PixInsight and Siril are run, and what
        becomes of bad frames. What decides the pixels is in the job.
    threads : int
        How many the native engine and Siril may use.

    Raises
    ------
    ConfigError
        If there is no such engine.
    """
    if job.recipe.engine == "native":
        from calmasters.engines.native import NativeEngine

        return NativeEngine(threads, BadFrames.from_config(config))
    if job.recipe.engine == "pixinsight":
        from calmasters.engines.pixinsight import PixInsightEngine

        return PixInsightEngine.from_config(config)
    if job.recipe.engine == "siril":
        from calmasters.engines.siril import SirilEngine

        return SirilEngine.from_config(config, threads)
    raise ConfigError(f"engine: there is no engine '{job.recipe.engine}'")
