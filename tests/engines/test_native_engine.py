"""The native engine, from files to files."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from xisf import XISF

from calmasters.engines.native import flats, integration, reference, reference_flats
from calmasters.engines.native.engine import NativeEngine
from calmasters.engines.native.needs import NEEDS
from calmasters.engines.output_range import fix_range
from calmasters.errors import CalmastersError, ConfigError, EngineError
from calmasters.frame import FrameType, Geometry
from calmasters.headers.image_header import read_cards
from calmasters.images.master_file import read_image
from calmasters.model.job import FrameFile, MasterJob, UsedMaster
from calmasters.model.master_record import MasterStatistics
from calmasters.settings import Calibration, Integration

SHAPE = (31, 43)
FLAT_SETTINGS = Integration(normalization="Multiplicative", rejectionNormalization="EqualizeFluxes")


def bias_frames(n: int = 7, shape: tuple[int, int] = SHAPE, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    frames = rng.normal(500, 8, (n, *shape))
    frames[rng.random(frames.shape) < 0.01] = 30000
    return np.round(frames).astype(np.uint16)


def unit(codes: np.ndarray) -> np.ndarray:
    return (codes / 65535).astype(np.float32)


def by_reference(frames: np.ndarray, settings: Integration) -> np.ndarray:
    stacks = frames.reshape(len(frames), -1).T
    pixels = [reference.integrate_pixel(stack, stack, settings).value for stack in stacks]
    return np.array(pixels).reshape(frames.shape[1:])


def make(site, job: MasterJob, threads: int = 1) -> MasterStatistics:
    return NativeEngine(threads).make(job, site.input_dir, site.output_dir, site.output, site.log)


def test_bias_is_combined_as_by_the_reference(site) -> None:
    codes = bias_frames()
    job = site.job(site.write(codes), SHAPE)
    made = make(site, job)
    image, _ = read_image(site.output)
    np.testing.assert_array_equal(image, by_reference(unit(codes), Integration()))
    assert made.mean == pytest.approx(image.mean(dtype=float))
    assert (made.minimum, made.maximum) == (image.min(), image.max())
    assert made.noise == pytest.approx(8 / 65535 / np.sqrt(7), rel=0.2)
    assert [frame.path for frame in made.frames] == [frame.path for frame in job.frames]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64])
def test_frames_of_every_sample_format_are_combined(site, dtype: type) -> None:
    frames = np.random.default_rng(2).integers(90, 110, (5, *SHAPE)).astype(dtype)
    if np.issubdtype(dtype, np.floating):
        frames /= 128
    job = site.job(site.write(frames), SHAPE)
    make(site, job)
    read = np.array([read_image(site.input_dir / frame.path)[0] for frame in job.frames])
    np.testing.assert_array_equal(read_image(site.output)[0], by_reference(read, Integration()))


def test_frames_of_all_kinds_are_combined_on_one_scale(site, write_bounded) -> None:
    codes = np.random.default_rng(3).integers(490, 530, (7, *SHAPE))
    header = {"ROWORDER": "BOTTOM-UP"}
    files = [
        site.write_one(codes[0].astype(np.uint16), "plain.fits", {}),
        site.write_one(codes[1].astype(np.int16), "signed.fits", {}),
        site.write_one(codes[2].astype(np.int32), "32.fits", {}),
        site.write_one(codes[3].astype(np.float32), "adu.fits", {}),
        site.write_one((codes[4] / 65535).astype(np.float32), "unit.fits", {}),
        site.write_one(codes[5].astype(np.uint16)[::-1], "rows.fits", header),
    ]
    write_bounded(bounded := site.input_dir / "bounds.xisf", codes[6], "0:65535", {})
    files[5] = files[5]._replace(read_as="bottom-up")
    files.append(FrameFile(bounded.name, bounded.stat().st_size, bounded.stat().st_mtime_ns))
    job = site.job(files, SHAPE)
    made = make(site, job)
    assert made.left_out == ()
    np.testing.assert_array_equal(
        read_image(site.output)[0], by_reference((codes / 65535).astype(np.float32), Integration())
    )
    assert read_cards(site.output)["ROWORDER"] == "TOP-DOWN"
    make(site, replace(job, frames=job.frames[:5]))
    assert "ROWORDER" not in read_cards(site.output)


def test_plain_codes_from_bottom_to_top_equal_those_from_top_to_bottom(site) -> None:
    frames = bias_frames(5)
    top = site.job(site.write(frames), SHAPE)
    make(site, top)
    expected = read_image(site.output)[0]
    up = site.write(np.ascontiguousarray(frames[:, ::-1]), "up", ROWORDER="BOTTOM-UP")
    make(site, replace(top, frames=(*top.frames[:2], *up[2:])))
    np.testing.assert_array_equal(read_image(site.output)[0], expected)


@pytest.mark.parametrize("float_range", ["unit", "adu16"])
@pytest.mark.parametrize("kind", ["unit", "adu"])
def test_the_range_of_a_master_is_its_own(site, float_range: str, kind: str) -> None:
    flats = np.random.default_rng(6).integers(20_000, 21_000, (5, *SHAPE))
    bias = np.full(SHAPE, 500.0)
    used = site.master(bias / 65535 if kind == "unit" else bias, "bias.fits")
    stored = flats.astype(np.float32) if float_range == "adu16" else flats.astype(np.uint16)
    job = site.job(site.write(stored), SHAPE, FrameType.FLAT, bias=used)
    job = replace(job, recipe=replace(job.recipe, float_range=float_range))
    make(site, job)
    level = np.median(read_image(site.output)[0]) * 65535
    assert level == pytest.approx(np.median(flats) - 500, rel=0.02)


def flat_job(site, *, bayer: str | None = None) -> tuple[MasterJob, dict[str, np.ndarray]]:
    rng = np.random.default_rng(4)
    shape = (60, 70)
    bias = rng.normal(500, 3, shape) / 65535
    thermal = np.where(rng.random(shape) < 0.03, rng.exponential(0.02, shape), 0)
    slope = np.linspace(0.9, 1.1, 70)
    levels = [0.40, 0.42, 0.38, 0.41, 0.39]
    codes = np.array(
        [
            np.round(65535 * (bias + level * slope + 0.5 * thermal) + rng.normal(0, 20, shape))
            for level in levels
        ]
    ).astype(np.uint16)
    masters = {"bias": bias.astype(np.float32), "dark": (bias + thermal).astype(np.float32)}
    job = site.job(
        site.write(codes, "flat"),
        shape,
        FrameType.FLAT,
        bias=site.master(masters["bias"], "bias.fits"),
        dark=site.master(masters["dark"], "dark.fits"),
        optimize_dark=True,
        geometry=Geometry(70, 60, bayerpat=bayer),
    )
    return job, {"codes": codes, **masters}


@pytest.mark.parametrize("bayer", [None, "RGGB"])
def test_flats_are_calibrated_normalized_and_combined_as_by_the_reference(site, bayer) -> None:
    job, data = flat_job(site, bayer=bayer)
    made = make(site, job, threads=2)
    thermal = data["dark"] - data["bias"]
    calibrated, factors = [], []
    for target in unit(data["codes"]):
        k = reference_flats.optimal_dark_scale(target, thermal, sigmas=3, cfa=bayer is not None)
        factors.append(float(k))
        calibrated.append(reference_flats.calibrate(target, data["bias"], thermal, k))
    levels = [reference_flats.location(frame) for frame in calibrated]
    scaled = np.array(
        [
            reference.normalized(frame, levels[0], level, "Multiplicative")
            for frame, level in zip(calibrated, levels, strict=True)
        ]
    )
    expected = fix_range(by_reference(scaled, FLAT_SETTINGS), True)
    np.testing.assert_array_equal(read_image(site.output)[0], expected)
    assert [frame.k for frame in made.frames] == factors
    assert [frame.location for frame in made.frames] == levels
    assert factors[0] == pytest.approx(0.5, abs=0.05 if bayer is None else 0.2)


def test_flat_without_bias_subtracts_the_dark_unscaled(site) -> None:
    job, data = flat_job(site)
    job = replace(job, bias=None, optimize_dark=False)
    made = make(site, job)
    frame = reference_flats.calibrate(unit(data["codes"][0]), None, data["dark"])
    assert made.frames[0].location == reference_flats.location(frame)
    assert made.frames[0].k is None


def test_flat_without_dark_subtracts_the_bias(site) -> None:
    job, data = flat_job(site)
    made = make(site, replace(job, dark=None, optimize_dark=False))
    frame = reference_flats.calibrate(unit(data["codes"][0]), data["bias"], None)
    assert made.frames[0].location == reference_flats.location(frame)


def test_pedestal_is_added_to_calibrated_flats(site) -> None:
    job, data = flat_job(site)
    recipe = replace(job.recipe, calibration=Calibration(outputPedestal=100))
    made = make(site, replace(job, dark=None, optimize_dark=False, recipe=recipe))
    frame = reference_flats.calibrate(unit(data["codes"][0]), data["bias"], None, pedestal=100)
    assert made.frames[0].location == reference_flats.location(frame)


def test_fast_kernels_give_the_pixels_and_counts_of_the_exact_ones(site) -> None:
    job, _ = flat_job(site)
    made = []
    for exact in (False, True):
        engine = NativeEngine(2, exact=exact)
        done = engine.make(job, site.input_dir, site.output_dir, site.output, site.log)
        made.append((read_image(site.output)[0].tobytes(), done.frames))
    assert made[0] == made[1]


def test_more_frames_than_the_limit_of_open_files_are_combined(site) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    job = site.job(site.write(bias_frames(60, (8, 9))), (8, 9))
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, hard))
        assert len(make(site, job).frames) == 60
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("kind", ["flat", "bias"])
def test_bytes_depend_neither_on_threads_nor_on_strips(site, monkeypatch, kind: str) -> None:
    job = flat_job(site)[0]
    if kind == "bias":
        job = site.job(site.write(bias_frames(12, (67, 71))), (67, 71))
    images = []
    for threads, samples in ((1, 1 << 19), (2, 1 << 19), (2, 777), (3, 5 * 64)):
        monkeypatch.setattr(integration, "STRIP_SAMPLES", 3 * samples)
        monkeypatch.setattr(integration, "STRIP_PIXELS", 100)
        monkeypatch.setattr(flats, "_READ_SAMPLES", samples)
        make(site, job, threads)
        images.append(read_image(site.output)[0].tobytes())
    assert len(set(images)) == 1


def test_pixels_of_a_fixed_job_do_not_change(site) -> None:
    job, _ = flat_job(site, bayer="RGGB")
    make(site, job)
    digest = hashlib.sha256(read_image(site.output)[0].astype("<f4").tobytes()).hexdigest()[:16]
    assert (NEEDS.algorithm_version, digest) == (1, "5b6ee1c5eb2fae24"), (
        "pixels changed: raise algorithm_version and note it in CHANGELOG"
    )


def test_json_of_the_master_has_its_statistics(site) -> None:
    made = make(site, site.job(site.write(bias_frames()), SHAPE))
    written = json.loads(site.output.with_suffix(".json").read_text())
    assert written["frames"][0]["high"] == made.frames[0].high > 0
    assert written["mean"] == made.mean
    assert "bias frames" in site.log.read_text()


def test_master_has_its_cards_and_can_be_fits(site) -> None:
    frames = site.write(bias_frames())
    make(site, site.job(frames, SHAPE))
    keywords = XISF(str(site.output)).get_images_metadata()[0]["FITSKeywords"]
    assert keywords["IMAGETYP"][0]["value"] == "Master Bias"
    xisf, _ = read_image(site.output)
    site.output = site.output.with_suffix(".fits")
    make(site, site.job(frames, SHAPE))
    assert fits.getheader(site.output)["NCOMBINE"] == 7
    np.testing.assert_array_equal(fits.getdata(site.output), xisf)


def test_rejection_maps_are_written_next_to_the_master(site) -> None:
    codes = np.full((6, *SHAPE), 500, np.uint16) + np.arange(6, dtype=np.uint16)[:, None, None]
    codes[2, 3, 4] = 60000
    settings = Integration(generateRejectionMaps=True)
    make(site, site.job(site.write(codes), SHAPE, settings=settings))
    maps = {
        side: read_image(site.output.with_name(f"M_rejection_{side}.xisf"))[0]
        for side in ("low", "high")
    }
    assert maps["high"][3, 4] == np.float32(1 / 6)
    assert np.count_nonzero(maps["high"]) == 1
    assert not maps["low"].any()


def failure(site, job: MasterJob) -> CalmastersError:
    with pytest.raises(CalmastersError) as caught:
        make(site, job)
    assert not site.output.exists()
    assert not list(site.output.parent.glob("*"))
    return caught.value


@pytest.mark.skipif(sys.platform == "win32", reason="needs named pipes")
def test_a_master_is_not_put_in_place_when_another_run_has_taken_over(site) -> None:
    job = site.job(site.write(bias_frames(4)), SHAPE)
    # The log is a pipe: the engine waits for its reader, after it has read its job file.
    site.log.parent.mkdir()
    os.mkfifo(site.log)
    with ThreadPoolExecutor(1) as pool:
        failed = pool.submit(failure, site, job)
        while not site.output.parent.exists():
            time.sleep(0.01)
        file = site.output_dir / job.file
        file.parent.mkdir(parents=True)
        file.write_text("another job")
        log = site.log.read_text()
    assert "another run has taken over" in str(failed.result())
    assert "another run has taken over" in log


def test_frame_of_another_size_is_refused(site) -> None:
    frames = site.write(bias_frames(4)) + site.write(bias_frames(1, (20, 43)), "odd")
    error = failure(site, site.job(frames, SHAPE))
    assert isinstance(error, EngineError)
    assert "odd000.fits has 43x20 pixels, expected 43x31" in str(error)
    assert "failed:" in site.log.read_text()


def test_frame_changed_since_the_plan_is_refused(site) -> None:
    frames = site.write(bias_frames(4))
    frames[2] = frames[2]._replace(size=frames[2].size + 2880)
    error = failure(site, site.job(frames, SHAPE))
    assert isinstance(error, EngineError)
    assert "frame002.fits" in str(error)


def test_missing_frame_is_refused(site) -> None:
    frames = site.write(bias_frames(4))
    (site.input_dir / frames[1].path).unlink()
    assert "frame001.fits cannot be read" in str(failure(site, site.job(frames, SHAPE)))


def test_missing_bias_is_refused(site) -> None:
    job, _ = flat_job(site)
    error = failure(site, replace(job, bias=UsedMaster("missing.xisf", "run", "")))
    assert isinstance(error, EngineError)
    assert "missing.xisf" in str(error)


def test_bias_of_another_size_is_refused(site) -> None:
    job, _ = flat_job(site)
    bias = site.master(np.zeros((10, 10)), "small.fits")
    assert "small.fits has 10x10 pixels" in str(failure(site, replace(job, bias=bias)))


@pytest.mark.parametrize(
    "change",
    [
        {"rejection": "RCR"},
        {"combination": "Sum"},
        {"normalization": "AdditiveWithScaling"},
        {"rejectionNormalization": "RejectionScale"},
        {"weightMode": "PSFSignalWeight"},
        {"rejection": "Rejection_ESD", "clipLow": False},
    ],
    ids=str,
)
def test_unsupported_settings_are_refused_by_key(site, change) -> None:
    settings = replace(Integration(), **change)
    error = failure(site, site.job(site.write(bias_frames(4)), SHAPE, settings=settings))
    assert isinstance(error, ConfigError)
    name, value = [*change.items()][-1]
    refusal = f"integration.bias.{name}: {str(value).replace('False', 'false')} is not supported"
    assert f"{refusal} by engine native; choose" in str(error)


@pytest.mark.parametrize(("rejection", "n"), [("WinsorizedSigmaClip", 2), ("LinearFit", 4)])
def test_too_few_frames_are_refused(site, rejection: str, n: int) -> None:
    settings = Integration(rejection=rejection)
    error = failure(site, site.job(site.write(bias_frames(n)), SHAPE, settings=settings))
    assert f"there are {n} frames; rejection {rejection} needs at least {n + 1}" in str(error)


def warnings_of(made: MasterStatistics) -> str:
    return "\n".join(map(str, made.warnings))


def test_hidden_outliers_are_reported(site) -> None:
    codes = np.full((9, *SHAPE), 500, np.uint16)
    codes[3, ::2] = 501
    assert "most samples are equal" in warnings_of(make(site, site.job(site.write(codes), SHAPE)))


@pytest.mark.parametrize(("count", "noise"), [(12, 1.1), (3, 4.0)])
def test_samples_that_are_often_equal_by_chance_are_not_reported(
    site, count: int, noise: float
) -> None:
    levels = np.random.default_rng(1).normal(500, noise, (count, 64, 64))
    made = make(site, site.job(site.write(np.rint(levels).astype(np.uint16)), (64, 64)))
    assert "samples are equal" not in warnings_of(made)


def test_constant_frames_have_no_hidden_outliers(site) -> None:
    codes = np.full((9, *SHAPE), 500, np.uint16)
    (warning,) = make(site, site.job(site.write(codes), SHAPE)).warnings
    assert "all samples are equal in 9 of 9 frames" in warning.text


def test_samples_that_are_not_finite_are_reported(site) -> None:
    frames = unit(bias_frames())
    frames[1, 2, 3] = np.nan
    assert "1 samples of 1 frames" in warnings_of(make(site, site.job(site.write(frames), SHAPE)))


def with_dark(site, job: MasterJob, dark: np.ndarray, exposure_s: float) -> MasterJob:
    """Give flats of 1.5 s a dark."""
    used = site.master(dark, f"dark{exposure_s:g}.fits")
    return replace(job, dark=replace(used, exposure_s=exposure_s))


def test_a_dark_factor_that_contradicts_the_exposures_and_damages_the_flat_is_reported(
    site,
) -> None:
    job, data = flat_job(site)  # the factor is 0.5
    made = make(site, with_dark(site, job, data["dark"], 300.0))
    assert "for 5 of 5 frames, expected 0.005:" in warnings_of(made)
    assert warnings_of(made).endswith("take darks of 1.5 s")
    assert "optimizeDarks" not in warnings_of(made)


def test_a_dark_factor_that_fits_the_exposures_or_changes_nothing_is_not_reported(site) -> None:
    job, data = flat_job(site)
    assert not make(site, with_dark(site, job, data["dark"], 3.0)).warnings
    elsewhere = np.random.default_rng(2).permutation(data["dark"] - data["bias"])
    weak = data["bias"] + elsewhere / 1000
    made = make(site, with_dark(site, job, weak, 300.0))
    assert all(not 0.1 < frame.k < 3 for frame in made.frames)
    assert not made.warnings


@pytest.mark.parametrize(("signal", "is_reported"), [(0.001, False), (0.02, True)])
def test_a_dark_that_cannot_be_scaled_is_reported_where_it_damages_the_flat(
    site, signal: float, is_reported: bool
) -> None:
    job, data = flat_job(site)
    plain = data["bias"] + np.random.default_rng(6).normal(signal, 1e-5, (60, 70))
    recipe = replace(job.recipe, calibration=Calibration(darkOptimizationLow=8))
    made = make(site, replace(with_dark(site, job, plain, 300.0), recipe=recipe))
    assert [frame.k for frame in made.frames] == [0.0] * 5
    assert ("take darks of 1.5 s" in warnings_of(made)) == is_reported
    master, _ = read_image(site.output)
    make(site, replace(job, recipe=recipe, dark=None, optimize_dark=False))
    np.testing.assert_array_equal(master, read_image(site.output)[0])


def test_zero_pixels_of_a_master_flat_are_counted(site) -> None:
    job, data = flat_job(site)
    codes = data["codes"].copy()
    codes[:, 20:30, 20:25] = 480  # a dead patch, below the bias
    made = make(site, replace(job, frames=tuple(site.write(codes, "dead")), dark=None))
    assert "50 pixels are at 0" in warnings_of(made)
    assert "at 0" not in warnings_of(make(site, replace(job, dark=None)))


def test_image_brought_into_range_is_reported(site) -> None:
    codes = np.stack([np.full(SHAPE, level, np.uint16) for level in (40000, 20000, 20000, 20000)])
    codes[:, 0, 0] = 60000
    made = make(site, site.job(site.write(codes), SHAPE, FrameType.FLAT))
    assert "brought into 0 to 1" in warnings_of(made)
    assert made.maximum == 1


JOB_PROCESS = """
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from calmasters.engines.native.engine import NativeEngine
from calmasters.model.job import MasterJob
job, inputs, output = map(Path, sys.argv[1:])
NativeEngine(2).make(MasterJob.from_json(job.read_text()), inputs, output.parent, output,
                     output.with_suffix(".log"))
"""


def run_process(site, job: MasterJob, then: str) -> list[str]:
    file = site.output_dir / "job.json"
    file.write_text(job.to_json())
    command = [
        sys.executable,
        "-c",
        JOB_PROCESS + then,
        str(file),
        str(site.input_dir),
        str(site.output),
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.split()


def test_process_of_a_job_imports_nothing_slow(site) -> None:
    job = site.job(site.write(bias_frames()), SHAPE)
    modules = run_process(site, job, "print(*sys.modules)")
    assert not {"astropy", "pandas", "snakemake", "xisf"} & set(modules)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux reports the peak")
def test_memory_does_not_grow_with_the_number_of_frames(site) -> None:
    shape = (600, 1000)
    codes = np.random.default_rng(5).integers(400, 600, (100, *shape)).astype(np.uint16)
    frames = site.write(codes)
    peaks = {n: peak_mib(site, site.job(frames[:n], shape)) for n in (5, 100)}
    # All samples of the 95 additional frames would be 217 MiB of float32.
    assert peaks[100] < peaks[5] + 50


def peak_mib(site, job: MasterJob) -> float:
    status = run_process(site, job, 'print(open("/proc/self/status").read())')
    return int(status[status.index("VmHWM:") + 1]) / 1024
