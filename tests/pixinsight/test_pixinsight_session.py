"""One PixInsight for all masters of a run: one start, the same masters, and no processes left."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jobs_for_pixinsight import Site, assert_ended, assert_equals_native, is_ended, make_job

from calmasters.engines.pixinsight.script import session_text
from calmasters.engines.pixinsight.session import SupervisorConnection, connected
from calmasters.engines.pixinsight.supervisor import Supervisor
from calmasters.engines.pixinsight.task import Task
from calmasters.errors import EngineError
from calmasters.frame import FrameType
from calmasters.model.job import MasterJob

BIAS, DARK, FLAT = FrameType.BIAS, FrameType.DARK, FrameType.FLAT
VARIABLE = "CALMASTERS_PIXINSIGHT"


def masters_in_each_run(site: Site) -> list[int]:
    """Return the number of integrations of each PixInsight that ended by itself."""
    site.unshare()
    runs = [run["executed"] for run in site.program.journal()]
    return [sum(one["process"] == "ImageIntegration" for one in run) for run in runs]


def until(condition: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def task_of(site: Site, job: MasterJob) -> Task:
    """Return the task that the engine makes of a job."""
    data = re.search(r"var JOB = (.*?^\});", site.runner_script(job), re.DOTALL | re.MULTILINE)
    assert data
    return Task(json.loads(data[1]))


# One start -------------------------------------------------------------------------------


@pytest.mark.usefixtures("mode")
def test_one_pixinsight_makes_all_masters_and_they_equal_the_native_engines(
    shared: Site, flat_with_masters: Callable[..., MasterJob]
) -> None:
    flat = flat_with_masters(BIAS, DARK)
    plain = replace(flat, name="masterFlat_Plain", bias=None, dark=None, optimize_dark=False)
    for job in (plain, flat):
        assert_equals_native(shared, job)
    assert masters_in_each_run(shared) == [2]
    assert [run["windows"] for run in shared.program.journal()] == [[]]


def test_a_new_pixinsight_starts_after_jobs_per_session(shared: Site) -> None:
    job = make_job(shared, BIAS)
    for number in range(3):
        shared.make(replace(job, name=f"masterBias_{number}"), jobs_per_session=2)
    assert masters_in_each_run(shared) == [2, 1]


def test_concurrent_requests_are_processed_in_sequence(shared: Site) -> None:
    jobs = [make_job(shared, kind) for kind in (BIAS, DARK, FLAT)]
    with ThreadPoolExecutor() as pool:
        list(pool.map(shared.make, jobs))
    assert all((shared.output_dir / job.master).exists() for job in jobs)
    assert masters_in_each_run(shared) == [3]


def test_pixinsight_is_not_started_before_the_first_master(shared: Site) -> None:
    shared.unshare()
    assert shared.program.pids() == []
    assert not (shared.folder / "pixinsight.log").exists()


@pytest.mark.parametrize("variable", ["", "elsewhere {port} {token}", "{host} 1 x", "{host}"])
def test_without_a_supervisor_on_this_machine_there_is_no_session(
    shared: Site, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    host, port, token = os.environ[VARIABLE].split()
    monkeypatch.setenv(VARIABLE, variable.format(host=host, port=port, token=token))
    with connected() as connection:
        assert connection is None


def test_without_a_session_a_master_starts_its_own(site: Site) -> None:
    job = make_job(site, BIAS)
    site.options["session"] = "shared"
    assert_equals_native(site, job)
    assert [run["script"] for run in site.program.journal()] == [site.runner_script(job)]


def test_unknown_clients_get_no_answer_and_do_not_block(shared: Site) -> None:
    port = int(os.environ[VARIABLE].split()[1])
    task, options = task_of(shared, make_job(shared, BIAS)), shared.engine().options
    for question in (b"{}\n", b"GET / HTTP/1.1\n", b"\xff\n"):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(question)
            assert connection.recv(100) == b""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as connection,
        pytest.raises(EngineError, match="does not answer"),
    ):
        SupervisorConnection(connection, "guessed").make(task, options)
    assert shared.program.pids() == []
    with connected() as known:
        assert known
        known.make(task, options)
    assert task.status().state == "completed"


# A PixInsight that has made masters and fails --------------------------------------------


@pytest.mark.parametrize("fault", ["crash-once", "leak-once"])
def test_a_program_that_crashes_or_runs_out_of_memory_is_replaced(shared: Site, fault: str) -> None:
    jobs = [make_job(shared, kind) for kind in (BIAS, DARK)]
    shared.program.behave(fault=fault, fault_of="masterDark")
    for job in jobs:
        shared.make(job)
    assert all((shared.output_dir / job.master).exists() for job in jobs)
    assert len(shared.program.pids()) == 2


def test_a_program_that_does_not_answer_is_replaced(site: Site, tmp_path: Path) -> None:
    site.program.behave(fault="hang-between")
    tasks = [task_of(site, make_job(site, kind)) for kind in (BIAS, DARK)]
    supervisor = Supervisor(tmp_path / "logs" / "log", answer_s=1)
    began = time.monotonic()
    for task in tasks:
        supervisor.make(task, site.engine().options, lambda: True)
    assert time.monotonic() - began < 60 * site.engine().options.timeout_minutes
    supervisor.stop()
    assert all(task.status().state == "completed" for task in tasks)
    assert len(site.program.pids()) == 2


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("no-signal", "Zero or insignificant signal detected"),
        ("hang", "while integrating 5 frames: raise the limit"),
    ],
)
def test_a_failure_in_a_new_program_is_reported_and_the_next_master_is_made(
    shared: Site, fault: str, message: str
) -> None:
    shared.program.behave(fault=fault, fault_of="masterDark")
    jobs = {kind: make_job(shared, kind) for kind in (BIAS, DARK, FLAT)}
    shared.make(jobs[BIAS])
    with pytest.raises(EngineError, match=message):
        shared.make(jobs[DARK], timeout_minutes=0.08)
    if fault == "hang":
        assert all(is_ended(pid) for pid in shared.program.pids())
    shared.make(jobs[FLAT])
    made = {kind for kind, job in jobs.items() if (shared.output_dir / job.master).exists()}
    assert made == {BIAS, FLAT}
    assert len(shared.program.pids()) == (2 if fault == "no-signal" else 3)
    shared.unshare()
    for pid in shared.program.pids():
        assert_ended(pid)


def test_windows_left_open_are_closed_before_the_next_master(shared: Site) -> None:
    shared.program.behave(fault="leak", fault_of="masterBias")
    with pytest.raises(EngineError, match=r"Out of memory\."):
        shared.make(make_job(shared, BIAS))
    assert_equals_native(shared, make_job(shared, DARK))
    shared.unshare()
    assert [run["windows"] for run in shared.program.journal()] == [[]]


def test_a_program_is_ended_before_its_client_exits(shared: Site) -> None:
    shared.program.behave(fault="hang")
    task, options = task_of(shared, make_job(shared, BIAS)), shared.engine().options
    with ThreadPoolExecutor() as pool:
        with suppress(KeyboardInterrupt), connected() as own:
            assert own
            asking = pool.submit(own.make, task, options)
            until((shared.program.folder / "journal.jsonl").exists)
            raise KeyboardInterrupt
        assert_ended(*shared.program.pids())
        assert isinstance(asking.exception(), EngineError)


# The end ---------------------------------------------------------------------------------


def test_an_idle_program_is_ended_and_started_again_when_needed(site: Site, tmp_path: Path) -> None:
    task = task_of(site, make_job(site, BIAS))
    options = site.engine().options
    supervisor = Supervisor(tmp_path / "logs" / "log", idle_s=0.3)
    for _ in range(2):
        supervisor.make(task, options, lambda: True)
        supervisor.maintain()
        time.sleep(0.4)
        supervisor.maintain()
    assert task.status().state == "completed"
    assert [len(run["executed"]) for run in site.program.journal()] == [1, 1]


def test_a_supervisor_sends_heartbeats(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    options = site.engine().options
    supervisor = Supervisor(tmp_path / "logs" / "log")
    supervisor.make(task_of(site, make_job(site, BIAS)), options, lambda: True)
    (folder,) = tmp_path.glob("calmasters-*")
    for _ in range(2):
        until(lambda: (supervisor.maintain(), (folder / "beat").exists())[1])
        until(lambda: not (folder / "beat").exists())  # the script has taken it
    supervisor.stop()
    assert not folder.exists()


def test_the_script_ends_without_heartbeats(site: Site, tmp_path: Path) -> None:
    patience = {"folder": tmp_path.as_posix(), "poll_ms": 10, "patience_ms": 300}
    began = time.monotonic()
    site.program.run_script(session_text(patience, site.engine().options))
    assert 0.3 <= time.monotonic() - began < 10


def test_the_script_continues_with_heartbeats(site: Site, tmp_path: Path) -> None:
    patience = {"folder": tmp_path.as_posix(), "poll_ms": 10, "patience_ms": 1000}

    def keep() -> None:
        for _ in range(20):
            (tmp_path / "beat").touch()
            time.sleep(0.1)
        (tmp_path / "end").touch()

    with ThreadPoolExecutor() as pool:
        keeping = pool.submit(keep)
        site.program.run_script(session_text(patience, site.engine().options))
        assert (tmp_path / "end").exists()
        keeping.result()


OWNER = """
import sys, time
from pathlib import Path
from calmasters.engines.pixinsight.engine import PixInsightEngine
from calmasters.engines.pixinsight.session import begin
from calmasters.model.job import MasterJob
from calmasters.settings import Calibrated, PixInsight

binary, job_file, folder = map(Path, sys.argv[1:])
supervisor = begin(folder / "pixinsight.log")
print(supervisor.pid, flush=True)
job = MasterJob.from_json(job_file.read_text())
options = PixInsight(binary=binary, js_engine="sm", session="shared")
engine = PixInsightEngine(options, Calibrated())
output = folder / "output"
engine.make(job, folder / "frames", output, output / job.master, output / "log")
print("made", flush=True)
time.sleep(60)
"""


#: When the owner is killed, and the behaviour of the program.
MOMENTS: dict[str, dict[str, Any]] = {
    "when the master is made": {},
    "while the master is made": {"fault": "hang"},
    "while PixInsight starts": {"start_s": 60},
}


@pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")
@pytest.mark.parametrize("moment", MOMENTS)
def test_no_process_outlives_the_owner_of_the_session(site: Site, moment: str) -> None:
    site.program.behave(**MOMENTS[moment])
    job = make_job(site, BIAS)
    (site.folder / "job.json").write_text(job.to_json())
    arguments = [site.program.binary, site.folder / "job.json", site.folder]
    command = [sys.executable, "-c", OWNER, *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as owner:
        assert owner.stdout
        supervisor = int(owner.stdout.readline())
        until((site.program.folder / "pids").exists)
        if not MOMENTS[moment]:
            assert owner.stdout.readline() == "made\n"
        elif "fault" in MOMENTS[moment]:
            until((site.program.folder / "journal.jsonl").exists)
        os.killpg(owner.pid, signal.SIGKILL)  # all that a terminal would end
    for pid in (supervisor, *site.program.pids()):
        until(lambda pid=pid: is_ended(pid))


@pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")
def test_without_a_supervisor_a_master_starts_its_own(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.setenv("TMPDIR", str(site.folder))  # a killed supervisor leaves its folder
    site.share()
    assert site.supervisor
    site.make(make_job(site, BIAS))
    site.supervisor.kill()
    site.supervisor.wait()
    site.make(make_job(site, DARK))
    site.unshare()
    assert len(site.program.pids()) == 2
    os.kill(site.program.pids()[0], signal.SIGKILL)  # it would wait a minute for a heartbeat
