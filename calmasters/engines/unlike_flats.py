"""Flats of two kinds in one master, which only a card that is not read tells apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Final

from calmasters.engines.frame_measures import FrameMeasure
from calmasters.errors import plain_number
from calmasters.frame import FrameType
from calmasters.headers.fits_cards import Cards
from calmasters.model.master_warning import MasterWarning, WarningKind

__all__ = ["flats_of_two_kinds"]

#: Levels that differ less are one cluster, whatever their range.
_LEAST_RATIO: Final = 1.1
#: Cards of what changes in a night anyway: telescope, dome, focuser, weather, counters.
_CHANGING: Final = re.compile(
    r"PIER|SIDE|FOC|^ALT|^AZ|^RA|^DEC|OBJCT|^HA$|DOME|MOON|SUN|HUM|PRES|WIND|TEMP|DEW|SKY|ROT|SEQ|"
    r"COUNT|NUM|FILENAME|WEATH|SEEING|GUID"
)


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
    # Imported here: most flats do not come to this.
    from calmasters.quality.clusters import level_clusters, telling_cards

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
        level = plain_number(median(levels_adu[i] for i in side), 4)
        texts.append(f"{cards[0][card]} ({len(side)} flats, {level} ADU)")
    yield MasterWarning(
        WarningKind.OUTLIERS,
        f"the flats form two clusters of level, and of {card}: {' and '.join(texts)}; if they do"
        f" not belong together, add {card} to required_keywords.flat",
    )
