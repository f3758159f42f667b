"""Read the pixels of frames, and read and write masters."""

from __future__ import annotations

__all__: list[str] = []
