"""Warnings of masters that are computed correctly but have weak input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from calmasters.images.raw_frame import Image
from calmasters.model.master_warning import MasterWarning, WarningKind

__all__ = ["ZERO_SHARE", "weak_dark", "weak_flats", "zero_pixels", "zeros_warning"]

#: The level of a flat is measured on one of this many pixels.
_LEVEL_STEP: Final = 61

#: Pixels of a flat below this share of its level count as 0: a single sample of noise was not cut.
ZERO_SHARE: Final = 1e-3

#: Levels of calibrated flats in [0, 1]: below, the offset and its pattern matter; above, the
#: response of cameras is not linear.
_FAINT: Final = 0.01
_BRIGHT: Final = 0.8

#: Ratio of the brightest to the faintest flat: above, their noise differs so much that equal
#: weights waste light.
_UNEVEN: Final = 2.0

#: Dark less bias, 16-bit ADU: below, they do not match; above, there was a light leak.
_DARK_ADU: Final = (-20.0, 3000.0)


def zero_pixels(flat: Image) -> Iterator[MasterWarning]:
    """Warn of pixels of a master flat that are at 0, or nearly so: lights are divided by it."""
    level = float(np.median(flat.reshape(-1)[::_LEVEL_STEP]))
    if zeros := int(np.count_nonzero(flat <= ZERO_SHARE * level)):
        yield zeros_warning(f"{zeros} pixel{'s are' if zeros > 1 else ' is'}")


def zeros_warning(count: str) -> MasterWarning:
    """Warn of some pixels of a master flat that are at 0, or nearly so."""
    return MasterWarning(
        WarningKind.SAMPLES,
        f"{count} at 0 (below {ZERO_SHARE:.1%} of the level): dead, or as bright in the bias or"
        " dark as in the flats; mask them in lights that are divided by this flat",
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
