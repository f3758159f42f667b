"""Numbers about masters, compared with the known properties of synthetic cameras."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from calmasters.errors import FrameError, QualityError, RecordError
from calmasters.frame import Frame, FrameType, Geometry, Traits
from calmasters.headers.fits_cards import Card
from calmasters.images.master_file import write_master
from calmasters.model.job import FrameFile, MasterJob, Recipe, UsedMaster
from calmasters.model.master_record import FrameStatistics, MasterRecord
from calmasters.model.master_warning import MasterWarning, WarningKind
from calmasters.quality import pairs, sequence, surface
from calmasters.quality.camera import bias_of, settings_with_defects
from calmasters.quality.defects import DEAD, HOT, bad_pixels, defect_list, write_map
from calmasters.quality.estimate import Estimate
from calmasters.quality.expected_rejection import expected_rejected_percent
from calmasters.quality.judgement import NUMBERS, check_ranges, require_good, worst_level
from calmasters.quality.measure import measure
from calmasters.quality.measurement import BiasReference
from calmasters.quality.quality_record import (
    Finding,
    FrameQuality,
    Histogram,
    Level,
    NightQuality,
    QualityRecord,
    RegionQuality,
)
from calmasters.quality.sample import ADU, FrameSample
from calmasters.quality.trend import Point, jumps, trends
from calmasters.settings import Integration, Settings
from calmasters.synthetic.camera import Camera, write_frame
from calmasters.synthetic.session import ObservingSession, Shot, nina_header

#: An old CCD and a CMOS: noise and gain must be right for both.
CCD = Camera(
    name="ST-7", width=765, height=510, read_noise_adu=36, electrons_per_adu=0.46, hits=20, seed=2
)
CMOS = Camera(width=765, height=510, read_noise_adu=2, electrons_per_adu=0.8, hits=20, seed=3)

START = ObservingSession().shots()[0].start


def stack(camera: Camera, count: int, exposure_s: float = 0.0, flux: float = 0.0) -> FrameSample:
    frames = [camera.expose(seed, exposure_s, flux) for seed in range(count)]
    return FrameSample(np.array(frames, np.float32), tuple(range(camera.height)))


def record_of(**fields: Any) -> QualityRecord:
    record = QualityRecord(
        name="master",
        master="masters/bias/master.xisf",
        type="bias",
        digest="d",
        verdict=Level.GOOD,
        numbers={},
        ranges={},
        findings=[],
        frames=[],
        nights=[],
        histogram=Histogram([0.0, 1.0], [1]),
    )
    return replace(record, **fields)


def write_quality(path: Path, **fields: Any) -> Path:
    path.write_text(record_of(**fields).to_json(), encoding="utf-8")
    return path


# --- the record -----------------------------------------------------------------------------------


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = record_of(
        verdict=Level.ERROR,
        numbers={"hot_percent": 2.0},
        ranges={"hot_percent": [None, 1.0]},
        findings=[Finding(Level.ERROR, "too many", "age", "cool more", "hot_percent")],
        frames=[FrameQuality("a.fits", "2026-01-16", 612.0, None, -10.0, "")],
        nights=[NightQuality("2026-01-16", 1, {"level_adu": 612.0})],
        vignetting=[1.0, 0.9],
        uncertainties={"read_noise_adu": 0.1},
        unknown={"gain_e_adu": "one flat"},
        regions=[
            RegionQuality("11", "G1", {"gain_e_adu": Estimate(0.8, 0.01)}, [[1.0, 2.0, True]]),
            RegionQuality("11", "B", {"gain_e_adu": Estimate.unknown("one flat")}, []),
        ],
    )
    path = tmp_path / "q.json"
    path.write_text(record.to_json(), encoding="utf-8")
    read = QualityRecord.read(path)
    assert read == record
    assert read.verdict is Level.ERROR
    assert read.findings[0].level is Level.ERROR


def test_the_keys_of_a_stored_record_do_not_change() -> None:
    night = NightQuality("2026-01-16", 1, {"level_adu": 612.0})
    stored = json.loads(record_of(nights=[night]).to_json())
    assert list(stored) == [
        *("version", "name", "master", "type", "digest", "verdict", "numbers", "ranges"),
        *("findings", "frames", "nights", "histogram", "vignetting"),
        *("uncertainties", "unknown", "regions", "setting", "previous"),
    ]
    assert stored["nights"] == [{"night": "2026-01-16", "frames": 1, "level_adu": 612.0}]
    assert stored["histogram"] == {"edges_adu": [0.0, 1.0], "counts": [1]}


def test_a_record_without_regions_is_read(tmp_path: Path) -> None:
    """Kept masters have records of earlier versions."""
    stored = json.loads(record_of(numbers={"read_noise_adu": 5.0}).to_json())
    for name in ("uncertainties", "unknown", "regions", "setting", "previous"):
        del stored[name]
    path = tmp_path / "q.json"
    path.write_text(json.dumps(stored), encoding="utf-8")
    expected = record_of(numbers={"read_noise_adu": 5.0}, vignetting=[], regions=[])
    assert QualityRecord.read(path) == expected


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": "x"}'])
def test_a_damaged_record_is_an_error_with_its_path(tmp_path: Path, text: str) -> None:
    path = tmp_path / "q.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecordError, match=r"q.json' is not the record of a measured master"):
        QualityRecord.read(path)


# --- noise from pairs -----------------------------------------------------------------------------


@pytest.mark.parametrize("camera", [CCD, CMOS], ids=["ccd", "cmos"])
def test_pairs_give_read_noise(camera: Camera) -> None:
    assert pairs.read_noise(stack(camera, 4)) == pytest.approx(camera.read_noise_adu, rel=0.03)


def test_noise_of_independent_frames_falls_with_the_square_root_of_their_number() -> None:
    left, expected = pairs.remaining_noise(stack(CMOS, 16), lambda frame: frame - frame.mean())
    assert expected == pytest.approx(np.hypot(2, 1 / np.sqrt(12)) / 4, rel=0.03)
    assert left / expected == pytest.approx(1, rel=0.03)


def test_a_pattern_that_drifts_leaves_more_noise() -> None:
    sample = stack(CMOS, 16)
    pattern = np.random.default_rng(1).normal(0, 2, sample.frames.shape[1:])
    drifting = replace(sample, frames=sample.frames + np.float32(pattern))
    drifting.frames[:8] -= np.float32(2 * pattern)
    shifted = replace(drifting, frames=drifting.frames[[0, 8, 1, 9, 2, 10, 3, 11]])
    left, expected = pairs.remaining_noise(shifted, lambda frame: frame - frame.mean())
    # Every pair differs by the pattern, which does not fall with sqrt(N).
    assert left / expected > 1.5


def test_outliers_are_clipped_and_noise_is_not() -> None:
    values = np.random.default_rng(1).normal(0, 1, 100_000).astype(np.float32)
    values[::1000] = 500
    kept = pairs.clipped(values)
    assert kept.std() == pytest.approx(1, rel=0.01)
    assert kept.size == pytest.approx(99_900, abs=10)


# --- changes between frames -----------------------------------------------------------------------


def test_drift_is_the_rise_of_a_line() -> None:
    assert sequence.drift([10.0, 11.0, 12.0, 13.0]) == pytest.approx(3)
    assert sequence.drift([5.0]) == 0
    assert sequence.drift([10.0, 11.0, 12.0, 999.0, 14.0]) == pytest.approx(4, abs=0.1)


def test_values_that_stand_out_are_found() -> None:
    assert sequence.standing_out([1.0, 1.1, 0.9, 1.0, 9.0], 0.1) == [4]
    assert sequence.standing_out([1.0, 1.1, 0.9, 1.0, 1.4], 0.1) == []


def test_levels_do_not_depend_on_hot_pixels() -> None:
    frames = stack(CMOS, 2).frames
    before = sequence.levels(frames)
    frames[:, :5, :5] = 60_000
    assert sequence.levels(frames) == pytest.approx(before, abs=0.01)


# --- one image ------------------------------------------------------------------------------------


def noise_image(sigma: float, shape: tuple[int, int] = (400, 600)) -> np.ndarray:
    return np.random.default_rng(4).normal(1000, sigma, shape).astype(np.float32)


def test_the_fixed_pattern_is_the_deviation_less_the_noise() -> None:
    assert surface.fixed_pattern(noise_image(5), 3) == pytest.approx(4, rel=0.02)
    assert surface.fixed_pattern(noise_image(5), 6) == 0


def test_row_and_column_banding_are_separate() -> None:
    random = np.random.default_rng(5)
    image = noise_image(5) + random.normal(0, 2, (400, 1)).astype(np.float32)
    rows, columns = surface.banding(image)
    assert rows == pytest.approx(2, rel=0.1)
    assert columns < 0.15
    rows, columns = surface.banding(image.T)
    assert columns == pytest.approx(2, rel=0.1)


def test_hot_warm_and_cold_pixels_are_counted_without_glow() -> None:
    y, x = np.mgrid[:400, :600]
    true_glow = (500 * np.exp(-np.hypot(y, x) / 150)).astype(np.float32)
    image = noise_image(1) + true_glow
    image[50:60, 100] += 1000
    image[70:75, 300] += 25
    image[5, 200:203] -= 300
    odd = surface.odd_pixels(image, 10.0)
    assert [int(np.count_nonzero(mask)) for mask in odd] == [10, 5, 3]
    corner, centre = true_glow[:40, :60], true_glow[180:220, 270:330]
    expected = np.median(corner) - np.median(centre)
    assert surface.glow(image) == pytest.approx(expected, rel=0.02)


def test_vignetting_gradient_and_response_of_a_known_flat() -> None:
    camera = Camera(width=640, height=480)
    field = camera.flat_field
    rings = surface.vignetting(field)
    assert rings[0] == 1
    assert rings[-1] == pytest.approx(0.6 / 1.0, abs=0.06)
    assert all(np.diff(rings) < 0.005)
    assert surface.corner_to_centre(field) == pytest.approx(1 - 0.4 * 0.81, abs=0.02)
    assert surface.gradient(field) < 0.01
    assert surface.response_spread(field, 0.0) == pytest.approx(0.01, rel=0.05)
    tilted = field * np.linspace(0.95, 1.05, 640, dtype=np.float32)
    assert surface.gradient(tilted) == pytest.approx(0.1, rel=0.15)


def test_dust_is_found_and_vignetting_is_not_dust() -> None:
    flat = Camera(width=640, height=480).flat_field.copy()
    assert surface.dust_shadows(surface.structure(flat)).share == 0
    flat[200:240, 304:344] *= np.float32(0.95)
    dust = surface.dust_shadows(surface.structure(flat))
    assert dust.share == pytest.approx(40 * 40 / (640 * 480), rel=0.1)
    assert dust.depth == pytest.approx(0.05, rel=0.2)


def test_a_mosaic_becomes_grey() -> None:
    image = noise_image(1)
    coloured = image.copy()
    coloured[::2, ::2] *= np.float32(0.5)
    assert surface.grey(coloured).std() == pytest.approx(image.std(), rel=0.2)


@pytest.mark.parametrize("shape", [(3, 4), (17, 5), (40, 33)])
def test_small_images_are_measured_too(shape: tuple[int, int]) -> None:
    image = noise_image(5, shape)
    assert np.isfinite([surface.fixed_pattern(image, 1), *surface.banding(image)]).all()
    assert np.isfinite([surface.glow(image), surface.gradient(image)]).all()
    assert np.isfinite(surface.structure(image)).all()
    assert surface.vignetting(image)[0] == 1
    assert surface.odd_pixels(image, 5.0).hot.shape == shape


# --- judgement ------------------------------------------------------------------------------------


def test_a_number_outside_its_range_has_a_cause_and_a_remedy() -> None:
    numbers = {"level_percent": 90.0, "frames": 20.0}
    (finding,) = check_ranges(numbers, {"level_percent": (15, 75)})
    assert finding.level is Level.ERROR
    assert finding.found == "level of the frames: 90 % of white (expected: at most 75)"
    assert "too long" in finding.cause
    assert "histogram" in finding.remedy


@pytest.mark.parametrize("value", [15.0, 40.0, 75.0])
def test_a_number_in_its_range_is_good(value: float) -> None:
    assert not [*check_ranges({"level_percent": value}, {"level_percent": (15, 75)})]


def test_open_ranges_are_checked_on_one_side_only() -> None:
    assert not [*check_ranges({"hot_percent": 0.0}, {"hot_percent": (None, 1)})]
    assert [*check_ranges({"hot_percent": 2.0}, {"hot_percent": (None, 1)})]


def test_the_verdict_is_the_worst_finding(settings: Settings) -> None:
    errors = [*check_ranges({"hot_rate_percent": 9.0}, settings.quality.ranges["dark"])]
    warning = replace(errors[0], level=Level.WARNING)
    note = replace(errors[0], level=Level.NOTE)
    assert worst_level([warning, *errors, note]) is Level.ERROR
    assert worst_level([note, warning]) is Level.WARNING
    assert worst_level([note]) is worst_level([]) is Level.GOOD


def test_every_range_has_a_number_with_advice(settings: Settings) -> None:
    for ranges in settings.quality.ranges.values():
        for name, (low, high) in ranges.items():
            assert low is None or NUMBERS[name].low, name
            assert high is None or NUMBERS[name].high, name


def test_only_errors_fail_the_run(tmp_path: Path) -> None:
    def write(name: str, level: Level) -> QualityRecord:
        finding = Finding(level, "hot pixels: 2 % (expected: at most 1)")
        return record_of(name=name, findings=[finding])

    good = write("good", Level.WARNING)
    require_good([good], tmp_path / "report.html")
    with pytest.raises(
        QualityError, match=r"see .*report.html for remedies:\n  bad: hot pixels: 2 %"
    ):
        require_good([good, write("bad", Level.ERROR)], tmp_path / "report.html")


# --- a complete master ----------------------------------------------------------------------------


@dataclass(frozen=True)
class MeanMaster:
    """The mean of frames, with its job and its record."""

    job: MasterJob
    master: Path
    record: Path


Make = Callable[..., MeanMaster]


@pytest.fixture
def make(tmp_path: Path, write_record: Callable[..., MasterRecord]) -> Make:
    """Make a master of frames of a camera; ``change`` alters the pixels of each frame."""

    def make(
        type_: FrameType,
        camera: Camera,
        count: int,
        exposure_s: float = 0.0,
        flux: float = 0.0,
        change: Callable[[int, np.ndarray], np.ndarray] = lambda _, pixels: pixels,
        rejected: Sequence[int] = (),
    ) -> MeanMaster:
        files, total = [], np.zeros((camera.height, camera.width))
        for number in range(count):
            shot = Shot(type_, START, exposure_s, seed=number)
            pixels = change(number, camera.expose(number, exposure_s, flux))
            path = tmp_path / "frames" / f"{type_}{number}.fits"
            write_frame(path, pixels, nina_header(camera, shot))
            files.append(FrameFile(path.name, path.stat().st_size, 0))
            total += pixels
        job = MasterJob(
            name=f"master{type_.value.capitalize()}_x",
            type=type_,
            keywords={"INSTRUME": camera.name, "GAIN": camera.gain},
            geometry=Geometry(camera.width, camera.height),
            frames=tuple(files),
            header={"EXPTIME": exposure_s},
            recipe=Recipe("native", 1, Integration(), None, "unit", "xisf"),
        )
        master = tmp_path / "output" / job.master
        master.parent.mkdir(parents=True)
        write_master(master, (total / count / ADU).astype(np.float32), [Card("IMAGETYP", "x")])
        counts = rejected or [100] * count
        frames = tuple(
            FrameStatistics(file.path, 0, high) for file, high in zip(files, counts, strict=True)
        )
        note = MasterWarning(WarningKind.SAMPLES, "a note")
        write_record(job, master, frames=frames, warnings=(note,))
        return MeanMaster(job, master, master.with_suffix(".json"))

    return make


def measured(
    made: MeanMaster, settings: Settings, reference: BiasReference | None = None
) -> QualityRecord:
    return measure(made.job, made.master, made.record, reference or BiasReference(), settings)


def test_the_numbers_of_a_bias_are_those_of_the_camera(make: Make, settings: Settings) -> None:
    quality = measured(make(FrameType.BIAS, CCD, 6), settings)
    numbers = quality.numbers
    assert numbers["level_adu"] == pytest.approx(600, abs=1)
    assert numbers["read_noise_adu"] == pytest.approx(36, rel=0.03)
    assert numbers["read_noise_e"] == pytest.approx(36 * 0.46, rel=0.03)
    assert numbers["noise_over_expected"] == pytest.approx(1, abs=0.03)
    assert numbers["column_banding_adu"] == pytest.approx(3, rel=0.2)
    assert quality.verdict is Level.GOOD
    assert [finding.level for finding in quality.findings] == [Level.NOTE]
    (night,) = quality.nights
    assert (night.night, night.frames) == ("2026-01-16", 6)
    assert night.numbers["read_noise_adu"] == pytest.approx(36, rel=0.03)
    assert set(numbers) <= set(NUMBERS)


def test_a_master_that_is_not_of_its_frames_is_out_of_range(make: Make, settings: Settings) -> None:
    made = make(FrameType.BIAS, CCD, 6)
    numbers = measured(made, settings)
    assert numbers.uncertainties["residual_adu"] > 0
    assert abs(numbers.numbers["residual_over_error"]) < 5
    other = np.random.default_rng(1).normal(700, 10, (CCD.height, CCD.width)) / ADU
    write_master(made.master, other.astype(np.float32), [Card("IMAGETYP", "x")])
    quality = measured(made, settings)
    wrong = {finding.number for finding in quality.findings if finding.level is Level.ERROR}
    assert {"residual_over_error", "residual_pixels_over_noise"} <= wrong


def test_flats_are_verified_with_their_bias_and_dark(make: Make, settings: Settings) -> None:
    bias, dark = make(FrameType.BIAS, CCD, 3), make(FrameType.DARK, CCD, 3, 1.0)
    made = make(FrameType.FLAT, CCD, 4, 1.0, 28_000.0)
    used = {
        kind: UsedMaster(master.job.master, "run", "")
        for kind, master in (("bias", bias), ("dark", dark))
    }
    calibrated = replace(made, job=replace(made.job, **used))
    # The master has its bias and dark in it, which its job says were subtracted.
    wrong = {finding.number for finding in measured(calibrated, settings).findings}
    assert "residual_over_error" in wrong
    scaled = replace(made, job=replace(made.job, **used, optimize_dark=True))
    assert "dark's factor" in measured(scaled, settings).unknown["residual_adu"]
    dark.master.unlink()
    assert "residual_adu" in measured(calibrated, settings).unknown


def test_frames_that_the_engine_found_to_differ_are_findings_and_stand_out(
    make: Make, settings: Settings
) -> None:
    made = make(FrameType.BIAS, CCD, 4)
    record = json.loads(made.record.read_text())
    record["frames"][2]["difference"] = "noise 12 ADU where the others have 5 ADU"
    record["warnings"].append({"kind": "outliers", "text": "1 of 4 frames differs"})
    made.record.write_text(json.dumps(record))
    quality = measured(made, settings)
    assert [frame.stands_out for frame in quality.frames] == [
        *("", ""),
        "noise 12 ADU where the others have 5 ADU",
        "",
    ]
    warned = [each.found for each in quality.findings if each.level is Level.WARNING]
    assert "1 of 4 frames differs" in warned
    assert any("noise 12 ADU" in text for text in warned)


def test_the_numbers_of_a_dark_are_those_of_the_camera(make: Make, settings: Settings) -> None:
    camera = replace(CMOS, hot_pixels=0.002, hits=0)
    bias = make(FrameType.BIAS, camera, 3)
    made = make(FrameType.DARK, camera, 5, 300.0)
    numbers = measured(made, settings, BiasReference(bias.master)).numbers
    true_rate = float(np.median(camera.dark_rate))
    assert numbers["dark_current_adu_s"] == pytest.approx(true_rate, rel=0.03)
    assert numbers["dark_current_e_s"] == pytest.approx(true_rate * 0.8, rel=0.03)
    # 1 to 200 ADU/s more, for 300 s, far above the noise of 9 ADU.
    assert numbers["hot_pixels"] == pytest.approx(0.002 * 765 * 510, rel=0.03)
    assert numbers["glow_adu"] == pytest.approx(300 * 0.2 * 2, rel=0.25)
    assert numbers["temperature_spread_c"] == pytest.approx(0.2)


def test_the_numbers_of_a_flat_are_those_of_the_camera(make: Make, settings: Settings) -> None:
    bias = make(FrameType.BIAS, CCD, 4)
    bias_quality = bias.master.with_name("quality.json")
    bias_quality.write_text(measured(bias, settings).to_json(), encoding="utf-8")
    flat = make(FrameType.FLAT, CCD, 6, 1.0, 28_000.0)
    quality = measured(flat, settings, BiasReference(bias.master, bias_quality))
    numbers = quality.numbers
    assert numbers["gain_e_adu"] == pytest.approx(0.46, rel=0.01)
    assert abs(numbers["gain_e_adu"] - 0.46) < 3 * quality.uncertainties["gain_e_adu"]
    assert numbers["gain_of_header"] == pytest.approx(1, rel=0.01)
    assert "no flat reaches white" in quality.unknown["white_adu"]
    assert "do not differ enough" in quality.unknown["nonlinearity_percent"]
    assert numbers["read_noise_e"] == pytest.approx(36 * 0.46, rel=0.08)
    assert numbers["level_percent"] == pytest.approx(43.5, rel=0.05)
    assert numbers["response_spread_percent"] == pytest.approx(1, rel=0.1)
    assert numbers["saturated_percent"] == 0
    assert quality.vignetting[0] == 1
    assert quality.verdict is Level.GOOD


@pytest.mark.parametrize("count", [2, 3, 6])
def test_the_response_of_pixels_has_no_shot_noise_for_any_number_of_flats(
    make: Make, settings: Settings, count: int
) -> None:
    numbers = measured(make(FrameType.FLAT, CCD, count, 1.0, 28_000.0), settings).numbers
    assert numbers["response_spread_percent"] == pytest.approx(1, rel=0.08)


def test_the_glow_of_a_dark_is_that_over_its_bias(make: Make, settings: Settings) -> None:
    camera = replace(CMOS, hits=0)
    bias_glow = np.zeros((camera.height, camera.width), np.uint16)
    bias_glow[-60:, -80:] = 50

    def glow(_: int, pixels: np.ndarray) -> np.ndarray:
        return pixels + bias_glow

    bias = make(FrameType.BIAS, camera, 3, change=glow)
    dark = make(FrameType.DARK, camera, 5, 300.0, change=glow)
    over = measured(dark, settings, BiasReference(bias.master)).numbers["glow_adu"]
    assert over == pytest.approx(300 * 0.2 * 2, rel=0.25)
    assert measured(dark, settings).numbers["glow_adu"] == pytest.approx(over + 50, abs=5)


def test_saturation_is_judged_by_the_white_that_is_known(make: Make, settings: Settings) -> None:
    def limited(_: int, pixels: np.ndarray) -> np.ndarray:
        return np.minimum(pixels, 16_383)

    numbers = measured(make(FrameType.FLAT, CMOS, 4, 1.0, 15_500.0, limited), settings).numbers
    assert numbers["white_adu"] == 16_383
    assert numbers["saturated_percent"] > 20
    assert numbers["level_percent"] > 90


@pytest.mark.parametrize(("share", "is_good"), [(0.055, True), (0.2, False)])
def test_the_limit_of_rejected_samples_depends_on_the_number_of_frames(
    make: Make, settings: Settings, share: float, is_good: bool
) -> None:
    """Of three perfect frames, Winsorized sigma clipping takes 5 to 6 %."""
    rejected = [round(share * CCD.width * CCD.height)] * 3
    quality = measured(make(FrameType.BIAS, CCD, 3, rejected=rejected), settings)
    assert quality.ranges["rejected_percent"][1] == pytest.approx(9.9, abs=0.6)
    judged = {finding.number for finding in quality.findings}
    assert ("rejected_percent" not in judged) is is_good


@pytest.mark.parametrize(
    ("rejection", "frames", "percent"),
    [("MinMax", 5, 40), ("NoRejection", 5, 0), ("WinsorizedSigmaClip", 40, 0.35), ("auto", 5, 0)],
)
def test_the_expected_rejection_is_that_of_normal_noise(
    rejection: str, frames: int, percent: float
) -> None:
    integration = Integration(rejection=rejection)
    expected = expected_rejected_percent(integration, FrameType.FLAT, frames, 25_000, 180)
    assert expected == pytest.approx(percent, abs=0.2)


def test_an_overexposed_flat_is_an_error(make: Make, settings: Settings) -> None:
    quality = measured(make(FrameType.FLAT, CMOS, 4, 1.0, 64_000.0), settings)
    about = {finding.number for finding in quality.findings}
    assert {"level_percent", "saturated_percent"} <= about
    assert quality.verdict is Level.ERROR


def test_a_frame_unlike_the_others_is_a_finding(make: Make, settings: Settings) -> None:
    def brighten(number: int, pixels: np.ndarray) -> np.ndarray:
        return pixels + np.uint16(200 * (number == 2))

    pixels = CMOS.width * CMOS.height
    rejected = [100, 100, pixels // 10, 100, 100, 100]
    made = make(FrameType.BIAS, CMOS, 6, change=brighten, rejected=rejected)
    quality = measured(made, settings)
    (odd,) = [finding for finding in quality.findings if finding.found.startswith("frame ")]
    assert "frame bias2.fits: its level is 800" in odd.found
    assert odd.level is Level.WARNING
    assert [bool(frame.stands_out) for frame in quality.frames] == [
        *(False, False, True, False, False, False),
    ]


@pytest.mark.parametrize(("in_all", "percent"), [(6 * 48 * 32 // 8, 12.5), (None, None)])
def test_without_counts_by_frame_the_total_rejection_is_used(
    make: Make,
    settings: Settings,
    write_record: Callable[..., MasterRecord],
    in_all: int | None,
    percent: float | None,
) -> None:
    made = make(FrameType.BIAS, replace(CMOS, width=48, height=32), 6)
    frames = tuple(FrameStatistics(frame.path, None, None) for frame in made.job.frames)
    in_all_low = in_all and 0
    write_record(
        made.job, made.master, frames=frames, rejected_low=in_all_low, rejected_high=in_all
    )
    quality = measured(made, settings)
    assert quality.numbers.get("rejected_percent") == percent
    assert {frame.rejected_percent for frame in quality.frames} == {None}


def test_a_master_of_another_size_is_an_error(make: Make, settings: Settings) -> None:
    made = make(FrameType.BIAS, replace(CMOS, width=48, height=32), 3)
    job = replace(made.job, geometry=Geometry(48, 30))
    with pytest.raises(FrameError, match="has 48x32 pixels, expected 48x30"):
        measured(replace(made, job=job), settings)


@pytest.mark.parametrize("type_", [FrameType.BIAS, FrameType.DARK, FrameType.FLAT])
def test_the_smallest_masters_are_measured(
    make: Make, settings: Settings, type_: FrameType
) -> None:
    camera = Camera(width=4, height=3, hits=0)
    quality = measured(make(type_, camera, 3, 1.0, 2e4 * (type_ is FrameType.FLAT)), settings)
    assert np.isfinite([*quality.numbers.values()]).all()


@pytest.mark.parametrize("level", [0, 1, 65535])
@pytest.mark.parametrize("type_", [FrameType.BIAS, FrameType.DARK, FrameType.FLAT])
def test_frames_without_any_noise_are_measured(
    make: Make, settings: Settings, type_: FrameType, level: int
) -> None:
    camera = Camera(width=40, height=30, hits=0)
    made = make(type_, camera, 4, 1.0, change=lambda _, pixels: np.full_like(pixels, level))
    quality = measured(made, settings, BiasReference(made.master))
    assert np.isfinite([*quality.numbers.values()]).all()


def test_many_large_frames_are_sampled_evenly(tmp_path: Path) -> None:
    camera = Camera(width=2000, height=1500)
    path = tmp_path / "frame.fits"
    write_frame(path, camera.bias_frame(1), nina_header(camera, Shot(FrameType.BIAS, START)))
    sample = FrameSample.read([path] * 40, Geometry(2000, 1500), "auto")
    assert sample.frames.nbytes <= 4 * (1 << 24) * 1.1
    assert min(sample.rows) == 0
    assert max(sample.rows) == 1499
    np.testing.assert_array_equal(sample.frames[0], camera.bias_frame(1)[list(sample.rows)])


def test_frames_are_sampled_as_they_are_combined(tmp_path: Path) -> None:
    camera = Camera(width=40, height=30)
    codes = camera.bias_frame(1)
    up = fits.Header({"ROWORDER": "BOTTOM-UP"})
    kinds = [
        *((codes, None), (codes[::-1], up), (codes.astype(np.int16), None)),
        *((codes.astype(np.float32), None), ((codes / 65535).astype(np.float32)[::-1], up)),
    ]
    paths = [tmp_path / f"{number}.fits" for number in range(len(kinds))]
    for path, (pixels, header) in zip(paths, kinds, strict=True):
        fits.PrimaryHDU(pixels, header).writeto(path)
    sample = FrameSample.read(paths, Geometry(40, 30), "auto")
    for frame in sample.frames:
        np.testing.assert_allclose(frame, codes[list(sample.rows)], rtol=1e-6)


# --- masters of one camera setting ----------------------------------------------------------------


def job_of(
    type_: FrameType, name: str, bias: UsedMaster | None = None, gain: int = 100
) -> MasterJob:
    return MasterJob(
        name,
        type_,
        {"INSTRUME": "A", "GAIN": gain},
        Geometry(4, 3),
        (),
        {},
        Recipe("native", 1, Integration(), None, "unit", "xisf"),
        bias=bias,
    )


def test_a_dark_gets_the_bias_of_its_settings() -> None:
    kept = UsedMaster("masters/bias/kept.xisf", "kept", "")
    dark, other = (job_of(FrameType.DARK, "d", gain=gain) for gain in (100, 200))
    bias, flat = job_of(FrameType.BIAS, "b"), job_of(FrameType.FLAT, "f", kept, gain=200)
    jobs = (bias, dark, other, flat)
    keywords = ("INSTRUME", "GAIN")
    used = bias_of(dark, jobs, keywords)
    assert used
    assert used.path == bias.master
    assert bias_of(other, jobs, keywords) == kept
    assert bias_of(flat, jobs, keywords) == kept
    assert bias_of(dark, (dark, other, flat), keywords) is None
    assert bias_of(bias, jobs, keywords) is None


def test_settings_with_similar_names_have_separate_maps() -> None:
    one, other = job_of(FrameType.DARK, "one"), job_of(FrameType.DARK, "other")
    other = replace(other, keywords={"INSTRUME": "A/B", "GAIN": 100})
    third = replace(other, keywords={"INSTRUME": "A:B", "GAIN": 100})
    by_map = settings_with_defects((one, other, third), ("INSTRUME", "GAIN"))
    assert [job.name for jobs in by_map.values() for job in jobs] == ["one", "other", "other"]
    assert len(by_map) == 3
    assert all(name.startswith("badPixels_INSTRUME-A") for name in by_map)


# --- bad pixels -----------------------------------------------------------------------------------


def test_a_defect_list_has_runs_and_complete_lines() -> None:
    bad_map = np.zeros((10, 20), np.uint8)
    bad_map[2, 3:6] = HOT
    bad_map[7, 19] = DEAD
    bad_map[:, 11] = HOT
    assert defect_list(bad_map) == "Col 11\nRow 2 3 5\nRow 7 19 19\n"
    assert defect_list(np.zeros((4, 4), np.uint8)) == ""


def test_bad_pixels_come_from_darks_and_flats(tmp_path: Path) -> None:
    dark, flat = noise_image(2), noise_image(20) + 20_000
    dark[10, 20], flat[30, 40] = 5_000, 3_000
    quality = write_quality(tmp_path / "q.json", numbers={"noise_adu": 10.0})
    made = []
    for type_, image in ((FrameType.DARK, dark), (FrameType.FLAT, flat)):
        path = tmp_path / f"{type_}.xisf"
        write_master(path, image / np.float32(ADU), [Card("IMAGETYP", "x")])
        made.append((job_of(type_, type_.value), path, quality))
    bad_map = bad_pixels(made)
    assert (bad_map[10, 20], bad_map[30, 40]) == (HOT, DEAD)
    assert np.count_nonzero(bad_map) == 2
    write_map(tmp_path / "map.fits", bad_map, ["dark", "flat"])
    with fits.open(tmp_path / "map.fits") as file:
        np.testing.assert_array_equal(file[0].data, bad_map)
        assert (file[0].header["NHOT"], file[0].header["NDEAD"]) == (1, 1)


# --- trend ----------------------------------------------------------------------------------------


def points(*values: float) -> list[Point]:
    return [Point(f"2026-01-{day:02d}", value, "m") for day, value in enumerate(values, 1)]


def test_a_jump_is_described_with_values_and_nights() -> None:
    (jump,) = jumps(points(5.0, 5.1, 5.0, 7.5, 7.4))
    assert str(jump) == "rose from 5 (2026-01-03) to 7.5 (2026-01-04)"
    (jump,) = jumps(points(5.0, 3.0))
    assert str(jump).startswith("fell from 5")


def test_usual_steps_are_not_jumps() -> None:
    assert not jumps(points(5.0, 5.5, 4.9, 5.6, 5.0))
    assert not jumps(points(1.0, 2.0, 3.0, 4.0, 5.0))
    assert not jumps(points(5.0))


def test_runs_and_the_library_are_one_trend(tmp_path: Path, settings: Settings) -> None:
    job = job_of(FrameType.DARK, "d")
    night = NightQuality("2026-01-16", 5, {"level_adu": 600.0, "hot_percent": 0.1})
    quality = write_quality(tmp_path / "d.json", nights=[night])
    library = tmp_path / "old.xisf"
    write_master(library, noise_image(3, (3, 4)) / np.float32(ADU), [Card("NCOMBINE", 9)])
    keywords = {"TYPE": "dark", "INSTRUME": "A", "GAIN": 100, "DATE": "2025-07-01"}
    frame = Frame(str(library), 1, 1, Traits(keywords, master=True, geometry=Geometry(4, 3)))
    other = frame._replace(traits=replace(frame.traits, keywords=keywords | {"GAIN": 200}))
    by_number = {trend.number: trend for trend in trends([(job, quality)], [frame, other])}
    assert [point.night for point in by_number["level_adu"].points] == ["2025-07-01", "2026-01-16"]
    assert by_number["level_adu"].points[0].value == pytest.approx(1000, rel=0.01)
    assert len(by_number["hot_percent"].points) == 2
    assert "A, dark: GAIN 100" in by_number["level_adu"].setting


@pytest.mark.parametrize(
    ("gains", "number", "value"),
    [
        ({"a": 0.5, "b": 0.5}, "dark_current_e_s", 0.1),
        ({"a": 0.5}, "dark_current_adu_s", 0.2),
        ({}, "dark_current_adu_s", 0.2),
    ],
)
def test_dark_current_is_followed_in_electrons_where_all_gains_are_known(
    tmp_path: Path, gains: dict[str, float], number: str, value: float
) -> None:
    measured_ = []
    for name, date in (("a", "2026-01-15"), ("b", "2026-01-16")):
        night = NightQuality(date, 5, {"dark_current_adu_s": 0.2})
        measured_.append(
            (job_of(FrameType.DARK, name), write_quality(tmp_path / f"{name}.json", nights=[night]))
        )
    (trend,) = trends(measured_, [], gains)
    assert trend.number == number
    assert [point.value for point in trend.points] == [value, value]


def test_nights_that_are_no_dates_are_left_out(tmp_path: Path, settings: Settings) -> None:
    nights = [NightQuality("cloudy", 5, {"level_adu": 600.0})]
    quality = write_quality(tmp_path / "d.json", nights=nights)
    assert trends([(job_of(FrameType.BIAS, "b"), quality)], []) == []
