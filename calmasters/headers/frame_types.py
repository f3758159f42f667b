"""Words for the types of frames, as capture programs and observers write them.

The same words are read in headers, in names of folders and in names of files. In a header every
word must be known. A name may have more words, as long as it cannot be the name of an object: see
:func:`types_in_name`.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Final

from calmasters.frame import FrameType

__all__ = [
    "canonical_type",
    "flat_kind",
    "frame_type",
    "is_master_type",
    "may_have_type",
    "types_in_name",
]


def _any(*words: str) -> str:
    """Return a pattern of one of the words; longer ones first, as 'skyflat' begins like 'sky'."""
    return "|".join(sorted(" ".join(words).split(), key=len, reverse=True))


def _words(*words: str) -> frozenset[str]:
    return frozenset(" ".join(words).split())


#: What a flat may be of: a word of its own ('sky flat') or the start of one ('skyflat').
_FLAT_KINDS: Final = (
    "sky dome dme twilight twi lamp panel internal int led projector screen box lightbox dusk dawn "
    "evening morning tshirt wizard quartz slit on"
)
_FILTERS: Final = (
    "l r g b u v i z y h s o c w n ha hb halpha hbeta alpha beta oiii sii nii lum luminance red "
    "green blue clear uv ir uvir ircut cls lp lps lpro uhc duo dual band dualband narrowband nb "
    "broadband bb lenhance lextreme lultimate none nofilter rot gruen grün blau rouge vert bleu "
    "rojo verde azul rosso osc mono rgb lrgb color colour sdss sloan johnson bessel bessell "
    "cousins prime nm baader antlia astronomik optolong zwo chroma astrodon svbony"
)

#: A word for a type in lower case: 'darks', 'dflat', 'domeflats', 'biasframe', 'dunkelbilder'.
_TYPE_WORD: Final = re.compile(
    r"(?:master|super|raw)?(?:"
    r"(?P<bias>bias(?:es)?|biais|offset|zero|null(?=bild))"
    r"|(?P<dark>dark|darkflat|flatdark|dunkel|noir|oscuro|oscura|donker)"
    rf"|(?P<flat>(?:{_any(_FLAT_KINDS, 'd p s t u b v r i g l h')})?flat(?:lamp)?"
    r"|(?:hell|weiss)(?=bild|feld)|plan[oa]|piatt[oi]|plu$)"
    r"|(?P<light>light|licht|science)"
    r")(?:(?:frame|field|image|shot)?s?|(?:bild|feld)(?:er)?|aufnahmen?)"
)
#: Words for what lights a flat; the first kind with a word counts ('dome lamp flat').
_LIGHT_OF_FLAT: Final = {
    "dome": "dome dme d projector screen",
    "sky": "sky twilight twi dusk dawn evening morning tshirt s t",
    "panel": "panel led box lightbox",
    "internal": "internal int lamp quartz slit i",
}
_KIND_AND_FLAT: Final = re.compile(
    r"(?:master|super|raw)?(?:"
    + "|".join(rf"(?P<{kind}>{_any(words)})" for kind, words in _LIGHT_OF_FLAT.items())
    + r")flats?(?:lamps?|fields?|frames?|images?)?s?"
)
#: Words of :data:`_LIGHT_OF_FLAT` that may stand beside the word flat; single letters may not.
_KIND_WORDS = {
    word: kind for kind, words in _LIGHT_OF_FLAT.items() for word in words.split() if len(word) > 1
}
_KIND_WORDS |= {f"flat{word}": kind for word, kind in _KIND_WORDS.items()}
#: Lower-case parts of which every text with a kind has one; most headers have none.
_KIND_HINTS: Final = re.compile(
    r"dome|dme|dflat|projector|screen|sky|twi|dusk|dawn|evening|morning|tshirt|sflat|tflat|panel"
    r"|led|box|int|lamp|quartz|slit|iflat",
    re.IGNORECASE,
)


#: Words for types that can also be a part of an object's name; their plurals cannot.
_UNCLEAR: Final = _words(
    "zero dark dunkel noir oscuro oscura donker flat plano plana piatto light licht science"
)
#: A flat and its filter in one word: 'flatha'.
_FLAT_AND_FILTER: Final = re.compile(rf"flats?(?:{_any(_FILTERS)})")
#: Words for types only in headers: in a name they could be anything.
_HEADER_WORDS: Final = {
    **dict.fromkeys(("twilight", "twi"), FrameType.FLAT),
    **dict.fromkeys(("object", "expose", "snapshot", "standard", "std", "sci"), FrameType.LIGHT),
}

#: Words that say that a name is about frames, so that one further word may be unknown.
_FRAMES: Final = _words(
    "frame frames master masters calib calibration calibrations cali cal kalibrierung bilder "
    "aufnahmen"
)
#: Words between 'darks' and 'flats' if the darks belong to flats.
_OF: Final = _words("of for für fuer pour para per de di del von")
#: Words that may stand beside any type, and beside a flat.
_NEUTRAL: Final = (
    _FRAMES
    | _OF
    | _words(
        _FILTERS,
        "& + , field fields image images imgs img file files exposure exposures raw raws set sets "
        "series seq sequence session library lib new old all super campo campos campi tomas",
        "e f k t x a sec secs sek second seconds ms us min mins m mm deg degc adu",
        "gain iso bin binning binned temp temperature exp exptime filter filt date camera cam ccd "
        "cmos hcg lcg level current scope telescope target autosave autorun capture ngc ic messier",
        "bad reject rejects rejected trash discarded",
        "jan feb mar apr may jun jul aug sep oct nov dec and und et with the",
    )
)
_NEUTRAL_OF_FLATS: Final = _NEUTRAL | _words(_FLAT_KINDS)
#: Words that are never beside a type: landscapes, and frames that were combined already.
_NO_TYPE: Final = _words(
    "salt mud stack stacked combined integration integrated average averaged mean median calibrated"
)

#: A setting of the camera in a name: 'offset 50', 'OFFSET_150'. Not a counter ('offset_0001') or a
#: date ('offset 2026-01-15').
_OFFSET_SETTING: Final = re.compile(
    r"(?<![^\W\d_])offset[\s_=-]*(?!(?:19|20)\d\d[\s_-]?[01]\d[\s_-]?[0-3]\d)(?:0|[1-9]\d*)(?!\d)",
    re.IGNORECASE,
)
_WORD: Final = re.compile(r"[&+,]|[^\W_]+")
_CASE_CHANGE: Final = re.compile(r"(?<=[a-zà-ÿ])(?=[A-ZÀ-Þ])")
_LETTERS: Final = re.compile(r"[^\W\d_]+")
#: One of these is in every name with a type.
_HINTS: Final = re.compile(
    "bia|offset|zero|bild|feld|dark|dunkel|noir|oscur|donker|flat|plan|piatt|plu|light|licht|science"
)


@cache
def frame_type(text: str) -> FrameType | None:
    """Return the type that a header names, in any spelling; None for an unknown type.

    >>> frame_type("Flat Field"), frame_type("FLAT,SKY"), frame_type("Tricolor Image")
    (<FrameType.FLAT: 'flat'>, <FrameType.FLAT: 'flat'>, None)
    """
    found = _types(text, in_header=True)
    return found[0] if len(found) == 1 else None


@lru_cache(1 << 12)
def flat_kind(text: str) -> str:
    """Return what lights a flat, by the text of its type: dome, sky, panel or internal.

    Empty for a text that does not say it, and for one that is not of a flat.

    >>> flat_kind("FLAT,SKY"), flat_kind("dflat"), flat_kind("Flat Field"), flat_kind("dome dark")
    ('sky', 'dome', '', '')
    """
    if not _KIND_HINTS.search(text) or frame_type(text) not in (None, FrameType.FLAT):
        return ""
    words = [word.casefold() for word in _WORD.findall(_CASE_CHANGE.sub(" ", text))]
    if "twilight" in words or "twi" in words:
        return "sky"
    joined = [match for word in words if (match := _KIND_AND_FLAT.fullmatch(word))]
    if not joined and not any("flat" in word for word in words):
        return ""
    kinds = {match.lastgroup for match in joined} | {*map(_KIND_WORDS.get, words)}
    return next((kind for kind in _LIGHT_OF_FLAT if kind in kinds), "")


def may_have_type(name: str) -> bool:
    """Return False if a name certainly has no type: a quick check for names of many files."""
    return _HINTS.search(name.lower()) is not None


def types_in_name(name: str) -> tuple[FrameType, ...]:
    """Return the types that the name of a folder or file has; several contradict each other.

    Numbers, dates, filters, settings and codes such as M31 may stand beside the type. Beside a
    plural (Flats), 'bias', or a word such as 'frame', one further word may be unknown. Beside
    'dark' or 'flat' none may, since 'Dark Shark' is an object.

    >>> types_in_name("Flats Newton 2026-01-15"), types_in_name("Dark Shark")
    ((<FrameType.FLAT: 'flat'>,), ())
    """
    return _types(_OFFSET_SETTING.sub(" ", name), in_header=False)


def canonical_type(text: str) -> str:
    """Return the canonical TYPE: the name of a known type, else the normalized text."""
    return (frame_type(text) or _normalized(text)).lower()


def is_master_type(text: str) -> bool:
    """Return whether a type is that of a master."""
    return _normalized(text).startswith(("master", "superbias"))


@cache
def _normalized(text: str) -> str:
    """Remove case, separators and the suffix: 'Bias Frame' and 'BIAS_FRAME' become 'bias'."""
    name = re.sub(r"[\s_-]+", "", text.casefold())
    return re.sub(r"(?<=.)(frames?|field|image)$", "", name)


def _types(text: str, *, in_header: bool) -> tuple[FrameType, ...]:
    words = [word.casefold() for word in _WORD.findall(_CASE_CHANGE.sub(" ", text))]
    typed = [(word, kind) for word in words for kind in [_type_of(word, in_header)] if kind]
    types = tuple(dict.fromkeys(kind for _, kind in typed))
    known = _NEUTRAL_OF_FLATS if FrameType.FLAT in types else _NEUTRAL
    # In a name, a word with a digit is a number with its unit, or a code: 300s, M31, ASI2600MM.
    read = {word for word in words if (not word.isdigit() if in_header else word.isalpha())}
    unknown = read - known - {word for word, _ in typed}
    is_clear = not _FRAMES.isdisjoint(words) or any(word not in _UNCLEAR for word, _ in typed)
    if len(unknown) > (is_clear and not in_header) or not _NO_TYPE.isdisjoint(unknown):
        return ()
    return _type_for_flats(words, typed) or types


def _type_of(word: str, in_header: bool) -> FrameType | None:
    """Return the type that one word names: 'flats', 'dark300s'."""
    if in_header and word in _HEADER_WORDS:
        return _HEADER_WORDS[word]
    for letters in _LETTERS.findall(word):
        if match := _TYPE_WORD.fullmatch(letters):
            return next(FrameType(name) for name, text in match.groupdict().items() if text)
        if _FLAT_AND_FILTER.fullmatch(letters):
            return FrameType.FLAT
    return None


def _type_for_flats(words: list[str], typed: list[tuple[str, FrameType]]) -> tuple[FrameType, ...]:
    """Return the type of frames that belong to flats: 'dark flats', 'flat bias', 'darks for flats'.

    'Darks and Flats', 'Darks_Flats' are two types: nothing is returned.
    """
    if len(typed) != 2:
        return ()
    (first, one), (second, other) = typed
    between = words[words.index(first) + 1 : words.index(second)]
    belongs = bool(between) and _OF.issuperset(between)
    is_one_name = not between and not first.endswith("s")
    if {one, other} == {FrameType.DARK, FrameType.FLAT} and (belongs or is_one_name):
        return (FrameType.DARK,)
    is_flat_bias = (one, other) == (FrameType.FLAT, FrameType.BIAS) and is_one_name
    is_bias_of_flats = (one, other) == (FrameType.BIAS, FrameType.FLAT) and belongs
    return (FrameType.BIAS,) if is_flat_bias or is_bias_of_flats else ()
