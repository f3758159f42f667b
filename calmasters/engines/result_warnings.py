"""Warnings of masters that are computed correctly but have weak input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from calmasters.images.raw_frame import Image
from calmasters.model.job import MasterJob
from calmasters.model.master_warning import MasterWarning, WarningKind

__all__ = ["DarkScaling", "dark_signal", "weak_dark", "weak_factors", "weak_flats", "zero_pixels"]

#: Range of the factor where exposures are not known.
_PLAUSIBLE_K: Final = (0.1, 3.0)

#: The signal of a dark is measured on one of this many pixels, but on some ten thousand at least.
_SIGNAL_STEP: Final = 61
_SIGNAL_SAMPLES: Final = 10_000

#: Percentile of a dark's pixels that stands for those with much dark current.
_WARM_PERCENTILE: Final = 99.0

#: Pixels of a flat below this share of its level count as 0: a single sample of noise was not cut.
_ZERO_SHARE: Final = 1e-3

#: Levels of calibrated flats in [0, 1]: below, the offset and its pattern matter; above, the
#: response of cameras is not linear.
_FAINT: Final = 0.01
_BRIGHT: Final = 0.8

#: Ratio of the brightest to the faintest flat: above, their noise differs so much that equal
#: weights waste light.
_UNEVEN: Final = 2.0

#: Dark less bias, 16-bit ADU: below, they do not match; above, there was a light leak.
_DARK_ADU: Final = (-20.0, 3000.0)


_ONE_ADU: Final = 1 / 65535


@dataclass(frozen=True, slots=True)
class DarkScaling:
    """What the scaling of a dark is judged by.

    Attributes
    ----------
    lowest, highest : float
        Range of the factor by the exposures of the flats and the dark.
    signal : float
        Of the dark less the bias, where the dark current is high; in [0, 1].
    noise : float
        Of a pixel of a flat, in [0, 1].
    flat_exposure_s : float or None
        Median; None where it is not known.
    """

    lowest: float
    highest: float
    signal: float
    noise: float
    flat_exposure_s: float | None

    @classmethod
    def of(cls, job: MasterJob, signal: float, noise: float) -> Self:
        """Take the exposures from a job."""
        usual, shortest, longest = (
            job.header.get(keyword) for keyword in ("EXPTIME", "EXPMIN", "EXPMAX")
        )
        if not isinstance(usual, float) or not job.dark or not job.dark.exposure_s:
            return cls(*_PLAUSIBLE_K, signal, noise, None)
        low = shortest if isinstance(shortest, float) else usual
        high = longest if isinstance(longest, float) else usual
        dark_s = job.dark.exposure_s
        return cls(low / dark_s, high / dark_s, signal, noise, usual)

    def error(self, k: float) -> float:
        """Return what a factor outside of the range adds to pixels with high dark current."""
        return max(self.lowest - k, k - self.highest, 0.0) * self.signal


def dark_signal(thermal: Image) -> float:
    """Return the signal of a dark less its bias where the dark current is high."""
    step = max(1, min(_SIGNAL_STEP, thermal.size // _SIGNAL_SAMPLES))
    return float(np.percentile(np.abs(thermal.reshape(-1)[::step]), _WARM_PERCENTILE))


def weak_factors(
    factors: Sequence[float | None], scaling: DarkScaling | None
) -> Iterator[MasterWarning]:
    """Warn of factors of the dark that contradict the exposures and damage the flat.

    Short flats have hardly any dark current, and the search then finds any factor. Where the
    difference is below the noise of the flat, there is nothing to warn of. A factor of exactly 1
    was not searched, because too few pixels of the dark are above its noise: it is wrong by the
    same amount in each flat, so that every ADU counts.

    Parameters
    ----------
    factors : sequence of float or None
        k of each flat; None if the dark was not scaled.
    scaling : DarkScaling or None
        None if the dark is not scaled.
    """
    if scaling is None:
        return
    odd = [
        k
        for k in factors
        if k is not None and scaling.error(k) > (_ONE_ADU if k == 1 else scaling.noise)
    ]
    if odd:
        exposure_s = scaling.flat_exposure_s
        wanted = "the exposure of the flats" if exposure_s is None else f"{exposure_s:g} s"
        worst = 65535 * max(map(scaling.error, odd))
        yield MasterWarning(
            WarningKind.CALIBRATION,
            f"the dark's factor is {min(odd):.3f} to {max(odd):.3f} for {len(odd)} of"
            f" {len(factors)} frames, expected {scaling.lowest:.3f} to {scaling.highest:.3f}:"
            f" pixels with high dark current are wrong by up to {worst:.0f} ADU; take darks of"
            f" {wanted}",
        )


def zero_pixels(flat: Image) -> Iterator[MasterWarning]:
    """Warn of pixels of a master flat that are at 0, or nearly so: lights are divided by it."""
    level = float(np.median(flat.reshape(-1)[::_SIGNAL_STEP]))
    if zeros := int(np.count_nonzero(flat <= _ZERO_SHARE * level)):
        yield MasterWarning(
            WarningKind.SAMPLES,
            f"{zeros} pixel{'s are' if zeros > 1 else ' is'} at 0 (below"
            f" {_ZERO_SHARE:.1%} of the level): dead, or as bright in the bias or dark as in the"
            " flats; mask them in lights that are divided by this flat",
        )


def weak_flats(paths: Sequence[str], levels: Sequence[float]) -> Iterator[MasterWarning]:
    """Warn of flats that are faint, nearly saturated, or of very different levels.

    Parameters
    ----------
    paths : sequence of str
    levels : sequence of float
        Median of each calibrated flat, in [0, 1], above 0.
    """
    by_level = sorted(zip(levels, paths, strict=True))
    (lowest, faintest), (highest, brightest) = by_level[0], by_level[-1]
    sentences = []
    if lowest < _FAINT:
        sentences.append(f"{faintest} has {65535 * lowest:.0f} ADU: expose flats longer")
    if highest > _BRIGHT:
        sentences.append(f"{brightest} is at {highest:.0%} of saturation: expose flats shorter")
    if highest > _UNEVEN * lowest:
        sentences.append(
            f"{brightest} is {highest / lowest:.1f} times as bright as {faintest}: if one of"
            " them does not belong to this group, exclude it"
        )
    yield from (MasterWarning(WarningKind.LEVEL, sentence) for sentence in sentences)


def weak_dark(signal_adu: float) -> Iterator[MasterWarning]:
    """Warn of a dark that does not match its bias.

    Parameters
    ----------
    signal_adu : float
        Median of the master dark less the master bias, 16-bit ADU.
    """
    low, high = _DARK_ADU
    if signal_adu < low:
        yield MasterWarning(
            WarningKind.CALIBRATION,
            f"the dark is {-signal_adu:.0f} ADU fainter than the bias: they do not match; take"
            " both with the same settings and at the same temperature",
        )
    elif signal_adu > high:
        yield MasterWarning(
            WarningKind.CALIBRATION,
            f"the dark is {signal_adu:.0f} ADU brighter than the bias: there was a light leak, or"
            " the sensor was warm; cover the telescope and take it again",
        )
