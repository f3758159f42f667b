"""Findings of many masters, listed once by their cause."""

from __future__ import annotations

from collections.abc import Sequence

from calmasters.quality.causes import shared_causes
from calmasters.quality.quality_record import Finding, Histogram, Level, QualityRecord


def record(name: str, findings: Sequence[Finding]) -> QualityRecord:
    return QualityRecord(
        *(name, f"masters/dark/{name}.xisf", "dark", "d", Level.GOOD, {}, {}, findings, [], []),
        histogram=Histogram([0.0, 1.0], [1]),
    )


def warm(found: str, level: Level = Level.WARNING, number: str = "hot_percent") -> Finding:
    return Finding(level, found, "the sensor is warm", "cool more", number)


def test_a_cause_of_many_masters_is_one() -> None:
    (cause,) = shared_causes(
        [
            record("a", [warm("hot pixels: 2 %"), warm("dark current: 9 e-/s", number="dark")]),
            record("b", [warm("hot pixels: 3 %", Level.ERROR)]),
            record("c", []),
        ]
    )
    assert (cause.text, cause.remedy) == ("the sensor is warm", "cool more")
    assert cause.level is Level.ERROR
    assert cause.masters == ("a", "b")
    # One of each number, then further ones.
    assert cause.examples == (
        ("a", "hot pixels: 2 %"),
        ("a", "dark current: 9 e-/s"),
        ("b", "hot pixels: 3 %"),
    )


def test_errors_and_causes_of_most_masters_come_first() -> None:
    rare = Finding(Level.ERROR, "level: 0", "the lamp is off", "switch it on", "level_percent")
    often = warm("hot pixels: 2 %")
    once = Finding(Level.WARNING, "drift: 9", "the sensor warmed up", "wait", "drift_over_noise")
    causes = shared_causes([record("a", [once, often]), record("b", [often, rare])])
    assert [cause.text for cause in causes] == [
        *("the lamp is off", "the sensor is warm", "the sensor warmed up"),
    ]


def test_sentences_that_differ_in_numbers_and_paths_are_one_cause() -> None:
    texts = (
        "the dark's factor is 0.083 for 3 of 8 frames; take darks of 30 s",
        "the dark's factor is 0.1 for 8 of 8 frames; take darks of 2.5 s",
        "night/flat1.fits has 90 ADU: expose flats longer",
        "night/flat2.fits has 91.5 ADU: expose flats longer",
    )
    records = [
        record(str(place), [Finding(Level.WARNING, text)]) for place, text in enumerate(texts)
    ]
    causes = shared_causes(records)
    assert [cause.masters for cause in causes] == [("0", "1"), ("2", "3")]
    assert causes[0].text == texts[0]


def test_a_cause_is_one_sentence_for_the_terminal() -> None:
    (cause,) = shared_causes([record("a", [warm("hot pixels: 2 %")]), record("b", [warm("x")])])
    sentence = cause.sentence({"a": "dark 60 s", "b": "dark 300 s"})
    assert sentence == "dark 60 s and 1 more: hot pixels: 2 %; the sensor is warm: cool more"
    found = Finding(Level.WARNING, "night/flat1.fits has 90 ADU: expose flats longer")
    (cause,) = shared_causes([record("a", [found])])
    assert cause.sentence({}) == "a: night/flat1.fits has 90 ADU: expose flats longer"


def test_notes_are_no_cause() -> None:
    assert shared_causes([record("a", [Finding(Level.NOTE, "left out: x.fits: damaged")])]) == []
