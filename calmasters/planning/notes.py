"""Sentences about the whole directory: libraries, nights, masters that lack a keyword."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain, pairwise
from pathlib import Path, PurePath
from statistics import median
from typing import Final

from calmasters.errors import FrameError
from calmasters.frame import Frame, FrameType
from calmasters.headers.dialects import MEASURED
from calmasters.headers.image_header import read_header
from calmasters.headers.nights import UTC_SOURCE
from calmasters.headers.sample_scale import BOTTOM_UP
from calmasters.headers.values import rounded
from calmasters.inventory.camera_keywords import (
    ESSENTIAL,
    CameraKeywords,
    camera_of,
    missing_keywords,
)
from calmasters.inventory.faults import assumed_values, in_one_line
from calmasters.inventory.suggestions import combined_settings
from calmasters.model.job import MasterJob, UsedMaster
from calmasters.model.master_record import ENOUGH_FRAMES
from calmasters.planning.filter_names import spellings
from calmasters.planning.grouping import Group
from calmasters.settings import Settings

__all__ = [
    "filter_spellings",
    "flats_without_exposure",
    "library_warnings",
    "masters_without_keywords",
    "measured_temperatures",
    "nights_split_at_noon",
    "reversed_rows",
    "rows_against_each_other",
    "uncertain_nights",
]

#: Steps in which temperatures of a sensor without a set-point may be combined.
_STEPS_C: Final = (2, 5, 10)

#: Flats of one dusk or dawn are taken within this time.
_ONE_TWILIGHT_H: Final = 4.0
#: Flats with shorter pauses between them are one series.
_ONE_SERIES_H: Final = 0.5


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
    yield (
        f"the nights of flats are uncertain: {len(flats)} flats are without local time and "
        "longitude, so a night is taken from noon to noon UTC; set night.timezone to the zone of "
        "the observatory, such as night: {timezone: Pacific/Honolulu}"
    )


def nights_split_at_noon(
    groups: Mapping[str, Group], short_names: Mapping[str, str]
) -> Iterator[str]:
    """Report small groups of flats that are one series, in which the next night begins.

    Parameters
    ----------
    groups, short_names : mapping of str to Group and to str
        By the name of the master.
    """
    alike: dict[Hashable, list[str]] = defaultdict(list)
    for name, group in groups.items():
        if group.type is FrameType.FLAT and group.frames[0].date_obs and "DATE" in group.keywords:
            others = tuple(each for each in group.key if each[0] != "DATE")
            alike[others, group.geometry.without_origin, group.labels].append(name)
    for names in alike.values():
        names.sort(key=lambda name: groups[name].frames[0].date_obs or "")
        for one, other in pairwise(names):
            before, after = groups[one], groups[other]
            last = max(frame.date_obs or "" for frame in before.frames)
            pause_h = _hours(last, after.frames[0].date_obs or "")
            small = min(len(before.frames), len(after.frames)) < ENOUGH_FRAMES
            if not small or not 0 <= pause_h <= _ONE_SERIES_H:
                continue
            is_utc = after.frames[0].traits.sources.get("DATE") == UTC_SOURCE
            zone = "set night.timezone to the zone of the observatory, or " * is_utc
            yield (
                f"{len(before.frames) + len(after.frames)} flats that were taken one after another "
                "are of two nights, because a night begins at "
                f"noon{' UTC' * is_utc}: {short_names[one]} and {short_names[other]}; to combine "
                f"them, {zone}"
                f"put them into a folder DATE_{before.keywords['DATE']} and set "
                "path_keywords: override"
            )


def _hours(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds() / 3600


def flats_without_exposure(groups: Iterable[Group]) -> Iterator[str]:
    """Report flats whose exposure is 0 s: no dark can be chosen or scaled by it."""
    flats = [
        frame for group in groups for frame in group.frames if frame.keywords.get("EXPOSURE") == 0
    ]
    if flats:
        count = "1 flat has" if len(flats) == 1 else f"{len(flats)} flats have"
        yield (
            f"{count} an exposure of 0 s, so no dark can be matched with them, such as "
            f"{flats[0].path}; if the program writes a wrong exposure, name their folder "
            "EXPOSURE_2 (in seconds) and set path_keywords: override"
        )


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


def rows_against_each_other(
    jobs: Mapping[str, MasterJob], short_names: Mapping[str, str], settings: Settings
) -> Iterator[str]:
    """Report flats whose rows are reversed, and those of the bias or dark not, for want of a card.

    Parameters
    ----------
    jobs : mapping of str to MasterJob
        By the master's path.
    short_names : mapping of str to str
        By the master's path.
    settings : Settings
    """
    flats: dict[tuple[str, bool], list[str]] = defaultdict(list)
    for path, job in jobs.items():
        for used in filter(None, (job.bias, job.dark)):
            maker = jobs.get(used.path) if used.origin == "run" else None
            is_reversed = _is_reversed(job.frames[0].read_as)
            if is_reversed == _is_reversed(maker.frames[0].read_as if maker else used.read_as):
                continue
            if is_reversed:
                first = _first_file(used, maker, settings)
            else:
                first = settings.input_dir / job.frames[0].path
            if _lacks_row_order(first):
                flats[used.path, is_reversed].append(short_names[path])
    for (path, is_reversed), names in flats.items():
        other = short_names.get(path, path)
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        ours = f"{names[0]}{more}"
        bottom_up, without = (ours, other) if is_reversed else (other, ours)
        yield (
            f"frames of {bottom_up} say ROWORDER 'BOTTOM-UP', and their rows are reversed; those "
            f"of {without} have no ROWORDER, and are read with the top row first. If the camera "
            "wrote all of them in one order, flats are calibrated upside down: add ROWORDER to the "
            "headers that lack it, or take all frames with one program"
        )


def _first_file(used: UsedMaster, maker: MasterJob | None, settings: Settings) -> Path:
    """Give the first frame of a master of this run, or the file of another master."""
    if maker is None:
        return used.located(settings.output_dir)
    return settings.input_dir / maker.frames[0].path


def _is_reversed(read_as: str) -> bool:
    return BOTTOM_UP in read_as


def _lacks_row_order(path: Path) -> bool:
    """Return whether nothing in a file says which row is the top one."""
    try:
        header = read_header(path)
    except (OSError, FrameError):
        return False
    return header.packing != "xisf" and not header.cards.get("ROWORDER")


def filter_spellings(groups: Iterable[Group], settings: Settings) -> Iterator[str]:
    """Report flats of one camera whose filters may be one filter in several spellings."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for group in groups:
        if group.type is FrameType.FLAT and isinstance(name := group.keywords.get("FILTER"), str):
            counts[camera_of(group.keywords)][name] += len(group.frames)
    in_use = settings.value_aliases.get("FILTER", {})
    for camera, values in counts.items():
        # What has aliases keeps its name; otherwise the most frequent spelling is the name.
        ordered = sorted(values, key=lambda name: (name not in in_use, -values[name], name))
        aliases = {first: others for first, *others in spellings(ordered)}
        if aliases:
            fix = combined_settings(settings.value_aliases, {"FILTER": aliases})
            yield (
                f"flats of {camera or 'the camera'} have names of filters that differ only in "
                f"spelling or bandwidth, and make a master each: {'; '.join(_spelled(aliases))}; "
                f"if they are one filter, set {in_one_line({'value_aliases': fix})}"
            )


def measured_temperatures(groups: Iterable[Group]) -> Iterator[str]:
    """Report small groups that differ only in the temperature of a sensor without a set-point."""
    alike: dict[Hashable, list[Group]] = defaultdict(list)
    for group in groups:
        others = tuple(each for each in group.key if each[0] != "SET-TEMP")
        if group.frames[0].traits.sources.get("SET-TEMP") == MEASURED:
            alike[group.type, others, group.geometry, group.labels].append(group)
    for several in chain.from_iterable(map(_near_in_temperature, alike.values())):
        if len(several) < 2 or min(len(group.frames) for group in several) >= ENOUGH_FRAMES:
            continue
        temperatures = [_temperature_c(group) for group in several]
        joining = [
            step for step in _STEPS_C if len({rounded(each, step) for each in temperatures}) == 1
        ]
        remedy = (
            f"set round: {{SET-TEMP: {joining[0]}}}"
            if joining
            else f"name their folder SET-TEMP_{median(temperatures):g}"
        )
        first = several[0]
        camera = camera_of(first.keywords) or "the camera"
        is_dark = first.type is FrameType.DARK
        exposure = f" of {first.keywords['EXPOSURE']:g} s" if is_dark else ""
        frames = sum(len(group.frames) for group in several)
        yield (
            f"{frames} {first.type.value} frames{exposure} of {camera}, which writes no "
            f"set-point, are in {len(several)} groups by the temperature of the sensor, "
            f"{temperatures[0]:g} to {temperatures[-1]:g} C; to combine them, {remedy}"
        )


def _temperature_c(group: Group) -> float:
    return float(group.keywords["SET-TEMP"])


def _near_in_temperature(groups: Iterable[Group]) -> Iterator[Sequence[Group]]:
    """Yield groups whose temperatures follow each other without a gap that no step closes."""
    near: list[Group] = []
    for group in sorted(groups, key=_temperature_c):
        if near and _temperature_c(group) - _temperature_c(near[-1]) > _STEPS_C[-1]:
            yield near
            near = []
        near.append(group)
    yield near


def _spelled(aliases: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for first, others in aliases.items():
        yield ", ".join(f"'{name}'" for name in (first, *others))
