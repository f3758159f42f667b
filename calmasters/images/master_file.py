"""Read complete images, and write masters as XISF or FITS, whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Final

import numpy as np

from calmasters.atomic_files import replacing
from calmasters.errors import FrameError
from calmasters.headers.fits_cards import Card, CardValue, ImageHeader
from calmasters.images.raw_frame import Image, RawFrame, SampleFormat, header_of, size_of, to_unit
from calmasters.images.unpack import xisf_samples

__all__ = ["fits_literal", "read_image", "write_master"]

#: Attached data of an XISF file begin at a multiple of this, as PixInsight writes them.
_XISF_ALIGNMENT: Final = 4096


def read_image(path: Path) -> tuple[Image, int]:
    """Read a complete image, such as a master of any program.

    Parameters
    ----------
    path : Path
        A FITS or XISF file. Its samples say which range they have: settings for raw frames do
        not concern masters.

    Returns
    -------
    image : (height, width) array of float32
        In [0, 1].
    not_finite : int
        Number of samples that were NaN or infinite and became 0.

    Raises
    ------
    FrameError
        If the file cannot be read as a single-channel image.
    """
    header = header_of(path)
    if header.packing == "xisf" and header.attributes.get("sampleFormat", "").startswith("Float"):
        return _read_float_xisf(path, header)
    with RawFrame(path) as frame:
        strip = frame.read(0, frame.size)
        return strip.samples.reshape(frame.height, frame.width), strip.not_finite


def _read_float_xisf(path: Path, header: ImageHeader) -> tuple[Image, int]:
    """Read a file as this project and PixInsight write masters, without a temporary file."""
    size_of(path, header.cards)
    try:
        pixels = xisf_samples(path, header)[0]
    except Exception as error:  # damaged files cause many kinds of exceptions
        raise FrameError(f"{path}: cannot be read as XISF ({error})") from error
    strip = to_unit(pixels, SampleFormat.from_header(header), path)
    return strip.samples, strip.not_finite


# --- write masters --------------------------------------------------------------------------------


def write_master(path: Path, image: Image, cards: Sequence[Card]) -> None:
    """Write a master in the format of its extension, whole or not at all.

    Parameters
    ----------
    path : Path
        Ends in ``.xisf`` or ``.fits``.
    image : (height, width) array of float32
        In [0, 1].
    cards : sequence of Card
        The header, in this order; several cards may have the keyword HISTORY.
    """
    write = _write_xisf if path.suffix.lower() == ".xisf" else _write_fits
    with replacing(path) as file:
        write(file, image, cards)


def _write_xisf(file: BinaryIO, image: Image, cards: Sequence[Card]) -> None:
    # Not written by the xisf package: importing it takes longer than writing the file.
    height, width = image.shape
    position = _XISF_ALIGNMENT
    header = _xisf_header(width, height, position, cards)
    while len(header) > position:
        position += _XISF_ALIGNMENT
        header = _xisf_header(width, height, position, cards)
    file.write(header.ljust(position, b"\0"))
    file.write(np.ascontiguousarray(image, "<f4").data)


def _xisf_header(width: int, height: int, position: int, cards: Sequence[Card]) -> bytes:
    """Return all bytes before the pixels: signature, length and XML (XISF 1.0, section 9)."""
    keywords = "".join(_xisf_keyword(card) for card in cards)
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<xisf version="1.0" xmlns="http://www.pixinsight.com/xisf">'
        f'<Image geometry="{width}:{height}:1" sampleFormat="Float32" bounds="0:1"'
        f' colorSpace="Gray" location="attachment:{position}:{width * height * 4}">'
        f"{keywords}</Image><Metadata>"
        f'<Property id="XISF:CreationTime" type="TimePoint" value="{created}"/>'
        '<Property id="XISF:CreatorApplication" type="String">calmasters</Property>'
        "</Metadata></xisf>"
    ).encode("utf-8", "replace")  # names of files may contain bytes that are not text
    return b"XISF0100" + len(xml).to_bytes(4, "little") + bytes(4) + xml


#: XML allows only three control characters, and an attribute keeps them only as numeric escapes.
_XML_ESCAPES: Final = MappingProxyType(
    dict.fromkeys((*range(32), 0xFFFE, 0xFFFF), " ")
    | {ord(character): f"&#{ord(character)};" for character in "\t\n\r"}
    | {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord('"'): "&quot;"}
)


def _xisf_keyword(card: Card) -> str:
    value, comment = fits_literal(card.value), card.comment
    if card.keyword == "HISTORY":
        value, comment = "", str(card.value)
    name, value, comment = map(_xml, (card.keyword, value, comment))
    return f'<FITSKeyword name="{name}" value="{value}" comment="{comment}"/>'


def _xml(text: str) -> str:
    """Escape text for an attribute in double quotes; characters invalid in XML become blanks."""
    return text.translate(_XML_ESCAPES)


def fits_literal(value: CardValue) -> str:
    """Return a value as written in a FITS card: strings quoted, logicals T and F."""
    if isinstance(value, bool):
        return "T" if value else "F"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


def _write_fits(file: BinaryIO, image: Image, cards: Sequence[Card]) -> None:
    from astropy.io import fits

    header = fits.Header()
    for card in cards:
        value = _ascii(card.value) if isinstance(card.value, str) else card.value
        header.append((card.keyword, value, _ascii(card.comment)), end=True)
    fits.PrimaryHDU(image, header).writeto(file)


def _ascii(text: str) -> str:
    """Replace characters that FITS does not allow by '?'."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)
