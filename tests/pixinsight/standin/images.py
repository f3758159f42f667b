"""Reading and writing images as PixInsight does: samples are float32 in [0, 1]."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from standin.objects import ScriptError

Pixels = NDArray[np.float32]

#: Size of the XML header before the pixels.
HEADER_BYTES = 65536

#: Samples of FITS files by BITPIX.
SAMPLES = {8: ">u1", 16: ">i2", 32: ">i4", -32: ">f4", -64: ">f8"}
BLOCK_BYTES, CARD_BYTES = 2880, 80
#: Cards that scale samples, with what counts without them.
SCALING = {"BZERO": "0", "BSCALE": "1"}
#: The value of a card, and its comment.
VALUE = re.compile(r" *('(?:[^']|'')*'|[^/]*)(?:/ ?(.*))?")

#: Cards of FITS files that PixInsight writes itself; CREATOR is dropped.
OWN_CARDS = {"CREATOR": "", "PROGRAM": "PixInsight", "HDUNAME": "image", "ROWORDER": "TOP-DOWN"}


class Keyword(NamedTuple):
    name: str
    value: str
    comment: str


class Image(NamedTuple):
    pixels: Pixels
    keywords: list[Keyword]


def read(path: str, hints: str) -> Image:
    """Read an image; raise ScriptError for an empty or damaged file."""
    try:
        image = _read_xisf(path) if path.lower().endswith(".xisf") else _read_fits(path, hints)
    except Exception as error:
        raise ScriptError(f"Unable to read image file: {path}: {error}") from error
    if image.pixels.min() < 0 or image.pixels.max() > 1:
        raise ScriptError(f"Pixel sample values are out of the [0,1] range: {path}")
    return image


def _read_xisf(path: str) -> Image:
    from xisf import XISF

    file = XISF(path)
    metadata = file.get_images_metadata()[0]["FITSKeywords"]
    keywords = [
        Keyword(name, f"'{card['value']}'", card["comment"])
        for name, cards in metadata.items()
        for card in cards
    ]
    pixels = file.read_image(0)[:, :, 0]
    if pixels.dtype.kind == "f":
        low, high = map(float, file.get_images_metadata()[0].get("bounds", "0:1").split(":"))
        pixels = _in_range(pixels, low, high)
    return Image(_normalized(pixels), keywords)


def _read_fits(path: str, hints: str) -> Image:
    # Not by astropy: each start of the stand-in would import it, which takes longer than all else.
    content = Path(path).read_bytes()
    keywords = _fits_keywords(content)
    values = {keyword.name: keyword.value for keyword in keywords}
    blocks = math.ceil((len(keywords) + 1) * CARD_BYTES / BLOCK_BYTES)
    pixels = _fits_pixels(content[blocks * BLOCK_BYTES :], values)
    order = values.get("ROWORDER", "").strip("' ").upper()
    parts = hints.split()
    if pixels.dtype.kind == "f" and "upper-range" in parts:
        low, high = (float(parts[parts.index(f"{end}-range") + 1]) for end in ("lower", "upper"))
        pixels = _in_range(pixels, low, high)
    is_code = pixels.dtype.kind == "i" and "signed-is-physical" not in parts
    if order == "BOTTOM-UP" and "use-roworder-keywords" in parts:
        pixels = pixels[::-1]
    half = 2 ** (8 * pixels.dtype.itemsize - 1) if is_code else 0
    return Image(_normalized(pixels, half), keywords)


def _fits_keywords(content: bytes) -> list[Keyword]:
    """Return the cards before END."""
    keywords = []
    for start in range(0, len(content), CARD_BYTES):
        card = content[start : start + CARD_BYTES].decode("ascii")
        name = card[:8].rstrip()
        if name == "END":
            return keywords
        found = VALUE.match(card, 10) if card[8:10] == "= " else None
        value, comment = found.groups("") if found else ("", card[8:])
        keywords.append(Keyword(name, value.strip(), comment.strip()))
    raise ValueError("there is no END")


def _fits_pixels(data: bytes, values: Mapping[str, str]) -> NDArray[Any]:
    shape = [int(values[f"NAXIS{axis}"]) for axis in range(int(values["NAXIS"]), 0, -1)]
    stored = np.dtype(SAMPLES[int(values["BITPIX"])])
    pixels = np.frombuffer(data, stored, math.prod(shape)).reshape(shape)
    pixels = pixels.astype(stored.newbyteorder("="))
    zero, scale = (float(values.get(name, default)) for name, default in SCALING.items())
    half = 2 ** (8 * stored.itemsize - 1)
    if stored.kind == "i" and (zero, scale) == (half, 1):
        return pixels.view(f"u{stored.itemsize}") ^ np.array(half, f"u{stored.itemsize}")
    return pixels if (zero, scale) == (0, 1) else (zero + scale * pixels).astype(np.float32)


def _in_range(pixels: NDArray[Any], low: float, high: float) -> Pixels:
    return ((pixels.astype(np.float64) - low) / (high - low)).astype(np.float32)


def _normalized(pixels: NDArray[Any], shift: int = 0) -> Pixels:
    if pixels.dtype.kind == "f":
        return np.nan_to_num(pixels.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    white = 2.0 ** (8 * pixels.dtype.itemsize) - 1
    return ((pixels.astype(np.float64) + shift) / white).astype(np.float32)


def write(path: Path, pictures: list[Image], ids: Sequence[str] = ()) -> None:
    """Write images in the format of the extension, with the keywords of the first one."""
    if path.suffix == ".xisf":
        _write_xisf(path, pictures, ids or [""] * len(pictures))
    else:
        _write_fits(path, pictures)


def _write_xisf(path: Path, pictures: list[Image], ids: Sequence[str]) -> None:
    root = ElementTree.Element("xisf", version="1.0", xmlns="http://www.pixinsight.com/xisf")
    position = HEADER_BYTES
    for (pixels, keywords), id_ in zip(pictures, ids, strict=True):
        height, width = pixels.shape
        image = ElementTree.SubElement(
            root,
            "Image",
            geometry=f"{width}:{height}:1",
            sampleFormat="Float32",
            bounds="0:1",
            colorSpace="Gray",
            location=f"attachment:{position}:{pixels.nbytes}",
            **({"id": id_} if id_ else {}),
        )
        for keyword in keywords:
            ElementTree.SubElement(image, "FITSKeyword", keyword._asdict())
        position += pixels.nbytes
    ElementTree.SubElement(root, "Metadata")
    xml = ElementTree.tostring(root, "utf-8")
    header = b"XISF0100" + len(xml).to_bytes(4, "little") + bytes(4) + xml
    data = b"".join(picture.pixels.astype("<f4").tobytes() for picture in pictures)
    path.write_bytes(header.ljust(HEADER_BYTES, b"\0") + data)


def _write_fits(path: Path, pictures: list[Image]) -> None:
    from astropy.io import fits

    header = fits.Header()
    for name, value, comment in pictures[0].keywords:
        if name in OWN_CARDS:
            continue
        if name in ("HISTORY", "COMMENT"):
            header.add_history(comment) if name == "HISTORY" else header.add_comment(comment)
        else:
            header.append(fits.Card.fromstring(f"{name:8}= {value} / {comment}"[:80].ljust(80)))
    header.update({name: value for name, value in OWN_CARDS.items() if value})
    hdus = [fits.PrimaryHDU(pictures[0].pixels, header)]
    hdus += [fits.ImageHDU(picture.pixels) for picture in pictures[1:]]
    fits.HDUList(hdus).writeto(path, overwrite=True)
