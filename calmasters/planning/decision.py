"""Everything that was decided: what is made of which frames, and what was left out and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from calmasters.frame import Frame, Value, Verdict
from calmasters.model.job import MasterJob

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
    """

    digest: str
    jobs: tuple[MasterJob, ...]
    not_made: tuple[NotMade, ...]
    kept: tuple[str, ...]
    frames: tuple[Frame, ...]
    verdicts: Mapping[str, Verdict]
    warnings: tuple[str, ...]
