"""From files to jobs: the complete plan, decided in memory."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property, lru_cache, partial
from pathlib import Path, PurePath
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from calmasters.engines import needs_of
from calmasters.errors import FrameError
from calmasters.frame import Frame, FrameType, Geometry, Status, Value, Verdict
from calmasters.garbage import without_collection
from calmasters.headers.nights import UTC_SOURCE
from calmasters.inventory.assumed_values import with_assumed_values
from calmasters.inventory.camera_keywords import (
    ESSENTIAL,
    CameraKeywords,
    camera_of,
    lacking_keywords,
    missing_keywords,
)
from calmasters.inventory.content_digests import ContentDigests
from calmasters.inventory.faults import assumed_values, in_one_line
from calmasters.inventory.header_cache import HeaderCache
from calmasters.inventory.listing import kept_identities, list_files
from calmasters.inventory.scan import ScannedFile, scan_masters
from calmasters.inventory.suggestions import suggested_settings
from calmasters.inventory.verdicts import FrameChecks, mark_duplicates
from calmasters.model.job import FrameFile, LeftOut, MasterJob, Recipe, UsedMaster, read_made_of
from calmasters.model.layout import master_path, record_path
from calmasters.model.master_record import MasterRecord, small_group_warning
from calmasters.planning.grouping import Group, Identity, find_group, group_frames, identity
from calmasters.planning.kept_masters import KeptMasters
from calmasters.planning.matching import Candidate, Match, candidate_of, match_flats
from calmasters.planning.naming import name_groups
from calmasters.planning.near_misses import Difference
from calmasters.planning.short_names import short_names
from calmasters.planning.splitting import ORIGIN
from calmasters.planning.unlike_frames import superseded_sentences, unlike_frames
from calmasters.settings import Integration, Settings

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Decision", "NotMade", "decide", "require_sound"]

#: Flats of one dusk or dawn are taken within this time.
_ONE_TWILIGHT_H: Final = 4.0
#: Bad frames that an error names.
_SHOWN: Final = 10

#: Reason and remedy of a frame that a group with finer samples leaves out.
_ONLY_8_BITS: Final = (
    "has samples of 8 bits, and others of its group have more: they are not averaged",
    "set 16 bits in the capture program; to combine those of 8 bits, exclude the others",
)


@dataclass(frozen=True)
class NotMade:
    """A group that makes no master.

    Attributes
    ----------
    name, short_name : str
    keywords : mapping of str to Value
    geometry : Geometry
    frames : tuple of str
        Their paths.
    reason : str
    """

    name: str
    short_name: str
    keywords: Mapping[str, Value]
    geometry: Geometry
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
    superseded : tuple of str
        Masters in ``output_dir`` of frames that make several masters now (``mixed: split``).
    frames : tuple of Frame
    verdicts : mapping of str to Verdict
        By the frame's path.
    warnings : tuple of str
        About the libraries, kept masters, and groups of unlike frames.
    short_names : mapping of str to str
        Name of each master for people, by the master's path.
    keywords : tuple of str
        Keywords that only the configuration names; each has a column in the inventory.
    absent_keywords : mapping of str to tuple of str
        By camera: required keywords that none of its frames and masters has; see
        :func:`~calmasters.inventory.camera_keywords.absence_sentences`.
    suggested : mapping of str to object
        Settings that would make refused frames usable, as a part of ``config.yaml``.
    """

    digest: str
    jobs: tuple[MasterJob, ...]
    not_made: tuple[NotMade, ...]
    kept: tuple[str, ...]
    frames: tuple[Frame, ...]
    verdicts: Mapping[str, Verdict]
    warnings: tuple[str, ...]
    short_names: Mapping[str, str]
    keywords: tuple[str, ...] = ()
    absent_keywords: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    suggested: Mapping[str, Any] = field(default_factory=dict)
    superseded: tuple[str, ...] = ()

    @cached_property
    def inventory(self) -> pd.DataFrame:
        """The frames and their verdicts as a table, built when first used."""
        # Imports pandas, which a run with nothing to do does not need.
        from calmasters.inventory.table import inventory_table

        return inventory_table(self.frames, self.verdicts, self.keywords, self.absent_keywords)


@without_collection()
def decide(
    settings: Settings, cache: HeaderCache | None = None, digests: ContentDigests | None = None
) -> Decision:
    """Read what is new, group, match and name: the complete plan, in memory.

    Parameters
    ----------
    settings : Settings
    cache : HeaderCache, optional
    digests : ContentDigests, optional
        Both to be saved by the caller; without them, what is read is not remembered.
    """
    cache = cache or HeaderCache(settings)
    digests = digests or ContentDigests(settings)

    listing = list_files(settings, digests)
    frames = cache.read(listing.frames, settings.input_dir, settings.exclude)
    frames = with_assumed_values(frames, settings)
    library = with_assumed_values(cache.read(listing.library, Path()), settings)
    lacking = lacking_keywords(frames, settings)
    stored_files = scan_masters(settings)

    def stored(files: Iterable[ScannedFile]) -> list[Frame]:
        return with_assumed_values(cache.read(files, settings.output_dir), settings)

    cameras = CameraKeywords.of(settings, frames, library, stored(stored_files) if lacking else ())
    frames = mark_duplicates(frames, listing.frames, settings, digests, cameras)

    groups = group_frames(frames, settings, cameras)
    names = name_groups(groups, settings.layout)
    named = dict(zip(names, groups, strict=True))
    short = dict(zip(names, short_names(groups), strict=True))
    large = {name: group for name, group in named.items() if _is_large(group, settings)}
    verdicts = _verdicts(frames, named, settings, cameras)

    paths = {
        name: master_path(group.type, name, settings.layout, settings.master_format)
        for name, group in large.items()
    }
    made = frozenset(paths.values())
    superseded = _superseded(groups, made, settings)
    kept_files = [file for file in stored_files if file.path not in made | {*superseded}]
    kept = stored(kept_files)
    kept_masters = KeptMasters(kept, frames, verdicts, settings.output_dir)

    unmade = [*kept]
    if lacking:
        made_flats = scan_masters(settings, [FrameType.FLAT])
        unmade += stored([file for file in made_flats if file.path not in made])

    flats = {name: group for name, group in large.items() if group.type is FrameType.FLAT}
    others = {name: group for name, group in large.items() if name not in flats}
    candidates = [
        *(_run_candidate(paths[name], group) for name, group in others.items()),
        *kept_masters.candidates,
        *filter(None, (candidate_of(frame, "library") for frame in library)),
    ]
    level_of = lru_cache(None)(
        partial(
            _level, groups=dict(zip(paths.values(), large.values(), strict=True)), settings=settings
        )
    )
    matches = match_flats(flats.values(), candidates, settings, level_of)

    build = _JobBuilder(settings, verdicts)
    jobs = {paths[name]: build.job(name, group) for name, group in others.items()}
    used = _UsedMasters(jobs, matches, kept_files, listing.library, digests, settings)
    for (name, group), match in zip(flats.items(), matches, strict=True):
        jobs[paths[name]] = build.job(name, group, used.with_digests(match))

    return Decision(
        digest=listing.digest,
        jobs=tuple(jobs.values()),
        not_made=tuple(
            NotMade(
                name,
                short[name],
                group.keywords,
                group.geometry,
                _frame_paths(group),
                _too_small(group, settings)[0],
            )
            for name, group in named.items()
            if name not in large
        ),
        kept=tuple(file.path for file in kept_files),
        frames=tuple(frames),
        verdicts=verdicts,
        warnings=(
            *_library_warnings(library),
            *_masters_without_keywords(unmade, settings, cameras),
            *kept_masters.warnings,
            *superseded_sentences(superseded),
            *unlike_frames(large, short),
            *_uncertain_nights(flats.values()),
        ),
        short_names={path: short[name] for name, path in paths.items()},
        keywords=settings.headers.extra,
        absent_keywords=cameras.absent(lacking),
        suggested=suggested_settings(verdicts.values(), settings),
        superseded=superseded,
    )


def _superseded(
    groups: Sequence[Group], made: frozenset[str], settings: Settings
) -> tuple[str, ...]:
    """Return the masters in ``output_dir`` that have the name of a group that is split now."""
    alike = Counter(group.identity for group in groups)
    if alike.total() == len(alike):
        return ()
    unsplit = {group.identity: group.unsplit for group in groups}
    names = name_groups(unsplit.values(), settings.layout)
    paths = (
        master_path(of_group[0], name, settings.layout, settings.master_format)
        for of_group, name in zip(unsplit, names, strict=True)
        if alike[of_group] > 1
    )
    return tuple(
        path for path in paths if path not in made and (settings.output_dir / path).is_file()
    )


def _is_large(group: Group, settings: Settings) -> bool:
    return len(group.frames) >= _required(group, settings)[0]


def _required(group: Group, settings: Settings) -> tuple[int, str]:
    """Return how many frames a group needs, and the setting that decides it."""
    integration = _integration(group, settings)
    fewest = needs_of(settings.engine).fewest_frames(integration)
    if fewest > settings.minimum_frames:
        return fewest, f"integration.{group.type}.rejection: {integration.rejection}"
    return settings.minimum_frames, "minimum_frames"


def _integration(group: Group, settings: Settings) -> Integration:
    return settings.integration[group.type.value].chosen_for(group.type, len(group.frames))


def _too_small(group: Group, settings: Settings) -> tuple[str, str]:
    """Return why a group makes no master, and the remedy."""
    count = len(group.frames)
    frames = "frame" if count == 1 else "frames"
    remedy = "take at least {} ({})".format(*_required(group, settings))
    if by := [keyword for keyword, _ in group.labels if keyword not in ORIGIN]:
        remedy += f", or average them with those that differ in {', '.join(by)} (mixed: warn)"
    return f"only {count} {frames} of this group: {remedy}", remedy


def _frame_paths(group: Group) -> tuple[str, ...]:
    return tuple(frame.path for frame in group.frames)


def _verdicts(
    frames: Iterable[Frame],
    named: Mapping[str, Group],
    settings: Settings,
    cameras: CameraKeywords,
) -> dict[str, Verdict]:
    """Say of each frame whether it is used; one that is not may still belong to a group."""
    verdicts: dict[str, Verdict] = {}
    joining = _joining_settings(named.values(), settings)
    for name, group in named.items():
        verdict = Verdict(Status.USED, group=name)
        if not _is_large(group, settings):
            reason, remedy = _too_small(group, settings)
            fix = joining.get(group.identity, {})
            if fix:
                remedy += f"; if they belong to frames of another spelling, set {in_one_line(fix)}"
            verdict = Verdict(Status.REFUSED, reason, remedy, name, fix)
        verdicts |= dict.fromkeys(_frame_paths(group), verdict)
    alike: dict[Identity, dict[str, Group]] = defaultdict(dict)
    for name, group in named.items():
        alike[group.identity][name] = group
    checks = FrameChecks(settings, cameras)
    for frame in frames:
        if frame.path not in verdicts:
            verdict_alone = checks.verdict(frame) or Verdict(Status.REFUSED, *_ONLY_8_BITS)
            of_group = identity(frame.traits, settings, cameras)
            name = find_group(frame.traits, alike.get(of_group, {})) if of_group else ""
            verdicts[frame.path] = replace(verdict_alone, group=name) if name else verdict_alone
    return verdicts


def _joining_settings(
    groups: Iterable[Group], settings: Settings
) -> dict[Identity, dict[str, Any]]:
    """Return settings that join small groups with larger ones of another spelling or version."""
    alike: dict[tuple[object, ...], list[tuple[str, str, Group]]] = defaultdict(list)
    groups = list(groups)
    if all(_is_large(group, settings) for group in groups):
        return {}
    for group in groups:
        for place, (keyword, value) in enumerate(group.key):
            if keyword == "DATE" or not isinstance(group.keywords[keyword], str):
                continue  # nights and numbers have no spellings
            others = (*group.key[:place], *group.key[place + 1 :])
            alike[group.type, group.geometry.without_origin, keyword, others].append(
                (keyword, value, group)
            )
    joining: dict[Identity, dict[str, Any]] = {}
    for members in alike.values():
        # Of groups of equal size the first value counts, so that no two replace each other.
        members.sort(key=lambda member: (-len(member[2].frames), member[1]))
        for place, (keyword, value, group) in enumerate(members):
            if _is_large(group, settings):
                continue
            fixes = (Difference(keyword, value, other).fix for _, other, _ in members[:place])
            if fix := next(filter(None, fixes), None):
                joining.setdefault(group.identity, fix)
    return joining


def _run_candidate(path: str, group: Group) -> Candidate:
    first = group.frames[0]
    return Candidate(group.type, path, "run", first.keywords, group.geometry, first.date_obs or "")


def _library_warnings(library: Iterable[Frame]) -> Iterator[str]:
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


def _level(
    path: str, origin: str, *, groups: Mapping[str, Group], settings: Settings
) -> float | None:
    """Measure the median in ADU of a master; of one that is not made yet, of its first frame."""
    # Imported late: it needs numpy, and few sessions have a library.
    from calmasters.images.level import middle_level

    if origin == "run":
        return middle_level(settings.input_dir / groups[path].frames[0].path)
    return middle_level(settings.output_dir / path if origin == "kept" else Path(path))


def _uncertain_nights(groups: Iterable[Group]) -> Iterator[str]:
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


def _masters_without_keywords(
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


# --- jobs -----------------------------------------------------------------------------------------


class _JobBuilder:
    """Builds jobs; those with the same recipe share one object.

    Parameters
    ----------
    settings : Settings
    verdicts : mapping of str to Verdict
        What was left out of a group is part of its job.
    """

    def __init__(self, settings: Settings, verdicts: Mapping[str, Verdict]) -> None:
        self._settings = settings
        self._recipes: dict[tuple[FrameType, Integration], Recipe] = {}
        self._left_out: dict[str, list[LeftOut]] = defaultdict(list)
        for path, verdict in verdicts.items():
            if verdict.group and verdict.status is not Status.USED:
                self._left_out[verdict.group].append(LeftOut(path, verdict.reason))

    def job(self, name: str, group: Group, match: Match | None = None) -> MasterJob:
        """Build the job of a group; a match is what calibrates a group of flats."""
        match = match or Match(None, None, optimize_dark=False, warnings=())
        job = MasterJob(
            name=name,
            type=group.type,
            keywords=group.keywords,
            geometry=group.geometry,
            frames=tuple(
                FrameFile(*frame[:3], frame.content, frame.traits.read_as) for frame in group.frames
            ),
            header=_common_cards(group),
            recipe=self._recipe(group),
            bias=match.bias,
            dark=match.dark,
            optimize_dark=match.optimize_dark,
            warnings=match.warnings,
            left_out=tuple(self._left_out.get(name, ())),
        )
        if warning := small_group_warning(job):
            return replace(job, warnings=(*job.warnings, warning))
        return job

    def _recipe(self, group: Group) -> Recipe:
        settings, kind = self._settings, group.type
        integration = _integration(group, settings)
        if (kind, integration) not in self._recipes:
            needs = needs_of(settings.engine)
            self._recipes[kind, integration] = Recipe(
                engine=settings.engine,
                algorithm_version=needs.algorithm_version,
                integration=integration,
                calibration=settings.calibration.get(kind.value),
                float_range="adu16" if settings.float_range == "adu16" else "unit",
                master_format=settings.master_format,
                layout=settings.layout,
                parameters=needs.pixel_parameters(settings),
                skip_outliers=settings.outlier_frames == "skip",
            )
        return self._recipes[kind, integration]


def _common_cards(group: Group) -> dict[str, Value]:
    """Give the cards of a master's header that sum up its frames."""
    cards: dict[str, Value] = {}
    if exposures := _numbers(frame.keywords.get("EXPOSURE") for frame in group.frames):
        cards |= {"EXPTIME": median(exposures), "EXPOSURE": median(exposures)}
        if min(exposures) != max(exposures):
            cards |= {"EXPMIN": min(exposures), "EXPMAX": max(exposures)}
    if temperatures := _numbers(frame.ccd_temp_c for frame in group.frames):
        cards["CCD-TEMP"] = round(median(temperatures), 2)
    if group.frames[0].date_obs:
        cards["DATE-OBS"] = group.frames[0].date_obs
    if group.type is FrameType.FLAT:
        for keyword in ("TELESCOP", "FOCALLEN"):
            values = {frame.keywords.get(keyword, "") for frame in group.frames}
            if len(values) == 1:
                cards[keyword] = values.pop()
    cards |= {key: value for key, value in group.labels if key not in (*cards, *ORIGIN)}
    return cards


def _numbers(values: Iterable[Value | None]) -> list[float]:
    return [float(value) for value in values if isinstance(value, int | float)]


class _UsedMasters:
    """Identifies the masters that flats use: by their jobs, a library's by content.

    Parameters
    ----------
    jobs : mapping of str to MasterJob
        Of bias and dark masters, by the master's path.
    matches : iterable of Match
        Only the kept and library masters in them are read.
    kept, library : iterable of ScannedFile
    digests : ContentDigests
    settings : Settings
    """

    def __init__(
        self,
        jobs: Mapping[str, MasterJob],
        matches: Iterable[Match],
        kept: Iterable[ScannedFile],
        library: Iterable[ScannedFile],
        digests: ContentDigests,
        settings: Settings,
    ) -> None:
        used = {each.path for match in matches for each in (match.bias, match.dark) if each}
        used_kept = [file for file in kept if file.path in used]
        self._jobs = {path: job.digest for path, job in jobs.items()}
        self._jobs |= kept_identities(used_kept, settings.output_dir, digests)
        chosen = digests.add_digests([file for file in library if file.path in used], Path())
        self._contents = {file.path: file.content for file in chosen}

    def with_digests(self, match: Match) -> Match:
        """Add to the bias and dark of a match by what they were made, or their content."""
        return replace(match, bias=self._identified(match.bias), dark=self._identified(match.dark))

    def _identified(self, used: UsedMaster | None) -> UsedMaster | None:
        if used is None:
            return None
        if used.origin == "library":
            return replace(used, content=self._contents.get(used.path, ""))
        return replace(used, job=self._jobs[used.path])


# --- frames that are bad --------------------------------------------------------------------------


def require_sound(decision: Decision, settings: Settings) -> None:
    """Stop where a frame is damaged, if the configuration asks for that.

    Parameters
    ----------
    decision : Decision
    settings : Settings
        With ``on_bad_frame: skip`` nothing is looked at.

    Raises
    ------
    FrameError
        Naming the frames: those that the inventory refused, and those that engines left out of
        masters that are made.
    """
    if settings.on_bad_frame == "skip":
        return
    bad = [*_damaged(decision), *_left_out_before(decision.jobs, settings.output_dir)]
    if bad:
        more = f"and {len(bad) - _SHOWN} more: snakemake summary" if len(bad) > _SHOWN else ""
        raise FrameError(
            "\n  ".join(
                [
                    f"{len(bad)} damaged frames, and on_bad_frame is fail; copy them again, or "
                    "leave them out (exclude, on_bad_frame: skip):",
                    *(f"{frame.path}: {frame.reason}" for frame in bad[:_SHOWN]),
                    *filter(None, [more]),
                ]
            )
        )


def _damaged(decision: Decision) -> Iterator[LeftOut]:
    for frame in decision.frames:
        verdict = decision.verdicts[frame.path]
        if frame.problems and verdict.status is Status.REFUSED:
            yield LeftOut(frame.path, verdict.reason)


def _left_out_before(jobs: Iterable[MasterJob], output_dir: Path) -> Iterator[LeftOut]:
    """Give the bad frames that an engine left out of masters that are current."""
    for job in jobs:
        path = output_dir / record_path(job.master)
        made = read_made_of(path)
        if made and made.serves(job.made_of):
            paths = {file.path for file in job.frames}
            record = MasterRecord.read(path)
            yield from (
                frame for frame in record.left_out if frame.path in paths and not frame.outlier
            )
