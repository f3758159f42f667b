"""Scan for frames, read their headers, and build the inventory table."""

from __future__ import annotations

__all__: list[str] = []
