"""A session of camera raws makes the masters of the same mosaics as FITS, with any engine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from dng import at, write_dng
from real_workflow import Workflow

from calmasters.engines import Engine
from calmasters.engines.native.engine import NativeEngine
from calmasters.engines.siril.engine import SirilEngine
from calmasters.headers.image_header import read_cards
from calmasters.images.master_file import read_image
from calmasters.model.job import MasterJob
from calmasters.planning.planner import decide
from calmasters.settings import Settings, Siril

MakeSettings = Callable[..., Settings]
SHAPE = (64, 96)
FRAMES = 5
#: Folder, exposure and level of each kind of frames.
KINDS = {
    "Bias": (1 / 4000, 0.0),
    "Darks": (30.0, 40.0),
    "Flats": (0.5, 9000.0),
}
#: Sensitivity of red, green and blue pixels.
_COLOUR = np.tile([[0.6, 1.0], [1.0, 0.8]], (SHAPE[0] // 2, SHAPE[1] // 2))


def mosaics() -> Iterator[tuple[str, int, float, str, np.ndarray]]:
    """Give kind, number, exposure, time and mosaic of each frame of a session."""
    random = np.random.default_rng(8)
    hot = random.exponential(0.5, SHAPE) ** 4
    vignette = 1 - 0.3 * np.hypot(*np.mgrid[-1 : 1 : SHAPE[0] * 1j, -1 : 1 : SHAPE[1] * 1j]) ** 2
    moment = datetime(2026, 1, 15, 20)
    for kind, (exposure, level) in KINDS.items():
        for number in range(FRAMES):
            light = level * (_COLOUR * vignette if kind == "Flats" else hot)
            pixels = 2048 + random.poisson(light) + random.normal(0, 6, SHAPE)
            moment += timedelta(seconds=60)
            yield kind, number, exposure, moment.isoformat(), np.rint(pixels).astype(np.uint16)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders ``dng`` and ``fits`` with the same frames."""
    root = tmp_path_factory.mktemp("session")
    for kind, number, exposure, moment, mosaic in mosaics():
        path = root / "dng" / kind / f"IMG_{number:04}.dng"
        fraction = f"{round(exposure * 4000)}/4000"
        write_dng(path, mosaic, at(moment, ExposureTime=fraction), margins=(2, 4, 0, 6))
        cards = read_cards(path)
        named = {key: value for key, value in cards.items() if key not in ("BZERO", "BSCALE")}
        target = root / "fits" / kind / f"IMG_{number:04}.fits"
        target.parent.mkdir(parents=True, exist_ok=True)
        fits.PrimaryHDU(mosaic, fits.Header(named)).writeto(target)
    return root


def masters(
    settings: Settings, engine: Engine, change: Callable[[MasterJob], MasterJob] = lambda job: job
) -> dict[str, np.ndarray]:
    """Make all masters; give their pixels by name."""
    images = {}
    for job in map(change, decide(settings).jobs):
        output, log = settings.output_dir / job.master, settings.output_dir / f"{job.type}.log"
        made = engine.make(job, settings.input_dir, settings.output_dir, output, log)
        assert len(made.frames) == FRAMES
        images[job.name] = read_image(output)[0]
    return images


def for_both(
    session: Path, tmp_path: Path, make_settings: MakeSettings, make: Callable[..., Any]
) -> tuple[Any, Any]:
    return tuple(
        make(
            make_settings(input_dir=str(session / kind), output_dir=str(tmp_path / kind)),
        )
        for kind in ("dng", "fits")
    )


def test_a_session_of_raws_makes_the_masters_of_the_same_mosaics_as_fits(
    session: Path, tmp_path: Path, make_settings: MakeSettings
) -> None:
    raws, plain = for_both(
        session, tmp_path, make_settings, lambda each: masters(each, NativeEngine(1))
    )
    assert sorted(raws) == sorted(plain)
    assert len(raws) == 3
    for name, image in raws.items():
        assert np.array_equal(image, plain[name]), name
    flat = read_cards(next((tmp_path / "dng").glob("masters/flat/*.xisf")))
    assert (flat["INSTRUME"], flat["GAIN"], flat["BAYERPAT"]) == ("Canon EOS 6D", 800, "RGGB")


def for_siril(job: MasterJob) -> MasterJob:
    calibration = job.recipe.calibration and replace(job.recipe.calibration, optimizeDarks=False)
    recipe = replace(job.recipe, engine="siril", calibration=calibration)
    return replace(job, recipe=recipe, optimize_dark=False)


def test_siril_makes_the_same_masters_of_raws_and_of_fits(
    session: Path, tmp_path: Path, make_settings: MakeSettings
) -> None:
    if not shutil.which("siril-cli"):
        pytest.skip("there is no siril-cli")
    raws, plain = for_both(
        session,
        tmp_path,
        make_settings,
        lambda each: masters(each, SirilEngine(Siril(), 1), for_siril),
    )
    assert len(raws) == 3
    for name, image in raws.items():
        assert np.array_equal(image, plain[name]), name


@pytest.mark.slow
def test_the_workflow_makes_and_reports_masters_of_raws(session: Path, tmp_path: Path) -> None:
    workflow = Workflow(tmp_path)
    shutil.copytree(session / "dng", workflow.frames)
    run = workflow.run("masters")
    assert len(workflow.masters) == 3, run.output
    assert set(workflow.inventory["INSTRUME"]) == {"Canon EOS 6D"}
    assert workflow.run("masters").nothing_to_do
    workflow.run("report")
    [flat] = (workflow.output / "quality").glob("masterFlat*.json")
    assert json.loads(flat.read_text())["numbers"]["saturated_percent"] == 0
