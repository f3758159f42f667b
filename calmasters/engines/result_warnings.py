"""Warnings of masters that are computed correctly but have weak input."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calmasters.engines.frame_measures import FrameMeasure
from calmasters.images.raw_frame import Image
from calmasters.model.master_warning import MasterWarning, WarningKind

__all__ = [
    "ZERO_SHARE",
    "bright_base",
    "clipped_flats",
    "constant_frames",
    "dark_without_bias",
    "low_offset",
    "mixed_mosaics",
    "quiet_flats",
    "random_flats",
    "repeated_frames",
    "saturated_below_white",
    "structured_bias",
    "weak_dark",
    "weak_flats",
    "weak_master_dark",
    "zero_pixels",
    "zeros_warning",
]

#: An overscan that is so much higher in flats than in bias frames sees light: ADU, and share of the
#: light of the image. The level of a camera drifts less in a night.
_LIT_OVERSCAN_ADU: Final = 50.0
_LIT_OVERSCAN: Final = 0.01

#: Share of the pixels at 0 from which on a column is dark.
_DARK_COLUMN: Final = 0.95

#: Steps between values that differ by such a factor are of two scales: 14 bits are shifted by 2.
_OTHER_STEP: Final = 4.0
#: Frames with less noise, in [0, 1], can be alike by chance: a hundredth of an ADU.
_NO_NOISE: Final = 0.01 / 65535
#: The level of an image is measured on one of this many pixels.
_LEVEL_STEP: Final = 61

#: Pixels of a flat below this share of its level count as 0: a single sample of noise was not cut.
ZERO_SHARE: Final = 1e-3

#: Levels of calibrated flats in [0, 1]: below, the offset and its pattern matter; above (as a share
#: of white), the response of cameras is not linear.
_FAINT: Final = 0.01
_BRIGHT: Final = 0.8

#: Ratio of the brightest to the faintest flat: above, their noise differs so much that equal
#: weights waste light.
_UNEVEN: Final = 2.0

#: Flats that are less than this above their bias had no light; in [0, 1].
_UNLIT: Final = 0.001

#: Share of the samples of a flat that may be saturated, as the ranges of ``quality`` say.
_CLIPPED_SHARE: Final = 0.001

#: Dark less bias, 16-bit ADU: below, they do not match; above, there was a light leak.
_DARK_ADU: Final = (-20.0, 3000.0)
#: Cameras of 12 bits may write 4095 for white: a dark this many times its bias above it has a light
#: leak, too, if the difference is larger than this.
_DARK_RATIO: Final = 3.0
_DARK_RATIO_ADU: Final = 1000.0

#: The levels of regions of a bias differ by up to this share of its level, and this many ADU:
#: amplifiers have offsets of their own.
_BIAS_SPREAD: Final = 0.25
_BIAS_SPREAD_ADU: Final = 100.0

#: Cameras have higher offsets, since the noise of a frame would be cut off otherwise.
_NO_OFFSET: Final = 16 / 65535

#: Full pixels have less noise than those that are ordinarily bright.
_TOP_NOISE: Final = 0.6

#: The noise of a master is less than this share of that of frames; the pattern of the sensor, which
#: both have, is a part of it. More than this number of frames of like level are compared, with the
#: noise that this share of them does not exceed.
_QUIET: Final = 0.8
_LIKE_LEVEL: Final = 0.15
_FEWEST_ALIKE: Final = 3
_USUAL_NOISE: Final = 0.8

#: Neighbouring pixels of a flat differ by less than this share of its level; of 25 electrons, the
#: median difference is 20 % of the level.
_RANDOM: Final = 0.2

#: Colours of a mosaic whose share of the level differs by more are at other places.
_OTHER_MOSAIC: Final = 0.05

#: Share of the samples at 0 above which the noise is cut off, in frames whose level is less than
#: this many times the noise.
_ZEROS: Final = 0.01
_NEAR_ZERO: Final = 4.0

#: A bias at this share of white was exposed, or is a sum.
_BRIGHT_BASE: Final = 0.2


def zero_pixels(flat: Image) -> Iterator[MasterWarning]:
    """Warn of pixels of a master flat that are at 0, or nearly so: lights are divided by it."""
    level = float(np.median(flat.reshape(-1)[::_LEVEL_STEP]))
    dark = flat <= ZERO_SHARE * level
    if zeros := int(np.count_nonzero(dark)):
        yield zeros_warning(f"{zeros} pixel{'s are' if zeros > 1 else ' is'}", _dark_edges(dark))


def zeros_warning(count: str, edges: str = "") -> MasterWarning:
    """Warn of some pixels of a master flat that are at 0, or nearly so."""
    return MasterWarning(
        WarningKind.SAMPLES,
        f"{count} at 0 (below {ZERO_SHARE:.1%} of the level): dead, or as bright in the bias or"
        f" dark as in the flats; mask them in lights that are divided by this flat{edges}",
    )


def _dark_edges(dark: NDArray[np.bool_]) -> str:
    """Say which whole columns at the edges are dark: they may be an overscan."""
    lit = np.flatnonzero(dark.mean(axis=0) < _DARK_COLUMN)
    left, right = (lit[0], dark.shape[1] - 1 - lit[-1]) if len(lit) else (0, 0)
    if not left and not right:
        return ""
    return (
        f"; {left} whole columns at the left edge and {right} at the right are dark: if that is the"
        " overscan of the camera, give its sections in cameras (docs/overscan.md)"
    )


def weak_flats(
    paths: Sequence[str], levels: Sequence[float], white: float = 1.0
) -> Iterator[MasterWarning]:
    """Warn of flats that are faint, nearly saturated, or of very different levels.

    Parameters
    ----------
    paths : sequence of str
    levels : sequence of float
        Of each flat less what is subtracted from it, in [0, 1].
    white : float
        The level of saturated pixels.
    """
    by_level = sorted(zip(levels, paths, strict=True))
    (lowest, faintest), (highest, brightest) = by_level[0], by_level[-1]
    sentences = []
    if lowest < _UNLIT:
        unlit = sum(level < _UNLIT for level in levels)
        sentences.append(
            f"{unlit} of {len(levels)} flats are as dark as the bias, such as {faintest} with"
            f" {round(65535 * lowest)} ADU more: the telescope was covered, the shutter closed, or"
            " the lamp off; exclude them, and take them again"
        )
    elif lowest < _FAINT:
        sentences.append(f"{faintest} has {65535 * lowest:.0f} ADU: expose flats longer")
    if highest > _BRIGHT * white:
        share = highest / white
        sentences.append(f"{brightest} is at {share:.0%} of saturation: expose flats shorter")
    if lowest >= _UNLIT and highest > _UNEVEN * lowest:
        sentences.append(
            f"{brightest} is {highest / lowest:.1f} times as bright as {faintest}: if one of"
            " them does not belong to this group, exclude it"
        )
    yield from (MasterWarning(WarningKind.LEVEL, sentence) for sentence in sentences)


def clipped_flats(
    paths: Sequence[str], measures: Sequence[FrameMeasure]
) -> Iterator[MasterWarning]:
    """Warn of flats in which many samples have the highest value: there the camera is saturated.

    Cameras of 12 or 14 bits are saturated at 4095 or 16383, or at a multiple of it.
    """
    clipped = [
        (measure.plateau, path, measure.highest)
        for path, measure in zip(paths, measures, strict=True)
        if _CLIPPED_SHARE < measure.plateau < 1
    ]
    if clipped:
        share, path, highest = max(clipped)
        yield MasterWarning(
            WarningKind.LEVEL,
            f"{len(clipped)} of {len(paths)} flats are saturated at {65535 * highest:.0f} ADU, such"
            f" as {path} in {share:.1%} of its samples: expose flats shorter, or dim the light",
        )


def saturated_below_white(
    paths: Sequence[str], measures: Sequence[FrameMeasure]
) -> Iterator[MasterWarning]:
    """Warn of flats with less noise where they are brightest: the pixels are full, not the ADC."""
    full = [
        (measure.top_noise, path)
        for path, measure in zip(paths, measures, strict=True)
        if measure.top_noise < _TOP_NOISE and measure.plateau <= _CLIPPED_SHARE
    ]
    if full:
        least, path = min(full)
        yield MasterWarning(
            WarningKind.LEVEL,
            f"{len(full)} of {len(paths)} flats, such as {path}, have in their brightest parts"
            f" {least:.0%} of the noise of the others: the sensor is saturated there, below the"
            " highest value; expose flats shorter, or dim the light",
        )


def quiet_flats(paths: Sequence[str], measures: Sequence[FrameMeasure]) -> Iterator[MasterWarning]:
    """Warn of flats with less noise than others of like level: they are averages."""
    levels, noises = (
        np.array([getattr(measure, name) for measure in measures]) for name in ("level", "noise")
    )
    quiet = []
    for path, level, noise in zip(paths, levels, noises, strict=True):
        alike = noises[abs(levels - level) <= _LIKE_LEVEL * level]
        # Not their median: half of them may be averages.
        usual = np.quantile(alike, _USUAL_NOISE, method="lower")
        if len(alike) > _FEWEST_ALIKE and noise < _QUIET * usual:
            quiet.append((noise / usual, path))
    if quiet:
        share, path = min(quiet)
        yield MasterWarning(
            WarningKind.OUTLIERS,
            f"{len(quiet)} of {len(paths)} flats, such as {path}, have {share:.0%} of the noise of"
            " others of this level: they are masters, or were processed; exclude them",
        )


def random_flats(paths: Sequence[str], measures: Sequence[FrameMeasure]) -> Iterator[MasterWarning]:
    """Warn of flats that are noise: no light gives neighbouring pixels such different samples."""
    scattered = [
        path
        for path, each in zip(paths, measures, strict=True)
        if each.scatter > _RANDOM * each.level
    ]
    if scattered:
        yield MasterWarning(
            WarningKind.SAMPLES,
            f"in {len(scattered)} of {len(paths)} flats, such as {scattered[0]}, neighbours differ"
            f" by more than {_RANDOM:.0%} of the level: the bytes of the samples are in the wrong"
            " order, or the files are damaged; write or copy them again",
        )


def mixed_mosaics(
    paths: Sequence[str], measures: Sequence[FrameMeasure]
) -> Iterator[MasterWarning]:
    """Warn of flats whose mosaic of colours is that of others, flipped or moved by a pixel."""
    mosaics = [each.mosaic / max(each.mosaic.mean(), _UNLIT) for each in measures]
    first = mosaics[0]
    flipped = [
        path
        for path, mosaic in zip(paths, mosaics, strict=True)
        if (apart := np.abs(mosaic - first).max()) > _OTHER_MOSAIC
        and any(np.abs(np.flip(mosaic, axis) - first).max() < apart / 4 for axis in (0, 1, None))
    ]
    if flipped:
        yield MasterWarning(
            WarningKind.OUTLIERS,
            f"{len(flipped)} of {len(paths)} flats, such as {flipped[0]}, have the colours of their"
            f" mosaic at other places than {paths[0]}: rows or columns are in another order, or"
            " moved by one, as by another program, driver or subframe; exclude the frames of one"
            " kind",
        )


def low_offset(paths: Sequence[str], measures: Sequence[FrameMeasure]) -> Iterator[MasterWarning]:
    """Warn of bias frames and darks whose noise is cut off at 0."""
    cut = [
        (measure.zeros, path)
        for path, measure in zip(paths, measures, strict=True)
        # Columns that are not used may be 0 in any frame.
        if measure.zeros > _ZEROS and measure.level < _NEAR_ZERO * measure.noise
    ]
    if cut:
        share, path = max(cut)
        yield MasterWarning(
            WarningKind.LEVEL,
            f"in {len(cut)} of {len(paths)} frames, such as {path}, up to {share:.0%} of the"
            " samples are 0: the offset of the camera is too low, and noise is cut off, so their"
            " average is too high; take all frames again with a higher offset",
        )


def lit_overscan(
    measures: Sequence[FrameMeasure], base: FrameMeasure | None
) -> Iterator[MasterWarning]:
    """Warn of light in the overscan of flats: it is subtracted from the light of the image.

    Parameters
    ----------
    measures : sequence of FrameMeasure
        Of flats.
    base : FrameMeasure or None
        Of what is subtracted from them.
    """
    levels = [each.overscan_adu for each in measures if each.overscan_adu is not None]
    if not levels or base is None or base.overscan_adu is None:
        return
    light = 65535 * (float(np.median([each.level for each in measures])) - base.level)
    more = float(np.median(levels)) - base.overscan_adu
    if more > max(_LIT_OVERSCAN_ADU, _LIT_OVERSCAN * (light + more)):
        yield MasterWarning(
            WarningKind.CALIBRATION,
            f"the overscan of the flats is {more:.0f} ADU above that of their bias or dark: light"
            " reaches it, and is missing in the flats; give other columns in cameras"
            " (config/README.md), or set overscan: 'off'",
        )


def other_step(
    measures: Sequence[FrameMeasure], base: FrameMeasure | None
) -> Iterator[MasterWarning]:
    """Warn of samples with other steps than those of what is subtracted: another scale.

    Some programs shift the 12 bits of a camera, so that all samples are multiples of 16, and some
    do not.

    Parameters
    ----------
    measures : sequence of FrameMeasure
        Of flats or darks.
    base : FrameMeasure or None
        Of a frame of their bias, or else of their dark.
    """
    steps = [each.step_adu for each in measures if each.step_adu]
    if not steps or base is None or not base.step_adu:
        return
    step = float(np.median(steps))
    if max(step, base.step_adu) >= _OTHER_STEP * min(step, base.step_adu):
        yield MasterWarning(
            WarningKind.CALIBRATION,
            f"its samples have steps of {step:g} ADU, and those of the bias or dark that belongs to"
            f" it {base.step_adu:g} ADU: another bit depth or scale; take both with one program"
            " and the same settings",
        )


def constant_frames(
    paths: Sequence[str], measures: Sequence[FrameMeasure]
) -> Iterator[MasterWarning]:
    """Warn of frames in which all samples are equal."""
    constant = [
        (path, measure.highest)
        for path, measure in zip(paths, measures, strict=True)
        if measure.plateau == 1
    ]
    if constant:
        path, level = constant[0]
        yield MasterWarning(
            WarningKind.SAMPLES,
            f"all samples are equal in {len(constant)} of {len(paths)} frames, such as {path} with"
            f" {65535 * level:.0f} ADU: the camera gave no image, or is saturated; exclude them,"
            " check the camera and its driver, and take them again",
        )


def repeated_frames(
    paths: Sequence[str], measures: Sequence[FrameMeasure]
) -> Iterator[MasterWarning]:
    """Warn of frames with the pixels of others: no camera takes the same noise twice.

    Their files differ, or they would be copies: in the time, in another card, or in some pixels,
    such as those of a time that is written into the image.
    """
    first_with: dict[tuple[int, int], str] = {}
    repeated: dict[str, str] = {}
    for path, measure in zip(paths, measures, strict=True):
        if measure.noise > _NO_NOISE:
            firsts = [first_with.setdefault(band, path) for band in enumerate(measure.content)]
            others = [first for first in firsts if first != path]
            if 2 * len(others) > len(firsts):
                repeated[path] = others[0]
    if repeated:
        path, first = next(iter(repeated.items()))
        yield MasterWarning(
            WarningKind.SAMPLES,
            f"{len(repeated)} of {len(paths)} frames have the pixels of others, such as {path}"
            f" those of {first}: the camera or its driver gave an image more than once, or files"
            " were copied and changed; exclude all but one of each image",
        )


def structured_bias(measures: Sequence[FrameMeasure]) -> Iterator[MasterWarning]:
    """Warn of bias frames whose level changes across the image, as by light."""
    low, high = 65535 * np.median([_ends(measure.cells) for measure in measures], axis=0)
    level = 65535 * float(np.median([measure.level for measure in measures]))
    limit = max(_BIAS_SPREAD_ADU, _BIAS_SPREAD * level)
    if high - low > limit:
        yield MasterWarning(
            WarningKind.LEVEL,
            f"the level of the bias frames goes from {low:.0f} to {high:.0f} ADU across the image,"
            " as in exposed frames: check the types of the frames, cover the camera, and take them"
            " again",
        )


def bright_base(level: float, white: float) -> Iterator[MasterWarning]:
    """Warn of a bias or dark of flats, such as one of a library, at a level of exposed frames."""
    if level > _BRIGHT_BASE * white:
        yield MasterWarning(
            WarningKind.CALIBRATION,
            f"what is subtracted from the flats is at {65535 * level:.0f} ADU, {level / white:.0%}"
            " of the range: its frames were exposed, or it is a sum; check this bias or dark",
        )


def dark_without_bias(level: float) -> Iterator[MasterWarning]:
    """Warn of a dark that is subtracted alone, and seems to contain no bias."""
    if level < _NO_OFFSET:
        yield MasterWarning(
            WarningKind.CALIBRATION,
            f"the dark is at {65535 * level:.0f} ADU, as one from which the bias was subtracted,"
            " and no bias is subtracted from the flats, so all of it stays in them: take bias"
            " frames, or put the master bias beside the dark",
        )


def _ends(cells: NDArray[np.float64]) -> tuple[float, float]:
    """Return the lowest and highest level along the axis in which it changes more.

    Medians across the other axis leave out cells with hot pixels.
    """
    profiles = (np.median(cells, axis=axis) for axis in (0, 1))
    steepest = max(profiles, key=np.ptp)
    return float(steepest.min()), float(steepest.max())


def weak_master_dark(thermal: Image, bias: Image) -> Iterator[MasterWarning]:
    """Warn of a master dark, given less its bias, that does not match the bias."""
    levels = (float(np.median(each.reshape(-1)[::_LEVEL_STEP])) for each in (thermal, bias))
    yield from weak_dark(*(65535 * level for level in levels))


def weak_dark(signal_adu: float, bias_adu: float = math.inf) -> Iterator[MasterWarning]:
    """Warn of a dark that does not match its bias.

    Parameters
    ----------
    signal_adu : float
        Level of the dark less that of the bias, 16-bit ADU.
    bias_adu : float, optional
        Level of the bias.
    """
    low, high = _DARK_ADU
    high = min(high, max(_DARK_RATIO_ADU, _DARK_RATIO * bias_adu))
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
