"""Compile the kernels before the first job: ``python -m calmasters.engines.native``."""

from __future__ import annotations

from calmasters.engines.native.compiled import SIGNATURES, kernels

for name in SIGNATURES:
    getattr(kernels(), name)
