"""Whatever the frames and settings are, a job makes the pixels of the reference."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from golden_masters import FLAT, LAYOUTS, Case, Made, made
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from calmasters.engines.job_frames import open_frame_of
from calmasters.engines.native import reference, reference_flats
from calmasters.engines.native.needs import COMBINATIONS, REJECTIONS
from calmasters.engines.output_range import fix_range
from calmasters.frame import FrameType
from calmasters.images.master_file import read_image
from calmasters.model.job import UsedMaster
from calmasters.settings import Calibration, Integration

#: The reference takes up to a millisecond per pixel: only some are compared.
_STEP = 11

_SIGMAS = st.sampled_from([1.5, 2.0, 3.0, 4.0])
_SETTINGS = st.builds(
    Integration,
    rejection=st.sampled_from(REJECTIONS),
    combination=st.sampled_from(COMBINATIONS),
    normalization=st.sampled_from(["NoNormalization", "Additive", "Multiplicative"]),
    rejectionNormalization=st.sampled_from(["NoRejectionNormalization", "EqualizeFluxes"]),
    sigmaLow=_SIGMAS,
    sigmaHigh=_SIGMAS,
    winsorizationCutoff=st.sampled_from([1.5, 5.0]),
    linearFitLow=_SIGMAS,
    linearFitHigh=_SIGMAS,
    minMaxLow=st.integers(0, 2),
    minMaxHigh=st.integers(0, 2),
    pcClipLow=st.sampled_from([0.01, 0.2]),
    pcClipHigh=st.sampled_from([0.01, 0.1]),
    esdAlpha=st.sampled_from([0.05, 0.3]),
    rangeClipLow=st.booleans(),
    rangeLow=st.sampled_from([0.0, 0.007]),
    rangeClipHigh=st.booleans(),
    rangeHigh=st.sampled_from([0.1, 0.98]),
)
_COMMON = {
    "frames": st.integers(5, 14) | st.just(40),
    "samples": st.sampled_from(["uint16", "float32"]),
    "layout": st.sampled_from([None, None, *LAYOUTS.values()]),
    "seed": st.integers(1, 1000),
}
_DARKS = st.builds(
    Case,
    type=st.sampled_from([FrameType.BIAS, FrameType.DARK]),
    integration=_SETTINGS,
    **_COMMON,
)
_FLATS = st.builds(
    Case,
    type=st.just(FrameType.FLAT),
    integration=st.just(FLAT) | _SETTINGS,
    uses=st.sampled_from([(), ("bias",), ("dark",), ("bias", "dark")]),
    optimize=st.booleans(),
    bayer=st.sampled_from([None, "RGGB"]),
    calibration=st.builds(Calibration, outputPedestal=st.sampled_from([0, 100])),
    **_COMMON,
)
CASES = _DARKS | _FLATS


def by_reference(master: Made) -> np.ndarray:
    """Compute some pixels of a master as the specification says."""
    job, settings = master.job, master.job.recipe.integration
    frames = []
    for file in job.frames:
        with open_frame_of(job, master.raw / file.path) as frame:
            samples = frame.read(0, frame.size).samples
        frames.append(samples.reshape(frame.height, frame.width))
    frames = [calibrated(master, frame) for frame in frames]
    levels = [reference_flats.location(frame) for frame in frames]

    def stack(method: str) -> np.ndarray:
        scaled = [
            reference.normalized(frame, levels[0], level, method)
            for frame, level in zip(frames, levels, strict=True)
        ]
        return np.array(scaled).reshape(len(frames), -1)[:, ::_STEP]

    values, raws = stack(settings.rejectionNormalization), stack(settings.normalization)
    pixels = [
        reference.integrate_pixel(value, raw, settings).value
        for value, raw in zip(values.T, raws.T, strict=True)
    ]
    return fix_range(np.array(pixels), True)


def calibrated(master: Made, frame: np.ndarray) -> np.ndarray:
    job, calibration = master.job, master.job.recipe.calibration
    if calibration is None or not (job.bias or job.dark):
        return frame

    def image(used: UsedMaster | None) -> np.ndarray | None:
        return used and read_image(master.output / used.path)[0]

    bias, dark = image(job.bias), image(job.dark)
    if dark is not None and bias is not None:
        dark = dark - bias
    k = 1.0
    if job.optimize_dark and dark is not None and bias is not None:
        is_mosaic = job.geometry.bayerpat is not None
        k = reference_flats.optimal_dark_scale(
            frame, dark, sigmas=calibration.darkOptimizationLow, cfa=is_mosaic
        )
    return reference_flats.calibrate(frame, bias, dark, k, calibration.outputPedestal)


def check(case: Case, threads: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        master = made(case, Path(folder), threads)
        expected = by_reference(master)
    np.testing.assert_array_equal(master.image.reshape(-1)[::_STEP], expected)


@examples(max_examples=12)
@given(case=CASES, threads=st.integers(1, 3))
def test_a_job_makes_the_pixels_of_the_reference(case: Case, threads: int) -> None:
    check(case, threads)


@pytest.mark.slow
@examples(max_examples=300)
@given(case=CASES, threads=st.integers(1, 3))
def test_many_jobs_make_the_pixels_of_the_reference(case: Case, threads: int) -> None:
    check(case, threads)
