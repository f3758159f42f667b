"""The Siril engine: makes the master of a job and checks it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from calmasters.engines.output_range import fix_range
from calmasters.engines.preflight import TakeoverGuard, check_frames, require_frames
from calmasters.engines.result_warnings import zero_pixels
from calmasters.engines.siril.program import VARIABLES, command, find_binary, version_of
from calmasters.engines.siril.result import last_lines, master_statistics, read_result
from calmasters.engines.siril.script import CALIBRATION, FRAMES, MASTER, script_text
from calmasters.engines.siril.sequence import place_assembled, place_frames, write_image
from calmasters.engines.subprocesses import run
from calmasters.errors import EngineError, plain_number
from calmasters.frame import FrameType
from calmasters.images.master_file import read_image, write_master
from calmasters.images.raw_frame import Image
from calmasters.model.job import MasterJob
from calmasters.model.master_record import MasterRecord, MasterStatistics, header_cards
from calmasters.model.master_warning import MasterWarning, WarningKind
from calmasters.settings import BadFrames, Siril

__all__ = ["SirilEngine", "create_engine"]

_SCRIPT: Final = "master.ssf"
_PREFERENCES: Final = "siril.cfg"


def create_engine(
    config: Mapping[str, Any], threads: int, _evidence: Path | None = None
) -> SirilEngine:
    """Create the engine from a checked configuration; its log has all evidence."""
    bad_frames = BadFrames.from_config(config)
    return SirilEngine(Siril.from_config(config["siril"]), threads, bad_frames)


@dataclass(frozen=True)
class SirilEngine:
    """Makes masters with Siril's stacking.

    Attributes
    ----------
    options : Siril
        How to find and run Siril.
    threads : int
        Maximum number of threads.
    bad_frames : BadFrames
        What to do with frames whose pixels cannot be used.
    """

    options: Siril
    threads: int
    bad_frames: BadFrames = field(default_factory=BadFrames)

    def make(
        self, job: MasterJob, input_dir: Path, output_dir: Path, output: Path, log: Path
    ) -> MasterStatistics:
        """Make a master, whole or not at all; see :meth:`calmasters.engines.Engine.make`."""
        started, guard = time.perf_counter(), TakeoverGuard(job, output_dir)
        binary = find_binary(self.options)
        version = version_of(binary)
        require_frames(job, input_dir)
        checked = check_frames(job, input_dir, output_dir, self.bad_frames)
        left_out = checked.left_out
        used = replace(job, frames=job.frames_without(left_out))
        script = script_text(used, version, min(self.threads, _processors()))
        lines = [f"left out: {frame.path}: {frame.reason}" for frame in left_out]
        _start_log(log, [*lines, f"{binary} with the script:", script])
        with _working_folder(output) as folder:
            warnings = [*checked.warnings, *_place(used, input_dir, output_dir, folder)]
            self._run(job, binary, script, folder, log)
            stacked = read_result(folder / f"{MASTER}.fit", job)
        image = fix_range(stacked, job.recipe.integration.truncateOnOutOfRange)
        if image is not stacked:
            low, high = map(plain_number, (stacked.min(), stacked.max()))
            warnings.append(
                MasterWarning(
                    WarningKind.SAMPLES,
                    f"values from {low} to {high} were brought into 0 to 1",
                )
            )
        if job.type is FrameType.FLAT:
            warnings += zero_pixels(image)
        seconds = time.perf_counter() - started
        statistics = master_statistics(used, image, _read(log), version, seconds, warnings)
        statistics = replace(statistics, left_out=tuple(left_out), differences=checked.differences)
        guard.require()
        write_master(output, image, header_cards(job, left_out))
        MasterRecord.of(job, statistics).write(output)
        return statistics

    def _run(self, job: MasterJob, binary: Path, script: str, folder: Path, log: Path) -> None:
        (folder / _SCRIPT).write_text(script, encoding="ascii", newline="\n")
        (folder / _PREFERENCES).touch()
        with log.open("ab") as file:
            ending = run(
                command(binary, _PREFERENCES, _SCRIPT),
                file,
                lambda: False,
                limit_s=60 * self.options.timeout_minutes,
                directory=folder,
                variables=VARIABLES,
            )
        if ending != "exit code 0":
            limit = f"did not end within siril.timeout_minutes: {self.options.timeout_minutes:g}"
            ended = f"failed ({ending})" if ending else limit
            raise EngineError(
                f"{job.master}: Siril {ended}; last lines of its log:\n"
                f"    {last_lines(_read(log))}\n  complete output of Siril: {log}"
            )


def _processors() -> int:
    """Return the number of available processors; Siril refuses to use more."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _start_log(log: Path, lines: Iterable[str]) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("\n".join(lines), encoding="utf-8", errors="backslashreplace")


def _read(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")


@contextmanager
def _working_folder(output: Path) -> Iterator[Path]:
    """Make a folder next to the master, and remove it at the end, also after errors.

    Its name depends only on that of the master, so the next run removes what a killed run left.
    """
    folder = output.with_name(f".{output.name}.siril")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _place(job: MasterJob, input_dir: Path, output_dir: Path, folder: Path) -> list[MasterWarning]:
    """Put the input of Siril into its folder; return warnings."""
    paths = [input_dir / frame.path for frame in job.frames]
    warnings = []
    if job.geometry.layout:
        not_finite = place_assembled(job, paths, folder, FRAMES)
    else:
        not_finite = place_frames(paths, folder, FRAMES, job.recipe.frame_range)
    if not_finite:
        warnings.append(_not_finite(f"{not_finite} samples"))
    # A dark contains the bias: without optimization only the dark is subtracted.
    if used := job.dark or job.bias:
        path = used.located(output_dir)
        image, not_finite = read_image(path)
        _require_size(job, path, image)
        if not_finite:
            warnings.append(_not_finite(f"{path}: {not_finite} samples"))
        write_image(folder / f"{CALIBRATION}.fit", image)
    return warnings


def _require_size(job: MasterJob, path: Path, image: Image) -> None:
    expected = (job.geometry.height, job.geometry.width)
    if image.shape != expected:
        raise EngineError(
            f"{job.master}: the master {path} has (height, width) {image.shape}, expected "
            f"{expected}: flats need a bias and dark of their own size"
        )


def _not_finite(samples: str) -> MasterWarning:
    return MasterWarning(WarningKind.SAMPLES, f"{samples} were not finite and were replaced by 0")
