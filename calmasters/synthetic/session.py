"""Write an observing session of a model camera: the example, and data for tests.

``python -m calmasters.synthetic DIRECTORY`` writes one, with the names and headers of N.I.N.A.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np

from calmasters.frame import FrameType, Value
from calmasters.synthetic.camera import Camera, write_frame

__all__ = ["ObservingSession", "Shot", "main", "nina_header", "write_session"]

#: Noon before the first night; the zone is west of Greenwich, so that a night has two UTC dates.
_FIRST_NOON: Final = datetime(2026, 1, 16, 12, tzinfo=timezone(timedelta(hours=-7)))
_DUSK, _NIGHTFALL, _DAWN = timedelta(hours=6), timedelta(hours=9), timedelta(hours=18.5)

#: Median level of a flat, ADU: slightly below the middle of the range, as usual.
_FLAT_LEVEL_ADU: Final = 28_000.0
_SKY_ADU_S: Final = 2.0


@dataclass(frozen=True)
class Shot:
    """One exposure: its type, start, duration and light.

    Attributes
    ----------
    type : FrameType
    start : datetime
        Local time, with time zone.
    exposure_s, flux_adu_s : float
        See :meth:`Camera.expose`.
    filter : str or None
        FILTER; None writes no card.
    seed : int
        See :meth:`Camera.expose`; also the number in the file's name.
    """

    type: FrameType
    start: datetime
    exposure_s: float = 0.0
    flux_adu_s: float = 0.0
    filter: str | None = None
    seed: int = 0

    def path(self, camera: Camera) -> Path:
        """Return N.I.N.A.'s default path: ``night/TYPE/time_filter_temperature_exposure_n``."""
        night = f"{self.start - timedelta(hours=12):%Y-%m-%d}"
        name = (
            f"{self.start:%Y-%m-%d_%H-%M-%S}_{self.filter or ''}_{camera.set_temp_c:.2f}"
            f"_{self.exposure_s:.2f}s_{self.seed:04d}.fits"
        )
        return Path(night, self.type.value.upper(), name)

    def write(self, directory: Path, camera: Camera) -> Path:
        """Take the frame, write it below ``directory``, and return its path."""
        path = directory / self.path(camera)
        pixels = camera.expose(self.seed, self.exposure_s, self.flux_adu_s)
        write_frame(path, pixels, nina_header(camera, self))
        return path


@dataclass(frozen=True)
class ObservingSession:
    """Frames of some nights: bias and darks on the first, flats and lights on each.

    Attributes
    ----------
    camera : Camera
    bias, darks, flats, lights : int
        Number of bias frames, of darks per exposure, of flats per night and filter, and of lights
        per night.
    dark_exposures_s : sequence of float
    flat_exposures_s : (float, float)
        Shortest and longest: as the twilight fades, each flat is exposed longer.
    filters : sequence of str
    nights : int
        Number of nights. Flats are taken at dusk on the first, third, … night, else at dawn.
    broken : int
        Number of truncated files: copies of the first flats, cut in the middle.
    """

    camera: Camera = field(default_factory=Camera)
    bias: int = 20
    darks: int = 12
    dark_exposures_s: Sequence[float] = (1.5, 60.0)
    flats: int = 12
    flat_exposures_s: tuple[float, float] = (1.36, 1.69)
    filters: Sequence[str] = ("B", "Ha")
    nights: int = 2
    lights: int = 3
    broken: int = 1

    def shots(self) -> list[Shot]:
        """Return all complete exposures: bias, darks, flats, lights; seeds start at 1."""
        shots = (*self._bias_and_darks(), *self._flats(), *self._lights())
        return [replace(shot, seed=number) for number, shot in enumerate(shots, 1)]

    def _bias_and_darks(self) -> Iterator[Shot]:
        start = _FIRST_NOON + _NIGHTFALL
        for number in range(self.bias):
            yield Shot(FrameType.BIAS, start + timedelta(seconds=number))
        for exposure_s, _ in product(self.dark_exposures_s, range(self.darks)):
            start += timedelta(seconds=exposure_s + 60)
            yield Shot(FrameType.DARK, start, exposure_s)

    def _flats(self) -> Iterator[Shot]:
        exposures = np.linspace(*self.flat_exposures_s, self.flats).round(2).tolist()
        random = np.random.default_rng(self.camera.seed)
        for night, filter_name in product(range(self.nights), self.filters):
            start = _noon(night) + (_DAWN if night % 2 else _DUSK)
            start += timedelta(minutes=10 * self.filters.index(filter_name))
            for number, exposure_s in enumerate(exposures):
                flux = _FLAT_LEVEL_ADU * random.normal(1.0, 0.01) / exposure_s
                moment = start + timedelta(seconds=5 * number)
                yield Shot(FrameType.FLAT, moment, exposure_s, flux, filter_name)

    def _lights(self) -> Iterator[Shot]:
        for night, number in product(range(self.nights), range(self.lights)):
            start = _noon(night) + timedelta(hours=11 + number)
            yield Shot(FrameType.LIGHT, start, 300.0, _SKY_ADU_S, self.filters[0])


def _noon(night: int) -> datetime:
    return _FIRST_NOON + timedelta(days=night)


def nina_header(camera: Camera, shot: Shot) -> dict[str, Value | bool | None]:
    """Return the cards that N.I.N.A. writes, in its order; a value of None writes no card.

    Names and values follow a header written by N.I.N.A. 3.2. The sensor is within a tenth of a
    degree of its set-point.
    """
    return {
        "IMAGETYP": shot.type.value.upper(),
        "EXPOSURE": shot.exposure_s,
        "EXPTIME": shot.exposure_s,
        "DATE-LOC": _nina_time(shot.start),
        "DATE-OBS": _nina_time(shot.start.astimezone(UTC)),
        "XBINNING": 1,
        "YBINNING": 1,
        "GAIN": camera.gain,
        "OFFSET": camera.offset,
        "EGAIN": camera.electrons_per_adu,
        "XPIXSZ": 2.9,
        "YPIXSZ": 2.9,
        "INSTRUME": camera.name,
        "SET-TEMP": camera.set_temp_c,
        "CCD-TEMP": round(camera.set_temp_c + (shot.seed % 3 - 1) / 10, 2),
        "READOUTM": camera.readout_mode,
        "BAYERPAT": camera.bayerpat,
        "TELESCOP": "Refractor 80",
        "FOCALLEN": 384.0,
        "FWHEEL": "Wheel" if shot.filter else None,
        "FILTER": shot.filter,
        "OBJECT": "M 42" if shot.type is FrameType.LIGHT else None,
        "ROWORDER": "TOP-DOWN",
        "EQUINOX": 2000.0,
        "SWCREATE": "N.I.N.A. 3.2.0.9001 (x64)",
    }


def _nina_time(moment: datetime) -> str:
    # N.I.N.A. writes units of 100 ns: seven digits.
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}0"


def write_session(directory: Path, session: ObservingSession | None = None) -> list[Path]:
    """Write a session below ``directory``, in folders per night and type.

    Returns
    -------
    list of Path
        The written files, the truncated ones last.
    """
    session = session or ObservingSession()
    shots = session.shots()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        files = list(pool.map(lambda shot: shot.write(directory, session.camera), shots))
    flats = [file for file, shot in zip(files, shots, strict=True) if shot.type is FrameType.FLAT]
    return files + [_write_truncated_copy(file) for file in flats[: session.broken]]


def _write_truncated_copy(original: Path) -> Path:
    content = original.read_bytes()
    path = original.with_stem(f"{original.stem}_broken")
    path.write_bytes(content[: len(content) // 2])
    return path


def _parser() -> argparse.ArgumentParser:
    example = ObservingSession()
    parser = argparse.ArgumentParser(
        prog="python -m calmasters.synthetic",
        description="Write raw frames with known true values, in the format of N.I.N.A.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("directory", type=Path, help="output directory")
    parser.add_argument("--size", type=int, nargs=2, default=(320, 240), help="width and height")
    parser.add_argument("--dark-exposures", type=float, nargs="+", default=[1.5, 60.0], help="s")
    counts = {
        "bias": "bias frames",
        "darks": "darks per exposure",
        "flats": "flats per night and filter",
        "nights": "number of nights",
        "lights": "lights per night",
        "broken": "truncated files",
    }
    for name, text in counts.items():
        parser.add_argument(f"--{name}", type=int, default=getattr(example, name), help=text)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``python -m calmasters.synthetic``."""
    options = vars(_parser().parse_args(arguments))
    directory, (width, height) = options.pop("directory"), options.pop("size")
    exposures = tuple(options.pop("dark_exposures"))
    camera = Camera(width=width, height=height)
    files = write_session(
        directory, ObservingSession(camera, dark_exposures_s=exposures, **options)
    )
    print(f"{len(files)} frames of {width}x{height} in {directory}")
