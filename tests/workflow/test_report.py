"""The report, made by the real Snakefile: what it contains, and what makes it stale."""

from __future__ import annotations

import json

from real_workflow import add_another


def test_a_report_is_predicted_and_made_with_all_that_it_needs(reported_once):
    workflow, predicted, run = reported_once
    names = workflow.masters
    assert len(names) == 3
    rules = ["inventory", "defects", "report_page", "report"]
    assert run.jobs == predicted.jobs == sorted([*names, *rules])
    page = (workflow.output / "report.html").read_text(encoding="utf-8")
    for name in names:
        assert name in page
        assert json.loads((workflow.output / "quality" / f"{name}.json").read_text())["numbers"]
    assert "is truncated" in page
    assert [path.suffix for path in sorted((workflow.output / "defects").iterdir())] == [
        *(".fits", ".txt"),
    ]


def test_numbers_of_a_flat_use_the_read_noise_of_its_bias(reported_once):
    workflow, _, _ = reported_once
    stored = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(workflow.output.glob("quality/master*.json"))
    ]
    bias, dark, flat = (quality["numbers"] for quality in stored)
    assert bias["read_noise_adu"] == flat["read_noise_adu"]
    assert "dark_current_adu_s" in dark


def test_only_what_is_stale_is_made_again(reported_once):
    workflow, _, _ = reported_once
    light = next(workflow.frames.rglob("LIGHT/*.fits"))
    add_another(light, "one_more.fits")
    _, dark, _ = workflow.masters
    (workflow.output / "quality" / f"{dark}_overview.webp").unlink()
    predicted, run = workflow.run("-n", "report"), workflow.run("report")
    # No master: a light changes none, and a lost picture is made from its master.
    assert "master_dark" not in run.output
    expected = sorted(["inventory", dark, "defects", "report_page", "report"])
    assert run.jobs == predicted.jobs == expected
    assert workflow.run("report").nothing_to_do


def test_automation_can_ask_to_fail_and_has_its_report(reported_once):
    workflow, _, _ = reported_once
    workflow.configure(quality={"fail_on": "error", "ranges": {"dark": {"noise_adu": [None, 1.0]}}})
    run = workflow.run("report", succeeds=False)
    assert "numbers outside their ranges" in run.output
    assert "noise of one frame: " in run.output
    assert "out of range" in (workflow.output / "report.html").read_text(encoding="utf-8")
    assert not (workflow.output / "quality" / "verdict.txt").exists()
    workflow.configure(quality={"fail_on": "error"})
    assert "verdict" in workflow.run("masters", "report").jobs


def test_snakemakes_own_report_holds_ours(reported_once):
    workflow, _, _ = reported_once
    workflow.run("report")
    workflow.run("report", "--report", "all.html")
    text = (workflow.directory / "all.html").read_text(encoding="utf-8")
    for words in ("Bad pixels", "report.html", "STF AutoStretch", workflow.masters[0]):
        assert words in text
