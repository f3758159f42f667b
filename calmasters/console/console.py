"""What Snakemake reports, as a person wants to read it.

The Snakefile installs a :class:`Console` in place of Snakemake's own handler: one line per finished
master, a progress bar on a terminal, and a summary at the end. Snakemake's log file keeps the usual
text, and ``--verbose`` shows it on the terminal as well.
"""

from __future__ import annotations

import atexit
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Final, NamedTuple, TextIO

from calmasters.atomic_files import temporary_folder
from calmasters.commands.suggested import as_typed, renamed
from calmasters.console.bar import Bar, State
from calmasters.console.job_output import JobOutput
from calmasters.console.summary import Ending, Failure, RunResult, end_of_run
from calmasters.errors import MESSAGES_IN_LOG, CalmastersError, message_in_log, os_error_message
from calmasters.model.layout import REPORT
from calmasters.model.master_record import MasterRecord
from calmasters.progress import PROGRESS_FOLDER, read_shares
from calmasters.workflow.workflow import Workflow

__all__ = ["Console", "install"]

#: Name that Snakemake gives its handler for the terminal.
_DEFAULT_HANDLER: Final = "DefaultStreamHandler"

#: Rules that print what was asked for: no summary follows.
_PRINTING_RULES: Final = frozenset(
    {"why", "summary", "orphans", "engine_check", "compare", "bug_report"}
)
#: Rules that come to a plan, and make no masters.
_PLANNING_RULES: Final = frozenset({"inventory", "scripts"})

#: Beginnings of Snakemake's texts that say how a run ends.
_NOTHING_TO_DO: Final = "Nothing to be done"
_INTERRUPTED: Final = ("Terminating processes on user request", "Will exit after finishing")
_INTERRUPT_S: Final = 0.3
_SEVERAL: Final = 2
_RETRY: Final = "Trying to restart job "
#: What Snakemake writes of an exception of this package in an input function. The exception itself
#: is not in the chain, if the rule is not a target: Snakemake raises it again elsewhere.
_INPUT_ERROR: Final = re.compile(
    rf"^Error:\n  (?:{'|'.join(each.__name__ for each in CalmastersError.__subclasses__())}): (.*)"
    r"\nWildcards:",
    re.DOTALL | re.MULTILINE,
)
#: What Snakemake says of a target that does not exist.
_NO_RULE: Final = re.compile(r"No rule to produce (.+) \(if you use input functions", re.DOTALL)
#: Windows' codes for processes that it ends, and above.
_ENDED_BY_WINDOWS: Final = 0xC0000000
#: Errors that only repeat that a job failed.
_REPEATED: Final = (
    "Exiting because a job execution failed",
    "At least one job did not complete successfully",
    "WorkflowError:\nAt least one job did not complete successfully",
)


class _Job(NamedTuple):
    rule: str
    output: tuple[str, ...]
    log: str
    started_s: float


class Console(logging.Handler):
    """Shows a run on the terminal.

    Parameters
    ----------
    stream : TextIO
        The terminal, or whatever stands for it.
    shows_all : bool
        Snakemake's own handler is at work (``--verbose``, ``--logger``): add only the summary.
    quiet : frozenset of str
        Values of ``--quiet``: ``rules``, ``progress``, ``all``…
    targets : callable
        Returns what was asked for, a frozenset of str; empty for the masters.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        shows_all: bool,
        quiet: frozenset[str],
        targets: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        super().__init__()
        self._targets = targets
        self._stream = stream
        self._shows_all, self._quiet = shows_all, quiet
        self._workflows: list[Workflow] = []
        self._rule_names: dict[str, str] = {}
        self._outer_names: list[dict[str, str]] = []
        self._directory = Path.cwd()
        self._started_s = time.monotonic()
        self._has_started = self._nothing_to_do = self._is_interrupted = False
        self._running: dict[int, _Job] = {}
        self._rules: set[str] = set()
        self._steps = (0, 0)
        #: Each with the workflow whose job it was, as far as that is known.
        self._built: list[tuple[Workflow | None, str]] = []
        self._failures: dict[int, tuple[Workflow | None, Failure]] = {}
        self._groups: dict[str, list[int]] = {}
        self._errors: list[str] = []
        self._lock = threading.RLock()
        self._exit_status: int | None = None
        self._output: JobOutput | None = None
        self._bar: Bar | None = None
        self._shares: TemporaryDirectory[str] | None = None

    def attach(self, workflow: Workflow, rules: Mapping[str, str] | None = None) -> None:
        """Give what answers about a plan; more than one where it is a module of another workflow.

        Parameters
        ----------
        workflow : Workflow
        rules : mapping of str to str
            Names of its rules in the Snakefile, by those that Snakemake uses, if they differ.
        """
        if workflow not in self._workflows:
            self._workflows.append(workflow)
            self._outer_names.append({own: outer for outer, own in (rules or {}).items()})
        self._rule_names.update(rules or {})
        # With --directory, Snakemake goes back to where it was started before the process ends.
        self._directory = Path.cwd()

    # --- records of Snakemake ---------------------------------------------------------------------

    def emit(self, record: logging.LogRecord) -> None:
        """Take notice of a record, and print what a person wants to read of it."""
        event = getattr(record, "event", None)
        name = event.value if event is not None else ""
        try:
            if name in _ON_EVENT:
                _ON_EVENT[name](self, vars(record))
            elif not name:
                self._on_text(record)
        except OSError:
            # A closed terminal (`| head`) is no reason to lose masters.
            return
        except Exception:
            # A defect of the console neither: its traceback is shown, and the run goes on.
            self.handleError(record)

    def _on_started(self, _: Mapping[str, Any]) -> None:
        self._has_started = True

    def _on_text(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text.startswith(_NOTHING_TO_DO):
            self._nothing_to_do = True
        elif text.startswith(_INTERRUPTED):
            self._is_interrupted = True
            self._print("Stopping…")
        elif text.startswith(_RETRY):
            self._on_retry(text.removeprefix(_RETRY).rstrip("."))
        elif record.levelno >= logging.WARNING and not text.startswith(_REPEATED):
            self._print(text)

    def _on_job(self, record: Mapping[str, Any]) -> None:
        log = record["log"][0] if record["log"] else ""
        rule = record["rule_name"]
        job = _Job(self._rule_names.get(rule, rule), tuple(record["output"]), log, time.time())
        self._rules.add(job.rule)
        if not self._is_dry_run:
            self._running[record["jobid"]] = job
            self._watch_jobs()

    def _on_progress(self, record: Mapping[str, Any]) -> None:
        self._steps = record["done"], record["total"]

    def _on_job_finished(self, record: Mapping[str, Any]) -> None:
        job = self._running.pop(record["job_id"], None)
        if job and (name := self._master_of(job)):
            self._built.append((self._owner_of(job), name))
            if "rules" not in self._quiet:
                self._print(self._line(name, job))

    def _on_job_error(self, record: Mapping[str, Any]) -> None:
        number = record["jobid"]
        job = self._running.pop(number, None)
        if job and not self._is_interrupted:
            master = self._master_of(job)
            name = master or job.rule
            failure = Failure(name, self._message_of(job), job.log, bool(master))
            self._failures[number] = self._owner_of(job), failure
            self._print(f"  {name}  FAILED")

    def _on_group_error(self, record: Mapping[str, Any]) -> None:
        self._groups[str(record["groupid"])] = [job["jobid"] for job in record["job_error_info"]]

    def _on_retry(self, number: str) -> None:
        """Take back the failure of a job, or of a group of jobs, that is tried again."""
        numbers = self._groups.get(number, [int(number)] if number.isdigit() else [])
        for each in numbers:
            if failed := self._failures.pop(each, None):
                self._print(f"  {failed[1].name}  trying again")

    def _on_error(self, record: Mapping[str, Any]) -> None:
        """Take an error that Snakemake prints from within its ``except``."""
        chain = [*_chain(sys.exc_info()[1])]
        ours = next((error for error in chain if isinstance(error, CalmastersError)), None)
        status = next((status for e in chain if (status := getattr(e, "returncode", None))), None)
        if self._is_interrupted:
            return
        if ours:
            self._add_error(str(ours))
        elif in_text := _INPUT_ERROR.search(record["msg"]):
            self._add_error(in_text[1])
        elif status is not None:
            self._exit_status = status
        elif refused := next((each for each in chain if isinstance(each, PermissionError)), None):
            # Snakemake could not remove an old file, which is open in another program.
            self._add_error(os_error_message(refused))
        elif (no_rule := _NO_RULE.search(record["msg"])) and len(self._workflows) == 1:
            self._add_error(self._workflows[0].unknown_target(no_rule[1]))
        elif not record["msg"].startswith(_REPEATED):
            self._add_error(record["msg"])

    def _add_error(self, text: str) -> None:
        if text not in self._errors:
            self._errors.append(text)

    # --- masters ----------------------------------------------------------------------------------

    def _master_of(self, job: _Job) -> str:
        """Give the short name of the master that a job makes; empty if it makes none."""
        return self._short_name_of(job.output[0]) if job.output else ""

    def _owner_of(self, job: _Job) -> Workflow | None:
        owners = (each for each in self._workflows if any(map(each.is_own, job.output)))
        return next(owners, None)

    def _short_name_of(self, file: str) -> str:
        names = (workflow.short_name_of(file) for workflow in self._workflows)
        return next(filter(None, names), "")

    def _line(self, name: str, job: _Job) -> str:
        try:
            record = MasterRecord.read(Path(job.output[1]))
        except (OSError, CalmastersError):
            return f"  {name}"
        count, weak = len(record.frames), len(record.warnings)
        line = f"  {name:<55} {count:4} frames {record.seconds:8.1f} s"
        return line + (f"  {weak} warning{'s' * (weak > 1)}" if weak else "")

    def _message_of(self, job: _Job) -> str:
        status, self._exit_status = self._exit_status, None
        if message := message_in_log(Path(job.log), since=job.started_s) if job.log else "":
            return message
        if status is not None and status < 0:
            return (
                f"its process was ended by signal {-status}; if memory is short, run fewer jobs at "
                "once (--cores 1), and run again"
            )
        if status is not None and status >= _ENDED_BY_WINDOWS:
            return (
                f"its process was ended by Windows (code {status:#x}); if memory is short, run "
                "fewer jobs at once (--cores 1), and run again"
            )
        return "it ended without a message" if job.log else "its message is above"

    # --- the terminal -----------------------------------------------------------------------------

    def _print(self, text: str) -> None:
        if self._shows_all or "all" in self._quiet:
            return
        with self._lock:
            if self._bar:
                self._bar.erase()
            self._stream.write(f"{as_typed(text)}\n")
            self._stream.flush()

    def _watch_jobs(self) -> None:
        """Take over the output of jobs, and start the bar, before the first job."""
        if self._output or self._shows_all or self._stream is not sys.stderr:
            return
        self._stream.flush()
        terminal, encoding = os.dup(self._stream.fileno()), self._stream.encoding
        self._stream = os.fdopen(terminal, "w", encoding=encoding, errors="backslashreplace")
        self._output = JobOutput(self._on_output)
        if not self._quiet & {"progress", "all"} and self._is_terminal():
            self._start_bar()

    def _on_output(self, line: str) -> None:
        if line.startswith("Traceback"):
            # Ctrl-C reaches jobs before this process knows of it.
            time.sleep(_INTERRUPT_S)
        if not self._is_interrupted:
            self._print(line)

    def _start_bar(self) -> None:
        self._shares = temporary_folder()
        os.environ[PROGRESS_FOLDER] = self._shares.name
        self._bar = Bar(self._stream, self._lock, self._state)
        self._bar.start()

    def _is_terminal(self) -> bool:
        return self._stream.isatty() and os.environ.get("TERM") != "dumb"

    def _state(self) -> State:
        shares = read_shares(Path(self._shares.name)) if self._shares else []
        running = [
            self._master_of(job) or job.rule for job in [*self._running.values()] if job.output
        ]
        if "inventory" in running:
            # What follows is not known yet.
            return State(max((each.share for each in shares), default=0.0), ["looking at frames"])
        done, total = self._steps
        total = max(total, done + len(running), 1)
        names = {self._short_name_of(each.what) or each.what: each.share for each in shares}
        partly = sum(names.get(name, 0.0) for name in running)
        return State(min(1.0, (done + partly) / total), running)

    # --- the end ----------------------------------------------------------------------------------

    def end(self) -> None:
        """Print the summary; called when the process ends, after everything else."""
        if self._output:
            self._output.close()
        if self._bar:
            self._bar.stop()
        if self._shares:
            os.environ.pop(PROGRESS_FOLDER, None)
            self._shares.cleanup()
        has_failed = bool(self._failures or self._errors)
        if not (self._has_started or has_failed) or ("all" in self._quiet and not has_failed):
            return
        if self._rules and self._rules <= _PRINTING_RULES and not has_failed:
            return
        with suppress(OSError, ValueError), chdir(self._directory):
            self._stream.write(f"{as_typed(self._summary())}\n")
            self._stream.flush()

    def _summary(self) -> str:
        """Write the summary; in an outer workflow, one for each module that had to do."""
        prepared = [
            (workflow, names)
            for workflow, names in zip(self._workflows, self._outer_names, strict=True)
            if workflow.is_prepared
        ]
        if not prepared:
            return self._summary_of(None, self._jobs_of(None))
        if len(prepared) < _SEVERAL:
            ((workflow, names),) = prepared
            return renamed(self._summary_of(workflow, self._jobs_of(None)), names)
        return "\n".join(
            f"{workflow.output_dir.as_posix()}:\n"
            + renamed(self._summary_of(workflow, self._jobs_of(workflow)), names)
            for workflow, names in prepared
        )

    def _jobs_of(self, workflow: Workflow | None) -> tuple[list[str], list[Failure]]:
        """Give the masters built and the failures of one of several workflows, or of all."""
        built = [name for owner, name in self._built if workflow in (None, owner)]
        failed = [
            failure for owner, failure in self._failures.values() if workflow in (None, owner)
        ]
        return built, failed

    def _summary_of(self, workflow: Workflow | None, jobs: tuple[list[str], list[Failure]]) -> str:
        built, failures = jobs
        result = RunResult(
            ending=self._ending(has_failed=bool(failures)),
            seconds=time.monotonic() - self._started_s,
            built=built,
            failures=failures,
            error="\n".join(self._errors),
        )
        plan = workflow.known_plan if workflow else None
        if workflow and result.ending is Ending.PLANNED:
            plan = workflow.plan
        if workflow is None or plan is None:
            return end_of_run(result, None)
        result = replace(
            result,
            output_dir=workflow.output_dir.as_posix(),
            planned=len(plan.masters),
            warnings=workflow.warnings(),
            left_out={} if self._nothing_to_do else workflow.frames_left_out(),
        )
        if "report_page" in self._rules and not workflow.is_preview:
            report = (workflow.output_dir / REPORT).as_posix()
            result = replace(
                result,
                report=report,
                report_warnings=workflow.report_warnings(),
                to_leave_out=workflow.frames_to_leave_out(),
            )
        if self._nothing_to_do:
            # The target may be another one, such as the scripts.
            result = replace(result, not_made=workflow.names_to_rebuild())
        elif failures or (self._is_interrupted and built):
            ended = {*built, *(failure.name for failure in failures)}
            names = [name for name in workflow.names_to_rebuild() if name not in ended]
            result = replace(result, not_made=names)
        if result.ending is Ending.PLANNED:
            warned = {workflow.short_name_of(job.master): job.warnings for job in workflow.jobs}
            result = replace(
                result, warnings={name: warned[name] for name in warned if warned[name]}
            )
        if workflow.is_preview and self._only_plans:
            result = replace(result, planned=0)
        elif workflow.is_preview and not self._errors:
            result = replace(result, built=workflow.names_to_rebuild())
        return end_of_run(result, plan.findings)

    def _ending(self, *, has_failed: bool) -> Ending:
        if self._is_interrupted:
            return Ending.INTERRUPTED
        if has_failed or self._errors:
            return Ending.FAILED
        if self._nothing_to_do:
            return Ending.NOTHING_TO_DO
        if self._is_dry_run:
            return Ending.DRY_RUN
        return Ending.PLANNED if self._only_plans else Ending.DONE

    @property
    def _only_plans(self) -> bool:
        targets = {self._rule_names.get(name, name) for name in self._targets()}
        return bool(targets) and targets <= _PLANNING_RULES

    @property
    def _is_dry_run(self) -> bool:
        return any(workflow.is_preview for workflow in self._workflows)

    def interrupted(
        self,
        kind: type[BaseException],
        error: BaseException,
        trace: TracebackType | None,
    ) -> None:
        """Take the place of ``sys.excepthook``: Ctrl-C while planning shows no traceback."""
        if issubclass(kind, KeyboardInterrupt):
            self._is_interrupted = self._has_started = True
        else:
            sys.__excepthook__(kind, error, trace)


_ON_EVENT: Final[Mapping[str, Any]] = {
    "workflow_started": Console._on_started,
    "job_info": Console._on_job,
    "job_finished": Console._on_job_finished,
    "job_error": Console._on_job_error,
    "group_error": Console._on_group_error,
    "progress": Console._on_progress,
    "error": Console._on_error,
}


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Give an exception and those that caused it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def install(workflow: Any, logger: logging.Logger) -> Console | None:
    """Put a console in place of Snakemake's own handler; once in a process.

    In a module of another workflow it only adds the summary at the end.

    Parameters
    ----------
    workflow : snakemake.workflow.Workflow
    logger : logging.Logger
        Snakemake's.

    Returns
    -------
    Console or None
        None in the process of a single job.
    """
    if not workflow.is_main_process:
        return None
    installed = (each for each in logger.handlers if isinstance(each, Console))
    if console := next(installed, None):
        return console
    # In a module, the terminal belongs to the outer workflow.
    is_module = not workflow.modifier.is_main_snakefile()
    output = workflow.output_settings
    default = next((each for each in logger.handlers if each.name == _DEFAULT_HANDLER), None)
    shows_all = is_module or bool(output.verbose or output.debug_dag) or default is None
    console = Console(
        default.stream if isinstance(default, logging.StreamHandler) else sys.stderr,
        shows_all=shows_all,
        quiet=frozenset(each.name.lower() for each in output.quiet or ()),
        # They are known when the Snakefile is read.
        targets=lambda: frozenset(map(str, workflow.dag_settings.targets)),
    )
    if default and not shows_all:
        logger.removeHandler(default)
        os.environ[MESSAGES_IN_LOG] = "1"
    logger.addHandler(console)
    if not is_module:
        sys.excepthook = console.interrupted
    # Registered first, it comes last.
    atexit.register(console.end)
    return console
