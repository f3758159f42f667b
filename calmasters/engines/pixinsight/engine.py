"""The PixInsight engine: makes the master of a job and checks it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from calmasters.atomic_files import put_in_place, remove
from calmasters.engines.pixinsight.find_program import find_binary
from calmasters.engines.pixinsight.needs import NEEDS
from calmasters.engines.pixinsight.result import check_master, master_statistics
from calmasters.engines.pixinsight.runner import EXIT_GRACE_S, command, safe_folder
from calmasters.engines.pixinsight.script import Places, script_job, script_text
from calmasters.engines.pixinsight.session import connected
from calmasters.engines.pixinsight.status import Status, failure_reason
from calmasters.engines.pixinsight.task import Task
from calmasters.engines.plain_files import plain_files
from calmasters.engines.preflight import (
    CheckedFrames,
    TakeoverGuard,
    check_frames,
    require_frames,
    require_supported,
)
from calmasters.engines.subprocesses import run
from calmasters.errors import EngineError
from calmasters.model.job import MasterJob
from calmasters.model.master_record import MasterRecord, MasterStatistics
from calmasters.model.master_warning import MasterWarning, WarningKind
from calmasters.settings import BadFrames, Calibrated, PixInsight

__all__ = ["PixInsightEngine", "create_engine"]


def create_engine(
    config: Mapping[str, Any], _threads: int, evidence: Path | None = None
) -> PixInsightEngine:
    """Create the engine from a checked configuration.

    PixInsight uses the number of threads of its own preferences.
    """
    return replace(PixInsightEngine.from_config(config), evidence=evidence)


@dataclass(frozen=True)
class PixInsightEngine:
    """Makes masters with PixInsight's ImageCalibration and ImageIntegration.

    Attributes
    ----------
    options : PixInsight
        How to find and run PixInsight.
    calibrated : Calibrated
        What to do with calibrated flats.
    bad_frames : BadFrames
        What to do with frames whose pixels cannot be used.
    evidence : Path or None
        Folder that receives the script of a master and the last report of PixInsight.
    """

    options: PixInsight
    calibrated: Calibrated
    bad_frames: BadFrames = field(default_factory=BadFrames)
    evidence: Path | None = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> PixInsightEngine:
        """Create the engine from a checked configuration."""
        return cls(
            PixInsight.from_config(config["pixinsight"]),
            Calibrated.from_config(config["calibrated"]),
            BadFrames.from_config(config),
        )

    def make(
        self, job: MasterJob, input_dir: Path, output_dir: Path, output: Path, log: Path
    ) -> MasterStatistics:
        """Make a master, whole or not at all; see :meth:`calmasters.engines.Engine.make`."""
        started, guard = time.perf_counter(), TakeoverGuard(job, output_dir)
        require_supported(job, NEEDS)
        _require_enough_frames(job)
        require_frames(job, input_dir)
        checked = check_frames(job, input_dir, output_dir, self.bad_frames)
        places = self.places(job, input_dir, output_dir, output)
        log.parent.mkdir(parents=True, exist_ok=True)
        files = job.frames_without(checked.left_out)
        frames = plain_files(job, files, input_dir, places.rewritten(job))
        with _working_files(job, places), frames as not_finite:
            if not_finite:
                checked.warnings.append(_not_finite(not_finite))
            status = self._run(job, places, log, checked)
            image = check_master(places.part(job), job)
            statistics = master_statistics(
                job, status, image, time.perf_counter() - started, checked
            )
            guard.require()
            put_in_place(places.part(job), output)
            # Last: a record must not describe a master that is not in place yet.
            MasterRecord.of(job, statistics).write(output)
        return statistics

    def places(self, job: MasterJob, input_dir: Path, output_dir: Path, output: Path) -> Places:
        """Return the paths of the files of a job."""
        calibrated = output_dir / self.calibrated.directory / job.name
        return Places(input_dir, output_dir, output, calibrated, self.calibrated.keep)

    def _run(self, job: MasterJob, places: Places, log: Path, checked: CheckedFrames) -> Status:
        """Run PixInsight until it has reported; after crashes, as often as ``retries`` allows."""
        task = Task(script_job(job, places, self.options, checked))
        script = script_text(job, places, self.options, checked)
        with log.open("wb") as file, self._keeping_evidence(script, task):
            for frame in checked.left_out:
                file.write(f"left out: {frame.path}: {frame.reason}\n".encode("utf-8", "replace"))
            for _ in range(1 + self.options.retries):
                ending = self._attempt(task, script, file)
                status = task.status()
                if status.is_final or ending is None:
                    break
            file.write(f"{status.console}\n".encode("utf-8", "backslashreplace"))
        if status.state != "completed":
            reason = failure_reason(status, ending, self.options)
            raise EngineError(f"{job.master}: {reason}\n  complete output of PixInsight: {log}")
        return status

    @contextmanager
    def _keeping_evidence(self, script: str, task: Task) -> Iterator[None]:
        """Keep the script, and the last report, if a folder for them was given."""
        if self.evidence is None:
            yield
            return
        self.evidence.mkdir(parents=True, exist_ok=True)
        (self.evidence / "script.js").write_text(script, encoding="ascii", newline="\n")
        try:
            yield
        finally:
            if task.report.exists():
                shutil.copyfile(task.report, self.evidence / "status.json")

    def _attempt(self, task: Task, script: str, log: BinaryIO) -> str | None:
        """Run PixInsight once; return how it ended, or None if it did not end by itself."""
        if self.options.session == "shared":
            with connected() as connection:
                if connection:
                    log.write(b"made by the PixInsight of this run; see logs/pixinsight.log\n")
                    return connection.make(task, self.options)
        return self._start(task, script, log)

    def _start(self, task: Task, script: str, log: BinaryIO) -> str | None:
        """Start PixInsight for this master only."""
        task.prepare()
        with safe_folder() as folder:
            file = folder / "master.js"
            file.write_text(script, encoding="ascii", newline="\n")
            arguments = command(find_binary(self.options), file, self.options)
            log.write(os.fsencode(f"$ {' '.join(arguments)}\n"))
            log.flush()
            return run(
                arguments,
                log,
                lambda: task.status().is_final,
                limit_s=60 * self.options.timeout_minutes,
                exit_grace_s=EXIT_GRACE_S if self.options.force_exit else 0.0,
            )


def _not_finite(samples: int) -> MasterWarning:
    text = f"{samples} samples were not finite and were replaced by 0"
    return MasterWarning(WarningKind.SAMPLES, text)


def _require_enough_frames(job: MasterJob) -> None:
    """Refuse too few frames before PixInsight starts, which takes long."""
    fewest = NEEDS.fewest_frames(job.recipe.integration)
    if len(job.frames) < fewest:
        raise EngineError(
            f"{job.master}: there are {len(job.frames)} frames; PixInsight needs at least {fewest} "
            f"(rejection: {job.recipe.integration.rejection}): take more, or set minimum_frames: "
            f"{fewest}"
        )


@contextmanager
def _working_files(job: MasterJob, places: Places) -> Iterator[None]:
    """Make the folders that the script writes to, and finally remove all files but the master."""
    places.output.parent.mkdir(parents=True, exist_ok=True)
    if job.bias or job.dark:
        # Frames of an earlier run would change the names of the new ones.
        shutil.rmtree(places.calibrated, ignore_errors=True)
        places.calibrated.mkdir(parents=True)
    try:
        yield
    finally:
        for path in (places.part(job), places.status(job)):
            remove(path)
        if not places.keep_calibrated:
            shutil.rmtree(places.calibrated, ignore_errors=True)
