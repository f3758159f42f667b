"""What an engine check found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from calmasters.comparison.masters import PixelDifference
from calmasters.engine_check.cases import Case
from calmasters.headers.fits_cards import CardValue
from calmasters.model.master_record import FrameStatistics

__all__ = ["CaseResult", "CheckResult", "Outcome", "different_counts", "different_factors"]


class Outcome(StrEnum):
    """What became of a case."""

    SAME = "agree"
    DIFFERENT = "differ"
    FAILED = "failed"
    UNSUPPORTED = "not supported"
    NOT_TRIED = "not tried"


@dataclass(frozen=True)
class CaseResult:
    """What became of a case.

    Attributes
    ----------
    case : Case
    outcome : Outcome
    message : str
        Why there is no master to compare; empty where there is one.
    pixels : PixelDifference or None
    cards : mapping of str to (CardValue or None, CardValue or None)
        Header cards that differ: found and expected.
    counts : sequence of str or None
        Sentences about frames with other numbers of rejected samples; None where the engine does
        not count them.
    factors : sequence of str or None
        Sentences about frames with another factor of the dark; None where no dark was scaled.
    seconds : float
        Time that the application took for the master.
    """

    case: Case
    outcome: Outcome
    message: str = ""
    pixels: PixelDifference | None = None
    cards: Mapping[str, tuple[CardValue | None, CardValue | None]] = field(default_factory=dict)
    counts: Sequence[str] | None = None
    factors: Sequence[str] | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class CheckResult:
    """What a check found.

    Attributes
    ----------
    engine : str
    details : mapping of str to str
        About the program, and its version.
    cases : sequence of CaseResult
    """

    engine: str
    details: Mapping[str, str]
    cases: Sequence[CaseResult]

    @property
    def is_good(self) -> bool:
        """Whether every master that the engine supports was made, and agrees."""
        outcomes = {each.outcome for each in self.cases}
        return Outcome.SAME in outcomes and outcomes <= {Outcome.SAME, Outcome.UNSUPPORTED}

    @property
    def start_s(self) -> float:
        """Time to start the program: the first master takes it, the fastest one does not."""
        seconds = [each.seconds for each in self.cases if each.seconds]
        return seconds[0] - min(seconds) if seconds else 0.0


def different_counts(
    found: Sequence[FrameStatistics], expected: Sequence[FrameStatistics]
) -> list[str]:
    """Return a sentence for each frame with other numbers of rejected samples than expected."""
    return [*_different(found, expected, "low"), *_different(found, expected, "high")]


def different_factors(
    found: Sequence[FrameStatistics], expected: Sequence[FrameStatistics]
) -> list[str] | None:
    """Return a sentence for each frame with another dark factor; None where none has one."""
    if all(frame.k is None for frame in (*found, *expected)):
        return None
    return [*_different(found, expected, "k")]


_WORDS = {"low": "rejected as too low", "high": "rejected as too high", "k": "factor of the dark"}


def _different(
    found: Sequence[FrameStatistics], expected: Sequence[FrameStatistics], name: str
) -> Iterator[str]:
    by_path = {frame.path: getattr(frame, name) for frame in found}
    for number, frame in enumerate(expected, 1):
        wanted = getattr(frame, name)
        if frame.path not in by_path:
            yield f"frame {number}: not combined"
        elif by_path[frame.path] is None and wanted is not None:
            yield f"frame {number}, {_WORDS[name]}: not reported, expected {wanted}"
        elif by_path[frame.path] != wanted:
            yield f"frame {number}, {_WORDS[name]}: {by_path[frame.path]}, expected {wanted}"
