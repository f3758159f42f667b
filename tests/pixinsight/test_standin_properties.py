"""Whatever the settings are, the scripts make the pixels of the native engine in the stand-in."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from jobs_for_pixinsight import MODES, SMALL, Program, Site, assert_equals_native, make_job

from calmasters.engines.native.needs import COMBINATIONS, REJECTIONS
from calmasters.frame import FrameType
from calmasters.model.job import UsedMaster
from calmasters.settings import Calibration, Integration

_SIGMAS = st.sampled_from([1.5, 2.5, 4.0])
#: Within the ranges of the parameters of PixInsight.
SETTINGS = st.builds(
    Integration,
    rejection=st.sampled_from(REJECTIONS),
    combination=st.sampled_from(COMBINATIONS),
    normalization=st.sampled_from(["NoNormalization", "Additive", "Multiplicative"]),
    rejectionNormalization=st.sampled_from(["NoRejectionNormalization", "EqualizeFluxes"]),
    sigmaLow=_SIGMAS,
    sigmaHigh=_SIGMAS,
    winsorizationCutoff=st.sampled_from([3.0, 5.0]),
    linearFitLow=_SIGMAS,
    linearFitHigh=_SIGMAS,
    minMaxLow=st.integers(0, 1),
    minMaxHigh=st.integers(0, 1),
    rangeClipLow=st.booleans(),
    rangeLow=st.sampled_from([0.0, 0.0045]),
    rangeClipHigh=st.booleans(),
    rangeHigh=st.sampled_from([0.9, 0.98]),
)
CALIBRATIONS = st.builds(
    Calibration,
    optimizeDarks=st.booleans(),
    darkOptimizationLow=st.sampled_from([1.0, 3.0]),
    enableCFA=st.booleans(),
    outputPedestal=st.sampled_from([0, 100]),
)
KINDS = [FrameType.BIAS, FrameType.DARK, FrameType.FLAT]


def check(
    kind: FrameType,
    frames: int,
    settings: Integration,
    calibration: Calibration,
    uses: tuple[FrameType, ...],
    bayer: str | None,
    mode: str,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        program = Program(Path(folder, "PixInsight"))
        program.install()
        behaviour, program.js_engine = MODES[mode]
        program.behave(**behaviour)
        site = Site(Path(folder), program)
        geometry = replace(SMALL, bayerpat=bayer)
        masters = {}
        for used in uses if kind is FrameType.FLAT else ():
            master = make_job(site, used, geometry=geometry)
            path = site.output_dir / master.master
            path.parent.mkdir(parents=True, exist_ok=True)
            site.make_native(master).rename(path)
            masters[used.value] = UsedMaster(master.master, "run", "nearest")
        job = make_job(site, kind, frames, geometry=geometry, **masters)
        recipe = replace(job.recipe, integration=settings)
        if kind is FrameType.FLAT:
            recipe = replace(recipe, calibration=calibration)
        optimizes = job.optimize_dark and calibration.optimizeDarks
        job = replace(job, recipe=recipe, optimize_dark=optimizes)
        assert_equals_native(site, job, by_script=True)


JOBS = given(
    kind=st.sampled_from(KINDS),
    frames=st.integers(5, 9),
    settings=SETTINGS,
    calibration=CALIBRATIONS,
    uses=st.sampled_from([(), (KINDS[0],), (KINDS[1],), (KINDS[0], KINDS[1])]),
    bayer=st.sampled_from([None, "RGGB"]),
    mode=st.sampled_from([*MODES]),
)
test_a_script_makes_the_pixels_of_the_native_engine = examples(max_examples=8)(JOBS(check))
test_many_scripts_make_the_pixels_of_the_native_engine = pytest.mark.slow(
    examples(max_examples=150)(JOBS(check))
)
