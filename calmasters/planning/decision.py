"""Everything that was decided: what is made of which frames, and what was left out and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from calmasters.frame import Frame, Value, Verdict
from calmasters.model.job import MasterJob

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Decision", "NotMade"]


@dataclass(frozen=True)
class NotMade:
    """A group that makes no master.

    Attributes
    ----------
    name : str
    keywords : mapping of str to Value
    frames : tuple of str
        Their paths.
    reason : str
    """

    name: str
    keywords: Mapping[str, Value]
    frames: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Decision:
    """The jobs, and a verdict on every frame.

    Attributes
    ----------
    digest : str
        Of the files and settings that it was made from.
    jobs : tuple of MasterJob
        Bias, dark, flat; by name.
    not_made : tuple of NotMade
    kept : tuple of str
        Bias and dark masters in ``output_dir`` that no job makes.
    frames : tuple of Frame
    verdicts : mapping of str to Verdict
        By the frame's path.
    warnings : tuple of str
        About the libraries.
    keywords : tuple of str
        Keywords that only the configuration names; each has a column in the inventory.
    """

    digest: str
    jobs: tuple[MasterJob, ...]
    not_made: tuple[NotMade, ...]
    kept: tuple[str, ...]
    frames: tuple[Frame, ...]
    verdicts: Mapping[str, Verdict]
    warnings: tuple[str, ...]
    keywords: tuple[str, ...] = ()

    @cached_property
    def inventory(self) -> pd.DataFrame:
        """The frames and their verdicts as a table, built when first used."""
        # Imports pandas, which a run with nothing to do does not need.
        from calmasters.inventory.table import inventory_table

        return inventory_table(self.frames, self.verdicts, self.keywords)
