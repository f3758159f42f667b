"""Which masters belong to one camera setting: a dark's bias, the masters of a bad-pixel map."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Final

from calmasters.frame import FrameType, format_value
from calmasters.model.job import MasterJob, UsedMaster

__all__ = ["bias_of", "setting_of", "settings_with_defects"]

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9 .+-]")

#: Characters of a name before its digest.
_LONGEST: Final = 120


def bias_of(
    job: MasterJob, jobs: Iterable[MasterJob], keywords: Sequence[str]
) -> UsedMaster | None:
    """Give the bias master that belongs to a dark or a flat.

    Parameters
    ----------
    job : MasterJob
    jobs : iterable of MasterJob
        All of the plan.
    keywords : sequence of str
        What masters must have in common (``master_match_keywords``).

    Returns
    -------
    UsedMaster or None
        A flat's own; none for a bias. For a dark the bias of this run with the same settings, else
        the one (kept or of a library) that flats with the same settings use.
    """
    if job.type is not FrameType.DARK:
        return job.bias
    alike = [other for other in jobs if setting_of(other, keywords) == setting_of(job, keywords)]
    made = [
        UsedMaster(other.master, "run", "same settings")
        for other in alike
        if other.type is FrameType.BIAS
    ]
    used = [other.bias for other in alike if other.bias]
    return next(iter((*made, *used)), None)


def settings_with_defects(
    jobs: Iterable[MasterJob], keywords: Sequence[str]
) -> Mapping[str, Sequence[MasterJob]]:
    """Gather the dark and flat masters of each camera setting, by the name of its map.

    ``badPixels_INSTRUME-ATR585M_SETTEMP--10.00_GAIN-100_ID-1a2b3c4d``; the digest tells apart
    what cleaning makes equal.
    """
    found: dict[str, list[MasterJob]] = {}
    for job in jobs:
        if job.type is not FrameType.BIAS:
            found.setdefault(_name(setting_of(job, keywords)), []).append(job)
    return found


def setting_of(job: MasterJob, keywords: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Give what masters of one camera setting have in common: keywords as written, and size."""
    values = [
        (key, format_value(key, job.keywords[key])) for key in keywords if key in job.keywords
    ]
    return (*values, ("", str(job.geometry)))


def _name(setting: tuple[tuple[str, str], ...]) -> str:
    words = [f"{key.replace('-', '')}-{value}" for key, value in setting if key]
    name = "_".join(_UNSAFE.sub("-", word).strip(" .") for word in ("badPixels", *words))
    digest = sha256(repr(setting).encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{name[:_LONGEST].rstrip(' .')}_ID-{digest}"
