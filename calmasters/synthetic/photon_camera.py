"""A camera that counts photons: frames whose gain, noise, white and linearity are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["PhotonCamera"]

Map = NDArray[np.float64]


@dataclass(frozen=True)
class PhotonCamera:
    """Shot noise of Poisson, unlike that of :class:`~calmasters.synthetic.camera.Camera`.

    Attributes
    ----------
    gain : float
        Electrons per ADU.
    read_noise : float
        Of single pixels, ADU.
    row_noise : float
        That all pixels of a row have in common, ADU.
    width, height : int
    offset : float
        ADU.
    offset_pattern : float
        Standard deviation of the offset, ADU.
    response : float
        Standard deviation of the response of pixels (PRNU), a share.
    vignetting : float
        Loss of light in the middle of the edges, a share; twice in the corners.
    soft_white : float or None
        Signal, ADU, from which the well fills up slowly.
    hard_white : int
        Largest value.
    curvature : float
        Share of the signal that is lost at 65535 ADU, growing in proportion to the signal.
    step : int
        Distance of values, ADU: 16 for a camera of 12 bits whose values are shifted.
    hits : int
        Cosmic rays per frame.
    hot : float
        Share of hot pixels, which have up to 5000 ADU more in each frame.
    dark_current : float
        e-/s.
    glow : float
        Of an amplifier in the first corner, e-/s.
    warm : float
        Share of pixels with more dark current: 3 e-/s on the average.
    colours : tuple of float
        Transmission of the four pixels of a mosaic's cell, row by row.
    """

    gain: float = 0.8
    read_noise: float = 8.0
    row_noise: float = 0.0
    width: int = 256
    height: int = 256
    offset: float = 600.0
    offset_pattern: float = 2.0
    response: float = 0.01
    vignetting: float = 0.1
    soft_white: float | None = None
    hard_white: int = 65535
    curvature: float = 0.0
    step: int = 1
    hits: int = 0
    hot: float = 0.0
    dark_current: float = 0.0
    glow: float = 0.0
    warm: float = 0.0
    colours: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)

    @property
    def total_noise(self) -> float:
        """Read noise of a frame, rows included, ADU."""
        return math.hypot(self.read_noise, self.row_noise)

    def take(
        self,
        seed: int,
        bias: int,
        levels: Sequence[float],
        lamp: float = 0.0,
        tilt: float = 0.0,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Take bias frames and flats.

        Parameters
        ----------
        seed : int
            The same seed gives the same camera and the same frames.
        bias : int
            Number of bias frames.
        levels : sequence of float
            Mean signal of each flat in its centre, ADU.
        lamp, tilt : float
            Largest random change of the light between flats, a share: of all of it, and of the
            right edge against the left.

        Returns
        -------
        (frames, height, width) arrays of float32
            Of bias and of flats, ADU.
        """
        random = np.random.default_rng(seed)
        shape = (self.height, self.width)
        y = np.linspace(-1, 1, self.height)[:, None]
        x = np.linspace(-1, 1, self.width)
        shade = 1 - self.vignetting * (x**2 + y**2)
        response = shade * random.normal(1, self.response, shape)
        offset = self.offset + random.normal(0, self.offset_pattern, shape)
        hot = (random.random(shape) < self.hot) * random.uniform(0, 5000, shape)
        frames = [self._expose(random, np.zeros(shape), offset + hot) for _ in range(bias)]
        for level in levels:
            light = level * (1 + random.uniform(-lamp, lamp)) * response
            light *= 1 + random.uniform(-tilt, tilt) * x / 2
            frames.append(self._expose(random, light, offset + hot))
        stack = np.array(frames, np.float32)
        return stack[:bias], stack[bias:]

    def expose(
        self,
        seed: int,
        exposures_s: Sequence[float],
        levels: Sequence[float] = (),
        light: Map | None = None,
    ) -> NDArray[np.float32]:
        """Take frames of any type.

        Parameters
        ----------
        seed : int
            Of the frames; the camera is always the same one.
        exposures_s : sequence of float
            Of each frame; 0 for a bias.
        levels : sequence of float
            Signal of each flat where ``light`` is 1, ADU; empty for frames without light.
        light : (height, width) array of float64, optional
            What falls on the sensor; even light where omitted.

        Returns
        -------
        (frames, height, width) array of float32
            ADU.
        """
        sensor = np.random.default_rng(0)
        shape = (self.height, self.width)
        y, x = np.linspace(-1, 1, self.height)[:, None], np.linspace(-1, 1, self.width)
        response = (1 - self.vignetting * (x**2 + y**2)) * sensor.normal(1, self.response, shape)
        for place, transmission in enumerate(self.colours):
            response[place // 2 :: 2, place % 2 :: 2] *= transmission
        offset = self.offset + sensor.normal(0, self.offset_pattern, shape)
        corner = np.exp(-3 * np.hypot(y + 1, x + 1))
        rate = self.dark_current + self.glow * corner
        rate = rate + (sensor.random(shape) < self.warm) * sensor.exponential(3.0, shape)
        random = np.random.default_rng([1, seed])
        lit = response if light is None else response * light
        frames = [
            self._expose(random, level * lit + exposure_s * rate / self.gain, offset)
            for exposure_s, level in zip(
                exposures_s, levels or [0.0] * len(exposures_s), strict=True
            )
        ]
        return np.array(frames, np.float32)

    def _expose(self, random: np.random.Generator, light: Map, offset: Map) -> Map:
        signal = random.poisson(np.maximum(0, light) * self.gain) / self.gain
        signal *= 1 - self.curvature * signal / 65535
        if self.soft_white is not None:
            more = np.maximum(0, signal - self.soft_white)
            signal = np.minimum(signal, self.soft_white) + 0.3 * more / (1 + more / 20_000)
        signal += offset + random.normal(0, self.read_noise, light.shape)
        if self.row_noise:
            signal += random.normal(0, self.row_noise, (len(light), 1))
        if self.hits:
            places = random.integers(0, signal.size, self.hits)
            signal.flat[places] += random.uniform(3e3, 2e4, self.hits)
        whole = np.rint(signal / self.step) * self.step
        return np.asarray(np.clip(whole, 0, self.hard_white))
