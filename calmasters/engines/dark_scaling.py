"""Judge the factor by which a dark is scaled to flats of another exposure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from calmasters.engines.result_warnings import weak_master_dark
from calmasters.images.raw_frame import Image
from calmasters.model.job import MasterJob
from calmasters.model.master_warning import MasterWarning, WarningKind

__all__ = ["FEWEST_THERMAL_PIXELS", "DarkScaling", "thermal_pixels", "weak_factors"]

#: With fewer pixels above the noise of a dark, its factor cannot be searched.
FEWEST_THERMAL_PIXELS: Final = 16

#: Range of the factor where exposures are not known.
_PLAUSIBLE_K: Final = (0.1, 3.0)

#: The signal of a dark is measured on one of this many pixels, but on some ten thousand at least.
_SIGNAL_STEP: Final = 61
_SIGNAL_SAMPLES: Final = 10_000

#: Percentile of a dark's pixels that stands for those with much dark current.
_WARM_PERCENTILE: Final = 99.0

#: The search finds the factor of hot pixels and of a level, unless what that changes is below this
#: share of the noise of a flat. Where another factor is found, the dark is not what it should be.
_SEEN_NOISE: Final = 0.25

#: Columns from a pixel to its neighbours of the same colour.
_BESIDE: Final = 2

_CHECK_DARKS: Final = (
    "check the darks, which do not fit the flats: are they sums of frames, are some of another"
    " exposure, or was there light?"
)

#: A factor that was not searched is wrong by the same amount in each flat: every ADU counts.
_ONE_ADU: Final = 1 / 65535


@dataclass(frozen=True, slots=True)
class DarkScaling:
    """What the factor of a dark is judged by.

    Attributes
    ----------
    lowest, highest : float
        Range of the factor by the exposures of the flats and the dark.
    signal : float
        Of the dark less the bias, where the dark current is high; in [0, 1].
    flat_exposure_s : float or None
        Median; None where it is not known.
    is_searched : bool
        Whether the dark has enough pixels above its noise for the search of its factor.
    seen : float
        What of the signal the search surely sees: its level, and hot pixels. Not the glow of an
        amplifier, which the vignetting of flats hides: there the search fails.
    is_weak : bool
        Whether the dark does not match its bias.
    """

    lowest: float
    highest: float
    signal: float
    flat_exposure_s: float | None
    is_searched: bool = True
    seen: float = 0.0
    is_weak: bool = False

    @classmethod
    def of(cls, job: MasterJob, signal: float) -> Self:
        """Take the exposures from a job."""
        usual, shortest, longest = (
            job.header.get(keyword) for keyword in ("EXPTIME", "EXPMIN", "EXPMAX")
        )
        if not isinstance(usual, float) or not job.dark or not job.dark.exposure_s:
            return cls(*_PLAUSIBLE_K, signal, None)
        low = shortest if isinstance(shortest, float) else usual
        high = longest if isinstance(longest, float) else usual
        dark_s = job.dark.exposure_s
        return cls(low / dark_s, high / dark_s, signal, usual)

    @classmethod
    def measured(cls, job: MasterJob, thermal: Image, bias: Image) -> Self:
        """Take the exposures from a job, and measure its dark, given less its bias."""
        return replace(
            cls.of(job, _dark_signal(thermal)),
            seen=_seen_signal(thermal),
            is_weak=any(weak_master_dark(thermal, bias)),
        )

    def error(self, k: float) -> float:
        """Return what a factor outside of the range adds to pixels with high dark current."""
        return self._distance(k) * self.signal

    def _distance(self, k: float) -> float:
        return max(self.lowest - k, k - self.highest, 0.0)

    def remedy(self, factors: Sequence[float], noise: float) -> str:
        """Return what makes factors right, for the noise of a flat."""
        if self.lowest == self.highest == 1:
            # The dark has the exposure of the flats: it needs no factor, if its header is right.
            # If not, to subtract it without one would ruin the flats.
            seen = max(map(self._distance, factors)) * self.seen
            if self.is_weak or seen > _SEEN_NOISE * noise:
                return _CHECK_DARKS
            return "set calibration: {flat: {optimizeDarks: false}}"
        exposure_s = self.flat_exposure_s
        wanted = "the exposure of the flats" if exposure_s is None else f"{exposure_s:g} s"
        return f"take darks of {wanted}"

    @property
    def unsearched(self) -> float:
        """The factor of a dark with too few pixels above its noise: 1, or 0 if 1 is more wrong.

        PixInsight always takes 1, and so subtracts all the dark current of 300 s from flats of 2 s.
        """
        return min((1.0, 0.0), key=self.error)


def _dark_signal(thermal: Image) -> float:
    """Return the signal of a dark less its bias where the dark current is high."""
    return _warm(thermal.reshape(-1)[:: _step(thermal)])


def _seen_signal(thermal: Image) -> float:
    """Return the level of a dark less its bias, or the signal of hot pixels if that is more."""
    places = np.arange(0, thermal.size, _step(thermal))
    before, here, after = (
        thermal.take(places + shift, mode="wrap") for shift in (-_BESIDE, 0, _BESIDE)
    )
    return max(abs(float(np.median(here))), _warm(here - (before + after) / 2))


def _step(thermal: Image) -> int:
    return max(1, min(_SIGNAL_STEP, thermal.size // _SIGNAL_SAMPLES))


def _warm(signal: NDArray[Any]) -> float:
    return float(np.percentile(np.abs(signal), _WARM_PERCENTILE))


def thermal_pixels(thermal: Image, sigmas: float, *, cfa: bool) -> int:
    """Count the pixels of a dark less its bias that are above its noise.

    These are the pixels from median + ``sigmas`` * 1.4826 MAD on; with ``cfa``, of the means of
    the 2 x 2 cells of a Bayer mosaic.
    """
    if cfa:
        height, width = (side // 2 * 2 for side in thermal.shape)
        thermal = thermal[:height, :width].reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
    centre = np.median(thermal)
    deviation = 1.4826 * np.median(np.abs(thermal - centre))
    return int(np.count_nonzero(thermal >= min(max(centre + sigmas * deviation, 0.0), 1.0)))


def weak_factors(
    factors: Sequence[float | None], scaling: DarkScaling | None, noise: float
) -> Iterator[MasterWarning]:
    """Warn of factors of the dark that contradict the exposures and damage the flat.

    Short flats have hardly any dark current, and the search then finds any factor. Where the
    difference is below the noise of the flat, and that of all flats below the noise of their
    master, there is nothing to warn of.

    Parameters
    ----------
    factors : sequence of float or None
        k of each flat; None if the dark was not scaled.
    scaling : DarkScaling or None
        None if the dark is not scaled.
    noise : float
        Of a pixel of a flat, in [0, 1].
    """
    known = [k for k in factors if k is not None]
    if scaling is None or not known:
        return
    errors = [*map(scaling.error, known)]
    is_common = sum(errors) / len(errors) > noise / math.sqrt(len(errors))
    limit = noise if scaling.is_searched and not is_common else _ONE_ADU
    odd = [(k, error) for k, error in zip(known, errors, strict=True) if error > limit]
    if odd:
        values = [k for k, _ in odd]
        worst = 65535 * max(error for _, error in odd)
        yield MasterWarning(
            WarningKind.CALIBRATION,
            f"the dark's factor is {_range(min(values), max(values))} for {len(odd)} of"
            f" {len(factors)} frames, expected {_range(scaling.lowest, scaling.highest)}: pixels"
            f" with high dark current are wrong by up to {worst:.0f} ADU;"
            f" {scaling.remedy(values, noise)}",
        )


def _range(low: float, high: float) -> str:
    ends = f"{low:.3f}", f"{high:.3f}"
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)
