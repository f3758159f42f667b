"""The words with which a run ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from calmasters.console.summary import Ending, Failure, RunResult, end_of_run
from calmasters.model.master_warning import MasterWarning, WarningKind
from calmasters.planning.findings import Findings, FrameGroup

BIAS, FLAT = "bias, ATR585M, -10 °C, gain 100", "flat B 2026-01-16, ATR585M, -10 °C, gain 100"
RED = FLAT.replace("B", "Ha", 1)

GOOD = Findings(
    frames={"bias": {"used": 20}, "flat": {"used": 24}, "light": {"ignored": 6}},
    refused=(),
    suspicious=(),
    warned=(),
    notes=(),
    wanted=(),
    suggested="",
)
CUT = FrameGroup(1, "copy it again", "FLAT/0045.fits", "is truncated; copy it again")
NO_TYPE = FrameGroup(98, "set types_from", "a/0001.fits", "has no frame type; set types_from")
LIGHTS = FrameGroup(10, "set types_from: [folder, header]", "Flats/1.fits", "type light")
BUILT = RunResult(Ending.DONE, "output", seconds=4.42, built=(BIAS, FLAT), planned=3)


def test_masters_built() -> None:
    assert end_of_run(BUILT, GOOD).splitlines() == [
        "Masters: 2 built, 1 unchanged, in output/masters (4.4 s)",
        "Frames: bias 20 used; flat 24 used; light 6 ignored",
        "Each frame: output/inventory.csv. Numbers and pictures: snakemake report",
    ]


def test_frames_that_jobs_left_out_are_not_counted_as_used() -> None:
    lines = end_of_run(replace(BUILT, left_out={"bias": 2}), GOOD).splitlines()
    assert lines[1] == "Frames: bias 18 used, 2 left out of masters; flat 24 used; light 6 ignored"


def test_a_warning_that_masters_share_is_written_once() -> None:
    few = MasterWarning(WarningKind.FRAME_COUNT, "of 4 frames…")
    lacking = MasterWarning(WarningKind.CALIBRATION, "no dark")
    odd = MasterWarning(WarningKind.OUTLIERS, "1 of 9 frames differs")
    warnings = {BIAS: [few], FLAT: [lacking, odd], RED: [lacking]}
    lines = end_of_run(replace(BUILT, warnings=warnings), GOOD).splitlines()
    assert lines[:5] == [
        "Masters: 2 built, 1 unchanged, 3 weak, in output/masters (4.4 s)",
        "Weak:",
        f"  {FLAT}: 1 of 9 frames differs",
        f"  {FLAT} and 1 more: no dark",
        f"  {BIAS}: of 4 frames…",
    ]


def test_every_weak_master_is_named_unless_there_are_very_many() -> None:
    warnings = {f"flat {n}": [MasterWarning(WarningKind.OUTLIERS, f"odd {n}")] for n in range(20)}
    lines = end_of_run(replace(BUILT, warnings=warnings), GOOD).splitlines()
    assert lines[5] == "  and 17 more: snakemake summary"
    names = "; ".join(f"flat {n}" for n in range(3, 13))
    assert lines[6] == f"  also weak: {names} and 7 more"


def test_frames_left_out_are_grouped_by_remedy_with_an_example() -> None:
    findings = replace(GOOD, refused=(NO_TYPE, CUT), suspicious=(LIGHTS,), suggested="a: 1\nb: 2\n")
    assert end_of_run(BUILT, findings).splitlines()[2:] == [
        "Left out:",
        "  98 frames: set types_from (a/0001.fits has no frame type)",
        "  1 frame: copy it again (FLAT/0045.fits is truncated)",
        "  10 frames: set types_from: [folder, header] (Flats/1.fits type light)",
        "Settings that would make frames usable, if they are true:",
        "  a: 1",
        "  b: 2",
        "  To use them: snakemake masters --configfile output/suggested.yaml",
        "Each frame: output/inventory.csv. Numbers and pictures: snakemake report",
    ]


def test_long_lists_end_with_where_the_rest_is() -> None:
    findings = replace(GOOD, wanted=tuple("abcde"))
    lines = end_of_run(BUILT, findings).splitlines()
    assert lines[2:7] == ["Shoot next:", "  a", "  b", "  c", "  and 2 more: snakemake summary"]


def test_notes_and_what_to_shoot_next_come_before_the_end() -> None:
    findings = replace(GOOD, notes=("SBIG ST-7 writes no GAIN",), wanted=("dark frames",))
    assert end_of_run(BUILT, findings).splitlines()[2:4] == [
        "Note: SBIG ST-7 writes no GAIN",
        "Shoot next: dark frames",
    ]


def test_a_report_that_was_made_is_named_with_what_it_warns_of() -> None:
    found = [f"{FLAT}: 39.4 % of samples are saturated"]
    result = replace(BUILT, report="output/report.html", report_warnings=found)
    assert end_of_run(result, GOOD).splitlines()[-2:] == [
        f"The report warns: {FLAT}: 39.4 % of samples are saturated",
        "Report: output/report.html",
    ]


def test_frames_that_the_report_would_leave_out_are_counted() -> None:
    result = replace(BUILT, report="output/report.html", to_leave_out=2)
    assert end_of_run(result, GOOD).splitlines()[-2:] == [
        "To leave out 2 frames that differ: snakemake masters --configfile output/leave_out.yaml",
        "Report: output/report.html",
    ]


def test_shown_commands_quote_a_folder_with_a_blank() -> None:
    result = replace(BUILT, output_dir="out B", report="out B/report.html", to_leave_out=2)
    shown = end_of_run(result, replace(GOOD, suggested="float_range: adu16"))
    for name in ("suggested", "leave_out"):
        assert f": snakemake masters --configfile 'out B/{name}.yaml'\n" in shown


@pytest.mark.parametrize(
    ("planned", "warnings", "findings", "text"),
    [
        (7, {}, GOOD, "Nothing to do: 7 masters are up to date; 0 frames refused."),
        (
            1,
            {BIAS: [MasterWarning(WarningKind.FRAME_COUNT, "of 4 frames…")]},
            replace(GOOD, refused=(CUT,), frames={"bias": {"used": 4, "refused": 1}}),
            "Nothing to do: 1 master is up to date, 1 of them weak; 1 frame refused."
            " See: snakemake summary",
        ),
        (
            7,
            {},
            replace(GOOD, suspicious=(LIGHTS,)),
            "Nothing to do: 7 masters are up to date; 0 frames refused;"
            " 10 more left out (set types_from: [folder, header]). See: snakemake summary",
        ),
    ],
)
def test_nothing_to_do_is_one_line(
    planned: int, warnings: dict[str, list[MasterWarning]], findings: Findings, text: str
) -> None:
    result = RunResult(Ending.NOTHING_TO_DO, "output", planned=planned, warnings=warnings)
    assert end_of_run(result, findings) == text


def test_masters_that_are_not_made_are_not_called_up_to_date() -> None:
    result = RunResult(Ending.NOTHING_TO_DO, "output", planned=3, not_made=(BIAS, FLAT))
    assert end_of_run(result, GOOD) == (
        "Nothing to do: 1 master is up to date; 2 masters to be made: snakemake masters; "
        "0 frames refused."
    )


def test_a_run_that_only_plans_reports_the_frames_and_no_masters() -> None:
    findings = replace(GOOD, refused=(CUT,))
    assert end_of_run(RunResult(Ending.PLANNED, "output", planned=3), findings).splitlines() == [
        "Frames: bias 20 used; flat 24 used; light 6 ignored",
        "Left out: 1 frame: copy it again (FLAT/0045.fits is truncated)",
        "Each frame: output/inventory.csv",
    ]


def test_saturated_frames_come_before_frames_that_differ() -> None:
    odd = MasterWarning(WarningKind.OUTLIERS, "5 of 9 frames differ")
    clipped = MasterWarning(WarningKind.LEVEL, "9 of 9 flats are saturated")
    lines = end_of_run(replace(BUILT, warnings={FLAT: [odd, clipped]}), GOOD).splitlines()
    assert lines[2:4] == [f"  {FLAT}: {clipped}", f"  {FLAT}: {odd}"]


@pytest.mark.parametrize("ending", [Ending.DONE, Ending.NOTHING_TO_DO, Ending.DRY_RUN])
def test_only_lights_are_one_sentence(ending: Ending) -> None:
    lights = replace(GOOD, frames={"light": {"ignored": 6}})
    assert end_of_run(RunResult(ending, "output"), lights) == (
        "Nothing to do: there are no bias, dark or flat frames (light 6 ignored)."
    )


def test_a_dry_run() -> None:
    result = replace(BUILT, ending=Ending.DRY_RUN)
    assert end_of_run(result, GOOD).splitlines() == [
        "Dry run: 2 masters would be built, 1 unchanged; nothing was changed.",
        "Frames: bias 20 used; flat 24 used; light 6 ignored",
    ]


def test_failures_come_last_each_with_its_message_and_log() -> None:
    failure = Failure(FLAT, "2 frames; WinsorizedSigmaClip needs 3", "output/logs/flat/b.log")
    result = replace(BUILT, ending=Ending.FAILED, failures=[failure])
    lines = end_of_run(result, GOOD).splitlines()
    assert lines[0] == "Masters: 2 built, 1 failed, in output/masters (4.4 s)"
    assert lines[-2:] == [
        f"Failed: {FLAT}: 2 frames; WinsorizedSigmaClip needs 3",
        "  (log: output/logs/flat/b.log)",
    ]


@pytest.mark.parametrize(
    "message",
    [
        "it ended without a message",
        "masters/flat/masterFlat_FILTER-{name}_Low Noise.xisf: Siril failed (exit code 1); last "
        "lines of its log:\n    out of memory\n  complete output of Siril: logs/{name}.log",
        "No space left on device ('/data/masters/{name}.xisf'); free disk space there",
        "masterFlat_FILTER-{name}: {count} of 9 frames are damaged:\n  {name}/a.fits: is cut off",
    ],
)
def test_failures_for_the_same_reason_are_grouped(message: str) -> None:
    failures = [
        Failure(f"flat {name}", message.format(name=name, count=count), f"logs/{name}.log")
        for count, name in enumerate("ABCDEFGHIJKLMN")
    ]
    failures.insert(1, Failure(BIAS, "the camera gave no image"))
    result = replace(BUILT, ending=Ending.FAILED, failures=failures)
    lines = end_of_run(result, GOOD).splitlines()
    failed = [line for line in lines if line.startswith("Failed:")]
    expected = message.format(name="A", count=0).splitlines()[0]
    assert failed == [
        f"Failed: 14 jobs, such as flat A: {expected}",
        f"Failed: {BIAS}: the camera gave no image",
    ]
    (others,) = (line for line in lines if "for the same reason" in line)
    assert (
        others
        == f"  for the same reason: {'; '.join(f'flat {x}' for x in 'BCDEFGHIJK')} and 3 more"
    )


def test_failures_for_other_reasons_stand_alone() -> None:
    failures = [Failure(name, f"{name} is {name} times {name}") for name in ("red", "blue")]
    lines = end_of_run(replace(BUILT, ending=Ending.FAILED, failures=failures), GOOD).splitlines()
    assert sum("Failed:" in line for line in lines) == 1
    other = [*failures, Failure("dark", "is black")]
    lines = end_of_run(replace(BUILT, ending=Ending.FAILED, failures=other), GOOD).splitlines()
    assert lines[-1] == "Failed: dark: is black"


def test_masters_that_a_failed_run_did_not_come_to_are_named() -> None:
    failure = Failure(BIAS, "the disk is full")
    result = RunResult(Ending.FAILED, "output", planned=3, failures=[failure], not_made=(FLAT, RED))
    assert (
        f"Not made: {FLAT} and 1 more; run again without the failure; --keep-going makes the "
        "masters that do not depend on it"
    ) in end_of_run(result, GOOD).splitlines()


def test_an_error_before_there_is_a_plan_stands_alone() -> None:
    result = RunResult(Ending.FAILED, error="input_dir: directory '/nope' does not exist")
    assert end_of_run(result, None) == "calmasters: input_dir: directory '/nope' does not exist"


def test_nothing_usable_ends_with_the_error_after_the_reasons() -> None:
    findings = replace(GOOD, frames={"unknown": {"refused": 98}}, refused=(NO_TYPE,))
    result = RunResult(Ending.FAILED, "output", error="no master can be made")
    assert end_of_run(result, findings).splitlines() == [
        "Frames: unknown 98 refused",
        "Left out: 98 frames: set types_from (a/0001.fits has no frame type)",
        "calmasters: no master can be made",
    ]


def test_the_remedy_is_not_repeated_after_the_reason() -> None:
    few = FrameGroup(2, "take at least 3", "a.fits", "only 2 frames of this group: take at least 3")
    lines = end_of_run(BUILT, replace(GOOD, refused=(few,))).splitlines()
    assert "Left out: 2 frames: take at least 3 (a.fits only 2 frames of this group)" in lines


def test_an_interrupted_run_says_how_to_go_on() -> None:
    result = replace(BUILT, ending=Ending.INTERRUPTED, seconds=125)
    assert end_of_run(result, GOOD).splitlines()[:2] == [
        "Interrupted. Run the same command again to continue.",
        "Masters: 2 built, in output/masters (2 min 5 s)",
    ]
    assert end_of_run(RunResult(Ending.INTERRUPTED), None) == (
        "Interrupted. Run the same command again to continue."
    )
