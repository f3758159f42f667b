"""Header cards (keyword, value, comment), and a fast reader of FITS headers.

An inventory reads tens of thousands of headers. This reader needs only the standard library;
headers with long strings (``CONTINUE``) are parsed by astropy.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from itertools import starmap
from math import prod
from struct import Struct
from types import MappingProxyType
from typing import IO, Final, NamedTuple, TypeAlias

from calmasters.errors import FrameError
from calmasters.frame import Value
from calmasters.headers.history import bias_process_in, pixel_process_in

__all__ = [
    "BIAS_HISTORY",
    "COMMENTARY",
    "MOST_EXTENSIONS",
    "REPEATED",
    "Card",
    "CardValue",
    "Cards",
    "ImageHeader",
    "axes_of",
    "cards_by_keyword",
    "first_of",
    "number_of",
    "padded",
    "parse_value",
    "read_fits_header",
]

#: Value of a card: a keyword's value, or a logical.
CardValue: TypeAlias = Value | bool

#: The cards of a header by keyword; of repeated keywords the first. HISTORY is the first process
#: in its lines that changed pixels, BIAS_HISTORY the first one that subtracted a bias; see
#: :mod:`calmasters.headers.history`.
Cards: TypeAlias = Mapping[str, CardValue]

_CARD: Final = 80
_CARDS: Final = Struct(f"{_CARD}s")
_BLOCK: Final = 2880
#: Bytes per read.
_BLOCKS: Final = 4 * _BLOCK
#: Number of cached cards.
_MOST_PARSED: Final = 8192
#: A normal header has a few blocks; one of 3 MB is damaged or malicious.
_MOST_BLOCKS: Final = 1000
#: Extensions that are looked at for an image.
MOST_EXTENSIONS: Final = 100
#: Maximum number of columns of a table (FITS standard 4.0, section 7.3.1).
_MOST_COLUMNS: Final = 999
_MOST_BYTES: Final = 1 << 50
#: Keywords of cards with text but without a value.
COMMENTARY: Final = ("COMMENT", "HISTORY", "")
#: No FITS keyword has a blank.
BIAS_HISTORY: Final = "HISTORY BIAS"
#: In place of a card, where a keyword has several values: these, as JSON. Also with a blank.
REPEATED: Final = "REPEATED CARDS"
#: Cards of the size and format of an image.
_STRUCTURE: Final = ("BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "NAXIS3", "BZERO", "BSCALE")
_NO_SIZE: Final = "is damaged: its header does not give the image's size ({}); copy it again"
_NO_CARD: Final = ("", "")
_STRING: Final = re.compile(r"\s*'([^']*(?:''[^']*)*)'")


@dataclass(frozen=True, slots=True)
class Card:
    """One header card; several cards may have the keyword ``HISTORY``."""

    keyword: str
    value: CardValue
    comment: str = ""


class ImageHeader(NamedTuple):
    """The header of a file's image.

    Attributes
    ----------
    cards : Cards
        If the image is an extension, the cards of the primary header and of the extension, which
        take precedence. For a compressed image, the cards of the image, not of its table.
    data_offset : int
        Start of the image's data, in bytes from the start of the (unzipped) file.
    end_of_data : int
        Minimum size of the file in bytes; 0 if unknown (``.gz``, ``.bz2``, camera raws).
    packing : str
        How samples are stored: uncompressed (empty), ``gzip``, ``bzip2``, ``tiles`` (FITS tile
        compression), ``xisf`` or ``camera raw``.
    attributes : mapping of str to str
        XML attributes of the ``Image`` element of an XISF file.
    parts : tuple of ImageHeader
        Of a file with several images their headers; this header then has the cards that they share,
        and the size and format of the first one.
    number : int
        Place of the image among the images of its file, from 0.
    """

    cards: Cards
    data_offset: int
    end_of_data: int
    packing: str = ""
    attributes: Mapping[str, str] = MappingProxyType({})
    parts: tuple[ImageHeader, ...] = ()
    number: int = 0


def first_of(cards: Cards, names: Iterable[str]) -> tuple[str, CardValue | None]:
    """Return name and value of the first card that is present and not empty, else ("", None)."""
    for name in names:
        value = cards.get(name)
        if value is not None and (not isinstance(value, str) or value.strip()):
            return name, value
    return "", None


def number_of(raw: CardValue | None) -> float | None:
    """Return a value or text as a finite number; None for anything else."""
    if raw is None or isinstance(raw, bool):
        return None
    try:
        number = float(raw)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def read_fits_header(file: IO[bytes]) -> ImageHeader:
    """Read the header of the image, or the images, in an open FITS file that is not zipped."""
    primary = _header_at(file, 0, b"SIMPLE")
    if primary is None:
        what = "is not a FITS file" if file.tell() else "is not a FITS file: it is empty"
        raise FrameError(f"{what}; copy it again, or leave it out (exclude)")
    if primary.cards.get("NAXIS") == 0:
        return _of_extensions(file, primary)
    if _is_preview(file, primary):
        cards = {key: value for key, value in primary.cards.items() if key not in _STRUCTURE}
        return _of_extensions(file, primary._replace(cards=cards))
    return primary


def _is_preview(file: IO[bytes], primary: ImageHeader) -> bool:
    """Return whether an extension has a larger image than the primary header."""
    end = padded(primary.end_of_data)
    if isinstance(file, BytesIO) or os.fstat(file.fileno()).st_size <= end:
        return False
    pixels = prod(axes_of(primary.cards))
    try:
        return any(
            extension.cards.get("XTENSION") == "IMAGE"
            and extension.cards.get("NAXIS")
            and prod(axes_of(extension.cards)) > pixels
            for extension in _extensions(file, end)
        )
    except FrameError:
        return False  # what follows is damaged, and the image before it is whole


def _header_at(file: IO[bytes], start: int, first: bytes) -> ImageHeader | None:
    """Read the header of the HDU at ``start``; None if its first card is not ``first``."""
    if start:
        file.seek(start)
    text = _read_blocks(file, first)
    if text is None:
        return None
    cards = _cards_of(text)
    data = start + padded(len(text) + _CARD)
    return ImageHeader(cards, data, data + _data_bytes(cards))


def _of_extensions(file: IO[bytes], primary: ImageHeader) -> ImageHeader:
    """Return the header of the images among the extensions, plain or compressed."""
    images: list[ImageHeader] = []
    others: list[str] = []
    own: list[Cards] = []
    for extension in _extensions(file, padded(primary.end_of_data)):
        if extension.cards.get("ZIMAGE") is True:
            cards = _image_cards({**primary.cards, **extension.cards})
            images.append(extension._replace(cards=cards, packing="tiles", number=len(images)))
        elif extension.cards.get("XTENSION") == "IMAGE" and extension.cards.get("NAXIS"):
            cards = {**primary.cards, **extension.cards}
            images.append(extension._replace(cards=cards, number=len(images)))
        else:
            others.append(f"a {extension.cards.get('XTENSION', 'nameless')} extension")
            continue
        own.append(extension.cards)
    if not images:
        raise FrameError(f"contains no image, only {', '.join(others) or 'a header'}; exclude it")
    if len(images) == 1:
        return images[0]
    # What differs, such as the gain of an amplifier, says nothing of the frame.
    common = {
        key: value for key, value in own[0].items() if all(each.get(key) == value for each in own)
    }
    structure = {key: images[0].cards[key] for key in _STRUCTURE if key in images[0].cards}
    end = max(image.end_of_data for image in images)
    cards = {**common, **primary.cards, **structure}
    return images[0]._replace(cards=cards, end_of_data=end, parts=tuple(images))


def _extensions(file: IO[bytes], start: int) -> Iterator[ImageHeader]:
    for _ in range(MOST_EXTENSIONS):
        header = _header_at(file, start, b"XTENSION")
        if header is None:
            return
        columns = header.cards.get("TFIELDS")
        # astropy loops over the columns, and with a huge number would not return.
        if not 0 <= (number_of(columns) or 0) <= _MOST_COLUMNS:
            raise FrameError(f"is damaged: its header declares {columns} columns; copy it again")
        yield header
        start = padded(header.end_of_data)
    raise FrameError(f"has more than {MOST_EXTENSIONS} extensions; use a file with one image")


def _image_cards(table: Cards) -> Cards:
    """Replace the table's size and format by the image's (FITS standard 4.0, section 10.1)."""
    other = {key: value for key, value in table.items() if not re.fullmatch(r"NAXIS\d*", key)}
    image = {key[1:]: table[key] for key in table if re.fullmatch(r"Z(BITPIX|NAXIS\d*)", key)}
    return {**other, **image, "XTENSION": "IMAGE"}


def _plain_bytes(cards: Cards) -> int | None:
    """Return the size of an image of two axes and 16 bits, as most frames are; else None."""
    width, height = cards.get("NAXIS1"), cards.get("NAXIS2")
    if type(width) is not int or type(height) is not int or "XTENSION" in cards:
        return None
    is_plain = cards.get("NAXIS") == 2 and cards.get("BITPIX") == 16 and width > 0 and height > 0
    return 2 * width * height if is_plain and width * height < _MOST_BYTES // 2 else None


def _data_bytes(cards: Cards) -> int:
    if (size := _plain_bytes(cards)) is not None:
        return size
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
    """Return the lengths of the image's axes (NAXIS1, NAXIS2…); FrameError if a card is wrong."""
    try:
        return [int(cards[f"NAXIS{axis + 1}"]) for axis in range(int(cards.get("NAXIS", 0)))]
    except (KeyError, ValueError, OverflowError) as error:
        raise FrameError(_NO_SIZE.format(error)) from error


def padded(size: int) -> int:
    """Round a number of bytes up to a multiple of the FITS block size."""
    return -(-size // _BLOCK) * _BLOCK


def _read_blocks(file: IO[bytes], first: bytes) -> bytes | None:
    """Read the cards before END from the current position; None if the first is not ``first``."""
    text = file.read(_BLOCKS)
    if not text.startswith(first):
        return None
    searched = 0
    while (end := _find_end(text, searched)) < 0:
        searched = len(text) // _CARD * _CARD
        more = file.read(_BLOCKS)
        if not more or len(text) > _MOST_BLOCKS * _BLOCK:
            raise FrameError("is truncated: its header has no END; copy it again")
        text += more
    # Some programs pad cards with null bytes instead of blanks.
    return text[:end].replace(b"\0", b" ")


def _find_end(text: bytes, start: int) -> int:
    """Return the position of the END card at or after ``start``; -1 if there is none."""
    at = text.find(b"END", start)
    while at >= 0 and (at % _CARD or text[at + 3 : at + 8].replace(b"\0", b" ") != b"     "):
        at = text.find(b"END", at + 1)
    return at


def _cards_of(text: bytes) -> dict[str, CardValue]:
    raw_cards = [*_CARDS.iter_unpack(text)]
    if b"CONTINUE" in text and any(card.startswith(b"CONTINUE") for (card,) in raw_cards):
        return _cards_by_astropy(text, raw_cards)
    return cards_by_keyword([*starmap(_parse, raw_cards)])


def cards_by_keyword(parsed: Sequence[tuple[str, CardValue]]) -> dict[str, CardValue]:
    """Return the first card of each keyword; a card REPEATED has keywords with several values.

    Parameters
    ----------
    parsed : sequence of (str, CardValue)
        In the order of the file; the keyword is empty for what is no card.
    """
    cards = dict(reversed(parsed))
    cards.pop("", None)
    if len(cards) < len(parsed) - parsed.count(_NO_CARD):
        by_keyword: dict[str, dict[CardValue, None]] = {}
        for keyword, value in parsed:
            if keyword not in ("", "HISTORY", BIAS_HISTORY):
                by_keyword.setdefault(keyword, {})[value] = None
        several = {keyword: [*values] for keyword, values in by_keyword.items() if len(values) > 1}
        if several:
            cards[REPEATED] = json.dumps(several)
    return cards


@lru_cache(_MOST_PARSED)  # frames of one night share most of their cards
def _parse(card: bytes) -> tuple[str, CardValue]:
    """Parse one card; the keyword is empty for comments, blanks and cards without a value."""
    if card.startswith(b"HISTORY "):
        return _history_card(card[8:].decode("latin-1"))
    name, equals, rest = card[:8], card[8:10], card[10:]
    if name == b"HIERARCH":
        name, equals, rest = card[9:].partition(b"=")
    keyword = name.decode("latin-1").strip().upper()
    if equals.rstrip() != b"=" or keyword in COMMENTARY:
        return _NO_CARD
    text = _decoded(rest)
    if not _STRING.match(text):
        text = text.partition("/")[0]  # remove the comment
    value = parse_value(text)
    return _NO_CARD if value is None else (keyword, value)


def _decoded(text: bytes) -> str:
    """Decode ASCII or UTF-8; FITS allows only ASCII, and other bytes are read as Latin-1."""
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data":  # the end of the card cuts a character
            return text[: error.start].decode()
        return text.decode("latin-1")


def _history_card(line: str) -> tuple[str, str]:
    """Return what a line of HISTORY says about the pixels; the keyword is empty for nothing."""
    if process := bias_process_in(line):
        return BIAS_HISTORY, process
    process = pixel_process_in(line)
    return ("HISTORY", process) if process else _NO_CARD


def parse_value(text: str) -> CardValue | None:
    """Parse a string, logical or number of FITS or XISF; None for an undefined value."""
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
    # Adding 0.0 turns negative zero into zero, so that equal values are written the same.
    return float(text.upper().replace("D", "E")) + 0.0


def _cards_by_astropy(text: bytes, raw_cards: list[tuple[bytes]]) -> dict[str, CardValue]:
    from astropy.io.fits import Header
    from astropy.io.fits.card import Undefined

    header = Header.fromstring(text.decode("latin-1"))
    cards: list[tuple[str, CardValue]] = []
    for card in header.cards:
        try:
            keyword, value = card.keyword.upper(), card.value
        except Exception:
            continue
        if keyword == "HISTORY":
            cards.append(_history_card(str(value)))
        elif keyword not in COMMENTARY and not isinstance(value, Undefined | complex):
            cards.append((keyword, value))
    for (card,) in raw_cards:  # astropy reads only ASCII
        if not card.isascii():
            cards.append(_parse(card))
    return cards_by_keyword(cards)
