"""A measured value with its uncertainty, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

__all__ = ["Estimate"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its standard uncertainty, or a reason.

    Attributes
    ----------
    value : float or None
        None where the data cannot give a number.
    uncertainty : float or None
        Standard deviation of the value.
    reason : str
        Why there is no number; empty where there is one.
    """

    value: float | None = None
    uncertainty: float | None = None
    reason: str = ""

    @classmethod
    def unknown(cls, reason: str) -> Self:
        """Return an estimate without a number."""
        return cls(None, None, reason)

    @property
    def known(self) -> tuple[float, float] | None:
        """Value and uncertainty; None where there is no number."""
        if self.value is None or self.uncertainty is None:
            return None
        return self.value, self.uncertainty

    def times(self, other: Estimate) -> Estimate:
        """Return the product of two independent estimates."""
        if self.known is None or other.known is None:
            return Estimate.unknown(self.reason or other.reason)
        (one, one_error), (two, two_error) = self.known, other.known
        return Estimate(one * two, math.hypot(one_error * two, two_error * one))

    @classmethod
    def combined(
        cls, estimates: Iterable[Estimate], combine: Callable[[list[Estimate]], Estimate]
    ) -> Estimate:
        """Combine the estimates that are known; the first reason where none is."""
        listed = list(estimates)
        known = [each for each in listed if each.known]
        if known:
            return combine(known)
        return Estimate.unknown(next((each.reason for each in listed), "no pixels to measure"))

    @staticmethod
    def mean(estimates: list[Estimate]) -> Estimate:
        """Return the weighted mean; its uncertainty is larger where the estimates disagree."""
        pairs = [each.known for each in estimates if each.known]
        floor = 1e-9 * max(abs(value) for value, _ in pairs) or 1e-12
        weights = [1 / max(error, floor) ** 2 for _, error in pairs]
        total = sum(weights)
        value = sum(w * each for w, (each, _) in zip(weights, pairs, strict=True)) / total
        squares = sum(w * (each - value) ** 2 for w, (each, _) in zip(weights, pairs, strict=True))
        disagreement = max(1.0, squares / (len(pairs) - 1)) if len(pairs) > 1 else 1.0
        return Estimate(value, math.sqrt(disagreement / total))

    @staticmethod
    def lowest(estimates: list[Estimate]) -> Estimate:
        """Return the estimate with the lowest value."""
        return min(estimates, key=lambda each: each.value or 0.0)

    @staticmethod
    def largest(estimates: list[Estimate]) -> Estimate:
        """Return the estimate that is farthest from zero."""
        return max(estimates, key=lambda each: abs(each.value or 0.0))
