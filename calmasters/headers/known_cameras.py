"""The table of cameras whose headers lack the sections of their frames."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

__all__ = ["known_cameras"]

_TABLE: Final = Path(__file__).with_name("known_cameras.yaml")


@cache
def known_cameras() -> Mapping[str, Mapping[str, Any]]:
    """Return the sections by INSTRUME, as in the setting ``cameras``, each with its ``source``."""
    # Imported late, as everywhere: not every process needs it.
    import yaml

    table: Mapping[str, Mapping[str, Any]] = yaml.safe_load(_TABLE.read_text(encoding="utf-8"))
    return table
