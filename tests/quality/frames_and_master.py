"""Frames of a synthetic camera and the master that the native engine's kernels make of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from calmasters.engines.native import reference_flats
from calmasters.engines.native.integration import Normalization, integrate
from calmasters.frame import FrameType
from calmasters.quality.sample import ADU, Float32, FrameSample
from calmasters.quality.verification import Applied
from calmasters.settings import Integration
from calmasters.synthetic.camera import Camera

Change = Callable[[int, np.ndarray], np.ndarray]

#: Exposure and light of a frame of each type.
_EXPOSED = {FrameType.BIAS: (0.0, 0.0), FrameType.DARK: (60.0, 0.0), FrameType.FLAT: (1.0, 28e3)}


def integration_of(kind: FrameType) -> Integration:
    if kind is FrameType.FLAT:
        return Integration(normalization="Multiplicative", rejectionNormalization="EqualizeFluxes")
    return Integration()


class _InMemory:
    """Frames in memory as the engine reads them."""

    has_codes = False

    def __init__(self, samples: Float32) -> None:
        self._samples = samples
        self.count, self.size = samples.shape

    def read(self, start: int, samples: Float32) -> None:
        samples[:] = self._samples[:, start : start + samples.shape[1]]


@dataclass(frozen=True)
class Made:
    """Frames, ADU, and what the engine makes of them."""

    frames: Float32
    kind: FrameType
    master: Float32
    locations: Sequence[float] | None
    mosaic: bool = False

    @property
    def sample(self) -> FrameSample:
        return FrameSample(self.frames, tuple(range(self.frames.shape[1])), self.mosaic)

    def applied(
        self,
        master: Float32 | None = None,
        bias: Float32 | float = 0.0,
        thermal: Float32 | float = 0.0,
    ) -> Applied:
        return Applied(
            self.master if master is None else master,
            self.kind,
            integration_of(self.kind),
            bias,
            thermal,
            [1.0] * len(self.frames),
            self.locations,
        )


def combined(
    frames: Float32, kind: FrameType, offset: Float32 | float = 0.0, *, mosaic: bool = False
) -> Made:
    """Combine frames less an offset, as the native engine does."""
    unit = ((frames - np.float32(offset)) / np.float32(ADU)).astype(np.float32)
    settings, locations = integration_of(kind), None
    normalization = Normalization.none(len(unit))
    if kind is FrameType.FLAT:
        locations = [reference_flats.location(frame) for frame in unit]
        normalization = Normalization.of(settings, locations)
    stack = _InMemory(unit.reshape(len(unit), -1))
    pixels = integrate(stack, settings, normalization, threads=1).pixels
    in_adu = locations and [location * ADU for location in locations]
    return Made(frames, kind, pixels.reshape(unit.shape[1:]) * np.float32(ADU), in_adu, mosaic)


def exposed(
    camera: Camera, kind: FrameType, count: int, first: int = 0, change: Change | None = None
) -> Float32:
    """Take frames of a type; ``change`` alters the pixels of each one."""
    exposure_s, flux = _EXPOSED[kind]
    taken = [camera.expose(first + number, exposure_s, flux) for number in range(count)]
    if change:
        taken = [
            np.clip(np.rint(change(number, frame.astype(np.float64))), 0, 65535)
            for number, frame in enumerate(taken)
        ]
    return np.array(taken, np.float32)
