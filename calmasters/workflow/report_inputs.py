"""What the rules of the report ask: which files are measured and drawn, and what that takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from calmasters.frame import FrameType
from calmasters.inventory.scan import fingerprint
from calmasters.model.job import MasterJob, UsedMaster
from calmasters.model.layout import (
    COMPARISON,
    PICTURES,
    VERDICT,
    defect_map_path,
    master_name,
    picture_path,
    quality_path,
)
from calmasters.quality import MEASURE_VERSION
from calmasters.quality.camera import bias_of, previous_night, settings_with_defects
from calmasters.running import job_resources
from calmasters.settings import Settings
from calmasters.workflow.workflow import Input, Workflow, path_of_no_output

__all__ = ["ReportInputs"]


class ReportInputs:
    """Answers the rules of the report, by the plan of a workflow.

    Parameters
    ----------
    workflow : Workflow
        Prepared before any of these questions is asked.
    settings : Settings
    """

    def __init__(self, workflow: Workflow, settings: Settings) -> None:
        self._workflow, self._settings = workflow, settings
        self._path, self._job = workflow.path, workflow.job

    def all_quality(self) -> list[str]:
        """Give the numbers of every master."""
        return [self._path(quality_path(job.name)) for job in self._workflow.jobs]

    def all_pictures(self) -> list[str]:
        """Give the pictures of every master."""
        return [
            self._path(picture_path(job.name, ending))
            for job in self._workflow.jobs
            for ending in PICTURES
        ]

    def all_defects(self) -> list[str]:
        """Give the map of bad pixels of every camera setting."""
        return [self._path(defect_map_path(setting)) for setting in self.camera_settings]

    def verdict(self) -> list[str]:
        """Give the file that only good masters make, where the configuration asks for it."""
        return [self._path(VERDICT)] if self._settings.quality.fail_on == "error" else []

    def comparison(self) -> Input:
        """Give the last comparison of engines, if there is one; no rule makes it."""
        file = self._settings.output_dir / COMPARISON
        return self._path(COMPARISON) if file.is_file() else []

    @cached_property
    def camera_settings(self) -> Mapping[str, Sequence[MasterJob]]:
        """The dark and flat masters of each camera setting, by the name of its map."""
        return settings_with_defects(self._workflow.jobs, self._settings.master_match_keywords)

    def setting_jobs(self, setting: str) -> list[str]:
        """Give the job files of a camera setting."""
        return self._if_made(job.file for job in self.camera_settings[setting])

    def setting_masters(self, setting: str) -> list[str]:
        """Give the masters of a camera setting."""
        return [self._path(job.master) for job in self.camera_settings[setting]]

    def setting_quality(self, setting: str) -> list[str]:
        """Give the numbers of the masters of a camera setting."""
        return [self._path(quality_path(job.name)) for job in self.camera_settings[setting]]

    def measured_job(self, name: str) -> Input:
        """Give the job file of a master that is measured."""
        return next(iter(self._if_made([self._job(name).file])), [])

    def measured_master(self, name: str) -> str:
        """Give the file of a master that is measured."""
        return self._path(self._job(name).master)

    def measured_record(self, name: str) -> str:
        """Give the record of a master that is measured."""
        return self._path(self._job(name).record)

    def _if_made(self, paths: Iterable[str]) -> list[str]:
        """Give files as inputs; a preview leaves out those that the checkpoint has yet to write."""
        return [
            self._path(path)
            for path in paths
            if not self._workflow.is_preview or (self._settings.output_dir / path).exists()
        ]

    def measured_bias(self, name: str) -> UsedMaster | None:
        """Give the bias that belongs to a master which is measured."""
        return bias_of(self._job(name), self._workflow.jobs, self._settings.master_match_keywords)

    def measured_bias_file(self, name: str) -> str:
        """Give the file of that bias, whatever its time says; empty where there is none."""
        bias = self.measured_bias(name)
        return bias.located(self._settings.output_dir).as_posix() if bias else ""

    def bias_quality_input(self, name: str) -> Input:
        """Give the numbers of a flat's bias; a kept one's are of the run that made it."""
        job = self._job(name)
        if job.type is not FrameType.FLAT or job.bias is None or job.bias.origin == "library":
            return []
        path = quality_path(master_name(job.bias.path))
        if job.bias.origin == "run":
            return self._path(path)
        kept = self._settings.output_dir / path
        return path_of_no_output(kept) if kept.is_file() else []

    def night_before(self, name: str) -> Input:
        """Give the master of the night before with the same settings."""
        job = previous_night(self._job(name), self._workflow.jobs)
        return self._path(job.master) if job else []

    def quality_digest(self, name: str) -> str:
        """Give a digest of what the numbers of a master depend on."""
        job, bias = self._job(name), self.measured_bias(name)
        ranges = self._settings.quality.ranges[job.type.value]
        before = self.night_before(name)
        return fingerprint(job.digest, bias and bias.path, before, ranges, MEASURE_VERSION)

    def setting_digest(self, setting: str) -> str:
        """Give a digest of what the bad pixels of a camera setting depend on."""
        return fingerprint([job.digest for job in self.camera_settings[setting]], MEASURE_VERSION)

    def page_digest(self) -> str:
        """Give a digest of what the page shows besides its inputs: how numbers are judged."""
        return fingerprint(MEASURE_VERSION, self._settings.quality.history_masters)

    def verdict_digest(self) -> str:
        """Give a digest of what is expected of masters."""
        return fingerprint(self._settings.quality)

    def measuring_mb(self, name: str) -> int:
        """Give the memory that measuring a master takes, in 10^6 bytes."""
        job = self._job(name)
        return job_resources.requested_mb(job_resources.measuring_mb(job.geometry, len(job.frames)))

    def mapping_mb(self, setting: str) -> int:
        """Give the memory that mapping the bad pixels of a camera setting takes, in 10^6 bytes."""
        geometry = self.camera_settings[setting][0].geometry
        return job_resources.requested_mb(job_resources.measuring_mb(geometry, frames=1))
