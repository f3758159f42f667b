"""From files to jobs: the complete plan, decided in memory."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from calmasters.engines import needs_of
from calmasters.errors import FrameError
from calmasters.frame import Frame, FrameType, Geometry, Status, Value, Verdict
from calmasters.inventory.assumed_values import with_assumed_values
from calmasters.inventory.camera_keywords import (
    CameraKeywords,
    lacking_keywords,
)
from calmasters.inventory.content_digests import ContentDigests
from calmasters.inventory.exclusion import below_input
from calmasters.inventory.faults import in_one_line
from calmasters.inventory.garbage import without_collection
from calmasters.inventory.header_cache import HeaderCache
from calmasters.inventory.listing import list_files
from calmasters.inventory.scan import ScannedFile, scan_masters
from calmasters.inventory.suggestions import suggested_settings
from calmasters.inventory.verdicts import FrameChecks, mark_duplicates
from calmasters.model.job import LeftOut, MasterJob, Reference, read_made_of
from calmasters.model.layout import LAYOUTS, master_path, record_path, unplanned
from calmasters.model.master_record import MasterRecord, warnings_in
from calmasters.model.master_warning import WarningKind
from calmasters.planning.grouping import Group, Identity, find_group, group_frames, identity
from calmasters.planning.job_builder import JobBuilder, UsedMasters, integration_of
from calmasters.planning.kept_masters import KeptMasters, kept_in_use, kept_unused
from calmasters.planning.matching import Candidate, candidate_of, match_darks, match_flats
from calmasters.planning.naming import name_groups
from calmasters.planning.near_groups import NearGroups, near_groups
from calmasters.planning.near_misses import Difference
from calmasters.planning.notes import (
    filter_spellings,
    flats_without_exposure,
    library_warnings,
    masters_without_keywords,
    measured_temperatures,
    nights_split_at_noon,
    reversed_rows,
    rows_against_each_other,
    uncertain_nights,
)
from calmasters.planning.short_names import short_names
from calmasters.planning.splitting import ORIGIN
from calmasters.planning.unlike_frames import superseded_sentences, unlike_frames
from calmasters.planning.unmatched_settings import unmatched_patterns, unmatched_settings
from calmasters.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Decision", "NotMade", "decide", "require_sound"]

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
    is_split : bool
        Whether a setting would make it large enough: no frames need to be taken.
    """

    name: str
    short_name: str
    keywords: Mapping[str, Value]
    geometry: Geometry
    frames: tuple[str, ...]
    reason: str
    is_split: bool = False


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
        Masters in ``output_dir`` that no job makes.
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
    listed = (file.path for file in listing.frames)
    exclude = below_input(settings.exclude, listed, settings.input_dir)
    read = cache.read(listing.frames, settings.input_dir, exclude)
    frames = with_assumed_values(read, settings)
    read_library = cache.read(listing.library, Path())
    library = with_assumed_values(read_library, settings)
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
    joining = _joining_settings(groups, settings)
    near = [*near_groups(named, short, settings, joining)]
    split = {name: each for each in near for name in each.names}
    verdicts = _verdicts(frames, named, joining, split, settings, cameras)

    paths = {
        name: master_path(group.type, name, settings.layout, settings.master_format)
        for name, group in large.items()
    }
    made = frozenset(paths.values())
    superseded = _superseded(groups, made, settings)
    planned = made | {*superseded}
    kept_files = _besides(stored_files, planned, settings)
    kept = stored(kept_files)
    flat_files = scan_masters(settings, [FrameType.FLAT])
    unmade_flats = _besides(flat_files, planned, settings)
    elsewhere = _made_elsewhere([*kept_files, *unmade_flats], named, paths)
    old_flats = [file.path for file in unmade_flats]
    kept_masters = KeptMasters(kept, frames, verdicts, settings.output_dir, elsewhere, old_flats)

    unmade = [*kept, *(stored(unmade_flats) if lacking else ())]

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

    build = JobBuilder(settings, verdicts, large.values())
    references = _references(others, paths, candidates, settings)
    jobs = {
        paths[name]: build.job(name, group, reference=references.get(name))
        for name, group in others.items()
    }
    used = UsedMasters(jobs, matches, kept_files, listing.library, digests, settings)
    for (name, group), match in zip(flats.items(), matches, strict=True):
        jobs[paths[name]] = build.job(name, group, used.with_digests(match))

    without_frames = [*(each.path for each in kept_masters.candidates), *kept_masters.flats]
    short_of_path = {path: short[name] for name, path in paths.items()}
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
                ": ".join(_too_small(group, settings)),
                name in split and _is_enough(split[name].frames, group, settings),
            )
            for name, group in named.items()
            if name not in large
        ),
        kept=tuple(file.path for file in (*kept_files, *unmade_flats)),
        frames=tuple(frames),
        verdicts=verdicts,
        warnings=(
            *unmatched_patterns(settings, exclude, frames),
            *unmatched_settings(settings, [*read, *read_library], [*frames, *library, *kept]),
            # What would make larger groups comes first: the end of a run shows a few notes.
            *(each.sentence for each in near),
            *filter_spellings(large.values(), settings),
            *nights_split_at_noon(named, short),
            *kept_masters.warnings,
            *library_warnings(library),
            *masters_without_keywords(unmade, settings, cameras),
            *kept_in_use(matches),
            *kept_unused(without_frames, matches),
            *superseded_sentences(superseded),
            *unlike_frames(large, short),
            *uncertain_nights(flats.values()),
            *flats_without_exposure(flats.values()),
            *reversed_rows(large, short),
            *rows_against_each_other(jobs, short_of_path, settings),
            *measured_temperatures(groups),
        ),
        short_names=short_of_path,
        keywords=settings.headers.extra,
        absent_keywords=cameras.absent(lacking),
        suggested=suggested_settings(verdicts.values(), settings),
        superseded=superseded,
    )


def _besides(
    files: Sequence[ScannedFile], planned: frozenset[str], settings: Settings
) -> list[ScannedFile]:
    """Return the files of ``output_dir`` that are not planned."""
    by_path = {file.path: file for file in files}
    return [by_path[path] for path in unplanned(by_path, planned, settings.output_dir)]


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
    there = (path for path in paths if (settings.output_dir / path).is_file())
    return tuple(unplanned(there, made, settings.output_dir))


def _made_elsewhere(
    files: Iterable[ScannedFile], named: Mapping[str, Group], paths: Mapping[str, str]
) -> dict[str, str]:
    """Find masters of an earlier ``master_format`` or ``layout``, and where a job makes them now.

    Parameters
    ----------
    files : iterable of ScannedFile
        Masters that no job makes.
    named : mapping of str to Group
    paths : mapping of str to str
        Of the masters that jobs make, by the group's name.
    """
    files = list(files)
    now: dict[str, str] = {}
    for layout in LAYOUTS if files else ():
        names = name_groups(named.values(), layout)
        for name, group, in_layout in zip(named, named.values(), names, strict=True):
            if name in paths:
                path = master_path(group.type, in_layout, layout, "")
                now[record_path(path)] = paths[name]
    return {file.path: now[key] for file in files if (key := record_path(file.path)) in now}


def _is_large(group: Group, settings: Settings) -> bool:
    return _is_enough(len(group.frames), group, settings)


def _is_enough(frames: int, group: Group, settings: Settings) -> bool:
    return frames >= _required(group, settings)[0]


def _required(group: Group, settings: Settings) -> tuple[int, str]:
    """Return how many frames a group needs, and the setting that decides it."""
    integration = integration_of(group, settings)
    fewest = needs_of(settings.engine).fewest_frames(integration)
    if fewest > settings.minimum_frames:
        return fewest, f"integration.{group.type}.rejection: {integration.rejection}"
    return settings.minimum_frames, "minimum_frames"


def _too_small(group: Group, settings: Settings) -> tuple[str, str]:
    """Return why a group makes no master, and the remedy."""
    count = len(group.frames)
    frames = "frame" if count == 1 else "frames"
    remedy = "take at least {} ({})".format(*_required(group, settings))
    if by := [keyword for keyword, _ in group.labels if keyword not in ORIGIN]:
        remedy += f", or average them with those that differ in {', '.join(by)} (mixed: warn)"
    return f"only {count} {frames} of this group", remedy


def _frame_paths(group: Group) -> tuple[str, ...]:
    return tuple(frame.path for frame in group.frames)


def _verdicts(
    frames: Iterable[Frame],
    named: Mapping[str, Group],
    joining: Mapping[Identity, dict[str, Any]],
    split: Mapping[str, NearGroups],
    settings: Settings,
    cameras: CameraKeywords,
) -> dict[str, Verdict]:
    """Say of each frame whether it is used; one that is not may still belong to a group."""
    verdicts: dict[str, Verdict] = {}
    for name, group in named.items():
        verdict = Verdict(Status.USED, group=name)
        if not _is_large(group, settings):
            reason, remedy = _too_small(group, settings)
            fix = joining.get(group.identity, {})
            if fix:
                remedy += f"; if they belong to frames of another spelling, set {in_one_line(fix)}"
            elif name in split:
                remedy = f"if they belong together, {split[name].remedy}; otherwise {remedy}"
            verdict = Verdict(Status.REFUSED, f"{reason}: {remedy}", remedy, name, fix)
        verdicts |= dict.fromkeys(_frame_paths(group), verdict)
    alike: dict[Identity, dict[str, Group]] = defaultdict(dict)
    for name, group in named.items():
        alike[group.identity][name] = group
    checks = FrameChecks(settings, cameras)
    for frame in frames:
        if frame.path not in verdicts:
            of_group = identity(frame.traits, settings, cameras)
            name = find_group(frame.traits, alike.get(of_group, {})) if of_group else ""
            verdict_alone = checks.verdict(frame) or _unlike(frame, named.get(name))
            verdicts[frame.path] = replace(verdict_alone, group=name) if name else verdict_alone
    return verdicts


def _unlike(frame: Frame, group: Group | None) -> Verdict:
    """Say why a sound frame is not averaged with its group: its layout, or its 8 bits."""
    geometry = frame.geometry
    if group is None or geometry is None or geometry.layout == group.geometry.layout:
        return Verdict(Status.REFUSED, *_ONLY_8_BITS)
    ours, theirs = (each.layout or "no overscan" for each in (geometry, group.geometry))
    if str(ours) == str(theirs):
        ours, theirs = "other sections", "theirs"
    return Verdict(
        Status.REFUSED,
        f"has another layout than most of its group: {ours}, not {theirs}; they are not averaged",
        "exclude the frames that do not belong to the others; if a keyword tells the two apart, "
        "add it to required_keywords; if the sections of some headers are wrong, set cameras",
    )


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
    pedestal, *_ = group.pedestals_adu
    return Candidate(
        *(group.type, path, "run", first.keywords, group.geometry, first.date_obs or ""),
        pedestal_adu=pedestal,
        is_levelled=group.geometry.is_levelled,
        has_8_bits=group.has_8_bits,
    )


def _references(
    groups: Mapping[str, Group],
    paths: Mapping[str, str],
    candidates: Iterable[Candidate],
    settings: Settings,
) -> dict[str, Reference]:
    """Give the bias that each group of darks is compared with, by name.

    Of a master that this run makes it is a raw frame: the dark need not wait for the master.
    """
    raw = {paths[name]: _typical(group).path for name, group in groups.items()}
    darks = {name: group for name, group in groups.items() if group.type is FrameType.DARK}
    biases = match_darks(darks.values(), candidates, settings)
    return {
        name: Reference(raw[bias.path], "frame")
        if bias.origin == "run"
        else Reference(bias.path, bias.origin)
        for name, bias in zip(darks, biases, strict=True)
        if bias
    }


def _typical(group: Group) -> Frame:
    """Give a frame that stands for its group: the first and the last often differ."""
    return group.frames[len(group.frames) // 2]


def _level(
    path: str, origin: str, *, groups: Mapping[str, Group], settings: Settings
) -> float | None:
    """Measure the median in ADU of a master; of one that is not made yet, of a frame."""
    # Imported late: it needs numpy, and few sessions have a library.
    from calmasters.images.level import middle_level

    if origin == "run":
        group = groups[path]
        return middle_level(settings.input_dir / _typical(group).path, group.geometry.layout)
    return middle_level(settings.output_dir / path if origin == "kept" else Path(path))


# --- frames that are bad --------------------------------------------------------------------------


def require_sound(decision: Decision, settings: Settings) -> None:
    """Stop where a frame is damaged or unlike the others, if the configuration asks for that.

    Parameters
    ----------
    decision : Decision
    settings : Settings
        With ``on_bad_frame: skip``, and ``outlier_frames`` other than ``fail``, nothing is looked
        at.

    Raises
    ------
    FrameError
        Naming the frames: those that the inventory refused, and those that engines left out of
        masters that are made; and the masters whose frames differ.
    """
    if settings.on_bad_frame == "fail":
        bad = [*_damaged(decision), *_left_out_before(decision.jobs, settings.output_dir)]
        _require_none(
            [f"{frame.path}: {frame.reason}" for frame in bad],
            f"{len(bad)} damaged frames, and on_bad_frame is fail; copy them again, or "
            "leave them out (exclude, on_bad_frame: skip):",
        )
    if settings.outlier_frames == "fail":
        unlike = [*_unlike_before(decision, settings.output_dir)]
        _require_none(
            unlike,
            f"outlier_frames is fail, and frames of {len(unlike)} masters that are there differ; "
            "exclude those that do not belong to the others, or set outlier_frames: warn",
        )


def _require_none(found: Sequence[str], message: str) -> None:
    if found:
        more = f"and {len(found) - _SHOWN} more: snakemake summary"
        lines = [message, *found[:_SHOWN], *[more] * (len(found) > _SHOWN)]
        raise FrameError("\n  ".join(lines))


def _damaged(decision: Decision) -> Iterator[LeftOut]:
    for frame in decision.frames:
        verdict = decision.verdicts[frame.path]
        if frame.problems and verdict.status is Status.REFUSED:
            yield LeftOut(frame.path, verdict.reason)


def _left_out_before(jobs: Iterable[MasterJob], output_dir: Path) -> Iterator[LeftOut]:
    """Give the bad frames that an engine left out of masters that are current."""
    for job in _current(jobs, output_dir):
        paths = {file.path for file in job.frames}
        for frame in MasterRecord.read(output_dir / job.record).left_out:
            if frame.path in paths and not frame.outlier:
                yield frame


def _unlike_before(decision: Decision, output_dir: Path) -> Iterator[str]:
    """Say which masters that are current were made of frames that differ."""
    for job in _current(decision.jobs, output_dir):
        for warning in warnings_in(output_dir / job.record):
            if warning.kind is WarningKind.OUTLIERS:
                yield f"{decision.short_names[job.master]}: {warning}"


def _current(jobs: Iterable[MasterJob], output_dir: Path) -> Iterator[MasterJob]:
    """Give the jobs whose master is made of what is wanted, by its record."""
    for job in jobs:
        made = read_made_of(output_dir / job.record)
        if made and made.serves(job.made_of):
            yield job
