"""Sentences about the whole directory: libraries, nights, masters that lack a keyword."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import PurePath
from typing import Final

from calmasters.frame import Frame
from calmasters.headers.nights import UTC_SOURCE
from calmasters.headers.sample_scale import BOTTOM_UP
from calmasters.inventory.camera_keywords import (
    ESSENTIAL,
    CameraKeywords,
    camera_of,
    missing_keywords,
)
from calmasters.inventory.faults import assumed_values, in_one_line
from calmasters.planning.grouping import Group
from calmasters.settings import Settings

__all__ = ["library_warnings", "masters_without_keywords", "reversed_rows", "uncertain_nights"]

#: Flats of one dusk or dawn are taken within this time.
_ONE_TWILIGHT_H: Final = 4.0


def library_warnings(library: Iterable[Frame]) -> Iterator[str]:
    """Report files of the libraries that are not used, and why."""
    for frame in library:
        if frame.problems:
            yield f"library: {frame.path} {'; '.join(frame.problems)}"
        elif (
            frame.master
            and frame.keywords.get("TYPE") == "dark"
            and not frame.keywords.get("EXPOSURE", 1)
        ):
            yield f"library: {frame.path} is not used: a dark of 0 s cannot be; correct its EXPTIME"
        elif not frame.master:
            yield (
                f"library: {frame.path} is not used: neither its IMAGETYP, nor a count of frames, "
                "nor its name says that it is a master"
            )


def uncertain_nights(groups: Iterable[Group]) -> Iterator[str]:
    """Report flats whose nights are dates of UTC, if another zone could group them otherwise."""
    flats = [
        frame
        for group in groups
        for frame in group.frames
        if frame.traits.sources.get("DATE") == UTC_SOURCE
    ]
    times = sorted(frame.date_obs for frame in flats if frame.date_obs)
    if not times or _hours(times[0], times[-1]) < _ONE_TWILIGHT_H:
        return
    count = "1 flat is" if len(flats) == 1 else f"{len(flats)} flats are"
    yield (
        f"the nights of flats are uncertain: {count} without local time and longitude, so a night "
        "is taken from noon to noon UTC; set night.timezone to the zone of the observatory, "
        "such as night: {timezone: Pacific/Honolulu}"
    )


def _hours(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds() / 3600


def masters_without_keywords(
    masters: Iterable[Frame], settings: Settings, cameras: CameraKeywords
) -> Iterator[str]:
    """Report masters that no job makes, and that lack a keyword which their camera now writes."""
    names: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for master in masters:
        kind, camera = str(master.keywords.get("TYPE", "")), camera_of(master.keywords)
        if kind in settings.required_keywords and not master.problems:
            missing = missing_keywords(master.traits, kind, settings, cameras)
            given = (key for key in missing if key not in ESSENTIAL and cameras.known(camera, key))
            if lacked := tuple(given):
                names[camera, lacked].append(PurePath(master.path).stem)
    for (camera, lacked), alike in names.items():
        known = {keyword: cameras.known(camera, keyword) for keyword in lacked}
        setting = in_one_line({"assume_keywords": assumed_values(camera, known)})
        count = "1 master has" if len(alike) == 1 else f"{len(alike)} masters have"
        yield (
            f"output_dir: {count} no {' and no '.join(lacked)}, unlike other frames of "
            f"{camera or 'the camera'}, such as {alike[0]}: no frames make them any more, and "
            f"they stay as they are; if they were taken with the same, set {setting}"
        )


def reversed_rows(groups: Mapping[str, Group], short_names: Mapping[str, str]) -> Iterator[str]:
    """Report groups in which the rows of some frames are reversed, and of others not.

    Parameters
    ----------
    groups, short_names : mapping of str to Group and to str
        By the name of the master.
    """
    for name, group in groups.items():
        bottom_up = [BOTTOM_UP in frame.traits.read_as for frame in group.frames]
        if any(bottom_up) and not all(bottom_up):
            yield (
                f"{short_names[name]}: {sum(bottom_up)} of {len(bottom_up)} frames say ROWORDER "
                "'BOTTOM-UP', and their rows are reversed; check that the first row of the others "
                "is the top one"
            )
