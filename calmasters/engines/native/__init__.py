"""The native engine: masters without PixInsight, by the same arithmetic."""

from __future__ import annotations

__all__: list[str] = []
