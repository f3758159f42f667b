"""What the checkpoint writes: the inventory, the job files and the plan."""

from __future__ import annotations

import os
from pathlib import Path

from calmasters.atomic_files import remove, replacing
from calmasters.inventory.content_digests import ContentDigests
from calmasters.inventory.header_cache import HeaderCache
from calmasters.inventory.suggestions import write_suggestions
from calmasters.inventory.table import write_inventory
from calmasters.model.layout import INVENTORY, JOBS, PLAN, SUGGESTED, unplanned
from calmasters.planning.plan_file import write_plan
from calmasters.planning.planner import Decision, decide, require_sound
from calmasters.planning.stale_reasons import stale_reasons
from calmasters.planning.staleness import write_job_files
from calmasters.running.disk_space import disk_need, require_disk_space
from calmasters.running.previous_masters import bytes_to_copy, save
from calmasters.running.set_aside import set_aside
from calmasters.settings import Settings

__all__ = ["refresh_plan"]


def refresh_plan(settings: Settings) -> Decision:
    """Decide, and write ``inventory.csv``, ``suggested.yaml``, the job files and ``plan.json``.

    ``plan.json`` comes last: where it is there, so are the others.

    Raises
    ------
    FrameError
        If a frame is damaged, and ``on_bad_frame`` is ``fail``.
    OutputError
        If what is to be made does not fit on the disk.
    """
    cache, digests = HeaderCache(settings), ContentDigests(settings)
    decision = decide(settings, cache, digests)
    output_dir = settings.output_dir
    cache.save()
    digests.save()
    require_sound(decision, settings)
    reasons = stale_reasons(decision.jobs, output_dir)
    stale = [job for job in decision.jobs if job.master in reasons]
    need = disk_need(stale, settings.calibrated, bytes_to_copy(output_dir, reasons))
    require_disk_space(need, output_dir)
    write_job_files(decision.jobs, output_dir)
    # Snakemake removes a master before its job starts.
    save(output_dir, reasons)
    _remove_old_job_files(output_dir, {job.file for job in decision.jobs})
    set_aside(decision.superseded, output_dir)
    with replacing(output_dir / INVENTORY) as file:
        write_inventory(file, decision.inventory)
    write_suggestions(
        output_dir / SUGGESTED, decision.suggested, decision.verdicts.values(), settings
    )
    write_plan(output_dir / PLAN, decision, reasons)
    return decision


def _remove_old_job_files(output_dir: Path, current: set[str]) -> None:
    there = (
        f"{Path(folder).relative_to(output_dir).as_posix()}/{name}"
        for folder, _, names in os.walk(output_dir / JOBS)
        for name in names
        if name.endswith(".json")
    )
    for path in unplanned(there, current, output_dir):
        remove(output_dir / path)
