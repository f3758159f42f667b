"""Header cards as they stand in FITS and XISF files: keyword, value, comment.

Plain FITS cards are read here, fast and with the standard library alone, since an inventory reads
tens of thousands of headers; headers with odd cards (``CONTINUE``, ``HIERARCH``) go to astropy,
and XISF files to the ``xisf`` package.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias

from calmasters.errors import FrameError
from calmasters.frames import Value

__all__ = ["Card", "CardValue", "FitsHeader", "read_cards", "read_fits_header"]

#: What a card can hold: a keyword's value, or a logical.
CardValue: TypeAlias = Value | bool

_CARD: Final = 80
_BLOCK: Final = 2880
#: Headers are a few blocks long; one of 3 MB is damage or malice.
_MOST_BLOCKS: Final = 1000
_COMMENTARY: Final = ("COMMENT", "HISTORY", "")
_ODD: Final = (b"CONTINUE", b"HIERARCH")
_STRING: Final = re.compile(r"\s*'((?:[^']|'')*)'")


@dataclass(frozen=True, slots=True)
class Card:
    """One header card; ``HISTORY`` may repeat."""

    keyword: str
    value: CardValue
    comment: str = ""


@dataclass(frozen=True, slots=True)
class FitsHeader:
    """The header of a FITS file's image.

    Attributes
    ----------
    cards : mapping of str to CardValue
        The first value of each keyword; in a file whose image is an extension, the primary
        header's cards stand under the extension's.
    data_offset : int
        Where the image's data begin, in bytes from the start of the file.
    """

    cards: Mapping[str, CardValue]
    data_offset: int

    @property
    def end_of_data(self) -> int:
        """Bytes the file must have at least."""
        return self.data_offset + _data_bytes(self.cards)


def read_cards(path: Path) -> Mapping[str, CardValue]:
    """Read the cards of a FITS or XISF image, by its extension.

    Raises
    ------
    FrameError
        If the file cannot be read or is not what its name says.
    """
    if path.suffix.lower() == ".xisf":
        return _read_xisf_cards(path)
    return read_fits_header(path).cards


def read_fits_header(path: Path) -> FitsHeader:
    """Read the header of the first image of a FITS file.

    Raises
    ------
    FrameError
        If the file cannot be read, is not FITS, has no END, or holds no image or several.
    """
    try:
        with path.open("rb") as file:
            primary = _cards_of(_read_blocks(file, b"SIMPLE"))
            if primary.get("NAXIS") != 0:
                return FitsHeader(primary, file.tell())
            return _first_extension(file, primary)
    except (OSError, OverflowError) as error:
        raise FrameError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _first_extension(file: BinaryIO, primary: dict[str, CardValue]) -> FitsHeader:
    """Read the image extension behind a primary HDU without data; it must be the only one."""
    extension = _cards_of(_read_blocks(file, b"XTENSION"))
    if extension.get("XTENSION") != "IMAGE":
        raise FrameError(f"holds no image but a {extension.get('XTENSION')} extension")
    offset = file.tell()
    file.seek(_padded(_data_bytes(extension)), 1)
    if file.read(len(b"XTENSION= 'IMAGE")) == b"XTENSION= 'IMAGE":
        raise FrameError("holds several images (extensions); split them into files of one image")
    return FitsHeader(primary | extension, offset)


def _data_bytes(cards: Mapping[str, CardValue]) -> int:
    try:
        axes = [int(cards[f"NAXIS{axis + 1}"]) for axis in range(int(cards.get("NAXIS", 0)))]
        if any(axis < 0 for axis in axes):
            raise ValueError(f"axes {axes}")
        return abs(int(cards.get("BITPIX", 8))) // 8 * prod(axes)
    except (KeyError, ValueError, OverflowError) as error:
        raise FrameError(
            f"is damaged: its header does not give the image's size ({error})"
        ) from error


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _read_blocks(file: BinaryIO, first: bytes) -> bytes:
    """Read header blocks up to the one with END, leaving the file at the data."""
    start = file.tell()
    text = _read_some(file)
    if not text.startswith(first):
        raise FrameError("is not a FITS file: it is empty" if not text else "is not a FITS file")
    while (end := _find_end(text)) < 0:
        more = _read_some(file)
        if not more or len(text) > _MOST_BLOCKS * _BLOCK:
            raise FrameError("is truncated: its header has no END")
        text += more
    file.seek(start + _padded(end + _CARD))
    return text[:end]


def _read_some(file: BinaryIO) -> bytes:
    # Some programs pad with null bytes where FITS has blanks.
    return file.read(4 * _BLOCK).replace(b"\0", b" ")


def _find_end(text: bytes) -> int:
    """Find where the END card begins; -1 where there is none among the whole cards."""
    at = text.find(b"END     ")
    while at >= 0 and at % _CARD:
        at = text.find(b"END     ", at + 1)
    return at


def _cards_of(text: bytes) -> dict[str, CardValue]:
    cards: dict[str, CardValue] = {}
    for start in range(0, len(text), _CARD):
        card = text[start : start + _CARD]
        if card.startswith(_ODD):
            return _cards_by_astropy(text)
        parsed = _parse(card)
        if parsed and parsed[0] not in cards:
            cards[parsed[0]] = parsed[1]
    return cards


# Frames of one night share most of their cards: remembering them halves the time.
@lru_cache(maxsize=8192)
def _parse(card: bytes) -> tuple[str, CardValue] | None:
    """Parse one plain card; None for comments, blanks and cards without a value."""
    if card[8:10] != b"= ":
        return None
    keyword = card[:8].decode("latin-1").rstrip().upper()
    if keyword in _COMMENTARY:
        return None
    text = card[10:].decode("latin-1")
    if match := _STRING.match(text):
        return keyword, match[1].replace("''", "'").rstrip()
    value = _parse_bare(text.partition("/")[0].strip())
    return None if value is None else (keyword, value)


def _parse_bare(text: str) -> CardValue | None:
    """Parse a logical or a number, as FITS or XISF write it; None for an undefined value."""
    if text in ("T", "F"):
        return text == "T"
    for convert in (int, _float):
        try:
            return convert(text)
        except ValueError:
            continue
    return text or None


def _float(text: str) -> float:
    return float(text.upper().replace("D", "E"))


def _cards_by_astropy(text: bytes) -> dict[str, CardValue]:
    from astropy.io.fits import Header
    from astropy.io.fits.card import Undefined

    header = Header.fromstring(text.decode("latin-1"))
    cards: dict[str, CardValue] = {}
    for card in header.cards:
        try:
            keyword, value = card.keyword.upper(), card.value
        except Exception:
            continue
        if keyword not in _COMMENTARY and not isinstance(value, Undefined | complex):
            cards.setdefault(keyword, value)
    return cards


def _read_xisf_cards(path: Path) -> Mapping[str, CardValue]:
    from xisf import XISF

    try:
        image = XISF(str(path)).get_images_metadata()[0]
        width, height, channels = image["geometry"]
        cards = dict(_keywords_of(image.get("FITSKeywords", {})))
    except Exception as error:  # the package raises whatever the damage causes
        raise FrameError(f"cannot be read as XISF: {error}") from error
    # The image itself, not its keywords, says how large it is.
    axes = {"NAXIS": 2 if channels == 1 else 3, "NAXIS1": width, "NAXIS2": height}
    return {**cards, **axes, "NAXIS3": channels}


def _keywords_of(found: Mapping[str, Any]) -> Iterator[tuple[str, CardValue]]:
    for keyword, entries in found.items():
        # The package has taken the outer quotes off.
        value = _parse_bare(str(entries[0]["value"]).replace("''", "'").strip())
        if keyword.upper() not in _COMMENTARY and value is not None:
            yield keyword.upper(), value
