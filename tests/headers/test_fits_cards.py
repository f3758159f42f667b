from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.io.fits.card import Undefined
from hypothesis import given
from hypothesis import strategies as st

from calmasters.errors import FrameError
from calmasters.headers.fits_cards import REPEATED, CardValue, parse_value
from calmasters.headers.image_header import read_cards, read_header

REAL = Path(__file__).parents[3] / "shared" / "data" / "real"
REAL_FILES = sorted(path for path in REAL.rglob("*") if path.suffix in (".fit", ".fits"))

IMAGE = (
    "SIMPLE  =                    T",
    "BITPIX  =                   16",
    "NAXIS   =                    2",
    "NAXIS1  =                    4",
    "NAXIS2  =                    3",
)
EMPTY_PRIMARY = (*IMAGE[:2], "NAXIS   =                    0")
EXTENSION = ("XTENSION= 'IMAGE   '", *IMAGE[1:], "PCOUNT  =   0", "GCOUNT  =   1")
DATA = bytes(2880)


def table(width: int, heap: int, *cards: str) -> tuple[str, ...]:
    sizes = (f"NAXIS1  = {width}", "NAXIS2  = 1", f"PCOUNT  = {heap}")
    return ("XTENSION= 'BINTABLE'", "BITPIX  = 8", "NAXIS   = 2", *sizes, *cards)


#: A compressed image: a table with one row, and samples in its heap.
TILED = table(8, 0, "ZIMAGE  = T", "ZBITPIX = 16", "ZNAXIS  = 2", "ZNAXIS1 = 4", "ZNAXIS2 = 3")


def block(*cards: str, end: str = "END", padding: str = " ") -> bytes:
    text = "".join(card.ljust(80, padding) for card in (*cards, end))
    return text.ljust(-(-len(text) // 2880) * 2880, padding).encode("latin-1")


TABLE_CARDS = table(8, 0)
TABLE = block(*TABLE_CARDS) + DATA


def write(directory: Path, content: bytes, name: str = "frame.fits") -> Path:
    path = directory / name
    path.write_bytes(content)
    return path


def read_by_astropy(header: fits.Header) -> dict[str, CardValue]:
    """The first defined value of each keyword, read by astropy."""
    cards: dict[str, CardValue] = {}
    for card in header.cards:
        commentary = card.keyword in ("COMMENT", "HISTORY", "")
        if not commentary and not isinstance(card.value, Undefined):
            cards.setdefault(card.keyword.upper(), card.value)
    return cards


def assert_same(ours: Mapping[str, CardValue], theirs: Mapping[str, CardValue]) -> None:
    assert dict(ours) == dict(theirs)
    assert {key: type(value) for key, value in ours.items()} == {
        key: type(value) for key, value in theirs.items()
    }


# --- the same as astropy --------------------------------------------------------------------------

PRINTABLE = st.characters(min_codepoint=32, max_codepoint=126)
# After a quote in a string, astropy ends the string at a blank or slash; it also adds a comment
# with a quote to an empty string before it.
TEXTS = st.text(PRINTABLE, max_size=24).filter(lambda text: not re.search("'[ /]", text))
STRINGS = TEXTS.map(lambda text: "'" + text.replace("'", "''") + "'")
FLOATS = st.floats(allow_nan=False, allow_infinity=False).map(repr)
VALUES = st.one_of(
    STRINGS,
    st.integers(-(10**18), 10**18).map(str),
    FLOATS,
    FLOATS.map(lambda text: text.replace("e", "D")),
    st.sampled_from(["T", "F", "", "1.", ".5", "+7", "-0", "1E5", "-2.5d-3", "'END     '"]),
)
UNQUOTED = st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="'")
COMMENTS = st.one_of(st.just(""), st.text(UNQUOTED, max_size=12).map(" / {}".format))
KEYWORDS = st.sampled_from(["GAIN", "SET-TEMP", "FILTER", "A_1", "EXPOSURE", "HISTORY", "COMMENT"])
CARDS = st.builds(
    lambda keyword, value, comment, indent: f"{keyword:<8}= {'':{indent}}{value}{comment}"[:80],
    KEYWORDS,
    VALUES,
    COMMENTS,
    st.integers(0, 4),
)


@given(st.lists(CARDS, max_size=8), st.sampled_from(" \0"))
def test_cards_equal_those_of_astropy(
    tmp_path_factory: pytest.TempPathFactory, cards: list[str], padding: str
) -> None:
    content = block(*IMAGE, *cards, padding=padding)
    path = write(tmp_path_factory.getbasetemp(), content + DATA)
    expected = fits.Header.fromstring(content.decode("latin-1").replace("\0", " "))
    read = {name: value for name, value in read_cards(path).items() if name != REPEATED}
    assert_same(read, read_by_astropy(expected))


@pytest.mark.parametrize("text", ["' /", "a'/b", "'' / '", "O' Neill", "/", "END", "  indented"])
def test_strings_are_read_unchanged(tmp_path: Path, text: str) -> None:
    card = "OBSERVER= '" + text.replace("'", "''") + "  ' / a 'comment'"
    assert read_cards(write(tmp_path, block(*IMAGE, card) + DATA))["OBSERVER"] == text


@pytest.mark.skipif(not REAL_FILES, reason="needs the real frames")
@pytest.mark.parametrize("path", REAL_FILES, ids=lambda path: path.name)
@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")
def test_cards_of_real_frames_equal_those_of_astropy(path: Path) -> None:
    header = read_header(path)
    with fits.open(path) as hdus:
        images = [hdu for hdu in hdus if hdu.header["NAXIS"]]
        assert len(header.parts) == (len(images) if len(images) > 1 else 0)
        for part, image in zip(header.parts or (header,), images, strict=True):
            expected = read_by_astropy(image.header)
            if image is not hdus[0]:
                # Cards of the primary header hold for each image that does not have its own.
                expected = read_by_astropy(hdus[0].header) | expected
            # Of HISTORY only lines that name a process are read.
            cards = {
                name: value
                for name, value in part.cards.items()
                if "HISTORY" not in name and name != REPEATED
            }
            assert_same(cards, expected)


@pytest.mark.parametrize(
    "cards",
    [
        {"LONG": "it's " * 40, "GAIN": 100},
        {"HIERARCH CAMERA-DATE-OBS": "2026-01-15", "GAIN": 100},
    ],
    ids=["CONTINUE", "HIERARCH"],
)
def test_unusual_cards_are_read_and_do_not_affect_others(
    tmp_path: Path, cards: dict[str, object]
) -> None:
    header = fits.Header()
    for keyword, value in cards.items():
        header[keyword] = value
    header.add_history("made by a test")
    path = tmp_path / "frame.fits"
    fits.PrimaryHDU(np.zeros((3, 4), np.int16), header).writeto(path)
    assert_same(read_cards(path), read_by_astropy(fits.getheader(path)))


def test_an_unreadable_card_does_not_affect_others(tmp_path: Path) -> None:
    cards = ("BROKEN  = ~~~ 5 'x", "HIERARCH ESO DET = 5", "GAIN    =                  100")
    path = write(tmp_path, block(*IMAGE, *cards) + DATA)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert read_cards(path)["GAIN"] == 100


@pytest.mark.parametrize("further", [(), ("LONG    = 'a&'", "CONTINUE  'b'")])
@pytest.mark.parametrize(
    ("card", "value"),
    [
        ("'偏置' / 图像".encode(), "偏置"),
        ("'déjà    '".encode(), "déjà"),
        ("'Dunkelbild für Ü'".encode("latin-1"), "Dunkelbild für Ü"),
        ("'偏置'".ljust(67).encode() + b"/ " + "偏".encode()[:1], "偏置"),
        ("'偏".encode()[:3] + b"' / cut", "å\x81"),
    ],
    ids=["UTF-8", "UTF-8 that ends as a Latin-1 blank", "Latin-1", "a cut comment", "a cut value"],
)
def test_text_that_is_not_ascii_is_utf8_else_latin1(
    tmp_path: Path, card: bytes, value: str, further: tuple[str, ...]
) -> None:
    raw = b"IMAGETYP= " + card
    content = block(*IMAGE, "@" * 80, *further).replace(b"@" * 80, raw[:80].ljust(80))
    assert read_cards(write(tmp_path, content + DATA))["IMAGETYP"] == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("T", True),
        ("F", False),
        (" 7 ", 7),
        ("1.5D-3", 0.0015),
        ("1.5d2", 150.0),
        ("-0.0", 0.0),
        ("'T'", "T"),
        ("'it''s  '", "it's"),
        ("~~~", "~~~"),
        ("  ", None),
    ],
)
def test_a_value_has_the_type_that_it_is_written_as(text: str, value: CardValue | None) -> None:
    found = parse_value(text)
    assert (str(found), type(found)) == (str(value), type(value))


# --- the end, the image, the size -----------------------------------------------------------------


def test_end_in_a_value_does_not_end_the_header(tmp_path: Path) -> None:
    cards = ("OBJECT  = 'the END     of it'", "NOTE    =".ljust(72) + "END     ", "GAIN    = 100")
    assert read_cards(write(tmp_path, block(*IMAGE, *cards) + DATA))["GAIN"] == 100


def test_a_header_of_many_blocks_is_read_to_its_end(tmp_path: Path) -> None:
    cards = [f"KEY{number:<5}= {number}" for number in range(2000)]
    header = read_header(write(tmp_path, block(*IMAGE, *cards) + DATA))
    assert header.cards["KEY1999"] == 1999
    assert header.data_offset == len(block(*IMAGE, *cards))
    assert header.end_of_data == header.data_offset + 2 * 4 * 3


@pytest.mark.parametrize("long", [(), ("LONG    = 'a&'", "CONTINUE  'b'")], ids=["", "CONTINUE"])
def test_a_keyword_has_its_first_value_and_others_are_listed(
    tmp_path: Path, long: tuple[str, ...]
) -> None:
    repeated = ("GAIN    = 100", "EXPTIME = 0.0", "EXPTIME = 300.0", "GAIN    = 100", "GAIN    =")
    history = ("HISTORY dark subtracted", "HISTORY flat fielded")
    cards = read_cards(write(tmp_path, block(*IMAGE, *repeated, *long, *history) + DATA))
    assert (cards["EXPTIME"], cards["GAIN"]) == (0.0, 100)
    assert json.loads(str(cards[REPEATED])) == {"EXPTIME": [0.0, 300.0]}


def test_cards_of_an_image_extension_override_the_primary_header(tmp_path: Path) -> None:
    primary = block(*EMPTY_PRIMARY, "GAIN    = 100", "FILTER  = 'B'")
    extension = block(*EXTENSION, "FILTER  = 'Ha'")
    header = read_header(write(tmp_path, primary + extension + DATA))
    assert {key: header.cards[key] for key in ("GAIN", "FILTER", "NAXIS1")} == {
        "GAIN": 100,
        "FILTER": "Ha",
        "NAXIS1": 4,
    }
    assert header.data_offset == len(primary + extension)


@pytest.mark.parametrize("extension", [(), TILED], ids=["plain", "compressed"])
def test_several_images_share_the_cards_that_are_equal(
    tmp_path: Path, extension: tuple[str, ...]
) -> None:
    first, second = (
        block(*(extension or EXTENSION), f"GAIN    = {gain}", "FILTER  = 'B'", "NAMPS   = 2")
        for gain in (1.1, 1.2)
    )
    primary = block(*EMPTY_PRIMARY, "FILTER  = 'Ha'")
    header = read_header(write(tmp_path, primary + first + DATA + TABLE + second + DATA))
    assert {key: header.cards.get(key) for key in ("FILTER", "NAMPS", "GAIN", "NAXIS1")} == {
        "FILTER": "Ha",
        "NAMPS": 2,
        "GAIN": None,
        "NAXIS1": 4,
    }
    assert [part.cards["GAIN"] for part in header.parts] == [1.1, 1.2]
    assert [part.number for part in header.parts] == [0, 1]
    assert header.data_offset == header.parts[0].data_offset == len(primary + first)
    assert header.parts[1].data_offset == len(primary + first + DATA + TABLE + second)
    assert header.end_of_data == header.parts[1].end_of_data


def test_the_size_of_several_images_is_that_of_the_first(tmp_path: Path) -> None:
    scaled = ("BZERO   = 32768", "BSCALE  = 2")
    cube = (*EXTENSION[:2], "NAXIS   = 3", "NAXIS1  = 4", "NAXIS2  = 3", "NAXIS3  = 2", *scaled)
    flat = (EXTENSION[0], "BITPIX  = 8", "NAXIS   = 2", "NAXIS1  = 5", "NAXIS2  = 6", "BZERO   = 1")
    structures = (
        {"BITPIX": 16, "NAXIS": 3, "NAXIS1": 4, "NAXIS2": 3, "NAXIS3": 2, "BZERO": 32768,
         "BSCALE": 2},
        {"BITPIX": 8, "NAXIS": 2, "NAXIS1": 5, "NAXIS2": 6, "BZERO": 1},
    )  # fmt: skip
    for images, structure in (((cube, flat), structures[0]), ((flat, cube), structures[1])):
        content = b"".join(block(*cards) + DATA for cards in images)
        header = read_header(write(tmp_path, block(*EMPTY_PRIMARY) + content))
        assert {key: header.cards.get(key) for key in structures[0]} == {
            key: structure.get(key) for key in structures[0]
        }


@pytest.mark.parametrize(
    ("cards", "size"),
    [
        (IMAGE, 24),
        ((*IMAGE[:4], "NAXIS2  = 1"), 8),
        ((*IMAGE[:2], "NAXIS   = 3", "NAXIS1  = 4", "NAXIS2  = 3", "NAXIS3  = 5"), 120),
        ((IMAGE[0], "BITPIX  = -32", *IMAGE[2:]), 48),
        ((IMAGE[0], "BITPIX  = 8", *IMAGE[2:]), 12),
        ((*IMAGE, "PCOUNT  = 100"), 24),
        ((*IMAGE[:3], "NAXIS1  = 0", "NAXIS2  = 3"), 0),
    ],
)
def test_an_image_has_as_many_bytes_as_its_samples(
    tmp_path: Path, cards: tuple[str, ...], size: int
) -> None:
    header = read_header(write(tmp_path, block(*cards) + DATA))
    assert header.end_of_data - header.data_offset == size


def test_an_extension_may_have_a_heap(tmp_path: Path) -> None:
    extension = block(*EXTENSION[:-2], "PCOUNT  = 100")
    header = read_header(write(tmp_path, block(*EMPTY_PRIMARY) + extension + DATA))
    assert header.end_of_data - header.data_offset == 2 * (12 + 100)


def test_a_header_may_have_as_many_blocks_as_any_real_one(tmp_path: Path) -> None:
    cards = ["COMMENT"] * (1003 * 36 - len(IMAGE)) + ["GAIN    = 7"]
    assert read_cards(write(tmp_path, block(*IMAGE, *cards) + DATA))["GAIN"] == 7
    with pytest.raises(FrameError, match="its header has no END"):
        read_cards(write(tmp_path, block(*IMAGE, *cards, *["COMMENT"] * 36) + DATA))


def test_lines_without_a_value_are_no_cards(tmp_path: Path) -> None:
    cards = ("COMMENT = 5", "NOTE      5", "GAIN    = 7", "OFFSET  =", "        = 3")
    found = read_cards(write(tmp_path, block(*IMAGE, *cards) + DATA))
    assert found.keys() == {"SIMPLE", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "GAIN"}


def test_the_data_of_a_compressed_image_are_a_table_and_its_heap(tmp_path: Path) -> None:
    extension = block(*table(8, 5000, *TILED[6:]))
    content = block(*EMPTY_PRIMARY, "GAIN    = 100") + extension + 2 * DATA + TABLE
    header = read_header(write(tmp_path, content))
    assert {key: header.cards[key] for key in ("GAIN", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2")} == {
        "GAIN": 100,
        "BITPIX": 16,
        "NAXIS": 2,
        "NAXIS1": 4,
        "NAXIS2": 3,
    }
    assert header.packing == "tiles"
    assert header.end_of_data == header.data_offset + 8 + 5000
    assert header.cards["XTENSION"] == "IMAGE"
    assert {"AIN", "IMAGE", "COUNT"}.isdisjoint(header.cards)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a FITS file: it is empty"),
        (b"Dear diary, the sky was clear.", "is not a FITS file"),
        (block(*IMAGE, end="NOEND"), "is truncated: its header has no END"),
        (block(*EMPTY_PRIMARY), "is not a FITS file|contains no image"),
        (block(*EMPTY_PRIMARY) + block("XTENSION= 'BINTABLE'"), "no image, only a BINTABLE"),
        (block(*EMPTY_PRIMARY) + TABLE + block(*EXTENSION[:2], "NAXIS   = 0"), "a BINTABLE ext"),
        (block(*EMPTY_PRIMARY) + 101 * TABLE, "more than 100 extensions"),
        (block(*IMAGE[:4]), "does not give the image's size"),
        (block(*IMAGE[:4], "NAXIS2  = 'tall'"), "does not give the image's size"),
        (block(*IMAGE[:4], "NAXIS2  =  -3"), "does not give the image's size"),
        (block(*IMAGE[:2], "NAXIS   = 1E999"), "does not give the image's size"),
    ],
    ids=[
        "empty",
        "text",
        "no END",
        "no image",
        "table",
        "empty image",
        "too many tables",
        "no height",
        "text as height",
        "negative height",
        "infinite axes",
    ],
)
def test_files_without_a_valid_image_are_refused_with_a_reason(
    tmp_path: Path, content: bytes, message: str
) -> None:
    with pytest.raises(FrameError, match=message):
        _ = read_header(write(tmp_path, content)).end_of_data
