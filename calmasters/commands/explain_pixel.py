"""Explain a pixel of a master: its samples, which of them were rejected, and the result.

``calmasters pixel MASTER X Y FRAMES``. The pixel is computed by the reference implementation, which
also checks the kernels independently.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calmasters.engines.job_frames import open_frame_of
from calmasters.engines.native.reference import (
    Estimate,
    Fate,
    Float32,
    Pixel,
    Round,
    averaged_estimate,
    integrate_pixel,
    normalized,
    sigma_rounds,
    standard_estimate,
    winsorized_estimate,
)
from calmasters.engines.native.reference_flats import calibrate
from calmasters.errors import ConfigError, EngineError
from calmasters.images.master_file import read_image
from calmasters.model.job import MasterJob, UsedMaster
from calmasters.model.layout import job_path_of, output_dir_of, record_path
from calmasters.model.master_record import MasterRecord
from calmasters.settings import Calibration, Integration

__all__ = ["Explanation", "FrameSample", "explain", "explanation_of", "lines"]


@dataclass(frozen=True, slots=True)
class FrameSample:
    """The sample of the pixel in one frame, through all steps; levels in [0, 1]."""

    path: str
    raw: float
    calibrated: float
    value: float
    output: float
    fate: Fate


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a pixel was computed.

    Attributes
    ----------
    samples : tuple of FrameSample
        In the order of the frames.
    rounds : tuple of Round
        Centre and sigma by round, for the methods that clip by sigma.
    result : float
        Before the range of the image is fixed.
    settings : Integration
    """

    samples: tuple[FrameSample, ...]
    rounds: tuple[Round, ...]
    result: float
    settings: Integration


def explain(
    job: MasterJob, record: MasterRecord, x: int, y: int, input_dir: Path, output_dir: Path
) -> Explanation:
    """Compute one pixel of a master again, with all intermediate results.

    Parameters
    ----------
    job : MasterJob
    record : MasterRecord
        Its record, with the levels of the frames and the factors of the dark.
    x, y : int
        Column and row, from 0, as in the file.

    Raises
    ------
    ConfigError
        If the pixel is outside of the image.
    EngineError
        If a frame or master that was used is missing.
    """
    if not (0 <= x < job.geometry.width and 0 <= y < job.geometry.height):
        raise ConfigError(
            f"pixel {x}, {y} is outside of the image ({job.geometry}); columns and rows start at 0"
        )
    job = record.with_used_frames(job)
    settings = job.recipe.integration
    raws = np.array([_sample(job, input_dir / file.path, x, y) for file in job.frames])
    calibrated = _calibrated(job, record, raws, x, y, output_dir)
    levels = [frame.location or 1.0 for frame in record.frames]
    values, outputs = (
        _normalized(calibrated, levels, method)
        for method in (settings.rejectionNormalization, settings.normalization)
    )
    pixel = integrate_pixel(values, outputs, settings)
    return Explanation(
        tuple(_samples(job, raws, calibrated, values, outputs, pixel)),
        tuple(_rounds(values, outputs, settings)),
        float(pixel.value),
        settings,
    )


def _sample(job: MasterJob, path: Path, x: int, y: int) -> np.float32:
    with open_frame_of(job, path) as frame:
        return np.float32(frame.read(y * job.geometry.width + x, 1).samples[0])


def _calibrated(
    job: MasterJob, record: MasterRecord, raws: Float32, x: int, y: int, output_dir: Path
) -> Float32:
    bias, dark = (_master_sample(used, x, y, output_dir) for used in (job.bias, job.dark))
    thermal = dark - bias if bias is not None and dark is not None else dark
    pedestal = (job.recipe.calibration or Calibration()).outputPedestal
    factors = [1.0 if frame.k is None else frame.k for frame in record.frames]
    return np.concatenate(
        [
            calibrate(raws[i : i + 1], bias, thermal, k, pedestal)
            if bias is not None or dark is not None or pedestal
            else raws[i : i + 1]
            for i, k in enumerate(factors)
        ]
    )


def _master_sample(used: UsedMaster | None, x: int, y: int, output_dir: Path) -> Float32 | None:
    if used is None:
        return None
    image, _ = read_image(used.located(output_dir))
    return image[y, x : x + 1]


def _normalized(samples: Float32, levels: Sequence[float], method: str) -> Float32:
    return np.concatenate(
        [normalized(samples[i : i + 1], levels[0], level, method) for i, level in enumerate(levels)]
    )


def _samples(
    job: MasterJob,
    raws: Float32,
    calibrated: Float32,
    values: Float32,
    outputs: Float32,
    pixel: Pixel,
) -> Iterator[FrameSample]:
    for i, (file, fate) in enumerate(zip(job.frames, pixel.fates, strict=True)):
        levels = float(raws[i]), float(calibrated[i]), float(values[i]), float(outputs[i])
        yield FrameSample(file.path, *levels, Fate(fate))


def _rounds(values: Float32, outputs: Float32, settings: Integration) -> Iterator[Round]:
    low = settings.rangeLow if settings.rangeClipLow else -np.inf
    high = settings.rangeHigh if settings.rangeClipHigh else np.inf
    inside = (outputs > np.float32(low)) & (outputs < np.float32(high))
    ordered = np.sort(values[inside])
    estimate = _estimate(ordered, settings)
    return sigma_rounds(ordered, settings, estimate) if estimate else iter(())


def _estimate(ordered: Float32, settings: Integration) -> Estimate | None:
    if settings.rejection == "WinsorizedSigmaClip":
        return winsorized_estimate(settings)
    if settings.rejection == "SigmaClip":
        return standard_estimate
    if settings.rejection == "AveragedSigmaClip" and len(ordered) and 1 + ordered[0] != 1:
        return averaged_estimate(ordered)
    return None


def lines(explanation: Explanation) -> Iterator[str]:
    """Yield the lines of an explanation for the user; levels in 16-bit ADU."""
    yield f"{'raw':>10} {'calibrated':>10} {'compared':>10} {'combined':>10}         frame"
    for sample in explanation.samples:
        levels = (sample.raw, sample.calibrated, sample.value, sample.output)
        adu = " ".join(f"{level * 65535:10.3f}" for level in levels)
        yield f"{adu}  {sample.fate.name.lower():5}  {sample.path}"
    before = len(explanation.samples)
    for number, clipped in enumerate(explanation.rounds, 1):
        left = clipped.last - clipped.first
        yield (
            f"round {number}: centre {clipped.centre * 65535:.3f},"
            f" sigma {clipped.sigma * 65535:.4f} ADU, {left} samples left of {before}"
        )
        before = left
    yield (
        f"{explanation.settings.rejection}, {explanation.settings.combination}:"
        f" {explanation.result * 65535:.4f} ADU = {explanation.result:.9f}"
    )


def explanation_of(file: Path, x: int, y: int, input_dir: Path) -> list[str]:
    """Explain a pixel of a master's file, in lines for the user.

    Parameters
    ----------
    file : Path
        In ``output_dir`` of the run that made it.
    x, y : int
        Column and row, from 0.
    input_dir : Path
        Folder that the paths of frames are relative to.

    Raises
    ------
    CalmastersError
        If the file is no master of the workflow, or out of date, or has no such pixel.
    """
    output_dir, master = output_dir_of(file)
    job = _read_job(output_dir, master)
    record = MasterRecord.read(output_dir / record_path(master))
    _require_same_job(master, job, record)
    return [*lines(explain(job, record, x, y, input_dir, output_dir))]


def _require_same_job(master: str, job: MasterJob, record: MasterRecord) -> None:
    if not record.made_of.serves(job.made_of):
        raise EngineError(
            f"{master} is out of date: its job has changed since it was made; "
            "run the workflow to rebuild it, then explain it"
        )


def _read_job(output_dir: Path, master: str) -> MasterJob:
    try:
        return MasterJob.read(output_dir / job_path_of(master))
    except OSError as error:
        raise EngineError(
            f"{master}: its job file cannot be read ({error}); run the workflow again to plan it"
        ) from error
