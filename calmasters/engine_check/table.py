"""The result of an engine check as text of at most 100 columns."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from calmasters.engine_check.result import CaseResult, CheckResult, Outcome

__all__ = ["heading", "result_line", "result_text"]

_WIDTH: Final = 98
_COLUMNS: Final = "{:<32} {:<34} {:<9} {:<10} {:<11}"
#: Differences of one kind that are shown of a case; the zip has all of them.
_SHOWN: Final = 3


def heading() -> str:
    """Return the line above the table."""
    return _COLUMNS.format("case", "pixels", "keywords", "rejected", "dark factor").rstrip()


def result_line(result: CaseResult) -> str:
    """Return the line of a case."""
    if result.pixels is None:
        return _COLUMNS.format(result.case.name, result.outcome, "-", "-", "-").rstrip()
    found = result.pixels
    pixels = "identical"
    if found.pixels:
        pixels = f"{found.pixels} of {found.all_pixels} differ, {_adu(found.largest_adu)}"
    counts = (_number(result.cards), _number(result.counts), _number(result.factors))
    return _COLUMNS.format(result.case.name, pixels, *counts).rstrip()


def _adu(value: float) -> str:
    return f"{value:.3g} ADU" if value < 1000 else f"{value:.0f} ADU"


def _number(differences: object) -> str:
    if differences is None:
        return "-"
    count = len(differences) if hasattr(differences, "__len__") else 0
    return f"{count} differ" if count else "same"


def result_text(result: CheckResult, edit: Callable[[str], str] = str) -> str:
    """Return what follows the table: the differences, the program, and whether all is well.

    Parameters
    ----------
    result : CheckResult
    edit : callable, optional
        Changes texts before they are broken into lines.
    """
    cases = result.cases
    lines = [*_differences(cases, edit)]
    program = "; ".join(f"{name} {value}" for name, value in result.details.items())
    lines += ["", *_wrapped(edit(f"{result.engine}: {program}"), "")]
    if any(each.seconds for each in cases):
        seconds = sum(each.seconds for each in cases)
        lines.append(f"started in {result.start_s:.1f} s; all masters took {seconds:.1f} s")
    counts = (
        f"{sum(each.outcome is outcome for each in cases)} {outcome}"
        for outcome in Outcome
        if any(each.outcome is outcome for each in cases)
    )
    lines.append(f"{len(cases)} cases: {', '.join(counts)}")
    return "\n".join(lines)


def _differences(results: Sequence[CaseResult], edit: Callable[[str], str]) -> Iterator[str]:
    """Yield what differs, and why masters are missing: once for all cases of which it is true."""
    names = defaultdict(list)
    for result in results:
        names["\n".join(_details(result))].append(result.case.name)
    for details, cases in names.items():
        if details:
            yield ""
            yield from _wrapped(f"{'; '.join(cases)}:", "")
            yield from _wrapped(edit(details), "  ")


def _details(result: CaseResult) -> Iterator[str]:
    if result.message:
        yield result.message
    if result.outcome is not Outcome.DIFFERENT:
        return
    if result.pixels and result.pixels.pixels:
        found = result.pixels
        yield (
            f"largest difference at x {found.x}, y {found.y}: {found.found_adu:.4f} ADU, "
            f"expected {found.expected_adu:.4f} ADU"
        )
    yield from _first(
        [
            f"{keyword}: {found!r}, expected {expected!r}"
            for keyword, (found, expected) in result.cards.items()
        ]
    )
    yield from _first(result.counts or [])
    yield from _first(result.factors or [])


def _first(sentences: Sequence[str]) -> Iterator[str]:
    yield from sentences[:_SHOWN]
    if len(sentences) > _SHOWN:
        yield f"and {len(sentences) - _SHOWN} more"


def _wrapped(text: str, indent: str) -> Iterator[str]:
    for line in text.splitlines():
        yield from textwrap.wrap(
            line,
            _WIDTH,
            initial_indent=indent,
            subsequent_indent=f"{indent}  ",
            break_on_hyphens=False,
        )
