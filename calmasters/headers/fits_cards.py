"""Header cards (keyword, value, comment), and the headers of FITS files.

Headers are read here, fast and with the standard library alone, since an inventory reads tens of
thousands of them; only those with long strings (``CONTINUE``) go to astropy.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import starmap
from math import prod
from struct import Struct
from types import MappingProxyType
from typing import IO, Final, NamedTuple, TypeAlias

from calmasters.errors import FrameError
from calmasters.frame import Value

__all__ = [
    "COMMENTARY",
    "Card",
    "CardValue",
    "Cards",
    "ImageHeader",
    "axes_of",
    "first_of",
    "number_of",
    "padded",
    "parse_value",
    "read_fits_header",
]

#: What a card can hold: a keyword's value, or a logical.
CardValue: TypeAlias = Value | bool

#: The cards of a header, by keyword; the first of those that repeat.
Cards: TypeAlias = Mapping[str, CardValue]

_CARD: Final = 80
_CARDS: Final = Struct(f"{_CARD}s")
_BLOCK: Final = 2880
#: Bytes read at once.
_BLOCKS: Final = 4 * _BLOCK
#: Cards remembered.
_MOST_PARSED: Final = 8192
#: Headers are a few blocks long; one of 3 MB is damage or malice.
_MOST_BLOCKS: Final = 1000
_MOST_EXTENSIONS: Final = 100
#: Of a table (FITS standard 4.0, section 7.3.1).
_MOST_COLUMNS: Final = 999
_MOST_BYTES: Final = 1 << 50
#: Keywords whose cards have text but no value.
COMMENTARY: Final = ("COMMENT", "HISTORY", "")
_NO_SIZE: Final = "is damaged: its header does not give the image's size ({})"
_STRING: Final = re.compile(r"\s*'([^']*(?:''[^']*)*)'")


@dataclass(frozen=True, slots=True)
class Card:
    """One header card; ``HISTORY`` may repeat."""

    keyword: str
    value: CardValue
    comment: str = ""


class ImageHeader(NamedTuple):
    """The header of a file's image.

    Attributes
    ----------
    cards : Cards
        In a FITS file whose image is an extension, the primary header's cards stand under the
        extension's; a compressed image has the cards of the image, not of the table it lies in.
    data_offset : int
        Where the image's data begin, in bytes from the start of the (unzipped) file.
    end_of_data : int
        Bytes the file must have at least; 0 where the header cannot tell (``.gz``).
    packing : str
        How samples are stored: as they are (empty), ``gzip``, ``tiles`` (FITS tile compression)
        or ``xisf``.
    attributes : mapping of str to str
        Of an XISF file's ``Image`` element, as they stand there.
    """

    cards: Cards
    data_offset: int
    end_of_data: int
    packing: str = ""
    attributes: Mapping[str, str] = MappingProxyType({})


def first_of(cards: Cards, names: Iterable[str]) -> tuple[str, CardValue | None]:
    """Find the first of some cards that is present and not empty."""
    for name in names:
        value = cards.get(name)
        if value is not None and (not isinstance(value, str) or value.strip()):
            return name, value
    return "", None


def number_of(raw: CardValue | None) -> float | None:
    """Read a finite number, also from text; None for anything else."""
    if raw is None or isinstance(raw, bool):
        return None
    try:
        number = float(raw)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def read_fits_header(file: IO[bytes]) -> ImageHeader:
    """Read the header of the one image in a FITS file that was opened and is not zipped."""
    primary = _header_at(file, 0, b"SIMPLE")
    if primary is None:
        what = "is not a FITS file" if file.tell() else "is not a FITS file: it is empty"
        raise FrameError(f"{what}; copy it again, or leave it out (exclude)")
    return _only_image(file, primary) if primary.cards.get("NAXIS") == 0 else primary


def _header_at(file: IO[bytes], start: int, first: bytes) -> ImageHeader | None:
    """Read the header of an HDU, whose blocks begin with a card; None where none begins there."""
    if start:
        file.seek(start)
    text = _read_blocks(file, first)
    if text is None:
        return None
    cards = _cards_of(text)
    data = start + padded(len(text) + _CARD)
    return ImageHeader(cards, data, data + _data_bytes(cards))


def _only_image(file: IO[bytes], primary: ImageHeader) -> ImageHeader:
    """Find the one image among the extensions, plain or compressed."""
    images: list[ImageHeader] = []
    others: list[str] = []
    for extension in _extensions(file, padded(primary.end_of_data)):
        if extension.cards.get("ZIMAGE") is True:
            cards = _of_image({**primary.cards, **extension.cards})
            images.append(extension._replace(cards=cards, packing="tiles"))
        elif extension.cards.get("XTENSION") == "IMAGE" and extension.cards.get("NAXIS"):
            images.append(extension._replace(cards={**primary.cards, **extension.cards}))
        else:
            others.append(f"a {extension.cards.get('XTENSION', 'nameless')} extension")
    if len(images) > 1:
        raise FrameError("holds several images (extensions); split them into files of one image")
    if not images:
        raise FrameError(f"holds no image but {', '.join(others) or 'a header'}")
    return images[0]


def _extensions(file: IO[bytes], start: int) -> Iterator[ImageHeader]:
    for _ in range(_MOST_EXTENSIONS):
        header = _header_at(file, start, b"XTENSION")
        if header is None:
            return
        columns = header.cards.get("TFIELDS", 0)
        # astropy takes each of them in turn, and would do so for years.
        if not 0 <= (number_of(columns) or 0) <= _MOST_COLUMNS:
            raise FrameError(f"is damaged: its header declares {columns} columns; copy it again")
        yield header
        start = padded(header.end_of_data)
    raise FrameError(f"has more than {_MOST_EXTENSIONS} extensions; give a file of one image")


def _of_image(table: Cards) -> Cards:
    """Give a compressed image its own size and format (FITS standard 4.0, section 10.1)."""
    own = {key: value for key, value in table.items() if not re.fullmatch(r"NAXIS\d*", key)}
    found = {key[1:]: table[key] for key in table if re.fullmatch(r"Z(BITPIX|NAXIS\d*)", key)}
    return {**own, **found, "XTENSION": "IMAGE"}


def _data_bytes(cards: Cards) -> int:
    axes = axes_of(cards)
    try:
        # Only extensions have a heap.
        heap = int(cards.get("PCOUNT", 0)) if "XTENSION" in cards else 0
        size = abs(int(cards.get("BITPIX", 8))) // 8 * (prod(axes) * bool(axes) + heap)
        if min(*axes, heap, 0) < 0 or size > _MOST_BYTES:
            raise ValueError(f"axes {axes}, PCOUNT {heap}")
    except (ValueError, OverflowError) as error:
        raise FrameError(_NO_SIZE.format(error)) from error
    return size


def axes_of(cards: Cards) -> list[int]:
    """Give the lengths of the image's axes (NAXIS1, NAXIS2…); FrameError where a card is wrong."""
    try:
        return [int(cards[f"NAXIS{axis + 1}"]) for axis in range(int(cards.get("NAXIS", 0)))]
    except (KeyError, ValueError, OverflowError) as error:
        raise FrameError(_NO_SIZE.format(error)) from error


def padded(size: int) -> int:
    """Round a number of bytes up to whole blocks of a FITS file."""
    return -(-size // _BLOCK) * _BLOCK


def _read_blocks(file: IO[bytes], first: bytes) -> bytes | None:
    """Read the cards before END from where the file stands; None where no header begins there."""
    text = file.read(_BLOCKS)
    if not text.startswith(first):
        return None
    looked = 0
    while (end := _find_end(text, looked)) < 0:
        looked = len(text) // _CARD * _CARD
        more = file.read(_BLOCKS)
        if not more or len(text) > _MOST_BLOCKS * _BLOCK:
            raise FrameError("is truncated: its header has no END")
        text += more
    # Some programs pad with null bytes where FITS has blanks.
    return text[:end].replace(b"\0", b" ")


def _find_end(text: bytes, start: int) -> int:
    """Find where the END card begins, from a card on; -1 where there is none."""
    at = text.find(b"END", start)
    while at >= 0 and (at % _CARD or text[at + 3 : at + 8].replace(b"\0", b" ") != b"     "):
        at = text.find(b"END", at + 1)
    return at


def _cards_of(text: bytes) -> dict[str, CardValue]:
    images = [*_CARDS.iter_unpack(text)]
    if b"CONTINUE" in text and any(card.startswith(b"CONTINUE") for (card,) in images):
        return _cards_by_astropy(text)
    # Backwards, so that the first of those that repeat is the last to be set.
    cards = dict(starmap(_parse, reversed(images)))
    cards.pop("", None)
    return cards


@lru_cache(_MOST_PARSED)  # frames of one night share most of their cards
def _parse(card: bytes) -> tuple[str, CardValue]:
    """Parse one plain card; without a keyword for comments, blanks and cards without a value."""
    name, equals, rest = card[:8], card[8:10], card[10:]
    if name == b"HIERARCH":
        name, equals, rest = card[9:].partition(b"=")
    keyword = name.decode("latin-1").strip().upper()
    if equals.rstrip() != b"=" or keyword in COMMENTARY:
        return "", ""
    text = rest.decode("latin-1")
    if not _STRING.match(text):
        text = text.partition("/")[0]  # without the comment
    value = parse_value(text)
    return ("", "") if value is None else (keyword, value)


def parse_value(text: str) -> CardValue | None:
    """Parse a quoted string, a logical or a number of FITS or XISF; None for an undefined value."""
    if quoted := _STRING.match(text):
        return quoted[1].replace("''", "'").rstrip()
    text = text.strip()
    if text in ("T", "F"):
        return text == "T"
    for convert in (int, _float):
        try:
            return convert(text)
        except ValueError:
            continue
    return text or None


def _float(text: str) -> float:
    # Adding 0.0 turns a negative zero into zero: one value is not to have two spellings.
    return float(text.upper().replace("D", "E")) + 0.0


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
        if keyword not in COMMENTARY and not isinstance(value, Undefined | complex):
            cards.setdefault(keyword, value)
    return cards
