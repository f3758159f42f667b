"""What packages give to each other: jobs, records of masters, and their paths."""

from __future__ import annotations

__all__: list[str] = []
