"""A session with known truth: the example, and the tests' data.

``python -m calmasters.synthetic DIRECTORY`` writes one, as N.I.N.A. writes its frames. The camera
is a model of which every part is known, so that a master can be held against what it should be.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from calmasters.frame import FrameType, Value

__all__ = ["Camera", "Hits", "Session", "Shot", "nina_header", "write_frame", "write_session"]

Pixels: TypeAlias = NDArray[np.uint16]
Map: TypeAlias = NDArray[np.float32]

#: Names of the random streams of a camera: one number each, so that no two share their numbers.
_BIAS, _DARK, _FLAT, _NOISE, _HITS = range(5)

_FITS_BLOCK: Final = 2880

#: Start of the first night; the zone is west of Greenwich, so that a night has two UTC dates.
_FIRST_NOON: Final = datetime(2026, 1, 16, 12, tzinfo=timezone(timedelta(hours=-7)))
_DUSK, _NIGHTFALL, _DAWN = timedelta(hours=6), timedelta(hours=9), timedelta(hours=18.5)

#: Median level of a flat, ADU: somewhat below the middle of the range, as flats are exposed.
_FLAT_LEVEL_ADU: Final = 28_000.0
_SKY_ADU_S: Final = 2.0


class Hits(NamedTuple):
    """Where cosmic rays struck a frame, and the charge they left (three arrays of one length)."""

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    adu: Map


@dataclass(frozen=True)
class Camera:
    """A camera whose every pixel is known; frames are made from it by seed.

    Attributes
    ----------
    name : str
        INSTRUME.
    width, height : int
        Pixels.
    set_temp_c, gain, offset, readout_mode, bayerpat
        Settings as the header has them; they do not change the pixels.
    pedestal_adu, read_noise_adu : float
        Mean level of a bias frame, and the noise of one read.
    electrons_per_adu : float
        Sets the shot noise: a signal of s ADU has a variance of s / electrons_per_adu ADU².
    dark_rate_adu_s : float
        Dark current of a common pixel, ADU per second.
    hot_pixels : float
        Share of pixels with 1 to 200 ADU per second more.
    hits : int
        Cosmic ray hits on every frame, whatever its exposure.
    seed : int
        Cameras of another seed have other patterns.
    """

    name: str = "ATR585M"
    width: int = 320
    height: int = 240
    set_temp_c: float = -10.0
    gain: int = 100
    offset: int = 150
    readout_mode: str = "Low Noise"
    bayerpat: str | None = None
    pedestal_adu: float = 600.0
    read_noise_adu: float = 5.0
    electrons_per_adu: float = 0.8
    dark_rate_adu_s: float = 0.2
    hot_pixels: float = 0.002
    hits: int = 6
    seed: int = 1

    @cached_property
    def bias(self) -> Map:
        """True offset pattern, (height, width), ADU: columns, and a pattern of single pixels."""
        random = self._random(_BIAS)
        columns = random.normal(0.0, 3.0, self.width)
        pattern = random.normal(self.pedestal_adu, 2.0, (self.height, self.width))
        return (pattern + columns).astype(np.float32)

    @cached_property
    def dark_rate(self) -> Map:
        """True dark current, (height, width), ADU per second: even, a corner's glow, hot pixels."""
        random = self._random(_DARK)
        y, x = self._unit_grid()
        rate = self.dark_rate_adu_s * (1.0 + 2.0 * np.exp(-8.0 * ((x - 1.0) ** 2 + (y - 1.0) ** 2)))
        hot = self._places(random, round(self.hot_pixels * rate.size))
        rate.flat[hot] += 200.0 ** random.uniform(0.0, 1.0, hot.size)
        return rate.astype(np.float32)

    @cached_property
    def flat_field(self) -> Map:
        """True response, (height, width), median 1: vignetting times each pixel's own."""
        y, x = self._unit_grid()
        vignetting = 1.0 - 0.2 * (x**2 + y**2)
        response = self._random(_FLAT).normal(1.0, 0.01, vignetting.shape)
        field = vignetting * response
        return (field / np.median(field)).astype(np.float32)

    def mean_adu(self, exposure_s: float = 0.0, flux_adu_s: float = 0.0) -> Map:
        """Mean of all frames like this: bias + exposure (dark rate + flux x flat field).

        Parameters
        ----------
        exposure_s : float
        flux_adu_s : float
            Light on a pixel of response 1, ADU per second.

        Returns
        -------
        (height, width) float32, ADU
        """
        return self.bias + self._signal_adu(exposure_s, flux_adu_s)

    def sigma_adu(self, exposure_s: float = 0.0, flux_adu_s: float = 0.0) -> Map:
        """Noise of one such frame, (height, width), ADU: read, shot, and rounding (1/12 ADU²)."""
        variance: Map = self._analogue_variance(exposure_s, flux_adu_s) + np.float32(1 / 12)
        return np.sqrt(variance)

    def cosmic_hits(self, seed: int) -> Hits:
        """Tell the hits on the frame of this seed; no two on one pixel."""
        random = self._random(_HITS, seed)
        rows, columns = np.divmod(self._places(random, self.hits), self.width)
        return Hits(rows, columns, random.uniform(3e3, 2e4, self.hits).astype(np.float32))

    def bias_frame(self, seed: int) -> Pixels:
        """Take a bias frame; see :meth:`expose`."""
        return self.expose(seed)

    def dark_frame(self, exposure_s: float, seed: int) -> Pixels:
        """Take a dark frame; see :meth:`expose`."""
        return self.expose(seed, exposure_s)

    def flat_frame(self, exposure_s: float, flux_adu_s: float, seed: int) -> Pixels:
        """Take a flat frame; see :meth:`expose`."""
        return self.expose(seed, exposure_s, flux_adu_s)

    def expose(self, seed: int, exposure_s: float = 0.0, flux_adu_s: float = 0.0) -> Pixels:
        """Take a frame: the same seed always gives the same frame.

        Shot noise is Gaussian, so that the noise of a mean is known exactly also where a
        pixel collects few electrons.

        Returns
        -------
        (height, width) uint16, ADU
        """
        shape = (self.height, self.width)
        frame = self._random(_NOISE, seed).standard_normal(shape, dtype=np.float32)
        frame *= np.sqrt(self._analogue_variance(exposure_s, flux_adu_s))
        frame += self.mean_adu(exposure_s, flux_adu_s)
        hits = self.cosmic_hits(seed)
        frame[hits.rows, hits.columns] += hits.adu
        return np.clip(np.rint(frame), 0, 65535).astype(np.uint16)

    def _signal_adu(self, exposure_s: float, flux_adu_s: float) -> Map:
        if not flux_adu_s:
            return np.float32(exposure_s) * self.dark_rate
        return np.float32(exposure_s) * (self.dark_rate + np.float32(flux_adu_s) * self.flat_field)

    def _analogue_variance(self, exposure_s: float, flux_adu_s: float) -> Map:
        shot = self._signal_adu(exposure_s, flux_adu_s) / np.float32(self.electrons_per_adu)
        return shot + np.float32(self.read_noise_adu**2)

    def _random(self, *stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *stream])

    def _places(self, random: np.random.Generator, count: int) -> NDArray[np.intp]:
        return random.choice(self.width * self.height, count, replace=False)

    def _unit_grid(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Coordinates y, x from -1 to 1 across the frame, to be broadcast."""
        y = np.linspace(-1.0, 1.0, self.height)[:, np.newaxis]
        return y, np.linspace(-1.0, 1.0, self.width)[np.newaxis]


@dataclass(frozen=True)
class Shot:
    """One exposure: what was taken, when, and in what light.

    Attributes
    ----------
    type : FrameType
    start : datetime
        Local time, with its zone.
    exposure_s, flux_adu_s : float
        As :meth:`Camera.expose` takes them.
    filter : str or None
        FILTER; None writes no card.
    seed : int
        As :meth:`Camera.expose` takes it; also the number in the file's name.
    """

    type: FrameType
    start: datetime
    exposure_s: float = 0.0
    flux_adu_s: float = 0.0
    filter: str | None = None
    seed: int = 0

    def path(self, camera: Camera) -> Path:
        """Where N.I.N.A. puts it by default: ``night/TYPE/time_filter_temperature_exposure_n``."""
        night = f"{self.start - timedelta(hours=12):%Y-%m-%d}"
        name = (
            f"{self.start:%Y-%m-%d_%H-%M-%S}_{self.filter or ''}_{camera.set_temp_c:.2f}"
            f"_{self.exposure_s:.2f}s_{self.seed:04d}.fits"
        )
        return Path(night, self.type.value.upper(), name)

    def write(self, directory: Path, camera: Camera) -> Path:
        """Take it and write it below ``directory``; returns the file."""
        path = directory / self.path(camera)
        pixels = camera.expose(self.seed, self.exposure_s, self.flux_adu_s)
        write_frame(path, pixels, nina_header(camera, self))
        return path


@dataclass(frozen=True)
class Session:
    """What was taken over some nights: bias and darks on the first, flats and lights on each.

    Attributes
    ----------
    camera : Camera
    bias, darks, flats, lights : int
        Number of bias frames, of darks of each exposure, of flats of each night and filter, and
        of lights of each night.
    dark_exposures_s : sequence of float
    flat_exposures_s : (float, float)
        Shortest and longest: the twilight fades, and each flat is exposed longer than the last.
    filters : sequence of str
    nights : int
        Flats are taken at dusk on the first night and all odd ones, at dawn on the others.
    broken : int
        Frames whose file was cut in the middle (the first flats, written again).
    """

    camera: Camera = Camera()
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
        """All whole exposures: bias, darks, flats, lights; numbered from 1."""
        shots = (*self._darkness(), *self._twilights(), *self._lights())
        return [replace(shot, seed=number) for number, shot in enumerate(shots, 1)]

    def _darkness(self) -> Iterator[Shot]:
        start = _FIRST_NOON + _NIGHTFALL
        for number in range(self.bias):
            yield Shot(FrameType.BIAS, start + timedelta(seconds=number))
        for exposure_s, _ in product(self.dark_exposures_s, range(self.darks)):
            start += timedelta(seconds=exposure_s + 60)
            yield Shot(FrameType.DARK, start, exposure_s)

    def _twilights(self) -> Iterator[Shot]:
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
    """Make the cards that N.I.N.A. writes, in its order; a value of None writes no card.

    The example for names and spellings is a header written by N.I.N.A. 3.2. The sensor is
    within a tenth of a degree of its set-point.
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
    # N.I.N.A. counts ticks of 100 ns: seven digits.
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}0"


def write_frame(path: Path, pixels: Pixels, header: Mapping[str, Value | bool | None]) -> None:
    """Write a frame as cameras' programs do: 16-bit unsigned FITS, stored with BZERO 32768.

    Parameters
    ----------
    path : Path
        Its folders are made.
    pixels : (height, width) uint16
    header : mapping of str to Value
        Cards after the structural ones; None writes no card.
    """
    height, width = pixels.shape
    cards: dict[str, Value | bool | None] = {
        "SIMPLE": True,
        "BITPIX": 16,
        "NAXIS": 2,
        "NAXIS1": width,
        "NAXIS2": height,
        "BZERO": 32768,
        "EXTEND": True,
        **header,
    }
    text = "".join(_card(key, value) for key, value in cards.items() if value is not None)
    # Subtracting 32768 from an unsigned number flips its highest bit.
    data = (pixels ^ np.uint16(0x8000)).astype(">u2").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_padded((text + f"{'END':<80}").encode("ascii"), b" ") + _padded(data, b"\0"))


def _card(keyword: str, value: Value | bool) -> str:
    if isinstance(value, bool):
        text = f"{'FT'[value]:>20}"
    elif isinstance(value, str):
        quoted = value.replace("'", "''")
        text = f"'{quoted:<8}'"
    else:
        text = f"{value!s:>20}".upper()
    card = f"{keyword:<8}= {text:<70}"
    if len(card) > 80:
        msg = f"writing a FITS card: {keyword} = {value!r} is longer than a card; shorten it"
        raise ValueError(msg)
    return card


def _padded(block: bytes, filler: bytes) -> bytes:
    return block + filler * (-len(block) % _FITS_BLOCK)


def write_session(directory: Path, session: Session | None = None) -> list[Path]:
    """Write a session below ``directory``: one folder a night, in it one folder a type.

    Returns
    -------
    list of Path
        The files written, the broken ones last.
    """
    session = session or Session()
    shots = session.shots()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        files = list(pool.map(lambda shot: shot.write(directory, session.camera), shots))
    flats = [file for file, shot in zip(files, shots, strict=True) if shot.type is FrameType.FLAT]
    return files + [_write_broken(file) for file in flats[: session.broken]]


def _write_broken(whole: Path) -> Path:
    content = whole.read_bytes()
    path = whole.with_stem(f"{whole.stem}_broken")
    path.write_bytes(content[: len(content) // 2])
    return path


def _parser() -> argparse.ArgumentParser:
    example = Session()
    parser = argparse.ArgumentParser(
        prog="python -m calmasters.synthetic",
        description="Write a session of raw frames with known truth, as N.I.N.A. writes them.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("directory", type=Path, help="where the frames go")
    parser.add_argument("--size", type=int, nargs=2, default=(320, 240), help="width and height")
    parser.add_argument("--dark-exposures", type=float, nargs="+", default=[1.5, 60.0], help="s")
    counts = {
        "bias": "bias frames",
        "darks": "darks of each exposure",
        "flats": "flats of each night and filter",
        "nights": "nights of flats and lights",
        "lights": "lights of each night",
        "broken": "frames cut in the middle",
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
    files = write_session(directory, Session(camera, dark_exposures_s=exposures, **options))
    print(f"{len(files)} frames of {width}x{height} in {directory}")
