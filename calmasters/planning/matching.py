"""Choose the bias and dark master of each group of flats, and say why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from statistics import median
from typing import Final, TypeAlias

from calmasters.frame import Frame, FrameType, Geometry, Value
from calmasters.model.job import UsedMaster
from calmasters.model.master_warning import MasterWarning, WarningKind
from calmasters.planning.grouping import Group
from calmasters.planning.near_misses import Difference, differences, texts
from calmasters.settings import Settings

__all__ = ["Candidate", "Match", "candidate_of", "match_darks", "match_flats"]

_ORIGINS: Final = ("run", "kept", "library")
#: A dark is at least as bright as its bias, apart from the drift of the bias.
_LOWEST_DARK: Final = 0.5

#: Returns the median of a master in ADU, given its path and origin.
LevelOf: TypeAlias = Callable[[str, str], float | None]

_PLACES: Final = {"run": "made in this run", "kept": "kept in output_dir", "library": "library"}


@dataclass(frozen=True)
class Candidate:
    """A bias or dark master that flats may use.

    Attributes
    ----------
    type : FrameType
    path, origin : str
        As in :class:`~calmasters.model.job.UsedMaster`.
    keywords : mapping of str to Value
    geometry : Geometry
    date_obs : str
        ISO 8601; empty where unknown.
    read_as : str
        As in :class:`~calmasters.frame.Traits`.
    bias_removal : str
        The sign that a dark contains no bias; empty without one.
    pedestal_adu : float
        As in :class:`~calmasters.frame.Traits`.
    is_levelled : bool
        The overscan of its frames was subtracted.
    has_8_bits : bool or None
        It is made of samples of 8 bits, whose steps are 256 times those of 16 bits. None where that
        is not known: a master of floating-point samples may be made of any.
    """

    type: FrameType
    path: str
    origin: str
    keywords: Mapping[str, Value]
    geometry: Geometry
    date_obs: str = ""
    read_as: str = ""
    bias_removal: str = ""
    pedestal_adu: float = 0.0
    is_levelled: bool = False
    has_8_bits: bool | None = None

    @property
    def exposure_s(self) -> float | None:
        """Exposure in seconds; None where the master does not say."""
        value = self.keywords.get("EXPOSURE")
        return value if isinstance(value, float) else None


@dataclass(frozen=True)
class Miss:
    """A candidate that does not fit: its keywords that differ, and its image where it does."""

    path: str
    keywords: tuple[Difference, ...]
    geometry: str = ""

    @property
    def size(self) -> tuple[object, ...]:
        """How far it is from fitting: those that differ in least come first."""
        distances = tuple((each.distance, str(each)) for each in self.keywords)
        return len(self.keywords) + bool(self.geometry), bool(self.geometry), distances

    def __str__(self) -> str:
        differing = ", ".join(filter(None, (*map(str, self.keywords), self.geometry)))
        settings = [each.setting("master_match_keywords") for each in self.keywords]
        if self.geometry or not all(settings):
            return differing
        return f"{differing}; if they belong together, {', and '.join(settings)}"


@dataclass(frozen=True)
class Match:
    """What a flat group is calibrated with, and what a person should know of it."""

    bias: UsedMaster | None
    dark: UsedMaster | None
    optimize_dark: bool
    warnings: tuple[MasterWarning, ...]

    @property
    def masters(self) -> tuple[UsedMaster, ...]:
        """The bias and the dark, as far as there are any."""
        return tuple(each for each in (self.bias, self.dark) if each)


def candidate_of(frame: Frame, origin: str) -> Candidate | None:
    """Take a file of a library for a master; None where it is not a bias or dark master."""
    kind = str(frame.keywords.get("TYPE", ""))
    if not frame.master or frame.problems or frame.geometry is None or kind not in ("bias", "dark"):
        return None
    if kind == FrameType.DARK and frame.keywords.get("EXPOSURE") == 0:
        return None  # a dark of 0 s has a wrong exposure, or is a bias
    return Candidate(
        FrameType(kind),
        frame.path,
        origin,
        frame.keywords,
        frame.geometry,
        frame.date_obs or "",
        frame.traits.read_as,
        frame.traits.bias_removal,
        pedestal_adu=frame.traits.pedestal_adu,
        is_levelled=frame.traits.is_levelled,
        has_8_bits=frame.traits.has_8_bits or None,
    )


def match_flats(
    groups: Iterable[Group],
    candidates: Iterable[Candidate],
    settings: Settings,
    level_of: LevelOf = lambda path, origin: None,  # noqa: ARG005
) -> list[Match]:
    """Choose the bias and the dark of each flat group, by the rules of ``docs/matching.md``.

    Parameters
    ----------
    groups : iterable of Group
        Of flats.
    candidates : iterable of Candidate
        Masters of this run, kept ones, and those of libraries.
    settings : Settings
        ``master_match_keywords``, ``flat_dark_tolerance_s``, ``calibration.flat``.
    level_of : callable, optional
        Returns the median in ADU of a master, given its path and origin; None if unknown. Used to
        find library darks that contain no bias.
    """
    offered = _Offered(candidates, settings)
    return [_match(group, offered, settings, level_of) for group in groups]


def match_darks(
    groups: Iterable[Group], candidates: Iterable[Candidate], settings: Settings
) -> list[UsedMaster | None]:
    """Choose the bias that each group of darks is compared with, as that of flats is chosen."""
    offered = _Offered(candidates, settings)
    return [_choose_bias(offered.fitting(group, FrameType.BIAS)) for group in groups]


def _match(group: Group, offered: _Offered, settings: Settings, level_of: LevelOf) -> Match:
    biases = offered.fitting(group, FrameType.BIAS)
    bias = _choose_bias(biases)
    fitting = offered.fitting(group, FrameType.DARK)
    removals = [_bias_removal(dark, bias, level_of) for dark in fitting]
    darks = [dark for dark, removal in zip(fitting, removals, strict=True) if not removal]
    dark, dark_warning = _choose_dark(group, darks, bias is not None, settings)
    if fitting and not darks:
        dark_warning = (
            f"no dark used: {PurePath(fitting[0].path).stem} contains no bias "
            f"({removals[0]}), and darks are subtracted together with their bias; "
            "use darks, or a master dark, from which no bias was subtracted"
        )
    sentences = [dark_warning] if dark_warning else []
    # Without a bias, only a dark of the flats' exposure is chosen, which contains the bias.
    if bias is None and dark is None:
        sentences.append(_none_matches(FrameType.BIAS, group, offered, settings))
    if dark is None and not dark_warning:
        sentences.append(_none_matches(FrameType.DARK, group, offered, settings))
    if bias is None and dark is None:
        sentences.append("the flats are integrated uncalibrated")
    sentences += _other_pedestal(group, bias or dark, [*biases, *darks])
    optimize = bool(bias and dark and settings.calibration["flat"].optimizeDarks)
    warnings = (MasterWarning(WarningKind.CALIBRATION, sentence) for sentence in sentences)
    return Match(bias, dark, optimize, tuple(warnings))


def _other_pedestal(
    group: Group, subtracted: UsedMaster | None, candidates: Iterable[Candidate]
) -> Iterator[str]:
    """Say that flats and what is subtracted from them contain different pedestals.

    Programs write the same pedestal with either sign.
    """
    ours = group.pedestals_adu
    for each in candidates:
        is_subtracted = subtracted is not None and each.path == subtracted.path
        if is_subtracted and len(ours) == 1 and abs(ours[0]) != abs(each.pedestal_adu):
            yield (
                f"PEDESTAL of the flats is {ours[0]:g} ADU, that of their {each.type.value} "
                f"{each.pedestal_adu:g}: the difference remains in the master flat; take both with "
                "the same program and settings"
            )


def _bias_removal(dark: Candidate, bias: UsedMaster | None, level_of: LevelOf) -> str:
    """Return why a dark contains no bias: a sign in its header, or its level; empty if it does."""
    if dark.bias_removal or dark.origin != "library" or bias is None:
        return dark.bias_removal
    levels = level_of(dark.path, dark.origin), level_of(bias.path, bias.origin)
    if None in levels:
        return ""
    ours, of_bias = (level or 0.0 for level in levels)
    if ours >= of_bias * _LOWEST_DARK:
        return ""
    return f"its median is {ours:.0f} ADU, that of the bias {of_bias:.0f} ADU"


class _Offered:
    """Candidates by type and by the keywords that have to be equal."""

    def __init__(self, candidates: Iterable[Candidate], settings: Settings) -> None:
        self._keywords = settings.master_match_keywords
        self._all = list(candidates)
        self._alike: dict[tuple[object, ...], list[Candidate]] = defaultdict(list)
        for each in self._all:
            self._alike[each.type, *texts(each.keywords, self._keywords)].append(each)

    def fitting(self, group: Group, kind: FrameType) -> list[Candidate]:
        """Give those that the flats may use."""
        key = (kind, *texts(group.frames[0].keywords, self._keywords))
        alike = self._alike.get(key, ())
        fitting = [each for each in alike if _fits(group, each)]
        # One without a position may be of any; those of the flats' own position come first.
        origin = group.geometry.origin
        return [each for each in fitting if each.geometry.origin == origin] or fitting

    def others(self, group: Group, kind: FrameType) -> list[Candidate]:
        """Give those of the type that they may not use."""
        fitting = self.fitting(group, kind)
        return [each for each in self._all if each.type is kind and each not in fitting]


def _fits(group: Group, candidate: Candidate) -> bool:
    return (
        group.geometry.fits(candidate.geometry)
        and _same_bits(group, candidate)
        and not _level_difference(group, candidate)
    )


def _level_difference(group: Group, candidate: Candidate) -> str:
    """Say why a master does not have the level of frames; empty where it has."""
    layout = group.geometry.layout
    ours = layout.pedestal_adu if layout and layout.is_levelled else None
    if ours is None:
        return "an overscan subtracted, the flats have none" if candidate.is_levelled else ""
    if not candidate.is_levelled:
        return "no overscan subtracted, the flats have theirs subtracted"
    if ours != abs(candidate.pedestal_adu):
        return (
            f"PEDESTAL {candidate.pedestal_adu:g} where their subtracted overscan leaves {ours:g}: "
            "make it of its raw frames"
        )
    return ""


def _same_bits(group: Group, candidate: Candidate) -> bool:
    return candidate.has_8_bits in (None, group.has_8_bits)


def _miss(group: Group, candidate: Candidate, settings: Settings) -> Miss:
    """Tell in what a candidate differs from a flat group."""
    ours, theirs = group.frames[0].keywords, candidate.keywords
    keywords = differences(ours, theirs, settings.master_match_keywords)
    same = group.geometry.fits(candidate.geometry)
    geometry = "" if same else _geometry_difference(candidate.geometry, group.geometry)
    if same and not _same_bits(group, candidate):
        of_both = ("8 bits" if each.has_8_bits else "more" for each in (candidate, group))
        geometry = f"samples of {' against '.join(of_both)}: take both with the same bits"
    elif same:
        geometry = _level_difference(group, candidate)
    return Miss(candidate.path, keywords, geometry)


def _geometry_difference(theirs: Geometry, ours: Geometry) -> str:
    if theirs.layout and ours.layout and str(theirs) == str(ours):
        cuts = (each.layout.parts[0].data for each in (theirs, ours) if each.layout)
        return f"a cut to {' against '.join(map(str, cuts))} of the image"
    return f"{theirs} against {ours}"


def _none_matches(kind: FrameType, group: Group, offered: _Offered, settings: Settings) -> str:
    misses = [_miss(group, candidate, settings) for candidate in offered.others(group, kind)]
    if not misses:
        return f"no {kind.value} master: there is none at all"
    nearest = min(misses, key=lambda miss: miss.size)
    name = PurePath(nearest.path).stem
    return f"no {kind.value} master matches; the nearest, {name}, has {nearest}"


def _preference(candidate: Candidate) -> tuple[object, ...]:
    """Order equals: this run, then kept, then library; the newest; by path."""
    newest = tuple(-ord(letter) for letter in candidate.date_obs)
    return _ORIGINS.index(candidate.origin), not candidate.date_obs, newest, candidate.path


def _choose_bias(fitting: Sequence[Candidate]) -> UsedMaster | None:
    if not fitting:
        return None
    return _used(min(fitting, key=_preference), "same settings", len(fitting))


def _choose_dark(
    group: Group, fitting: Sequence[Candidate], with_bias: bool, settings: Settings
) -> tuple[UsedMaster | None, str]:
    """Choose a dark by its exposure; without one, say why where the reason is not a mismatch."""
    exposures = [
        value
        for frame in group.frames
        if isinstance(value := frame.keywords.get("EXPOSURE"), float)
    ]
    timed = [candidate for candidate in fitting if candidate.exposure_s is not None]
    if not fitting:
        return None, ""
    if not exposures or not timed:
        where = "the flats have" if not exposures else "the darks that match have"
        return None, f"no dark used: {where} no EXPOSURE"
    chosen, near, why = _by_exposure(timed, exposures, settings.flat_dark_tolerance_s)
    is_scaled = with_bias and settings.calibration["flat"].optimizeDarks
    if not is_scaled and not near:
        why_unscaled = "with optimizeDarks: false" if with_bias else "without a bias master"
        return None, (
            f"no dark used: {why_unscaled} only a dark within "
            f"{settings.flat_dark_tolerance_s:g} s of the flats' {median(exposures):g} s serves, "
            f"the nearest has {chosen.exposure_s:g} s: take darks of {median(exposures):g} s"
        )
    return _used(chosen, why, len(fitting)), ""


def _by_exposure(
    timed: Sequence[Candidate], exposures_s: Sequence[float], tolerance_s: float
) -> tuple[Candidate, bool, str]:
    """Choose by exposure: a dark-flat, else the longest not above the flats, else the next above.

    Returns the candidate, whether it is a dark-flat, and the rule as a sentence.
    """
    middle, shortest = median(exposures_s), min(exposures_s)

    def rank(candidate: Candidate) -> tuple[object, ...]:
        exposure = candidate.exposure_s or 0.0
        # The margin is that of text with six decimals: 0.5 s apart must count as 0.5 s.
        if abs(exposure - middle) <= tolerance_s + 5e-7:
            return 0, 0.0, *_preference(candidate)
        above = exposure > shortest
        return 1 + above, exposure if above else -exposure, *_preference(candidate)

    chosen = min(timed, key=rank)
    rules = (
        f"exposure {chosen.exposure_s:g} s within {tolerance_s:g} s of the flats' {middle:g} s",
        f"longest exposure ({chosen.exposure_s:g} s) not above the flats' {shortest:g} s",
        f"nearest exposure ({chosen.exposure_s:g} s) above the flats' {shortest:g} s",
    )
    rule = rank(chosen)[0]
    return chosen, rule == 0, rules[int(str(rule))]


def _used(chosen: Candidate, why: str, choices: int) -> UsedMaster:
    among = f", chosen among {choices}" if choices > 1 else ""
    why = f"{why}; {_PLACES[chosen.origin]}{among}"
    return UsedMaster(
        chosen.path,
        chosen.origin,
        why,
        read_as=chosen.read_as,
        exposure_s=chosen.exposure_s,
    )
