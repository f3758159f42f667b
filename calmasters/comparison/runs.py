"""Make the user's masters by several engines, each in a folder of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from glob import escape
from pathlib import Path
from shutil import rmtree
from typing import Any, Final

from calmasters.atomic_files import temporary_folder
from calmasters.comparison.between_engines import compare_outputs, comparison_lines
from calmasters.engines import needs_of
from calmasters.errors import CalmastersError, ConfigError, EngineError, RecordError
from calmasters.inventory.content_digests import ContentDigests
from calmasters.inventory.listing import list_files
from calmasters.model.layout import COMPARISON, DIFFERENCE_PICTURES, PLAN, compared_output
from calmasters.planning.plan_file import Plan
from calmasters.settings import Settings

__all__ = ["compare_engines", "run_config"]

_FEWEST: Final = 2


def compare_engines(
    config: Mapping[str, Any], snakefile: Path, cores: int, show: Callable[[str], object]
) -> None:
    """Make the masters by each of ``engines``, compare them, and write ``compare.json``.

    Parameters
    ----------
    config : mapping
        The complete, checked ``config.yaml``.
    snakefile : Path
    cores : int
        Number of cores of a run.
    show : callable
        Takes lines for the terminal.

    Raises
    ------
    ConfigError
        If less than two engines are given, or the program of one is missing.
    EngineError
        If the run of an engine did not come to its plan; or if an engine could not make all
        masters: those that were made are compared before.
    """
    settings = Settings.from_config(config)
    engines, output_dir = settings.engines, settings.output_dir
    if len(engines) < _FEWEST:
        raise ConfigError(
            "engines: a comparison needs two engines or more; add "
            "--config 'engines=[native,pixinsight]'"
        )
    if missing := [each for engine in engines for each in needs_of(engine).missing(settings)]:
        raise ConfigError("\n  ".join(["engines: nothing was started:", *missing]))
    for sentence in _not_compared(output_dir):
        show(sentence)
    failed = []
    for engine in engines:
        run = run_config(config, settings, engine)
        if not _has_run(run, snakefile, cores, show):
            _require_current_plan(run)
            failed.append(engine)
    rmtree(output_dir / DIFFERENCE_PICTURES, ignore_errors=True)
    comparison = compare_outputs(output_dir, engines)
    comparison.write(output_dir / COMPARISON)
    for line in comparison_lines(comparison):
        show(line)
    show(f"Pictures and numbers: {output_dir / COMPARISON}; also in: snakemake report")
    if failed:
        raise EngineError(f"not all masters were made by {' and '.join(failed)}: see above")


def run_config(config: Mapping[str, Any], settings: Settings, engine: str) -> dict[str, Any]:
    """Return the configuration of the run of one engine."""
    return {
        **config,
        "engine": engine,
        "output_dir": (settings.output_dir / compared_output(engine)).as_posix(),
        # That of the user may be below input_dir, with calibrated flats in it.
        "exclude": [*config["exclude"], *_output_pattern(settings)],
    }


def _require_current_plan(config: Mapping[str, Any]) -> None:
    """Refuse masters of an earlier run, of other frames or settings, in place of new ones."""
    settings = Settings.from_config(config)
    with suppress(OSError, CalmastersError):
        plan = Plan.load(settings.output_dir / PLAN)
        if plan.digest == list_files(settings, ContentDigests(settings)).digest:
            return
    raise EngineError(
        f"the run of engine {config['engine']} did not begin: its message is above; nothing was "
        "compared"
    )


def _output_pattern(settings: Settings) -> Sequence[str]:
    output, root = settings.output_dir.resolve(), settings.input_dir.resolve()
    inner = output.relative_to(root).as_posix() if output.is_relative_to(root) else ""
    return [f"{escape(inner)}/*"] if inner else []


def _not_compared(output_dir: Path) -> list[str]:
    """Say which masters a comparison makes in another way than the usual run."""
    with suppress(OSError, RecordError):
        plan = Plan.load(output_dir / PLAN)
        flats = [
            planned.short_name
            for planned in plan.masters.values()
            for used in (planned.bias, planned.dark)
            if used and used.origin == "kept"
        ]
        if flats:
            return [
                f"{len({*flats})} flats use a bias or dark whose frames are gone, which a "
                "comparison does not have; to use it, add its folder to library"
            ]
    return []


def _has_run(
    config: Mapping[str, Any], snakefile: Path, cores: int, show: Callable[[str], object]
) -> bool:
    """Run the workflow for one engine; return whether it succeeded."""
    show(f"Engine {config['engine']}:")
    with temporary_folder() as folder:
        file = Path(folder, "config.json")
        file.write_text(json.dumps(config), encoding="utf-8")
        command = [sys.executable, "-m", "snakemake", "masters", "--snakefile", str(snakefile)]
        # The lock is that of the working directory, which the run that compares may have.
        command += ["--configfile", str(file), "--cores", str(cores), "--keep-going", "--nolock"]
        return subprocess.run(command, stdout=sys.stderr, check=False).returncode == 0
