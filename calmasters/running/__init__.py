"""What a run needs besides the plan: the lock, the disk, the previous masters, the machine."""

from __future__ import annotations

__all__: list[str] = []
