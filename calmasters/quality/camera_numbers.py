"""Gain and noise of a camera setting, from all its bias and flat masters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeAlias

from calmasters.frame import FrameType
from calmasters.quality.estimate import Estimate
from calmasters.quality.quality_record import QualityRecord, RegionQuality

__all__ = ["combined_regions"]

_Combine: TypeAlias = Callable[[list[Estimate]], Estimate]

#: How the numbers of several masters give one. Disagreement makes an uncertainty larger.
_FROM_FLATS: Final[Mapping[str, _Combine]] = MappingProxyType(
    {
        "gain_e_adu": Estimate.mean,
        "white_adu": Estimate.lowest,
        "full_well_e": Estimate.lowest,
        "nonlinearity_percent": Estimate.mean,
    }
)


def combined_regions(records: Iterable[QualityRecord]) -> list[RegionQuality]:
    """Combine the numbers of masters of one camera setting, by amplifier and colour.

    Parameters
    ----------
    records : iterable of QualityRecord
        Of any masters of the setting.

    Returns
    -------
    list of RegionQuality
        Gain, white and linearity of all flats; read noise of all bias masters. The points are
        those of all flats.
    """
    regions: dict[tuple[str, str], dict[str, list[RegionQuality]]] = {}
    for record in records:
        for region in record.regions:
            by_type = regions.setdefault((region.amplifier, region.colour), {})
            by_type.setdefault(record.type, []).append(region)
    return [
        _combined(*key, by_type.get(FrameType.BIAS, []), by_type.get(FrameType.FLAT, []))
        for key, by_type in regions.items()
    ]


def _combined(
    amplifier: str,
    colour: str,
    bias: Sequence[RegionQuality],
    flats: Sequence[RegionQuality],
) -> RegionQuality:
    noise = "read_noise_adu"
    estimates = {
        noise: Estimate.combined([each.estimates[noise] for each in bias or flats], Estimate.mean)
    }
    if flats:
        for name, combine in _FROM_FLATS.items():
            estimates[name] = Estimate.combined([each.estimates[name] for each in flats], combine)
        estimates["read_noise_e"] = estimates[noise].times(estimates["gain_e_adu"])
    points = [point for each in flats for point in each.points]
    declared = next((each.declared for each in (*flats, *bias)), {})
    return RegionQuality(amplifier, colour, estimates, points, declared)
