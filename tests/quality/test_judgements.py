"""Judgements of masters of known cameras: healthy ones raise no alarm, and each fault raises its own.

The masters are made by the native engine, so that its warnings are judged, too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from calmasters.engines.native.engine import NativeEngine
from calmasters.frame import FrameType, Geometry
from calmasters.model.job import FrameFile, MasterJob, Recipe, UsedMaster
from calmasters.quality.measure import BiasReference, measure
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
    ) -> Made:
        """Make and measure a master; ``change`` alters frames, ``cards`` the header of each."""
        self._made += 1
        frames = instrument.camera.expose(self._made, exposures_s, levels, instrument.light)
        frames = change(frames)
        bias = self.bias_of(instrument) if kind is not BIAS and uses_bias else None
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
    HEALTHY,
    ids=[f"{each[1]} of {len(each[2])}, {each[0].name}" for each in HEALTHY],
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
