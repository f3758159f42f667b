"""Read the headers of FITS and XISF files, and translate them to canonical keywords."""

from __future__ import annotations

__all__: list[str] = []
