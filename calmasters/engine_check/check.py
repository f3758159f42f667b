"""Make the masters of the cases by an installed application, and compare them."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from calmasters import __version__
from calmasters.atomic_files import temporary_folder
from calmasters.commands.redaction import Redaction, write_redacted
from calmasters.comparison.masters import compare_cards, compare_images
from calmasters.engine_check.cases import (
    CAMERA,
    CASES,
    Case,
    default_config,
    merged,
    planned_jobs,
    write_frames,
)
from calmasters.engine_check.result import (
    CaseResult,
    CheckResult,
    Outcome,
    different_counts,
    different_factors,
)
from calmasters.engine_check.table import heading, result_line, result_text
from calmasters.engines import ENGINES, engine_for, needs_of
from calmasters.engines.native.engine import NativeEngine
from calmasters.engines.subprocesses import ended_by_signals
from calmasters.errors import CalmastersError, ConfigError, EngineError, os_error_message
from calmasters.model.layout import engine_check_path
from calmasters.model.master_record import MasterStatistics
from calmasters.settings import Settings
from calmasters.synthetic.camera import Camera

__all__ = ["check_engine"]

#: Minutes after which a program that does not make a tiny master will not do so.
_LIMIT_MIN: Final = 3.0
#: Number of lines of output that are shown if the first master cannot be made.
_LAST_LINES: Final = 8


def check_engine(
    config: Mapping[str, Any],
    show: Callable[[str], object],
    cases: Sequence[Case] = CASES,
    camera: Camera = CAMERA,
) -> CheckResult:
    """Check the application of the configured engine, and write the zip for a bug report.

    All masters are made by one application. Where the user's masters are made by one application
    each, so is the first one.

    Parameters
    ----------
    config : mapping
        The complete, checked ``config.yaml``. It says how to run the application; for frames and
        masters, the default configuration counts.
    show : callable
        Takes each line for the terminal as soon as it is known.
    cases : sequence of Case
    camera : Camera
        That takes the frames.

    Raises
    ------
    ConfigError
        If the engine has no application, or that is not found.
    EngineError
        If there is a difference, after everything is shown and written.
    """
    settings = Settings.from_config(config)
    details = _program_details(settings)
    with ended_by_signals(), temporary_folder() as name:
        check = _Check(config, settings, camera, Path(name), show)
        show(f"Masters by engine {settings.engine}, compared with the native engine:")
        show(heading())
        results = check.run(cases)
        versions = {**details, **check.versions}
        result = CheckResult(settings.engine, versions, results)
        show(result_text(result))
        archive = settings.output_dir / engine_check_path(settings.engine)
        redaction = Redaction.of(settings, Path(name))
        # Broken into lines, a path would not be recognized.
        table = "\n".join([heading(), *map(result_line, results), result_text(result, redaction)])
        texts = {"result.txt": f"{table}\n", **check.texts(result)}
        write_redacted(archive, texts, redaction)
    show(f"Scripts, logs and versions, without personal paths: {archive}")
    if not result.is_good:
        raise EngineError(
            f"engine {settings.engine} does not make the expected masters: see the table above, "
            f"and attach {archive} to a bug report"
        )
    return result


def _program_details(settings: Settings) -> Mapping[str, str]:
    needs = needs_of(settings.engine)
    if not needs.slots:
        names = [name for name in ENGINES if needs_of(name).slots]
        raise ConfigError(
            f"engine: {settings.engine} has no application to be checked; add "
            f"--config engine=NAME, with {' or '.join(names)}"
        )
    if missing := [*needs.missing(settings)]:
        raise ConfigError("; ".join(missing))
    return needs.program_details(settings)


class _Check:
    """Makes the masters of the cases in one folder, and compares them."""

    def __init__(
        self,
        config: Mapping[str, Any],
        settings: Settings,
        camera: Camera,
        folder: Path,
        show: Callable[[str], object],
    ) -> None:
        self._config, self._settings = config, settings
        self._camera, self._folder, self._show = camera, folder, show
        self._needs = needs_of(settings.engine)
        self._evidence = folder / "evidence"
        self.versions: Mapping[str, str] = {}

    def run(self, cases: Sequence[Case]) -> list[CaseResult]:
        """Run the cases; none after a first one that fails, since its reason concerns all."""
        results: list[CaseResult] = []
        with self._session():
            for number, case in enumerate(cases):
                if results and results[0].outcome is Outcome.FAILED:
                    results.append(CaseResult(case, Outcome.NOT_TRIED))
                else:
                    results.append(self._result(number, case))
                self._show(result_line(results[-1]))
        return results

    @contextmanager
    def _session(self) -> Iterator[None]:
        config = self._case_config("", {}, is_first=False)
        end = self._needs.begin_session(
            replace(Settings.from_config(config), output_dir=self._evidence / "session")
        )
        try:
            yield
        finally:
            if end:
                end()

    def _case_config(
        self, place: str, changes: Mapping[str, Any], *, is_first: bool
    ) -> dict[str, Any]:
        # How the application is started is as configured, but it need not be waited for as long.
        for_all: dict[str, Any] = {"timeout_minutes": _LIMIT_MIN, "retries": 0, "parameters": {}}
        if not is_first:
            for_all["session"] = "shared"
        default = default_config()
        programs = {
            name: {
                **default[name],
                **self._config[name],
                **{key: value for key, value in for_all.items() if key in default[name]},
            }
            for name in ENGINES
            if name in default
        }
        rejection = {
            kind: {"rejection": self._needs.agreeing_rejection} for kind in default["integration"]
        }
        return {
            **merged(merged(default, {"integration": rejection}), changes),
            **programs,
            "engine": self._settings.engine,
            "input_dir": str(self._folder / place / "frames"),
        }

    def _result(self, number: int, case: Case) -> CaseResult:
        slug = re.sub(r"\W+", "-", f"{number + 1:02d} {case.name}")
        evidence = self._evidence / slug
        log = evidence / "log.txt"
        try:
            return self._compared(number, case, evidence, log)
        except (CalmastersError, OSError) as error:
            text = os_error_message(error) if isinstance(error, OSError) else str(error)
            # The folder is removed at the end.
            message = text.replace(str(log), f"{slug}/{log.name} in the zip")
            if number == 0:
                message += self._last_output()
            return CaseResult(case, Outcome.FAILED, message)

    def _last_output(self) -> str:
        """Return the last lines of the logs: a program that does not start says there why."""
        logs = [*self._evidence.rglob("*.log"), *self._evidence.rglob("log.txt")]
        texts = (path.read_text(encoding="utf-8", errors="replace") for path in logs)
        lines = [line for text in texts for line in text.splitlines() if line.strip()]
        return "\n".join(["", "last lines of its output:" * bool(lines), *lines[-_LAST_LINES:]])

    def _compared(self, number: int, case: Case, evidence: Path, log: Path) -> CaseResult:
        """Make the master of a case by both engines, if the application's supports it."""
        place = self._folder / f"{number + 1:02d}"
        config = self._case_config(place.name, case.settings, is_first=number == 0)
        output_dir = place / case.folder
        settings = Settings.from_config({**config, "output_dir": str(output_dir)})
        input_dir = settings.input_dir
        write_frames(case, input_dir, self._camera)
        jobs = planned_jobs(settings, case)
        job = jobs[case.type]
        evidence.mkdir(parents=True)
        (evidence / "job.json").write_text(job.to_json(), encoding="ascii")
        if unsupported := [*self._needs.unsupported(job)]:
            return CaseResult(case, Outcome.UNSUPPORTED, "; ".join(unsupported))
        native, native_log = NativeEngine(1), place / "native.log"
        for used in (jobs[kind] for kind in case.types if kind is not case.type):
            native.make(used, input_dir, output_dir, output_dir / used.master, native_log)
        expected, found = place / "native" / job.master, output_dir / job.master
        reference = native.make(job, input_dir, output_dir, expected, native_log)
        engine = engine_for(job, config, 1, evidence)
        statistics = engine.make(job, input_dir, output_dir, found, log)
        self.versions = statistics.versions
        return self._result_of(case, (found, statistics), (expected, reference))

    def _result_of(
        self, case: Case, made: tuple[Path, MasterStatistics], native: tuple[Path, MasterStatistics]
    ) -> CaseResult:
        """Compare the master of the application with that of the native engine."""
        (found, statistics), (expected, reference) = made, native
        pixels, cards = compare_images(found, expected), compare_cards(found, expected)
        frames = statistics.frames, reference.frames
        counts = different_counts(*frames) if self._needs.counts_rejected else None
        factors = different_factors(*frames)
        is_same = pixels.largest_adu <= self._needs.agreement * pixels.expected_adu
        return CaseResult(
            case,
            Outcome.SAME if is_same and not (cards or counts or factors) else Outcome.DIFFERENT,
            pixels=pixels,
            cards=cards,
            counts=counts,
            factors=factors,
            seconds=statistics.seconds,
        )

    def texts(self, result: CheckResult) -> dict[str, str]:
        """Return the texts of a bug report, by their names."""
        files = sorted(path for path in self._evidence.rglob("*") if path.is_file())
        about = {
            "versions": {
                "calmasters": __version__,
                "python": platform.python_version(),
                "system": platform.platform(),
                **{name: version(name) for name in ("numpy", "snakemake")},
                **result.details,
            },
            "settings": {name: self._config[name] for name in ENGINES if name in self._config},
            "cases": [{**asdict(each), "case": each.case.name} for each in result.cases],
        }
        return {
            "check.json": json.dumps(about, indent=1, default=str) + "\n",
            **{
                path.relative_to(self._evidence).as_posix(): path.read_text(
                    encoding="utf-8", errors="replace"
                )
                for path in files
            },
        }
