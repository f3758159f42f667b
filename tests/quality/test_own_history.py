"""Limits from the other masters of a camera."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calmasters.quality.judgement import NUMBERS
from calmasters.quality.own_history import JUDGED_BY_HISTORY, judged, judged_by_history
from calmasters.quality.quality_record import (
    Finding,
    Histogram,
    Level,
    NightQuality,
    QualityRecord,
)
from calmasters.settings import Settings

NOISE = "read_noise_e"


def record(name: str, numbers: Mapping[str, float], night: int = 1) -> QualityRecord:
    return QualityRecord(
        name=name,
        master=f"masters/bias/{name}.xisf",
        type="bias",
        digest=name,
        verdict=Level.GOOD,
        numbers=numbers,
        ranges={NOISE: [None, 50.0]},
        findings=[],
        frames=[],
        nights=[NightQuality(f"2026-01-{night:02}", 9, {})],
        histogram=Histogram([0.0, 1.0], [1]),
        setting="ATR585M, bias: GAIN 100, 4x3",
    )


def history(values: Sequence[float], number: str = NOISE) -> list[QualityRecord]:
    return [record(f"m{day}", {number: value}, day) for day, value in enumerate(values, 1)]


USUAL = (3.0, 3.1, 2.9, 3.0, 3.05, 2.95, 3.1, 2.9)


def test_a_number_unlike_the_last_masters_is_outside_though_its_range_is_wide() -> None:
    *_, last = judged_by_history(history((*USUAL, 4.1)), [], 5)
    (finding,) = last.findings
    assert (
        finding.found == ("read noise: 4.1 e- (the last 8 masters of this camera had 3.000 ± 0.11)")
        or finding.found == "read noise: 4.1 e- (the last 8 masters of this camera had 3.00 ± 0.11)"
    )
    assert "interference" in finding.cause
    assert "cable" in finding.remedy
    assert (finding.level, finding.number, last.verdict) == (Level.ERROR, NOISE, Level.ERROR)
    low, high = last.ranges[NOISE]
    assert low is None
    assert high == pytest.approx(3.45, abs=0.01)


def test_a_camera_whose_number_is_always_beyond_the_general_limit_is_good() -> None:
    outside = Finding(Level.ERROR, "read noise: 60 e-", "interference", "cable", NOISE)
    other = Finding(Level.WARNING, "frame x: its level is 800 ADU, usual 600")
    masters = [
        replace(each, findings=[outside, other], verdict=Level.ERROR)
        for each in history((60.0, 61.0, 59.5, 60.5, 60.0, 61.5))
    ]
    assert all(each.findings == [other] for each in judged_by_history(masters, [], 5))
    assert {each.verdict for each in judged_by_history(masters, [], 5)} == {Level.WARNING}


def test_fewer_masters_leave_the_general_limit() -> None:
    masters = history((3.0, 3.0, 3.0, 3.0, 9.0))
    assert judged_by_history(masters, [], 5) == masters


def test_other_settings_and_other_kinds_are_not_compared() -> None:
    masters = history((*USUAL, 4.1))
    others = [replace(each, setting="other") for each in masters[:-1]]
    assert judged_by_history([*others, masters[-1]], [], 5)[-1] == masters[-1]
    unknown = [replace(each, setting="") for each in masters]
    assert judged_by_history(unknown, [], 5) == unknown


def test_only_the_last_masters_count() -> None:
    """A camera that was repaired is judged by how it is since."""
    before, since = [30.0] * 15, [3.0, 3.1] * 12
    assert not judged_by_history(history([*before, *since]), [], 5)[-1].findings


def test_a_number_that_people_choose_is_not_judged_by_history() -> None:
    masters = history((*USUAL, 9.0), "frames")
    assert judged_by_history(masters, [], 5) == masters


@pytest.mark.parametrize("count", [5, 8, 20])
def test_masters_that_scatter_normally_raise_few_alarms(count: int) -> None:
    random = np.random.default_rng(count)
    false = sum(
        len(
            judged_by_history(history(random.normal(3.0, 0.3, count + 1).tolist()), [], 5)[
                -1
            ].findings
        )
        for _ in range(400)
    )
    assert false <= 8


def test_every_number_with_a_history_says_what_to_do() -> None:
    for name in JUDGED_BY_HISTORY:
        assert NUMBERS[name].low or NUMBERS[name].high, name


def test_records_of_earlier_runs_and_of_libraries_are_history(
    tmp_path: Path, settings: Settings
) -> None:
    def write(folder: Path, each: QualityRecord) -> Path:
        path = folder / "quality" / f"{each.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(each.to_json(), encoding="utf-8")
        return path

    library = tmp_path / "old"
    (library / "masters" / "bias").mkdir(parents=True)
    masters = history((*USUAL[:6], 4.1))
    for each in masters[:3]:
        write(library, each)
    for each in masters[3:6]:
        write(settings.output_dir, each)
    (settings.output_dir / "quality" / "damaged.json").write_text("{", encoding="utf-8")
    last = write(settings.output_dir, masters[-1])
    bias = (str(library / "masters" / "bias"),)
    settings = replace(settings, library=replace(settings.library, bias=bias))
    (record_of_last,) = judged(settings, [last])
    assert "the last 6 masters of this camera had 3.0" in record_of_last.findings[0].found
    never = replace(settings, quality=replace(settings.quality, history_masters=0))
    assert judged(never, [last]) == [QualityRecord.read(last)]
