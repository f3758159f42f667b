"""Frames to groups, groups to masters, flats to their bias and dark: the plan."""

from __future__ import annotations

__all__: list[str] = []
