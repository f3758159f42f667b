"""Read the content of a report from ``output_dir``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from calmasters.comparison.between_engines import EngineComparison
from calmasters.inventory.header_cache import HeaderCache
from calmasters.inventory.scan import scan_library
from calmasters.model.job import MasterJob
from calmasters.model.layout import COMPARISON, job_path_of, quality_path
from calmasters.planning.plan_file import Plan
from calmasters.planning.planner import Decision, decide
from calmasters.quality.camera import settings_with_defects
from calmasters.quality.own_history import judged
from calmasters.quality.trend import Trend, trends
from calmasters.reporting.masters import (
    CameraNumbers,
    Defects,
    Master,
    camera_numbers,
    in_electrons,
    titled,
)
from calmasters.settings import Settings

__all__ = ["ReportContent", "read_content"]


@dataclass(frozen=True)
class ReportContent:
    """The content of a report.

    Attributes
    ----------
    decision : Decision
        The status of every frame.
    masters : sequence of Master
    defects : sequence of Defects
    trends : sequence of Trend
    comparison : EngineComparison or None
        What ``snakemake compare`` found last, if it was run.
    cameras : sequence of CameraNumbers
        Gain and noise of each camera setting with flats.
    """

    decision: Decision
    masters: Sequence[Master]
    defects: Sequence[Defects]
    trends: Sequence[Trend]
    comparison: EngineComparison | None = None
    cameras: Sequence[CameraNumbers] = ()


def read_content(settings: Settings, plan: Path) -> ReportContent:
    """Read what the jobs of a run have written.

    Parameters
    ----------
    settings : Settings
    plan : Path
        ``plan.json``, for the list of masters. The frames are scanned again.
    """
    output, keywords = settings.output_dir, settings.master_match_keywords
    masters = Plan.load(plan).masters
    jobs = [MasterJob.read(output / job_path_of(master)) for master in masters]
    cache = HeaderCache(settings)
    measured = [(job, output / quality_path(job.name)) for job in jobs]
    decision = decide(settings, cache)
    records = judged(settings, [quality for _, quality in measured])
    loaded = titled(
        (
            replace(Master.load(job, output), quality=record)
            for job, record in zip(jobs, records, strict=True)
        ),
        decision.short_names,
    )
    return ReportContent(
        decision=decision,
        masters=in_electrons(loaded, keywords),
        cameras=camera_numbers(loaded, keywords),
        defects=[
            Defects.load(name, members, output)
            for name, members in settings_with_defects(jobs, settings.master_match_keywords).items()
        ],
        trends=trends(measured, cache.read(scan_library(settings), Path())),
        comparison=_comparison(output / COMPARISON),
    )


def _comparison(path: Path) -> EngineComparison | None:
    return EngineComparison.read(path) if path.is_file() else None
