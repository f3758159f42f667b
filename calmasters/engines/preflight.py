"""Checks before an engine starts and before its master is put in place.

Settings must be supported, frames unchanged and usable, and the job must still belong to its run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np

from calmasters.engines.clusters import flats_of_two_kinds
from calmasters.engines.dark_scaling import (
    FEWEST_THERMAL_PIXELS,
    DarkScaling,
    thermal_pixels,
)
from calmasters.engines.frame_measures import FrameMeasure, measure_frame, measure_image
from calmasters.engines.job_frames import open_frame_of
from calmasters.engines.needs import EngineNeeds
from calmasters.engines.outliers import find_outliers
from calmasters.engines.result_warnings import (
    bright_base,
    clipped_flats,
    constant_frames,
    dark_without_bias,
    lit_overscan,
    low_offset,
    mixed_mosaics,
    other_step,
    quiet_flats,
    random_flats,
    repeated_frames,
    saturated_below_white,
    structured_bias,
    weak_dark,
    weak_flats,
    weak_master_dark,
)
from calmasters.errors import ConfigError, EngineError, FrameError, RecordError
from calmasters.frame import FrameType, split_plane
from calmasters.headers.fits_cards import Cards
from calmasters.headers.image_header import read_cards
from calmasters.images.master_file import read_image
from calmasters.images.open_frame import open_frame
from calmasters.images.raw_frame import Image
from calmasters.model.job import FrameFile, LeftOut, MasterJob, UsedMaster
from calmasters.model.layout import LOCK
from calmasters.model.master_record import MasterRecord
from calmasters.model.master_warning import MasterWarning, WarningKind
from calmasters.settings import BadFrames, Calibration

__all__ = [
    "CheckedFrames",
    "TakeoverGuard",
    "check_frames",
    "judge_frames",
    "left_out_for",
    "measure_reference",
    "require_enough",
    "require_frames",
    "require_supported",
]

#: Why most flats, or most bias frames or darks, may differ from each other.
_FLATS_CHANGE: Final = (
    "the light changed (the gradient or stars of twilight, a flickering panel, or clouds)"
)
_DARKS_CHANGE: Final = "light leaked in, the temperature changed, or there are several cameras"


def require_supported(job: MasterJob, needs: EngineNeeds) -> None:
    """Refuse a job with settings that the engine does not support.

    Raises
    ------
    ConfigError
        Names each of the settings, and the supported values.
    """
    if sentences := [*needs.unsupported(job)]:
        raise ConfigError("\n  ".join([f"{job.master}: {sentences[0]}", *sentences[1:]]))


def require_frames(job: MasterJob, input_dir: Path) -> None:
    """Refuse a job whose frames were changed after it was planned.

    Raises
    ------
    EngineError
        Names the first frame that is missing or has another size.
    """
    for frame in job.frames:
        path = input_dir / split_plane(frame.path)[0]
        size = path.stat().st_size if path.is_file() else None
        if size != frame.size:
            now = "is missing" if size is None else f"has {size}"
            raise EngineError(
                f"{job.master}: {path} had {frame.size} bytes when the job was planned, and now "
                f"{now}: run again to plan it again"
            )


@dataclass(frozen=True, slots=True)
class CheckedFrames:
    """What was found in the frames of a job before they are combined.

    Attributes
    ----------
    left_out : list of LeftOut
        Bad frames, and outliers that are to be left out.
    warnings : list of MasterWarning
    differences : mapping of str to str
        How frames that are used differ from the others, by path.
    scaling : DarkScaling or None
        What the factors of the dark are judged by, where it is scaled.
    subtracts_dark : bool
        False if the dark cannot be scaled, and is more wrong unscaled than not at all.
    noise : float
        Of a pixel of a flat, in [0, 1]; 0 if the dark is not scaled.
    """

    left_out: list[LeftOut]
    warnings: list[MasterWarning]
    differences: Mapping[str, str] = field(default_factory=dict)
    scaling: DarkScaling | None = None
    subtracts_dark: bool = True
    noise: float = 0.0


def check_frames(
    job: MasterJob, input_dir: Path, output_dir: Path, rules: BadFrames
) -> CheckedFrames:
    """Read the frames of a job and find bad ones and outliers, for engines that do not.

    Raises
    ------
    EngineError
        As :func:`require_enough` and :func:`judge_frames`.
    """
    bad, measures = [], []
    for file in job.frames:
        path = input_dir / file.path
        try:
            with open_frame_of(job, path) as frame:
                frame.require_valid_samples()
                measures.append(measure_frame(frame))
        except FrameError as error:
            bad.append(left_out_for(file, path, error))
    require_enough(job, bad, rules)
    bias, dark = _master(job, job.bias, output_dir), _master(job, job.dark, output_dir)
    subtracted = dark if bias is None else bias
    base = measure_reference(job, input_dir, output_dir)
    if subtracted is not None:
        base = measure_subtracted(job, subtracted, input_dir, output_dir)
    checked = judge_frames(job, job.frames_without(bad), measures, base, rules, input_dir)
    checked = replace(checked, left_out=[*bad, *checked.left_out])
    if bias is None or dark is None:
        return checked
    thermal = dark - bias
    checked = replace(checked, warnings=[*checked.warnings, *weak_master_dark(thermal, bias)])
    if not job.optimize_dark:
        return checked
    is_searched = _can_be_scaled(job, thermal)
    scaling = replace(DarkScaling.measured(job, thermal, bias), is_searched=is_searched)
    noise = float(np.median([each.noise for each in measures]))
    subtracts_dark = is_searched or scaling.unsearched == 1
    return replace(checked, scaling=scaling, subtracts_dark=subtracts_dark, noise=noise)


def _can_be_scaled(job: MasterJob, thermal: Image) -> bool:
    calibration = job.recipe.calibration or Calibration()
    cfa = calibration.enableCFA and job.geometry.bayerpat is not None
    return (
        thermal_pixels(thermal, calibration.darkOptimizationLow, cfa=cfa) >= FEWEST_THERMAL_PIXELS
    )


def _master(job: MasterJob, used: UsedMaster | None, output_dir: Path) -> Image | None:
    """Read a bias or dark; None where the engine will refuse it."""
    if used is None:
        return None
    try:
        image, _ = read_image(used.located(output_dir))
    except (OSError, FrameError):
        return None
    return image if image.shape == (job.geometry.height, job.geometry.width) else None


def measure_reference(job: MasterJob, input_dir: Path, output_dir: Path) -> FrameMeasure | None:
    """Measure the bias that a dark is compared with; None without one that can be read."""
    if job.reference is None:
        return None
    try:
        path = job.reference.located(output_dir, input_dir)
        is_raw = job.reference.origin == "frame"
        layout = job.geometry.layout if is_raw else None
        with open_frame(path, layout=layout, pedestal_adu=job.added_adu) as frame:
            return measure_frame(frame)
    except (OSError, FrameError):
        return None


def measure_subtracted(
    job: MasterJob, master: Image, input_dir: Path, output_dir: Path
) -> FrameMeasure:
    """Measure what is subtracted from flats, and a raw frame that it was made of.

    Only that frame has an overscan and a step between values.
    """
    measure = measure_image(master)
    used = job.bias or job.dark
    if used is None:
        return measure
    try:
        record = MasterRecord.read(used.located(output_dir).with_suffix(".json"))
        with open_frame_of(job, input_dir / record.frames[0].path) as frame:
            raw = measure_frame(frame)
    except (OSError, FrameError, RecordError, IndexError):
        return measure  # it is of a library, or its frames are elsewhere now
    return replace(measure, overscan_adu=raw.overscan_adu, step_adu=raw.step_adu)


def judge_frames(
    job: MasterJob,
    files: Sequence[FrameFile],
    measures: Sequence[FrameMeasure],
    base: FrameMeasure | None,
    rules: BadFrames,
    input_dir: Path,
) -> CheckedFrames:
    """Compare the frames of a job with each other and with what they should be.

    Parameters
    ----------
    job : MasterJob
    files : sequence of FrameFile
        Frames that are not bad.
    measures : sequence of FrameMeasure
        Of these frames.
    base : FrameMeasure or None
        For flats, of the bias, or else the dark, that is subtracted from them; for darks, of a
        bias (:func:`measure_reference`).
    rules : BadFrames
    input_dir : Path

    Raises
    ------
    EngineError
        Names the frames that differ, if ``outlier_frames`` is ``fail``, or if they cannot be left
        out.
    """
    checked = _judge_outliers(job, files, measures, base, rules)
    outliers = {frame.path for frame in checked.left_out}
    used = [each for each in zip(files, measures, strict=True) if each[0].path not in outliers]
    paths, left = [file.path for file, _ in used], [measure for _, measure in used]
    warnings = [*checked.warnings, *_weak(job.type, paths, left, base)]
    if job.type is FrameType.FLAT and left:
        # Where the overscan is subtracted, darks are near 0.
        if base and not job.bias and left[0].overscan_adu is None:
            warnings += dark_without_bias(base.level)
        warnings += flats_of_two_kinds(paths, left, base, lambda path: _cards(input_dir, path))
    return replace(checked, warnings=warnings)


def _cards(input_dir: Path, path: str) -> Cards:
    """Read a header; none of one that is gone meanwhile."""
    try:
        return read_cards(input_dir / split_plane(path)[0])
    except FrameError:
        return {}


def _weak(
    kind: FrameType,
    paths: Sequence[str],
    measures: Sequence[FrameMeasure],
    base: FrameMeasure | None,
) -> Iterator[MasterWarning]:
    """Warn of frames that all agree, and are not what they should be."""
    if not measures:
        return
    yield from constant_frames(paths, measures)
    yield from repeated_frames(paths, measures)
    levels, base_level = [each.level for each in measures], base.level if base else 0.0
    if kind is FrameType.BIAS:
        yield from structured_bias(measures)
    if kind is not FrameType.FLAT:
        yield from low_offset(paths, measures)
    if kind is FrameType.FLAT:
        # Saturated flats also differ in shape and level.
        yield from clipped_flats(paths, measures)
        yield from saturated_below_white(paths, measures)
        yield from quiet_flats(paths, measures)
        yield from random_flats(paths, measures)
        yield from mixed_mosaics(paths, measures)
        yield from lit_overscan(measures, base)
        yield from other_step(measures, base)
        if base:
            yield from bright_base(base.level, measures[0].white)
        yield from weak_flats(paths, [level - base_level for level in levels], measures[0].white)
    elif base:
        yield from other_step(measures, base)
        yield from weak_dark(65535 * (float(np.median(levels)) - base_level), 65535 * base_level)


def _judge_outliers(
    job: MasterJob,
    files: Sequence[FrameFile],
    measures: Sequence[FrameMeasure],
    base: FrameMeasure | None,
    rules: BadFrames,
) -> CheckedFrames:
    found = find_outliers(job.type, job.geometry, measures, base)
    paths = [file.path for file in files]
    sentences = [found.sentence(paths)] if found.frames else []
    sentences += [found.drift] if found.drift else []
    advice, or_more = "exclude the frames that do not belong to the others", ", or take more"
    if found.is_scattered:
        why = _FLATS_CHANGE if job.type is FrameType.FLAT else _DARKS_CHANGE
        advice, or_more = f"probably {why}; take them again, or split the session", ""
    if sentences and rules.fail_on_outliers:
        raise EngineError(f"{job.name}: {'; '.join(sentences)}; outlier_frames is fail: {advice}")
    if found.frames and job.recipe.skip_outliers:
        left = found.count - len(found.frames)
        if not found.is_minority or left < rules.minimum_frames:
            problem = f"minimum_frames is {rules.minimum_frames}"
            if not found.is_minority:
                problem = "they are not the larger part of the group"
            raise EngineError(
                f"{job.name}: {sentences[0]}; without them {left} frames remain, and {problem}: "
                f"{advice}{or_more}"
            )
        outliers = [LeftOut(paths[each], how, outlier=True) for each, how in found.frames.items()]
        return CheckedFrames(outliers, _warnings(sentences[1:]))
    if found.frames:
        skip = ", or set outlier_frames: skip" if found.is_minority else ""
        sentences[0] += f": {advice}{skip}"
    differences = {paths[each]: how for each, how in found.frames.items()}
    return CheckedFrames([], _warnings(sentences), differences)


def _warnings(sentences: Sequence[str]) -> list[MasterWarning]:
    return [MasterWarning(WarningKind.OUTLIERS, sentence) for sentence in sentences]


def left_out_for(file: FrameFile, path: Path, error: FrameError) -> LeftOut:
    """Return a bad frame with the reason, which does not repeat its path."""
    return LeftOut(file.path, str(error).removeprefix(f"{path}: "))


def require_enough(job: MasterJob, left_out: Sequence[LeftOut], rules: BadFrames) -> None:
    """Refuse a job whose bad frames must not be left out, or that has too few good ones.

    Raises
    ------
    EngineError
        Names every bad frame with its reason.
    """
    if not left_out:
        return
    bad = "\n  ".join(_by_reason(left_out))
    if not rules.skip:
        raise EngineError(
            f"{job.name}: {len(left_out)} of {len(job.frames)} frames are damaged, and "
            f"on_bad_frame is fail; copy them again or exclude them:\n  {bad}"
        )
    left = len(job.frames) - len(left_out)
    if left < rules.minimum_frames:
        raise EngineError(
            f"{job.name}: {left} of {len(job.frames)} frames are good, and minimum_frames is "
            f"{rules.minimum_frames}; replace the others or take more:\n  {bad}"
        )


def _by_reason(left_out: Iterable[LeftOut]) -> Iterator[str]:
    """Write each reason once, with the first of its frames; the log has all of them."""
    paths: dict[str, list[str]] = defaultdict(list)
    for frame in left_out:
        paths[frame.reason].append(frame.path)
    for reason, (first, *others) in paths.items():
        yield f"{first}{f' and {len(others)} more' * bool(others)}: {reason}"


class TakeoverGuard:
    """Checks that the job file and the lock of the run do not change while a master is made.

    When a run is killed, its jobs can continue; another run can then take the lock and start the
    same master.

    Parameters
    ----------
    job : MasterJob
    output_dir : Path
    """

    def __init__(self, job: MasterJob, output_dir: Path) -> None:
        self._job = job
        self._files = (output_dir / job.file, output_dir / LOCK)
        self._before = [*map(_content, self._files)]

    def require(self) -> None:
        """Raise EngineError if the job file was written again, or another run has the lock."""
        if [*map(_content, self._files)] != self._before:
            raise EngineError(
                f"{self._job.master}: another run has taken over while it was made, so it was "
                "discarded; run again"
            )


def _content(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""
