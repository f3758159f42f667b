"""``plan.json``: which masters there are, what each is made of, and why it is made."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from calmasters.atomic_files import write_whole
from calmasters.errors import RecordError
from calmasters.model.formats import FORMATS
from calmasters.model.job import MadeOf, MasterJob, UsedMaster
from calmasters.planning.findings import Findings

if TYPE_CHECKING:
    from calmasters.planning.planner import Decision

__all__ = ["Plan", "PlannedMaster", "write_plan"]


@dataclass(frozen=True, slots=True)
class PlannedMaster:
    """What the rules need to know of one master, and what people call it."""

    digest: str
    bias: UsedMaster | None
    dark: UsedMaster | None
    short_name: str
    frame_count: int

    @property
    def made_of(self) -> MadeOf:
        """What the master is to be made of, to be compared with its record."""
        return MadeOf(self.digest, *(each.job if each else "" for each in (self.bias, self.dark)))


@dataclass(frozen=True)
class Plan:
    """``plan.json`` as the rules see it.

    Attributes
    ----------
    digest : str
        Of the files and settings that it was made from.
    masters : mapping of str to PlannedMaster
        By the master's path, relative to ``output_dir``; bias, dark, flat.
    kept : tuple of str
        Masters in ``output_dir`` that this plan does not make.
    findings : Findings
        What a person should know of the frames.
    """

    digest: str
    masters: Mapping[str, PlannedMaster]
    kept: tuple[str, ...]
    findings: Findings

    @classmethod
    def of(cls, decision: Decision) -> Self:
        """Take from a decision what the rules need."""
        masters = {
            job.master: PlannedMaster(
                job.digest,
                job.bias,
                job.dark,
                decision.short_names[job.master],
                len(job.frames),
            )
            for job in decision.jobs
        }
        return cls(decision.digest, masters, decision.kept, Findings.of(decision))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read ``plan.json``.

        Raises
        ------
        OSError
            If it cannot be read.
        RecordError
            If it is not a plan.
        """
        try:
            stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            masters = {
                master: PlannedMaster(
                    entry["digest"],
                    UsedMaster.from_json(entry["bias"]),
                    UsedMaster.from_json(entry["dark"]),
                    entry["short_name"],
                    len(entry["frames"]),
                )
                for master, entry in stored["masters"].items()
            }
            findings = Findings.from_json(stored["findings"])
            return cls(stored["digest"], masters, tuple(stored["kept"]), findings)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RecordError(path, "a plan", error) from error


def write_plan(path: Path, decision: Decision, reasons: Mapping[str, Iterable[str]]) -> None:
    """Write ``plan.json``, completely or not at all.

    Parameters
    ----------
    path : Path
    decision : Decision
    reasons : mapping of str to iterable of str
        Why stale masters are made, by the master's path.

    Notes
    -----
    Each member of a master is on a line of its own. Python's encoder takes ten times as long when
    it is asked for an ``indent``.
    """
    masters = (
        (job.master, _json_of_master(job, decision.short_names, reasons.get(job.master, ())))
        for job in decision.jobs
    )
    plan = {
        "version": "1",
        "formats": json.dumps(FORMATS),
        "digest": json.dumps(decision.digest),
        "masters": _json_object(masters, "  "),
        "not_made": json.dumps([asdict(group) for group in decision.not_made]),
        "kept": json.dumps(decision.kept),
        "warnings": json.dumps(decision.warnings),
        "findings": json.dumps(Findings.of(decision).to_json()),
        "absent_keywords": json.dumps(decision.absent_keywords),
    }
    write_whole(path, _json_object(plan.items(), " ") + "\n")


def _json_of_master(job: MasterJob, short_names: Mapping[str, str], reasons: Iterable[str]) -> str:
    members = {
        "short_name": short_names[job.master],
        "type": job.type.value,
        "keywords": job.keywords,
        "geometry": job.geometry.to_json(),
        "frames": [frame.path for frame in job.frames],
        "digest": job.digest,
        "recipe": job.recipe.fields,
        "bias": job.bias and asdict(job.bias),
        "dark": job.dark and asdict(job.dark),
        "optimize_dark": job.optimize_dark,
        "warnings": [asdict(warning) for warning in job.warnings],
        "left_out": [asdict(frame) for frame in job.left_out],
        "why": [*reasons],
    }
    return _json_object(((key, json.dumps(value)) for key, value in members.items()), "   ")


def _json_object(members: Iterable[tuple[str, str]], indent: str) -> str:
    """Write a JSON object from names and values that are JSON already."""
    lines = ",\n".join(f"{indent}{json.dumps(name)}: {value}" for name, value in members)
    return f"{{\n{lines}\n{indent[1:]}}}"
