"""What the console makes of Snakemake's records."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from calmasters.console.console import Console
from calmasters.errors import FrameError

MESSAGE = "2 frames; WinsorizedSigmaClip needs 3"


class Terminal:
    """A console, and the records that Snakemake would send to it."""

    def __init__(self, directory: Path, **options: Any) -> None:
        self.stream = io.StringIO()
        self.console = Console(self.stream, **{"shows_all": False, "quiet": frozenset(), **options})
        self.log = directory / "master.log"

    def record(self, event: LogEvent | None, text: str = "", **fields: Any) -> None:
        record = logging.makeLogRecord({"msg": text, "levelno": logging.INFO, **fields})
        if event:
            record.event = event
        self.console.emit(record)

    def start(self, number: int, rule: str = "master_bias") -> None:
        self.record(LogEvent.WORKFLOW_STARTED)
        self.record(
            LogEvent.JOB_INFO,
            **{"jobid": number, "rule_name": rule, "output": ["a.xisf"], "log": [str(self.log)]},
        )

    def fail(self, number: int, message: str = MESSAGE) -> None:
        if message:
            self.log.write_text(f"reading frames\ncalmasters: {message}\n")
        self.record(LogEvent.JOB_ERROR, jobid=number)

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    def end(self) -> str:
        self.console.end()
        return self.text


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)


def test_nothing_is_shown_of_a_command_that_runs_nothing(terminal: Terminal) -> None:
    terminal.record(None, "Building DAG of jobs...")
    assert terminal.end() == ""


def test_the_message_of_a_failed_job_comes_from_its_log_and_last(terminal: Terminal) -> None:
    terminal.start(1)
    terminal.fail(1)
    assert terminal.text == "  master_bias  FAILED\n"
    assert terminal.end().splitlines()[-2:] == [
        f"Failed: master_bias: {MESSAGE}",
        f"  (log: {terminal.log})",
    ]


def test_a_job_that_is_tried_again_has_not_failed(terminal: Terminal) -> None:
    terminal.start(1)
    terminal.fail(1)
    terminal.record(None, "Trying to restart job 1.")
    assert terminal.text == "  master_bias  FAILED\n  master_bias  trying again\n"
    assert "Failed:" not in terminal.end()


def test_a_group_of_jobs_is_tried_again_together(terminal: Terminal) -> None:
    for number in (1, 2):
        terminal.start(number)
    jobs = [{"jobid": 1}, {"jobid": 2}]
    terminal.record(LogEvent.GROUP_ERROR, groupid="night", job_error_info=jobs)
    for number in (1, 2):
        terminal.fail(number)
    terminal.record(None, "Trying to restart job night.")
    assert "Failed:" not in terminal.end()


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (-9, "its process was ended by signal 9"),
        (0xC0000005, "its process was ended by Windows (code 0xc0000005)"),
        (1, "it ended without a message"),
    ],
)
def test_a_killed_job_says_how_it_ended(terminal: Terminal, status: int, message: str) -> None:
    terminal.start(1)
    try:
        raise CalledProcessError(status, "python")
    except CalledProcessError:
        terminal.record(LogEvent.ERROR, "RuleException:…", exception="RuleException")
    terminal.fail(1, message="")
    assert message in terminal.end()


def test_an_error_of_ours_is_shown_alone_wherever_it_was_raised(terminal: Terminal) -> None:
    try:
        try:
            raise FrameError("no master can be made")
        except FrameError as error:
            raise RuntimeError("InputFunctionException in rule masters…\nTraceback:…") from error
    except RuntimeError as error:
        for _ in range(2):
            terminal.record(LogEvent.ERROR, str(error), exception="InputFunctionException")
    assert terminal.end() == "calmasters: no master can be made\n"


def test_an_old_file_that_is_open_elsewhere_is_named_with_what_to_do(terminal: Terminal) -> None:
    try:
        try:
            raise PermissionError(13, "Permission denied", "output/inventory.csv")
        except PermissionError as error:
            raise RuntimeError("Snakemake's") from error
    except RuntimeError:
        terminal.record(LogEvent.ERROR, "PermissionError in file Snakefile, line 5: ...")
    message = "calmasters: Permission denied ('output/inventory.csv'); change its permissions"
    assert terminal.end().splitlines()[-1].startswith(message)


def test_an_error_of_snakemake_is_shown_as_it_is(terminal: Terminal) -> None:
    terminal.record(LogEvent.ERROR, "MissingRuleException:\nNo rule to produce x", exception="x")
    assert terminal.end() == "calmasters: MissingRuleException:\nNo rule to produce x\n"


def test_warnings_are_shown_and_other_texts_of_snakemake_are_not(terminal: Terminal) -> None:
    terminal.record(LogEvent.WORKFLOW_STARTED)
    terminal.record(None, "Building DAG of jobs...")
    terminal.record(None, "The previous run was interrupted", levelno=logging.WARNING)
    terminal.record(LogEvent.RUN_INFO, "Job stats:…")
    assert terminal.text == "The previous run was interrupted\n"


def test_an_interrupted_run_names_no_failures(terminal: Terminal) -> None:
    terminal.start(1)
    terminal.record(None, "Terminating processes on user request, this might take some time.")
    terminal.fail(1, message="")
    assert terminal.end() == "Stopping…\nInterrupted. Run the same command again to continue.\n"


def test_a_rule_that_prints_has_no_summary(terminal: Terminal) -> None:
    terminal.start(1, rule="why")
    terminal.record(LogEvent.JOB_FINISHED, job_id=1)
    assert terminal.end() == ""


def test_quiet_all_shows_failures_only(tmp_path: Path) -> None:
    quiet = Terminal(tmp_path, quiet=frozenset({"all"}))
    quiet.start(1)
    assert quiet.end() == ""
    quiet.fail(1)
    assert quiet.end().startswith(f"Failed: master_bias: {MESSAGE}")
