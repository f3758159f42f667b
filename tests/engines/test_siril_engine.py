"""Masters of the real Siril, compared with known values and with the native engine."""

from __future__ import annotations

import bz2
import gzip
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from calmasters.engines.native.engine import NativeEngine
from calmasters.engines.siril.engine import SirilEngine
from calmasters.errors import ConfigError, EngineError
from calmasters.frame import FrameType
from calmasters.headers.image_header import read_cards
from calmasters.images.master_file import read_image, write_master
from calmasters.model.job import FrameFile, MasterJob
from calmasters.model.master_record import MasterStatistics
from calmasters.settings import Calibration, Integration, Siril

SHAPE = (60, 80)
ADU = 65535.0
NO_REJECTION = Integration(rejection="NoRejection")
PLAIN_DARKS = Calibration(optimizeDarks=False)


@pytest.fixture
def siril() -> SirilEngine:
    if not shutil.which("siril-cli"):
        pytest.skip("there is no siril-cli")
    return SirilEngine(Siril(), threads=2)


def noisy(level: float = 600, sigma: float = 8, frames: int = 20, outliers: int = 0) -> np.ndarray:
    """Frames of one level, with ``outliers`` cosmic rays in total, each in another pixel."""
    random = np.random.default_rng(7)
    samples = random.normal(level, sigma, (frames, *SHAPE))
    places = random.choice(SHAPE[0] * SHAPE[1], outliers, replace=False)
    samples.reshape(frames, -1)[random.integers(frames, size=outliers), places] += 2000
    return np.round(samples).astype(np.uint16)


def make(engine: Any, site: Any, job: MasterJob) -> tuple[np.ndarray, MasterStatistics]:
    """Make a master; return its pixels in ADU and its statistics."""
    statistics = engine.make(job, site.input_dir, site.output_dir, site.output, site.log)
    return read_image(site.output)[0].astype(np.float64) * ADU, statistics


def flat_job(site: Any, frames: list[FrameFile], **changes: Any) -> MasterJob:
    job = site.job(frames, SHAPE, FrameType.FLAT, **changes)
    return replace(job, recipe=replace(job.recipe, calibration=PLAIN_DARKS))


# Pixels ----------------------------------------------------------------------------------


def test_without_rejection_a_master_is_the_mean(siril: SirilEngine, site: Any) -> None:
    frames = noisy(outliers=100)
    master, _ = make(siril, site, site.job(site.write(frames), SHAPE, settings=NO_REJECTION))
    assert np.abs(master - frames.mean(axis=0)).max() < 2e-4


@pytest.mark.parametrize(
    "settings",
    [
        NO_REJECTION,
        Integration(rejection="NoRejection", combination="Median"),
        Integration(rejection="SigmaClip"),
        Integration(rejection="PercentileClip"),
    ],
    ids=lambda settings: f"{settings.combination}-{settings.rejection}",
)
def test_with_the_same_algorithm_the_engines_agree_to_rounding(
    siril: SirilEngine, site: Any, settings: Integration
) -> None:
    job = site.job(site.write(noisy(outliers=200)), SHAPE, settings=settings)
    native, _ = make(NativeEngine(1), site, job)
    master, _ = make(siril, site, job)
    assert np.abs(master - native).max() < 2e-4


def test_winsorized_clipping_agrees_within_the_noise(siril: SirilEngine, site: Any) -> None:
    job = site.job(site.write(noisy(outliers=200)), SHAPE)
    native, _ = make(NativeEngine(1), site, job)
    master, _ = make(siril, site, job)
    noise = 8 / np.sqrt(20)
    assert np.std(master - native) < 0.25 * noise
    assert np.mean(np.abs(master - native) < 1e-3) > 0.9
    assert np.abs(master - 600).max() < 6 * noise  # no cosmic ray is left


def test_flats_are_calibrated_and_normalized(siril: SirilEngine, site: Any) -> None:
    random = np.random.default_rng(3)
    bias = 600 + random.normal(0, 3, SHAPE)
    light = 20000 * np.linspace(1, 0.7, SHAPE[1]) * np.linspace(1, 1.1, 8)[:, None, None]
    frames = np.round(random.poisson(light, (8, *SHAPE)) + bias).astype(np.uint16)
    job = flat_job(site, site.write(frames), bias=site.master(bias / ADU, "bias.fits"))
    native, _ = make(NativeEngine(1), site, job)
    master, _ = make(siril, site, job)
    assert abs(np.mean(master / native) - 1) < 1e-4
    assert np.std(master / native) < 0.25 * np.sqrt(1 / 20000 / 8)


def test_a_dark_is_subtracted_unscaled_and_no_hot_pixel_is_replaced(
    siril: SirilEngine, site: Any
) -> None:
    dark = np.full(SHAPE, 650.0)
    dark[::7, ::5] = 4000  # Siril's own -dark would replace these by their neighbours
    frames = np.full((4, *SHAPE), 20000, np.uint16)
    masters = {
        "bias": site.master(np.full(SHAPE, 600 / ADU), "bias.fits"),
        "dark": site.master(dark / ADU, "dark.fits"),
    }
    job = flat_job(site, site.write(frames), settings=NO_REJECTION, **masters)
    master, _ = make(siril, site, job)
    assert np.abs(master - (20000 - dark)).max() < 0.01


def test_negative_samples_are_truncated_as_by_the_other_engines(
    siril: SirilEngine, site: Any
) -> None:
    frames = np.full((4, *SHAPE), 20000, np.uint16)
    frames[:, 0] = 500
    bias = site.master(np.full(SHAPE, 600 / ADU), "bias.fits")
    job = flat_job(site, site.write(frames), settings=NO_REJECTION, bias=bias)
    master, statistics = make(siril, site, job)
    assert (master[0] == 0).all()
    assert any("were brought into 0 to 1" in warning.text for warning in statistics.warnings)


# Kinds of files --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    ["gz", "bz2", "extension", "signed", "32 bits", "unit", "adu16", "xisf", "bounds", "bottom-up"],
)
def test_frames_of_every_kind_make_the_same_master(
    siril: SirilEngine, site: Any, kind: str, write_bounded: Callable[..., None]
) -> None:
    frames = noisy(frames=4)
    expected = frames.mean(axis=0)
    job = site.job(write_as(kind, frames, site, write_bounded), SHAPE, settings=NO_REJECTION)
    master, _ = make(siril, site, job)
    assert np.abs(master - expected).max() < 2e-4


PACK = {"gz": gzip.compress, "bz2": bz2.compress}


def write_as(
    kind: str, frames: np.ndarray, site: Any, write_bounded: Callable[..., None]
) -> list[FrameFile]:
    """Write the first frame in another way than the others, which are plain."""
    files = site.write(frames)
    first: Path = site.input_dir / files[0].path
    first.unlink()
    if kind == "bounds":
        first = first.with_suffix(".xisf")
        write_bounded(first, frames[0], "0:65535", {})
    elif kind == "xisf":
        first = first.with_suffix(".xisf")
        write_master(first, (frames[0] / ADU).astype(np.float32), [])
    elif kind in PACK:
        fits.PrimaryHDU(frames[0]).writeto(first)
        packed = first.with_suffix(f".fits.{kind}")
        packed.write_bytes(PACK[kind](first.read_bytes()))
        first = packed
    elif kind == "extension":
        fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(frames[0])]).writeto(first)
    else:
        images = {
            "signed": frames[0].astype(np.int16),
            "32 bits": frames[0].astype(np.int32),
            "bottom-up": frames[0][::-1],
            "unit": (frames[0] / ADU).astype(np.float32),
            "adu16": frames[0].astype(np.float32),
        }
        header = fits.Header({"ROWORDER": "BOTTOM-UP"} if kind == "bottom-up" else {})
        fits.PrimaryHDU(images[kind], header).writeto(first)
    stat = first.stat()
    return [FrameFile(first.name, stat.st_size, stat.st_mtime_ns), *files[1:]]


def test_samples_that_are_not_finite_are_reported(siril: SirilEngine, site: Any) -> None:
    frames = (noisy(frames=3) / ADU).astype(np.float32)
    frames[0, 5, 5] = np.nan
    job = site.job(site.write(frames), SHAPE, settings=NO_REJECTION)
    _, statistics = make(siril, site, job)
    (warning,) = statistics.warnings
    assert warning.text == "1 samples were not finite and were replaced by 0"


# Remaining files and records ------------------------------------------------------------


def test_raw_frames_and_preferences_are_not_changed(
    siril: SirilEngine, site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preferences = tmp_path / "siril" / "siril.config"
    preferences.parent.mkdir()
    preferences.write_text("# mine\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    job = site.job(site.write(noisy(frames=3)), SHAPE)
    before = {path: (path.read_bytes(), path.stat()) for path in site.input_dir.iterdir()}
    make(siril, site, job)
    after = {path: (path.read_bytes(), path.stat()) for path in site.input_dir.iterdir()}
    assert {path: (data, stat.st_mtime_ns) for path, (data, stat) in after.items()} == {
        path: (data, stat.st_mtime_ns) for path, (data, stat) in before.items()
    }
    assert preferences.read_text() == "# mine\n"
    assert [path.name for path in preferences.parent.iterdir()] == ["siril.config"]


def test_only_the_json_is_left_next_to_the_master(siril: SirilEngine, site: Any) -> None:
    make(siril, site, site.job(site.write(noisy(frames=3)), SHAPE))
    assert sorted(path.name for path in site.output.parent.iterdir()) == ["M.json", "M.xisf"]


def test_files_of_a_killed_run_do_not_matter(siril: SirilEngine, site: Any) -> None:
    frames = noisy(frames=3)
    job = site.job(site.write(frames), SHAPE, settings=NO_REJECTION)
    left = site.output.with_name(".M.xisf.siril")
    left.mkdir(parents=True)
    fits.PrimaryHDU(np.full(SHAPE, 9, np.uint16)).writeto(left / "frame_00004.fit")
    master, _ = make(siril, site, job)
    assert np.abs(master - frames.mean(axis=0)).max() < 2e-4


def test_the_json_has_the_counts_that_siril_reports(siril: SirilEngine, site: Any) -> None:
    files = site.write(noisy(outliers=400))
    _, statistics = make(
        siril, site, site.job(files, SHAPE, settings=Integration(rejection="SigmaClip"))
    )
    record = json.loads(site.output.with_suffix(".json").read_text())
    assert {(frame["low"], frame["high"]) for frame in record["frames"]} == {(None, None)}
    assert record["rejected_high"] == statistics.rejected_high
    assert 395 <= record["rejected_high"] <= 450  # Siril rounds its share to 0.001 %
    assert record["versions"]["Siril"].startswith("1.")


def test_the_header_equals_that_of_the_other_engines(siril: SirilEngine, site: Any) -> None:
    job = site.job(site.write(noisy(frames=3)), SHAPE)
    headers = []
    for engine in (NativeEngine(1), siril):
        make(engine, site, job)
        headers.append(
            {key: value for key, value in read_cards(site.output).items() if key != "DATE"}
        )
    assert headers[0] == headers[1]


@pytest.mark.parametrize("folder", ["with blanks, and 'quotes'", "Müller", "long" * 50])
def test_folders_may_have_any_name(
    siril: SirilEngine, site: Any, tmp_path: Path, folder: str
) -> None:
    for name in ("input_dir", "output_dir"):
        place = tmp_path / folder / name
        place.mkdir(parents=True)
        setattr(site, name, place)
    site.output = site.output_dir / f"{'M' * 200}.xisf"
    frames = noisy(frames=3)
    master, _ = make(siril, site, site.job(site.write(frames), SHAPE, settings=NO_REJECTION))
    assert np.abs(master - frames.mean(axis=0)).max() < 2e-4


# Failures --------------------------------------------------------------------------------


def nothing_is_left(site: Any) -> bool:
    return not site.output.parent.exists() or not [*site.output.parent.iterdir()]


def test_a_failure_shows_the_log_of_siril(siril: SirilEngine, site: Any) -> None:
    files = [*site.write(noisy(frames=3)), *site.write(np.ones((1, 9, 9), np.uint16), "small")]
    with pytest.raises(EngineError, match=r"failed \(exit code 1\)") as caught:
        make(siril, site, site.job(files, SHAPE))
    assert "Script execution failed." in str(caught.value)
    assert str(site.log) in str(caught.value)
    assert "stack frame_ rej w 4 3" in site.log.read_text()
    assert nothing_is_left(site)


def test_a_damaged_frame_is_left_out_and_reported(siril: SirilEngine, site: Any) -> None:
    files = site.write(noisy(frames=5))
    (site.input_dir / files[1].path).write_bytes(b"x" * files[1].size)
    settings = Integration(rejection="NoRejection")
    job = site.job(files, SHAPE, settings=settings)
    image, made = make(siril, site, job)
    assert [frame.path for frame in made.left_out] == [files[1].path]
    assert read_cards(site.output)["NCOMBINE"] == 4
    good = site.job([files[0], *files[2:]], SHAPE, settings=settings)
    np.testing.assert_array_equal(image, make(siril, site, good)[0])


def test_damaged_frames_are_named_if_too_few_are_left(siril: SirilEngine, site: Any) -> None:
    files = site.write(noisy(frames=3))
    (site.input_dir / files[1].path).write_bytes(b"x" * files[1].size)
    with pytest.raises(EngineError, match=files[1].path):
        make(siril, site, site.job(files, SHAPE))
    assert nothing_is_left(site)


def test_an_unsupported_setting_is_refused_before_siril_starts(
    siril: SirilEngine, site: Any
) -> None:
    job = site.job([], SHAPE, settings=Integration(rejection="MinMax"))
    with pytest.raises(ConfigError, match=r"integration\.bias\.rejection"):
        make(siril, site, job)


def test_a_master_of_another_size_is_refused(siril: SirilEngine, site: Any) -> None:
    bias = site.master(np.zeros((9, 9)), "bias.fits")
    job = flat_job(site, site.write(noisy(frames=3)), bias=bias)
    with pytest.raises(EngineError, match=r"bias\.fits has .* \(9, 9\)"):
        make(siril, site, job)
    assert nothing_is_left(site)


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a script with #!")
@pytest.mark.parametrize(
    ("does", "why"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", r"failed \(exit code -11\)"),
        ("pass", "its master cannot be read"),
        ("open('master.fit', 'wb').write(b'no FITS')", "its master cannot be read"),
        (
            "import numpy as n, astropy.io.fits as f\n"
            "f.PrimaryHDU(n.ones((9, 9))).writeto('master.fit')",
            r"has \(height, width\) \(9, 9\)",
        ),
    ],
    ids=["crashes", "makes nothing", "makes no FITS", "makes another image"],
)
def test_a_failed_siril_causes_an_error_and_leaves_no_master(
    site: Any, tmp_path: Path, does: str, why: str
) -> None:
    engine = SirilEngine(Siril(stand_in(tmp_path, does)), threads=1)
    with pytest.raises(EngineError, match=why):
        make(engine, site, site.job(site.write(noisy(frames=3)), SHAPE))
    assert nothing_is_left(site)


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a script with #!")
def test_siril_is_ended_after_its_time_limit(site: Any, tmp_path: Path) -> None:
    binary = stand_in(tmp_path, "import time; time.sleep(60)")
    engine = SirilEngine(Siril(binary, timeout_minutes=0.01), threads=1)
    started = time.monotonic()
    with pytest.raises(EngineError, match=r"did not end within siril\.timeout_minutes: 0\.01"):
        make(engine, site, site.job(site.write(noisy(frames=3)), SHAPE))
    assert time.monotonic() - started < 30
    assert nothing_is_left(site)


def stand_in(folder: Path, does: str) -> Path:
    """Write a program that prints a version of Siril and then runs the code ``does``."""
    program = folder / "siril-cli"
    version = "if '--version' in sys.argv: sys.exit(print('siril 1.0.6'))"
    program.write_text(f"#!{sys.executable}\nimport sys\n{version}\n{does}\n")
    program.chmod(0o755)
    return program


# Finding the program ---------------------------------------------------------------------


def test_a_configured_binary_that_does_not_exist_is_an_error(site: Any, tmp_path: Path) -> None:
    engine = SirilEngine(Siril(binary=tmp_path / "no"), threads=1)
    with pytest.raises(ConfigError, match=r"siril\.binary: there is no file"):
        make(engine, site, site.job(site.write(noisy(frames=3)), SHAPE))


def test_without_siril_the_message_names_the_setting(
    site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    siril = SirilEngine(Siril(), threads=1)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"siril-cli was not found; set siril\.binary"):
        make(siril, site, site.job(site.write(noisy(frames=3)), SHAPE))


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a script with #!")
def test_a_program_that_is_not_siril_is_refused(site: Any, tmp_path: Path) -> None:
    program = stand_in(tmp_path, "")
    program.write_text(program.read_text().replace("siril 1.0.6", "gimp 3"))
    engine = SirilEngine(Siril(binary=program), threads=1)
    with pytest.raises(EngineError, match=r"does not print a version of Siril \('gimp 3'\)"):
        make(engine, site, site.job(site.write(noisy(frames=3)), SHAPE))
