"""Recognize what was made of frames: stacks, and frames whose pixels were changed."""

from __future__ import annotations

import re
from typing import Final

from calmasters.headers.fits_cards import BIAS_HISTORY, Cards, CardValue, number_of

__all__ = [
    "PROCESSING_CARDS",
    "bias_removal",
    "changed_unit",
    "is_processed_name",
    "is_stack",
    "overscan_removal",
    "processing",
]

_STACK_COUNT: Final = ("STACKCNT", "NCOMBINE", "NUMFRAME", "NCOMB", "NDARKS")
#: Logicals that mark masters (banzai, msumastro), and the first names of combined frames (IRAF).
_STACK_FLAGS: Final = ("ISMASTER", "MASTER")
_STACK_PARTS: Final = ("IMCOM001", "IMCMB001")

#: Cards that IRAF, ccdproc, banzai and others add to a frame from which a bias was subtracted.
_BIAS_CARDS: Final = (
    "ZEROCOR", "BIASCOR", "BIASCORR", "SUBBIAS", "BIASSUB", "ZEROSUB", "L1IDBIAS", "BIASIM",
    "DEBIAS",
)  # fmt: skip
#: Cards that IRAF (and this project), ccdproc and others add where an overscan was subtracted.
_OVERSCAN_CARDS: Final = ("OVERSCAN", "SUBOSCAN", "OSCANSUB")
_STEP_CARDS: Final = (
    *_BIAS_CARDS,
    "DARKCOR", "DARKCORR", "SUBDARK", "DARKSUB", "L1IDDARK", "DARKIM", "DEDARK",
    "FLATCOR", "FLATCORR", "FLATDIV", "L1IDFLAT", "FLATIM", "DEFLAT",
    # 'raw' or 0 where nothing was done, in archives of NOAO and Las Cumbres Observatory.
    "PROCTYPE", "RLEVEL", "ESO PRO CATG", "CALIBRAT", "REDUCED",
    "CCDPROC", *_OVERSCAN_CARDS, "GAINCOR", "ILLUMCOR", "FRINGCOR",
)  # fmt: skip
#: Cards that have a number or a logical for a property of the camera: only a text is a step.
_ONLY_TEXT: Final = frozenset({"OVERSCAN"})
#: Cards that may have other texts: only a logical is a step.
_ONLY_TRUE: Final = frozenset({"CALIBRAT", "REDUCED"})
#: The unit of the samples, without remarks in brackets; and units that no camera writes: rates,
#: electrons, and those of light. 'e-/ADU' is a gain.
_UNIT: Final = "BUNIT"
_REMARK: Final = re.compile(r"(?<=\w)\s*[(\[].*")
_CHANGED_UNIT: Final = re.compile(
    r"[a-z-]+ *(?:/ *|per[ _]| )\(?(?:m?s|secs?|seconds?|min(?:ute)?s?|h(?:(?:ou)?r)?s?)\)?"
    r" *(?:\*\*|\^)?(?:-?1)?|cps"
    r"|[(\[]?(?:k?e(?:\^?-)?|el|elec(?:tron)?s?|photo-?electrons?|photons?)[)\]]?"
    r"(?!/adu)(?:[ /].*)?"
    r"|[mnuµk]?jy\b.*|jansky.*|mag\b.*|.*magg(?:y|ies)|flux.*|erg.*|w/?m.*|normali[sz]ed"
)
#: Cards that this module reads.
PROCESSING_CARDS: Final = (
    "CALSTAT", "HISTORY", BIAS_HISTORY, _UNIT, *_STACK_COUNT, *_STACK_FLAGS, *_STACK_PARTS,
    *_STEP_CARDS,
)  # fmt: skip

#: Values of a step that was not done.
_NOT_DONE: Final = frozenset(
    {"", "-", "--", "f", "false", "n", "no", "none", "off", "0", "n/a", "nan", "null", "unknown"}
    | {"omit", "omitted", "perform", "pending", "skipped", "raw", "uncalibrated"}
)
_TRUE: Final = frozenset({"t", "true", "y", "yes", "1"})

#: Names that WBPP (flat_001_c.xisf, _c_cc_d_r) and Siril (pp_flat_00001.fit) give.
_PROCESSED_NAME: Final = re.compile(
    r"^(?:(?:r|bkg|cc|s|c|b|m)_)*pp_|^calibrated[_-]|(?:_cc?(?:_(?:cc|d|r|n|ln|a|b|h))*|_calibrated)\.\w+(?:\.\w+)?$"
)


def is_stack(cards: Cards) -> bool:
    """Return whether cards say that the file is a stack of frames."""
    return (
        any((number_of(cards[name]) or 0) > 1 for name in _STACK_COUNT if name in cards)
        or any(_text(cards[name]) in _TRUE for name in _STACK_FLAGS if name in cards)
        or any(name in cards for name in _STACK_PARTS)
        or "M" in _calibration_letters(cards)
    )


def is_processed_name(name: str) -> bool:
    """Return whether WBPP or Siril gives such a name to a calibrated frame.

    >>> is_processed_name("flat_001_c.xisf"), is_processed_name("pp_flat_1.fit")
    (True, True)
    """
    return bool(_PROCESSED_NAME.search(name))


def processing(cards: Cards, name: str) -> str:
    """Return the sign that the pixels of a frame were changed; empty for a raw frame.

    Parameters
    ----------
    cards : Cards
    name : str
        Of the file.
    """
    if letters := _calibration_letters(cards):
        return f"CALSTAT '{letters}'"
    for card in _STEP_CARDS:
        if card in cards and _is_done(card, cards[card]):
            return card
    if process := cards.get("HISTORY") or cards.get(BIAS_HISTORY):
        return f"HISTORY '{process}'"
    if sign := changed_unit(cards):
        return sign
    # A filter may be named c.
    ends_with_filter = str(cards.get("FILTER", "")).casefold().startswith("c")
    if is_processed_name(name) and not (ends_with_filter and "_c." in name):
        return f"name '{name}'"
    return ""


def changed_unit(cards: Cards) -> str:
    """Return the card that says that samples are electrons, light or a rate; empty without one."""
    unit = str(cards.get(_UNIT, "")).strip()
    is_changed = _CHANGED_UNIT.fullmatch(_REMARK.sub("", unit.casefold()))
    return f"{_UNIT} '{unit}'" if is_changed else ""


def bias_removal(cards: Cards) -> str:
    """Return the sign that a bias was subtracted; empty without one."""
    if "B" in (letters := _calibration_letters(cards)):
        return f"CALSTAT '{letters}'"
    done = next((card for card in _BIAS_CARDS if _is_done(card, cards.get(card))), "")
    process = cards.get(BIAS_HISTORY)
    return done or (f"HISTORY '{process}'" if process else "")


def overscan_removal(cards: Cards) -> str:
    """Return the card that says that an overscan was subtracted; empty without one."""
    return next((card for card in _OVERSCAN_CARDS if _is_done(card, cards.get(card))), "")


def _calibration_letters(cards: Cards) -> str:
    """Return CALSTAT: B, D, F for what was applied, M for a master; empty for a raw frame."""
    letters = str(cards.get("CALSTAT", "")).strip()
    return "" if letters.casefold() in _NOT_DONE else letters.upper()


def _is_done(card: str, value: CardValue | None) -> bool:
    if value is None or (card in _ONLY_TEXT and not isinstance(value, str)):
        return False
    return _text(value) in _TRUE if card in _ONLY_TRUE else _text(value) not in _NOT_DONE


def _text(value: CardValue) -> str:
    return str(value).strip().casefold()
