"""Snakemake keeps its records in the working directory, wherever frames and masters are."""

from __future__ import annotations

import os
from pathlib import Path

from calmasters.errors import OutputError

__all__ = ["require_writable_directory"]

_RECORDS = ".snakemake"


def require_writable_directory() -> None:
    """Check that Snakemake can write its records: without them it ends with a traceback.

    Raises
    ------
    OutputError
        If it cannot.
    """
    directory = Path.cwd()
    records = directory / _RECORDS
    place = records if records.is_dir() else directory
    if not os.access(place, os.W_OK):
        raise OutputError(
            f"the working directory '{directory}' cannot be written, and Snakemake keeps its "
            f"records there, in {_RECORDS}; run in a folder of your own. Frames and masters may be "
            "elsewhere: with absolute paths in input_dir and output_dir"
        )
