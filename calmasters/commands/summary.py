"""What a person wants to know of a directory of frames, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType

import pandas as pd

from calmasters.errors import RecordError
from calmasters.inventory.table import column_text
from calmasters.inventory.unused_frames import ignored_by_reason, refused_by_remedy
from calmasters.model.job import read_made_of
from calmasters.model.layout import quality_path
from calmasters.model.master_record import MasterRecord
from calmasters.planning.findings import Findings
from calmasters.planning.planner import Decision
from calmasters.quality.own_history import causes_of_files
from calmasters.settings import Settings

__all__ = ["causes_in", "records_in", "summarize"]

#: Paths shown of each kind of refusal; inventory.csv has them all.
_SHOWN = 3


def causes_in(decision: Decision, settings: Settings) -> list[str]:
    """Tell what the last report found wrong with the masters of a plan, a sentence per cause."""
    names = {job.name: decision.short_names[job.master] for job in decision.jobs}
    files = [settings.output_dir / quality_path(name) for name in names]
    return causes_of_files(settings, files, names)


def records_in(decision: Decision, settings: Settings) -> dict[str, MasterRecord]:
    """Read the records of the masters that are as planned, by the master's path."""
    records = {}
    for job in decision.jobs:
        path = settings.output_dir / job.record
        if (made := read_made_of(path)) and made.digest == job.digest:
            with suppress(OSError, RecordError):
                records[job.master] = MasterRecord.read(path)
    return records


def summarize(
    decision: Decision,
    causes: Sequence[str] = (),
    records: Mapping[str, MasterRecord] = MappingProxyType({}),
) -> str:
    """Tell the frames by type, the refusals by remedy, the masters, and what to shoot next.

    Parameters
    ----------
    decision : Decision
    causes : sequence of str
        As :func:`causes_in` gives them.
    records : mapping of str to MasterRecord
        As :func:`records_in` gives them: what the engine found when it made the masters.
    """
    findings = Findings.of(decision)
    sections = (
        ("Frames", _counts(decision)),
        ("Refused", _refusals(decision)),
        ("Settings that make refused frames usable", findings.suggested.splitlines()),
        ("Left out", _ignored(decision)),
        ("Masters", _masters(decision, records)),
        ("What to shoot next", findings.wanted),
        ("Warnings", _warnings(findings)),
        ("Found by the last report", causes),
    )
    return "\n".join(
        f"{title}\n{body}\n"
        for title, lines in sections
        if (body := "\n".join(f"  {line}" for line in lines))
    )


def _counts(decision: Decision) -> Iterator[str]:
    table = decision.inventory
    kinds = column_text(table["TYPE"]).replace("", "unknown")
    for kind, counts in pd.crosstab(kinds, column_text(table["status"])).iterrows():
        by_status = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
        yield f"{kind:8} {counts.sum():6}  ({by_status})"


def _refusals(decision: Decision) -> Iterator[str]:
    """Group refused frames by their remedy."""
    for remedy, frames in refused_by_remedy(decision.inventory, decision.verdicts):
        yield f"{_frames(len(frames))}: {remedy}"
        yield from _examples(frames)


def _examples(frames: pd.DataFrame) -> Iterator[str]:
    for path, reason in frames["reason"].head(_SHOWN).items():
        yield f"    {path}: {reason}"
    if len(frames) > _SHOWN:
        yield f"    and {len(frames) - _SHOWN} more, see inventory.csv"


def _ignored(decision: Decision) -> Iterator[str]:
    counts = ignored_by_reason(decision.inventory, decision.verdicts)
    for reason, count in counts.items():
        yield f"{_frames(count)}: {reason}"


def _masters(decision: Decision, records: Mapping[str, MasterRecord]) -> Iterator[str]:
    names = decision.short_names
    for job in decision.jobs:
        record = records.get(job.master)
        bad = [each for each in record.left_out if each not in job.left_out] if record else []
        count = len(job.frames) - len(bad)
        yield f"{names[job.master]}: {_frames(count)}, {job.master}"
        for kind, used in (("bias", job.bias), ("dark", job.dark)):
            if used:
                yield f"    {kind}: {names.get(used.path, used.path)}; {used.why}"
        warnings = [*job.warnings, *(record.warnings if record else ())]
        for text in dict.fromkeys(map(str, warnings)):
            yield f"    {text}"
        for frame in bad[:_SHOWN]:
            yield f"    left out: {frame.path}: {frame.reason}"
        if len(bad) > _SHOWN:
            yield f"    left out: {len(bad) - _SHOWN} more, see {job.record}"


def _warnings(findings: Findings) -> Iterator[str]:
    yield from findings.notes
    for group in findings.warned[:_SHOWN]:
        yield f"{_frames(group.count)}: {group.remedy}"


def _frames(count: int) -> str:
    return f"{count} {'frame' if count == 1 else 'frames'}"
