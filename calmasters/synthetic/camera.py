"""A model camera with known true pixel values, and a writer of its frames as FITS files.

Tests compare masters with the true values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from calmasters.frame import Value

__all__ = ["Camera", "Hits", "write_frame"]

Pixels: TypeAlias = NDArray[np.uint16]
Map: TypeAlias = NDArray[np.float32]

#: Numbers of the random streams of a camera, so that the streams are independent.
_BIAS, _DARK, _FLAT, _NOISE, _HITS = range(5)

_FITS_BLOCK: Final = 2880


class Hits(NamedTuple):
    """Cosmic ray hits of a frame: positions and signal (three arrays of equal length)."""

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    adu: Map


@dataclass(frozen=True)
class Camera:
    """A camera with known true pixel values; a seed determines each frame.

    Attributes
    ----------
    name : str
        INSTRUME.
    width, height : int
        Pixels.
    set_temp_c, gain, offset, readout_mode, bayerpat
        Settings for the header; they do not change the pixels.
    pedestal_adu, read_noise_adu : float
        Mean level of a bias frame, and read noise.
    electrons_per_adu : float
        Determines the shot noise: a signal of s ADU has a variance of s / electrons_per_adu ADU².
    dark_rate_adu_s : float
        Dark current of a normal pixel, ADU per second.
    hot_pixels : float
        Fraction of pixels with an additional 1 to 200 ADU per second.
    hits : int
        Cosmic ray hits per frame, independent of the exposure.
    seed : int
        Cameras with different seeds have different patterns.
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
        """True offset, (height, width), ADU: a column pattern plus a pixel pattern."""
        random = self._random(_BIAS)
        columns = random.normal(0.0, 3.0, self.width)
        pattern = random.normal(self.pedestal_adu, 2.0, (self.height, self.width))
        return (pattern + columns).astype(np.float32)

    @cached_property
    def dark_rate(self) -> Map:
        """True dark current, (height, width), ADU per second: uniform, corner glow, hot pixels."""
        random = self._random(_DARK)
        y, x = self._unit_grid()
        rate = self.dark_rate_adu_s * (1.0 + 2.0 * np.exp(-8.0 * ((x - 1.0) ** 2 + (y - 1.0) ** 2)))
        hot = self._places(random, round(self.hot_pixels * rate.size))
        rate.flat[hot] += 200.0 ** random.uniform(0.0, 1.0, hot.size)
        return rate.astype(np.float32)

    @cached_property
    def flat_field(self) -> Map:
        """True response, (height, width), median 1: vignetting times pixel response."""
        y, x = self._unit_grid()
        vignetting = 1.0 - 0.2 * (x**2 + y**2)
        response = self._random(_FLAT).normal(1.0, 0.01, vignetting.shape)
        field = vignetting * response
        return (field / np.median(field)).astype(np.float32)

    def mean_adu(self, exposure_s: float = 0.0, flux_adu_s: float = 0.0) -> Map:
        """Mean of frames with these parameters: bias + exposure (dark rate + flux x flat field).

        Parameters
        ----------
        exposure_s : float
        flux_adu_s : float
            Signal of a pixel with response 1, ADU per second.

        Returns
        -------
        (height, width) float32, ADU
        """
        return self.bias + self._signal_adu(exposure_s, flux_adu_s)

    def sigma_adu(self, exposure_s: float = 0.0, flux_adu_s: float = 0.0) -> Map:
        """Noise of such a frame, (height, width), ADU: read, shot and rounding (1/12 ADU²)."""
        variance: Map = self._analogue_variance(exposure_s, flux_adu_s) + np.float32(1 / 12)
        return np.sqrt(variance)

    def cosmic_hits(self, seed: int) -> Hits:
        """Return the hits on the frame with this seed; no two are on the same pixel."""
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
        """Take a frame; the same seed gives the same frame.

        Shot noise is Gaussian, so that the noise of a mean is known exactly even if a pixel
        collects few electrons.

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
        """Return coordinates y, x from -1 to 1 across the frame, for broadcasting."""
        y = np.linspace(-1.0, 1.0, self.height)[:, np.newaxis]
        return y, np.linspace(-1.0, 1.0, self.width)[np.newaxis]


def write_frame(path: Path, pixels: Pixels, header: Mapping[str, Value | bool | None]) -> None:
    """Write a frame as capture programs do: unsigned 16-bit FITS, stored with BZERO 32768.

    Parameters
    ----------
    path : Path
        Missing folders are created.
    pixels : (height, width) uint16
    header : mapping of str to Value
        Cards after the structural cards; None writes no card.
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
    # Subtracting 32768 from an unsigned 16-bit number flips its highest bit.
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
        raise ValueError(
            f"FITS card {keyword} = {value!r} is longer than 80 characters; shorten it"
        )
    return card


def _padded(block: bytes, filler: bytes) -> bytes:
    return block + filler * (-len(block) % _FITS_BLOCK)
