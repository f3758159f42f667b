"""Translate header cards to canonical keywords: the dialects of all capture programs.

(Names of frame types are in ``frame_types.py``, dates in ``nights.py``, names of folders and files
in ``path_tokens.py``, size, binning and Bayer pattern in ``geometry.py``.)

Canonical keywords are TYPE, INSTRUME, SET-TEMP, GAIN, OFFSET, READOUTM, DATE, FILTER and EXPOSURE,
and any other card that the configuration names. Later stages use only canonical keywords.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import chain
from pathlib import PurePath, PurePosixPath
from typing import Final, NamedTuple

from calmasters.frame import Traits, Value
from calmasters.headers.fits_cards import Cards, CardValue, first_of, number_of
from calmasters.headers.frame_types import canonical_type, frame_type, is_master_type
from calmasters.headers.geometry import IMAGE_CARDS, geometry_of, image_problems
from calmasters.headers.nights import DATE, Night, creation_date, night_of, utc_of
from calmasters.headers.path_tokens import (
    key_pattern,
    path_tokens,
    type_from_folder,
    type_from_name,
)
from calmasters.settings import HeaderRules

__all__ = [
    "ALIASES",
    "FrameHeader",
    "KeywordReader",
    "read_keywords",
    "rounded",
    "typed_value",
]

#: Canonical keyword to its cards, in order of preference: the first card that is present and not
#: empty is used. EGAIN, PEDESTAL, BZERO and SBIG's BIAS are not GAIN or OFFSET.
ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "INSTRUME": ("INSTRUME", "CAMERA", "CAMERAID", "HEAD", "DETECTOR"),
    "SET-TEMP": ("SET-TEMP", "SETTEMP", "SET_TEMP", "CCD-TSET"),
    "GAIN": ("GAIN", "ISOSPEED", "ISO", "GAINRAW", "CAMGAIN"),
    "OFFSET": ("OFFSET", "BLKLEVEL", "BLACKLEV", "BLKLVL"),
    "READOUTM": ("READOUTM", "READMODE", "READOUT", "RDMODE", "CONVGAIN", "LOWNOISE"),
    "FILTER": ("FILTER", "FILT-1", "FILTER1", "FILTNAM1"),
    "EXPOSURE": ("EXPTIME", "EXPOSURE", "EXP", "EXP_TIME", "ELAPTIME", "DARKTIME"),
    "TELESCOP": ("TELESCOP",),
    "FOCALLEN": ("FOCALLEN", "FOCAL"),
}

_CCD_TEMP: Final = (
    "CCD-TEMP", "CCD_TEMP", "CCDTEMP", "TEMPERAT", "CAMTCCD", "DET-TEMP", "DET_TEMP",
    "SENSOR-TEMP", "TEMP", "CAMTEMP",
)  # fmt: skip
_STACK_COUNT: Final = ("STACKCNT", "NCOMBINE", "NUMFRAME", "NCOMB", "NDARKS")

#: Cards that traits depend on, besides those of keywords; all other cards are ignored.
_TRAIT_CARDS: Final = (*IMAGE_CARDS, *_STACK_COUNT, "EXPTIME", "EXPOSURE", "EXPOINUS")

#: Replaces file names without a token, so that such files can share traits.
_NAMELESS: Final = "x"
#: Number of cached traits per reader.
_CACHED: Final = 4096

#: Standard cards of a keyword, if not only the card of the same name; not listed in ``sources``.
_PLAIN: Final[Mapping[str, tuple[str, ...]]] = {
    "TYPE": ("TYPE", "IMAGETYP"),
    "EXPOSURE": ("EXPTIME", "EXPOSURE"),
    "DATE": ("DATE-LOC",),
}

#: What to do about a frame that was taken before its sensor was cold.
_WARM_REMEDY: Final = "retake it after the sensor has cooled"

_NUMBERS: Final = frozenset({"SET-TEMP", "EXPOSURE"})
_MAYBE_NUMBERS: Final = frozenset({"GAIN", "OFFSET", "FOCALLEN"})

_TYPE_CARDS: Final = (
    "TYPE", "IMAGETYP", "FRAMETYP", "FRAME", "OBSTYPE", "OBSTYP", "OBS_TYPE", "IMTYPE",
    "IMAGETYPE", "CALFRAME",
)  # fmt: skip
_NUMBER_WITH_UNIT: Final = re.compile(r"([-+]?\d+(?:\.\d+)?)(?:s|sec|C)?", re.IGNORECASE)


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


def read_keywords(cards: Cards, path: PurePath, rules: HeaderRules) -> FrameHeader:
    """Translate the cards of one file; for many files use :class:`KeywordReader`."""
    return KeywordReader(rules).read(cards, path.as_posix())


class KeywordReader:
    """Translates cards to canonical keywords; equal headers are translated once.

    The frames of a night differ in little but their time. Traits depend only on some cards, the
    folder and the night, and are cached by these.

    Parameters
    ----------
    rules : HeaderRules
        How to read headers.
    """

    def __init__(self, rules: HeaderRules) -> None:
        self._rules = rules
        self._names = _names(rules)
        self._trait_cards = frozenset((*_TRAIT_CARDS, *chain(*self._names.values())))
        self._has_token = key_pattern((*ALIASES, *rules.aliases, *rules.extra)).search
        self._traits = lru_cache(_CACHED)(self._find_traits)
        self._at_temperature = lru_cache(_CACHED)(self._find_at_temperature)

    def read(self, cards: Cards, path: str) -> FrameHeader:
        """Translate the cards of one file.

        Parameters
        ----------
        cards : mapping of str to CardValue
            As :func:`calmasters.headers.image_header.read_cards` returns them.
        path : str
            Path relative to the scanned directory, with ``/``; may contain ``KEY_value`` tokens.
        """
        names = tuple(filter(self._trait_cards.__contains__, cards))
        values = tuple(map(cards.__getitem__, names))
        types = tuple(map(type, values))  # part of the cache key: 1, 1.0 and True are equal
        folder, slash, name = path.rpartition("/")
        place = path if self._has_token(name) else f"{folder}{slash}{_NAMELESS}"
        utc = utc_of(cards)
        night = night_of(cards, self._rules.timezone)
        written = creation_date(cards) if night[0] is None else night
        traits = self._traits(names, values, types, place, night, written)
        ccd_temp_c = number_of(first_of(cards, _CCD_TEMP)[1])
        if ccd_temp_c is not None:
            traits = self._at_temperature(traits, ccd_temp_c)
        return FrameHeader(traits, ccd_temp_c, utc.isoformat() if utc else None)

    def _find_traits(
        self,
        names: tuple[str, ...],
        values: tuple[CardValue, ...],
        types: tuple[type, ...],  # noqa: ARG002
        place: str,
        night: Night,
        written: Night,
    ) -> Traits:
        """Compute traits from the cards, path and nights that they depend on."""
        rules, path = self._rules, PurePosixPath(place)
        cards = dict(zip(names, values, strict=True))
        tokens = {} if rules.path_keywords == "off" else _tokens(path, rules)
        if "BINNING" in tokens:
            cards = {"BINNING": tokens.pop("BINNING"), **cards}
        master = _is_master(cards, path)
        # For a master the header decides: its name is only a cleaned and shortened copy.
        override = rules.path_keywords == "override" and not master
        keywords, sources = self._read_keywords(cards, night, tokens, override)
        for keyword, value, source in _last_resorts(keywords, path, written, rules):
            keywords[keyword], sources[keyword] = value, source
        geometry = geometry_of(cards)
        warnings, problems = _warnings(cards), image_problems(cards, geometry)
        return Traits(keywords, master, geometry, sources, tuple(warnings), tuple(problems))

    def _read_keywords(
        self, cards: Cards, night: Night, tokens: Mapping[str, Value], override: bool
    ) -> tuple[dict[str, Value], dict[str, str]]:
        """Return the value of each wanted keyword from header or path, and its source."""
        keywords: dict[str, Value] = {}
        sources: dict[str, str] = {}
        for keyword, names in self._names.items():
            value, source = night if keyword == "DATE" else _in_header(keyword, names, cards)
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
            sources = {**sources, "SET-TEMP": "CCD-TEMP, rounded"}
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
    wanted = dict.fromkeys(("TYPE", *ALIASES, *rules.aliases, *rules.extra))
    known = {**ALIASES, "TYPE": _TYPE_CARDS}
    names = {key: (*rules.aliases.get(key, ()), *known.get(key, (key,))) for key in wanted}
    # The night comes from other cards, which no trait depends on.
    return {**names, "DATE": ()}


def _last_resorts(
    keywords: Mapping[str, Value], path: PurePath, written: Night, rules: HeaderRules
) -> Iterator[tuple[str, Value, str]]:
    """Yield fallbacks for keywords that neither header nor tokens have: keyword, value, source."""
    if "TYPE" not in keywords and rules.folder_types and (named := type_from_folder(path)):
        yield "TYPE", named.value, "folder name"
    date, source = written
    if "DATE" not in keywords and date is not None:
        yield "DATE", date, source


def _in_header(keyword: str, names: Iterable[str], cards: Cards) -> tuple[Value | None, str]:
    if keyword == "TYPE":
        return _type(cards, names)
    name, raw = first_of(cards, names)
    if keyword == "EXPOSURE" and raw is None:
        microseconds = number_of(cards.get("EXPOINUS"))
        return (None, "") if microseconds is None else (_round(microseconds / 1e6, 6), "EXPOINUS")
    value = typed_value(keyword, raw)
    return (None, "") if value is None else (value, name)


def typed_value(keyword: str, raw: CardValue | None) -> Value | None:
    """Convert the raw value of a keyword to its canonical type; None if impossible."""
    if raw is None:
        return None
    if keyword in _NUMBERS:
        # Drivers write -18.899999618530273 for a set-point of -18.9.
        number = number_of(raw)
        return None if number is None else _round(number, 2 if keyword == "SET-TEMP" else 6)
    number = number_of(raw) if keyword in _MAYBE_NUMBERS or not isinstance(raw, str) else None
    if number is None or isinstance(raw, bool):
        return " ".join(str(raw).split())
    return int(number) if number.is_integer() else number


def _round_to_configured_step(keyword: str, value: Value, rules: HeaderRules) -> Value:
    """Round a number to its configured step, so that small differences do not split groups."""
    step = rules.round.get(keyword)
    if step is None or isinstance(value, str):
        return value
    return rounded(value, step)


def rounded(value: float, step: float) -> float:
    """Round to the nearest multiple of a step."""
    return _round(round(value / step) * step, 6)


def _round(value: float, digits: int) -> float:
    return round(value, digits) + 0.0  # adding 0.0 turns negative zero into zero


# --- type -----------------------------------------------------------------------------------------


def _type(cards: Cards, names: Iterable[str]) -> tuple[Value | None, str]:
    """Return the first known type of the cards, else the first text of a card for types."""
    texts = {name: text for name in names if isinstance(text := cards.get(name), str)}
    for name, text in texts.items():
        if known := frame_type(text):
            return known.value, name
    for name in ("TYPE", "IMAGETYP", "FRAMETYP", "IMAGETYPE"):
        if texts.get(name, "").strip():
            return canonical_type(texts[name]), name
    return None, ""


def _is_master(cards: Cards, path: PurePath) -> bool:
    """Return whether the file is a stack of frames, by its type, frame count, or file name."""
    return (
        any(is_master_type(str(cards[name])) for name in _TYPE_CARDS if name in cards)
        or any((number_of(cards[name]) or 0) > 1 for name in _STACK_COUNT if name in cards)
        or path.name.casefold().startswith(("master", "superbias"))
    )


# --- path -----------------------------------------------------------------------------------------


def _tokens(path: PurePath, rules: HeaderRules) -> dict[str, Value]:
    """Read keywords from the path; the innermost token takes precedence."""
    tokens: dict[str, Value] = {}
    if named := type_from_name(path):
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
    if keyword in _NUMBERS and (number := _NUMBER_WITH_UNIT.fullmatch(text)):
        return float(number[1])
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


def _warnings(cards: Cards) -> Iterator[str]:
    exposures = [number_of(cards.get(name)) for name in ("EXPTIME", "EXPOSURE")]
    if None not in exposures and abs((exposures[0] or 0.0) - (exposures[1] or 0.0)) > 1e-3:
        yield f"EXPTIME {exposures[0]:g} s differs from EXPOSURE {exposures[1]:g} s"
