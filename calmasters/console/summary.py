"""The text with which every run ends: what was made, what was left out, and what to do next."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from calmasters.errors import shell_words
from calmasters.frame import Status
from calmasters.model.layout import LEAVE_OUT, SUGGESTED
from calmasters.model.master_warning import MasterWarning, WarningKind
from calmasters.planning.findings import Findings, FrameGroup

__all__ = ["Ending", "Failure", "RunResult", "end_of_run"]

#: Entries shown of each kind; the inventory, `snakemake summary` and the report have them all.
_SHOWN: Final = 3
_SETTINGS_SHOWN: Final = 4
#: Names of weak masters, and of those that failed for the same reason; their logs say more.
_NAMES_SHOWN: Final = 10

#: What messages of one reason differ in: the master's own name at the beginning, paths, numbers.
_OWN_NAME: Final = re.compile(r"^[^:\n]*master(?:Bias|Dark|Flat)[^:\n]*: ")
_FILE: Final = re.compile(r"'[^'\n]*'|\S*/[^\s:,]*|\S+\.(?:fits?|fts|xisf|fz|gz|bz2|json|log)\b")
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?")

#: Which warnings come first.
_SERIOUSNESS: Final = (
    WarningKind.LEVEL,
    WarningKind.OUTLIERS,
    WarningKind.SAMPLES,
    WarningKind.CALIBRATION,
    WarningKind.OTHER,
    WarningKind.FRAME_COUNT,
)


class Ending(Enum):
    """How a run ended; PLANNED is one that was not about masters."""

    DONE = auto()
    NOTHING_TO_DO = auto()
    PLANNED = auto()
    DRY_RUN = auto()
    FAILED = auto()
    INTERRUPTED = auto()


@dataclass(frozen=True, slots=True)
class Failure:
    """A job that failed.

    Attributes
    ----------
    name : str
        Short name of the master, or the rule.
    message : str
    log : str
        Path of its log; empty where it has none.
    is_master : bool
        Whether the job makes a master.
    """

    name: str
    message: str
    log: str = ""
    is_master: bool = True


@dataclass(frozen=True)
class RunResult:
    """What a run did.

    Attributes
    ----------
    ending : Ending
    output_dir : str
        Empty where it is not known.
    seconds : float
        Wall time.
    built : sequence of str
        Short names of the masters built; in a dry run, of those that would be.
    planned : int
        Number of masters in the plan.
    warnings : mapping of str to sequence of MasterWarning
        For each master of the plan that has warnings, by its short name.
    left_out : mapping of str to int
        Number of planned frames that jobs left out of their masters, by type.
    failures : sequence of Failure
    error : str
        What stopped the run before its jobs, or besides them.
    report : str
        Path of the report, if the run made it.
    report_warnings : sequence of str
        What the report found wrong with masters, by cause.
    to_leave_out : int
        Number of frames that the report found to differ from the others.
    not_made : sequence of str
        Short names of stale masters that were not made: the run ended before, or was about
        something else.
    """

    ending: Ending
    output_dir: str = ""
    seconds: float = 0.0
    built: Sequence[str] = ()
    planned: int = 0
    warnings: Mapping[str, Sequence[MasterWarning]] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    failures: Sequence[Failure] = ()
    error: str = ""
    report: str = ""
    report_warnings: Sequence[str] = ()
    to_leave_out: int = 0
    not_made: Sequence[str] = ()


def end_of_run(result: RunResult, findings: Findings | None) -> str:
    """Write what a person reads at the end of a run.

    Parameters
    ----------
    result : RunResult
    findings : Findings or None
        None where the run stopped before it knew its frames.

    Returns
    -------
    str
        About a dozen lines; a single one if there was nothing to do. Empty if there is nothing to
        say.
    """
    if findings and not (findings.has_calibration_frames or result.planned or result.failures):
        line = f"Nothing to do: there are no bias, dark or flat frames ({_counts(findings)})."
        return "\n".join([line, *_notes(findings)])
    if result.ending is Ending.NOTHING_TO_DO:
        return _nothing_to_do(result, findings)
    lines = [*_masters(result)]
    if findings:
        lines += [
            *_weak(result.warnings),
            *_frames(findings, result.left_out),
            *_left_out(findings),
        ]
        lines += [*_notes(findings), *_wanted(findings), *_next(result, findings)]
    return "\n".join([*lines, *_failures(result)])


def _nothing_to_do(result: RunResult, findings: Findings | None) -> str:
    current = result.planned - len(result.not_made)
    masters = f"{_number(current, 'master')} {_are(current)} up to date"
    parts = [masters + (f", {len(result.warnings)} of them weak" if result.warnings else "")]
    if result.not_made:
        parts.append(f"{_number(len(result.not_made), 'master')} to be made: snakemake masters")
    if findings:
        parts.append(f"{_number(findings.count(Status.REFUSED), 'frame')} refused")
        parts += [f"{each.count} more left out ({each.remedy})" for each in findings.suspicious]
        parts += [_number(len(findings.notes), "note")] * bool(findings.notes)
    has_more = result.warnings or (
        findings and (findings.refused or findings.suspicious or findings.notes)
    )
    return f"Nothing to do: {'; '.join(parts)}." + (" See: snakemake summary" * bool(has_more))


def _masters(result: RunResult) -> Iterator[str]:
    """Say how the run ended, and how many masters were built."""
    count, folder = len(result.built), f"{result.output_dir}/masters"
    if result.ending is Ending.PLANNED:
        return
    if result.ending is Ending.DRY_RUN:
        unchanged = result.planned - count
        masters = f"{_number(count, 'master')} would be built, {unchanged} unchanged; "
        yield f"Dry run: {masters * bool(result.planned)}nothing was changed."
        return
    failed = sum(failure.is_master for failure in result.failures)
    counts = [f"{count} built"]
    counts += [f"{failed} failed"] * bool(failed)
    missing = result.planned - count - failed
    if result.ending is Ending.DONE:
        counts += [f"{missing} unchanged"] * bool(missing)
    counts += [f"{len(result.warnings)} weak"] * bool(result.warnings)
    line = f"Masters: {', '.join(counts)}, in {folder} ({_duration(result.seconds)})"
    if result.ending is Ending.INTERRUPTED:
        yield "Interrupted. Run the same command again to continue."
    if count or (result.planned and (failed or not result.error)):
        yield line


def _weak(warnings: Mapping[str, Sequence[MasterWarning]]) -> Iterator[str]:
    """Write each warning once, for all masters that have it.

    What is probably wrong with frames comes before what is missing, and the most frequent first.
    """
    masters: dict[MasterWarning, list[str]] = defaultdict(list)
    for name, several in warnings.items():
        for warning in several:
            masters[warning].append(name)
    ordered = sorted(
        masters.items(), key=lambda each: (_SERIOUSNESS.index(each[0].kind), -len(each[1]))
    )
    yield from _listed("Weak", (f"{_some(names)}: {warning}" for warning, names in ordered))
    shown = {name for _, names in ordered[:_SHOWN] for name in names}
    if others := [name for name in warnings if name not in shown]:
        more = f" and {len(others) - _NAMES_SHOWN} more" * (len(others) > _NAMES_SHOWN)
        yield f"  also weak: {'; '.join(others[:_NAMES_SHOWN])}{more}"


def _frames(findings: Findings, left_out: Mapping[str, int]) -> Iterator[str]:
    yield f"Frames: {_counts(findings, left_out)}"


def _counts(findings: Findings, left_out: Mapping[str, int] = MappingProxyType({})) -> str:
    return "; ".join(
        f"{kind} {', '.join(_by_status(counts, left_out.get(kind, 0)))}"
        for kind, counts in findings.frames.items()
    )


def _by_status(counts: Mapping[str, int], left_out: int) -> Iterator[str]:
    for status in Status:
        if status in counts:
            is_used = status is Status.USED
            yield f"{counts[status] - left_out * is_used} {status}"
            if is_used and left_out:
                yield f"{left_out} left out of masters"


def _left_out(findings: Findings) -> Iterator[str]:
    yield from _listed("Left out", map(_remedy, (*findings.refused, *findings.suspicious)))


def _remedy(group: FrameGroup) -> str:
    reason = group.reason.removesuffix(group.remedy).rstrip("; :")
    example = f"{group.example} {reason}".rstrip()
    return f"{_number(group.count, 'frame')}: {group.remedy} ({example})"


def _notes(findings: Findings) -> Iterator[str]:
    warned = (
        f"{_number(group.count, 'frame')}: {group.remedy} ({group.example})"
        for group in findings.warned
    )
    yield from _listed("Note", (*findings.notes, *warned))


def _wanted(findings: Findings) -> Iterator[str]:
    yield from _listed("Shoot next", findings.wanted)


def _next(result: RunResult, findings: Findings) -> Iterator[str]:
    if findings.suggested:
        yield "Settings that would make frames usable, if they are true:"
        settings = findings.suggested.splitlines()
        yield from (f"  {line}" for line in settings[:_SETTINGS_SHOWN])
        if len(settings) > _SETTINGS_SHOWN:
            yield f"  and {len(settings) - _SETTINGS_SHOWN} more lines"
        file = f"{result.output_dir}/{SUGGESTED}"
        if result.ending is Ending.DRY_RUN:
            yield f"  To use them: put them into config/config.yaml (a run writes {file})"
        else:
            yield f"  To use them: snakemake masters --configfile {shell_words([file])}"
    if result.report:
        yield from _listed("The report warns", result.report_warnings)
        if result.to_leave_out:
            frames = f"{_number(result.to_leave_out, 'frame')} that differ"
            file = f"{result.output_dir}/{LEAVE_OUT}"
            words = shell_words([file])
            yield f"To leave out {frames}: snakemake masters --configfile {words}"
        yield f"Report: {result.report}"
    elif result.ending is Ending.PLANNED:
        yield f"Each frame: {result.output_dir}/inventory.csv"
    elif result.built and result.ending is Ending.DONE:
        inventory = f"{result.output_dir}/inventory.csv"
        yield f"Each frame: {inventory}. Numbers and pictures: snakemake report"


def _failures(result: RunResult) -> Iterator[str]:
    if result.not_made:
        rest = "run again"
        if result.failures:
            rest += " without the failure; --keep-going makes the masters that do not depend on it"
        yield f"Not made: {_some(result.not_made)}; {rest}"
    alike: dict[str, list[Failure]] = defaultdict(list)
    for failure in result.failures:
        alike[_reason(failure)].append(failure)
    for failures in alike.values():
        first, names = failures[0], [each.name for each in failures]
        log = f"\n  (log: {first.log})" if first.log else ""
        count = f"{len(names)} jobs, such as " if len(names) > 1 else ""
        yield f"Failed: {count}{first.name}: {first.message}{log}"
        if others := names[1:]:
            yield f"  for the same reason: {'; '.join(others[:_NAMES_SHOWN])}" + (
                f" and {len(others) - _NAMES_SHOWN} more" * (len(others) > _NAMES_SHOWN)
            )
    if result.error:
        yield f"calmasters: {result.error}"


def _reason(failure: Failure) -> str:
    """Return the message without what differs between masters: their names, files and numbers."""
    text = _OWN_NAME.sub("", failure.message.replace(failure.name, ""))
    return _NUMBER.sub("0", _FILE.sub("", text.replace(failure.log, "") if failure.log else text))


def _listed(title: str, entries: Iterable[str]) -> Iterator[str]:
    """Write a title and its first entries, on one line if there is one entry."""
    entries = [*entries]
    if len(entries) == 1:
        yield f"{title}: {entries[0]}"
    elif entries:
        yield f"{title}:"
        yield from (f"  {entry}" for entry in entries[:_SHOWN])
        if len(entries) > _SHOWN:
            yield f"  and {len(entries) - _SHOWN} more: snakemake summary"


def _some(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
