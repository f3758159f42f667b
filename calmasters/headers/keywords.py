"""Header cards to canonical keywords: every capture program's dialect lives here.

(The words for types are in ``frame_types.py``, dates in ``nights.py``, names of folders and files
in ``path_tokens.py``.)

Canonical keywords are TYPE, INSTRUME, SET-TEMP, GAIN, OFFSET, READOUTM, DATE, FILTER and EXPOSURE,
and any other card that the configuration names. Past this module nobody looks at raw cards.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from itertools import chain
from pathlib import Path, PurePath, PurePosixPath
from typing import Final, NamedTuple

from calmasters.errors import FrameError
from calmasters.frame import IMAGE_EXTENSIONS, Geometry, Traits, Value
from calmasters.headers.fits_cards import Cards, CardValue, first_of, number_of
from calmasters.headers.frame_types import canonical_type, frame_type, says_master
from calmasters.headers.image_header import read_cards
from calmasters.headers.nights import DATE, Night, creation_date, night_of, utc_of
from calmasters.headers.path_tokens import folder_type, key_pattern, name_type, path_tokens
from calmasters.settings import HeaderRules

__all__ = [
    "ALIASES",
    "Describer",
    "Description",
    "describe",
    "get_fits_headers",
    "get_metadata_for_directory",
    "rounded",
    "typed_value",
]

#: Canonical keyword to the cards that hold it, in order of preference: the first one present and
#: not empty wins. EGAIN, PEDESTAL, BZERO and SBIG's BIAS look like GAIN or OFFSET and are neither.
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
    *("CCD-TEMP", "CCD_TEMP", "CCDTEMP", "TEMPERAT", "CAMTCCD"),
    *("DET-TEMP", "DET_TEMP", "SENSOR-TEMP", "TEMP", "CAMTEMP"),
)
_X_BINNING: Final = ("XBINNING", "CCDXBIN", "BINX", "HBIN", "BINNING", "CCDSUM")
_Y_BINNING: Final = ("YBINNING", "CCDYBIN", "BINY", "VBIN", "BINNING", "CCDSUM")
_BINNINGS: Final = (*_X_BINNING, *_Y_BINNING)
_BAYER: Final = ("BAYERPAT", "COLORTYP", "CFAIMAGE", "MOSAIC")
_BAYER_PATTERNS: Final = frozenset({"RGGB", "BGGR", "GBRG", "GRBG"})
_STACK_COUNT: Final = ("STACKCNT", "NCOMBINE", "NUMFRAME", "NCOMB", "NDARKS")

#: Cards that traits depend on, besides those of keywords.
_LOOKED_AT: Final = (
    *("NAXIS", "NAXIS1", "NAXIS2", "NAXIS3", "BITPIX", "BSCALE", "BZERO"),
    *("CALSTAT", "EXPTIME", "EXPOSURE", "EXPOINUS"),
    *(*_BINNINGS, *_BAYER, *_STACK_COUNT),
)

#: Stands for file names that tell nothing.
_NAMELESS: Final = "x"
#: Traits remembered, for a reader of headers.
_REMEMBERED: Final = 4096

#: Sources of a keyword that need no mention, where these are not the keyword alone.
_PLAIN: Final[Mapping[str, tuple[str, ...]]] = {
    "TYPE": ("TYPE", "IMAGETYP"),
    "EXPOSURE": ("EXPTIME", "EXPOSURE"),
    "DATE": ("DATE-LOC",),
}

_SAMPLE_BITS: Final = (8, 16, 32, -32, -64)

#: What to do about a frame that was taken before its sensor was cold.
_WARM: Final = "take it again once the sensor has settled, or raise temperature.tolerance_c"

_NUMBERS: Final = frozenset({"SET-TEMP", "EXPOSURE"})
_MAYBE_NUMBERS: Final = frozenset({"GAIN", "OFFSET", "FOCALLEN"})

_TYPE_CARDS: Final = (
    *("TYPE", "IMAGETYP", "FRAMETYP", "FRAME"),
    *("OBSTYPE", "OBSTYP", "OBS_TYPE", "IMTYPE", "IMAGETYPE", "CALFRAME"),
)
_NUMBER_WITH_UNIT: Final = re.compile(r"([-+]?\d+(?:\.\d+)?)(?:s|sec|C)?", re.IGNORECASE)


class Description(NamedTuple):
    """What a header says, in canonical terms.

    Attributes
    ----------
    traits : Traits
        What it says apart from the moment.
    ccd_temp_c : float or None
        Actual temperature, degrees Celsius.
    date_obs : str or None
        Start of the exposure, ISO 8601, UTC.
    """

    traits: Traits
    ccd_temp_c: float | None
    date_obs: str | None


def get_fits_headers(path: str | PurePath, rules: HeaderRules | None = None) -> dict[str, Value]:
    """Read the canonical keywords of one FITS or XISF file.

    Parameters
    ----------
    path : path-like
        The file; ``KEY_value`` tokens in it serve for keywords the header lacks.
    rules : HeaderRules, optional
        How to read; the defaults where left out.

    Returns
    -------
    dict of str to Value
        TYPE in lower case, SET-TEMP and EXPOSURE float, GAIN and OFFSET int when integral, DATE
        'YYYY-MM-DD'; absent keywords are absent. TYPE of a master is ``master bias``…

    Raises
    ------
    FrameError
        If the file cannot be read.

    Examples
    --------
    >>> get_fits_headers("bias_0001.fits")["SET-TEMP"]  # doctest: +SKIP
    -10.0
    """
    file = Path(path)
    try:
        cards = read_cards(file)
    except FrameError as error:
        raise FrameError(f"{file} {error}") from error
    found = describe(cards, file, rules or HeaderRules())
    keywords = dict(found.traits.keywords)
    if found.traits.master and "TYPE" in keywords:
        keywords["TYPE"] = f"master {keywords['TYPE']}"
    return keywords


def get_metadata_for_directory(
    directory: str | PurePath,
    filter_func: Callable[[Mapping[str, Value]], bool] | None = None,
    rules: HeaderRules | None = None,
) -> dict[str, dict[str, Value]]:
    """Read the canonical keywords of all FITS and XISF files below a directory.

    Parameters
    ----------
    directory : path-like
        Searched recursively; hidden files and folders are passed over.
    filter_func : callable, optional
        Called with the keywords of a file; the file is kept where it returns True.
    rules : HeaderRules, optional
        How to read; the defaults where left out.

    Returns
    -------
    dict of str to dict
        Path to keywords, as :func:`get_fits_headers` returns them, sorted by path. Files that
        cannot be read are left out.

    Raises
    ------
    FrameError
        If the directory does not exist.
    """
    root = Path(directory)
    if not root.is_dir():
        raise FrameError(f"{root} is not a directory: no headers to read")
    found = {}
    for path in sorted(root.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        if hidden or not path.name.lower().endswith(IMAGE_EXTENSIONS):
            continue
        with suppress(FrameError):
            keywords = get_fits_headers(path, rules)
            if filter_func is None or filter_func(keywords):
                found[str(path)] = keywords
    return found


def describe(cards: Cards, path: PurePath, rules: HeaderRules) -> Description:
    """Translate the cards of one file; see :class:`Describer`, which is for many."""
    return Describer(rules).describe(cards, path.as_posix())


class Describer:
    """Translates cards into canonical terms; what many headers have in common, only once.

    A night's frames differ in little but the moment. Their traits are found from nothing but what
    they hang on (some cards, the folder, the night), and remembered by that.

    Parameters
    ----------
    rules : HeaderRules
        How to read.
    """

    def __init__(self, rules: HeaderRules) -> None:
        self._rules = rules
        self._names = _names(rules)
        self._deciding = frozenset((*_LOOKED_AT, *chain(*self._names.values())))
        self._tells = key_pattern((*ALIASES, *rules.aliases, *rules.extra)).search
        self._traits = lru_cache(_REMEMBERED)(self._find_traits)
        self._at_temperature = lru_cache(_REMEMBERED)(self._find_at_temperature)

    def describe(self, cards: Cards, path: str) -> Description:
        """Translate the cards of one file.

        Parameters
        ----------
        cards : mapping of str to CardValue
            As :func:`calmasters.headers.image_header.read_cards` returns them.
        path : str
            Where ``KEY_value`` tokens may stand, with ``/``; relative to the scanned directory.
        """
        names = tuple(filter(self._deciding.__contains__, cards))
        values = tuple(map(cards.__getitem__, names))
        types = tuple(map(type, values))  # for 1, 1.0 and True are equal
        folder, slash, name = path.rpartition("/")
        place = path if self._tells(name) else f"{folder}{slash}{_NAMELESS}"
        utc = utc_of(cards)
        night = night_of(cards, self._rules.timezone)
        written = creation_date(cards) if night[0] is None else night
        traits = self._traits(names, values, types, place, night, written)
        ccd_temp_c = number_of(first_of(cards, _CCD_TEMP)[1])
        if ccd_temp_c is not None:
            traits = self._at_temperature(traits, ccd_temp_c)
        return Description(traits, ccd_temp_c, utc.isoformat() if utc else None)

    def _find_traits(
        self,
        names: tuple[str, ...],
        values: tuple[CardValue, ...],
        types: tuple[type, ...],  # noqa: ARG002
        place: str,
        night: Night,
        written: Night,
    ) -> Traits:
        """Find what the cards on which traits depend say, and the place and the night."""
        rules, path = self._rules, PurePosixPath(place)
        cards = dict(zip(names, values, strict=True))
        tokens = {} if rules.path_keywords == "off" else _tokens(path, rules)
        if "BINNING" in tokens:
            cards = {"BINNING": tokens.pop("BINNING"), **cards}
        master = _is_master(cards, path)
        # A master's own header decides: its name is but a copy of it, cleaned and shortened.
        override = rules.path_keywords == "override" and not master
        keywords, sources = self._read_keywords(cards, night, tokens, override)
        for keyword, value, source in _last_resorts(keywords, path, written, rules):
            keywords[keyword], sources[keyword] = value, source
        geometry = _geometry(cards)
        warnings, problems = _warnings(cards), _problems(cards, geometry)
        return Traits(keywords, master, geometry, sources, tuple(warnings), tuple(problems))

    def _read_keywords(
        self, cards: Cards, night: Night, tokens: Mapping[str, Value], override: bool
    ) -> tuple[dict[str, Value], dict[str, str]]:
        """Find each wanted keyword in the header or in the path, and where it came from."""
        keywords: dict[str, Value] = {}
        sources: dict[str, str] = {}
        for keyword, names in self._names.items():
            value, source = night if keyword == "DATE" else _in_header(keyword, names, cards)
            if keyword in tokens and (value is None or override):
                value, source = tokens[keyword], "path"
            if value is not None:
                keywords[keyword] = _on_grid(keyword, value, self._rules)
            if source and source not in _PLAIN.get(keyword, (keyword,)):
                sources[keyword] = source
        return keywords, sources

    def _find_at_temperature(self, traits: Traits, ccd_temp_c: float) -> Traits:
        """Add what the actual temperature says: a set-point in its stead, or that it is off it."""
        keywords, sources = traits.keywords, traits.sources
        if "SET-TEMP" not in keywords:
            step = max(1.0, self._rules.round.get("SET-TEMP", 0.0))
            keywords = {**keywords, "SET-TEMP": rounded(ccd_temp_c, step)}
            sources = {**sources, "SET-TEMP": "CCD-TEMP, rounded"}
        warm = _off_set_point(keywords, ccd_temp_c, self._rules)
        if not warm and keywords is traits.keywords:
            return traits
        refused = [
            f"{text}; {_WARM}" for text in warm if self._rules.temperature_action == "refuse"
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
    """Name the cards that hold each wanted keyword, in order of preference."""
    wanted = dict.fromkeys(("TYPE", *ALIASES, *rules.aliases, *rules.extra))
    known = {**ALIASES, "TYPE": _TYPE_CARDS}
    names = {key: (*rules.aliases.get(key, ()), *known.get(key, (key,))) for key in wanted}
    # The night is found from others, which no trait depends on.
    return {**names, "DATE": ()}


def _last_resorts(
    keywords: Mapping[str, Value], path: PurePath, written: Night, rules: HeaderRules
) -> Iterator[tuple[str, Value, str]]:
    """Find what stands in for a keyword that neither the header nor a token has, and its source."""
    if "TYPE" not in keywords and rules.folder_types and (named := folder_type(path)):
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
    """Give a raw value of a keyword its canonical type; None where it cannot have it."""
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


def _on_grid(keyword: str, value: Value, rules: HeaderRules) -> Value:
    """Round a number to the configured step, so that jitter does not split groups."""
    step = rules.round.get(keyword)
    if step is None or isinstance(value, str):
        return value
    return rounded(value, step)


def rounded(value: float, step: float) -> float:
    """Round to a multiple of a step; the grid is fixed, whatever other values there are."""
    return _round(round(value / step) * step, 6)


def _round(value: float, digits: int) -> float:
    return round(value, digits) + 0.0  # which makes of a negative zero a plain one


# --- type -----------------------------------------------------------------------------------------


def _type(cards: Cards, names: Iterable[str]) -> tuple[Value | None, str]:
    """Find the type: the first card whose text is one, else the first that claims to be."""
    texts = {name: text for name in names if isinstance(text := cards.get(name), str)}
    for name, text in texts.items():
        if known := frame_type(text):
            return known.value, name
    for name in ("TYPE", "IMAGETYP", "FRAMETYP", "IMAGETYPE"):
        if texts.get(name, "").strip():
            return canonical_type(texts[name]), name
    return None, ""


def _is_master(cards: Cards, path: PurePath) -> bool:
    """Tell a stack from a frame: by its type, its count of frames, or its name."""
    return (
        any(says_master(str(cards[name])) for name in _TYPE_CARDS if name in cards)
        or any((number_of(cards[name]) or 0) > 1 for name in _STACK_COUNT if name in cards)
        or path.name.casefold().startswith(("master", "superbias"))
    )


# --- path -----------------------------------------------------------------------------------------


def _tokens(path: PurePath, rules: HeaderRules) -> dict[str, Value]:
    """Read what the path says of keywords; the innermost wins."""
    tokens: dict[str, Value] = {}
    if named := name_type(path):
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


# --- geometry and soundness -----------------------------------------------------------------------


def _geometry(cards: Cards) -> Geometry | None:
    axes = [cards.get(name) for name in ("NAXIS1", "NAXIS2")]
    if not all(type(axis) is int and axis > 0 for axis in axes):
        return None
    return Geometry(
        width=int(str(axes[0])),
        height=int(str(axes[1])),
        xbinning=_binning(cards, _X_BINNING, 0),
        # Some write XBINNING alone.
        ybinning=_binning(cards, (*_Y_BINNING, *_X_BINNING), 1),
        bayerpat=_bayer(cards),
    )


def _binning(cards: Cards, names: Iterable[str], axis: int) -> int:
    """Read 2, 2.0, '2', '2x2', '2*2' or '2 2'; 1 where the header is silent."""
    found = re.findall(r"(\d+)(?:\.\d*)?", str(first_of(cards, names)[1] or ""))
    return max(1, int(found[min(axis, len(found) - 1)])) if found else 1


def _bayer(cards: Cards) -> str | None:
    pattern = str(first_of(cards, _BAYER)[1]).strip().upper()
    return pattern if pattern in _BAYER_PATTERNS else None


def _off_set_point(
    keywords: Mapping[str, Value], ccd_temp_c: float | None, rules: HeaderRules
) -> tuple[str, ...]:
    """Tell where the sensor is farther from its set-point than the configured tolerance."""
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


def _problems(cards: Cards, geometry: Geometry | None) -> Iterator[str]:
    planes = cards.get("NAXIS3", 1)
    if geometry is None or cards.get("NAXIS") not in (2, 3):
        yield f"holds no image of two dimensions (NAXIS {cards.get('NAXIS')})"
    elif cards.get("NAXIS") == 3 and planes != 1:
        yield f"is a colour image of {planes} planes; give the raw frame, not debayered"
    bits = cards.get("BITPIX", 16)
    if bits not in _SAMPLE_BITS:
        yield f"has samples of an unknown kind (BITPIX {bits}); give one of {_SAMPLE_BITS}"
    for name in ("BSCALE", "BZERO"):
        if number_of(cards.get(name, 0)) is None:
            yield f"is damaged: {name} is {cards[name]}, and no number"
    if str(cards.get("CALSTAT", "")).strip():
        yield f"is calibrated already (CALSTAT '{cards['CALSTAT']}'); give the raw frame"
