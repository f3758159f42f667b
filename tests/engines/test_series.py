"""A series makes the masters of the same frames in files of their own, to the bit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from calmasters.engines import Engine
from calmasters.engines.native.engine import NativeEngine
from calmasters.engines.siril.engine import SirilEngine
from calmasters.errors import EngineError, FrameError
from calmasters.images.master_file import read_image
from calmasters.images.raw_frame import RawFrame
from calmasters.model.job import MasterJob
from calmasters.model.master_record import MasterStatistics
from calmasters.planning.planner import decide
from calmasters.settings import Settings, Siril

MakeSettings = Callable[..., Settings]
SHAPE = (24, 32)
CARDS = {
    "IMAGETYP": "DARK",
    "INSTRUME": "iXon",
    "EXPOSURE": 20.0,
    "SET-TEMP": -70.0,
    "GAIN": 4,
    "OFFSET": 1,
    "READOUTM": "1 MHz",
    "DATE-OBS": "2026-01-15T20:00:00",
    "KCT": 21.0,
}
#: An overscan on the right side of each frame.
OVERSCAN = {"BIASSEC": "[29:32,1:24]", "TRIMSEC": "[1:28,1:24]"}


def cube(sample: str, planes: int = 12) -> np.ndarray:
    rows = np.linspace(0, 200, SHAPE[0])[:, None]
    values = np.random.default_rng(4).normal(600, 8, (planes, *SHAPE)) + rows
    values[3, 5, 7] = 9000
    return values.round().astype(sample)


def write(root: Path, sample: str = "u2", **cards: Any) -> np.ndarray:
    """Write a cube to ``cube``, and the same frames to ``split``."""
    frames = cube(sample)
    header = {**CARDS, **cards}
    for folder in ("cube", "split"):
        (root / folder).mkdir()
    fits.PrimaryHDU(frames, fits.Header(header)).writeto(root / "cube" / "series.fits")
    for number, frame in enumerate(frames):
        start = f"2026-01-15T20:{21 * number // 60:02}:{21 * number % 60:02}"
        one = fits.Header({**header, "DATE-OBS": start})
        fits.PrimaryHDU(frame, one).writeto(root / "split" / f"{number:02}.fits")
    return frames


def master(
    engine: Engine, settings: Settings, change: Callable[[MasterJob], MasterJob] = lambda job: job
) -> tuple[np.ndarray, MasterStatistics, MasterJob]:
    (job,) = map(change, decide(settings).jobs)
    output, log = settings.output_dir / job.master, settings.output_dir / "log"
    made = engine.make(job, settings.input_dir, settings.output_dir, output, log)
    return read_image(output)[0], made, job


@pytest.fixture
def both(tmp_path: Path, make_settings: MakeSettings) -> list[Settings]:
    return [
        make_settings(
            cubes="frames", input_dir=str(tmp_path / name), output_dir=str(tmp_path / f"of {name}")
        )
        for name in ("cube", "split")
    ]


@pytest.mark.parametrize(
    ("sample", "cards"),
    [
        ("u2", {}),
        ("i2", {}),
        ("f4", {}),
        ("i4", {}),
        ("u2", {"ROWORDER": "BOTTOM-UP"}),
        ("u2", OVERSCAN),
    ],
)
def test_masters_equal_those_of_single_frames(
    tmp_path: Path, both: list[Settings], sample: str, cards: dict[str, Any]
) -> None:
    write(tmp_path, sample, **cards)
    (ours, _, job), (single, _, _) = (master(NativeEngine(1), each) for each in both)
    assert np.array_equal(ours, single)
    assert len(job.frames) == 12
    assert (job.header["EXPTIME"], job.header["DATE-OBS"]) == (20.0, "2026-01-15T20:00:00")


def test_siril_makes_the_same_master_of_a_series_and_of_single_frames(
    tmp_path: Path, both: list[Settings]
) -> None:
    if not shutil.which("siril-cli"):
        pytest.skip("there is no siril-cli")
    write(tmp_path)

    def for_siril(job: MasterJob) -> MasterJob:
        return replace(job, recipe=replace(job.recipe, engine="siril"))

    (ours, _, _), (single, _, _) = (
        master(SirilEngine(Siril(), 1), each, for_siril) for each in both
    )
    assert np.array_equal(ours, single)


def test_only_the_bad_plane_is_left_out(tmp_path: Path, both: list[Settings]) -> None:
    frames = write(tmp_path)
    frames[4] = 0
    path = tmp_path / "cube" / "series.fits"
    fits.PrimaryHDU(frames, fits.Header(CARDS)).writeto(path, overwrite=True)
    _, made, _ = master(NativeEngine(1), both[0])
    (left,) = made.left_out
    assert left.path == "series.fits[05]"
    assert left.reason == "every pixel is 0: retake or exclude this frame"
    assert len(made.frames) == 11


def test_a_plane_is_read_by_its_path(tmp_path: Path, both: list[Settings]) -> None:
    frames = write(tmp_path)
    with RawFrame(tmp_path / "cube" / "series.fits[04]") as frame:
        samples = np.rint(frame.read(0, frame.size).samples * 65535)
    assert np.array_equal(samples.reshape(SHAPE), frames[3])
    with pytest.raises(FrameError, match=r"has no frame 13 that can be read"):
        RawFrame(tmp_path / "cube" / "series.fits[13]")


def test_a_series_that_changed_after_the_plan_is_reported(
    tmp_path: Path, both: list[Settings]
) -> None:
    write(tmp_path)
    (job,) = decide(both[0]).jobs
    path = tmp_path / "cube" / "series.fits"
    fits.PrimaryHDU(cube("u2", 40), fits.Header(CARDS)).writeto(path, overwrite=True)
    output = both[0].output_dir / job.master
    with pytest.raises(EngineError, match=r"series\.fits.* run again"):
        NativeEngine(1).make(job, both[0].input_dir, both[0].output_dir, output, tmp_path / "log")
