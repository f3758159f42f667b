"""What a run tells about its frames: how many there are, what was left out, what is missing.

The checkpoint stores the findings in ``plan.json``, so that a run with nothing to do can report
them without reading the inventory.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from calmasters.frame import FrameType, Status, Verdict, format_value
from calmasters.inventory.camera_keywords import absence_sentences
from calmasters.inventory.suggestions import settings_as_yaml

if TYPE_CHECKING:
    from calmasters.planning.planner import Decision

__all__ = ["Findings", "FrameGroup", "missing_masters"]

#: Types whose frames make masters; a frame of unknown type may be one of them.
_CALIBRATION: Final = frozenset({FrameType.BIAS.value, FrameType.DARK.value, FrameType.FLAT.value})


_NUMBER: Final = re.compile(r"[-+]?\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class FrameGroup:
    """Frames that share a remedy, or a warning.

    Attributes
    ----------
    count : int
    remedy : str
        What to do about them, or the warning.
    example : str
        Path of the first one.
    reason : str
        Why that one is not used, or its warning.
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
        Number of frames by type and status; ``excluded`` ones are not read, and have no type, and
        others without one are ``unknown``.
    refused : tuple of FrameGroup
        The largest group first.
    suspicious : tuple of FrameGroup
        Ignored frames that may have been meant for a master, with the setting that uses them.
    warned : tuple of FrameGroup
        Used frames with something unusual; those with the same kind of warning together.
    notes : tuple of str
        Sentences about the whole directory.
    wanted : tuple of str
        What to shoot next.
    suggested : str
        Settings that make refused frames usable, as a part of ``config.yaml``; empty without any.
    """

    frames: Mapping[str, Mapping[str, int]]
    refused: tuple[FrameGroup, ...]
    suspicious: tuple[FrameGroup, ...]
    warned: tuple[FrameGroup, ...]
    notes: tuple[str, ...]
    wanted: tuple[str, ...]
    suggested: str

    @classmethod
    def of(cls, decision: Decision) -> Self:
        """Collect the findings of a decision."""
        kinds: dict[str, Counter[str]] = defaultdict(Counter)
        for frame in decision.frames:
            kind = str(frame.keywords.get("TYPE") or ("excluded" if frame.excluded else "unknown"))
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
            warned=tuple(_by_warning(decision)),
            notes=(
                # These come first, since a run shows only a few.
                *decision.warnings,
                *absence_sentences(decision.absent_keywords),
                *_ignored_calibration_frames(decision),
            ),
            wanted=tuple(missing_masters(decision)),
            suggested=settings_as_yaml(decision.suggested) if decision.suggested else "",
        )

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read the findings as ``plan.json`` has them."""
        return cls(
            frames=stored["frames"],
            refused=tuple(FrameGroup(**each) for each in stored["refused"]),
            suspicious=tuple(FrameGroup(**each) for each in stored["suspicious"]),
            warned=tuple(FrameGroup(**each) for each in stored["warned"]),
            notes=tuple(stored["notes"]),
            wanted=tuple(stored["wanted"]),
            suggested=stored["suggested"],
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


def _by_remedy(verdicts: Mapping[str, Verdict]) -> list[FrameGroup]:
    paths: dict[str, list[str]] = defaultdict(list)
    for path, verdict in verdicts.items():
        paths[verdict.remedy or verdict.reason].append(path)
    groups = [
        FrameGroup(len(alike), remedy, min(alike), verdicts[min(alike)].reason)
        for remedy, alike in paths.items()
    ]
    return sorted(groups, key=lambda group: -group.count)


def _ignored_calibration_frames(decision: Decision) -> Iterator[str]:
    """Count copies: bias, dark and flat frames that are ignored without being asked for."""
    copies = sum(frame.copy_of is not None for frame in decision.frames)
    if copies:
        yield f"{copies} frame{'s' * (copies > 1)}: copies of other frames, which count once"


def _by_warning(decision: Decision) -> list[FrameGroup]:
    """Group the warnings of used frames; texts that differ in numbers are of one kind."""
    paths: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for frame in decision.frames:
        if frame.warnings and decision.verdicts[frame.path].status is Status.USED:
            for text in frame.warnings:
                paths[_NUMBER.sub("0", text)].append((frame.path, text))
    groups = []
    for alike in paths.values():
        example, text = min(alike)
        groups.append(FrameGroup(len(alike), text, example, text))
    return sorted(groups, key=lambda group: -group.count)


def missing_masters(decision: Decision) -> Iterator[str]:
    """Say what to shoot next: groups that are too small, flats without a bias or a dark."""
    for group in decision.not_made:
        # More frames would be taken in vain: the note says which setting combines the groups.
        if not group.is_split:
            yield f"{group.short_name}: {group.reason}"
    lacking: dict[str, list[str]] = defaultdict(list)
    for job in decision.jobs:
        if job.type is FrameType.FLAT:
            # A dark without a bias is one of the flats' exposure, which contains the bias.
            kinds = ["bias"] * (job.bias is job.dark is None) + ["dark"] * (job.dark is None)
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
