from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from calmasters.errors import OutputError
from calmasters.frame import FrameType, Geometry
from calmasters.inventory.content_digests import ContentDigests
from calmasters.inventory.listing import kept_identities
from calmasters.inventory.scan import scan_masters
from calmasters.model.job import FrameFile, MasterJob, Recipe, UsedMaster, read_made_of
from calmasters.model.layout import TRIGGER_FOLDER
from calmasters.model.master_record import MasterRecord
from calmasters.planning.findings import Findings
from calmasters.planning.plan_file import Plan, PlannedMaster
from calmasters.planning.staleness import (
    FileTimes,
    is_current,
    make_times_usable,
    masters_to_rebuild,
    plan_holds,
    trigger_file,
    write_job_files,
)
from calmasters.settings import Integration, Settings

SECOND_NS = 10**9
BIAS = MasterJob(
    name="masterBias_GAIN-100",
    type=FrameType.BIAS,
    keywords={},
    geometry=Geometry(4, 3),
    frames=tuple(FrameFile(f"{number}.fits", 2880, number) for number in range(3)),
    header={},
    recipe=Recipe("native", 1, Integration(), None, "unit", "xisf"),
)
FLAT = replace(
    BIAS,
    name="masterFlat_FILTER-B",
    type=FrameType.FLAT,
    bias=UsedMaster(BIAS.master, "run", "same settings", job=BIAS.digest),
)
OTHER_BIAS = replace(BIAS, frames=BIAS.frames[:2])
OTHER_FLAT = replace(FLAT, bias=replace(FLAT.bias, job=OTHER_BIAS.digest))


@dataclass
class Output:
    """An output_dir with a bias and a flat that were made by their jobs, and the plan of them."""

    settings: Settings
    write_record: Callable[..., MasterRecord]

    @property
    def folder(self) -> Path:
        return self.settings.output_dir

    def make(self, *jobs: MasterJob) -> None:
        for job in jobs:
            master = self.folder / job.master
            self.write_record(job, master)

    def plan(self, *jobs: MasterJob) -> Plan:
        masters = {
            job.master: PlannedMaster(job.digest, job.bias, job.dark, job.name, len(job.frames))
            for job in jobs
        }
        (self.folder / "inventory.csv").touch()
        (self.folder / "plan.json").touch()
        return Plan("digest", masters, (), Findings({}, (), (), (), (), (), suggested=""))

    def holds(self, *jobs: MasterJob, kept: tuple[str, ...] = ()) -> bool:
        plan, digests = replace(self.plan(*jobs), kept=kept), ContentDigests(self.settings)
        return plan_holds(plan, self.settings, "digest", FileTimes(self.folder), digests)

    def stale(self, *jobs: MasterJob) -> list[str]:
        return masters_to_rebuild(self.plan(*jobs), FileTimes(self.folder))

    def date(self, path: str, time_ns: int) -> None:
        os.utime(self.folder / path, ns=(time_ns, time_ns))

    def time_of(self, path: str) -> int:
        return (self.folder / path).stat().st_mtime_ns


@pytest.fixture
def output(settings: Settings, write_record: Callable[..., MasterRecord]) -> Output:
    made = Output(settings, write_record)
    made.make(BIAS, FLAT)
    write_job_files([BIAS, FLAT], made.folder)
    return made


def test_masters_made_by_their_jobs_are_current(output: Output) -> None:
    times = FileTimes(output.folder)
    assert all(is_current(job.master, job.made_of, times) for job in (BIAS, FLAT))
    assert output.holds(BIAS, FLAT)
    assert output.stale(BIAS, FLAT) == []


def test_a_job_file_is_as_old_as_the_master_that_it_made(output: Output) -> None:
    for job in (BIAS, FLAT):
        made = min(output.time_of(job.master), output.time_of(job.record))
        assert output.time_of(job.file) == made


def test_a_job_file_is_newer_than_a_master_that_another_job_made(output: Output) -> None:
    write_job_files([OTHER_BIAS, OTHER_FLAT], output.folder)
    assert output.time_of(OTHER_BIAS.file) > output.time_of(BIAS.master)
    # A flat is stale with its bias, though its own job has not changed.
    assert OTHER_FLAT.digest == FLAT.digest
    assert output.time_of(OTHER_FLAT.file) > output.time_of(FLAT.master)
    assert output.holds(OTHER_BIAS, OTHER_FLAT)
    assert output.stale(OTHER_BIAS, OTHER_FLAT) == [BIAS.master, FLAT.master]


@pytest.mark.parametrize("touched", [BIAS.master, BIAS.record, FLAT.master, BIAS.file])
def test_a_plan_does_not_hold_where_times_hide_a_stale_master(output: Output, touched: str) -> None:
    write_job_files([OTHER_BIAS, OTHER_FLAT], output.folder)
    future = time.time_ns() + 5 * SECOND_NS
    if touched == BIAS.file:
        output.date(touched, 1)
    else:
        for path in {touched, touched.replace("xisf", "json"), touched.replace("json", "xisf")}:
            output.date(path, future)
    assert not output.holds(OTHER_BIAS, OTHER_FLAT)


def test_a_plan_does_not_hold_where_a_current_master_looks_stale_and_the_job_file_is_dated_back(
    output: Output,
) -> None:
    output.date(BIAS.file, time.time_ns())
    assert not output.holds(BIAS, FLAT)
    before = (output.folder / BIAS.file).read_bytes()
    write_job_files([BIAS, FLAT], output.folder)
    assert output.holds(BIAS, FLAT)
    assert (output.folder / BIAS.file).read_bytes() == before


def test_a_job_file_that_has_to_be_newer_again_has_other_bytes(output: Output) -> None:
    write_job_files([OTHER_BIAS], output.folder)
    before = (output.folder / BIAS.file).read_bytes()
    output.date(BIAS.file, 1)
    write_job_files([OTHER_BIAS], output.folder)
    assert (output.folder / BIAS.file).read_bytes() != before
    assert output.time_of(BIAS.file) > output.time_of(BIAS.master)


def test_a_job_file_as_old_as_a_stale_master_is_made_newer(output: Output) -> None:
    write_job_files([OTHER_BIAS], output.folder)
    output.date(BIAS.file, FileTimes(output.folder).of_master(BIAS.master))
    assert not output.holds(OTHER_BIAS, OTHER_FLAT)
    write_job_files([OTHER_BIAS], output.folder)
    assert output.time_of(BIAS.file) > output.time_of(BIAS.master)


def test_the_job_file_of_a_missing_master_is_written_where_the_job_changed(output: Output) -> None:
    (output.folder / BIAS.master).unlink()
    before = (output.folder / BIAS.file).read_bytes()
    write_job_files([BIAS], output.folder)
    assert (output.folder / BIAS.file).read_bytes() == before
    write_job_files([OTHER_BIAS], output.folder)
    assert read_made_of(output.folder / BIAS.file) == OTHER_BIAS.made_of


def test_a_plan_does_not_hold_without_a_job_file(output: Output) -> None:
    (output.folder / BIAS.file).unlink()
    assert not output.holds(BIAS, FLAT)


@pytest.mark.parametrize(("origin", "stale"), [("library", []), ("run", [FLAT.master])])
def test_a_flat_is_stale_by_the_time_of_a_master_of_this_run_and_not_of_a_library(
    output: Output, tmp_path: Path, origin: str, stale: list[str]
) -> None:
    newer = tmp_path / "bias.xisf"
    newer.touch()
    flat = replace(FLAT, bias=UsedMaster(str(newer), origin, "same settings"))
    write_job_files([flat], output.folder)
    for path in (FLAT.master, FLAT.record):
        output.date(path, output.time_of(FLAT.file) + 1)
    output.date(str(newer), output.time_of(FLAT.master) + SECOND_NS)
    assert output.stale(flat) == stale


def test_a_job_file_that_is_right_is_left_alone(output: Output) -> None:
    write_job_files([OTHER_BIAS], output.folder)
    before = output.time_of(BIAS.file)
    write_job_files([OTHER_BIAS], output.folder)
    assert output.time_of(BIAS.file) == before


def test_a_job_file_has_the_origin_of_a_master_now_and_its_flat_is_not_made_again(
    output: Output,
) -> None:
    made = output.time_of(FLAT.master)
    for bias in (KEPT.bias, replace(KEPT.bias, why="same settings; kept in output_dir")):
        kept = replace(FLAT, bias=bias)
        assert kept.made_of == FLAT.made_of
        write_job_files([kept], output.folder)
        assert MasterJob.read(output.folder / FLAT.file) == kept
        assert output.time_of(FLAT.file) <= made
        assert output.stale(BIAS, kept) == []


def test_a_damaged_job_file_is_written_again(output: Output) -> None:
    path = output.folder / BIAS.file
    head, _, _ = path.read_text().partition('"frames"')
    path.write_text(head)
    write_job_files([BIAS], output.folder)
    assert MasterJob.read(path) == BIAS


@pytest.mark.parametrize("missing", [BIAS.master, BIAS.record])
def test_a_master_that_is_missing_or_without_its_record_is_rebuilt(
    output: Output, missing: str
) -> None:
    (output.folder / missing).unlink()
    assert output.holds(BIAS, FLAT)
    assert output.stale(BIAS, FLAT) == [BIAS.master, FLAT.master]


def test_a_flat_older_than_its_bias_is_rebuilt(output: Output) -> None:
    output.date(BIAS.master, time.time_ns() + SECOND_NS)
    assert output.stale(BIAS, FLAT) == [FLAT.master]


def test_masters_of_a_version_that_did_not_record_their_bias_are_current(output: Output) -> None:
    record = output.folder / FLAT.record
    old = record.read_text().replace(f'"bias_job": "{BIAS.digest}",', "")
    assert old != record.read_text()
    record.write_text(old)
    times = FileTimes(output.folder)
    assert is_current(FLAT.master, FLAT.made_of, times)
    assert is_current(FLAT.master, OTHER_FLAT.made_of, times)


@pytest.mark.parametrize("content", ["", "pix", "pixels and more"])
def test_a_master_of_another_size_than_its_record_says_is_not_current(
    output: Output, content: str
) -> None:
    before = output.time_of(BIAS.master)
    (output.folder / BIAS.master).write_text(content)
    output.date(BIAS.master, before)
    assert not is_current(BIAS.master, BIAS.made_of, FileTimes(output.folder))
    assert not output.holds(BIAS, FLAT)


def test_a_record_of_a_version_without_the_size_is_believed(output: Output) -> None:
    record = output.folder / BIAS.record
    old = record.read_text().replace('"master_bytes": 6,', "")
    assert old != record.read_text()
    record.write_text(old)
    assert is_current(BIAS.master, BIAS.made_of, FileTimes(output.folder))


KEPT = replace(FLAT, bias=replace(FLAT.bias, origin="kept"))


@pytest.mark.parametrize("has_record", [True, False])
def test_a_plan_does_not_hold_where_a_kept_master_was_replaced_whatever_its_time(
    output: Output, has_record: bool
) -> None:
    bias = output.folder / BIAS.master
    if not has_record:
        (output.folder / BIAS.record).unlink()
    (file,) = scan_masters(output.settings)
    identity = kept_identities([file], output.folder, ContentDigests(output.settings))
    kept = replace(KEPT, bias=replace(KEPT.bias, job=identity[BIAS.master]))
    output.make(kept)
    write_job_files([kept], output.folder)
    assert output.holds(kept, kept=(BIAS.master,))
    before = bias.stat().st_mtime_ns
    if has_record:
        output.make(OTHER_BIAS)
    else:
        bias.write_text("others")
    output.date(BIAS.master, before)
    assert not output.holds(kept, kept=(BIAS.master,))


# --- clocks ---------------------------------------------------------------------------------------


def test_files_ahead_of_the_clock_are_dated_back_in_their_order(output: Output) -> None:
    now = time.time_ns()
    order = [BIAS.file, BIAS.master, FLAT.file, FLAT.master]
    for place, path in enumerate(order):
        output.date(path, now + (3600 + place) * SECOND_NS)
    output.date(BIAS.record, now - 1)
    make_times_usable(output.folder, now)
    times = [output.time_of(path) for path in order]
    assert times == sorted(set(times))
    assert times == [now - 3000, now - 2000, now - 1000, now]
    assert output.time_of(BIAS.record) == now - 1


def test_files_of_one_time_ahead_of_the_clock_stay_of_one_time(output: Output) -> None:
    now = time.time_ns()
    for path in (BIAS.file, BIAS.master, BIAS.record):
        output.date(path, now + SECOND_NS)
    make_times_usable(output.folder, now)
    assert {output.time_of(path) for path in (BIAS.file, BIAS.master, BIAS.record)} == {now}


def test_all_files_ahead_of_the_clock_are_dated_back_also_without_a_plan(output: Output) -> None:
    now = time.time_ns()
    for path in output.folder.rglob("*.*"):
        os.utime(path, ns=(now + SECOND_NS, now + SECOND_NS))
    make_times_usable(output.folder, now)
    assert {path.stat().st_mtime_ns for path in output.folder.rglob("*.*")} == {now}


@pytest.mark.parametrize("path", [BIAS.master, BIAS.record])
def test_a_plan_does_not_hold_where_a_file_has_the_time_0_and_it_gets_another(
    output: Output, path: str
) -> None:
    assert output.holds(BIAS, FLAT)
    plan = output.plan(BIAS, FLAT)
    output.date(path, 0)
    times, digests = FileTimes(output.folder), ContentDigests(output.settings)
    assert not plan_holds(plan, output.settings, "digest", times, digests)
    make_times_usable(output.folder, time.time_ns())
    assert 0 < output.time_of(path) <= 2 * SECOND_NS


@pytest.mark.parametrize("is_preview", [True, False])
def test_the_trigger_is_newer_than_a_plan_of_the_time_0(output: Output, is_preview: bool) -> None:
    output.plan(BIAS, FLAT)
    for path in ("plan.json", "inventory.csv"):
        output.date(path, 0)
    if not is_preview:
        make_times_usable(output.folder, time.time_ns())
    folder, file = trigger_file(output.folder, is_preview=is_preview)
    # Snakemake takes 0 for no time.
    assert 0 < output.time_of("plan.json") < file.stat().st_mtime_ns
    assert output.time_of("inventory.csv") > 0
    folder.cleanup()


def test_a_master_ahead_of_the_clock_cannot_be_overtaken_and_the_error_says_so(
    output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calmasters.planning.staleness._TICK_LIMIT_S", 0.05)
    for path in (BIAS.master, BIAS.record):
        output.date(path, time.time_ns() + 3600 * SECOND_NS)
    with pytest.raises(OutputError, match="the clock of this disk is behind"):
        write_job_files([OTHER_BIAS], output.folder)


@pytest.mark.parametrize("is_preview", [True, False])
def test_the_trigger_is_just_newer_than_the_plan_and_on_its_disk(
    output: Output, is_preview: bool
) -> None:
    plan = output.folder / "plan.json"
    plan.touch()
    folder, file = trigger_file(output.folder, is_preview=is_preview)
    assert plan.stat().st_mtime_ns < file.stat().st_mtime_ns <= plan.stat().st_mtime_ns + 2000
    assert file.parent.parent == output.folder / ".cache"
    assert [*file.parent.iterdir()] == [file]
    folder.cleanup()
    assert not file.exists()


def test_a_trigger_is_made_in_a_new_folder_and_again(tmp_path: Path) -> None:
    for _ in range(2):
        folder, file = trigger_file(tmp_path / "new" / "output", is_preview=False)
        with folder:
            plan = tmp_path / "new" / "output" / "plan.json"
            assert file.stat().st_mtime_ns > plan.stat().st_mtime_ns


def test_where_nothing_can_be_written_a_preview_takes_another_folder_and_a_run_fails(
    output: Output,
) -> None:
    output.plan(BIAS)
    shutil.rmtree(output.folder / TRIGGER_FOLDER, ignore_errors=True)
    (output.folder / TRIGGER_FOLDER).touch()
    with pytest.raises(OSError, match=TRIGGER_FOLDER):
        trigger_file(output.folder, is_preview=False)
    folder, file = trigger_file(output.folder, is_preview=True)
    with folder:
        assert not file.is_relative_to(output.folder)
        assert file.stat().st_mtime_ns > output.time_of("plan.json")


def test_a_run_makes_a_plan_for_the_trigger_to_be_newer_than(output: Output) -> None:
    folder, file = trigger_file(output.folder, is_preview=False)
    assert (output.folder / "plan.json").stat().st_mtime_ns < file.stat().st_mtime_ns
    folder.cleanup()


def test_a_trigger_of_a_plan_ahead_of_the_clock_waits_for_the_clock(output: Output) -> None:
    plan = output.folder / "plan.json"
    plan.touch()
    ahead = time.time_ns() + SECOND_NS // 5
    os.utime(plan, ns=(ahead, ahead))
    folder, file = trigger_file(output.folder, is_preview=False)
    assert time.time_ns() >= file.stat().st_mtime_ns > ahead
    folder.cleanup()
