"""Read the XML header of an XISF file, and return the cards that a FITS file would have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import IO, TYPE_CHECKING, Final
from zlib import decompress
from zlib import error as zlib_error

from calmasters.errors import FrameError
from calmasters.headers.fits_cards import (
    BIAS_HISTORY,
    COMMENTARY,
    CardValue,
    ImageHeader,
    cards_by_keyword,
    parse_value,
)
from calmasters.headers.history import bias_process_in, pixel_process_in
from calmasters.headers.sample_scale import bounds_of

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["read_xisf_header"]

#: PixInsight stores large data outside the XML; 4 MiB is far above any real header.
_MOST_XML: Final = 1 << 22
#: Sample formats of XISF, as BITPIX and BZERO of FITS.
_XISF_FORMATS: Final[Mapping[str, tuple[int, int]]] = {
    "UInt8": (8, 0),
    "UInt16": (16, 1 << 15),
    "UInt32": (32, 1 << 31),
    "Float32": (-32, 0),
    "Float64": (-64, 0),
}


def read_xisf_header(file: IO[bytes]) -> ImageHeader:
    """Read the header of the first image (XISF 1.0, sections 9 to 11)."""
    try:
        image = _first_image(file)
        width, height, channels = map(int, image.attrib["geometry"].split(":"))
        place, *numbers = image.attrib["location"].split(":")
        if place != "attachment":
            raise ValueError(f"its data are not in the file itself but at '{place[:40]}'")
        start, size = map(int, numbers)
        if start < 0 or size < 0:
            raise ValueError(f"its data start at {start} and are {size} bytes long")
    except (SyntaxError, LookupError, ValueError) as error:
        raise FrameError(f"cannot be read as XISF: {error}; copy it again or exclude it") from error
    cards = cards_by_keyword([*_keywords(image.iterfind("{*}FITSKeyword"))])
    history = _history(image, file)
    for keyword, find in (("HISTORY", pixel_process_in), (BIAS_HISTORY, bias_process_in)):
        if process := next(filter(None, map(find, history)), ""):
            cards[keyword] = process
    for mosaic in image.iterfind("{*}ColorFilterArray"):
        cards.setdefault("BAYERPAT", mosaic.get("pattern", ""))
    # The attributes of the image decide its format, not its keywords.
    for keyword in ("BITPIX", "BSCALE", "BZERO"):
        cards.pop(keyword, None)
    axes = {"NAXIS1": width, "NAXIS2": height, "NAXIS3": channels}
    cards |= {"NAXIS": 2 if channels == 1 else 3, **axes}
    samples = image.get("sampleFormat", "")
    cards |= dict(zip(("BITPIX", "BZERO"), _XISF_FORMATS.get(samples, (samples, 0)), strict=True))
    header = ImageHeader(cards, start, start + size, "xisf", image.attrib)
    bounds_of(header)  # invalid bounds are found here, and not by each reader of pixels
    return header


def _first_image(file: IO[bytes]) -> Element:
    """Read the element of the first image; the XML parser raises SyntaxError."""
    from xml.etree import ElementTree

    signature = file.read(16)
    length = int.from_bytes(signature[8:12], "little")
    if not signature.startswith(b"XISF0100"):
        raise ValueError("its first bytes are not XISF0100")
    if length > _MOST_XML:
        raise ValueError(f"it declares a header of {length} bytes (limit {_MOST_XML})")
    xml = file.read(length).rstrip(b"\0")
    if b"<!DOCTYPE" in xml:
        raise ValueError("it declares XML entities, which XISF files do not have")
    image = ElementTree.fromstring(xml).find("{*}Image")
    if image is None:
        raise ValueError("it has no image")
    return image


def _keywords(elements: Iterable[Element]) -> Iterator[tuple[str, CardValue]]:
    for element in elements:
        keyword = element.get("name", "").upper()
        value = parse_value(element.get("value", ""))
        if keyword not in COMMENTARY and value is not None:
            yield keyword, value


def _history(image: Element, file: IO[bytes]) -> list[str]:
    """Return the lines of HISTORY, and PixInsight's own history."""
    lines = [
        element.get("comment", "") or element.get("value", "")
        for element in image.iterfind("{*}FITSKeyword")
        if element.get("name") == "HISTORY"
    ]
    properties = [
        _property_text(element, file)
        for element in image.iterfind("{*}Property")
        if element.get("id") == "PixInsight:ProcessingHistory"
    ]
    return lines + properties


def _property_text(element: Element, file: IO[bytes]) -> str:
    """Return the text of a property, also of one in an attached block (XISF 1.0, section 10.3).

    Empty if the block is packed by another method than zlib.
    """
    place, *numbers = element.get("location", "").split(":")
    if place != "attachment":
        return element.get("value") or element.text or ""
    try:
        start, size = map(int, numbers)
        file.seek(start)
        block = file.read(min(size, _MOST_XML))
        if method := element.get("compression", ""):
            block = decompress(block) if method.startswith("zlib:") else b""
    except (ValueError, OSError, zlib_error):
        return ""
    return block.decode("utf-8", "replace")
