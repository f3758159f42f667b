"""In what frames that nearly belong together differ, and the setting that would join them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Final

from calmasters.frame import Value, format_value
from calmasters.headers.values import rounded
from calmasters.inventory.faults import in_one_line
from calmasters.planning.filter_names import FilterName

__all__ = ["Difference", "are_near", "differences", "joining_step", "texts"]

#: Steps that ``round`` may be advised to have, and further ones for numbers below 1.
_STEPS: Final = (0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_FINE_STEPS: Final = (0.001, 0.002, 0.005, 0.01, 0.02)
#: Numbers no farther apart are near: half a degree, one step of gain.
_NEAR: Final = 1.0
#: Exposures jitter by a fraction of themselves, and so do gains: 0 and 1 are two of them.
_NEAR_EXPOSURES: Final = 0.01
_NEAR_OTHERS: Final = 0.02
#: An exposure has at least this many steps: rounding must not change it much.
_FEWEST_STEPS: Final = 10
#: Words before the number of a version, and the number itself: 'FW 05.02.06', 'v1.2', 'FW1.2'.
_VERSION_LABELS: Final = "fw|firmware|sw|software|hw|driver|version|ver|rev|build|v"
_VERSION_LABEL: Final = re.compile(rf"\W?(?:{_VERSION_LABELS})\W?", re.IGNORECASE)
_VERSION: Final = re.compile(rf"\W?(?:{_VERSION_LABELS})?\d+(?:\.\w+)+\W?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Difference:
    """A keyword of which one side has another value, or none (empty).

    Attributes
    ----------
    keyword : str
    ours, theirs : str
        As written in names.
    """

    keyword: str
    ours: str
    theirs: str

    def __str__(self) -> str:
        return f"{self.keyword} {self.theirs or 'absent'} against {self.ours or 'absent'}"

    @property
    def distance(self) -> float:
        """How far apart two numbers are; infinite for anything else."""
        try:
            return abs(float(self.ours) - float(self.theirs))
        except ValueError:
            return inf

    def setting(self, listed: str) -> str:
        """Name the setting that would join both sides, empty where they are not near.

        Parameters
        ----------
        listed : str
            The list of the configuration that has the keyword, such as ``required_keywords``.
        """
        if not (self.ours and self.theirs):
            token = self._token(self.ours or self.theirs)
            folder = f"or the folder of those that lack it {token}, " if token else ""
            return (
                f"name the card that has {self.keyword} in keyword_aliases, {folder}"
                f"or take {self.keyword} out of {listed}"
            )
        if self.distance < inf:
            step = joining_step(self.keyword, (float(self.ours), float(self.theirs)))
            return f"set round: {{{self.keyword}: {step:g}}}" if step else ""
        fix = self.fix
        return f"set {in_one_line(fix)}" if fix else ""

    @property
    def fix(self) -> dict[str, Any]:
        """Settings that give our text the value of theirs; empty if the texts are of two things."""
        if not (self.ours and self.theirs):
            return {}
        if pattern := _version_pattern(self.ours, self.theirs):
            return {"keyword_patterns": {self.keyword: pattern}}
        if self._spelled_alike():
            return {"value_aliases": {self.keyword: {self.theirs: [self.ours]}}}
        return {}

    def _token(self, value: str) -> str:
        """Write a token for the name of a folder; empty if the value could not be read from it."""
        return "" if {"_", "/"} & {*value} else f"{self.keyword}_{value}"

    def _spelled_alike(self) -> bool:
        """Tell 'ZWO ASI2600MM Pro' and 'ASI2600MM_Pro' from names of two things."""
        one, other = (re.sub(r"[\W_]+", "", text).casefold() for text in (self.ours, self.theirs))
        shorter, longer = sorted((one, other), key=len)
        is_same = one == other
        if self.keyword == "FILTER":
            is_same = FilterName.of(self.ours).may_be(FilterName.of(self.theirs))
        # 'Extend Fullwell' and 'Extend Fullwell 2CMS' are two modes of readout.
        is_camera = self.keyword == "INSTRUME"
        return is_same or (is_camera and len(shorter) > 2 and shorter in longer)


def _version_pattern(one: str, other: str) -> str:
    """Return the pattern of what is before the version that two texts differ in; empty if none.

    >>> _version_pattern("QSI 583ws FW 05.02.05", "QSI 583ws FW 05.02.06")
    '(.+?) FW'
    """
    words = [*zip(one.split(), other.split(), strict=False)]
    place = next((place for place, pair in enumerate(words) if pair[0] != pair[1]), 0)
    if place == 0:
        return ""
    before = words[place - 1][0]
    if place > 1 and _VERSION_LABEL.fullmatch(before):
        pattern = f"(.+?) {re.escape(before)}"
    elif all(map(_VERSION.fullmatch, words[place])):
        pattern = r"(.+?) \W?[A-Za-z]*\d+\."
    else:
        return ""
    parts = {found[1] if (found := re.search(pattern, text)) else text for text in (one, other)}
    return pattern if len(parts) == 1 else ""


def are_near(keyword: str, low: float, high: float) -> bool:
    """Return whether two numbers of a keyword may be one value that was measured twice."""
    largest = max(abs(low), abs(high))
    near = {"SET-TEMP": _NEAR, "EXPOSURE": _NEAR_EXPOSURES * largest}.get(
        keyword, min(_NEAR, _NEAR_OTHERS * largest)
    )
    return abs(high - low) <= near


def joining_step(keyword: str, numbers: Iterable[float]) -> float | None:
    """Find the finest step of ``round`` that makes near numbers one; None without any."""
    ordered = sorted(numbers)
    low, high = ordered[0], ordered[-1]
    if not are_near(keyword, low, high):
        return None
    steps: tuple[float, ...] = (*_FINE_STEPS, *_STEPS) if max(abs(low), abs(high)) < 1 else _STEPS
    if keyword == "EXPOSURE":
        steps = tuple(step for step in steps if low >= _FEWEST_STEPS * step)
    joining = (step for step in steps if len({rounded(each, step) for each in ordered}) == 1)
    return next(joining, None)


def differences(
    ours: Mapping[str, Value], theirs: Mapping[str, Value], keywords: Iterable[str]
) -> tuple[Difference, ...]:
    """Compare some keywords of two sides; an absent one equals an absent one and no other."""
    both = ((key, _text(key, ours), _text(key, theirs)) for key in keywords)
    return tuple(Difference(*each) for each in both if each[1] != each[2])


def texts(values: Mapping[str, Value], keywords: Iterable[str]) -> tuple[str, ...]:
    """Write some keywords as :func:`differences` compares them; an absent one is empty."""
    return tuple(_text(keyword, values) for keyword in keywords)


def _text(keyword: str, keywords: Mapping[str, Value]) -> str:
    return format_value(keyword, keywords[keyword]) if keyword in keywords else ""
