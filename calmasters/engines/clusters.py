"""Frames of one master that form two clusters, and the card that tells them apart."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

import numpy as np

from calmasters.engines.frame_measures import FrameMeasure
from calmasters.errors import plain_number
from calmasters.frame import FrameType
from calmasters.headers.fits_cards import Cards
from calmasters.model.master_warning import MasterWarning, WarningKind

__all__ = ["Partition", "flats_of_two_kinds", "level_clusters", "split", "telling_cards"]

#: The frames of one of two clusters, by their index.
Partition: TypeAlias = frozenset[int]

#: Fewest frames in a cluster.
_FEWEST: Final = 2

#: The gap between two clusters over the range inside the larger one that normal, uniform and
#: steadily changing values of this many frames have in one of a thousand cases.
_FRAMES: Final = (4, 5, 6, 8, 12, 20, 50, 200)
_GAPS: Final = (42.0, 15.0, 9.4, 4.6, 2.4, 1.3, 0.65, 0.3)

#: Levels of bias frames and darks: the resolution, and the smallest gap that matters: in ADU, and
#: in units of the noise of a frame. The engine finds single frames that differ by as much.
_RESOLUTION_ADU: Final = 0.2
_LEAST_ADU: Final = 2.0
_LEAST_NOISES: Final = 2.0
#: Smallest gap between levels of flats, as a logarithm: lamps vary, with long tails.
_LEAST_SHARE: Final = 0.1
#: Cards of which a canonical keyword is made, or that describe a file and not a frame.
_NO_KEYWORDS: Final = frozenset(
    {"EXPTIME", "EXPOSURE", "COMMENT", "HISTORY", "", "CHECKSUM", "DATASUM", "BZERO", "BSCALE"}
    | {"BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "CCD-TEMP", "SIMPLE", "EXTEND", "PEDESTAL"}
)
#: Words in the names of cards that tell a time or what was measured of the frame.
_MEASURED_CARDS: Final = ("DATE", "TIME", "JD", "DATA", "MEAN", "MEDIAN", "WHITE", "BLACK", "AIRM")

#: Levels that differ less are one cluster, whatever their range.
_LEAST_RATIO: Final = 1.1
#: Cards of what changes in a night anyway: telescope, dome, focuser, weather, counters.
_CHANGING: Final = re.compile(
    r"PIER|SIDE|FOC|^ALT|^AZ|^RA|^DEC|OBJCT|^HA$|DOME|MOON|SUN|HUM|PRES|WIND|TEMP|DEW|SKY|ROT|SEQ|"
    r"COUNT|NUM|FILENAME|WEATH|SEEING|GUID"
)


def split(values: Sequence[float], resolution: float, least: float) -> Partition | None:
    """Split values into two clusters of at least two; None where they are one.

    Parameters
    ----------
    values : sequence of float
    resolution : float
        Added to the range inside the clusters: values that are closer are equal.
    least : float
        The smallest gap between clusters that matters.

    Returns
    -------
    frozenset of int
        Indices of the smaller cluster; of two of equal size, of the one with higher values.
    """
    count = len(values)
    if count < 2 * _FEWEST or not np.isfinite(values).all():
        return None
    order = np.argsort(values, kind="stable")
    ordered = np.asarray(values, np.float64)[order]
    gaps = np.diff(ordered)[_FEWEST - 1 : count - _FEWEST]
    before = np.arange(_FEWEST, count - _FEWEST + 1)
    inside = np.maximum(ordered[before - 1] - ordered[0], ordered[-1] - ordered[before])
    ratios = gaps / (inside + resolution)
    best = int(ratios.argmax())
    limit = math.exp(np.interp(math.log(count), np.log(_FRAMES), np.log(_GAPS)))
    if ratios[best] < limit or gaps[best] < least:
        return None
    first = int(before[best])
    low, high = order[:first], order[first:]
    return frozenset(map(int, low if len(low) < len(high) else high))


def level_clusters(kind: FrameType, levels: Sequence[float], noise: float) -> Partition | None:
    """Find two clusters of levels, ADU: of flats by their ratio, of other frames by difference.

    Parameters
    ----------
    kind : FrameType
    levels : sequence of float
    noise : float
        Of one bias frame or dark; levels closer than twice that are one cluster.
    """
    if kind is FrameType.FLAT:
        return split([math.log(max(1e-3, level)) for level in levels], 1e-3, _LEAST_SHARE)
    return split(levels, _RESOLUTION_ADU, max(_LEAST_ADU, _LEAST_NOISES * noise))


def telling_cards(one: Sequence[Cards], other: Sequence[Cards]) -> Iterator[str]:
    """Yield cards that all frames have, and whose values differ between clusters, not inside them.

    Parameters
    ----------
    one, other : sequence of Cards
        The headers of the frames of two clusters.
    """
    for name in sorted({name for cards in one for name in cards}):
        if name in _NO_KEYWORDS or any(word in name for word in _MEASURED_CARDS):
            continue
        first, second = ({each.get(name) for each in side} for side in (one, other))
        if len(first) == len(second) == 1 and first != second and None not in first | second:
            yield name


def flats_of_two_kinds(
    paths: Sequence[str],
    measures: Sequence[FrameMeasure],
    base: FrameMeasure | None,
    read: Callable[[str], Cards],
) -> Iterator[MasterWarning]:
    """Warn of flats of two levels that also differ in a card: perhaps of two filters.

    Levels alone say nothing: the sky changes, and lamps are set.

    Parameters
    ----------
    paths : sequence of str
    measures : sequence of FrameMeasure
    base : FrameMeasure or None
        Of what is subtracted from them.
    read : callable
        Gives the header of a path; only called where there are two levels.
    """
    dark = base.level if base else 0.0
    levels_adu = [65535 * (each.level - dark) for each in measures]
    if min(levels_adu) <= 0 or max(levels_adu) < _LEAST_RATIO * min(levels_adu):
        return
    partition = level_clusters(FrameType.FLAT, levels_adu, 0.0)
    if partition is None:
        return
    sides = [
        [i for i in range(len(paths)) if (i in partition) is chosen] for chosen in (True, False)
    ]
    headers = [[read(paths[i]) for i in side] for side in sides]
    card = next((name for name in telling_cards(*headers) if not _CHANGING.search(name)), None)
    if card is None:
        return
    texts = []
    for side, cards in zip(sides, headers, strict=True):
        level = plain_number(float(np.median([levels_adu[i] for i in side])), 4)
        texts.append(f"{cards[0][card]} ({len(side)} flats, {level} ADU)")
    yield MasterWarning(
        WarningKind.OUTLIERS,
        f"the flats form two clusters of level, and of {card}: {' and '.join(texts)}; if they do"
        f" not belong together, add {card} to required_keywords.flat",
    )
