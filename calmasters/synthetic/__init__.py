"""Frames of a camera that does not exist, with known truth."""

from __future__ import annotations

__all__: list[str] = []
