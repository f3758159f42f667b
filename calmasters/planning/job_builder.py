"""From a group and what calibrates it to the job of its master."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Final

from calmasters.engines import needs_of
from calmasters.frame import FrameType, Status, Value, Verdict
from calmasters.headers.filters import has_filter
from calmasters.headers.sample_scale import ADU16_IN_32_BITS, SIGNED
from calmasters.headers.unread_cards import differing_cards
from calmasters.inventory.camera_keywords import camera_of
from calmasters.inventory.content_digests import ContentDigests
from calmasters.inventory.listing import kept_identities
from calmasters.inventory.scan import ScannedFile
from calmasters.model.job import FrameFile, LeftOut, MasterJob, Recipe, Reference, UsedMaster
from calmasters.model.master_record import small_group_warning
from calmasters.model.master_warning import MasterWarning, WarningKind
from calmasters.planning.filter_names import filters_in_names
from calmasters.planning.grouping import Group
from calmasters.planning.matching import Match
from calmasters.planning.splitting import ORIGIN
from calmasters.settings import Integration, Settings

__all__ = ["JobBuilder", "UsedMasters", "integration_of"]

#: Values of a card in a warning.
_SHOWN: Final = 4

#: A sensor that is this many tolerances off its set-point, by default 3 degrees, has a dark current
#: that differs by a third and more.
_FAR_OFF: Final = 3


def integration_of(group: Group, settings: Settings) -> Integration:
    """Return how the frames of a group are combined: ``auto`` depends on their number."""
    return settings.integration[group.type.value].chosen_for(group.type, len(group.frames))


class JobBuilder:
    """Builds jobs; those with the same recipe share one object.

    Parameters
    ----------
    settings : Settings
    verdicts : mapping of str to Verdict
        What was left out of a group is part of its job.
    groups : iterable of Group
        All groups of the plan.
    """

    def __init__(
        self, settings: Settings, verdicts: Mapping[str, Verdict], groups: Iterable[Group]
    ) -> None:
        self._settings = settings
        self._with_bzero = {
            camera_of(each.keywords)
            for each in groups
            if not (_is_signed(each) or each.frames[0].traits.has_8_bits)
        }
        self._recipes: dict[tuple[FrameType, Integration], Recipe] = {}
        self._left_out: dict[str, list[LeftOut]] = defaultdict(list)
        for path, verdict in verdicts.items():
            if verdict.group and verdict.status is not Status.USED:
                self._left_out[verdict.group].append(LeftOut(path, verdict.reason))

    def job(
        self,
        name: str,
        group: Group,
        match: Match | None = None,
        reference: Reference | None = None,
    ) -> MasterJob:
        """Build the job of a group.

        Parameters
        ----------
        name : str
        group : Group
        match : Match, optional
            What calibrates a group of flats.
        reference : Reference, optional
            What a group of darks is compared with.
        """
        match = match or Match(None, None, optimize_dark=False, warnings=())
        job = MasterJob(
            name=name,
            type=group.type,
            keywords=group.keywords,
            geometry=group.geometry,
            frames=tuple(
                FrameFile(*frame[:3], frame.content, frame.traits.read_as) for frame in group.frames
            ),
            header=_common_cards(group, is_calibrated=bool(match.bias or match.dark)),
            recipe=self._recipe(group),
            bias=match.bias,
            dark=match.dark,
            optimize_dark=match.optimize_dark,
            warnings=(
                *match.warnings,
                *_pedestal_warnings(group),
                *self._sign_warnings(group),
                *_filter_warnings(group),
                *_temperature_warnings(group, self._settings),
                *_unread_warnings(group, self._settings),
            ),
            left_out=tuple(self._left_out.get(name, ())),
            reference=reference,
        )
        if warning := small_group_warning(job):
            return replace(job, warnings=(*job.warnings, warning))
        return job

    def _sign_warnings(self, group: Group) -> Iterator[MasterWarning]:
        """Warn of frames without BZERO beside others of the camera, which have it.

        In a group of both kinds, those that are too low differ from the others.
        """
        if _is_signed(group) and camera_of(group.keywords) in self._with_bzero:
            yield MasterWarning(
                WarningKind.LEVEL,
                "its frames have no BZERO, and others of the camera have it: if a program removed"
                " it, their samples are 32768 ADU too low; set BZERO to 32768 again, or exclude"
                " them",
            )

    def _recipe(self, group: Group) -> Recipe:
        settings, kind = self._settings, group.type
        integration = integration_of(group, settings)
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


def _is_signed(group: Group) -> bool:
    """Whether all frames are integers of 16 bits without BZERO; those of 32 bits need none."""
    read_as = [frame.traits.read_as.split(", ") for frame in group.frames]
    return all(SIGNED in each and ADU16_IN_32_BITS not in each for each in read_as)


def _pedestal_warnings(group: Group) -> Iterator[MasterWarning]:
    if len(group.pedestals_adu) > 1:
        values = ", ".join(f"{pedestal:g}" for pedestal in group.pedestals_adu)
        yield MasterWarning(
            WarningKind.LEVEL,
            f"PEDESTAL of its frames differs ({values} ADU; 0 where there is none), and so do their"
            " levels: exclude the frames that do not belong to the others",
        )


def _filter_warnings(group: Group) -> Iterator[MasterWarning]:
    if group.type is not FrameType.FLAT:
        return
    filters = filters_in_names(frame.path for frame in group.frames)
    if len(filters) > 1:
        said = ", ".join(f"{name} for {count}" for name, count in filters.items())
        in_header = next(filter(None, (f.keywords.get("FILTER") for f in group.frames)), "")
        remedy = (
            f"write {' and '.join(f'FILTER_{name}' for name in filters)} into the names of their"
            " files or folders, or name the card that has the filter in keyword_aliases"
        )
        if in_header:
            remedy = "if they are right, correct the FILTER cards, or exclude those of one filter"
        yield MasterWarning(
            WarningKind.OUTLIERS,
            f"its flats have {f'FILTER {in_header}' if in_header else 'no FILTER'}, but their names"
            f" say different filters ({said}), which are averaged: {remedy}",
        )


def _temperature_warnings(group: Group, settings: Settings) -> Iterator[MasterWarning]:
    """Warn of darks of which some were taken far off the set-point: their current depends on it.

    Where all were, the cooler was off or could not reach it, and they belong together.
    """
    set_point = group.keywords.get("SET-TEMP")
    measured = [
        (each.ccd_temp_c, each.path) for each in group.frames if each.ccd_temp_c is not None
    ]
    if group.type is not FrameType.DARK or not isinstance(set_point, float) or not measured:
        return
    limit = _FAR_OFF * settings.temperature["tolerance_c"] + settings.round.get("SET-TEMP", 0) / 2
    far = [each for each in measured if abs(each[0] - set_point) > limit]
    if far and max(measured)[0] - min(measured)[0] > limit:
        celsius, path = max(far, key=lambda each: abs(each[0] - set_point))
        yield MasterWarning(
            WarningKind.OUTLIERS,
            f"in {len(far)} of {len(group.frames)} darks the sensor was far off its set-point of"
            f" {set_point:g} C, such as {celsius:g} C in {path}: exclude them, or set temperature:"
            " {action: refuse}",
        )


def _unread_warnings(group: Group, settings: Settings) -> Iterator[MasterWarning]:
    """Yield a warning for each card that may have the value of a keyword, and differs."""
    known = group.keywords
    frames = [*Counter(frame.traits for frame in group.frames).items()]
    for keyword in settings.required_keywords[group.type.value]:
        if keyword == "SET-TEMP" and keyword in known:
            continue  # other temperatures are of other parts of the camera
        unread = [(traits.unread.get(keyword, {}), count) for traits, count in frames]
        for card, values in differing_cards(keyword, unread).items():
            more_settings = ""
            if card == "OBJECT":
                # Targets are named B 33, too.
                if "" in values or has_filter(known.get(keyword)):
                    continue
                words = "|".join(sorted(values))
                more_settings = (
                    f" and keyword_patterns: {{FILTER: '(?:^|[\\W_])({words})(?:[\\W_]|$)'}}"
                )
            shown = [f"{value or 'nothing'} in {count}" for value, count in sorted(values.items())]
            more = [f"{len(shown) - _SHOWN} other values"] if len(shown) > _SHOWN else []
            has = f"{keyword} {known[keyword]}" if keyword in known else f"no {keyword}"
            yield MasterWarning(
                WarningKind.OUTLIERS,
                f"its frames have {has}, but differ in {card}, which is not read"
                f" ({', '.join([*shown[:_SHOWN], *more])} frames): if {card} is the {keyword}, set"
                f" keyword_aliases: {{{keyword}: [{card}]}}{more_settings}",
            )


def _common_cards(group: Group, *, is_calibrated: bool) -> dict[str, Value]:
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
    first, *others = group.pedestals_adu
    # Nothing is added to levelled flats that are not calibrated.
    is_bare = group.type is FrameType.FLAT and group.geometry.is_levelled
    if first and not others and not (is_calibrated or is_bare):
        # It is still in the samples, and a program that subtracts it from lights must subtract it
        # from this master, too. From calibrated flats it was subtracted with the bias.
        cards["PEDESTAL"] = first
    cards |= {key: value for key, value in group.labels if key not in (*cards, *ORIGIN)}
    return cards


def _numbers(values: Iterable[Value | None]) -> list[float]:
    return [float(value) for value in values if isinstance(value, int | float)]


class UsedMasters:
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
        used = {each.path for match in matches for each in match.masters}
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
