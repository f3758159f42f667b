"""Read the content of a report from ``output_dir``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from calmasters.quality.dark_temperature import DarkTemperature
from calmasters.quality.leave_out import OddFrame, odd_frames
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
from calmasters.reporting.temperature import dark_temperatures, gain_of
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
    odd_frames : sequence of OddFrame
        Frames that differ from the others of their master, to be left out.
    odd_but_kept : sequence of str
        Sentences on masters of which too many frames differ.
    temperatures : sequence of DarkTemperature
        Dark current of each camera setting against temperature.
    """

    decision: Decision
    masters: Sequence[Master]
    defects: Sequence[Defects]
    trends: Sequence[Trend]
    comparison: EngineComparison | None = None
    cameras: Sequence[CameraNumbers] = ()
    odd_frames: Sequence[OddFrame] = ()
    odd_but_kept: Sequence[str] = ()
    temperatures: Sequence[DarkTemperature] = ()


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
    odd, kept = odd_frames(records, _copies(decision), settings.minimum_frames)
    library = cache.read(scan_library(settings), Path())
    with_electrons = in_electrons(loaded, keywords)
    gains = {master.job.name: gain_of(master) for master in with_electrons}
    return ReportContent(
        decision=decision,
        masters=with_electrons,
        cameras=camera_numbers(loaded, keywords),
        defects=[
            Defects.load(name, members, output)
            for name, members in settings_with_defects(jobs, settings.master_match_keywords).items()
        ],
        trends=trends(measured, library, {name: gain for name, gain in gains.items() if gain}),
        temperatures=dark_temperatures(with_electrons, library, keywords),
        comparison=_comparison(output / COMPARISON),
        odd_frames=odd,
        odd_but_kept=kept,
    )


def _copies(decision: Decision) -> Mapping[str, Sequence[str]]:
    """Return the copies of frames, by the path of the original."""
    copies: dict[str, list[str]] = {}
    for frame in decision.frames:
        if frame.copy_of is not None:
            copies.setdefault(frame.copy_of, []).append(frame.path)
    return copies


def _comparison(path: Path) -> EngineComparison | None:
    return EngineComparison.read(path) if path.is_file() else None
