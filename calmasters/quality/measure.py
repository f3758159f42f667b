"""Measure a master and its frames, and check the numbers: ``quality/<name>.json``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from calmasters.frame import FrameType
from calmasters.model.job import MasterJob
from calmasters.quality import pairs, surface
from calmasters.quality.camera import setting_label
from calmasters.quality.frame_findings import FrameFindings
from calmasters.quality.judgement import check_ranges, worst_level
from calmasters.quality.limits import limits_for
from calmasters.quality.measurement import BiasReference, Measurement
from calmasters.quality.quality_record import (
    FrameQuality,
    Histogram,
    NightQuality,
    QualityRecord,
)
from calmasters.quality.sample import ADU, Float32, FrameSample
from calmasters.settings import Settings

__all__ = ["measure"]


def measure(
    job: MasterJob, master: Path, record: Path, reference: BiasReference, settings: Settings
) -> QualityRecord:
    """Measure a master and its frames, and compare the numbers with their ranges.

    Parameters
    ----------
    job : MasterJob
    master, record : Path
        The file of the master, and its record (JSON).
    reference : BiasReference
    settings : Settings
        The directory of the frames, the rules for their headers, and the ranges.

    Raises
    ------
    FrameError
        If the master or a frame cannot be read.
    """
    measurement = Measurement(job, master, record, reference, settings)
    numbers = {name: float(value) for name, value in measurement.numbers() if value is not None}
    estimates = {**measurement.estimates, "residual_adu": measurement.residual}
    uncertainties = {
        name: estimate.uncertainty
        for name, estimate in estimates.items()
        if estimate.uncertainty is not None
    }
    ranges = limits_for(
        settings.quality.ranges[job.type.value], measurement.circumstances(uncertainties)
    )
    outside = [*check_ranges(numbers, ranges, uncertainties)]
    findings = [*FrameFindings(measurement).findings(outside)]
    return QualityRecord(
        name=job.name,
        master=job.master,
        type=job.type.value,
        digest=job.digest,
        verdict=worst_level(findings),
        numbers=numbers,
        ranges={name: ranges[name] for name in numbers if name in ranges},
        findings=findings,
        frames=[*_frames(measurement)],
        nights=[*_nights(measurement)],
        histogram=_histogram(measurement.image),
        vignetting=measurement.rings(),
        uncertainties=uncertainties,
        unknown={name: estimate.reason for name, estimate in estimates.items() if estimate.reason},
        regions=measurement.regions,
        setting=setting_label(job),
    )


def _frames(measurement: Measurement) -> Iterator[FrameQuality]:
    """Return the measurements of each frame."""
    rejected = [round(100 * share, 5) for share in measurement.rejected]
    for place, (frame, level) in enumerate(
        zip(measurement.job.frames, measurement.levels, strict=True)
    ):
        description, _ = measurement.headers[place]
        yield FrameQuality(
            path=frame.path,
            night=str(description.traits.keywords.get("DATE", "")),
            level_adu=round(level, 3),
            rejected_percent=rejected[place] if rejected else None,
            ccd_temp_c=_rounded_c(description.ccd_temp_c),
            stands_out=measurement.standing_out.get(place, ""),
        )


def _nights(measurement: Measurement) -> Iterator[NightQuality]:
    """Return numbers by night, for the trend of a camera."""
    by_night: dict[str, list[int]] = {}
    for place, (description, _) in enumerate(measurement.headers):
        by_night.setdefault(str(description.traits.keywords.get("DATE", "")), []).append(place)
    for night, places in sorted(by_night.items()):
        if night:
            yield NightQuality(night, len(places), _numbers_of(measurement, places))


def _numbers_of(measurement: Measurement, places: Sequence[int]) -> dict[str, float]:
    """Measure the frames of one night alone."""
    sample = FrameSample(
        measurement.sample.frames[list(places)], measurement.sample.rows, measurement.sample.mosaic
    )
    numbers = {"level_adu": median(measurement.levels[place] for place in places)}
    if measurement.job.type is FrameType.FLAT or len(places) < 2:
        return numbers
    noise = pairs.read_noise(sample)
    if measurement.job.type is FrameType.BIAS:
        return numbers | {"read_noise_adu": noise}
    middle = np.median(sample.frames, axis=0)
    hot = surface.odd_pixels(middle, noise).hot
    numbers |= {"hot_percent": 100 * float(hot.mean())}
    if measurement.bias is not None and measurement.exposure_s:
        signal = float(np.median(middle - sample.of(measurement.bias)))
        numbers |= {"dark_current_adu_s": signal / measurement.exposure_s}
    return numbers


def _rounded_c(temperature: float | None) -> float | None:
    """Round a temperature to what sensors resolve."""
    return None if temperature is None else round(temperature, 2)


def _histogram(image: Float32) -> Histogram:
    """Count pixels in 128 steps from the 0.05th to the 99.95th percentile and a margin."""
    every = max(1, image.size // (1 << 20))
    low, high = np.percentile(image.ravel()[::every], (0.05, 99.95)) * ADU
    margin = max(0.5, 0.05 * (high - low))
    counts, edges = np.histogram(image * np.float32(ADU), 128, (low - margin, high + margin))
    return Histogram(edges.round(3).tolist(), counts.tolist())
