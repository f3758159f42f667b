"""Versions of the files that other programs and later versions of this one read.

A version is raised when something is removed, is renamed, or means something else; not when
something is added. ``tests/model/test_formats.py`` sees each change, and reads old files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["FORMATS", "RECORD", "WRITTEN_KEYWORDS"]

#: The records beside masters (:class:`calmasters.model.master_record.MasterRecord`).
RECORD: Final = 1
#: The cards of masters (:func:`calmasters.model.master_record.header_cards`).
WRITTEN_KEYWORDS: Final = 1

#: By the files of ``output_dir``; ``plan.json`` has them, since tables have no place for a version.
FORMATS: Final[Mapping[str, int]] = {
    "inventory.csv": 1,
    "quality/metrics.csv": 1,
    "masters/**/*.json": RECORD,
    "masters/**: keywords": WRITTEN_KEYWORDS,
}
