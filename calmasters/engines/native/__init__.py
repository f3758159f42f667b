"""The native engine: masters without PixInsight, by the same arithmetic."""

from __future__ import annotations

from calmasters.engines.native.engine import NativeEngine

__all__ = ["NativeEngine"]
