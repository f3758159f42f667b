"""Another workflow uses this one as a module: for two cameras, and with rules of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from real_workflow import REPOSITORY, TINY, Run, frame, spoil
from real_workflow import Workflow as Site
from warm_python import warm_python

from calmasters.model.layout import LOCK
from calmasters.synthetic.session import write_session

PROFILE = REPOSITORY / "profiles" / "default"

#: Only some of the settings, and names of rules with a prefix.
OUTER = """
from calmasters import SNAKEFILE

module cam_a:
    snakefile: SNAKEFILE.as_posix()
    config: {{"input_dir": "frames_a", "output_dir": "out_a", "round": {{"SET-TEMP": 0.5}}}}

use rule * from cam_a as a_*

module cam_b:
    snakefile: SNAKEFILE.as_posix()
    config: {{"input_dir": "frames_b", "output_dir": "{second}", "minimum_frames": 4}}

use rule * from cam_b as b_*

rule all:
    default_target: True
    input:
        rules.a_masters.input,
        rules.b_masters.input,
    output:
        touch("all.done"),
"""

RunOuter = Callable[..., Run]


@pytest.fixture
def outer(tmp_path: Path) -> RunOuter:
    """Run a workflow that uses two modules; with frames of two cameras of its own."""
    for name, camera in (("frames_a", "ATR585M"), ("frames_b", "QHY268M")):
        write_session(tmp_path / name, replace(TINY, camera=replace(TINY.camera, name=camera)))
    write_outer(tmp_path)

    def run(*words: str, succeeds: bool = True) -> Run:
        done = subprocess.run(
            [warm_python(), "-m", "snakemake", "--workflow-profile", PROFILE, *words],
            cwd=tmp_path,
            env=dict(os.environ),
            capture_output=True,
            text=True,
            check=False,
        )
        result = Run(done.returncode, done.stdout + done.stderr)
        assert (result.code == 0) == succeeds, result.output
        return result

    return run


def write_outer(folder: Path, *, second: str = "out_b", more: str = "") -> None:
    (folder / "Snakefile").write_text(OUTER.format(second=second) + more, encoding="utf-8")


def test_two_cameras_are_two_modules_of_one_workflow(outer: RunOuter, tmp_path: Path) -> None:
    assert "a_inventory" in outer("-n").output
    done = outer()
    for output, camera in (("out_a", "ATR585M"), ("out_b", "QHY268M")):
        masters = [*(tmp_path / output / "masters").rglob("*.xisf")]
        assert len(masters) == 4
        assert all(camera in master.name for master in masters)
        assert f"{output}:\nMasters: 4 built" in done.output
        assert f"Numbers and pictures: snakemake {output[-1]}_report" in done.output
    assert "Nothing to be done" in outer().output
    assert "Every master is current." in outer("b_why").output
    # A master that is rebuilt by force and fails is restored, though nobody calls onstart.
    site = Site(tmp_path)
    site.frames = tmp_path / "frames_a"
    spoil(*(frame(site, "bias", number) for number in range(4)))
    (bias,) = (tmp_path / "out_a" / "masters" / "bias").glob("*.xisf")
    before = bias.read_bytes()
    failed = outer(
        "--forcerun", "a_master_bias", "--", bias.relative_to(tmp_path).as_posix(), succeeds=False
    )
    assert "restored the previous version" in failed.output
    assert bias.read_bytes() == before
    assert not (tmp_path / "out_a" / LOCK).exists()


def test_a_run_without_the_profile_says_what_may_happen(outer: RunOuter) -> None:
    shown = outer("--workflow-profile", "none", "--cores", "1", "-n", "a_masters").output
    assert (
        f"so it may keep stale masters and rebuild current ones: add --workflow-profile {PROFILE}"
        in shown
    )
    assert "may keep stale masters" not in outer("-n", "a_masters").output


def test_two_modules_with_one_output_dir_are_refused(outer: RunOuter, tmp_path: Path) -> None:
    write_outer(tmp_path, second="out_a")
    assert (
        "two modules with different settings have output_dir 'out_a'"
        in outer("-n", succeeds=False).output
    )


def test_a_rule_of_a_module_may_be_changed(outer: RunOuter, tmp_path: Path) -> None:
    """Snakemake reads the Snakefile of the module again for that."""
    write_outer(
        tmp_path,
        more="\nuse rule master_bias from cam_a as a_master_bias with:\n    threads: 1\n",
    )
    done = outer("a_masters")
    assert len([*(tmp_path / "out_a" / "masters").rglob("*.xisf")]) == 4
    assert not (tmp_path / "out_b").exists()
    assert "\nMasters: 4 built" in done.output


def test_a_snakefile_of_another_version_is_refused(outer: RunOuter, tmp_path: Path) -> None:
    copy_workflow(tmp_path / "other")
    with (tmp_path / "other" / "config" / "config.yaml").open("a", encoding="utf-8") as file:
        file.write("\nnew_setting: 1\n")
    refused = outer("--snakefile", "other/Snakefile", "-n", "masters", succeeds=False)
    assert "the Snakefile is of another version than the package calmasters" in refused.output


def copy_workflow(folder: Path) -> None:
    for name in ("rules", "scripts", "config", "report", "profiles", "workflow"):
        shutil.copytree(REPOSITORY / name, folder / name)
    shutil.copy(REPOSITORY / "Snakefile", folder)


#: As snakedeploy writes it to workflow/Snakefile, with another URL. Snakemake finds the files of a
#: local git repository only below a folder of it.
DEPLOYED = """
configfile: "config/config.yaml"


module calmasters:
    snakefile:
        "git+file://{repository}/below/workflow/Snakefile@v1"
    config:
        config


use rule * from calmasters
"""


@pytest.mark.slow
def test_a_deployed_workflow_makes_masters_and_their_report(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    copy_workflow(repository / "below")
    name = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org")
    for words in (["init", "-q"], ["add", "."], [*name, "commit", "-qm", "1"], ["tag", "v1"]):
        subprocess.run(["git", *words], cwd=repository, check=True)
    site = Site(tmp_path / "deployed")
    for folder in ("config", "profiles"):
        shutil.copytree(REPOSITORY / folder, site.directory / folder)
    snakefile = site.directory / "workflow" / "Snakefile"
    snakefile.parent.mkdir()
    snakefile.write_text(DEPLOYED.format(repository=repository.as_posix()), encoding="utf-8")
    write_session(site.frames, TINY)
    for target in ("masters", "report"):
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", target],
            cwd=site.directory,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert len(site.masters) == 4
    assert (site.output / "report.html").is_file()
