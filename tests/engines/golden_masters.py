"""Masters of every kind and method, and the digests of their pixels in ``tests/data``.

The frames are made of integers alone, so that they are the same with every version of every library
and on every machine. ``python tests/engines/golden_masters.py`` writes the digests again.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from xisf import XISF

from calmasters.engines.native.engine import NativeEngine
from calmasters.engines.native.needs import COMBINATIONS, NEEDS, REJECTIONS
from calmasters.frame import FrameType, Geometry
from calmasters.frame_layout import FrameLayout, FramePart, Section
from calmasters.images.master_file import read_image
from calmasters.model.job import FrameFile, MasterJob, Recipe, UsedMaster
from calmasters.model.master_record import MasterStatistics
from calmasters.settings import Calibration, Integration

__all__ = ["CASES", "LAYOUTS", "Case", "Made", "digest_of", "made", "stored"]

DIGESTS = Path(__file__).parents[1] / "data" / "golden-masters.json"

HEIGHT, WIDTH, OVERSCAN = 24, 30, 6
FLAT = Integration(normalization="Multiplicative", rejectionNormalization="EqualizeFluxes")

_SIDE = Section(WIDTH, WIDTH + OVERSCAN, 0, HEIGHT)
_HALF = WIDTH // 2
#: One amplifier; and two, of which the right one is read from the right, each with its overscan.
_ONE = (FramePart(Section(0, WIDTH, 0, HEIGHT), overscan=(_SIDE,)),)
_TWO = (
    FramePart(Section(0, _HALF, 0, HEIGHT), overscan=(_SIDE,), name="left"),
    FramePart(
        Section(_HALF, WIDTH, 0, HEIGHT), x=_HALF, flip_x=True, overscan=(_SIDE,), name="right"
    ),
)


LAYOUTS: Mapping[str, FrameLayout] = {
    **{
        f"an overscan, {level}": FrameLayout.of(WIDTH, HEIGHT, _ONE, level)
        for level in ("median", "polynomial", "constant")
    },
    "two amplifiers": FrameLayout.of(WIDTH, HEIGHT, _TWO, "median"),
    "an overscan, cut off": FrameLayout.of(WIDTH, HEIGHT, _ONE),
}


def _strict(rejection: str) -> Integration:
    """Reject samples of few frames, too."""
    sigmas = {"sigmaLow": 1.6, "sigmaHigh": 1.5, "linearFitLow": 2.0, "linearFitHigh": 1.5}
    return Integration(rejection=rejection, **sigmas)


@dataclass(frozen=True)
class Case:
    """A master: what it is made of, and how."""

    type: FrameType = FrameType.BIAS
    integration: Integration = field(default_factory=Integration)
    frames: int = 9
    samples: str = "uint16"
    source: str = "fits"
    master_format: str = "xisf"
    uses: tuple[str, ...] = ()
    optimize: bool = False
    calibration: Calibration = field(default_factory=Calibration)
    bayer: str | None = None
    layout: FrameLayout | None = None
    float_range: str = "unit"
    seed: int = 0


_FLAT, _DARK = FrameType.FLAT, FrameType.DARK
_CALIBRATED: Mapping[str, Any] = {"type": _FLAT, "integration": FLAT, "uses": ("bias", "dark")}

CASES: Mapping[str, Case] = {
    **{
        f"{rejection} of {count}": Case(integration=_strict(rejection), frames=count)
        for rejection in REJECTIONS
        for count in (5, 9, 26)
    },
    **{
        f"{combination} after {rejection}": Case(
            integration=Integration(combination=combination, rejection=rejection)
        )
        for combination in COMBINATIONS
        for rejection in ("NoRejection", "WinsorizedSigmaClip")
    },
    **{
        f"{output}, {inner}": Case(
            _FLAT, Integration(normalization=output, rejectionNormalization=inner)
        )
        for output in ("NoNormalization", "Additive", "Multiplicative")
        for inner in ("NoRejectionNormalization", "EqualizeFluxes")
    },
    "high samples only": Case(integration=Integration(clipLow=False)),
    "low samples only": Case(integration=Integration(clipHigh=False)),
    "range": Case(
        integration=Integration(
            rangeClipLow=True, rangeLow=0.001, rangeClipHigh=True, rangeHigh=0.1
        )
    ),
    "dark": Case(_DARK),
    "dark, FITS": Case(_DARK, master_format="fits"),
    "dark of 16-bit XISF": Case(_DARK, source="xisf"),
    "dark of float32": Case(_DARK, samples="float32"),
    "dark of float32 in XISF": Case(_DARK, samples="float32", source="xisf"),
    "dark of float32 in ADU": Case(_DARK, samples="adu", float_range="adu16"),
    "flat": Case(_FLAT, FLAT),
    "flat with a bias": Case(_FLAT, FLAT, uses=("bias",)),
    "flat with a dark": Case(_FLAT, FLAT, uses=("dark",)),
    "flat with a bias and a dark": Case(**_CALIBRATED),
    "flat with a bias and a scaled dark": Case(**_CALIBRATED, optimize=True),
    "flat of a mosaic with a scaled dark": Case(**_CALIBRATED, optimize=True, bayer="RGGB"),
    "flat with a pedestal": Case(**_CALIBRATED, calibration=Calibration(outputPedestal=100)),
    "flat of float32, FITS": Case(
        **_CALIBRATED, optimize=True, samples="float32", master_format="fits"
    ),
    **{f"bias with {name}": Case(layout=layout) for name, layout in LAYOUTS.items()},
    "flat with an overscan, a bias and a dark": Case(
        **_CALIBRATED, layout=LAYOUTS["an overscan, median"]
    ),
}


def _integers(count: int, below: int, seed: int) -> np.ndarray:
    """Return pseudorandom integers: the generator splitmix64, in whole numbers of 64 bits."""
    steps = np.arange(1, count + 1, dtype=np.uint64) + np.uint64(seed << 32)
    mixed = steps * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return ((mixed ^ (mixed >> np.uint64(31))) % np.uint64(below)).astype(np.int64)


def _codes(case: Case) -> np.ndarray:
    """Return the samples of all frames: an offset, noise, outliers, and what the type sees."""
    width = WIDTH + (OVERSCAN if case.layout else 0)
    shape = (case.frames, HEIGHT, width)

    def integers(below: int, number: int) -> np.ndarray:
        return _integers(case.frames * HEIGHT * width, below, 100 * case.seed + number).reshape(
            shape
        )

    codes = 500 + sum(integers(12, number) for number in range(4))
    seen = codes[:, :, :WIDTH]
    if case.type is not FrameType.BIAS:
        seen += _thermal() // (2 if case.type is FrameType.FLAT else 1)
    if case.type is FrameType.FLAT:
        lamp = 24_000 + 900 * (np.arange(case.frames) % 16)[:, None, None]
        noise = sum(integers(150, number)[:, :, :WIDTH] for number in (5, 6))
        seen += lamp * (900 + 5 * np.arange(WIDTH)) // 1000 + noise
    chance = integers(1000, 7)
    codes[chance < 15] += 9000
    codes[chance > 993] = 0
    return codes


def _thermal() -> np.ndarray:
    hot = _integers(HEIGHT * WIDTH, 100, 8).reshape(HEIGHT, WIDTH)
    return np.where(hot < 10, 1500 * (1 + hot), 3)


def _write(path: Path, codes: np.ndarray, case: Case) -> FrameFile:
    image = codes.astype(np.uint16 if case.samples == "uint16" else np.float32)
    if case.samples == "float32":
        image = image / np.float32(65535)
    if case.source == "xisf":
        XISF.write(str(path), image[:, :, np.newaxis])
    else:
        fits.PrimaryHDU(image).writeto(path)
    status = path.stat()
    return FrameFile(path.name, status.st_size, status.st_mtime_ns)


def _job(case: Case, raw: Path, output: Path) -> MasterJob:
    frames = [
        _write(raw / f"{number}.{case.source}", codes, case)
        for number, codes in enumerate(_codes(case))
    ]
    levels = {"bias": np.full((HEIGHT, WIDTH), 522)}
    levels["dark"] = levels["bias"] + _thermal()
    if case.layout:  # what is added to samples without their level
        levels = {name: codes + 478 for name, codes in levels.items()}
    for name in case.uses:
        image = (levels[name] / 65535).astype(np.float32)
        fits.PrimaryHDU(image).writeto(output / f"{name}.fits")
    used = {name: UsedMaster(f"{name}.fits", "run", "") for name in case.uses}
    is_flat = case.type is FrameType.FLAT
    recipe = Recipe(
        engine="native",
        algorithm_version=NEEDS.algorithm_version,
        integration=case.integration,
        calibration=case.calibration if is_flat else None,
        float_range=case.float_range,
        master_format=case.master_format,
    )
    geometry = Geometry(WIDTH, HEIGHT, bayerpat=case.bayer, layout=case.layout)
    return MasterJob(
        name="M",
        type=case.type,
        keywords={},
        geometry=geometry,
        frames=tuple(frames),
        header={"EXPTIME": 1.5},
        recipe=recipe,
        optimize_dark=case.optimize,
        **used,
    )


@dataclass(frozen=True)
class Made:
    """A master, and what it was made of."""

    job: MasterJob
    raw: Path
    output: Path
    statistics: MasterStatistics
    image: np.ndarray


def made(case: Case, folder: Path, threads: int = 2) -> Made:
    """Make a master in an empty folder, as a run does."""
    raw, output = folder / "raw", folder / "output"
    raw.mkdir()
    output.mkdir()
    job = _job(case, raw, output)
    master = output / f"M.{case.master_format}"
    statistics = NativeEngine(threads).make(job, raw, output, master, output / "M.log")
    assert len(statistics.frames) == case.frames, statistics.left_out
    image, _ = read_image(master)
    assert image.shape == (HEIGHT, WIDTH)
    return Made(job, raw, output, statistics, image)


def digest_of(case: Case, folder: Path) -> str:
    """Make a master, and digest its pixels."""
    image = made(case, folder).image
    return hashlib.sha256(image.astype("<f4").tobytes()).hexdigest()


def stored() -> Mapping[str, Any]:
    """Read the digests, and the version of the arithmetic that they belong to."""
    read: Mapping[str, Any] = json.loads(DIGESTS.read_text(encoding="utf-8"))
    return read


def main() -> int:
    """Write the digests; those of one version of the arithmetic never change."""
    pixels = {}
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            pixels[name] = digest_of(case, Path(folder))
    before = stored() if DIGESTS.exists() else {"algorithm_version": 0, "pixels": {}}
    known = before["pixels"]
    changed = [name for name in pixels if known.get(name, pixels[name]) != pixels[name]]
    if changed and before["algorithm_version"] == NEEDS.algorithm_version:
        print(f"Raise algorithm_version in needs.py first: other pixels in {', '.join(changed)}")
        return 1
    content = {"algorithm_version": NEEDS.algorithm_version, "pixels": pixels}
    DIGESTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
