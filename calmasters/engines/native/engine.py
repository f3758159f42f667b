"""The native engine: a master from its job, by the arithmetic of PixInsight's processes."""

from __future__ import annotations

import ctypes
import platform
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NoReturn, TextIO

import numpy as np

from calmasters.engines.dark_scaling import DarkScaling, weak_factors
from calmasters.engines.frame_measures import measure_frames
from calmasters.engines.image_stats import noise
from calmasters.engines.job_frames import open_frame_of
from calmasters.engines.native.darks import DarkOptimizer
from calmasters.engines.native.flats import Calibrator, FrameLevel, RawStack, measure
from calmasters.engines.native.integration import Integrated, Normalization, integrate
from calmasters.engines.native.levels import image_median
from calmasters.engines.native.needs import NEEDS
from calmasters.engines.native.reference import Float32
from calmasters.engines.output_range import fix_range
from calmasters.engines.preflight import (
    TakeoverGuard,
    judge_frames,
    left_out_for,
    measure_reference,
    measure_subtracted,
    require_enough,
    require_supported,
)
from calmasters.engines.result_warnings import weak_master_dark, zero_pixels
from calmasters.errors import (
    CalmastersError,
    EngineError,
    FrameError,
    os_error_message,
    plain_number,
)
from calmasters.frame import FrameType, split_plane
from calmasters.headers.fits_cards import Card
from calmasters.images.master_file import read_image, write_master
from calmasters.images.open_frame import OpenedFrame
from calmasters.model.job import FrameFile, LeftOut, MasterJob, UsedMaster
from calmasters.model.master_record import (
    FrameStatistics,
    MasterRecord,
    MasterStatistics,
    header_cards,
)
from calmasters.model.master_warning import MasterWarning, WarningKind
from calmasters.progress import JOB_PROGRESS
from calmasters.settings import BadFrames, Calibration, Integration

__all__ = ["NativeEngine", "create_engine"]

#: Maximum number of files that a process has open besides the frames.
_OTHER_FILES: Final = 64

#: Parameters of mallopt(3) of glibc.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3

_NO_LEVEL: Final = (
    "cannot be normalized: all its calibrated samples are black or saturated; exclude this frame"
)

#: Share of pixels with hidden outliers above which the user is warned; it is lower with a noise of
#: one step or more. Of fewer frames, most samples are often equal by chance.
_HIDDEN_SHARE: Final = 0.25
_HIDDEN_FRAMES: Final = 6


def create_engine(
    config: Mapping[str, Any], threads: int, _evidence: Path | None = None
) -> NativeEngine:
    """Create the engine from a checked configuration; its log has all evidence."""
    return NativeEngine(threads, BadFrames.from_config(config))


class NativeEngine:
    """Makes masters without PixInsight.

    Parameters
    ----------
    threads : int
        Number of threads; the pixels do not depend on it.
    bad_frames : BadFrames, optional
        What to do with frames whose pixels cannot be used.
    exact : bool
        Compute pixel by pixel, without the fast kernels: slow, with the same pixels.
    """

    def __init__(
        self, threads: int, bad_frames: BadFrames | None = None, *, exact: bool = False
    ) -> None:
        if threads < 1:
            raise ValueError(f"threads must be at least 1, not {threads}")
        self._threads, self._exact = threads, exact
        self._bad_frames = bad_frames or BadFrames()

    def make(
        self, job: MasterJob, input_dir: Path, output_dir: Path, output: Path, log: Path
    ) -> MasterStatistics:
        """Make the master of ``job`` at ``output``, whole or not at all, and its JSON next to it.

        Raises
        ------
        ConfigError
            If the recipe has settings that the engine does not support.
        EngineError, FrameError
            If the frames or masters cannot be used, with the reason.
        """
        started, guard = time.perf_counter(), TakeoverGuard(job, output_dir)
        for path in (output, log):
            path.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w", encoding="utf-8") as file:
            write_log = _Log(file)
            write_log(f"{job.name}: {len(job.frames)} {job.type} frames, {job.geometry}")
            try:
                made = _MasterBuilder(
                    job,
                    input_dir,
                    output_dir,
                    self._threads,
                    self._bad_frames,
                    write_log,
                    exact=self._exact,
                ).run()
                guard.require()
                return _finish(job, made, output, started, write_log)
            except CalmastersError as error:
                write_log(f"failed: {error}")
                raise


class _Log:
    """Writes lines with the time of day to a log."""

    def __init__(self, lines: TextIO) -> None:
        self._lines = lines

    def __call__(self, line: str) -> None:
        self._lines.write(f"{datetime.now():%H:%M:%S} {line}\n")
        self._lines.flush()


@dataclass(frozen=True, slots=True)
class _BuiltMaster:
    """A master before it is written: its pixels, their statistics and warnings."""

    image: Float32
    integrated: Integrated
    levels: Sequence[FrameLevel]
    warnings: Sequence[MasterWarning]
    left_out: Sequence[LeftOut]
    differences: Mapping[str, str]


class _MasterBuilder:
    """Builds one master, from files to pixels."""

    def __init__(
        self,
        job: MasterJob,
        input_dir: Path,
        output_dir: Path,
        threads: int,
        bad_frames: BadFrames,
        write_log: _Log,
        *,
        exact: bool,
    ) -> None:
        require_supported(job, NEEDS)
        self._exact, self._bad_frames = exact, bad_frames
        self._job, self._threads, self._write_log = job, threads, write_log
        self._input_dir, self._output_dir = input_dir, output_dir
        self._calibration = job.recipe.calibration or Calibration()
        self._warnings: list[MasterWarning] = []
        self._left_out: list[LeftOut] = []
        self._differences: Mapping[str, str] = {}
        self._noise = 0.0
        self._scaling: DarkScaling | None = None

    def run(self) -> _BuiltMaster:
        layout = self._job.geometry.layout
        images = len({part.image for part in layout.parts}) if layout else 1
        _allow_open_files(len(self._job.frames) * images)
        _return_freed_images()
        with ExitStack() as opened:
            frames = self._open_sound(opened)
            calibrator = self._calibrator()
            frames = self._without_outliers(frames, calibrator)
            JOB_PROGRESS.begin(self._job.master, stages=1 + self._measures_frames(calibrator))
            frames, levels = self._with_levels(frames, calibrator)
            stack = RawStack(frames, calibrator, [level.k for level in levels])
            integrated = integrate(
                stack,
                self._settings,
                self._normalization(levels),
                self._threads,
                exact=self._exact,
            )
        self._warn_of_stack(stack, integrated)
        return _BuiltMaster(
            self._in_range(integrated),
            integrated,
            levels,
            self._warnings,
            self._left_out,
            self._differences,
        )

    @property
    def _files(self) -> Sequence[FrameFile]:
        return self._job.frames_without(self._left_out)

    @property
    def _settings(self) -> Integration:
        return self._job.recipe.integration

    def _warn_all(self, warnings: Iterable[MasterWarning]) -> None:
        for warning in warnings:
            self._warnings.append(warning)
            self._write_log(f"warning: {warning}")

    def _warn(self, kind: WarningKind, text: str) -> None:
        self._warn_all([MasterWarning(kind, text)])

    def _fail(self, reason: str) -> NoReturn:
        raise EngineError(f"{self._job.name}: {reason}")

    # Input

    def _require_enough_frames(self) -> None:
        bad = [frame for frame in self._left_out if not frame.outlier]
        require_enough(self._job, bad, self._bad_frames)
        self._require_fewest_frames()

    def _require_fewest_frames(self) -> None:
        fewest = NEEDS.fewest_frames(self._settings)
        if len(self._files) < fewest:
            self._fail(
                f"there are {len(self._files)} frames; rejection {self._settings.rejection} needs "
                f"at least {fewest}: take more frames, or choose another rejection"
            )

    def _open_sound(self, opened: ExitStack) -> Sequence[OpenedFrame]:
        """Open the usable frames, and leave the others out."""
        frames = []
        for file in self._job.frames:
            try:
                frames.append(self._open(file, opened))
            except FrameError as error:
                self._leave_out(left_out_for(file, self._input_dir / file.path, error))
        self._require_enough_frames()
        return frames

    def _leave_out(self, frame: LeftOut) -> None:
        self._left_out.append(frame)
        self._write_log(f"left out: {frame.path}: {frame.reason}")

    def _open(self, file: FrameFile, opened: ExitStack) -> OpenedFrame:
        path = self._input_dir / file.path
        try:
            size = (self._input_dir / split_plane(file.path)[0]).stat().st_size
        except OSError as error:
            raise EngineError(
                f"{self._job.name}: {path} cannot be read: {os_error_message(error)}"
            ) from error
        if size != file.size:
            self._fail(
                f"{path} has {size} bytes, but had {file.size} when the job was planned: run again"
                " to plan it again"
            )
        frame = open_frame_of(self._job, path)
        opened.enter_context(frame)
        self._require_size(path, frame.width, frame.height)
        frame.require_valid_samples()
        return frame

    def _require_size(self, path: Path, width: int, height: int) -> None:
        expected = self._job.geometry
        if (width, height) != (expected.width, expected.height):
            self._fail(
                f"{path} has {width}x{height} pixels, expected {expected.width}x{expected.height};"
                " all files of a master must have the same size: exclude this one"
            )

    def _master(self, used: UsedMaster | None) -> Float32 | None:
        if used is None:
            return None
        path = used.located(self._output_dir)
        try:
            image, not_finite = read_image(path)
        except FrameError as error:
            raise EngineError(
                f"{self._job.name}: a master for its calibration cannot be read: {error}"
            ) from error
        self._require_size(path, image.shape[1], image.shape[0])
        if not_finite:
            self._warn(
                WarningKind.SAMPLES,
                f"{path}: {not_finite} samples were not finite and were replaced by 0",
            )
        return np.ascontiguousarray(image)

    # Measurements before the integration

    def _without_outliers(
        self, frames: Sequence[OpenedFrame], calibrator: Calibrator | None
    ) -> Sequence[OpenedFrame]:
        """Compare the frames, and leave those out that differ, if the recipe asks for it."""
        measures = measure_frames(frames, self._threads)
        self._noise = float(np.median([each.noise for each in measures]))
        base = measure_reference(self._job, self._input_dir, self._output_dir)
        if calibrator:
            subtracted = calibrator.dark if calibrator.bias is None else calibrator.bias
            if subtracted is not None:
                base = measure_subtracted(self._job, subtracted, self._input_dir, self._output_dir)
        files = self._files
        checked = judge_frames(self._job, files, measures, base, self._bad_frames, self._input_dir)
        self._warn_all(checked.warnings)
        self._differences = checked.differences
        for outlier in checked.left_out:
            self._leave_out(outlier)
        self._require_fewest_frames()
        left = {*self._files}
        return [frame for file, frame in zip(files, frames, strict=True) if file in left]

    def _calibrator(self) -> Calibrator | None:
        bias, dark = self._master(self._job.bias), self._master(self._job.dark)
        if bias is None and dark is None:
            # As in PixInsight: nothing is subtracted, so nothing can become negative.
            return None
        thermal = dark
        if dark is not None and bias is not None:
            thermal = np.subtract(dark, bias, out=dark)
            self._warn_all(weak_master_dark(thermal, bias))
        optimizer = None
        if self._job.optimize_dark and thermal is not None and bias is not None:
            self._scaling = DarkScaling.measured(self._job, thermal, bias)
            optimizer = self._optimizer(thermal, self._scaling.unsearched)
            self._scaling = replace(self._scaling, is_searched=optimizer.usable)
        return Calibrator(bias, thermal, self._calibration.outputPedestal, optimizer)

    def _optimizer(self, thermal: Float32, unsearched: float) -> DarkOptimizer:
        optimizer = DarkOptimizer(
            thermal,
            sigmas=self._calibration.darkOptimizationLow,
            window=self._calibration.darkOptimizationWindow,
            cfa=self._calibration.enableCFA and self._job.geometry.bayerpat is not None,
            unsearched=unsearched,
            exact=self._exact,
        )
        self._write_log(f"{optimizer.thermal_pixels} pixels of the dark are above its noise")
        return optimizer

    def _with_levels(
        self, frames: Sequence[OpenedFrame], calibrator: Calibrator | None
    ) -> tuple[Sequence[OpenedFrame], Sequence[FrameLevel]]:
        """Measure the frames, and leave out those that cannot be normalized."""
        if not self._measures_frames(calibrator):
            return frames, [FrameLevel()] * len(frames)
        measured = zip(frames, measure(frames, calibrator, self._threads), strict=True)
        kept = []
        for file, (frame, level) in zip(self._files, measured, strict=True):
            k = "" if level.k is None else f", k {level.k:.5f}"
            self._write_log(f"{file.path}: level {level.location:.6f}{k}")
            if self._needs_locations and level.location == 0:
                self._leave_out(LeftOut(file.path, _NO_LEVEL))
            else:
                kept.append((frame, level))
        self._require_enough_frames()
        frames, levels = zip(*kept, strict=True)
        factors = [level.k for level in levels]
        self._warn_all(weak_factors(factors, self._scaling, self._noise))
        return frames, levels

    def _measures_frames(self, calibrator: Calibrator | None) -> bool:
        return self._needs_locations or bool(calibrator and calibrator.optimizer)

    @property
    def _needs_locations(self) -> bool:
        settings = self._job.recipe.integration
        return (
            settings.normalization != "NoNormalization"
            or settings.rejectionNormalization != "NoRejectionNormalization"
        )

    def _normalization(self, levels: Sequence[FrameLevel]) -> Normalization:
        if not self._needs_locations:
            return Normalization.none(len(levels))
        return Normalization.of(self._settings, [level.location or 0.0 for level in levels])

    # Output

    def _warn_of_stack(self, stack: RawStack, integrated: Integrated) -> None:
        if any(stack.not_finite):
            frames = sum(count > 0 for count in stack.not_finite)
            self._warn(
                WarningKind.SAMPLES,
                f"{sum(stack.not_finite)} samples of {frames} frames were not finite and were"
                " replaced by 0",
            )
        share = integrated.hidden / stack.size if stack.count >= _HIDDEN_FRAMES else 0.0
        if self._settings.rejection == "WinsorizedSigmaClip" and share > _HIDDEN_SHARE:
            self._warn(
                WarningKind.SAMPLES,
                f"in {share:.1%} of the pixels most samples are equal, since the noise is below one"
                " step: outliers are not rejected there, as in PixInsight",
            )

    def _in_range(self, integrated: Integrated) -> Float32:
        image = integrated.pixels.reshape(self._job.geometry.height, self._job.geometry.width)
        fixed = fix_range(image, self._settings.truncateOnOutOfRange)
        if fixed is not image:
            low, high = map(plain_number, (image.min(), image.max()))
            self._warn(
                WarningKind.SAMPLES,
                f"values from {low} to {high} were brought into 0 to 1",
            )
        if self._job.type is FrameType.FLAT:
            self._warn_all(zero_pixels(fixed))
        return fixed


def _return_freed_images() -> None:
    """Let glibc return the memory of each image that is freed, and not keep it for the next one.

    It does so for large arrays only until the first of them is freed, unless a limit is set
    (mallopt(3), M_MMAP_THRESHOLD). The heap is trimmed less often than it would be.
    """
    if sys.platform == "linux":
        with suppress(AttributeError):  # another C library
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(_M_MMAP_THRESHOLD, 1 << 24)
            mallopt(_M_TRIM_THRESHOLD, 1 << 23)


def _allow_open_files(images: int) -> None:
    """Raise this process's limit of open files, if there is one, for this number of images."""
    try:
        import resource
    except ImportError:  # Windows, where C's library takes 8192 and nothing can be raised
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = images + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))


def _finish(
    job: MasterJob, made: _BuiltMaster, output: Path, started: float, write_log: _Log
) -> MasterStatistics:
    subtracts_dark = {level.k for level in made.levels} != {0.0}
    write_master(output, made.image, header_cards(job, made.left_out, subtracts_dark))
    if made.integrated.maps is not None:
        _write_maps(made, output)
    statistics = _statistics(job, made, time.perf_counter() - started)
    MasterRecord.of(job, statistics).write(output)
    write_log(f"{output} written after {statistics.seconds:.2f} s")
    return statistics


def _write_maps(made: _BuiltMaster, output: Path) -> None:
    assert made.integrated.maps is not None
    for side, pixels in zip(("low", "high"), made.integrated.maps, strict=True):
        path = output.with_name(f"{output.stem}_rejection_{side}.xisf")
        comment = f"share of samples rejected as too {side}"
        cards = [Card("IMAGETYP", f"Rejection Map {side.capitalize()}", comment)]
        write_master(path, pixels.reshape(made.image.shape), cards)


def _statistics(job: MasterJob, made: _BuiltMaster, seconds: float) -> MasterStatistics:
    image, integrated = made.image, made.integrated
    frames = tuple(
        FrameStatistics(file.path, int(low), int(high), level.location, level.k)
        for file, low, high, level in zip(
            *(job.frames_without(made.left_out), integrated.low, integrated.high, made.levels),
            strict=True,
        )
    )
    return MasterStatistics(
        frames=frames,
        mean=float(image.mean(dtype=np.float64)),
        median=image_median(image),
        minimum=float(image.min()),
        maximum=float(image.max()),
        noise=noise(image, mosaic=job.geometry.bayerpat is not None),
        seconds=seconds,
        versions={"python": platform.python_version(), "numpy": np.__version__},
        warnings=tuple(made.warnings),
        left_out=tuple(made.left_out),
        differences=made.differences,
    )
