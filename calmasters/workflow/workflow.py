"""What the rules ask of the plan: targets, inputs and resources, as paths and numbers.

The rules only wire. What they know of the run (is it a preview, is this the main process) comes in
as plain arguments, so that all of this is tested without Snakemake. :meth:`Workflow.prepare` is the
only method that changes files before Snakemake builds its graph; the others only answer.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias

from calmasters.engines.early_checks import EngineProblems, engine_problems, require_engine
from calmasters.errors import ConfigError, FrameError, OutputError, RecordError, os_error_message
from calmasters.frame import FrameType
from calmasters.inventory.content_digests import ContentDigests
from calmasters.inventory.listing import list_files
from calmasters.inventory.scan import fingerprint
from calmasters.libraries import require_libraries
from calmasters.model.job import MasterJob, UsedMaster, read_made_of
from calmasters.model.layout import (
    LEAVE_OUT,
    MASTERS,
    PLAN,
    job_path,
    job_path_of,
    master_name,
    master_path,
    master_type,
    quality_path,
    record_path,
)
from calmasters.model.master_record import MasterRecord, warnings_in
from calmasters.model.master_warning import MasterWarning
from calmasters.planning.plan_file import Plan, PlannedMaster
from calmasters.planning.stale_reasons import format_reasons, stale_reasons
from calmasters.planning.staleness import (
    FileTimes,
    make_times_usable,
    masters_to_rebuild,
    plan_holds,
    trigger_file,
)
from calmasters.quality.leave_out import new_entries
from calmasters.quality.own_history import causes_of_files
from calmasters.running import job_resources
from calmasters.running.run import Run
from calmasters.running.windows_paths import long_paths_work, require_drive, require_short_paths
from calmasters.settings import Settings
from calmasters.workflow.targets import nearest_target, unknown_target_message

if TYPE_CHECKING:
    from calmasters.planning.planner import Decision

__all__ = ["Input", "Workflow", "path_of_no_output"]

#: A file as an input of a rule; Snakemake writes "none" as an empty list.
Input: TypeAlias = str | list[str]


_INTERRUPTED: Final = (
    "The previous run was interrupted. A run first restores the masters that it was rebuilding, so "
    "it may make fewer than are listed here."
)


class Workflow:
    """What the rules ask of one run.

    Parameters
    ----------
    settings : Settings
    is_main_process : bool
        False in the process of a single job: it takes the plan as it is, also when frames arrive
        meanwhile, and changes nothing.
    """

    #: Snakemake's, with the checkpoint of this workflow; None without Snakemake.
    checkpoints: Any = None

    #: Those of this process, by their output_dir.
    _shared: ClassVar[dict[Path, Workflow]] = {}

    @classmethod
    def shared(cls, settings: Settings, *, is_main_process: bool, checkpoints: Any) -> Workflow:
        """Return the one of this process for an ``output_dir``.

        Snakemake reads a Snakefile again for each ``use rule`` of a module. Only one may have the
        lock of ``output_dir``, and only the first has the checkpoint.

        Parameters
        ----------
        settings : Settings
        is_main_process : bool
            See :class:`Workflow`.
        checkpoints : object
            Snakemake's.

        Raises
        ------
        ConfigError
            If there is one with other settings: of another module.
        """
        place = settings.output_dir.absolute()
        if place not in cls._shared:
            cls._shared[place] = cls(settings, is_main_process=is_main_process)
            cls._shared[place].checkpoints = checkpoints
        found = cls._shared[place]
        if found._settings != settings:
            raise ConfigError(
                f"two modules with different settings have output_dir '{settings.output_dir}', and "
                "each would make the masters of the other one stale: give each its own output_dir"
            )
        return found

    def __init__(self, settings: Settings, *, is_main_process: bool) -> None:
        self._settings = settings
        self._output_dir = settings.output_dir
        self._is_main_process = is_main_process
        self._run = Run(settings.output_dir)
        self._is_prepared = self._has_started = False
        self._is_preview = False
        self._wants_all = False
        self._checks_engine = self._is_local = False
        self._holds = True
        self._plan: Plan | None = None
        self._times = FileTimes(settings.output_dir)
        self._read_last: MasterJob | None = None
        self._trigger: tuple[TemporaryDirectory[str], Path] | None = None

    @property
    def is_prepared(self) -> bool:
        """Whether :meth:`prepare` has been called."""
        return self._is_prepared

    @property
    def has_started(self) -> bool:
        """Whether the masters that this run rebuilds have been saved."""
        return self._has_started

    @property
    def is_preview(self) -> bool:
        """Whether nothing will be run."""
        return self._is_preview

    # --- what changes files -----------------------------------------------------------------------

    def prepare(
        self,
        *,
        is_preview: bool,
        wants_all: bool,
        makes_masters: bool = True,
        is_local: bool = True,
        options: Sequence[str] = (),
    ) -> list[str]:
        """Find out whether the stored plan holds, and prepare files for Snakemake's graph.

        A run that has something to plan or to rebuild takes the lock, restores what a killed run
        was rebuilding, and gives other times to files whose times Snakemake cannot use. Where the
        plan does not hold, the trigger file is made. A preview makes nothing but that file.

        Parameters
        ----------
        is_preview : bool
            Nothing will be run: a dry run, a picture, a summary.
        wants_all : bool
            Masters that are current are meant, too: in pictures, by force, by ``--touch``.
        makes_masters : bool
            Masters are made, or predicted by a dry run: their engine must be able to make them.
        is_local : bool
            Masters are made on this machine, not by a cluster.
        options : sequence of str
            Those of ``--until`` and ``--touch`` that are used: they need a plan.

        Returns
        -------
        list of str
            What a person should know.

        Raises
        ------
        ConfigError
            If there are no frames, a library is not installed, an option needs a plan, or jobs
            cannot be started in the working directory.
        OutputError
            If another run is at work on ``output_dir``, or it cannot be written or is a file.
        """
        self._is_prepared, self._is_preview, self._wants_all = True, is_preview, wants_all
        if not self._is_main_process:
            return []
        _require_folder(self._output_dir)
        self._checks_engine, self._is_local = makes_masters, is_local
        require_drive(Path.cwd())
        messages = []
        if self._run.was_interrupted:
            messages += [_INTERRUPTED] if is_preview else self.begin()
        digests = ContentDigests(self._settings)
        listing = list_files(self._settings, digests)
        if not is_preview and self._settings.fingerprint == "content":
            digests.save()
        stored = self._stored_plan()
        self._holds = stored is not None and plan_holds(
            stored, self._settings, listing.digest, self._times, digests
        )
        _require_plan(options, exists=stored is not None, holds=self._holds)
        if self._holds and not wants_all:
            self._plan = stored
        if self._plan is None or self._masters_to_rebuild:
            require_libraries()
        try:
            if not is_preview and (self._plan is None or self._masters_to_rebuild):
                messages += self.begin()
                make_times_usable(self._output_dir, self._run.now_ns)
            if not self._holds and (not is_preview or (self._output_dir / PLAN).exists()):
                self._trigger = trigger_file(self._output_dir, is_preview=is_preview)
        except OSError as error:
            message = f"output_dir '{self._output_dir}': {os_error_message(error)}"
            raise OutputError(message) from error
        return messages

    def begin(self) -> list[str]:
        """Take ``output_dir``, in the main process; see ``Run.begin``."""
        return self._run.begin() if self._is_main_process else []

    def save_previous(self, outputs: Iterable[str], *, is_forced: bool) -> None:
        """Save the masters that this run will rebuild until the new ones are there.

        Parameters
        ----------
        outputs : iterable of str
            Files that Snakemake is about to make.
        is_forced : bool
            By force all masters are made.
        """
        suffix = f".{self._settings.master_format}"
        every = (self._output_dir / MASTERS).rglob(f"*{suffix}")
        paths = every if is_forced else map(Path, outputs)
        made = [
            path.relative_to(self._output_dir).as_posix()
            for path in paths
            if path.suffix == suffix and path.is_relative_to(self._output_dir / MASTERS)
        ]
        self._run.save_previous(made)
        self._has_started = True

    def end(self) -> list[str]:
        """Restore masters that could not be rebuilt; return a message for each."""
        return [
            f"Could not rebuild {master}; restored the previous version, which is out of date."
            for master in self._run.end()
        ]

    def release(self) -> None:
        """Leave ``output_dir`` to other runs, and remove the trigger file."""
        if self._trigger:
            self._trigger[0].cleanup()
        self._run.release()

    # --- the plan ---------------------------------------------------------------------------------

    @property
    def plan(self) -> Plan:
        """The plan: in a preview as it would be decided, in a run as the checkpoint left it."""
        if self._plan is None:
            if self._decides:
                self._plan = Plan.of(self._decision)
            else:
                # Loaded once: another run's checkpoint may replace the file at any time.
                self._plan = Plan.load(self._output_dir / PLAN)
                self._times = FileTimes(self._output_dir)
        return self._plan

    @property
    def _decides(self) -> bool:
        """Whether this process decides the plan, in memory: a preview, where none holds."""
        return self._is_preview and not self._holds

    @cached_property
    def _masters_to_rebuild(self) -> Sequence[str]:
        plan = self.plan
        return [*self.reasons] if self._decides else masters_to_rebuild(plan, self._times)

    def _stored_plan(self) -> Plan | None:
        try:
            return Plan.load(self._output_dir / PLAN)
        except (OSError, RecordError):
            return None

    @cached_property
    def _decision(self) -> Decision:
        # Only a preview decides here; a run leaves it to the checkpoint, and saves the import.
        from calmasters.planning.planner import decide, require_sound

        decision = decide(self._settings)
        require_sound(decision, self._settings)
        return decision

    @cached_property
    def reasons(self) -> Mapping[str, Sequence[str]]:
        """Why masters are made, by the master's path."""
        if self._decides:
            return stale_reasons(self._decision.jobs, self._output_dir)
        return stale_reasons(map(self._job_of, self._masters_to_rebuild), self._output_dir)

    @property
    def explanation(self) -> str:
        """Why masters are made, as text; empty where none is."""
        names = {master: planned.short_name for master, planned in self.plan.masters.items()}
        return format_reasons(self.reasons, names)

    def planned(self, kind: str, name: str) -> PlannedMaster:
        """Give what the plan says of a master.

        Raises
        ------
        ConfigError
            If the plan has no such master.
        """
        settings = self._settings
        master = master_path(FrameType(kind), name, settings.layout, settings.master_format)
        if master not in self.plan.masters:
            near = nearest_target(self.path(master), map(self.path, self.plan.masters))
            hint = f"the nearest one is '{near}'; " if near else ""
            raise ConfigError(
                f"the plan has no master '{self.path(master)}': {hint}'snakemake summary' shows "
                "which frames were left out, and why"
            )
        return self.plan.masters[master]

    def _job_of(self, master: str) -> MasterJob:
        return MasterJob.read(self._output_dir / job_path_of(master))

    @cached_property
    def jobs(self) -> Sequence[MasterJob]:
        """All jobs of the plan: as decided in a preview, else as the checkpoint wrote them."""
        if self._decides:
            return self._decision.jobs
        return [*map(self._job_of, self.plan.masters)]

    def job(self, name: str) -> MasterJob:
        """Give the job of a master, by its name.

        Raises
        ------
        ConfigError
            If the plan has no such master.
        """
        if name not in self._masters_by_name:
            raise ConfigError(f"the plan has no master {name}: see {self._output_dir / PLAN}")
        if self._decides:
            return self._decided_jobs[name]
        # Snakemake asks for one job's threads, memory and time together.
        if self._read_last is None or self._read_last.name != name:
            self._read_last = self._job_of(self._masters_by_name[name])
        return self._read_last

    @cached_property
    def _masters_by_name(self) -> Mapping[str, str]:
        return {master_name(master): master for master in self.plan.masters}

    @cached_property
    def _decided_jobs(self) -> Mapping[str, MasterJob]:
        return {job.name: job for job in self._decision.jobs}

    # --- what people read -------------------------------------------------------------------------

    @property
    def output_dir(self) -> Path:
        """Directory of all results."""
        return self._output_dir

    @property
    def known_plan(self) -> Plan | None:
        """The plan, if this run has come to one; reads nothing."""
        return self._plan

    def short_name_of(self, file: str) -> str:
        """Give the short name of a master by its path, with or without ``output_dir``."""
        planned = self._plan and self._plan.masters.get(file.removeprefix(self.path("")))
        return planned.short_name if planned else ""

    def names_to_rebuild(self) -> list[str]:
        """Give the short names of the masters that are, or in a preview would be, rebuilt."""
        return [*map(self.short_name_of, self._masters_to_rebuild)]

    def warnings(self) -> dict[str, Sequence[MasterWarning]]:
        """Give the warnings of the plan's masters by short name; those without are left out.

        They are those of the masters as they are now; in a preview, for a master that would be
        rebuilt, what is known before.
        """
        by_name = {
            planned.short_name: self._warnings_of(master)
            for master, planned in self.plan.masters.items()
        }
        return {name: texts for name, texts in by_name.items() if texts}

    def frames_left_out(self) -> Counter[str]:
        """Count, by type, the planned frames that jobs left out of the masters as they are now."""
        counts: Counter[str] = Counter()
        for master, planned in self.plan.masters.items():
            path = self._output_dir / record_path(master)
            # A job that leaves frames out says so in a warning.
            if (made := read_made_of(path)) and made.digest == planned.digest and warnings_in(path):
                with suppress(OSError, RecordError):
                    used = len(MasterRecord.read(path).frames)
                    counts[master_type(master)] += planned.frame_count - used
        return +counts

    def report_warnings(self) -> list[str]:
        """Give what the report found wrong with masters: a sentence for each cause.

        Masters that were not measured are left out.
        """
        names = {master_name(master): each.short_name for master, each in self.plan.masters.items()}
        files = [self._output_dir / quality_path(name) for name in names]
        return causes_of_files(self._settings, files, names)

    def frames_to_leave_out(self) -> int:
        """Give the number of frames that the report would leave out, and this run did not."""
        return new_entries(self._output_dir / LEAVE_OUT, self._settings.exclude)

    def _warnings_of(self, master: str) -> Sequence[MasterWarning]:
        if self._decides and master in self.reasons:
            return self._decided_jobs[master_name(master)].warnings
        return warnings_in(self._output_dir / record_path(master))

    # --- targets and inputs -----------------------------------------------------------------------

    def path(self, relative: str) -> str:
        """Write the path of a file of ``output_dir`` as Snakemake has it."""
        return f"{self._output_dir.as_posix()}/{relative}"

    def is_own(self, file: str) -> bool:
        """Return whether a file, as Snakemake writes it, is below ``output_dir``."""
        return Path(file).is_relative_to(self._output_dir)

    def targets(self) -> list[str]:
        """Give the files that ``snakemake masters`` asks for.

        The plan itself is one of them: a preview shows the checkpoint by it.

        Raises
        ------
        FrameError
            If there are frames for masters, and none of them can be used.
        """
        plan = self.plan
        self._require_usable_frames(plan)
        masters = [*plan.masters] if self._wants_all else self._masters_to_rebuild
        return [*map(self.path, (*masters, *map(record_path, masters), PLAN))]

    def _require_usable_frames(self, plan: Plan) -> None:
        has_masters = plan.masters or plan.kept
        if plan.findings.has_calibration_frames and not has_masters:
            raise FrameError(
                "no master can be made: all frames were left out for the reasons above; "
                "'snakemake summary' shows more of them"
            )

    def trigger(self) -> list[str]:
        """Give the input that makes the checkpoint run where the plan does not hold."""
        return [self._trigger[1].as_posix()] if self._trigger else []

    def job_input(self, kind: str, name: str) -> Input:
        """Give the job file of a master; in a preview, what stands for one not yet written."""
        self.planned(kind, name)
        settings = self._settings
        master = master_path(FrameType(kind), name, settings.layout, settings.master_format)
        require_engine(master, self._engine_problems)
        if not long_paths_work():
            require_short_paths(master, self._output_dir, Path.cwd())
        if self._decides:
            return self.path(PLAN) if master in self.reasons else []
        return self.path(job_path(FrameType(kind), name))

    @cached_property
    def _engine_problems(self) -> EngineProblems:
        """Why masters of this run cannot be made, by their path."""
        if not self._checks_engine:
            return {}
        masters = self.plan.masters if self._wants_all else self._masters_to_rebuild
        if not masters:
            return {}
        jobs = (self.job(master_name(master)) for master in masters)
        return engine_problems(jobs, self._settings, is_local=self._is_local)

    def unknown_target(self, target: str) -> str:
        """Return a sentence about a target of the command line that no rule makes."""
        plan = self._plan or self._stored_plan()
        return unknown_target_message(target, map(self.path, plan.masters if plan else ()))

    def used_input(self, used: UsedMaster | None) -> Input:
        """Give the file of a bias or dark as an input.

        Kept and library masters are made by no rule; see :func:`path_of_no_output`. A library
        master that is ahead of the clock is no input, since Snakemake would refuse the flat; its
        content is part of the job anyway.
        """
        if used is None:
            return []
        if used.origin == "run":
            return self.path(used.path)
        file = used.located(self._output_dir)
        if used.origin == "library" and _is_ahead(file):
            return []
        return path_of_no_output(file)

    # --- resources --------------------------------------------------------------------------------

    def threads(self, name: str) -> int:
        """Give the threads that making a master can use."""
        return job_resources.threads(self.job(name))

    def memory_mb(self, name: str, threads: int) -> int:
        """Give the memory that making a master takes, in 10^6 bytes."""
        return job_resources.memory_mb(self.job(name), threads)

    def runtime_min(self, name: str) -> int:
        """Give the minutes after which making a master must have ended."""
        return job_resources.runtime_min(self.job(name), self._settings)

    def scripts_digest(self) -> str:
        """Give a digest of what PixInsight's scripts depend on besides the jobs."""
        return fingerprint(self._settings.pixinsight, self._settings.calibrated, Path.cwd())


def path_of_no_output(file: Path) -> str:
    """Write the path of a file that no rule makes, so that it matches the output of no rule.

    The ``/./`` is where no wildcard can take it in: ``output_dir`` may be absolute, too.

    >>> path_of_no_output(Path("/data/masters/bias/masterBias.xisf"))
    '/./data/masters/bias/masterBias.xisf'
    """
    file = file.absolute()
    return f"{Path(file.anchor).as_posix()}./{file.relative_to(file.anchor).as_posix()}"


def _require_folder(output_dir: Path) -> None:
    """Refuse an ``output_dir`` that is a file, or below one."""
    for path in (output_dir, *output_dir.parents):
        if path.is_dir():
            return
        if path.exists():
            below = "" if path == output_dir else f" cannot be made: '{path}'"
            raise OutputError(
                f"output_dir '{output_dir}'{below} is a file, expected a folder: move the file "
                "away, or set another output_dir"
            )


def _require_plan(options: Sequence[str], *, exists: bool, holds: bool) -> None:
    """Refuse options with which Snakemake would cut off the checkpoint, or only touch its files."""
    if "--until" in options and not holds:
        raise ConfigError(
            "--until needs a plan that is up to date: run 'snakemake inventory' first"
        )
    if "--touch" in options and not exists:
        raise ConfigError("--touch needs masters that were made: run 'snakemake masters' first")


def _is_ahead(path: Path) -> bool:
    """Return whether a file is there and dated later than now, by another machine's clock."""
    try:
        return path.stat().st_mtime > time.time()
    except OSError:
        return False
