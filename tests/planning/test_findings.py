"""What a run tells about its frames."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from calmasters.frame import Frame, FrameType, Geometry, Status, Value, Verdict
from calmasters.model.job import MasterJob, Recipe, UsedMaster
from calmasters.planning.findings import Findings, FrameGroup, missing_masters
from calmasters.planning.planner import Decision, NotMade
from calmasters.settings import Integration

MakeFrame = Callable[..., Frame]

USED = Verdict(Status.USED, group="master")
RECIPE = Recipe("native", 1, Integration(), None, "unit", "xisf")


def decision_of(*judged: tuple[Frame, Verdict], **fields: Any) -> Decision:
    frames = tuple(frame for frame, _ in judged)
    verdicts = {frame.path: verdict for frame, verdict in judged}
    plain: dict[str, Any] = {
        "digest": "0", "jobs": (), "not_made": (), "kept": (), "frames": frames,
        "verdicts": verdicts, "warnings": (), "short_names": {},
    }  # fmt: skip
    return Decision(**{**plain, **fields})


def refused(reason: str, remedy: str = "") -> Verdict:
    return Verdict(Status.REFUSED, reason, remedy)


def test_frames_are_counted_by_type_and_status(make_frame: MakeFrame) -> None:
    ignored = Verdict(Status.IGNORED, "type zodiac")
    findings = Findings.of(
        decision_of(
            (make_frame("zodiac"), ignored),
            (make_frame("flat"), USED),
            (make_frame("bias", 1), USED),
            (make_frame("bias", 2), USED),
            (make_frame("bias", 3), refused("is damaged")),
            (make_frame(path="x.fits", keywords={"TYPE": None}), refused("has no type")),
            (make_frame("focus"), ignored),
        )
    )
    # Bias, dark, flat, light; then the others by name.
    assert [*findings.frames.items()] == [
        ("bias", {"used": 2, "refused": 1}),
        ("flat", {"used": 1}),
        ("focus", {"ignored": 1}),
        ("unknown", {"refused": 1}),
        ("zodiac", {"ignored": 1}),
    ]
    assert [findings.count(status) for status in Status] == [3, 2, 2]


def test_refused_frames_with_one_remedy_are_one_group_the_largest_first(
    make_frame: MakeFrame,
) -> None:
    findings = Findings.of(
        decision_of(
            (make_frame(number=1), refused("lacks a", "copy it")),
            (make_frame(number=3), refused("lacks c", "take more")),
            (make_frame(number=2), refused("lacks b", "take more")),
            (make_frame(number=4), refused("is odd")),
            (make_frame("dark", 5), Verdict(Status.IGNORED, "type dark", "type dark, but x")),
            (make_frame("dark", 6), USED),
        )
    )
    assert findings.refused == (
        FrameGroup(2, "take more", "bias/0002.fits", "lacks b"),
        FrameGroup(1, "copy it", "bias/0001.fits", "lacks a"),
        FrameGroup(1, "is odd", "bias/0004.fits", "is odd"),
    )
    assert findings.suspicious == ()


def test_ignored_frames_that_a_setting_would_use_are_suspicious(make_frame: MakeFrame) -> None:
    fix = {"types_from": ["folder"]}
    verdict = Verdict(Status.IGNORED, "type light, but", "set types_from", settings=fix)
    refusal = replace(refused("x", "y"), settings=fix)
    findings = Findings.of(
        decision_of((make_frame("light"), verdict), (make_frame("dark"), refusal), suggested=fix)
    )
    assert findings.suspicious == (
        FrameGroup(1, "set types_from", "light/0001.fits", "type light, but"),
    )
    assert findings.suggested == "types_from: [folder]\n"
    assert Findings.of(decision_of((make_frame("light"), verdict))).suggested == ""


def test_warnings_that_differ_in_numbers_are_of_one_kind(make_frame: MakeFrame) -> None:
    findings = Findings.of(
        decision_of(
            (make_frame(number=2, warnings=("is 1.5 C warmer", "is odd")), USED),
            (make_frame(number=1, warnings=("is -20 C warmer",)), USED),
            (make_frame(number=3, warnings=("is 3 C warmer",)), refused("is damaged")),
            (make_frame(number=4), USED),
            (make_frame(number=5, warnings=("is 7 C colder",)), USED),
        )
    )
    assert findings.warned == (
        FrameGroup(2, "is -20 C warmer", "bias/0001.fits", "is -20 C warmer"),
        FrameGroup(1, "is odd", "bias/0002.fits", "is odd"),
        FrameGroup(1, "is 7 C colder", "bias/0005.fits", "is 7 C colder"),
    )


@pytest.mark.parametrize(
    ("copies", "note"),
    [
        (0, ()),
        (1, ("1 frame: copies of other frames, which count once",)),
        (2, ("2 frames: copies of other frames, which count once",)),
    ],
)
def test_notes_are_of_cameras_groups_and_copies(
    make_frame: MakeFrame, copies: int, note: tuple[str, ...]
) -> None:
    copied = Verdict(Status.IGNORED, "is a copy of x")
    frames = [(make_frame(number=n, copy_of="x.fits"), copied) for n in range(copies)]
    findings = Findings.of(
        decision_of(
            *frames,
            (make_frame("dark"), USED),
            absent_keywords={"ST-7": ("GAIN",)},
            warnings=("a group is odd",),
        )
    )
    camera = "ST-7 writes no GAIN; all its frames count as one setting"
    assert findings.notes == ("a group is odd", camera, *note)


@pytest.mark.parametrize(
    ("kind", "verdict", "has"),
    [
        ("flat", Verdict(Status.IGNORED, "exclude: x"), True),
        ("light", Verdict(Status.IGNORED, "type light"), False),
        ("light", Verdict(Status.IGNORED, "x", "y", settings={"types_from": ["name"]}), True),
        (None, refused("has no frame type"), True),
        ("focus", refused("is of type 'focus'"), True),
        (None, Verdict(Status.IGNORED, "exclude: x"), False),
    ],
)
def test_frames_of_an_unknown_type_may_be_calibration_frames(
    make_frame: MakeFrame, kind: str | None, verdict: Verdict, has: bool
) -> None:
    frame = make_frame(kind or "bias", keywords={} if kind else {"TYPE": None})
    assert Findings.of(decision_of((frame, verdict))).has_calibration_frames is has
    assert not Findings.of(decision_of()).has_calibration_frames


def test_findings_survive_a_file(make_frame: MakeFrame) -> None:
    findings = Findings.of(
        decision_of(
            (make_frame("flat", warnings=("is odd",)), USED),
            (make_frame("bias"), refused("is damaged", "copy it")),
            (make_frame("light"), Verdict(Status.IGNORED, "x", "y", settings={"a": ["b"]})),
            warnings=("note",),
            not_made=(not_made("few"),),
            suggested={"a": ["b"]},
        )
    )
    assert Findings.from_json(json.loads(json.dumps(findings.to_json()))) == findings


# --- what to shoot next ---------------------------------------------------------------------------


def not_made(name: str) -> NotMade:
    return NotMade(f"master {name}", name, {}, Geometry(4, 3), (), "only 2 frames of this group")


def job_of(name: str, kind: FrameType = FrameType.FLAT, **fields: Any) -> MasterJob:
    keywords: dict[str, Value] = {"DATE": "2026-01-15", "FILTER": name, "GAIN": 100}
    plain: dict[str, Any] = {"keywords": keywords, "frames": (), "header": {}, "recipe": RECIPE}
    return MasterJob(name, kind, geometry=Geometry(4, 3), **{**plain, **fields})


BIAS, DARK = (UsedMaster(f"{kind}.xisf", "run", "nearest") for kind in ("bias", "dark"))


def wanted(*jobs: MasterJob, few: tuple[NotMade, ...] = ()) -> list[str]:
    short_names = {job.master: job.name for job in jobs}
    return [*missing_masters(decision_of(jobs=jobs, short_names=short_names, not_made=few))]


def test_flats_without_a_bias_or_a_dark_say_what_to_take() -> None:
    assert wanted(
        job_of("L"),
        job_of("R", bias=BIAS),
        job_of("G", bias=BIAS),
        job_of("B", bias=BIAS),
        job_of("Ha", bias=BIAS, dark=DARK),
        job_of("x", FrameType.DARK),
    ) == [
        "bias and dark frames with GAIN 100, for L",
        "dark frames with GAIN 100, for R and 2 more",
    ]


def test_a_dark_of_the_exposure_of_the_flats_needs_no_bias() -> None:
    assert wanted(job_of("L", dark=DARK)) == []


def test_the_settings_of_the_frames_are_listed() -> None:
    keywords = {"DATE": "2026-01-15", "FILTER": "L", "SET-TEMP": -10.0, "GAIN": 100}
    (text,) = wanted(job_of("L", keywords=keywords, bias=BIAS))
    assert text == "dark frames with SET-TEMP -10.00, GAIN 100, for L"


def test_flats_without_settings_need_frames_with_those_of_the_flats() -> None:
    assert wanted(job_of("L", keywords={"DATE": "2026-01-15", "FILTER": "L"}, bias=BIAS)) == [
        "dark frames with the settings of the flats, for L"
    ]


def test_groups_that_are_too_small_come_first() -> None:
    assert wanted(job_of("L", bias=BIAS), few=(not_made("few"),)) == [
        "few: only 2 frames of this group",
        "dark frames with GAIN 100, for L",
    ]
