"""What a person starts from the command line besides the masters."""

from __future__ import annotations

__all__: list[str] = []
