"""Warnings of masters that are computed correctly but have weak input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from calmasters.model.master_warning import MasterWarning, WarningKind

__all__ = ["weak_dark", "weak_factors", "weak_flats"]

#: A factor outside of this range is more likely a failed search than a real dark current.
_PLAUSIBLE_K: Final = (0.1, 3.0)

#: Levels of calibrated flats in [0, 1]: below, the offset and its pattern matter; above, the
#: response of cameras is not linear.
_FAINT: Final = 0.01
_BRIGHT: Final = 0.8

#: Ratio of the brightest to the faintest flat: above, their noise differs so much that equal
#: weights waste light.
_UNEVEN: Final = 2.0

#: Dark less bias, 16-bit ADU: below, they do not match; above, there was a light leak.
_DARK_ADU: Final = (-20.0, 3000.0)


def weak_factors(factors: Sequence[float | None]) -> Iterator[MasterWarning]:
    """Warn of uncertain factors of the dark.

    Parameters
    ----------
    factors : sequence of float or None
        k of each flat; None if the dark was not scaled.
    """
    low, high = _PLAUSIBLE_K
    odd = [k for k in factors if k is not None and not low < k < high]
    if odd:
        yield MasterWarning(
            WarningKind.CALIBRATION,
            f"the dark's factor is outside {low:g} to {high:g} for {len(odd)} of"
            f" {len(factors)} frames ({min(odd):.3f} to {max(odd):.3f}): these"
            " flats do not determine it; consider optimizeDarks: false",
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
