"""Judgements of masters of known cameras: healthy ones raise no alarm, each fault its own.

The masters are made by the native engine, so that its warnings are judged, too.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from calmasters.engines.clusters import split
from calmasters.engines.native.engine import NativeEngine
from calmasters.frame import FrameType, Geometry
from calmasters.model.job import FrameFile, MasterJob, Recipe, UsedMaster
from calmasters.quality.causes import shared_causes
from calmasters.quality.defects import bad_pixels, sources
from calmasters.quality.lighting import is_lit_in_lines
from calmasters.quality.measure import measure
from calmasters.quality.measurement import BiasReference
from calmasters.quality.quality_record import Finding, Level, QualityRecord
from calmasters.settings import Settings
from calmasters.synthetic.photon_camera import PhotonCamera

BIAS, DARK, FLAT = FrameType.BIAS, FrameType.DARK, FrameType.FLAT
Change = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Instrument:
    """A camera with what its headers say."""

    name: str
    camera: PhotonCamera
    cards: Mapping[str, Any] = field(default_factory=dict)
    bayer: str | None = None
    bits: int = 16
    light: np.ndarray | None = None


@dataclass(frozen=True)
class Made:
    """A master with its job and its numbers."""

    job: MasterJob
    path: Path
    quality: QualityRecord
    quality_path: Path


class Observatory:
    """Takes frames, makes masters of them and measures these."""

    def __init__(self, root: Path, settings: Settings) -> None:
        self.settings = replace(settings, input_dir=root / "raw", output_dir=root / "out")
        self.settings.input_dir.mkdir()
        self._bias: dict[str, Made] = {}
        self._made = 0

    def bias_of(self, instrument: Instrument) -> Made:
        """Make the bias of a camera, of 9 frames; once."""
        if instrument.name not in self._bias:
            self._bias[instrument.name] = self.make(instrument, BIAS, [0.0] * 9)
        return self._bias[instrument.name]

    def make(
        self,
        instrument: Instrument,
        kind: FrameType,
        exposures_s: Sequence[float],
        levels: Sequence[float] = (),
        *,
        change: Change = lambda frames: frames,
        cards: Callable[[int], Mapping[str, Any]] = lambda _: {},
        uses_bias: bool = True,
        seed: int | None = None,
    ) -> Made:
        """Make and measure a master; ``change`` alters frames, ``cards`` the header of each.

        Frames with a ``seed`` do not depend on which tests run before.
        """
        bias = self.bias_of(instrument) if kind is not BIAS and uses_bias else None
        self._made += 1
        camera = instrument.camera
        number = self._made if seed is None else seed
        frames = camera.expose(number, exposures_s, levels, instrument.light)
        frames = change(frames)
        files = []
        for place, (frame, exposure_s) in enumerate(zip(frames, exposures_s, strict=True)):
            path = self.settings.input_dir / f"{self._made}-{kind}-{place:03}.fits"
            header = {
                "IMAGETYP": kind.value,
                "INSTRUME": instrument.name,
                "EXPTIME": exposure_s,
                "GAIN": 1,
                "EGAIN": instrument.camera.gain,
                "SET-TEMP": -10.0,
                "CCD-TEMP": -10.0 + 0.1 * (place % 3),
                "BAYERPAT": instrument.bayer,
                "DATE-OBS": f"2026-01-16T20:{place // 60:02}:{place % 60:02}",
                **instrument.cards,
                **cards(place),
            }
            known = {key: value for key, value in header.items() if value is not None}
            samples = frame.astype(np.uint8 if instrument.bits == 8 else np.uint16)
            fits.PrimaryHDU(samples, fits.Header(known)).writeto(path)
            files.append(FrameFile(path.name, path.stat().st_size, path.stat().st_mtime_ns))
        flat = kind is FLAT
        job = MasterJob(
            name=f"master{self._made}",
            type=kind,
            keywords={"INSTRUME": instrument.name, "GAIN": 1},
            geometry=Geometry(frames.shape[2], frames.shape[1], bayerpat=instrument.bayer),
            frames=tuple(files),
            header={"EXPTIME": float(np.median(exposures_s))},
            recipe=Recipe(
                engine="native",
                algorithm_version=1,
                integration=self.settings.integration[kind.value],
                calibration=self.settings.calibration["flat"] if flat else None,
                float_range="auto",
                master_format="fits",
            ),
            bias=UsedMaster(bias.job.master, "run", "test") if bias and flat else None,
        )
        path = self.settings.output_dir / job.master
        log = self.settings.output_dir / "log.txt"
        folders = self.settings.input_dir, self.settings.output_dir
        NativeEngine(threads=1).make(job, *folders, path, log)
        reference = BiasReference(bias.path, bias.quality_path if flat else None) if bias else None
        return self.measured(job, path, reference or BiasReference())

    def measured(self, job: MasterJob, path: Path, reference: BiasReference) -> Made:
        """Measure a master that is made."""
        record = path.with_suffix(".json")
        quality = measure(job, path, record, reference, self.settings)
        file = self.settings.output_dir / f"{job.name}.quality.json"
        file.write_text(quality.to_json(), encoding="utf-8")
        return Made(job, path, quality, file)


@pytest.fixture(scope="module")
def module_settings(request: pytest.FixtureRequest) -> Settings:
    import yaml

    folder = Path(__file__).parents[2] / "config"
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    return Settings.from_config(config, folder / "config.schema.yaml")


@pytest.fixture(scope="module")
def observatory(tmp_path_factory: pytest.TempPathFactory, module_settings: Settings) -> Observatory:
    return Observatory(tmp_path_factory.mktemp("observatory"), module_settings)


# --- healthy cameras ------------------------------------------------------------------------------


def orders(height: int, width: int) -> np.ndarray:
    """Tilted orders of a spectrograph, 9 pixels wide and 24 apart."""
    y, x = np.mgrid[:height, :width]
    across = (y + 0.06 * x) % 24 - 12
    return np.asarray(0.002 + np.exp(-((across / 4.5) ** 4)) * (0.4 + 0.6 * np.sin(x / width * 3)))


def fibres(height: int, width: int) -> np.ndarray:
    """Traces of fibres, 4 pixels wide and 8 apart, in bundles with gaps."""
    y = np.arange(height)[:, None] + np.zeros(width)
    return np.asarray(0.001 + np.exp(-(((y % 8 - 4) / 2) ** 2)) * (y % 96 < 80))


def slit(height: int, width: int) -> np.ndarray:
    """A long slit: a band of rows with a continuum."""
    y, x = np.mgrid[:height, :width]
    return np.asarray(0.001 + (np.abs(y - height / 2) < height / 5) * (0.5 + 0.5 * x / width))


CCD = Instrument(
    "CCD of 16 bits",
    PhotonCamera(
        gain=1.3, read_noise=8, width=384, height=256, dark_current=0.05, warm=0.01, hits=4
    ),
)
BINNED = Instrument(
    "binned CCD",
    PhotonCamera(gain=0.46, read_noise=36, width=190, height=120, dark_current=0.4, warm=0.02),
    {"XBINNING": 2, "YBINNING": 2},
)
LARGE = Instrument(
    "large CCD",
    PhotonCamera(gain=1.9, read_noise=6, width=1100, height=900, dark_current=0.3, warm=0.017),
)
COOLED = Instrument(
    "cooled CMOS of 12 bits, shifted",
    PhotonCamera(
        gain=0.0625, read_noise=24, row_noise=8, step=16, offset=800, offset_pattern=10, width=320,
        dark_current=0.02, glow=0.4, warm=0.002, hard_white=65520,
    ),
)  # fmt: skip
PLAIN_12 = Instrument(
    "CMOS of 12 bits",
    PhotonCamera(gain=4, read_noise=0.9, offset=30, offset_pattern=0.3, hard_white=4095, glow=0.3),
)
DSLR = Instrument(
    "DSLR of 14 bits",
    PhotonCamera(
        gain=1.2, read_noise=4, offset=2048, hard_white=16383, width=320, vignetting=0.25,
        dark_current=0.8, warm=0.03, colours=(0.5, 1.0, 1.0, 0.7),
    ),
    {"SET-TEMP": None, "CCD-TEMP": None},
    bayer="RGGB",
)  # fmt: skip
PLANETARY = Instrument(
    "camera of 8 bits",
    PhotonCamera(gain=40, read_noise=0.8, offset=4, offset_pattern=0.1, hard_white=255, width=300),
    {"SET-TEMP": None},
    bits=8,
)
WITHOUT_GAIN = Instrument(
    "camera without EGAIN", replace(CCD.camera, gain=0.3, hits=0), {"EGAIN": None}
)
SPECTROGRAPH = Instrument("spectrograph", replace(CCD.camera, vignetting=0), light=orders(256, 384))
FIBRES = Instrument("fibres", replace(CCD.camera, vignetting=0), light=fibres(256, 384))
SLIT = Instrument("slit", replace(CCD.camera, vignetting=0), light=slit(256, 384))

#: 28 masters: camera, type, exposures and, of flats, levels.
#: ``make test`` tries every seventh instrument and fault, ``make test-all`` all of them.
QUICK_OF = 7

HEALTHY: Sequence[tuple[Instrument, FrameType, Sequence[float], Sequence[float]]] = (
    (CCD, BIAS, [0.0] * 3, ()),
    (CCD, BIAS, [0.0] * 30, ()),
    (CCD, DARK, [300.0] * 5, ()),
    (CCD, DARK, [2.0] * 7, ()),
    (CCD, FLAT, [3.0] * 3, [22_000.0] * 3),
    (CCD, FLAT, [1.0, 1.5, 2.2, 3.0, 4.4, 6.0], [25_000, 24_000, 26_000, 22_000, 21_000, 23_000]),
    (BINNED, BIAS, [0.0] * 5, ()),
    (BINNED, DARK, [60.0] * 4, ()),
    (BINNED, FLAT, [2.0] * 12, [float(each) for each in range(16_000, 28_000, 1_000)]),
    (LARGE, BIAS, [0.0] * 4, ()),
    (LARGE, DARK, [30.0] * 3, ()),
    (LARGE, FLAT, [5.0] * 5, [18_000.0] * 5),
    (COOLED, BIAS, [0.0] * 20, ()),
    (COOLED, DARK, [600.0] * 6, ()),
    (COOLED, DARK, [0.5] * 10, ()),
    (COOLED, FLAT, [0.5] * 15, [30_000.0] * 15),
    (PLAIN_12, BIAS, [0.0] * 8, ()),
    (PLAIN_12, DARK, [120.0] * 8, ()),
    (PLAIN_12, FLAT, [1.0] * 10, [1_900.0] * 10),
    (DSLR, BIAS, [0.0] * 12, ()),
    (DSLR, DARK, [180.0] * 5, ()),
    (DSLR, FLAT, [0.02] * 9, [9_000.0] * 9),
    (PLANETARY, BIAS, [0.0] * 10, ()),
    (PLANETARY, FLAT, [0.01] * 16, [120.0] * 16),
    (WITHOUT_GAIN, DARK, [120.0] * 5, ()),
    (SPECTROGRAPH, FLAT, [10.0] * 5, [30_000.0] * 5),
    (FIBRES, FLAT, [10.0] * 4, [35_000.0] * 4),
    (SLIT, FLAT, [10.0] * 6, [25_000.0] * 6),
)


@pytest.mark.parametrize(
    ("instrument", "kind", "exposures_s", "levels"),
    [
        pytest.param(
            *each,
            id=f"{each[1]} of {len(each[2])}, {each[0].name}",
            marks=() if number % QUICK_OF == 0 else pytest.mark.slow,
        )
        for number, each in enumerate(HEALTHY)
    ],
)
def test_a_healthy_master_raises_no_alarm(
    observatory: Observatory,
    instrument: Instrument,
    kind: FrameType,
    exposures_s: Sequence[float],
    levels: Sequence[float],
) -> None:
    quality = observatory.make(instrument, kind, exposures_s, levels).quality
    assert [each.found for each in quality.findings if each.level is not Level.NOTE] == []
    assert quality.verdict is Level.GOOD
    assert quality.is_lit_in_lines is (instrument.light is not None)


# --- faults ---------------------------------------------------------------------------------------

RANDOM = np.random.default_rng(7)


def added(pattern: np.ndarray) -> Change:
    return lambda frames: np.clip(np.rint(frames + pattern), 0, 65535)


def lit(adu: float) -> Change:
    """Light, with its shot noise at 1.3 e-/ADU."""
    return lambda frames: np.clip(
        np.rint(frames + RANDOM.poisson(adu * 1.3, frames.shape) / 1.3), 0, 65535
    )


def rising(total: float, count: int) -> np.ndarray:
    return np.linspace(0, total, count)[:, None, None]


def alternating(sigma: float, count: int) -> np.ndarray:
    """A pattern that every second frame has with the other sign: no two pairs are independent."""
    sign = np.where(np.arange(count) % 2, -1, 1)[:, None, None]
    return np.asarray(RANDOM.normal(0, sigma, (256, 384)) * sign)


def scattered(share: float, adu: float, count: int = 1) -> np.ndarray:
    return np.asarray((RANDOM.random((count, 256, 384)) < share) * adu)


def dust(depth: float) -> np.ndarray:
    light = np.ones((256, 384))
    y, x = np.mgrid[:256, :384]
    for row in range(40, 256, 60):
        for column in range(40, 384, 60):
            light[np.hypot(y - row, x - column) < 12] -= depth
    return light


EVEN = replace(CCD.camera, hits=0)
LEVEL = [22_000.0]
ORDERS = orders(256, 384)


@dataclass(frozen=True)
class Fault:
    """A fault: what is made with it, the number that shows it, and words of cause and remedy."""

    number: str
    side: str
    kind: FrameType
    cause: str
    remedy: str
    camera: PhotonCamera = EVEN
    exposures_s: Sequence[float] = (0.0,) * 6
    levels: Sequence[float] = ()
    change: Change = lambda frames: frames
    cards: Mapping[str, Any] = field(default_factory=dict)
    light: np.ndarray | None = None
    each: Callable[[int], Mapping[str, Any]] = lambda _: {}


def flats(number: str, side: str, cause: str, remedy: str, **changes: Any) -> Fault:
    made: dict[str, Any] = {"exposures_s": [2.0] * 6, "levels": LEVEL * 6, **changes}
    return Fault(number, side, FLAT, cause, remedy, **made)


def darks(number: str, side: str, cause: str, remedy: str, **changes: Any) -> Fault:
    made: dict[str, Any] = {"exposures_s": [60.0] * 6, **changes}
    return Fault(number, side, DARK, cause, remedy, **made)


def unlit(number: str, side: str, cause: str, remedy: str, **changes: Any) -> list[Fault]:
    """The same fault in a bias and in a dark."""
    return [make(number, side, cause, remedy, **changes) for make in (biases, darks)]


def biases(number: str, side: str, cause: str, remedy: str, **changes: Any) -> Fault:
    return Fault(number, side, BIAS, cause, remedy, **changes)


NO_EGAIN = {"EGAIN": None}
FAULTS: Sequence[Fault] = (
    *unlit("level_adu", "low", "offset", "OFFSET", camera=replace(EVEN, offset=-30)),
    *unlit("level_adu", "high", "light reached", "cover", change=lit(45_000)),
    *unlit("level_adu", "high", "an offset", "program", camera=replace(EVEN, offset=45_000)),
    *unlit("black_percent", "high", "clipped at 0", "OFFSET", camera=replace(EVEN, offset=15)),
    *unlit("drift_over_noise", "high", "temperature", "exclude", change=added(rising(40, 6))),
    *unlit("drift_over_noise", "low", "temperature", "exclude", change=added(rising(-40, 6))),
    *unlit(
        "noise_over_expected", "high", "not independent", "pause", change=added(alternating(12, 6))
    ),
    *unlit(
        "rejected_percent", "high", "differ", "exclude", change=added(scattered(0.08, 900, 6))
    ),
    biases("read_noise_adu", "low", "repeats", "noise reduction", change=lambda f: f * 0 + f[:1]),
    biases("read_noise_e", "high", "interference", "cable", camera=replace(EVEN, read_noise=70)),
    biases(
        "fixed_pattern_over_noise", "high", "interference", "cable",
        camera=replace(EVEN, offset_pattern=40),
    ),
    biases(
        "banding_over_noise", "high", "interference", "cable",
        change=added(RANDOM.normal(0, 14, (256, 1))),
    ),
    darks("dark_signal_adu", "low", "do not match", "same settings", change=added(np.array(-60))),
    darks("dark_current_e_s", "high", "light", "cooler", camera=replace(EVEN, dark_current=9)),
    darks(
        "dark_current_adu_s", "high", "light", "cooler", cards=NO_EGAIN,
        camera=replace(EVEN, dark_current=90),
    ),
    darks("hot_rate_percent", "high", "warm", "cool more", camera=replace(EVEN, warm=0.2)),
    darks(
        "cold_percent", "high", "not read out", "bad-pixel map",
        change=added(-scattered(0.004, 300)),
    ),
    darks("glow_e_s", "high", "emit light", "light leak", camera=replace(EVEN, glow=40)),
    darks(
        "glow_adu_s", "high", "emit light", "light leak", cards=NO_EGAIN,
        camera=replace(EVEN, glow=200),
    ),
    darks(
        "temperature_spread_c", "high", "cooler", "80 %", each=lambda n: {"CCD-TEMP": -10 + n / 2}
    ),
    flats("level_percent", "high", "too long", "histogram", levels=[58_000.0] * 6),
    flats("saturated_percent", "high", "saturated", "shorten", levels=[70_000.0] * 6),
    flats("master_noise_percent", "high", "too short", "take more", levels=[300.0] * 6),
    flats(
        "level_spread", "high", "light changed", "panel",
        levels=[5e3, 7e3, 1e4, 14e3, 2e4, 28e3],
    ),
    flats("gain_of_header", "low", "more noise", "another evening", cards={"EGAIN": 2.6}),
    flats("gain_of_header", "high", "less noise", "noise reduction", cards={"EGAIN": 0.6}),
    flats(
        "corner_to_centre", "low", "vignetting", "shutter",
        camera=replace(EVEN, vignetting=0.45),
    ),
    flats(
        "corner_to_centre", "high", "stray light", "shield",
        camera=replace(EVEN, vignetting=-0.1),
    ),
    flats(
        "gradient_percent", "high", "one side", "turn the panel",
        light=np.linspace(0.85, 1.15, 384) * np.ones((256, 1)),
    ),
    flats(
        "response_spread_percent", "high", "response", "expose longer",
        camera=replace(EVEN, response=0.05),
    ),
    flats("dust_percent", "high", "dust", "clean", light=dust(0.04)),
    flats(
        "noise_over_expected", "high", "not independent", "pause", change=added(alternating(300, 6))
    ),
    flats("rejected_percent", "high", "differ", "exclude", change=added(scattered(0.08, 9e3, 6))),
    flats("bright_percent", "high", "too long", "80 %", levels=[64e3] * 6, light=ORDERS),
    flats("lit_noise_percent", "high", "too short", "longer", levels=[200.0] * 6, light=ORDERS),
)  # fmt: skip


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(
            each,
            id=f"{each.kind} {each.number} {each.side}",
            marks=() if number % QUICK_OF == 0 else pytest.mark.slow,
        )
        for number, each in enumerate(FAULTS)
    ],
)
def test_a_fault_raises_its_alarm_with_cause_and_remedy(
    observatory: Observatory, fault: Fault
) -> None:
    # The bias is that of the healthy camera, of the same name.
    observatory.bias_of(Instrument("even CCD", EVEN, fault.cards))
    made = observatory.make(
        Instrument("even CCD", fault.camera, fault.cards, light=fault.light),
        fault.kind,
        fault.exposures_s,
        fault.levels,
        change=fault.change,
        cards=fault.each,
    )
    found = {each.number: each for each in made.quality.findings}
    assert fault.number in found, (made.quality.numbers, made.quality.findings)
    assert fault.cause in found[fault.number].cause
    assert fault.remedy in found[fault.number].remedy
    assert found[fault.number].level is Level.ERROR
    low, high = made.quality.ranges[fault.number]
    value = made.quality.numbers[fault.number]
    assert value < low if fault.side == "low" else value > high


def test_every_limit_that_is_configured_has_a_fault(module_settings: Settings) -> None:
    limits = {
        (kind, name, side)
        for kind, ranges in module_settings.quality.ranges.items()
        for name, ends in ranges.items()
        for side, end in zip(("low", "high"), ends, strict=True)
        # Masters that are not those of their frames: test_verification.py, test_previous.py.
        if end is not None and not name.startswith(("residual_", "changed_"))
    }
    tested = {(each.kind.value, each.number, each.side) for each in FAULTS}
    # Fewer than three frames make no master (test_a_master_of_two_frames_has_few_frames).
    assert limits - tested == {(kind, "frames", "low") for kind in ("bias", "dark", "flat")}


def test_a_frame_without_light_has_no_ratios(observatory: Observatory) -> None:
    """Corners over a centre of nothing were 3.17e+11."""
    made = observatory.make(CCD, FLAT, [2.0] * 4, [0.0] * 4)
    assert not {"corner_to_centre", "gradient_percent", "dust_percent"} & set(made.quality.numbers)
    (finding,) = [each for each in made.quality.findings if each.level is Level.ERROR]
    assert finding.number == "master_noise_percent"


def test_without_a_bias_the_gain_is_not_compared_with_the_header(observatory: Observatory) -> None:
    instrument = replace(CCD, cards={"EGAIN": 3.0})
    quality = observatory.make(instrument, FLAT, [2.0] * 12, LEVEL * 12, uses_bias=False).quality
    assert "gain_of_header" not in {each.number for each in quality.findings}
    assert "gain_of_header" not in quality.ranges


@pytest.mark.slow
@pytest.mark.parametrize("exposure_s", [20.0, 100.0, 500.0])
def test_hot_pixels_do_not_depend_on_the_exposure(
    observatory: Observatory, exposure_s: float
) -> None:
    camera = replace(EVEN, warm=0.03, dark_current=0.1)
    made = observatory.make(Instrument("even CCD", camera), DARK, [exposure_s] * 5)
    # exponential, 3 e-/s: exp(-2/3) of them have more than 2 e-/s.
    true = 100 * 0.03 * np.exp(-2 / 3)
    assert made.quality.numbers["hot_rate_percent"] == pytest.approx(true, rel=0.12)
    expected = max(2.0, made.quality.numbers["hot_limit_e_s"])
    assert made.quality.numbers["hot_limit_e_s"] == pytest.approx(expected, abs=0.6)


@pytest.mark.slow
def test_a_short_dark_names_the_limit_above_which_it_shows_hot_pixels(
    observatory: Observatory,
) -> None:
    numbers = observatory.make(CCD, DARK, [1.0] * 5).quality.numbers
    # 5 sigmas of a master of 5 frames with 8 ADU, and of the offset's pattern, at 1.3 e-/ADU.
    sigma = np.hypot(8 / np.sqrt(5), 2)
    assert numbers["hot_limit_e_s"] == pytest.approx(5 * 1.3 * sigma, rel=0.06)


# --- flats of spectrographs -----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("instrument", [SPECTROGRAPH, FIBRES, SLIT], ids=lambda each: each.name)
def test_flats_lit_in_lines_are_said_to_be_and_have_no_dead_pixels(
    observatory: Observatory, instrument: Instrument
) -> None:
    made = observatory.make(instrument, FLAT, [10.0] * 4, [30_000.0] * 4)
    notes = [each.found for each in made.quality.findings if each.level is Level.NOTE]
    assert any("lit in lines or in parts only" in note for note in notes)
    assert not {"corner_to_centre", "dust_percent", "response_spread_percent"} & set(
        made.quality.numbers
    )
    assert made.quality.vignetting == []
    masters = [(made.job, made.path, made.quality_path)]
    assert not bad_pixels(masters).any()
    assert sources(masters) == [f"{made.job.name} (lit in lines: not searched)"]


def test_a_faint_flat_and_one_with_dead_columns_are_not_lit_in_lines() -> None:
    noise = RANDOM.normal(0, 30, (256, 384)).astype(np.float32)
    assert not is_lit_in_lines(noise + np.float32(200), 30.0)
    dead = np.full((256, 384), 20_000, np.float32)
    dead[:, 100:104] = 0
    dead[RANDOM.random(dead.shape) < 0.02] = 0
    assert not is_lit_in_lines(dead, 20.0)


# --- clusters -------------------------------------------------------------------------------------


def two_exposures(place: int) -> Mapping[str, Any]:
    return {"EXPTIME": 1.0 + 3 * (place % 2)}


def test_flats_of_two_exposures_are_to_be_grouped_by_it(observatory: Observatory) -> None:
    levels = [5_000.0, 21_000.0] * 5
    made = observatory.make(CCD, FLAT, [1.0, 4.0] * 5, levels)
    assert made.quality.numbers["level_spread"] > 3
    (finding,) = [each for each in made.quality.findings if each.level is Level.WARNING]
    assert finding.found.startswith(
        "the frames form two clusters of EXPOSURE: 4 s (5 frames, 2"
    ) or finding.found.startswith("the frames form two clusters of EXPOSURE: 1 s (5 frames, 5")
    listed = observatory.settings.required_keywords["flat"]
    wanted = f"--config 'required_keywords={{flat: [{', '.join((*listed, 'EXPOSURE'))}]}}'"
    assert finding.remedy == f"add EXPOSURE to the grouping: {wanted}"
    # The number that shows it has the same cause, so that it is reported once.
    (spread,) = [each for each in made.quality.findings if each.number == "level_spread"]
    assert (spread.cause, spread.remedy) == (finding.cause, finding.remedy)
    (cause,) = shared_causes([made.quality])
    assert cause.level is Level.ERROR


@pytest.mark.slow
def test_the_setting_of_two_exposures_can_be_pasted(observatory: Observatory) -> None:
    from snakemake.cli import parse_config

    exposures = [1.0, 1.1, 1.2, 9.0, 9.1, 8.9]
    levels = [5_000.0, 5_050.0, 5_100.0, 30_000.0, 30_300.0, 29_700.0]
    made = observatory.make(CCD, FLAT, exposures, levels)
    (remedy,) = {each.remedy for each in made.quality.findings if each.cause}
    entries = shlex.split(remedy.partition("--config")[2])
    assert parse_config(entries) == {
        "required_keywords": {
            "flat": [*observatory.settings.required_keywords["flat"], "EXPOSURE"]
        },
        # Snakemake passes a text; the configuration makes it a number.
        "round": {"EXPOSURE": "0.5"},
    }


@pytest.mark.slow
def test_biases_of_two_speeds_of_the_link_differ_by_its_card(observatory: Observatory) -> None:
    made = observatory.make(
        CCD,
        BIAS,
        [0.0] * 8,
        change=added(np.where(np.arange(8) < 3, 60, 0)[:, None, None]),
        cards=lambda place: {"USBSPEED": 40 if place < 3 else 80},
    )
    findings = [each for each in made.quality.findings if each.level is not Level.NOTE]
    assert {each.cause for each in findings} == {"the frames form two clusters of USBSPEED"}
    assert "USBSPEED: 40 (3 frames, 660 ADU) and 80 (5 frames, 600 ADU)" in findings[0].found


@pytest.mark.slow
def test_darks_before_the_sensor_was_cold_are_to_be_left_out(observatory: Observatory) -> None:
    made = observatory.make(
        CCD,
        DARK,
        [60.0] * 7,
        change=added(np.where(np.arange(7) < 2, 90, 0)[:, None, None]),
        cards=lambda place: {"CCD-TEMP": -4.5 if place < 2 else -10.0 + place / 100},
    )
    causes = {each.cause for each in made.quality.findings if each.level is not Level.NOTE}
    assert causes == {"the frames form two clusters of the temperature of the sensor"}
    (remedy,) = {each.remedy for each in made.quality.findings if each.cause}
    assert 'exclude: ["' in remedy
    assert "-4.5 to -4.5 °C (2 frames, " in made.quality.findings[0].found


@pytest.mark.slow
def test_frames_with_no_difference_but_the_level_are_named(observatory: Observatory) -> None:
    made = observatory.make(
        CCD, BIAS, [0.0] * 8, change=added(np.where(np.arange(8) % 2, 60, 0)[:, None, None])
    )
    (finding,) = [each for each in made.quality.findings if each.level is not Level.NOTE]
    assert finding.cause == "the frames form two clusters of level"
    assert "no keyword tells them apart" in finding.remedy


@pytest.mark.slow
def test_flats_of_a_mosaic_whose_median_is_between_colours_have_this_cause(
    observatory: Observatory,
) -> None:
    """Half of the pixels are green: without vignetting no sample has the median level."""
    camera = replace(DSLR.camera, vignetting=0.02, hits=3)

    def change(frames: np.ndarray) -> np.ndarray:
        # Some dark pixels in two frames, all of them green: the median moves to blue.
        green = frames[::5, 1::2, 0::2]
        green[np.random.default_rng(3).random(green.shape) < 0.05] = 2048
        return frames

    instrument = replace(DSLR, camera=camera)
    made = observatory.make(instrument, FLAT, [0.02] * 9, [9_000.0] * 9, change=change, seed=2)
    found = [each for each in made.quality.findings if each.level is not Level.NOTE]
    of_moved = [each for each in found if "flat-000" in each.found and each.cause]
    assert of_moved, found
    assert all("between the levels of two colours" in each.cause for each in of_moved)


@pytest.mark.slow
def test_flats_of_two_levels_are_no_clusters_where_only_one_frame_differs(
    observatory: Observatory,
) -> None:
    shadow = np.ones((7, 256, 384))
    shadow[3, 60:140, 100:220] = 0.9
    made = observatory.make(
        CCD,
        FLAT,
        [1.0, 1.0, 1.0, 1.0, 1.6, 1.6, 1.6],
        [14_000.0] * 4 + [22_400.0] * 3,
        change=lambda frames: np.rint(frames * shadow),
    )
    causes = {each.cause for each in made.quality.findings if each.level is not Level.NOTE}
    assert not any("clusters" in cause for cause in causes)
    assert any("flat-003.fits" in each.found for each in made.quality.findings)


@pytest.mark.parametrize("count", [4, 5, 7, 10, 16, 30])
def test_values_of_one_cluster_are_not_split(count: int) -> None:
    random = np.random.default_rng(count)
    kinds = (
        lambda: random.normal(600, 3, count),
        lambda: random.uniform(590, 610, count),
        lambda: 600 + np.cumsum(random.normal(0, 2, count)),
        lambda: 600 + np.arange(count) * 2.0,
    )
    false = sum(
        split([*map(float, kind())], 0.2, 1.0) is not None for kind in kinds for _ in range(250)
    )
    assert false <= 4


def test_two_clusters_are_split() -> None:
    assert split([1.0, 1.1, 9.0, 1.2, 9.1, 1.05], 0.01, 1.0) == {2, 4}
    assert split([1.0, 1.1, 1.2, 9.0], 0.01, 1.0) is None  # one frame is no cluster


def test_a_factor_that_contradicts_the_exposures_is_a_warning(observatory: Observatory) -> None:
    """The engine compares it with the ratio of exposures: 0.083 at a ratio of 0.087 is right."""
    made = observatory.make(CCD, FLAT, [2.0] * 4, LEVEL * 4)
    record = made.path.with_suffix(".json")
    stored = json.loads(record.read_text(encoding="utf-8"))
    text = "the dark's factor is 0.500 for 4 of 4 frames, expected 0.087; take darks of 2 s"
    stored["warnings"].append({"kind": "calibration", "text": text})
    record.write_text(json.dumps(stored), encoding="utf-8")
    bias = observatory.bias_of(CCD)
    again = observatory.measured(made.job, made.path, BiasReference(bias.path, bias.quality_path))
    assert Finding(Level.WARNING, text) in again.quality.findings


# --- real frames ----------------------------------------------------------------------------------

#: Public frames that are kept beside the project.
REAL = Path(__file__).parents[3] / "shared" / "data" / "real"


@pytest.mark.skipif(not REAL.is_dir(), reason="needs the real frames")
@pytest.mark.parametrize("kind", [BIAS, DARK])
def test_of_real_frames_only_what_is_wrong_is_an_alarm(
    tmp_path: Path, module_settings: Settings, kind: FrameType
) -> None:
    """These frames are at 35860 ADU: 3092 ADU, and 32768 that a program added."""
    settings = replace(module_settings, input_dir=REAL, output_dir=tmp_path)
    paths = sorted((REAL / "msumastro_maxim").glob(f"{kind}test*.fit"))
    stats = [(path.relative_to(REAL).as_posix(), path.stat()) for path in paths]
    job = MasterJob(
        name="real",
        type=kind,
        keywords={"INSTRUME": "real"},
        geometry=Geometry(100, 100),
        frames=tuple(FrameFile(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats),
        header={"EXPTIME": 30.0 * (kind is DARK)},
        recipe=Recipe("native", 1, settings.integration[kind.value], None, "auto", "fits"),
    )
    path = tmp_path / job.master
    NativeEngine(threads=1).make(job, REAL, tmp_path, path, tmp_path / "log.txt")
    quality = measure(job, path, path.with_suffix(".json"), BiasReference(), settings)
    alarms = [each for each in quality.findings if each.level is not Level.NOTE]
    # 40000 ADU are the limit of a dark.
    assert [each.number for each in alarms] == ["level_adu"] * (kind is BIAS)
    assert all("32768" in each.cause for each in alarms)
