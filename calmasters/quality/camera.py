"""Masters of one camera setting: the bias of a dark, the masters of a bad-pixel map."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Final

from calmasters.frame import FrameType, format_value
from calmasters.model.job import MasterJob, UsedMaster

__all__ = [
    "bias_of",
    "previous_night",
    "setting_key",
    "setting_label",
    "settings_with_defects",
]

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9 .+-]")

#: Largest number of characters of a map's name before its digest.
_LONGEST: Final = 120


def bias_of(
    job: MasterJob, jobs: Iterable[MasterJob], keywords: Sequence[str]
) -> UsedMaster | None:
    """Return the bias master that belongs to a dark or a flat.

    Parameters
    ----------
    job : MasterJob
    jobs : iterable of MasterJob
        All of the plan.
    keywords : sequence of str
        Keywords whose values must be equal (``master_match_keywords``).

    Returns
    -------
    UsedMaster or None
        For a flat, the bias of its job; for a bias, None. For a dark, the bias of this run with
        the same settings; otherwise the one (kept or from a library) that flats with the same
        settings use.
    """
    if job.type is not FrameType.DARK:
        return job.bias
    setting = setting_key(job, keywords)
    same_setting = [other for other in jobs if setting_key(other, keywords) == setting]
    made = [
        UsedMaster(other.master, "run", "same settings")
        for other in same_setting
        if other.type is FrameType.BIAS
    ]
    used = [other.bias for other in same_setting if other.bias]
    return next(iter((*made, *used)), None)


def previous_night(job: MasterJob, jobs: Iterable[MasterJob]) -> MasterJob | None:
    """Return the job of the night before with the same settings; None without one.

    Parameters
    ----------
    job : MasterJob
    jobs : iterable of MasterJob
        All of the plan.
    """
    night = job.keywords.get("DATE")
    if night is None:
        return None

    def setting(other: MasterJob) -> tuple[object, ...]:
        keywords = {key: value for key, value in other.keywords.items() if key != "DATE"}
        return other.type, keywords, other.geometry

    before = [
        other
        for other in jobs
        if str(other.keywords.get("DATE", night)) < str(night) and setting(other) == setting(job)
    ]
    return max(before, key=lambda other: str(other.keywords["DATE"]), default=None)


def settings_with_defects(
    jobs: Iterable[MasterJob], keywords: Sequence[str]
) -> Mapping[str, Sequence[MasterJob]]:
    """Group the dark and flat masters by camera setting.

    Returns
    -------
    mapping of str to sequence of MasterJob
        By the name of the setting's bad-pixel map, as
        ``badPixels_INSTRUME-ATR585M_SETTEMP--10.00_GAIN-100_ID-1a2b3c4d``. The digest keeps names
        unique where values differ only in characters that are replaced.
    """
    by_map: dict[str, list[MasterJob]] = {}
    for job in jobs:
        if job.type is not FrameType.BIAS:
            by_map.setdefault(_map_name(setting_key(job, keywords)), []).append(job)
    return by_map


def setting_key(job: MasterJob, keywords: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return what masters of one camera setting have in common: formatted keywords, and size."""
    values = [
        (key, format_value(key, job.keywords[key])) for key in keywords if key in job.keywords
    ]
    return (*values, ("", str(job.geometry)))


def setting_label(job: MasterJob) -> str:
    """Return what must be equal for numbers of two masters to be compared, as text."""
    left_out = {"TYPE", "DATE", "INSTRUME"}
    further = [
        f"{key} {format_value(key, value)}"
        for key, value in job.keywords.items()
        if key not in left_out
    ]
    camera = str(job.keywords.get("INSTRUME", "unknown camera"))
    return f"{camera}, {job.type.value}: {', '.join((*further, str(job.geometry)))}"


def _map_name(setting: tuple[tuple[str, str], ...]) -> str:
    parts = [f"{key.replace('-', '')}-{value}" for key, value in setting if key]
    name = "_".join(_UNSAFE.sub("-", part).strip(" .") for part in ("badPixels", *parts))
    digest = sha256(repr(setting).encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{name[:_LONGEST].rstrip(' .')}_ID-{digest}"
