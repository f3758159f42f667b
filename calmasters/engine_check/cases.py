"""The cases of an engine check: small frames with fixed seeds, and the master to be made of them.

Each case goes the way of a user's frames: files are written, their headers read, a plan decided.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import reduce
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from calmasters import WORKFLOW_FILES
from calmasters.config_check import read_yaml
from calmasters.errors import EngineError
from calmasters.frame import FrameType, Value
from calmasters.headers.fits_cards import Card
from calmasters.images.master_file import write_master
from calmasters.model.job import MasterJob
from calmasters.planning.planner import decide
from calmasters.settings import Settings
from calmasters.synthetic.camera import Camera
from calmasters.synthetic.session import Shot, nina_header

__all__ = ["CASES", "Case", "default_config", "merged", "planned_jobs", "write_frames"]

_CONFIG: Final = WORKFLOW_FILES / "config" / "config.yaml"

#: Frames of each type. Of six, every rejection can reject, and PercentileClip does.
_FRAMES: Final = 6

#: Many hot pixels, so that the factor of a dark is well defined in small frames.
CAMERA: Final = Camera(width=64, height=48, dark_rate_adu_s=1.0, hot_pixels=0.05)

#: Exposures in seconds. Flats of case "not scaled" have the exposure of the darks.
_DARK_S, _FLAT_S = 60.0, 20.0
_FLAT_LEVEL_ADU: Final = 20_000.0
#: Share of light behind the filters of a colour mosaic.
_MOSAIC: Final = np.array([[0.6, 1.0], [1.0, 0.8]])

_START: Final = datetime(2026, 1, 16, 21, tzinfo=UTC)

#: Characters that cause trouble in paths, scripts, command lines and headers. Windows allows no
#: double quotes, asterisks and question marks in names.
_UNUSUAL: Final = "Müller's Nächte #1, 50 %; [µ] & (x)=1" + ('"*?' if os.name != "nt" else "")

_UNSCALED: Final = {"calibration": {"flat": {"optimizeDarks": False}}}


@dataclass(frozen=True)
class Case:
    """A master to be made.

    Attributes
    ----------
    name : str
        What a person reads.
    type : FrameType
        Of the master that is compared; the bias and dark of a flat are made by the native engine,
        so that a difference belongs to one step.
    settings : mapping
        What differs from the default configuration.
    samples : str
        How samples are stored: ``uint16`` (with BZERO), ``int16`` (without), ``float`` (0 to 1),
        ``adu`` (floats from 0 to 65535), ``xisf`` (floats from 0 to 1 in XISF).
    cards : mapping
        Header cards in addition to the usual ones.
    flat_exposure_s : float
    is_mosaic : bool
        The camera has a Bayer pattern.
    folder : str
        Folder of frames and masters, and beginning of the names of frames.
    """

    name: str
    type: FrameType
    settings: Mapping[str, Any] = field(default_factory=dict)
    samples: str = "uint16"
    cards: Mapping[str, Value] = field(default_factory=dict)
    flat_exposure_s: float = _FLAT_S
    is_mosaic: bool = False
    folder: str = "plain"

    @property
    def types(self) -> Sequence[FrameType]:
        """The types of frames: those of the master, and of the bias and dark of a flat."""
        is_flat = self.type is FrameType.FLAT
        return (FrameType.BIAS, FrameType.DARK, FrameType.FLAT) if is_flat else (self.type,)


CASES: Final = (
    Case("bias", FrameType.BIAS),
    Case("dark", FrameType.DARK),
    Case("flat, bias and dark scaled", FrameType.FLAT),
    Case("flat, bias and dark not scaled", FrameType.FLAT, _UNSCALED, flat_exposure_s=_DARK_S),
    Case("flat, colour mosaic", FrameType.FLAT, is_mosaic=True),
    Case("signed 16 bits", FrameType.BIAS, samples="int16"),
    Case("rows bottom-up", FrameType.DARK, cards={"ROWORDER": "BOTTOM-UP"}),
    Case("float, 0 to 1", FrameType.DARK, samples="float"),
    Case("float, ADU", FrameType.BIAS, samples="adu"),
    Case("XISF frames", FrameType.BIAS, samples="xisf"),
    Case("FITS master", FrameType.DARK, {"master_format": "fits"}),
    Case("layout ap-library", FrameType.BIAS, {"layout": "ap-library"}),
    Case(
        "unusual names", FrameType.FLAT, _UNSCALED, flat_exposure_s=_DARK_S, folder=_UNUSUAL
    ),
)  # fmt: skip


def default_config() -> dict[str, Any]:
    """Return the default configuration: a check does not depend on the user's rules for frames."""
    config: dict[str, Any] = read_yaml(_CONFIG)
    return config


def merged(config: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with changes, as Snakemake merges its files: key by key."""
    inner = {
        key: merged(config[key], value)
        for key, value in changes.items()
        if isinstance(value, Mapping) and isinstance(config.get(key), Mapping)
    }
    return {**config, **changes, **inner}


def planned_jobs(settings: Settings, case: Case) -> Mapping[FrameType, MasterJob]:
    """Plan the masters of a case, whose frames are written.

    Raises
    ------
    EngineError
        If the plan has not one master of each type.
    """
    decision = decide(settings)
    jobs = {job.type: job for job in decision.jobs}
    if sorted(jobs) != sorted(case.types) or len(decision.jobs) != len(jobs):
        reasons = {verdict.reason for verdict in decision.verdicts.values() if verdict.reason}
        raise EngineError(
            f"engine check, case '{case.name}': masters of {', '.join(case.types)} were expected, "
            f"the plan has {[job.name for job in decision.jobs]}: {'; '.join(reasons)}"
        )
    return jobs


def write_frames(case: Case, directory: Path, camera: Camera = CAMERA) -> None:
    """Write the frames of a case below a directory."""
    if case.is_mosaic:
        camera = replace(camera, bayerpat="RGGB")
    for shot in _shots(case):
        pixels = camera.expose(shot.seed, shot.exposure_s, shot.flux_adu_s)
        if case.is_mosaic and shot.type is FrameType.FLAT:
            tiles = (-(-camera.height // 2), -(-camera.width // 2))
            light = np.tile(_MOSAIC, tiles)[: camera.height, : camera.width]
            pixels = np.rint(pixels * light).astype(np.uint16)
        cards = {**nina_header(camera, shot), **case.cards}
        name = f"{case.folder}/{shot.type} {case.folder} {shot.seed:03d}"
        _WRITERS[case.samples](directory / name, pixels, _given(cards))


def _shots(case: Case) -> Iterator[Shot]:
    exposures = {FrameType.BIAS: 0.0, FrameType.DARK: _DARK_S, FrameType.FLAT: case.flat_exposure_s}
    for kind in case.types:
        is_flat = kind is FrameType.FLAT
        for number in range(_FRAMES):
            # Flats of different levels: normalization has something to do.
            level = _FLAT_LEVEL_ADU * (1 + 0.05 * number) if is_flat else 0.0
            seed = 100 * list(FrameType).index(kind) + number + 1
            yield Shot(
                kind,
                _START + timedelta(seconds=100 * seed),
                exposures[kind],
                level / exposures[kind] if is_flat else 0.0,
                "B" if is_flat else None,
                seed,
            )


def _given(cards: Mapping[str, Value | bool | None]) -> dict[str, Value | bool]:
    return {keyword: value for keyword, value in cards.items() if value is not None}


def _write_fits(path: Path, samples: NDArray[Any], cards: Mapping[str, Value | bool]) -> None:
    from astropy.io import fits

    header = reduce(_with_card, cards.items(), fits.Header())
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.PrimaryHDU(samples, header).writeto(path.with_name(f"{path.name}.fits"))


def _with_card(header: Any, card: tuple[str, Value | bool]) -> Any:
    header[card[0]] = card[1]
    return header


def _write_xisf(path: Path, samples: NDArray[Any], cards: Mapping[str, Value | bool]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.with_name(f"{path.name}.xisf")
    write_master(file, _unit(samples), [Card(key, value) for key, value in cards.items()])


def _unit(pixels: NDArray[np.uint16]) -> NDArray[np.float32]:
    return (pixels / 65535).astype(np.float32)


_WRITERS: Final[Mapping[str, Any]] = {
    "uint16": _write_fits,
    "int16": lambda path, pixels, cards: _write_fits(path, pixels.astype(np.int16), cards),
    "float": lambda path, pixels, cards: _write_fits(path, _unit(pixels), cards),
    "adu": lambda path, pixels, cards: _write_fits(path, pixels.astype(np.float32), cards),
    "xisf": _write_xisf,
}
