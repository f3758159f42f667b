"""Translate header cards to canonical keywords: the dialects of all capture programs.

(Types are in ``found_types.py`` and ``frame_types.py``, filters in ``filters.py``, numbers in
``values.py``, dates in ``nights.py``, names of folders and files in ``path_tokens.py``, size and
position in ``geometry.py``.)

Canonical keywords are TYPE, INSTRUME, SET-TEMP, GAIN, OFFSET, READOUTM, DATE, FILTER and EXPOSURE,
and any other card that the configuration names. Later stages use only canonical keywords.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import chain
from pathlib import PurePath, PurePosixPath
from typing import Final, NamedTuple

from calmasters.frame import FrameType, Geometry, OtherType, Traits, Value
from calmasters.headers.filters import FIRST_WHEEL, MORE_WHEELS, OTHER_FILTER_CARDS, filter_in
from calmasters.headers.fits_cards import REPEATED, Cards, CardValue, first_of, number_of
from calmasters.headers.found_types import (
    CALIBRATION_TYPES,
    TYPE_CARDS,
    TYPE_SOURCES,
    FoundTypes,
    flat_kind_in,
    is_stack_by_cards,
    type_in,
    type_places,
)
from calmasters.headers.frame_types import frame_type
from calmasters.headers.geometry import (
    IMAGE_CARDS,
    geometry_of,
    image_problems,
)
from calmasters.headers.nights import DATE, Night, creation_date, night_of, utc_of
from calmasters.headers.path_tokens import (
    key_pattern,
    master_type_from_name,
    path_tokens,
    type_of_file,
)
from calmasters.headers.processing import (
    PROCESSING_CARDS,
    bias_removal,
    changed_unit,
    is_processed_name,
    overscan_removal,
    processing,
)
from calmasters.headers.reject_marks import exclude_pattern, is_marked_name
from calmasters.headers.unread_cards import may_have_a_keyword, unread_cards
from calmasters.headers.values import (
    MAYBE_NUMBERS,
    NUMBERS,
    is_known,
    is_unknown,
    round_to,
    rounded,
    temperature_c,
    typed_value,
)
from calmasters.settings import HeaderRules

__all__ = [
    "ALIASES",
    "MEASURED",
    "FrameHeader",
    "KeywordReader",
    "read_keywords",
]

#: Canonical keyword to its cards, in order of preference: the first card that is present and not
#: empty is used. EGAIN, PEDESTAL, BZERO and SBIG's BIAS are not GAIN or OFFSET.
ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "INSTRUME": ("INSTRUME", "CAMERA", "CAMERAID", "HEAD", "DETECTOR"),
    "SET-TEMP": ("SET-TEMP", "SETTEMP", "SET_TEMP", "CCD-TSET"),
    "GAIN": ("GAIN", "ISOSPEED", "ISO", "GAINRAW", "CAMGAIN"),
    "OFFSET": ("OFFSET", "BLKLEVEL", "BLACKLEV", "BLKLVL"),
    "READOUTM": (
        *("READOUTM", "READMODE", "READOUT", "RDMODE", "CONVGAIN", "LOWNOISE"),
        *("ESO DET READ CLOCK", "ESO DET READ CURNAME"),
    ),
    "FILTER": (*FIRST_WHEEL, *OTHER_FILTER_CARDS),
    "EXPOSURE": ("EXPTIME", "EXPOSURE", "EXP", "EXP_TIME", "ELAPTIME", "DARKTIME"),
    "TELESCOP": ("TELESCOP",),
    "FOCALLEN": ("FOCALLEN", "FOCAL"),
    "CAMERAID": (
        "CAMERAID",
        "CAMID",
        "CAM-ID",
        "CAMSN",
        "CAM-SN",
        "CAMERASN",
        "CCDSN",
        "CCD-SN",
        "DETSN",
        "DET-SN",
        "CAMSERNO",
    ),
}

#: Clocks that are not set start in 1970 or 1980.
_FIRST_NIGHT: Final = "1981-01-01"

#: Keywords of spectrographs and their cards. Names of files say no such keyword: 'slit_0001.fits'.
_SPECTROGRAPHS: Final[Mapping[str, tuple[str, ...]]] = {
    "GRATING": (
        "GRATING", "GRISM", "DISPERSR", "DISPERSE", "GRATNAME", "GRISNAME", "GRNAME", "ALGRNM",
        "ISIGRAT", "ESO INS GRIS1 NAME", "ESO INS GRAT NAME", "ESO INS GRISM NAME",
    ),
    "SLIT": (
        "SLIT", "SLITNAME", "SLITMASK", "MASKNAME", "DECKER", "DECKNAME", "ALAPRTNM",
        "ESO INS SLIT NAME", "ESO INS SLIT1 NAME",
    ),
}  # fmt: skip

#: Cards of the angle of a rotator, in degrees.
_ROTATOR: Final = ("ROTATOR", "ROTATANG", "ROTANGLE", "ROTANG", "ROTATPOS")

#: Cards that traits depend on, besides those of keywords; all other cards are ignored.
_TRAIT_CARDS: Final = (
    *IMAGE_CARDS, *PROCESSING_CARDS, *chain(*MORE_WHEELS), REPEATED,
    "EXPTIME", "EXPOSURE", "EXPOINUS", "OBJECT", "PEDESTAL", "FLIPSTAT",
)  # fmt: skip

#: Keywords of which several values make a frame unusable.
_DECISIVE: Final = ("TYPE", "EXPOSURE", "FILTER", "GAIN", "OFFSET", "SET-TEMP")

#: Replaces file names without token and type, so that such files can share traits.
_NAMELESS: Final = "x"
#: Number of cached traits per reader.
_CACHED: Final = 4096

#: Standard cards of a keyword, if not only the card of the same name; not listed in ``sources``.
_PLAIN: Final[Mapping[str, tuple[str, ...]]] = {
    "TYPE": ("TYPE", "IMAGETYP"),
    "EXPOSURE": ("EXPTIME", "EXPOSURE"),
    "DATE": ("DATE-LOC",),
}

#: The source of a SET-TEMP that is the temperature of the sensor.
MEASURED: Final = "CCD-TEMP, rounded"

#: Frames of these types are not flats; of any other one ``type_words`` may say that it is.
_NO_FLATS: Final = frozenset(FrameType) - {FrameType.FLAT}

#: What to do about a frame that was taken before its sensor was cold.
_WARM_REMEDY: Final = "retake it after the sensor has cooled"

_NUMBER_WITH_UNIT: Final = re.compile(r"([-+]?\d+(?:[.,]\d+)?)(?:s|sec|C|mm)?", re.IGNORECASE)


class FrameHeader(NamedTuple):
    """The content of a header in canonical form.

    Attributes
    ----------
    traits : Traits
        What the header says of the frame, except time and temperature.
    ccd_temp_c : float or None
        Measured temperature, degrees Celsius.
    date_obs : str or None
        Start of the exposure, ISO 8601, UTC.
    """

    traits: Traits
    ccd_temp_c: float | None
    date_obs: str | None


class _FromCards(NamedTuple):
    """What the cards of a frame say alone: frames of many nights and folders share it.

    Attributes
    ----------
    cards : Cards
        Those that traits depend on.
    keywords : mapping of str to (Value or None, str)
        Value and source of each wanted keyword, except the night.
    is_stack : bool
    geometry : Geometry or None
    problems : tuple of str
        Of the image.
    warnings : tuple of str
    unread : mapping of str to mapping
        As in :class:`~calmasters.frame.Traits`.
    """

    cards: Cards
    keywords: Mapping[str, tuple[Value | None, str]]
    is_stack: bool
    geometry: Geometry | None
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    unread: Mapping[str, Mapping[str, str]]


class _TraitCards(dict[str, bool]):
    """Whether traits depend on a card, by its name; found out once for a name."""

    def __missing__(self, name: str) -> bool:
        self[name] = may_have_a_keyword(name)
        return self[name]


def read_keywords(cards: Cards, path: PurePath, rules: HeaderRules) -> FrameHeader:
    """Translate the cards of one file; for many files use :class:`KeywordReader`."""
    return KeywordReader(rules).read(cards, path.as_posix())


class KeywordReader:
    """Translates cards to canonical keywords; equal headers are translated once.

    The frames of a night differ in little but their time. Traits depend only on some cards, the
    folder and the night, and are cached by these; what only depends on cards is cached besides.

    Parameters
    ----------
    rules : HeaderRules
        How to read headers.
    """

    def __init__(self, rules: HeaderRules) -> None:
        self._rules = rules
        self._names = _names(rules)
        wheels = chain(self._names["FILTER"], *MORE_WHEELS)
        self._read_names = {**self._names, "FILTER": frozenset(wheels)}
        self._is_trait_card = _TraitCards.fromkeys(
            (*_TRAIT_CARDS, *chain(*self._names.values())), True
        )
        self._has_token = key_pattern((*ALIASES, *rules.aliases, *rules.extra)).search
        self._traits = lru_cache(_CACHED)(self._find_traits)
        self._from_cards = lru_cache(_CACHED)(self._read_cards)
        self._at_temperature = lru_cache(_CACHED)(self._find_at_temperature)
        self._at_angle = lru_cache(_CACHED)(_at_angle)

    def read(self, cards: Cards, path: str, outside: int = 0) -> FrameHeader:
        """Translate the cards of one file.

        Parameters
        ----------
        cards : mapping of str to CardValue
            As :func:`calmasters.headers.image_header.read_cards` returns them.
        path : str
            Path relative to the scanned directory, with ``/``; may contain ``KEY_value`` tokens.
        outside : int, optional
            Length of the first part of the path whose folders give no type: a library.
        """
        names = tuple(filter(self._is_trait_card.__getitem__, cards))
        values = tuple(map(cards.__getitem__, names))
        types = tuple(map(type, values))  # part of the cache key: 1, 1.0 and True are equal
        folder, slash, name = path.rpartition("/")
        # A file name counts only by its tokens, its type, and marks of rejected or processed ones.
        counts = self._has_token(name) or is_marked_name(name) or is_processed_name(name)
        short = name if counts else type_of_file(name) or _NAMELESS
        place = f"{folder}{slash}{short}"
        utc = utc_of(cards)
        night = night_of(cards, self._rules.timezone)
        written = creation_date(cards) if night.date is None else night
        traits = self._traits(names, values, types, place, outside, night, written)
        ccd_temp_c = temperature_c(cards)
        if ccd_temp_c is not None:
            traits = self._at_temperature(traits, ccd_temp_c)
        angle = number_of(first_of(cards, _ROTATOR)[1])
        if angle is not None and traits.keywords.get("TYPE") == FrameType.FLAT:
            # Rounded, so that the noise of the angle does not make traits of every frame.
            traits = self._at_angle(traits, round_to(angle, 1) % 360)
        return FrameHeader(traits, ccd_temp_c, utc.isoformat() if utc else None)

    def _find_traits(
        self,
        names: tuple[str, ...],
        values: tuple[CardValue, ...],
        types: tuple[type, ...],
        place: str,
        outside: int,
        night: Night,
        written: Night,
    ) -> Traits:
        """Compute traits from the cards, path and nights that they depend on."""
        rules, path = self._rules, PurePosixPath(place)
        below = PurePosixPath(place[outside:]) if outside else path
        tokens = {} if rules.path_keywords == "off" else _tokens(path, rules)
        if "BINNING" in tokens:
            names, values = ("BINNING", *names), (tokens.pop("BINNING"), *values)
            types = (type(values[0]), *types)
        known = self._from_cards(names, values, types)
        cards, geometry = known.cards, known.geometry
        master = known.is_stack or path.name.casefold().startswith(("master", "superbias"))
        # For a master the header decides: its name is only a cleaned and shortened copy.
        override = rules.path_keywords == "override" and not master
        token = tokens.pop("TYPE", None)
        keywords, sources = self._read_keywords(known.keywords, night, tokens, override)
        unreadable_date = sources.get("DATE", "") if "DATE" not in keywords else ""
        if "DATE" not in keywords and written.date is not None:
            keywords["DATE"], sources["DATE"] = written.date, written.source
        found = FoundTypes(keywords.get("TYPE"), token, below)
        place = found.place(type_places(rules.types_from, override, master))
        if place and place != "header":
            keywords["TYPE"], sources["TYPE"] = found.types[place], TYPE_SOURCES[place]
        if keywords.get("TYPE") not in _NO_FLATS and (kind := flat_kind_in(cards, found.folder)):
            keywords["FLATKIND"] = kind
        # A file without a type in the folder 'Master Darks' is a master.
        master = master or (place == "folder" and "master" in found.folder.casefold())
        other = None if master else found.other_than(place, rules.types_from)
        warnings = (
            *_type_warnings(keywords, other, rules),
            *_reject_warnings(keywords, master, below),
            *_night_warnings(keywords, night, unreadable_date),
            *known.warnings,
        )
        frame_kind = keywords.get("TYPE")
        problems = (
            *known.problems,
            *_processing_problems(cards, frame_kind, master, path.name),
        )
        removal = bias_removal(cards) if master and frame_kind == FrameType.DARK else ""
        return Traits(
            keywords,
            master,
            geometry,
            sources,
            warnings,
            problems,
            other_type=other,
            bias_removal=removal,
            pedestal_adu=number_of(cards.get("PEDESTAL")) or 0.0,
            overscan_removal=overscan_removal(cards) if master else "",
            unread=known.unread,
        )

    def _read_cards(
        self,
        names: tuple[str, ...],
        values: tuple[CardValue, ...],
        types: tuple[type, ...],  # noqa: ARG002
    ) -> _FromCards:
        """Read what only depends on cards."""
        # BINNING of a path comes before that of the header, which replaces it.
        cards = dict(zip(names, values, strict=True))
        geometry = geometry_of(cards)
        return _FromCards(
            cards,
            {keyword: _in_header(keyword, names, cards) for keyword, names in self._names.items()},
            is_stack_by_cards(cards),
            geometry,
            (*image_problems(cards, geometry), *self._several_values(cards)),
            tuple(_warnings(cards)),
            unread_cards(self._read_names, cards),
        )

    def _several_values(self, cards: Cards) -> Iterator[str]:
        """Say which keywords that decide how a frame is used have cards with several values."""
        if REPEATED not in cards:
            return
        decisive = {*chain(*map(self._names.__getitem__, _DECISIVE))}
        for name, values in json.loads(str(cards[REPEATED])).items():
            if name in decisive:
                listed = " and ".join(map(repr, values))
                yield f"has {len(values)} cards {name}, {listed}; delete the wrong one"

    def _read_keywords(
        self,
        known: Mapping[str, tuple[Value | None, str]],
        night: Night,
        tokens: Mapping[str, Value],
        override: bool,
    ) -> tuple[dict[str, Value], dict[str, str]]:
        """Return the value of each wanted keyword from header or path, and its source."""
        keywords: dict[str, Value] = {}
        sources: dict[str, str] = {}
        for keyword, (value, source) in {**known, "DATE": night[:2]}.items():
            if keyword in tokens and (value is None or override):
                value, source = tokens[keyword], "path"
            if value is not None:
                keywords[keyword] = _round_to_configured_step(keyword, value, self._rules)
            if source and source not in _PLAIN.get(keyword, (keyword,)):
                sources[keyword] = source
        return keywords, sources

    def _find_at_temperature(self, traits: Traits, ccd_temp_c: float) -> Traits:
        """Apply the measured temperature: a missing set-point, and a warning or a problem."""
        keywords, sources = traits.keywords, traits.sources
        if "SET-TEMP" not in keywords:
            step = max(1.0, self._rules.round.get("SET-TEMP", 0.0))
            keywords = {**keywords, "SET-TEMP": rounded(ccd_temp_c, step)}
            sources = {**sources, "SET-TEMP": MEASURED}
        warm = _off_set_point(keywords, ccd_temp_c, self._rules)
        if not warm and keywords is traits.keywords:
            return traits
        refused = [
            f"{text}; {_WARM_REMEDY}" for text in warm if self._rules.temperature_action == "refuse"
        ]
        return replace(
            traits,
            keywords=keywords,
            sources=sources,
            warnings=(*(() if refused else warm), *traits.warnings),
            problems=(*traits.problems, *refused),
        )


# --- keywords -------------------------------------------------------------------------------------


def _names(rules: HeaderRules) -> dict[str, tuple[str, ...]]:
    """Return the cards of each wanted keyword, in order of preference."""
    known = {"TYPE": TYPE_CARDS, **ALIASES, **_SPECTROGRAPHS}
    wanted = dict.fromkeys((*known, *rules.aliases, *rules.extra))
    names = {key: (*rules.aliases.get(key, ()), *known.get(key, (key,))) for key in wanted}
    # The night comes from other cards, which no trait depends on.
    return {**names, "DATE": ()}


def _in_header(keyword: str, names: Sequence[str], cards: Cards) -> tuple[Value | None, str]:
    if keyword == "TYPE":
        return type_in(cards, names)
    if keyword == "FILTER":
        return filter_in(cards, names)
    unusable = ""
    for name in names:
        raw = cards.get(name)
        if raw is None or is_unknown(raw):
            continue
        value = typed_value(keyword, raw)
        if value is not None and is_known(keyword, value):
            return value, name
        why = "is not a number" if value is None else "stands for an unknown value"
        unusable = unusable or f"{name} {raw!r}, which {why}"
    if keyword == "EXPOSURE" and (microseconds := number_of(cards.get("EXPOINUS"))) is not None:
        return round_to(microseconds / 1e6, 6), "EXPOINUS"
    return None, unusable


def _round_to_configured_step(keyword: str, value: Value, rules: HeaderRules) -> Value:
    """Round a number to its configured step, so that small differences do not split groups."""
    step = rules.round.get(keyword)
    if step is None or isinstance(value, str):
        return value
    return rounded(value, step)


def _at_angle(traits: Traits, angle: float) -> Traits:
    """Return the traits with the angle of the rotator."""
    return replace(traits, keywords={"ROTATOR": angle, **traits.keywords})


# --- path -----------------------------------------------------------------------------------------


def _tokens(path: PurePath, rules: HeaderRules) -> dict[str, Value]:
    """Read keywords from the path; the innermost token takes precedence."""
    tokens: dict[str, Value] = {}
    if named := master_type_from_name(path):
        tokens["TYPE"] = named.value
    for keyword, text in path_tokens(path, (*ALIASES, *rules.aliases, *rules.extra)):
        if (value := _token_value(keyword, text)) is not None:
            tokens[keyword] = value
    return tokens


def _token_value(keyword: str, text: str) -> Value | None:
    if keyword == "TYPE":
        known = frame_type(text)
        return known.value if known else None
    if keyword == "DATE":
        return text if DATE.fullmatch(text) else None
    if keyword in NUMBERS | MAYBE_NUMBERS:
        # OFFSET_ISO800 is a folder for bias frames, which some observers call offsets.
        found = _NUMBER_WITH_UNIT.fullmatch(text)
        value = typed_value(keyword, found[1] if found else text)
        return value if not isinstance(value, str | None) and is_known(keyword, value) else None
    return typed_value(keyword, text or None)


# --- warnings -------------------------------------------------------------------------------------


def _off_set_point(
    keywords: Mapping[str, Value], ccd_temp_c: float | None, rules: HeaderRules
) -> tuple[str, ...]:
    """Return a text if the temperature differs too much from the set-point, else nothing."""
    set_temp = keywords.get("SET-TEMP")
    if ccd_temp_c is None or not isinstance(set_temp, float):
        return ()
    tolerance = rules.temperature_tolerance_c + rules.round.get("SET-TEMP", 0.0) / 2
    if abs(ccd_temp_c - set_temp) <= tolerance:
        return ()
    return (f"sensor at {ccd_temp_c:.1f} C, set-point {set_temp:.1f} C",)


def _type_warnings(
    keywords: Mapping[str, Value], other: OtherType | None, rules: HeaderRules
) -> Iterator[str]:
    """Yield a text about a type that contradicts that of a calibration frame."""
    if other and (kind := keywords["TYPE"]) in CALIBRATION_TYPES:
        order = ", ".join(other.types_from(rules.types_from))
        yield f"type {kind}, but {other}; if that is right, set types_from: [{order}]"


def _reject_warnings(keywords: Mapping[str, Value], master: bool, path: PurePath) -> Iterator[str]:
    """Yield a text about a calibration frame whose path marks it as rejected."""
    is_used = keywords.get("TYPE") in CALIBRATION_TYPES and not master
    if is_used and (pattern := exclude_pattern(path)):
        yield (
            f"its path marks rejected frames ({pattern}), but it is used; "
            f'to leave such frames out, set exclude: ["{pattern}"]'
        )


def _night_warnings(
    keywords: Mapping[str, Value], night: Night, unreadable_date: str
) -> Iterator[str]:
    """Yield a text about the date of a flat that is uncertain: only masters of flats have one."""
    if keywords.get("TYPE") != FrameType.FLAT:
        return
    if night.warning:
        yield night.warning
    if unreadable_date and "DATE" in keywords:
        yield f"has {unreadable_date}: the night is that of another source"
    date = str(keywords.get("DATE", _FIRST_NIGHT))
    if date < _FIRST_NIGHT:
        yield (
            f"is dated {date}: the clock was not set, so flats of several nights may be averaged;"
            " correct their dates, or exclude them"
        )


def _processing_problems(
    cards: Cards, kind: Value | None, master: bool, name: str
) -> Iterator[str]:
    """Yield a text if pixels were changed so that the file is of no use."""
    if not master:
        if sign := processing(cards, name):
            yield f"is already calibrated ({sign}); use the raw frame, not the calibrated one"
        return
    if kind == FrameType.BIAS and (sign := bias_removal(cards)):
        yield f"is a master bias from which a bias was subtracted ({sign}); use another one"
    if kind in (FrameType.BIAS, FrameType.DARK) and (sign := changed_unit(cards)):
        yield f"is a master {kind} whose samples are not ADU ({sign}); use one in ADU"


def _warnings(cards: Cards) -> Iterator[str]:
    exposures = [number_of(cards.get(name)) for name in ("EXPTIME", "EXPOSURE")]
    if None not in exposures and abs((exposures[0] or 0.0) - (exposures[1] or 0.0)) > 1e-3:
        yield f"EXPTIME {exposures[0]:g} s differs from EXPOSURE {exposures[1]:g} s"
    # MaxIm DL writes it, empty for a frame as the camera gave it.
    if turned := str(cards.get("FLIPSTAT", "")).strip():
        yield (
            f"its program turned it (FLIPSTAT '{turned}'), and it is used as it is: all bias, "
            "dark, flat and light frames must be turned alike"
        )
