"""What a run tells about its frames: how many there are, what was left out, what is missing.

The checkpoint stores the findings in ``plan.json``, so that a run with nothing to do can report
them without reading the inventory.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from calmasters.frame import FrameType, Status, Verdict, format_value

if TYPE_CHECKING:
    from calmasters.planning.planner import Decision

__all__ = ["Findings", "LeftOutFrames", "missing_masters"]

#: Types whose frames make masters; a frame of unknown type may be one of them.
_CALIBRATION: Final = frozenset({FrameType.BIAS.value, FrameType.DARK.value, FrameType.FLAT.value})


@dataclass(frozen=True, slots=True)
class LeftOutFrames:
    """Frames that are not used and have the same remedy.

    Attributes
    ----------
    count : int
    remedy : str
        What to do about them, or what they are.
    example : str
        Path of the first one.
    reason : str
        Why that one is not used.
    """

    count: int
    remedy: str
    example: str
    reason: str


@dataclass(frozen=True, slots=True)
class Findings:
    """What a person should know of the frames and the plan.

    Attributes
    ----------
    frames : mapping of str to mapping of str to int
        Number of frames by type (``unknown`` without one) and status.
    refused : tuple of LeftOutFrames
        The largest group first.
    suspicious : tuple of LeftOutFrames
        Ignored frames that may have been meant for a master, with the setting that uses them.
    notes : tuple of str
        Sentences about the whole directory.
    wanted : tuple of str
        What to shoot next.
    has_suggestion : bool
        Whether settings are suggested that make refused frames usable.
    """

    frames: Mapping[str, Mapping[str, int]]
    refused: tuple[LeftOutFrames, ...]
    suspicious: tuple[LeftOutFrames, ...]
    notes: tuple[str, ...]
    wanted: tuple[str, ...]
    has_suggestion: bool

    @classmethod
    def of(cls, decision: Decision) -> Self:
        """Collect the findings of a decision."""
        kinds: dict[str, Counter[str]] = defaultdict(Counter)
        for frame in decision.frames:
            kind = str(frame.keywords.get("TYPE") or "unknown")
            kinds[kind][decision.verdicts[frame.path].status.value] += 1
        known = [kind.value for kind in FrameType]
        order = [*known, *sorted(kinds.keys() - {*known})]
        refused = {
            path: each for path, each in decision.verdicts.items() if each.status is Status.REFUSED
        }
        suspicious = {
            path: each
            for path, each in decision.verdicts.items()
            if each.status is Status.IGNORED and each.settings
        }
        return cls(
            frames={kind: dict(kinds[kind]) for kind in order if kind in kinds},
            refused=tuple(_by_remedy(refused)),
            suspicious=tuple(_by_remedy(suspicious)),
            notes=decision.warnings,
            wanted=tuple(missing_masters(decision)),
            has_suggestion=any(each.settings for each in (refused | suspicious).values()),
        )

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read the findings as ``plan.json`` has them."""
        return cls(
            frames=stored["frames"],
            refused=tuple(LeftOutFrames(**each) for each in stored["refused"]),
            suspicious=tuple(LeftOutFrames(**each) for each in stored["suspicious"]),
            notes=tuple(stored["notes"]),
            wanted=tuple(stored["wanted"]),
            has_suggestion=stored["has_suggestion"],
        )

    def to_json(self) -> dict[str, Any]:
        """Give the findings as :meth:`from_json` reads them."""
        return asdict(self)

    @property
    def has_calibration_frames(self) -> bool:
        """Whether a frame is, or could be, a bias, a dark or a flat."""
        return any(
            kind in _CALIBRATION or Status.REFUSED in counts for kind, counts in self.frames.items()
        ) or bool(self.suspicious)

    def count(self, status: Status) -> int:
        """Count the frames with a status."""
        return sum(counts.get(status.value, 0) for counts in self.frames.values())


def _by_remedy(verdicts: Mapping[str, Verdict]) -> list[LeftOutFrames]:
    paths: dict[str, list[str]] = defaultdict(list)
    for path, verdict in verdicts.items():
        paths[verdict.remedy or verdict.reason].append(path)
    groups = [
        LeftOutFrames(len(alike), remedy, min(alike), verdicts[min(alike)].reason)
        for remedy, alike in paths.items()
    ]
    return sorted(groups, key=lambda group: -group.count)


def missing_masters(decision: Decision) -> Iterator[str]:
    """Say what to shoot next: groups that are too small, flats without a bias or a dark."""
    for group in decision.not_made:
        yield f"{group.short_name}: {group.reason}"
    lacking: dict[str, list[str]] = defaultdict(list)
    for job in decision.jobs:
        if job.type is FrameType.FLAT:
            kinds = [kind for kind in ("bias", "dark") if getattr(job, kind) is None]
            if kinds:
                setting = ", ".join(
                    f"{key} {format_value(key, value)}"
                    for key, value in job.keywords.items()
                    if key not in ("DATE", "FILTER")
                )
                what = f"{' and '.join(kinds)} frames with {setting or 'the settings of the flats'}"
                lacking[what].append(decision.short_names[job.master])
    for what, flats in lacking.items():
        yield f"{what}, for {_first(flats)}"


def _first(names: Iterable[str]) -> str:
    names = [*names]
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
