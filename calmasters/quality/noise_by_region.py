"""Gain, noise, white and linearity of each amplifier and colour."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from calmasters.quality.estimate import Estimate
from calmasters.quality.photon_transfer import (
    MOST_LEVEL_RATIO,
    MOST_LEVEL_RATIO_WITHOUT_BIAS,
    PhotonTransfer,
    choose_pairs,
    photon_transfer,
)
from calmasters.quality.quality_record import RegionQuality
from calmasters.quality.read_noise import dark_noise, quantum
from calmasters.quality.regions import Region
from calmasters.quality.response import linearity, pile_up, white
from calmasters.quality.sample import Float32

__all__ = ["Dark", "FlatFrames", "of_bias", "of_camera", "of_flats"]

#: How the numbers of regions give one of the camera.
_COMBINED: Final = {
    "gain_e_adu": Estimate.mean,
    "read_noise_adu": Estimate.mean,
    "read_noise_e": Estimate.mean,
    "white_adu": Estimate.lowest,
    "full_well_e": Estimate.lowest,
    "nonlinearity_percent": Estimate.largest,
}

#: Samples from this share of white on are saturated.
_SATURATED: Final = 0.999
_NO_READ_NOISE: Final = Estimate.unknown("no bias frames whose noise was measured")


class Dark(NamedTuple):
    """What is known of a camera without light.

    Attributes
    ----------
    offset : (rows, columns) array of float32 or None
        The master bias in the rows of the sample, ADU.
    frames : float
        Number of frames in it.
    regions : mapping of str to RegionQuality
        The numbers of its frames, by the name of the region.
    """

    offset: Float32 | None
    frames: float
    regions: Mapping[str, RegionQuality]

    def number(self, region: Region, name: str) -> Estimate:
        """Return a number of the bias frames in one region."""
        found = self.regions.get(region.name) or self.regions.get("")
        return found.estimates[name] if found else _NO_READ_NOISE


class FlatFrames(NamedTuple):
    """Sampled flats, and what their headers say.

    Attributes
    ----------
    frames : (frames, rows, columns) array of float32
        Raw, ADU.
    exposures_s : sequence of float or None
        None where any is unknown.
    saturate_adu : float or None
        SATURATE.
    """

    frames: Float32
    exposures_s: Sequence[float] | None
    saturate_adu: float | None


def of_bias(frames: Float32, regions: Sequence[Region]) -> list[RegionQuality]:
    """Measure the noise of bias frames by region.

    Parameters
    ----------
    frames : (frames, rows, columns) array of float32
        Of a sample, ADU.
    regions : sequence of Region
    """
    step = quantum(frames[0])
    measured = []
    for region in regions:
        noise = dark_noise(frames, region, step)
        estimates = {"pixel_variance_adu2": noise.variance, "read_noise_adu": noise.read_noise}
        measured.append(RegionQuality(region.amplifier, region.colour, estimates))
    return measured


def of_flats(flats: FlatFrames, regions: Sequence[Region], dark: Dark) -> list[RegionQuality]:
    """Measure gain, white and linearity by region; see :mod:`photon_transfer`.

    Parameters
    ----------
    flats : FlatFrames
    regions : sequence of Region
    dark : Dark
    """
    means = [_tile_means(flats.frames, region, dark.offset) for region in regions]
    if not means:
        return []
    known = all(dark.number(region, "pixel_variance_adu2").known for region in regions)
    ratio = MOST_LEVEL_RATIO if known else MOST_LEVEL_RATIO_WITHOUT_BIAS
    pairs = choose_pairs(np.concatenate(means, axis=1), ratio)
    piled = pile_up(flats.frames)
    whites = [each for each in (piled, flats.saturate_adu) if each is not None]
    limit = _SATURATED * min([65535.0, *whites])
    measured = []
    for region, signal in zip(regions, means, strict=True):
        transfer = photon_transfer(
            flats.frames,
            region,
            pairs,
            dark.offset,
            (dark.number(region, "pixel_variance_adu2"), dark.frames),
            limit,
        )
        estimates = _estimates(flats, region, dark, np.median(signal, axis=1), transfer)
        points = [list(point) for point in transfer.points]
        measured.append(RegionQuality(region.amplifier, region.colour, estimates, points))
    return measured


def of_camera(regions: Sequence[RegionQuality]) -> dict[str, Estimate]:
    """Combine the numbers of all regions, by name.

    Gain and read noise are weighted means; white and full well are the lowest; linearity is that
    of the region that deviates most.
    """
    names = dict.fromkeys(name for region in regions for name in region.estimates)
    return {
        name: Estimate.combined([region.estimates[name] for region in regions], _COMBINED[name])
        for name in names
        if name in _COMBINED
    }


def _tile_means(frames: Float32, region: Region, offset: Float32 | None) -> np.ndarray:
    def means(frame: Float32) -> np.ndarray:
        return np.asarray(region.tiles(frame).mean(axis=(1, 2), dtype=np.float64))

    zero = 0.0 if offset is None else means(offset)
    return np.asarray(np.stack([means(frame) for frame in frames]) - zero)


def _estimates(
    flats: FlatFrames,
    region: Region,
    dark: Dark,
    signal: np.ndarray,
    transfer: PhotonTransfer,
) -> dict[str, Estimate]:
    samples = flats.frames[:, region.rows, region.columns]
    offset = 0.0 if dark.offset is None else float(np.median(region.tiles(dark.offset)))
    read_noise = dark.number(region, "read_noise_adu")
    highest = white(
        signal + offset,
        flats.exposures_s,
        float(samples.max()),
        pile_up(samples),
        transfer.knee,
        flats.saturate_adu,
    )
    signal_of_white = _less(highest, offset)
    unknown = Estimate.unknown("the offset is not known: this flat uses no bias")
    straight = unknown
    if dark.offset is not None:
        shot = [math.sqrt(max(1.0, level) / (transfer.gain.value or 1.0)) for level in signal]
        errors = [each / math.sqrt(samples[0].size) for each in shot]
        straight = linearity(signal, flats.exposures_s, errors, signal_of_white.value)
    gain = _widened(transfer.gain, straight)
    return {
        "gain_e_adu": gain,
        "read_noise_adu": read_noise,
        "read_noise_e": read_noise.times(gain),
        "white_adu": highest,
        "full_well_e": signal_of_white.times(gain) if dark.offset is not None else unknown,
        "nonlinearity_percent": straight,
    }


def _widened(gain: Estimate, straight: Estimate) -> Estimate:
    """Make the uncertainty of a gain larger where the response bends.

    With a signal that lacks the share ``n``, shot noise over level lacks ``3 n``; half of it on
    the average over a ramp. A bend within twice its uncertainty may be chance, and does not count.
    """
    if gain.known is None or straight.known is None:
        return gain
    value, error = straight.known
    bend = abs(value) / 100 if abs(value) > 2 * error else 0.0
    return Estimate(gain.known[0], math.hypot(gain.known[1], 1.5 * bend * gain.known[0]))


def _less(estimate: Estimate, offset: float) -> Estimate:
    if estimate.known is None:
        return estimate
    return Estimate(estimate.known[0] - offset, estimate.known[1])
