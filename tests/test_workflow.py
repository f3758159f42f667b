"""What the rules ask, answered without Snakemake."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calmasters.errors import ConfigError, OutputError
from calmasters.images.master_file import write_master
from calmasters.model.job import MasterJob
from calmasters.model.layout import COMPARISON
from calmasters.model.master_record import MasterRecord, header_cards
from calmasters.planning.checkpoint import refresh_plan
from calmasters.running.lock import RunLock
from calmasters.settings import Settings
from calmasters.workflow.report_inputs import ReportInputs
from calmasters.workflow.workflow import Workflow

SETTINGS = "INSTRUME-ATR585M_SETTEMP--10.00_GAIN-100_OFFSET-150_READOUTM-Low Noise"
BIAS = f"masterBias_{SETTINGS}"
DARK = f"masterDark_EXPOSURE-60.00_{SETTINGS}"
FLAT = "masterFlat_FILTER-B_" + SETTINGS.replace("_SETTEMP", "_DATE-2026-01-15_SETTEMP")
FILES = {
    BIAS: f"masters/bias/{BIAS}.xisf",
    DARK: f"masters/dark/{DARK}.xisf",
    FLAT: f"masters/flat/{FLAT}.xisf",
}
NOW = {"is_preview": False, "wants_all": False}
PREVIEW = {"is_preview": True, "wants_all": False}

Add = Callable[..., Path]


class Site:
    """Frames of a bias, a dark and a flat; engines that only pretend."""

    def __init__(
        self, make_settings: Callable[..., Settings], add: Add, record: Callable[..., MasterRecord]
    ) -> None:
        self._make_settings, self._add, self._record = make_settings, add, record
        self.settings = make_settings()
        self.workflows: list[Workflow] = []

    @property
    def output(self) -> Path:
        return self.settings.output_dir

    def add(self, kind: str, count: int = 3, first: int = 0) -> None:
        for number in range(first, first + count):
            cards = {"DATE-OBS": f"2026-01-15T20:00:{number:02d}"}
            self._add(f"{kind}/{number}.fits", kind, cards)

    def configure(self, **overrides: Any) -> None:
        self.settings = self._make_settings(**overrides)

    def workflow(self, *, is_main_process: bool = True, **kind: bool) -> Workflow:
        workflow = Workflow(self.settings, is_main_process=is_main_process)
        self.workflows.append(workflow)
        workflow.prepare(**(kind or NOW))
        return workflow

    def checkpoint(self) -> None:
        refresh_plan(self.settings)

    def pretend(self, *jobs: MasterJob) -> None:
        for job in jobs:
            master = self.output / job.master
            master.parent.mkdir(parents=True, exist_ok=True)
            write_master(master, np.full((3, 4), 0.01, np.float32), header_cards(job))
            self._record(job, master)

    def make_all(self) -> None:
        workflow = self.workflow()
        self.checkpoint()
        self.pretend(*workflow.jobs)
        workflow.end()
        workflow.release()


@pytest.fixture
def site(
    make_settings: Callable[..., Settings],
    add_frame: Add,
    write_record: Callable[..., MasterRecord],
) -> Any:
    built = Site(make_settings, add_frame, write_record)
    for kind in ("bias", "dark", "flat"):
        built.add(kind)
    yield built
    for workflow in built.workflows:
        workflow.release()


def files_of(workflow: Workflow, site: Site, *names: str) -> set[str]:
    return {
        workflow.path(file)
        for name in names
        for file in (FILES[name], FILES[name].replace(".xisf", ".json"))
    }


def targets(workflow: Workflow) -> set[str]:
    *files, plan = workflow.targets()
    assert plan == workflow.path("plan.json")
    return set(files)


# --- runs -----------------------------------------------------------------------------------------


def test_the_first_run_takes_the_lock_and_waits_for_the_checkpoint(site: Site) -> None:
    workflow = site.workflow()
    assert (site.output / ".lock").exists()
    (trigger,) = workflow.trigger()
    assert Path(trigger).stat().st_mtime_ns > (site.output / "plan.json").stat().st_mtime_ns
    site.checkpoint()
    assert targets(workflow) == files_of(workflow, site, BIAS, DARK, FLAT)


def test_a_run_with_nothing_to_do_changes_nothing_and_takes_no_lock(site: Site) -> None:
    site.make_all()
    before = {path: path.stat().st_mtime_ns for path in site.output.rglob("*")}
    workflow = site.workflow()
    assert (workflow.trigger(), targets(workflow)) == ([], set())
    assert {path: path.stat().st_mtime_ns for path in site.output.rglob("*")} == before


def test_frames_that_arrive_make_the_plan_stale(site: Site) -> None:
    site.make_all()
    site.add("dark", 1, first=3)
    workflow = site.workflow()
    assert workflow.trigger()
    site.checkpoint()
    assert targets(workflow) == files_of(workflow, site, DARK, FLAT)


def test_what_a_run_left_to_do_is_done_by_the_next_without_the_checkpoint(site: Site) -> None:
    site.make_all()
    (site.output / FILES[FLAT]).unlink()
    workflow = site.workflow()
    assert (site.output / ".lock").exists()
    assert (workflow.trigger(), targets(workflow)) == ([], files_of(workflow, site, FLAT))


def test_a_second_run_is_refused(site: Site) -> None:
    RunLock(site.output).take()
    other = Workflow(site.settings, is_main_process=True)
    (site.output / ".lock").write_text(
        '{"pid": 1, "command": "", "host": "another machine", "started": "", "directory": ""}'
    )
    with pytest.raises(OutputError, match="another run is at work"):
        other.prepare(**NOW)


def test_a_run_may_want_masters_that_are_current(site: Site) -> None:
    site.make_all()
    workflow = site.workflow(is_preview=False, wants_all=True)
    assert targets(workflow) == files_of(workflow, site, BIAS, DARK, FLAT)


def test_the_plan_is_loaded_once(site: Site) -> None:
    site.make_all()
    workflow = site.workflow()
    (site.output / "plan.json").unlink()  # by the checkpoint of another run
    assert targets(workflow) == set()
    assert workflow.planned("bias", BIAS).digest


def test_masters_of_a_killed_run_are_restored_and_still_stale(site: Site) -> None:
    site.make_all()
    site.add("dark", 1, first=3)
    killed = site.workflow()
    site.checkpoint()
    killed.save_previous([killed.path(FILES[DARK])], is_forced=False)
    job_file = site.output / "jobs" / "dark" / f"{DARK}.json"
    recorded = job_file.read_bytes()
    for file in (FILES[DARK], FILES[DARK].replace(".xisf", ".json")):
        (site.output / file).unlink()
    (site.output / ".lock").write_text(
        '{"pid": 0, "command": "", "host": "", "started": "", "directory": ""}'
    )
    os.utime(site.output / ".lock", (1, 1))
    workflow = Workflow(site.settings, is_main_process=True)
    site.workflows.append(workflow)
    first, second = workflow.prepare(**NOW)
    assert first.startswith("The previous run was interrupted")
    assert second == f"It could not rebuild {FILES[DARK]}; restored the previous version."
    assert job_file.read_bytes() != recorded
    assert targets(workflow) == files_of(workflow, site, DARK, FLAT)


def test_files_ahead_of_the_clock_are_dated_back_when_something_is_to_be_done(site: Site) -> None:
    site.make_all()
    ahead = time.time() + 3 * 3600
    for path in site.output.rglob("*.*"):
        os.utime(path, (ahead, ahead))
    idle = site.workflow()
    assert targets(idle) == set()
    assert (site.output / FILES[BIAS]).stat().st_mtime == pytest.approx(ahead, abs=1)
    (site.output / FILES[FLAT]).unlink()
    busy = site.workflow()
    assert targets(busy) == files_of(busy, site, FLAT)
    assert (site.output / FILES[BIAS]).stat().st_mtime <= time.time()


# --- previews -------------------------------------------------------------------------------------


def test_a_preview_decides_in_memory_and_writes_nothing(site: Site) -> None:
    workflow = site.workflow(**PREVIEW)
    assert targets(workflow) == files_of(workflow, site, BIAS, DARK, FLAT)
    assert workflow.job_input("bias", BIAS) == workflow.path("plan.json")
    assert workflow.trigger() == []
    assert not site.output.exists()


def test_a_preview_predicts_what_is_stale_and_why(site: Site) -> None:
    site.make_all()
    site.add("dark", 1, first=3)
    workflow = site.workflow(**PREVIEW)
    assert workflow.trigger()
    assert targets(workflow) == files_of(workflow, site, DARK, FLAT)
    assert workflow.job_input("bias", BIAS) == []
    assert workflow.job_input("dark", DARK) == workflow.path("plan.json")
    assert "1 frame added: dark/3.fits" in workflow.explanation
    assert not (site.output / ".lock").exists()


def test_a_preview_of_a_plan_that_holds_uses_it(site: Site) -> None:
    site.make_all()
    (site.output / FILES[FLAT]).unlink()
    workflow = site.workflow(**PREVIEW)
    assert targets(workflow) == files_of(workflow, site, FLAT)
    assert workflow.job_input("flat", FLAT) == workflow.path(f"jobs/flat/{FLAT}.json")
    assert "its file is missing" in workflow.explanation


def test_an_empty_directory_is_an_error(make_settings: Callable[..., Settings]) -> None:
    with pytest.raises(ConfigError, match="input_dir: directory"):
        Workflow(make_settings(), is_main_process=True).prepare(**PREVIEW)


@pytest.mark.parametrize("below", ["", "night/one"])
@pytest.mark.parametrize("kind", [NOW, PREVIEW])
def test_an_output_dir_that_is_a_file_is_named_as_that(
    site: Site, tmp_path: Path, below: str, kind: dict[str, bool]
) -> None:
    site.add("bias")
    (tmp_path / "a file").write_text("of a person")
    site.configure(output_dir=str(tmp_path / "a file" / below))
    with pytest.raises(OutputError, match=r"a file' is a file, expected a folder: move the file"):
        site.workflow(**kind)
    assert (tmp_path / "a file").read_text() == "of a person"


# --- a job's own process --------------------------------------------------------------------------


def test_a_job_takes_the_plan_as_it_is(site: Site) -> None:
    site.make_all()
    site.add("dark", 1, first=3)
    workflow = site.workflow(is_main_process=False, **NOW)
    assert workflow.job_input("dark", DARK) == workflow.path(f"jobs/dark/{DARK}.json")
    assert workflow.begin() == []
    assert not (site.output / ".lock").exists()


# --- inputs and resources -------------------------------------------------------------------------


def test_a_master_that_is_not_planned_is_an_error(site: Site) -> None:
    site.make_all()
    workflow = site.workflow()
    for ask in (lambda: workflow.planned("bias", "masterBias_x"), lambda: workflow.job("x")):
        with pytest.raises(ConfigError, match="the plan has no master"):
            ask()


@pytest.mark.parametrize("layout", ["by-type", "ap-library"])
def test_a_flat_has_its_bias_and_dark_as_inputs(site: Site, layout: str) -> None:
    site.configure(layout=layout)
    site.make_all()
    workflow = site.workflow()
    report = ReportInputs(workflow, site.settings)
    (flat,) = (job for job in workflow.jobs if job.type == "flat")
    planned = workflow.planned("flat", flat.name)
    assert flat.bias is not None
    assert workflow.used_input(planned.bias) == workflow.path(flat.bias.path)
    assert workflow.job_input("flat", flat.name) == workflow.path(flat.file)
    assert workflow.threads(flat.name) >= 1
    assert workflow.memory_mb(flat.name, threads=1) > 100
    assert workflow.runtime_min(flat.name) > 0
    assert report.measuring_mb(flat.name) > 100
    assert report.measured_record(flat.name) == workflow.path(flat.record)
    assert (
        ReportInputs(workflow, site.settings)
        .bias_quality_input(flat.name)
        .endswith(f"{Path(flat.bias.path).stem}.json")
    )


def test_a_kept_master_is_written_so_that_it_matches_no_output(site: Site) -> None:
    site.make_all()
    for path in (site.settings.input_dir / "dark").iterdir():
        path.unlink()
    workflow = site.workflow()
    site.checkpoint()
    file = workflow.used_input(workflow.planned("flat", FLAT).dark)
    assert isinstance(file, str)
    # The output_dir is absolute: {name} of a rule's output may be "./master…", too.
    assert not file.startswith(workflow.path("masters/"))
    assert Path(file) == site.output / "masters" / "dark" / f"{DARK}.xisf"
    assert targets(workflow) == set()


@pytest.mark.parametrize("kind", ["bias", "dark"])
def test_a_report_reads_a_kept_master_and_its_numbers_and_asks_for_no_job(
    site: Site, kind: str
) -> None:
    site.make_all()
    for path in (site.settings.input_dir / kind).iterdir():
        path.unlink()
    site.workflow()
    site.checkpoint()
    workflow = site.workflow(**NOW)
    (used,) = (
        each
        for job in workflow.jobs
        for each in (job.bias, job.dark)
        if job.type == "flat" and each and f"/{kind}/" in each.path
    )
    assert used.origin == "kept"
    report = ReportInputs(workflow, site.settings)
    numbers = site.output / "quality" / f"{Path(used.path).stem}.json"
    numbers.parent.mkdir()
    numbers.touch()
    asked = [workflow.used_input(used), *([report.bias_quality_input(FLAT)] * (kind == "bias"))]
    for file in asked:
        assert isinstance(file, str)
        assert not file.startswith(workflow.path(""))
        assert Path(file).is_file()


def test_a_library_master_ahead_of_the_clock_is_no_input_and_measured_all_the_same(
    site: Site, tmp_path: Path, add_master: Add
) -> None:
    library = add_master("library/bias.xisf", "bias")
    for path in (site.settings.input_dir / "bias").iterdir():
        path.unlink()
    site.configure(library={"bias": [str(library.parent)], "dark": []})
    site.make_all()
    workflow = site.workflow()
    report = ReportInputs(workflow, site.settings)
    bias = workflow.planned("flat", FLAT).bias
    assert workflow.used_input(bias) == f"/.{library}"
    os.utime(library, (time.time() + 3600, time.time() + 3600))
    assert workflow.used_input(bias) == []
    assert report.measured_bias_file(FLAT) == library.as_posix()


def test_the_report_asks_for_the_numbers_of_all_masters(site: Site) -> None:
    site.make_all()
    workflow = site.workflow()
    report = ReportInputs(workflow, site.settings)
    assert report.all_quality() == [
        workflow.path(f"quality/{name}.json") for name in (BIAS, DARK, FLAT)
    ]
    assert len(report.all_pictures()) == 12
    (setting,) = report.camera_settings
    assert report.all_defects() == [workflow.path(f"defects/{setting}.fits")]
    assert report.setting_masters(setting) == [workflow.path(FILES[n]) for n in (DARK, FLAT)]
    assert len(report.setting_jobs(setting)) == len(report.setting_quality(setting)) == 2
    assert report.mapping_mb(setting) > 100
    assert report.verdict() == []
    assert report.comparison() == []
    comparison = site.settings.output_dir / COMPARISON
    comparison.parent.mkdir()
    comparison.write_text("{}", encoding="utf-8")
    assert report.comparison() == workflow.path(COMPARISON)
