"""What the Snakemake rules ask, answered without Snakemake."""

from __future__ import annotations

__all__: list[str] = []
