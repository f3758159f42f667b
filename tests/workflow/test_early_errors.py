"""What would fail is refused before work starts, in the dry run as in the run."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from real_workflow import BIAS, FLATS, RED, Workflow, times
from warm_python import warm_python

NO_PIXINSIGHT = {"engine": "pixinsight", "pixinsight": {"binary": "gone/PixInsight.sh"}}
NOT_FOUND = "pixinsight.binary: there is no file 'gone/PixInsight.sh'; set pixinsight.binary"


def refused(workflow: Workflow, *arguments: str) -> str:
    """See that a run is refused as its dry run is."""
    for options in (["-n"], []):
        run = workflow.run(*options, *arguments, succeeds=False)
        assert not [job for job in run.jobs if job.startswith("master")]
    return run.output


# --- the configuration ----------------------------------------------------------------------------


def test_a_typo_in_the_configuration_is_reported_with_file_and_line(session: Workflow) -> None:
    file = session.directory / "config" / "config.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text("minimum_frames: 4\nround: {SET-TEMP: 10\n")
    assert "config/config.yaml, line 3: is not YAML" in session.run("-n", succeeds=False).output
    # As if all were a comment: the defaults.
    file.write_text("")
    assert "master_bias" in session.run("-n", "masters").output


# --- the engine -----------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["masters", "report"])
def test_an_engine_that_is_not_installed_is_reported_before_work_starts(
    session: Workflow, target: str
) -> None:
    session.configure(**NO_PIXINSIGHT)
    output = refused(session, target)
    assert "5 masters cannot be made; nothing was started:" in output
    assert NOT_FOUND in output
    assert session.masters == []


def test_all_problems_of_an_engine_are_reported_at_once(session: Workflow) -> None:
    integration = {"bias": {"combination": "Minimum"}, "flat": {"rejection": "CCDClip"}}
    session.configure(engine="siril", siril={"binary": "gone"}, integration=integration)
    refused(session, "masters")
    output = shown(session, "masters")
    for sentence in (
        "siril.binary: there is no file 'gone'",
        "integration.bias.combination: Minimum is not supported by engine siril; choose Average",
        "integration.flat.rejection: CCDClip is not supported by engine siril; choose",
        "calibration.flat.optimizeDarks: true is not supported by engine siril; choose false",
    ):
        assert output.count(sentence) == 1


def test_settings_of_flats_stop_all_masters_but_not_a_bias_asked_for_alone(
    session: Workflow,
) -> None:
    session.configure(integration={"flat": {"rejection": "CCDClip"}})
    assert "2 masters cannot be made" in refused(session, "masters")
    assert session.masters == []
    session.run(f"output/masters/bias/{BIAS}.xisf")
    assert session.masters == [BIAS]


def test_what_makes_no_master_needs_no_engine(session: Workflow) -> None:
    session.configure(**NO_PIXINSIGHT)
    session.run("inventory")
    session.run("summary")
    session.run("masters", "--dag")
    session.run("scripts")
    assert len([*session.output.glob("scripts/*/*.js")]) == 5


def test_nothing_to_do_needs_no_engine(made: Workflow) -> None:
    binary = {"pixinsight": {"binary": "gone/PixInsight.sh"}}
    made.configure(**binary)
    made.run("masters")
    assert made.run("masters").nothing_to_do


def test_masters_stay_when_the_new_engine_is_refused(made: Workflow) -> None:
    before = times(made)
    made.configure(**NO_PIXINSIGHT)
    assert NOT_FOUND in refused(made, "masters")
    assert times(made) == before
    made.configure()
    assert made.run("masters").jobs == ["inventory"]


def test_a_rejection_that_needs_more_frames_leaves_its_group_out(session: Workflow) -> None:
    session.configure(integration={"bias": {"rejection": "LinearFit"}})
    session.run_as_predicted()
    assert len(session.masters) == 4
    reasons = {*session.inventory.query("TYPE == 'bias' and status == 'refused'")["reason"]}
    assert reasons == {
        "only 4 frames of this group: take at least 5 (integration.bias.rejection: LinearFit)"
    }


def shown(workflow: Workflow, *arguments: str) -> str:
    """Give what a person sees of a run that is refused."""
    command = workflow.command(*arguments, python=warm_python())
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


def files_of(workflow: Workflow) -> set[str]:
    return {path.name for path in workflow.directory.iterdir()}


# --- options of Snakemake -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--until", "inventory"], "--until needs a plan that is up to date"),
        (["--config", "minimum_frames=2"], "minimum_frames: 2 is less than the minimum of 3"),
        (["--config", "input_dir=gone"], "input_dir: directory 'gone' does not exist"),
    ],
    ids=str,
)
def test_what_is_refused_leaves_no_files(session: Workflow, options: list[str], says: str) -> None:
    assert says in refused(session, "masters", *options)
    assert files_of(session) <= {"frames", ".snakemake"}


def test_a_touch_before_the_first_run_is_refused_and_leaves_no_files(session: Workflow) -> None:
    run = session.run("masters", "--touch", succeeds=False)
    assert "--touch needs masters that were made: run 'snakemake masters' first" in run.output
    assert files_of(session) <= {"frames", ".snakemake"}


def test_numbers_inside_of_braces_are_read_as_numbers(session: Workflow) -> None:
    session.run("masters", "--config", "integration={flat: {sigmaHigh: 2.5, clipLow: false}}")
    recipe = session.plan["masters"][f"masters/flat/{RED}.xisf"]["recipe"]["integration"]
    assert (recipe["sigmaHigh"], recipe["clipLow"]) == (2.5, False)


def test_masters_that_were_deleted_by_snakemake_are_made_again(made: Workflow) -> None:
    before = set(made.masters)
    made.run("masters", "--delete-all-output")
    assert made.masters == []
    made.run("masters")
    assert set(made.masters) == before


def test_until_makes_masters_that_are_missing(session: Workflow) -> None:
    session.run("inventory")
    predicted = session.run("-n", "masters", "--until", "master_bias")
    assert session.run("masters", "--until", "master_bias").jobs == predicted.jobs == [BIAS]
    assert session.masters == [BIAS]
    session.run("masters", "--until", "master_dark")
    assert len(session.masters) == 3


def test_quiet_all_makes_masters_without_a_word(session: Workflow) -> None:
    run = session.run("masters", "--quiet", "all")
    assert "Finished jobid" not in run.output
    assert len(session.masters) == 5


def test_snakemakes_lists_and_report_work_after_masters(made: Workflow) -> None:
    for option in ("--summary", "--list-untracked", "--list-changes=code"):
        made.run("masters", option)
    made.run("masters", "--cleanup-metadata", f"output/masters/flat/{FLATS[0]}.xisf")
    assert made.run("masters").nothing_to_do
    made.run("masters", "--report", "report.html")
    assert "master_flat" in (made.directory / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        (["mastres"], "masters"),
        (["masters", "--forcerun", "raport"], "report"),
        ([f"output/master/flat/{RED}.xisf"], f"output/masters/flat/{RED}.xisf"),
    ],
    ids=["rule", "forced", "file"],
)
def test_a_target_that_does_not_exist_is_answered_with_the_nearest_one(
    made: Workflow, arguments: list[str], near: str
) -> None:
    assert f"did you mean '{near}'?" in shown(made, *arguments)


def test_a_master_with_another_name_is_refused_with_the_nearest_one(made: Workflow) -> None:
    target = f"output/masters/flat/{RED}.xisf"
    output = refused(made, target.replace("Ha", "H"))
    assert f"the nearest one is '{target}'" in output
    shutil.rmtree(made.output)
    assert f"the nearest one is '{target}'" in refused(made, target.replace("Ha", "H"))
