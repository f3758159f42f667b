"""The table of cameras whose headers lack the sections of their frames."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

__all__ = ["known_cameras"]


@cache
def known_cameras() -> Mapping[str, Mapping[str, Any]]:
    """Return the sections by camera, as in the setting ``cameras``."""
    return {}
