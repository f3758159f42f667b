"""Masters, records and pictures of a report, with markup wherever headers can have it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from calmasters.frame import Frame, FrameType, Geometry, Value, Verdict
from calmasters.headers.fits_cards import Card
from calmasters.images.master_file import write_master
from calmasters.model.job import FrameFile, LeftOut, MasterJob, Recipe
from calmasters.model.master_record import FrameStatistics, MasterRecord, MasterStatistics
from calmasters.planning.planner import Decision
from calmasters.quality.estimate import Estimate
from calmasters.quality.quality_record import (
    Finding,
    FrameQuality,
    Histogram,
    Level,
    QualityRecord,
    RegionQuality,
)
from calmasters.quality.trend import Point
from calmasters.reporting.masters import Master
from calmasters.reporting.pictures import Pictures, write_pictures
from calmasters.settings import Integration

MARKUP = "<script>alert(1)</script><b>\"x\" & 'y' $\\alpha$"

KEYWORDS: Mapping[str, Value] = {
    "INSTRUME": MARKUP,
    "GAIN": 100,
    "FILTER": "<i>Ha</i>",
    "DATE": "2026-01-16",
}


def job_of(type_: FrameType, name: str = MARKUP, **fields: Any) -> MasterJob:
    job = MasterJob(
        name=re.sub(r"[^A-Za-z0-9]", "-", name),
        type=type_,
        keywords=KEYWORDS,
        geometry=Geometry(48, 32),
        frames=(FrameFile(f"{MARKUP}.fits", 1, 1),),
        header={},
        recipe=Recipe("native", 1, Integration(), None, "unit", "xisf"),
    )
    return replace(job, **fields)


def quality_of(job: MasterJob, **fields: Any) -> QualityRecord:
    record = QualityRecord(
        name=job.name,
        master=job.master,
        type=job.type.value,
        digest=job.digest,
        verdict=Level.ERROR,
        numbers={"level_adu": 612.34, "hot_percent": 2.0, "rejected_percent": 0.5},
        ranges={"hot_percent": [None, 1.0]},
        findings=[
            Finding(
                Level.ERROR,
                f"hot pixels of {MARKUP}",
                cause="the sensor ages",
                remedy="cool more",
                number="hot_percent",
            )
        ],
        frames=[
            FrameQuality(
                path=f"{MARKUP}.fits",
                night="2026-01-16",
                level_adu=612.0,
                rejected_percent=0.5,
                ccd_temp_c=-10.0,
                stands_out=f"it is {MARKUP}",
            )
        ],
        nights=[],
        histogram=Histogram([600.0, 610.0, 620.0], [3, 5]),
        vignetting=[1.0, 0.9, 0.8] if job.type is FrameType.FLAT else [],
    )
    return replace(record, **fields)


def image_of(shape: tuple[int, int] = (32, 48)) -> np.ndarray:
    return (np.random.default_rng(1).normal(600, 5, shape) / 65535).astype(np.float32)


def master_of(
    directory: Path,
    job: MasterJob,
    shape: tuple[int, int] = (32, 48),
    left_out: tuple[LeftOut, ...] = (),
) -> Master:
    quality = directory / "quality" / f"{job.name}.json"
    quality.parent.mkdir(parents=True, exist_ok=True)
    quality.write_text(quality_of(job).to_json(), encoding="utf-8")
    master = directory / job.master
    master.parent.mkdir(parents=True, exist_ok=True)
    write_master(master, image_of(shape), [Card("IMAGETYP", "x")])
    counts = tuple(FrameStatistics(frame.path, 0, 0) for frame in job.frames)
    statistics = MasterStatistics(
        *(counts, 0.5, 0.5, 0.0, 1.0, 1e-3, 1.0, {"python": "3.11"}), left_out=left_out
    )
    MasterRecord.of(job, statistics).write(master)
    write_pictures(image_of(shape), Pictures.of(directory, job.name))
    return Master.load(job, directory)


def decision_of(*frames: tuple[Frame, Verdict]) -> Decision:
    verdicts = {frame.path: verdict for frame, verdict in frames}
    return Decision("", (), (), (), tuple(frame for frame, _ in frames), verdicts, (MARKUP,), {})


def transfer_regions() -> list[RegionQuality]:
    """Two amplifiers: of the second the gain is unknown."""
    known = {
        "read_noise_adu": Estimate(8.012, 0.0123),
        "gain_e_adu": Estimate(0.80123, 0.0023),
        "white_adu": Estimate.unknown(f"no flat reaches white {MARKUP}"),
    }
    unknown = {**known, "gain_e_adu": Estimate.unknown("white is near")}
    points = [[1000.0, 1314.0, True], [10_000.0, 12_560.0, True], [60_000.0, 20_000.0, False]]
    return [RegionQuality("11", "", known, points), RegionQuality("12", "", unknown, [])]


def trend_points(*values: float) -> list[Point]:
    return [Point(f"2026-01-{day:02d}", value, "m") for day, value in enumerate(values, 1)]


# --- pictures -------------------------------------------------------------------------------------
