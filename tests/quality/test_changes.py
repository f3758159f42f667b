"""A master compared with the one before: noise is no change, dust that moved is one."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from frames_and_master import combined, exposed

from calmasters.frame import FrameType, Geometry
from calmasters.quality.changes import Sketch, compare
from calmasters.quality.sample import ADU, Float32
from calmasters.synthetic.camera import Camera

CCD = Camera(width=256, height=192, read_noise_adu=36, electrons_per_adu=0.46, hits=0)
CMOS = Camera(width=256, height=192, read_noise_adu=2, hits=3, hot_pixels=0.01)
FRAMES = 8


def sketch(image: Float32, kind: FrameType, camera: Camera) -> Sketch:
    exposure, flux = {FrameType.FLAT: (1.0, 28e3), FrameType.DARK: (60.0, 0.0)}.get(
        kind, (0.0, 0.0)
    )
    noise = float(np.median(camera.sigma_adu(exposure, flux)))
    geometry = Geometry(camera.width, camera.height, bayerpat=camera.bayerpat)
    unit = (image / np.float32(ADU)).astype(np.float32)
    return Sketch.of(unit, kind, geometry, "digest", FRAMES, noise)


def two_masters(kind: FrameType, camera: Camera) -> tuple[Float32, Float32]:
    """Masters of different frames of one camera."""
    frames = (exposed(camera, kind, FRAMES, first=first) for first in (0, 100))
    now, before = (combined(each, kind).master for each in frames)
    return now, before


HEALTHY = [
    (FrameType.BIAS, CCD),
    (FrameType.DARK, CMOS),
    (FrameType.FLAT, CCD),
    (FrameType.FLAT, replace(CMOS, bayerpat="RGGB")),
]


@pytest.mark.parametrize(("kind", "camera"), HEALTHY)
def test_noise_is_no_change(kind: FrameType, camera: Camera) -> None:
    shares = []
    for seed in range(10):
        own = replace(camera, seed=seed)
        now, before = two_masters(kind, own)
        sketches = [sketch(each, kind, own) for each in (now, before)]
        changes = compare(*sketches, kind, mosaic=own.bayerpat is not None)
        assert changes
        shares.append(changes.changed)
        assert changes.level_adu is None or abs(changes.level_adu) < 2
        assert changes.dust is None or changes.dust.share == 0
    assert max(shares) < 1e-3


def test_pixels_that_became_hot_are_counted() -> None:
    now, before = two_masters(FrameType.DARK, CMOS)
    hot = np.random.default_rng(1).random(now.shape) < 0.02
    changed = now + np.float32(100) * hot
    sketches = [sketch(each, FrameType.DARK, CMOS) for each in (changed, before)]
    changes = compare(*sketches, FrameType.DARK)
    assert changes
    assert changes.changed == pytest.approx(hot.mean(), rel=0.05)


def test_a_level_that_changed_is_a_number_of_its_own() -> None:
    now, before = two_masters(FrameType.BIAS, CCD)
    sketches = [sketch(each, FrameType.BIAS, CCD) for each in (now + np.float32(20), before)]
    changes = compare(*sketches, FrameType.BIAS)
    assert changes
    assert changes.level_adu == pytest.approx(20, abs=0.5)
    assert changes.changed < 1e-3


@pytest.mark.parametrize("bayerpat", [None, "RGGB"])
def test_dust_that_moved_is_found_where_it_was_and_where_it_is(bayerpat: str | None) -> None:
    camera = replace(CCD, bayerpat=bayerpat)
    now, before = two_masters(FrameType.FLAT, camera)
    y, x = np.mgrid[: camera.height, : camera.width]

    def shadow(row: int, column: int) -> Float32:
        within = np.hypot(y - row, x - column) < 14
        return np.where(within, np.float32(0.95), np.float32(1))

    # The lamp stands elsewhere, too: that is no dust.
    tilt = np.linspace(0.97, 1.03, camera.width, dtype=np.float32)
    flats = now * shadow(60, 70) * tilt, before * shadow(130, 180)
    sketches = [sketch(each, FrameType.FLAT, camera) for each in flats]
    changes = compare(*sketches, FrameType.FLAT, mosaic=bayerpat is not None)
    assert changes
    assert changes.dust
    area = 2 * math.pi * 14**2 / (camera.height * camera.width)
    assert changes.dust.share == pytest.approx(area, rel=0.4)
    assert changes.dust.depth == pytest.approx(0.05, abs=0.015)
    cell = camera.width // changes.picture.shape[1]
    assert changes.picture[60 // cell, 70 // cell] < -0.03
    assert changes.picture[130 // cell, 180 // cell] > 0.03


def test_light_that_changed_slowly_is_no_change() -> None:
    now, before = two_masters(FrameType.FLAT, CCD)
    slope = np.linspace(0.9, 1.1, CCD.width, dtype=np.float32)
    flats = [sketch(each, FrameType.FLAT, CCD) for each in (now * slope, before)]
    changes = compare(*flats, FrameType.FLAT)
    assert changes
    assert changes.changed < 1e-3
    assert changes.dust
    assert changes.dust.share == 0


def test_a_sketch_is_read_as_it_was_written(tmp_path: Path) -> None:
    now, _ = two_masters(FrameType.BIAS, CCD)
    written, path = sketch(now, FrameType.BIAS, CCD), tmp_path / "s.npz"
    with path.open("wb") as file:
        written.save(file)
    read = Sketch.load(path)
    assert read
    assert (read.digest, read.frames, read.noise_adu) == ("digest", FRAMES, written.noise_adu)
    np.testing.assert_array_equal(read.rows, written.rows)
    changes = compare(read, written, FrameType.BIAS)
    assert changes
    assert changes.changed == 0


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"text"])
def test_a_damaged_sketch_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "s.npz"
    path.write_bytes(content)
    assert Sketch.load(path) is None
    assert Sketch.load(tmp_path / "none.npz") is None


def test_masters_of_another_size_are_not_compared() -> None:
    now, _ = two_masters(FrameType.BIAS, CCD)
    whole, cut = (sketch(each, FrameType.BIAS, CCD) for each in (now, now))
    assert compare(whole, replace(cut, rows=cut.rows[:-1]), FrameType.BIAS) is None
    assert compare(whole, replace(cut, noise_adu=0.0), FrameType.BIAS) is None


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (5, 70)])
def test_small_masters_are_compared_too(shape: tuple[int, int]) -> None:
    image = np.full(shape, 0.4, np.float32)
    for kind in (FrameType.BIAS, FrameType.FLAT):
        made = Sketch.of(image, kind, Geometry(shape[1], shape[0]), "d", 3, 5.0)
        changes = compare(made, made, kind)
        assert changes
        assert changes.changed == 0
