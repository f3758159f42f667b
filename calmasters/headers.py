"""Header cards to canonical keywords: every capture program's dialect lives here.

Canonical keywords are TYPE, INSTRUME, SET-TEMP, GAIN, OFFSET, READOUTM, DATE, FILTER and EXPOSURE,
and any other card that the configuration names. Past this module nobody looks at raw cards.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path, PurePath
from typing import Final

from calmasters.cards import CardValue, read_cards
from calmasters.errors import FrameError
from calmasters.frames import FrameType, Geometry, Value
from calmasters.settings import HeaderRules, parse_zone

__all__ = [
    "ALIASES",
    "MASTER_EXTENSIONS",
    "Description",
    "canonical_type",
    "describe",
    "frame_type",
    "get_fits_headers",
    "get_metadata_for_directory",
]

#: Files that can hold a master.
MASTER_EXTENSIONS: Final = (".fits", ".fit", ".fts", ".xisf")

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
}

_CCD_TEMP: Final = (
    *("CCD-TEMP", "CCD_TEMP", "CCDTEMP", "TEMPERAT", "CAMTCCD"),
    *("DET-TEMP", "DET_TEMP", "SENSOR-TEMP", "TEMP", "CAMTEMP"),
)
_X_BINNING: Final = ("XBINNING", "CCDXBIN", "BINX", "HBIN", "BINNING", "CCDSUM")
_Y_BINNING: Final = ("YBINNING", "CCDYBIN", "BINY", "VBIN", "BINNING", "CCDSUM")
_BAYER: Final = ("BAYERPAT", "COLORTYP", "CFAIMAGE", "MOSAIC")
_BAYER_PATTERNS: Final = frozenset({"RGGB", "BGGR", "GBRG", "GRBG"})
_UTC: Final = ("DATE-OBS", "DATE-BEG", "DATE_OBS", "DATE-HP")
_TIME_OF_DAY: Final = ("TIME-OBS", "UT", "UTC", "UT-OBS")
_LOCAL: Final = ("DATE-LOC", "LOCALTIM", "DATE-LT")
_LONGITUDE: Final = ("SITELONG", "SITE-LON", "OBSLONG", "LONG-OBS", "OBSGEO-L")
_STACK_COUNT: Final = ("STACKCNT", "NCOMBINE", "NUMFRAME", "NCOMB", "NDARKS")

_NUMBERS: Final = frozenset({"SET-TEMP", "EXPOSURE"})
_MAYBE_NUMBERS: Final = frozenset({"GAIN", "OFFSET"})

_TYPE_CARDS: Final = (
    *("TYPE", "IMAGETYP", "FRAMETYP", "FRAME"),
    *("OBSTYPE", "OBSTYP", "OBS_TYPE", "IMTYPE", "IMAGETYPE", "CALFRAME"),
)
#: Spellings after :func:`_squeezed`; a dark-flat is a dark.
_TYPES: Final[Mapping[str, FrameType]] = {
    **dict.fromkeys(("bias", "offset", "zero", "superbias"), FrameType.BIAS),
    **dict.fromkeys(("dark", "darkflat", "flatdark"), FrameType.DARK),
    **dict.fromkeys(("flat", "skyflat", "domeflat", "twilightflat", "flatlamp"), FrameType.FLAT),
    **dict.fromkeys(("light", "science", "object", "expose", "snapshot"), FrameType.LIGHT),
}

#: Keys that may stand in a folder or file name as KEY_value or KEY-value, beside the canonical.
_PATH_KEYS: Final[Mapping[str, str]] = {
    **{"SETTEMP": "SET-TEMP", "EXP": "EXPOSURE", "EXPTIME": "EXPOSURE", "CAMERA": "INSTRUME"},
    **{"IMAGETYP": "TYPE", "TYPE": "TYPE", "DATE": "DATE", "DATE-OBS": "DATE"},
}
_NUMBER_WITH_UNIT: Final = re.compile(r"([-+]?\d+(?:\.\d+)?)(?:s|sec|C)?", re.IGNORECASE)
_MASTER_NAME: Final = re.compile(r"(?:master|super)[ _-]?(bias|dark|flat)", re.IGNORECASE)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class Description:
    """What a header says, in canonical terms.

    Attributes
    ----------
    keywords : mapping of str to Value
        Canonical keywords; TYPE is a :class:`FrameType` value or, for anything else, the
        header's own word in lower case.
    master : bool
        The file is a stack of frames, not one frame.
    geometry : Geometry or None
        None where the file holds no two-dimensional image.
    ccd_temp_c : float or None
        Actual temperature, degrees Celsius.
    date_obs : str or None
        Start of the exposure, ISO 8601, UTC.
    sources : mapping of str to str
        Where a value came from, for those that are not the plain keyword.
    warnings, problems : tuple of str
        What is odd, and what keeps the image from use.
    """

    keywords: Mapping[str, Value]
    master: bool
    geometry: Geometry | None
    ccd_temp_c: float | None
    date_obs: str | None
    sources: Mapping[str, str]
    warnings: tuple[str, ...]
    problems: tuple[str, ...]


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
    keywords = dict(found.keywords)
    if found.master and "TYPE" in keywords:
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
        if hidden or path.suffix.lower() not in MASTER_EXTENSIONS:
            continue
        with suppress(FrameError):
            keywords = get_fits_headers(path, rules)
            if filter_func is None or filter_func(keywords):
                found[str(path)] = keywords
    return found


def describe(cards: Mapping[str, CardValue], path: PurePath, rules: HeaderRules) -> Description:
    """Translate cards into canonical terms.

    Parameters
    ----------
    cards : mapping of str to CardValue
        As :func:`calmasters.cards.read_cards` returns them.
    path : PurePath
        Where ``KEY_value`` tokens may stand; relative to the scanned directory.
    rules : HeaderRules
        How to read.
    """
    keywords, sources = _read_keywords(cards, path, rules)
    ccd_temp_c = _number(_first(cards, _CCD_TEMP)[1])
    if "SET-TEMP" not in keywords and ccd_temp_c is not None:
        keywords["SET-TEMP"] = _on_grid("SET-TEMP", float(round(ccd_temp_c)), rules)
        sources["SET-TEMP"] = "CCD-TEMP, rounded"
    geometry = _geometry(cards)
    utc = _utc(cards)
    return Description(
        keywords=keywords,
        master=_is_master(cards, path),
        geometry=geometry,
        ccd_temp_c=ccd_temp_c,
        date_obs=utc.replace(tzinfo=None).isoformat() if utc else None,
        sources=sources,
        warnings=tuple(_warnings(cards, keywords, ccd_temp_c, rules)),
        problems=tuple(_problems(cards, geometry)),
    )


# --- keywords -------------------------------------------------------------------------------------


def _read_keywords(
    cards: Mapping[str, CardValue], path: PurePath, rules: HeaderRules
) -> tuple[dict[str, Value], dict[str, str]]:
    """Find each wanted keyword in the header or in the path, and where it came from."""
    tokens = {} if rules.path_keywords == "off" else _path_tokens(path, rules)
    keywords: dict[str, Value] = {}
    sources: dict[str, str] = {}
    for keyword in _wanted(rules):
        value, source = _in_header(keyword, cards, rules)
        if keyword in tokens and (value is None or rules.path_keywords == "override"):
            value, source = tokens[keyword], "path"
        if value is None and keyword == "DATE":
            value, source = _creation_date(cards)
        if value is not None:
            keywords[keyword] = _on_grid(keyword, value, rules)
        if source and source not in _plain_names(keyword):
            sources[keyword] = source
    return keywords, sources


def _wanted(rules: HeaderRules) -> Iterable[str]:
    return dict.fromkeys(("TYPE", "DATE", *ALIASES, *rules.aliases, *rules.extra))


def _plain_names(keyword: str) -> tuple[str, ...]:
    """Name the sources of a keyword that need no mention."""
    plain = {"TYPE": ("TYPE", "IMAGETYP"), "EXPOSURE": ("EXPTIME", "EXPOSURE"), "DATE": _LOCAL[:1]}
    return plain.get(keyword, (keyword,))


def _in_header(
    keyword: str, cards: Mapping[str, CardValue], rules: HeaderRules
) -> tuple[Value | None, str]:
    if keyword == "DATE":
        return _night(cards, rules)
    aliases = rules.aliases.get(keyword, ())
    if keyword == "TYPE":
        return _type(cards, aliases)
    name, raw = _first(cards, (*aliases, *ALIASES.get(keyword, (keyword,))))
    if keyword == "EXPOSURE" and raw is None:
        microseconds = _number(cards.get("EXPOINUS"))
        return (None, "") if microseconds is None else (microseconds / 1e6, "EXPOINUS")
    value = _typed(keyword, raw)
    return (None, "") if value is None else (value, name)


def _first(cards: Mapping[str, CardValue], names: Iterable[str]) -> tuple[str, CardValue | None]:
    """Find the first of some cards that is present and not empty."""
    for name in names:
        value = cards.get(name)
        if value is not None and str(value).strip():
            return name, value
    return "", None


def _typed(keyword: str, raw: CardValue | None) -> Value | None:
    """Give a raw value its canonical type; None where it cannot have it."""
    if raw is None:
        return None
    if keyword in _NUMBERS:
        # Drivers write -18.899999618530273 for a set-point of -18.9.
        number = _number(raw)
        return None if number is None else round(number, 2 if keyword == "SET-TEMP" else 6)
    number = _number(raw) if keyword in _MAYBE_NUMBERS or not isinstance(raw, str) else None
    if number is None or isinstance(raw, bool):
        return " ".join(str(raw).split())
    return int(number) if number.is_integer() else number


def _number(raw: CardValue | None) -> float | None:
    """Read a finite number, also from text; None for anything else."""
    if raw is None or isinstance(raw, bool):
        return None
    try:
        number = float(raw)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _on_grid(keyword: str, value: Value, rules: HeaderRules) -> Value:
    """Round a number to the configured step, so that jitter does not split groups."""
    step = rules.round.get(keyword)
    if step is None or isinstance(value, str):
        return value
    return round(round(value / step) * step, 6)


# --- type -----------------------------------------------------------------------------------------


def frame_type(text: str) -> FrameType | None:
    """Recognise a frame type in any program's spelling; None for anything else.

    >>> frame_type("Flat Field"), frame_type("Master Dark"), frame_type("Tricolor Image")
    (<FrameType.FLAT: 'flat'>, <FrameType.DARK: 'dark'>, None)
    """
    return _TYPES.get(_squeezed(text).removeprefix("master"))


def canonical_type(text: str) -> str:
    """Write a type as TYPE has it: a known one by its name, any other squeezed to one word."""
    return (frame_type(text) or _squeezed(text)).lower()


@cache
def _squeezed(text: str) -> str:
    """'Bias Frame', 'BIAS_FRAME' and 'bias' are one word; at least one word is left."""
    word = re.sub(r"[\s_-]+", "", text.casefold())
    return re.sub(r"(?<=.)(frames?|field|image)$", "", word)


def _type(cards: Mapping[str, CardValue], aliases: tuple[str, ...]) -> tuple[Value | None, str]:
    """Find the type: the first card whose text is one, else the first that claims to be."""
    names = (*aliases, *_TYPE_CARDS)
    texts = {name: text for name in names if isinstance(text := cards.get(name), str)}
    for name, text in texts.items():
        if known := frame_type(text):
            return known.value, name
    for name in ("TYPE", "IMAGETYP", "FRAMETYP", "IMAGETYPE"):
        if texts.get(name, "").strip():
            return _squeezed(texts[name]), name
    return None, ""


def _is_master(cards: Mapping[str, CardValue], path: PurePath) -> bool:
    """Tell a stack from a frame: by its type, its count of frames, or its name."""
    texts = (str(cards.get(name, "")) for name in _TYPE_CARDS)
    return (
        any(_squeezed(text).startswith(("master", "superbias")) for text in texts)
        or any((_number(cards.get(name)) or 0) > 1 for name in _STACK_COUNT)
        or path.name.casefold().startswith(("master", "superbias"))
    )


# --- path -----------------------------------------------------------------------------------------


def _path_tokens(path: PurePath, rules: HeaderRules) -> dict[str, Value]:
    """Read KEY_value and KEY-value tokens of folders and name; the innermost wins."""
    keys = _path_keys(rules)
    tokens: dict[str, Value] = {}
    if named := _MASTER_NAME.match(path.name):
        tokens["TYPE"] = named[1].lower()
    for part in (*path.parent.parts, path.stem):
        for keyword, text in _tokens_of(part, keys):
            if (value := _token_value(keyword, text)) is not None:
                tokens[keyword] = value
    return tokens


def _path_keys(rules: HeaderRules) -> dict[str, str]:
    canonical = (*ALIASES, *rules.aliases, *rules.extra)
    return {**{keyword: keyword for keyword in canonical}, **_PATH_KEYS}


def _tokens_of(part: str, keys: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    words = part.split("_")
    for word, following in zip(words, (*words[1:], ""), strict=True):
        if word in keys:
            yield keys[word], following.strip()
            continue
        # The longest key first: DATE-OBS-2026-01-15 is DATE-OBS, not DATE.
        for key in sorted(keys, key=len, reverse=True):
            if word.startswith(f"{key}-"):
                yield keys[key], word[len(key) + 1 :].strip()
                break


def _token_value(keyword: str, text: str) -> Value | None:
    if keyword == "TYPE":
        known = frame_type(text)
        return known.value if known else None
    if keyword == "DATE":
        return text if _DATE.fullmatch(text) else None
    if keyword in _NUMBERS and (number := _NUMBER_WITH_UNIT.fullmatch(text)):
        return float(number[1])
    return _typed(keyword, text or None)


# --- night ----------------------------------------------------------------------------------------


def _night(cards: Mapping[str, CardValue], rules: HeaderRules) -> tuple[Value | None, str]:
    """Find the night: the local date of the exposure, minus 12 hours."""
    if local := _moment(cards, _LOCAL):
        return _evening(local), _LOCAL[0]
    utc = _utc(cards)
    if utc is None:
        # A date without a time is taken for the night it says.
        name, text = _first(cards, _UTC)
        return (found[0], name) if (found := _DATE.match(str(text))) else (None, "")
    if rules.timezone != "auto":
        local = utc.astimezone(parse_zone(rules.timezone))
        return _evening(local), f"DATE-OBS, zone {rules.timezone}"
    longitude = _degrees(_first(cards, _LONGITUDE)[1])
    if longitude is not None:
        return _evening(utc + timedelta(hours=longitude / 15)), "DATE-OBS, site longitude"
    return _evening(utc), "DATE-OBS, UTC"


def _evening(local: datetime) -> str:
    return (local.replace(tzinfo=None) - timedelta(hours=12)).date().isoformat()


def _creation_date(cards: Mapping[str, CardValue]) -> tuple[Value | None, str]:
    """Last resort: when the file was written."""
    text = str(cards.get("DATE", ""))
    if moment := _parse_moment(text):
        return _evening(moment), "DATE"
    return (text, "DATE") if _DATE.fullmatch(text) else (None, "")


def _utc(cards: Mapping[str, CardValue]) -> datetime | None:
    """Find the start of the exposure, UTC; None where the header has no time of day."""
    moment = _moment(cards, _UTC)
    if moment is None:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _moment(cards: Mapping[str, CardValue], names: Iterable[str]) -> datetime | None:
    """Read the first card that holds a date and a time, joined with TIME-OBS where it must be."""
    for name in names:
        text = str(cards.get(name, "")).strip()
        if text and "T" not in text and ":" not in text:
            text = f"{text}T{_first(cards, _TIME_OF_DAY)[1]}"
        if moment := _parse_moment(text):
            return moment
    return None


def _parse_moment(text: str) -> datetime | None:
    # N.I.N.A. writes seven fractional digits, Python reads six; MaxIm once wrote dd/mm/yy.
    text = re.sub(r"(\.\d{6})\d+", r"\1", text.strip())
    text = re.sub(r"^(\d\d)/(\d\d)/(\d\d)(?=T)", r"20\3-\2-\1", text)
    if "T" not in text and " " not in text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    # An unknown time is written as year 1; such a time also has no evening before it.
    return moment if 1 < moment.year < 9999 else None


def _degrees(raw: CardValue | None) -> float | None:
    """Read a longitude: decimal degrees or 'd m s', east positive."""
    number = _number(raw)
    if number is None and raw is not None:
        parts = [_number(part) for part in re.split(r"[\s:]+", str(raw).strip())]
        if len(parts) == 3 and None not in parts:
            degrees, minutes, seconds = (abs(part or 0.0) for part in parts)
            number = degrees + minutes / 60 + seconds / 3600
            number = -number if str(raw).strip().startswith("-") else number
    return number if number is not None and abs(number) <= 360 else None


# --- geometry and soundness -----------------------------------------------------------------------


def _geometry(cards: Mapping[str, CardValue]) -> Geometry | None:
    axes = [cards.get(name) for name in ("NAXIS1", "NAXIS2")]
    if not all(type(axis) is int and axis > 0 for axis in axes):
        return None
    return Geometry(
        width=int(str(axes[0])),
        height=int(str(axes[1])),
        xbinning=_binning(cards, _X_BINNING, 0),
        ybinning=_binning(cards, _Y_BINNING, 1),
        bayerpat=_bayer(cards),
    )


def _binning(cards: Mapping[str, CardValue], names: Iterable[str], axis: int) -> int:
    """Read 2, 2.0, '2', '2x2', '2*2' or '2 2'; 1 where the header is silent."""
    found = re.findall(r"(\d+)(?:\.\d*)?", str(_first(cards, names)[1] or ""))
    return max(1, int(found[min(axis, len(found) - 1)])) if found else 1


def _bayer(cards: Mapping[str, CardValue]) -> str | None:
    pattern = str(_first(cards, _BAYER)[1]).strip().upper()
    return pattern if pattern in _BAYER_PATTERNS else None


def _warnings(
    cards: Mapping[str, CardValue],
    keywords: Mapping[str, Value],
    ccd_temp_c: float | None,
    rules: HeaderRules,
) -> Iterator[str]:
    set_temp = keywords.get("SET-TEMP")
    if ccd_temp_c is not None and isinstance(set_temp, float):
        apart = abs(ccd_temp_c - set_temp)
        if apart > rules.temperature_tolerance_c + abs(rules.round.get("SET-TEMP", 0.0)) / 2:
            yield f"sensor at {ccd_temp_c:.1f} C, set-point {set_temp:.1f} C"
    exposures = [_number(cards.get(name)) for name in ("EXPTIME", "EXPOSURE")]
    if None not in exposures and abs((exposures[0] or 0.0) - (exposures[1] or 0.0)) > 1e-3:
        yield f"EXPTIME {exposures[0]:g} s differs from EXPOSURE {exposures[1]:g} s"


def _problems(cards: Mapping[str, CardValue], geometry: Geometry | None) -> Iterator[str]:
    planes = cards.get("NAXIS3", 1)
    if geometry is None or cards.get("NAXIS") not in (2, 3):
        yield f"holds no image of two dimensions (NAXIS {cards.get('NAXIS')})"
    elif cards.get("NAXIS") == 3 and planes != 1:
        yield f"is a colour image of {planes} planes; give the raw frame, not debayered"
    if str(cards.get("CALSTAT", "")).strip():
        yield f"is calibrated already (CALSTAT '{cards['CALSTAT']}'); give the raw frame"
