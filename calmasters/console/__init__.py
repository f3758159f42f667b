"""What a run shows on the terminal: a line per master, a progress bar, and a summary at the end."""

from __future__ import annotations

__all__: list[str] = []
