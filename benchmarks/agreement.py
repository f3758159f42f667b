"""Compare the masters of Siril with those of the native engine: the same job, pixel by pixel.

    python benchmarks/agreement.py
    python benchmarks/agreement.py --counts 10 30 --size 600x400

Frames are synthetic: noise of 8 ADU (flats: of their light) and a cosmic ray in one of 500
samples. Differences are given in units of the master's own noise, which is that of one frame
divided by the root of their number.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from one_master import frame_file

from calmasters.engines.native.engine import NativeEngine
from calmasters.engines.siril.engine import SirilEngine
from calmasters.frame import FrameType, Geometry
from calmasters.headers.fits_cards import Card
from calmasters.images.master_file import read_image, write_master
from calmasters.model.job import MasterJob, Recipe, UsedMaster
from calmasters.model.master_record import MasterStatistics
from calmasters.settings import Calibration, Integration, Siril
from calmasters.synthetic.camera import write_frame

ADU = 65535.0
RAYS = 0.002
READ_NOISE = 8.0
LIGHT = 20000.0

FLAT = Integration(normalization="Multiplicative", rejectionNormalization="EqualizeFluxes")
TYPES = (FrameType.BIAS, FrameType.FLAT)
CASES: tuple[tuple[FrameType, Integration], ...] = (
    *(
        (FrameType.BIAS, Integration(rejection=rejection))
        for rejection in (
            *("NoRejection", "SigmaClip", "PercentileClip", "WinsorizedSigmaClip"),
            *("LinearFit", "Rejection_ESD"),
        )
    ),
    (FrameType.BIAS, Integration(rejection="NoRejection", combination="Median")),
    (FrameType.FLAT, FLAT),
    (FrameType.FLAT, replace(FLAT, rejection="SigmaClip")),
)


class Row(NamedTuple):
    """Difference of two masters, in units of the noise; ``equal``: share within 0.01 noise."""

    rms: float
    largest: float
    equal: float
    rejected_native: int
    rejected_siril: int


def main() -> int:
    """Run ``python benchmarks/agreement.py``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=int, nargs="+", default=[10, 30])
    parser.add_argument("--size", default="600x400")
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    print("| master | frames | rms/noise | largest/noise | equal | rejected native | Siril |")
    print("|---|---|---|---|---|---|---|")
    for count in arguments.counts:
        for line in table(count, (height, width)):
            print(line, flush=True)
    return 0


def table(count: int, shape: tuple[int, int]) -> Iterator[str]:
    """Return the rows of the table for this number of frames."""
    with tempfile.TemporaryDirectory() as folder:
        sets = {type_: write_frames(Path(folder), type_, count, shape) for type_ in TYPES}
        bias = Path(folder) / "bias.xisf"
        write_master(bias, np.full(shape, 600 / ADU, np.float32), [Card("IMAGETYP", "x")])
        for type_, settings in CASES:
            row = compare(job_of(type_, settings, sets[type_], shape, bias), Path(folder))
            name = f"{type_.value}, {settings.combination}, {settings.rejection}"
            yield (
                f"| {name} | {count} | {row.rms:.2g} | {row.largest:.2g} | {row.equal:.1%} "
                f"| {row.rejected_native} | {row.rejected_siril} |"
            )


def write_frames(folder: Path, type_: FrameType, count: int, shape: tuple[int, int]) -> list[Path]:
    """Write synthetic frames: a level, noise, cosmic rays; each flat is brighter than the last."""
    random = np.random.default_rng(5)
    paths = []
    for number in range(count):
        light = LIGHT * (1 + 0.05 * number / count) if type_ is FrameType.FLAT else 0.0
        frame = 600 + random.poisson(light, shape) + random.normal(0, READ_NOISE, shape)
        hit = random.random(shape) < RAYS
        frame[hit] += random.exponential(3000, int(hit.sum()))
        paths.append(folder / f"{type_.value}{number:04}.fits")
        write_frame(paths[-1], np.clip(np.round(frame), 0, ADU).astype(np.uint16), {})
    return paths


def job_of(
    type_: FrameType, settings: Integration, frames: list[Path], shape: tuple[int, int], bias: Path
) -> MasterJob:
    """Return a job for these frames; flats are calibrated with the bias."""
    flat = type_ is FrameType.FLAT
    return MasterJob(
        name="M",
        type=type_,
        keywords={},
        geometry=Geometry(shape[1], shape[0]),
        frames=tuple(frame_file(path) for path in frames),
        header={},
        recipe=Recipe("native", 1, settings, Calibration() if flat else None, "unit", "xisf"),
        bias=UsedMaster(str(bias), "library", "for this comparison") if flat else None,
    )


def compare(job: MasterJob, folder: Path) -> Row:
    """Make the master of a job with both engines, and compare them."""
    output, images, statistics = folder / "out" / "M.xisf", [], []
    for engine in (NativeEngine(2), SirilEngine(Siril(), 2)):
        statistics.append(engine.make(job, Path(), folder, output, folder / "M.log"))
        images.append(read_image(output)[0].astype(np.float64) * ADU)
    level = LIGHT if job.type is FrameType.FLAT else 0.0
    noise = np.sqrt((level + READ_NOISE**2) / len(job.frames))
    difference = images[1] - images[0]
    return Row(
        rms=float(difference.std()) / noise,
        largest=float(np.abs(difference).max()) / noise,
        equal=float(np.mean(np.abs(difference) < 0.01 * noise)),
        rejected_native=rejected(statistics[0]),
        rejected_siril=rejected(statistics[1]),
    )


def rejected(statistics: MasterStatistics) -> int:
    """Return the number of rejected samples, counted by frame or in total."""
    by_frame = sum((frame.low or 0) + (frame.high or 0) for frame in statistics.frames)
    return by_frame + (statistics.rejected_low or 0) + (statistics.rejected_high or 0)


if __name__ == "__main__":
    sys.exit(main())
