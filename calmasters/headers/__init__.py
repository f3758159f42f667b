"""Header cards of FITS and XISF files, and what they mean."""

from __future__ import annotations

__all__: list[str] = []
