"""Which frames there are, what each header says, and the table of them."""

from __future__ import annotations

__all__: list[str] = []
