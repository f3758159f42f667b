"""Limits from a camera's own history: the median and the scatter of its other masters."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import Final

from calmasters.errors import RecordError, plain_number
from calmasters.model.layout import QUALITY
from calmasters.quality.causes import shared_causes
from calmasters.quality.digits import with_uncertainty
from calmasters.quality.judgement import NUMBERS, Advice, worst_level
from calmasters.quality.quality_record import Finding, Level, QualityRecord, Range
from calmasters.settings import Settings

__all__ = ["JUDGED_BY_HISTORY", "causes_of_files", "judged", "judged_by_history", "recorded"]

#: Numbers that belong to a camera and its optics, and the smallest scatter that counts, in their
#: unit; of others, such as the level of flats or the number of frames, a person decides for
#: each master.
JUDGED_BY_HISTORY: Final[Mapping[str, float]] = MappingProxyType(
    {
        "read_noise_adu": 0.02,
        "read_noise_e": 0.02,
        "gain_e_adu": 0.0,
        "gain_of_header": 0.01,
        "fixed_pattern_over_noise": 0.03,
        "banding_over_noise": 0.01,
        "dark_current_e_s": 0.005,
        "dark_current_adu_s": 0.005,
        "hot_rate_percent": 0.05,
        "cold_percent": 0.01,
        "glow_e_s": 0.02,
        "glow_adu_s": 0.02,
        "corner_to_centre": 0.01,
        "gradient_percent": 0.5,
        "response_spread_percent": 0.03,
    }
)

#: How many masters are compared, the last ones.
_MOST: Final = 20

#: How far from the median of 5, 6, ... 20 normal values one of 500 further ones lies: in robust
#: sigmas of these values, and in their second largest deviations from the median. The smaller of
#: both is the limit: few values have a small sigma by chance, many may contain bad ones.
_IN_SIGMAS: Final = (
    *(34.0, 14.4, 13.9, 9.4, 9.3, 7.4, 7.3, 6.3, 6.2, 5.7, 5.7, 5.3, 5.2, 5.0, 4.9, 4.7),
)
_IN_DEVIATIONS: Final = (
    *(12.3, 7.6, 5.5, 4.5, 3.8, 3.5, 3.1, 2.9, 2.8, 2.6, 2.6, 2.4, 2.4, 2.3, 2.2, 2.2),
)
_FEWEST: Final = 5

#: A change by less than this share of the median, and by this many times the smallest scatter or
#: the number's own uncertainty, is none.
_LEAST_CHANGE: Final = 0.12
_LEAST_SIGMAS: Final = 6.0

_CHANGED: Final = Advice(
    "the number differs from that of other masters of this camera with the same settings",
    "find out what changed (temperature, cable, driver, mode of the camera, optics), and take the "
    "frames again",
)


def judged(settings: Settings, masters: Sequence[Path]) -> list[QualityRecord]:
    """Read the records of masters, and judge them by the camera's history where it has one.

    Parameters
    ----------
    settings : Settings
    masters : sequence of Path
        Their ``quality/<name>.json``.

    Returns
    -------
    list of QualityRecord
        In the order of the files. Every consumer of verdicts reads records with this function, so
        that the page, the terminal and ``fail_on`` agree.

    Raises
    ------
    OSError, RecordError
        If a file cannot be read.
    """
    own = [QualityRecord.read(path) for path in masters]
    fewest = settings.quality.history_masters
    if not fewest or not own:
        return own
    return judged_by_history(own, recorded(settings, {record.name for record in own}), fewest)


def causes_of_files(
    settings: Settings, masters: Sequence[Path], names: Mapping[str, str]
) -> list[str]:
    """Write a sentence for each cause of what is wrong with masters.

    Parameters
    ----------
    settings : Settings
    masters : sequence of Path
        As in :func:`judged`; masters that were not measured are left out.
    names : mapping of str to str
        Short names of masters, by name.
    """
    try:
        records = judged(settings, [path for path in masters if path.is_file()])
    except (OSError, RecordError):
        return []
    return [cause.sentence(names) for cause in shared_causes(records)]


def recorded(settings: Settings, left_out: Collection[str] = ()) -> Iterator[QualityRecord]:
    """Read the records of other masters: of earlier runs, and of libraries that are such a run.

    Parameters
    ----------
    settings : Settings
    left_out : collection of str
        Names of masters of ``output_dir`` that are not wanted.
    """
    library = (Path(folder) for folder in (*settings.library.bias, *settings.library.dark))
    near = (each for folder in library for each in (folder, *folder.parents[:2]))
    for root in dict.fromkeys((settings.output_dir, *near)):
        for path in sorted((root / QUALITY).rglob("*.json")):
            with suppress(OSError, RecordError):
                record = QualityRecord.read(path)
                if root != settings.output_dir or record.name not in left_out:
                    yield record


def judged_by_history(
    records: Sequence[QualityRecord], earlier: Iterable[QualityRecord], fewest: int
) -> list[QualityRecord]:
    """Judge numbers by those of other masters of the same kind and setting.

    Parameters
    ----------
    records : sequence of QualityRecord
        The masters to judge; each is one of the others' history, too.
    earlier : iterable of QualityRecord
        Further masters.
    fewest : int
        With fewer other masters the general limits stay.

    Returns
    -------
    list of QualityRecord
        Ranges, findings and verdicts are those of the history where there is one.
    """
    by_setting: dict[tuple[str, str], dict[str, QualityRecord]] = defaultdict(dict)
    for record in (*records, *earlier):
        if record.setting:
            by_setting[record.type, record.setting].setdefault(record.digest, record)
    return [
        _by_others(record, [*by_setting[record.type, record.setting].values()], fewest)
        for record in records
    ]


def _by_others(
    record: QualityRecord, masters: Sequence[QualityRecord], fewest: int
) -> QualityRecord:
    others = [each for each in masters if each.digest != record.digest]
    ranges = {**record.ranges}
    found: list[Finding] = []
    replaced = set()
    for name, least in JUDGED_BY_HISTORY.items():
        known = [each for each in others if name in each.numbers]
        if name not in record.numbers or len(known) < fewest:
            continue
        last = sorted(known, key=lambda each: each.night)[-_MOST:]
        values = [each.numbers[name] for each in last]
        middle, sigma = _usual(values)
        # Uncertainties of the others are in their scatter.
        own = math.hypot(least, record.uncertainties.get(name, 0.0))
        reach = max(_reach(values), _LEAST_CHANGE * abs(middle), _LEAST_SIGMAS * own)
        number = NUMBERS[name]
        low = _rounded(middle - reach) if number.low else None
        high = _rounded(middle + reach) if number.high else None
        ranges[name] = limits = (low, high)
        replaced.add(name)
        found += _outside(record, name, limits, f"the last {len(last)} masters", (middle, sigma))
    if not replaced:
        return record
    kept = [each for each in record.findings if each.number not in replaced]
    findings = [*found, *kept]
    return replace(record, ranges=ranges, findings=findings, verdict=worst_level(findings))


def _usual(values: Sequence[float]) -> tuple[float, float]:
    """Return the median and the robust scatter of a number."""
    middle = median(values)
    return middle, 1.4826 * median(abs(value - middle) for value in values)


def _reach(values: Sequence[float]) -> float:
    """Return how far from the median of some values a further one may lie by chance."""
    middle, sigma = _usual(values)
    deviations = sorted(abs(value - middle) for value in values)
    row = min(len(values), _MOST) - _FEWEST
    return min(_IN_SIGMAS[row] * sigma, _IN_DEVIATIONS[row] * deviations[-2])


def _outside(
    record: QualityRecord, name: str, limits: Range, whose: str, usual: tuple[float, float]
) -> Iterator[Finding]:
    value, (low, high), number = record.numbers[name], limits, NUMBERS[name]
    is_low, is_high = low is not None and value < low, high is not None and value > high
    if not is_low and not is_high:
        return
    shown = with_uncertainty(value, record.uncertainties.get(name))
    others = f"{whose} of this camera had {with_uncertainty(*usual)}"
    text = f"{number.label}: {shown} {number.unit}".rstrip() + f" ({others})"
    advice = (number.low if is_low else number.high) or _CHANGED
    yield Finding(Level.ERROR, text, advice.cause, advice.remedy, name)


def _rounded(value: float) -> float:
    return float(plain_number(value, 3))
