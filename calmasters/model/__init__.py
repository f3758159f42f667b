"""What the packages hand to each other: jobs, records of masters, and where they lie."""

from __future__ import annotations

__all__: list[str] = []
