"""The native engine: makes masters without PixInsight, by the same arithmetic."""

from __future__ import annotations

__all__: list[str] = []
