"""Series (``cubes: frames``): each plane of a file is a frame of the inventory."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from calmasters.frame import Frame, Status
from calmasters.inventory.header_cache import HeaderCache
from calmasters.inventory.scan import scan_frames
from calmasters.planning.planner import Decision, decide
from calmasters.settings import Settings

MakeSettings = Callable[..., Settings]
CARDS = {
    "IMAGETYP": "BIAS",
    "INSTRUME": "iXon",
    "EXPOSURE": 0.0,
    "SET-TEMP": -70.0,
    "GAIN": 4,
    "OFFSET": 1,
    "READOUTM": "1 MHz",
    "DATE-OBS": "2026-01-15T20:00:00",
    "KCT": 0.5,
}
PLANES = 10


def write(path: Path, planes: int = PLANES, seed: int = 1, **cards: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cube = np.random.default_rng(seed).normal(500, 5, (planes, 6, 8)).round().astype(np.uint16)
    header = fits.Header({**CARDS, **{key.replace("__", "-"): cards[key] for key in cards}})
    fits.PrimaryHDU(cube, header).writeto(path)
    return path


@pytest.fixture
def settings(make_settings: MakeSettings) -> Settings:
    return make_settings(cubes="frames")


@pytest.fixture
def series(tmp_path: Path) -> Path:
    return write(tmp_path / "frames" / "series.fits")


def used(decision: Decision) -> list[str]:
    verdicts = decision.verdicts.items()
    return sorted(path for path, verdict in verdicts if verdict.status is Status.USED)


def reasons(decision: Decision) -> dict[str, str]:
    verdicts = decision.verdicts.items()
    return {path: each.reason for path, each in verdicts if each.status is not Status.USED}


def names(count: int = PLANES, file: str = "series.fits") -> list[str]:
    return [f"{file}[{plane:0{len(str(count))}}]" for plane in range(1, count + 1)]


def test_a_series_is_refused_with_the_setting_that_splits_it(
    make_settings: MakeSettings, series: Path
) -> None:
    decision = decide(make_settings())
    assert reasons(decision) == {
        "series.fits": "is a series of 10 frames in one file (a cube); to use each plane as a "
        "frame, set cubes: frames"
    }
    assert decision.suggested == {"cubes": "frames"}


def test_each_plane_is_a_frame_with_its_own_time(settings: Settings, series: Path) -> None:
    decision = decide(settings)
    assert used(decision) == names()
    assert [*decision.inventory.index] == names()
    assert [frame.date_obs for frame in decision.frames][:3] == [
        "2026-01-15T20:00:00",
        "2026-01-15T20:00:00.500000",
        "2026-01-15T20:00:01",
    ]
    assert [frame.path for frame in decision.jobs[0].frames] == names()


def read(settings: Settings) -> list[Frame]:
    cache = HeaderCache(settings)
    frames = cache.read(scan_frames(settings), settings.input_dir, settings.exclude)
    cache.save()
    return frames


def test_frames_of_a_series_are_cached(settings: Settings, series: Path) -> None:
    write(series.with_name("other.fits"), planes=2, seed=2, GAIN=8)
    first = read(settings)
    status = series.stat()
    series.write_bytes(b"x" * status.st_size)
    os.utime(series, ns=(status.st_atime_ns, status.st_mtime_ns))
    again = read(settings)
    assert [frame._replace(traits=None) for frame in again] == [
        frame._replace(traits=None) for frame in first
    ]
    assert [frame.keywords for frame in again] == [frame.keywords for frame in first]


def test_a_series_that_grows_is_read_again(settings: Settings, series: Path) -> None:
    read(settings)
    series.unlink()
    write(series, planes=12)
    assert [frame.path for frame in read(settings)] == names(12)


def test_the_setting_makes_the_cache_invalid(make_settings: MakeSettings, series: Path) -> None:
    assert len(read(make_settings())) == 1
    assert len(read(make_settings(cubes="frames"))) == PLANES
    assert len(read(make_settings())) == 1


@pytest.mark.parametrize(
    ("pattern", "excluded"),
    [
        ("series.fits[03]", ["series.fits[03]"]),
        ("series.fits[3]", ["series.fits[03]"]),
        ("*.fits[1]", ["series.fits[01]"]),
        ("other.fits[1]", []),
        ("series.fits", ["series.fits"]),
        ("*", ["series.fits"]),
    ],
)
def test_planes_are_excluded_by_their_number(
    make_settings: MakeSettings, series: Path, pattern: str, excluded: list[str]
) -> None:
    frames = read(make_settings(cubes="frames", exclude=[pattern]))
    assert [frame.path for frame in frames if frame.excluded] == excluded
    assert {frame.excluded for frame in frames} - {None} == {
        f"exclude: {pattern}" for _ in excluded
    }


@pytest.mark.parametrize("exclude", [[], ["series.fits[1]"]])
def test_a_copy_of_a_series_counts_once(
    make_settings: MakeSettings, series: Path, exclude: list[str]
) -> None:
    shutil.copy2(series, series.with_name("zcopy.fits"))
    decision = decide(make_settings(cubes="frames", exclude=exclude))
    assert used(decision) == names()[len(exclude) :]
    copies = [f"is a copy of series.fits[{plane:02}]" for plane in range(1, PLANES + 1)]
    found = reasons(decision)
    assert [found[name] for name in names(file="zcopy.fits")] == copies


def test_series_with_equal_headers_and_other_pixels_are_not_copies(
    settings: Settings, series: Path
) -> None:
    write(series.with_name("other.fits"), seed=2)
    assert len(used(decide(settings))) == 2 * PLANES


def test_planes_of_one_series_with_equal_times_are_not_copies(
    settings: Settings, tmp_path: Path
) -> None:
    write(tmp_path / "frames" / "series.fits", KCT=0.0)
    assert used(decide(settings)) == names()


@pytest.mark.parametrize("cubes", ["refuse", "frames"])
def test_a_packed_series_must_be_unpacked(
    make_settings: MakeSettings, series: Path, cubes: str
) -> None:
    (series.with_name("a.fits.gz")).write_bytes(gzip.compress(series.read_bytes()))
    series.unlink()
    assert reasons(decide(make_settings(cubes=cubes))) == {
        "a.fits.gz": "is a series of 10 frames in a compressed file; unpack it"
    }


def test_a_truncated_series_is_one_refused_file(settings: Settings, series: Path) -> None:
    series.write_bytes(series.read_bytes()[: 2880 + 3 * 96])
    (reason,) = reasons(decide(settings)).values()
    assert reason.startswith("is truncated: ")


def test_colours_are_no_frames(settings: Settings, tmp_path: Path) -> None:
    write(tmp_path / "frames" / "colour.fits", planes=3)
    (reason,) = reasons(decide(settings)).values()
    assert reason.startswith("is a colour image of 3 planes")
    write(tmp_path / "frames" / "series.fits", planes=3, NUMKIN=3)
    assert used(decide(settings)) == names(3)


def test_lights_in_series_are_ignored(settings: Settings, tmp_path: Path) -> None:
    write(tmp_path / "frames" / "light.fits", IMAGETYP="LIGHT")
    assert set(reasons(decide(settings)).values()) == {"type light"}


def test_series_of_a_library_of_frames_with_content_digests_are_frames(
    make_settings: MakeSettings, series: Path
) -> None:
    decision = decide(make_settings(cubes="frames", fingerprint="content"))
    contents = {frame.content for frame in decision.jobs[0].frames}
    assert len(contents) == 1
    assert "" not in contents
