"""Jobs take of the machine what their frames ask for."""

from __future__ import annotations

import os
import re

from real_workflow import spoil

from calmasters.model.job import MasterJob
from calmasters.running import job_resources as resources

_GIVEN = re.compile(r"^    resources: .*\bruntime=(\d+).*\bmem_mb=(\d+)", re.MULTILINE)


def test_each_job_asks_for_what_its_frames_need(made_once):
    workflow, predicted, run = made_once
    files = sorted(workflow.output.glob("jobs/*/*.json"))
    jobs = [MasterJob.from_json(file.read_text(encoding="utf-8")) for file in files]
    needed = [("11", str(resources.memory_mb(job, 1))) for job in jobs]
    assert sorted(_GIVEN.findall(predicted.output)) == sorted(needed)
    assert sorted(_GIVEN.findall(run.output)) == sorted(needed)


def test_jobs_that_will_not_run_are_not_asked(session):
    session.run("masters")
    for file in session.output.glob("jobs/*/*.json"):
        times = file.stat().st_atime_ns, file.stat().st_mtime_ns
        file.write_text("no job", encoding="utf-8")
        os.utime(file, ns=times)
    assert session.run("masters").nothing_to_do


def test_another_attempt_is_given_more(session):
    """A cluster ends a job for its memory or time: tried again, it gets twice as much."""
    session.run("inventory")
    spoil(*session.frames.rglob("BIAS/*.fits"))
    run = session.run("masters", "--retries", "1", "--keep-going", succeeds=False)
    once, twice = re.findall(r"rule master_bias:(?:\n {4}.*)*?\bmem_mb=(\d+)", run.output)
    assert int(twice) == 2 * int(once)
