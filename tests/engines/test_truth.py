"""Masters of the native engine compared with the true values, and with astropy and ccdproc.

The camera is `synthetic.camera.Camera`. Its offset, dark current, response, noise and hits are
known, so the master of N frames must scatter about the truth by sigma / sqrt(N).
"""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from calmasters.engines.native.engine import NativeEngine
from calmasters.engines.native.needs import NEEDS
from calmasters.frame import FrameType, Geometry
from calmasters.model.job import FrameFile, MasterJob, Recipe, UsedMaster
from calmasters.model.master_record import MasterStatistics
from calmasters.settings import Calibration, Integration
from calmasters.synthetic.camera import Camera, write_frame

N = 20
ADU = 65535.0

#: The effect of Winsorized sigma clipping, 4/3, on the mean of N = 20 Gaussian samples: its bias in
#: sigma, and its scatter times sqrt(N) in sigma. Both from 1.5 million stacks, rounded to integer
#: ADU at a sigma of 5 ADU, by an independent implementation. The bias is negative since high
#: samples are clipped sooner; it is -0.0094 at 3 ADU and -0.0084 without rounding, a difference of
#: less than a standard error of the means here.
CLIPPING_BIAS = -0.0089
CLIPPING_SCATTER = 1.023

BIAS_LIKE = Integration()
FLAT_LIKE = Integration(
    normalization="Multiplicative", rejectionNormalization="EqualizeFluxes", combination="Average"
)


@dataclass(frozen=True)
class Master:
    """A master that the engine made, in ADU, with its job."""

    path: Path
    job: MasterJob
    statistics: MasterStatistics

    @property
    def locations(self) -> list[float]:
        return [frame.location or 0.0 for frame in self.statistics.frames]

    @cached_property
    def adu(self) -> np.ndarray:
        return np.asarray(fits.getdata(self.path), dtype=np.float64) * ADU


@dataclass
class Bench:
    """Makes masters of frames in one folder."""

    folder: Path
    made: int = field(default=0)

    def master(
        self,
        kind: FrameType,
        frames: list[np.ndarray],
        integration: Integration = BIAS_LIKE,
        *,
        bias: Master | None = None,
        dark: Master | None = None,
        calibration: Calibration | None = None,
    ) -> Master:
        self.made += 1
        files = tuple(self._file(f"{self.made}-{n}.fits", frame) for n, frame in enumerate(frames))
        job = MasterJob(
            name=f"master{self.made}",
            type=kind,
            keywords={"TYPE": kind.value, "INSTRUME": "ATR585M", "GAIN": 100},
            geometry=Geometry(width=frames[0].shape[1], height=frames[0].shape[0]),
            frames=files,
            header={"EXPTIME": 1.5},
            recipe=Recipe(
                engine="native",
                algorithm_version=NEEDS.algorithm_version,
                integration=integration,
                calibration=calibration or (Calibration() if kind is FrameType.FLAT else None),
                float_range="unit",
                master_format="fits",
            ),
            bias=UsedMaster(bias.job.master, "run", "test") if bias else None,
            dark=UsedMaster(dark.job.master, "run", "test") if dark else None,
            optimize_dark=bool(calibration and calibration.optimizeDarks),
        )
        output = self.folder / job.master
        output.parent.mkdir(parents=True, exist_ok=True)
        log = self.folder / f"{job.name}.log"
        statistics = NativeEngine(threads=2).make(job, self.folder, self.folder, output, log)
        return Master(output, job, statistics)

    def _file(self, name: str, pixels: np.ndarray) -> FrameFile:
        path = self.folder / name
        write_frame(path, pixels, {"IMAGETYP": "BIAS"})
        return FrameFile(name, path.stat().st_size, path.stat().st_mtime_ns)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


FIXED_DARK = Calibration(optimizeDarks=False)
EXPOSURES = np.linspace(1.36, 1.69, N).round(2).tolist()
LEVELS = np.random.default_rng(5).normal(28_000, 280, N).tolist()
FLUXES = [level / t for level, t in zip(LEVELS, EXPOSURES, strict=True)]


@dataclass(frozen=True)
class Night:
    """The masters of one camera, each of N frames with hits; the dark of the flats has 1.5 s."""

    camera: Camera
    bias: Master
    dark: Master
    flat: Master
    optimized_flat: Master


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    camera = Camera()
    bench = Bench(tmp_path_factory.mktemp("night"))
    bias = bench.master(FrameType.BIAS, [camera.bias_frame(seed) for seed in range(N)])
    dark, flat_dark = (
        bench.master(FrameType.DARK, [camera.dark_frame(t, first + seed) for seed in range(N)])
        for t, first in ((60.0, 400), (1.5, 200))
    )
    flats = [
        camera.flat_frame(t, flux, 300 + n)
        for n, (t, flux) in enumerate(zip(EXPOSURES, FLUXES, strict=True))
    ]
    flat, optimized_flat = (
        bench.master(
            FrameType.FLAT, flats, FLAT_LIKE, bias=bias, dark=flat_dark, calibration=calibration
        )
        for calibration in (FIXED_DARK, Calibration())
    )
    return Night(camera, bias, dark, flat, optimized_flat)


@pytest.fixture(scope="module")
def scaled(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Flats of 15 s, darks of 60 s: k is 1/4, and there are enough hot pixels to find it."""
    camera = Camera(hot_pixels=0.03)
    bench = Bench(tmp_path_factory.mktemp("scaled"))
    bias = bench.master(FrameType.BIAS, [camera.bias_frame(seed) for seed in range(N)])
    darks = [camera.dark_frame(60.0, 100 + seed) for seed in range(N)]
    dark = bench.master(FrameType.DARK, darks)
    flats = [camera.flat_frame(15.0, 2000 / 15, 300 + seed) for seed in range(5)]
    flat = bench.master(
        FrameType.FLAT, flats, FLAT_LIKE, bias=bias, dark=dark, calibration=Calibration()
    )
    return Night(camera, bias, dark, flat, flat)


def assert_recovers(measured: np.ndarray, truth: np.ndarray, sigma: np.ndarray) -> None:
    """The scatter is sigma / sqrt(N) within 3 %, with the effect of the clipping."""
    rms = np.sqrt(np.mean(((measured - truth) / sigma) ** 2) * N)
    assert rms == pytest.approx(1, abs=0.03)
    assert rms == pytest.approx(CLIPPING_SCATTER, abs=4 / np.sqrt(2 * measured.size))


def assert_mean(
    measured: np.ndarray, truth: np.ndarray, scatter: np.ndarray, bias: np.ndarray
) -> None:
    """The mean of the master is that of truth plus bias, within 3 standard errors."""
    standard_error = np.sqrt(np.sum(scatter**2)) / scatter.size
    assert abs(np.mean(measured - truth - bias)) < 3 * standard_error


def assert_hits_are_removed(master: Master, camera: Camera, first_seed: int, z: np.ndarray) -> None:
    """At pixels that were hit, the master is as close to the truth as elsewhere.

    ``z`` is the master less the truth in standard errors.
    """
    for seed, frame in enumerate(master.statistics.frames, first_seed):
        hits = camera.cosmic_hits(seed)
        assert np.abs(z[hits.rows, hits.columns]).max() < 5
        assert frame.high >= camera.hits > 0


class TestBias:
    def test_recovers_the_offset_pattern(self, night: Night) -> None:
        sigma = night.camera.sigma_adu()
        assert_recovers(night.bias.adu, night.camera.bias, sigma)
        assert_mean(night.bias.adu, night.camera.bias, sigma / np.sqrt(N), CLIPPING_BIAS * sigma)

    def test_recovers_it_at_a_low_read_noise(self, bench: Bench) -> None:
        camera = Camera(read_noise_adu=3.0)
        master = bench.master(FrameType.BIAS, [camera.bias_frame(seed) for seed in range(N)])
        sigma = camera.sigma_adu()
        assert_recovers(master.adu, camera.bias, sigma)
        assert_mean(master.adu, camera.bias, sigma / np.sqrt(N), CLIPPING_BIAS * sigma)
        z = (master.adu - camera.bias) / sigma * np.sqrt(N)
        assert_hits_are_removed(master, camera, 0, z)

    def test_has_no_bias_with_symmetric_clipping(self, bench: Bench) -> None:
        camera = Camera()
        frames = [camera.bias_frame(seed) for seed in range(N)]
        master = bench.master(FrameType.BIAS, frames, Integration(sigmaLow=4.0, sigmaHigh=4.0))
        sigma = camera.sigma_adu()
        assert_mean(master.adu, camera.bias, sigma / np.sqrt(N), np.zeros_like(sigma))

    def test_hits_are_removed(self, night: Night) -> None:
        z = (night.bias.adu - night.camera.bias) / night.camera.sigma_adu() * np.sqrt(N)
        assert_hits_are_removed(night.bias, night.camera, 0, z)

    def test_one_nth_of_each_hit_remains_without_rejection(self, bench: Bench) -> None:
        camera = Camera(width=64, height=48)
        frames = [camera.bias_frame(seed) for seed in range(N)]
        master = bench.master(FrameType.BIAS, frames, Integration(rejection="NoRejection"))
        hits = camera.cosmic_hits(0)
        excess = (master.adu - camera.bias)[hits.rows, hits.columns]
        np.testing.assert_allclose(excess, hits.adu / N, atol=5 * camera.read_noise_adu)
        assert all(frame.low == frame.high == 0 for frame in master.statistics.frames)

    def test_rejects_the_expected_share_of_gaussian_samples(self, night: Night) -> None:
        """For 20 frames these are 0.09 % low and 0.44 % high at a sigma of 5 ADU, plus the hits."""
        low, high = (
            sum(getattr(frame, side) for frame in night.bias.statistics.frames)
            for side in ("low", "high")
        )
        samples = N * night.bias.adu.size
        assert low / samples == pytest.approx(0.0009, abs=0.0001)
        assert (high - N * night.camera.hits) / samples == pytest.approx(0.0044, abs=0.0003)


class TestDark:
    def test_recovers_bias_and_dark_current(self, night: Night) -> None:
        truth, sigma = night.camera.mean_adu(60.0), night.camera.sigma_adu(60.0)
        assert_recovers(night.dark.adu, truth, sigma)
        assert_mean(night.dark.adu, truth, sigma / np.sqrt(N), CLIPPING_BIAS * sigma)

    def test_less_the_bias_is_rate_times_exposure(self, night: Night) -> None:
        of_bias, of_dark = night.camera.sigma_adu(), night.camera.sigma_adu(60.0)
        measured, truth = night.dark.adu - night.bias.adu, 60.0 * night.camera.dark_rate
        sigma = np.hypot(of_bias, of_dark)
        assert_recovers(measured, truth, sigma)
        assert_mean(measured, truth, sigma / np.sqrt(N), CLIPPING_BIAS * (of_dark - of_bias))

    def test_recovers_the_rate_of_hot_pixels(self, night: Night) -> None:
        rate = night.camera.dark_rate
        hot = rate > 10
        sigma = np.hypot(night.camera.sigma_adu(), night.camera.sigma_adu(60.0)) / np.sqrt(N) / 60
        measured = (night.dark.adu - night.bias.adu) / 60
        assert hot.sum() > 50
        assert np.abs((measured - rate) / sigma)[hot].max() < 5

    def test_hits_are_removed(self, night: Night) -> None:
        truth, sigma = night.camera.mean_adu(60.0), night.camera.sigma_adu(60.0)
        z = (night.dark.adu - truth) / sigma * np.sqrt(N)
        assert_hits_are_removed(night.dark, night.camera, 400, z)


class TestFlat:
    def test_measures_the_level_of_each_frame(self, night: Night) -> None:
        levels = np.array(night.flat.locations) * ADU
        np.testing.assert_allclose(levels, LEVELS, rtol=1e-3)

    def test_recovers_the_flat_field(self, night: Night) -> None:
        sigma = night.camera.sigma_adu(EXPOSURES[0], FLUXES[0]) / LEVELS[0]
        for master in (night.flat, night.optimized_flat):
            measured = master.adu / np.median(master.adu)
            assert_recovers(measured, night.camera.flat_field, sigma)

    def test_has_the_level_of_its_first_frame(self, night: Night) -> None:
        """Each frame is scaled to the median of the first; the statistics have the medians."""
        camera, of_dark = night.camera, night.camera.sigma_adu(1.5)
        truth, of_flat = np.zeros((2, camera.height, camera.width))
        for t, flux, location in zip(EXPOSURES, FLUXES, night.flat.locations, strict=True):
            scale = night.flat.locations[0] / location
            light = camera.mean_adu(t, flux).astype(float) - camera.mean_adu(1.5)
            truth += light * scale / N
            of_flat += camera.sigma_adu(t, flux) * scale / N
        scatter = np.hypot(of_flat, of_dark) / np.sqrt(N)
        assert_mean(night.flat.adu, truth, scatter, CLIPPING_BIAS * (of_flat - of_dark))

    def test_hits_are_removed(self, night: Night) -> None:
        sigma = night.camera.sigma_adu(EXPOSURES[0], FLUXES[0]) / LEVELS[0]
        measured = night.flat.adu / np.median(night.flat.adu)
        z = (measured - night.camera.flat_field) / sigma * np.sqrt(N)
        assert_hits_are_removed(night.flat, night.camera, 300, z)


class TestOptimizedDark:
    def test_k_is_the_ratio_of_exposures(self, scaled: Night) -> None:
        for frame in scaled.optimized_flat.statistics.frames:
            assert frame.k == pytest.approx(0.25, abs=0.01)

    def test_k_is_the_least_squares_solution(self, scaled: Night) -> None:
        """The scatter of T - k D is minimal at k = cov(T, D) / var(D), for D above its noise."""
        dark = scaled.dark.adu - scaled.bias.adu
        deviation = 1.4826 * np.median(np.abs(dark - np.median(dark)))
        dark[dark < np.median(dark) + 3.0 * deviation] = 0.0
        for seed, frame in enumerate(scaled.optimized_flat.statistics.frames, 300):
            flat = scaled.camera.flat_frame(15.0, 2000 / 15, seed).astype(float)
            covariance = np.cov(flat.ravel(), dark.ravel())
            assert frame.k == pytest.approx(covariance[0, 1] / covariance[1, 1], abs=0.001)

    def test_hot_pixels_leave_no_trace(self, scaled: Night) -> None:
        field = scaled.optimized_flat.adu / np.median(scaled.optimized_flat.adu)
        hot = scaled.camera.dark_rate > 20
        sigma = scaled.camera.sigma_adu(15.0, 2000 / 15) / 2000 / np.sqrt(5)
        z = (field - scaled.camera.flat_field) / sigma
        assert hot.sum() > 500
        assert np.sqrt(np.mean(z[hot] ** 2)) == pytest.approx(
            np.sqrt(np.mean(z[~hot] ** 2)), rel=0.3
        )


class TestClosedForm:
    """Noiseless frames, whose master can be calculated exactly."""

    pattern = np.arange(1, 3073).reshape(48, 64)

    def frames(self, *levels: float) -> list[np.ndarray]:
        return [np.full((48, 64), level, dtype=np.uint16) for level in levels]

    def test_equal_frames_are_their_master(self, bench: Bench) -> None:
        frame = (self.pattern * 21).astype(np.uint16)
        master = bench.master(FrameType.BIAS, [frame] * 5)
        expected = (frame / 65535).astype(np.float32)
        np.testing.assert_array_equal(fits.getdata(master.path), expected)

    def test_frames_without_rejection_are_averaged(self, bench: Bench) -> None:
        frames = self.frames(100, 101, 105, 110)
        master = bench.master(FrameType.BIAS, frames, Integration(rejection="NoRejection"))
        np.testing.assert_allclose(master.adu, 104, rtol=1e-7)

    def test_flats_less_their_dark_are_scaled_to_the_first(self, bench: Bench) -> None:
        bias = bench.master(FrameType.BIAS, self.frames(1000, 1000, 1000))
        dark = bench.master(FrameType.DARK, self.frames(1100, 1100, 1100))
        flats = [(1100 + self.pattern * scale).astype(np.uint16) for scale in (2, 1, 4, 3)]
        master = bench.master(
            FrameType.FLAT, flats, FLAT_LIKE, bias=bias, dark=dark, calibration=FIXED_DARK
        )
        np.testing.assert_allclose(master.adu, 2 * self.pattern, rtol=1e-4, atol=0.01)

    @pytest.mark.parametrize(("with_bias", "with_dark", "left"), [(1, 0, 1500), (0, 1, 1300)])
    def test_a_flat_is_calibrated_with_the_available_masters(
        self, bench: Bench, with_bias: int, with_dark: int, left: float
    ) -> None:
        bias = bench.master(FrameType.BIAS, self.frames(1000, 1000, 1000)) if with_bias else None
        dark = bench.master(FrameType.DARK, self.frames(1200, 1200, 1200)) if with_dark else None
        flats = self.frames(2500, 2500, 2500)
        master = bench.master(
            FrameType.FLAT, flats, FLAT_LIKE, bias=bias, dark=dark, calibration=FIXED_DARK
        )
        np.testing.assert_allclose(master.adu, left, rtol=1e-6)

    def test_a_flat_below_its_dark_is_black_and_not_negative(self, bench: Bench) -> None:
        dark = bench.master(FrameType.DARK, self.frames(1200, 1200, 1200))
        flats = self.frames(2500, 2500, 2500)
        for flat in flats:
            flat[10, 20] = 900
        master = bench.master(FrameType.FLAT, flats, FLAT_LIKE, dark=dark, calibration=FIXED_DARK)
        assert master.adu[10, 20] == 0.0


class TestSecondOpinion:
    """Where astropy or ccdproc compute the same quantity, the results agree.

    They are imported late: each process of pytest imports this file, but few run these tests.
    """

    camera = Camera(width=64, height=48)

    def frames(self) -> list[np.ndarray]:
        return [self.camera.dark_frame(60.0, seed) for seed in range(N)]

    def combiner(self, frames: list[np.ndarray]) -> Any:
        import ccdproc
        from astropy.nddata import CCDData

        return ccdproc.Combiner([CCDData(frame, unit="adu") for frame in frames], dtype=float)

    def test_average_is_that_of_ccdproc(self, bench: Bench) -> None:
        frames = self.frames()
        master = bench.master(FrameType.DARK, frames, Integration(rejection="NoRejection"))
        expected = self.combiner(frames).average_combine().data
        np.testing.assert_allclose(master.adu, expected, rtol=2e-7)

    def test_min_max_rejection_is_that_of_ccdproc(self, bench: Bench) -> None:
        frames = self.frames()
        method = Integration(rejection="MinMax", minMaxLow=2, minMaxHigh=3)
        master = bench.master(FrameType.DARK, frames, method)
        combiner = self.combiner(frames)
        combiner.clip_extrema(nlow=2, nhigh=3)
        np.testing.assert_allclose(master.adu, combiner.average_combine().data, rtol=2e-7)

    def test_sigma_clipping_is_that_of_astropy(self, bench: Bench) -> None:
        from astropy.stats import sigma_clip

        frames = self.frames()
        method = Integration(rejection="SigmaClip", sigmaLow=2.55, sigmaHigh=2.05)
        master = bench.master(FrameType.DARK, frames, method)
        clipped = sigma_clip(
            np.stack(frames).astype(float),
            sigma_lower=2.55,
            sigma_upper=2.05,
            maxiters=None,
            cenfunc="median",
            stdfunc=lambda data, axis: np.nanstd(data, axis=axis, ddof=1),
            axis=0,
        )
        np.testing.assert_allclose(master.adu, clipped.mean(axis=0).data, rtol=2e-7)
        rejected = [frame.low + frame.high for frame in master.statistics.frames]
        assert rejected == clipped.mask.sum(axis=(1, 2)).tolist()

    def test_calibrated_and_scaled_flats_are_those_of_ccdproc(self, bench: Bench) -> None:
        import ccdproc
        from astropy import units
        from astropy.nddata import CCDData

        bias = bench.master(FrameType.BIAS, [self.camera.bias_frame(n) for n in range(5)])
        dark = bench.master(FrameType.DARK, [self.camera.dark_frame(1.5, n) for n in range(5)])
        flats = [self.camera.flat_frame(1.5, flux, 9) for flux in (16e3, 15e3, 18e3, 17e3)]
        plain = Integration(normalization="Multiplicative", rejection="NoRejection")
        master = bench.master(
            FrameType.FLAT, flats, plain, bias=bias, dark=dark, calibration=FIXED_DARK
        )
        bias_data, dark_data = (CCDData(each.adu, unit="adu") for each in (bias, dark))
        exposure = {"dark_exposure": 1.5 * units.s, "data_exposure": 1.5 * units.s}
        calibrated = [
            ccdproc.subtract_dark(
                ccdproc.subtract_bias(CCDData(flat.astype(float), unit="adu"), bias_data),
                ccdproc.subtract_bias(dark_data, bias_data),
                **exposure,
            )
            for flat in flats
        ]
        combiner = self.combiner([frame.data for frame in calibrated])
        combiner.scaling = [np.median(calibrated[0]) / np.median(frame) for frame in calibrated]
        np.testing.assert_allclose(master.adu, combiner.average_combine().data, rtol=1e-6)
