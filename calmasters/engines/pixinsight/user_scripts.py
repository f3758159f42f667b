"""Scripts that a user runs in PixInsight: one for each master, and one for all.

They leave what the engine leaves: the master, and its record, so that the next run takes the master
as up to date. What the engine does in Python before and after PixInsight, a script does itself
where it can, or says in the record that nobody did it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeGuard

from calmasters.engines.dark_scaling import DarkScaling
from calmasters.engines.pixinsight.engine import PixInsightEngine
from calmasters.engines.pixinsight.needs import NEEDS
from calmasters.engines.pixinsight.script import Places, all_text, script_job, user_text
from calmasters.engines.plain_files import is_rewritten
from calmasters.engines.result_warnings import ZERO_SHARE, zeros_warning
from calmasters.frame import FrameType
from calmasters.model.job import MasterJob, UsedMaster
from calmasters.model.layout import master_name, record_path
from calmasters.model.master_record import (
    HIGHEST_ADU,
    FrameStatistics,
    MasterRecord,
    MasterStatistics,
    level_warning,
)
from calmasters.model.master_warning import MasterWarning, WarningKind
from calmasters.settings import PixInsight

__all__ = ["user_job", "write_scripts"]

#: The script of all masters.
_ALL: Final = "all.js"

_UNCHECKED: Final = MasterWarning(
    WarningKind.OTHER,
    "made by a script that was run by hand: damaged frames, and frames that differ from the others,"
    " were not searched; to make it with these checks, delete it and run 'snakemake masters'",
)

#: What a script replaces in a sentence by a number.
_NUMBER: Final = "%1"


def write_scripts(
    jobs: Iterable[tuple[str, MasterJob]],
    engine: PixInsightEngine,
    input_dir: Path,
    output_dir: Path,
    folder: Path,
) -> None:
    """Write the scripts of masters, as ``folder/TYPE/NAME.js`` and ``folder/all.js``.

    Parameters
    ----------
    jobs : iterable of (str, MasterJob)
        Short names and jobs; bias and darks before the flats that use them. Of a job that was
        planned for another engine, it is the master that PixInsight would make.
    engine : PixInsightEngine
    input_dir, output_dir : Path
        Of the workflow.
    folder : Path
    """
    adopted: dict[str, MasterJob] = {}
    data: list[dict[str, Any]] = []
    for title, planned in jobs:
        job = _adopted(planned, engine.options, adopted)
        adopted[job.master] = job
        places = engine.places(job, input_dir, output_dir, output_dir / job.master)
        data.append(user_job(job, places, engine.options, title))
        script = folder / job.type.value / f"{job.name}.js"
        _write(script, user_text(data[-1], engine.options))
    _write(folder / _ALL, all_text(data, engine.options))


def _write(script: Path, text: str) -> None:
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(text, encoding="ascii", newline="\n")


def _adopted(job: MasterJob, options: PixInsight, made: Mapping[str, MasterJob]) -> MasterJob:
    """Return the job as it is planned with ``engine: pixinsight``."""
    recipe = replace(
        job.recipe,
        engine="pixinsight",
        algorithm_version=NEEDS.algorithm_version,
        parameters=options.pixel_parameters,
    )

    def used(master: UsedMaster | None) -> UsedMaster | None:
        return replace(master, job=made[master.path].digest) if _is_made(master, made) else master

    return replace(job, recipe=recipe, bias=used(job.bias), dark=used(job.dark))


def _is_made(master: UsedMaster | None, made: Mapping[str, MasterJob]) -> TypeGuard[UsedMaster]:
    return master is not None and master.origin == "run" and master.path in made


def user_job(job: MasterJob, places: Places, options: PixInsight, title: str) -> dict[str, Any]:
    """Return the job of a script for a user; see ``pixinsight/user.js``."""
    return {
        **script_job(job, places, options),
        "title": title,
        "problem": _problem(job),
        "used": [
            _used(kind, used, places)
            for kind, used in (("bias", job.bias), ("dark", job.dark))
            if used
        ],
        "mustScaleDark": job.optimize_dark and DarkScaling.of(job, 1.0).unsearched != 1,
        "recordFile": (places.output_dir.absolute() / job.record).as_posix(),
        "record": _record(job),
        "level": _level_check(job.type),
    }


def _problem(job: MasterJob) -> str | None:
    """Return why PixInsight cannot make the master, or would make a wrong one."""
    sentences = [*NEEDS.unsupported(job)]
    if rewritten := [frame.path for frame in job.frames if is_rewritten(job, frame)]:
        layout = job.geometry.layout
        sentences.append(
            f"its frames are written as plain files before PixInsight reads them "
            f"({layout or rewritten[0]}): make it with snakemake masters and engine: pixinsight"
        )
    fewest = NEEDS.fewest_frames(job.recipe.integration)
    if len(job.frames) < fewest:
        sentences.append(f"there are {len(job.frames)} frames; PixInsight needs at least {fewest}")
    return "; ".join(sentences) or None


def _used(kind: str, used: UsedMaster, places: Places) -> dict[str, str | None]:
    """Return what a script checks of a bias or dark: of one of this run, by its record."""
    is_made = used.origin == "run"
    record = places.output_dir.absolute() / record_path(used.path)
    return {
        "kind": kind,
        "path": used.located(places.output_dir).absolute().as_posix(),
        "recordFile": record.as_posix() if is_made else None,
        "digest": (used.job or None) if is_made else None,
        "script": f"{kind}/{master_name(used.path)}.js" if is_made else None,
    }


def _record(job: MasterJob) -> dict[str, Any]:
    """Return the record of the master without what only PixInsight knows."""
    statistics = MasterStatistics(
        frames=tuple(FrameStatistics(frame.path, None, None) for frame in job.frames),
        mean=0.0,
        median=0.0,
        minimum=0.0,
        maximum=0.0,
        noise=None,
        seconds=0.0,
        versions={},
        warnings=(_UNCHECKED,),
    )
    stored = MasterRecord.of(job, statistics).to_stored(0)
    # A number of JavaScript has too few digits for them.
    frames = [frame | {"mtime_ns": str(frame["mtime_ns"])} for frame in stored["frames"]]
    return {**stored, "frames": frames}


def _level_check(kind: FrameType) -> dict[str, Any]:
    """Return a limit, and what is wrong where the level of a master is beyond it.

    Of a bias or dark it is the highest median, of a flat the lowest minimum, as a share of its
    median.
    """
    if kind is FrameType.FLAT:
        limit, warning = ZERO_SHARE, zeros_warning("some pixels are")
    else:
        limit, warning = HIGHEST_ADU[kind] / 65535, level_warning(kind, _NUMBER)
    return {"limit": limit, "kind": warning.kind.value, "text": warning.text}
