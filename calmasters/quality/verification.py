"""Apply a master to the frames it was made of: what remains must be noise, and nothing else.

A frame less the master that was made of it has a mean of 0, the noise of a single frame less the
share that is in the master, and no pattern. The mean of all frames less the master shows what the
master has lost or gained: a wrong calibration, shifted rows, or frames that it was not made of.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Final

import numpy as np

from calmasters.frame import FrameType
from calmasters.quality.estimate import Estimate
from calmasters.quality.pairs import clipped
from calmasters.quality.sample import Float32, FrameSample
from calmasters.quality.sequence import standing_out
from calmasters.settings import Integration

__all__ = ["Applied", "Residuals", "verify"]

#: Pixels of a frame that are compared, and rows that stay together.
_PIXELS: Final = 1 << 17
_ROWS: Final = 16

#: Columns of a tile of :data:`_ROWS` rows, whose means show large structures.
_TILE: Final = 64

#: Larger residuals of one frame, in sigmas, are limited to this: cosmic rays, hot pixels.
_LIMIT: Final = 5.0

#: Uncertainty of the mean in units of the noise of a frame: the rejection takes more of the high
#: samples than of the low ones.
_FLOOR: Final = 0.02

#: Variance of a combination in units of that of the mean, of normal noise.
_VARIANCE: Final = {"Average": 1.0, "Median": math.pi / 2}

#: The same as a share of the level, where the engine does not say how it scaled the frames.
_UNKNOWN_SCALE: Final = 0.002

#: Lower limit of the scatter of the noise of frames, relative, and fewest frames that show it.
_NOISE_SCATTER: Final = 0.05
_FEWEST: Final = 5

#: A pattern counts if it is this many standard deviations above what noise makes.
_SIGNIFICANT: Final = 5.0


@dataclass(frozen=True)
class Applied:
    """A master, and what was done to each frame before they were combined; all levels in ADU.

    Attributes
    ----------
    master : (rows, columns) array of float32
        The rows of the sample.
    kind : FrameType
    integration : Integration
    bias, thermal : (rows, columns) array of float32, or float
        ``bias + factor * thermal`` was subtracted from each frame; 0 for none.
    factors : sequence of float
        Of each frame.
    locations : sequence of float or None
        Levels by which the engine scaled the frames; None where it does not tell.
    odd : frozenset of int
        Frames that differ from the others: the rejection keeps them out of the master.
    """

    master: Float32
    kind: FrameType
    integration: Integration
    bias: Float32 | float
    thermal: Float32 | float
    factors: Sequence[float]
    locations: Sequence[float] | None = None
    odd: frozenset[int] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Residuals:
    """What remains of the frames when the master is applied to them.

    Attributes
    ----------
    mean_adu : Estimate
        Mean of all frames less the master.
    noise_adu, noise_over_expected : float
        Noise of one frame less the master; the same over what the differences of frames predict.
    pixels_over_noise : float
        Deviation of the pixels of all frames' mean less the master, over the noise of such a mean:
        what the rejection took, or 1.4 and more if the master is of other frames.
    rows_adu, columns_adu, large_adu : float
        Standard deviation of the means of rows, of columns and of tiles (16 x 64 pixels), less
        what noise makes of it; 0 if that is not significant.
    frame_noise_adu : sequence of float
        Of each frame less the master.
    kind : FrameType
    """

    mean_adu: Estimate
    noise_adu: float
    noise_over_expected: float
    pixels_over_noise: float
    rows_adu: float
    columns_adu: float
    large_adu: float
    frame_noise_adu: Sequence[float]
    kind: FrameType

    @property
    def mean_over_error(self) -> float:
        """The mean in units of its uncertainty."""
        value, error = self.mean_adu.known or (0.0, 1.0)
        return value / error

    @property
    def pattern_over_noise(self) -> float:
        """The strongest pattern over the noise of one frame."""
        return max(self.rows_adu, self.columns_adu, self.large_adu) / self.noise_adu

    @cached_property
    def noisy_frames(self) -> dict[int, str]:
        """Frames whose noise stands out, and how, by their index; of flats it depends on light."""
        if self.kind is FrameType.FLAT or len(self.frame_noise_adu) < _FEWEST:
            return {}
        usual = float(np.median(self.frame_noise_adu))
        odd = standing_out(self.frame_noise_adu, _NOISE_SCATTER * usual)
        return {
            place: f"its noise is {self.frame_noise_adu[place]:.3g} ADU, usual {usual:.3g}"
            for place in odd
            if self.frame_noise_adu[place] > usual
        }


def verify(sample: FrameSample, applied: Applied) -> Residuals | None:
    """Apply a master to a sample of its frames.

    Parameters
    ----------
    sample : FrameSample
    applied : Applied
        Its arrays have the rows of the sample.

    Returns
    -------
    Residuals or None
        None if there are less than two usual frames, if they have less than two columns (of one
        colour), if they have no noise, or if the master is not an average or a median.

    Notes
    -----
    The noise is that of differences of neighbours in a row (of the same colour), so that a change
    of light is none. It is predicted by differences of successive frames: ``var(a - b) / 2`` times
    ``1 - 2/N + v/N``, since the master contains each frame and has itself the variance ``v/N`` of
    that of a frame: ``v`` is 1 for an average, and pi/2 for a median.
    """
    combined = _VARIANCE.get(applied.integration.combination)
    frames = _Frames(sample, applied)
    usual = [place for place in range(len(sample.frames)) if place not in applied.odd]
    if combined is None or len(usual) < 2 or frames.master.shape[1] <= frames.step:
        return None
    singles = frames.single_variances(usual)
    noise = math.sqrt(singles)
    if not noise:
        return None
    total = np.zeros_like(frames.master)
    variances = []
    for place in range(len(sample.frames)):
        residual = frames.calibrated(place) - frames.master
        variances.append(_variance(residual, frames.step))
        if place not in applied.odd:
            limit = np.float32(_LIMIT * noise + abs(float(np.median(residual))))
            total += np.clip(residual, -limit, limit)
    mean = total / np.float32(len(usual))
    remaining = math.sqrt(float(np.mean([variances[place] for place in usual])))
    return Residuals(
        mean_adu=_mean(mean, math.hypot(frames.scale_error, _FLOOR * noise)),
        noise_adu=remaining,
        noise_over_expected=remaining / (noise * math.sqrt(1 - (2 - combined) / len(usual))),
        pixels_over_noise=float(mean.std(dtype=np.float64)) * math.sqrt(len(usual)) / noise,
        rows_adu=_pattern(mean.mean(axis=1), mean, mean.shape[1]),
        columns_adu=_pattern(mean.mean(axis=0), mean, mean.shape[0]),
        large_adu=_large(mean),
        frame_noise_adu=[math.sqrt(each) for each in variances],
        kind=applied.kind,
    )


class _Frames:
    """The frames as they were combined, of evenly spaced groups of rows."""

    def __init__(self, sample: FrameSample, applied: Applied) -> None:
        self.step = 2 if sample.mosaic else 1
        self._sample, self._applied = sample, applied
        count, width = sample.frames.shape[1:]
        groups = max(1, count // _ROWS)
        wanted = min(groups, max(2, _PIXELS // (width * _ROWS)))
        starts = [int(start) * _ROWS for start in np.linspace(0, groups - 1, wanted)]
        rows = [row for start in sorted({*starts}) for row in range(start, start + _ROWS)]
        self._rows = rows if count >= _ROWS else [*range(count)]
        self.master = applied.master[self._rows]
        self._bias, self._thermal = (
            np.float32(part) if isinstance(part, float) else part[self._rows]
            for part in (applied.bias, applied.thermal)
        )
        self._scales, self._shifts = self._normalization()

    def _raw(self, place: int) -> Float32:
        factor = np.float32(self._applied.factors[place])
        frame: Float32 = self._sample.frames[place][self._rows]
        return frame - (self._bias + factor * self._thermal)

    def _normalization(self) -> tuple[Sequence[float], Sequence[float]]:
        """Give the factor and the summand that bring each frame to the level of the first one."""
        method = self._applied.integration.normalization
        count = len(self._sample.frames)
        if method == "NoNormalization":
            return [1.0] * count, [0.0] * count
        levels = self._applied.locations or [
            float(np.median(self._raw(place))) for place in range(count)
        ]
        if method == "Additive":
            return [1.0] * count, [levels[0] - level for level in levels]
        return [levels[0] / max(level, 1e-9) for level in levels], [0.0] * count

    @property
    def scale_error(self) -> float:
        """Uncertainty of the level, ADU, where the engine does not tell how it scaled frames."""
        is_plain = self._applied.integration.normalization == "NoNormalization"
        if is_plain or self._applied.locations is not None:
            return 0.0
        return _UNKNOWN_SCALE * float(np.median(self.master))

    def calibrated(self, place: int) -> Float32:
        """Give a frame as it was combined, ADU."""
        return self._raw(place) * np.float32(self._scales[place]) + np.float32(self._shifts[place])

    def single_variances(self, places: Sequence[int]) -> float:
        """Give the mean variance of single frames, from differences of successive ones."""
        closed = [*places, *places[:1]] if len(places) > 2 else places
        return float(
            np.mean(
                [
                    _variance(self.calibrated(first) - self.calibrated(second), self.step) / 2
                    for first, second in pairwise(closed)
                ]
            )
        )


def _variance(image: Float32, step: int) -> float:
    """Return the variance by differences of neighbours in a row, without outliers."""
    differences = image[:, step:] - image[:, :-step]
    return float(clipped(differences).var(dtype=np.float64)) / 2


def _mean(residual: Float32, floor: float) -> Estimate:
    inner = clipped(residual)
    error = float(inner.std(dtype=np.float64)) / math.sqrt(max(1, inner.size))
    return Estimate(float(inner.mean(dtype=np.float64)), math.hypot(error, floor))


def _large(residual: Float32) -> float:
    height, width = residual.shape[0] // _ROWS, residual.shape[1] // _TILE
    if height * width < 2:
        return 0.0
    inner = residual[: height * _ROWS, : width * _TILE]
    tiles = inner.reshape(height, _ROWS, width, _TILE).mean(axis=(1, 3))
    return _pattern(tiles.ravel(), inner, _ROWS * _TILE)


def _pattern(means: Float32, residual: Float32, pixels: int) -> float:
    """Return the deviation of means of ``pixels`` pixels each, less what noise makes of it."""
    if len(means) < 2:
        return 0.0
    kept = clipped(means - np.median(means))
    of_noise = float(clipped(residual).var(dtype=np.float64)) / pixels
    excess = float(kept.var(dtype=np.float64)) - of_noise
    is_significant = excess > _SIGNIFICANT * of_noise * math.sqrt(2 / len(means))
    return math.sqrt(excess) if is_significant else 0.0
