"""Synthetic frames of a model camera, with known true values."""

from __future__ import annotations

__all__: list[str] = []
