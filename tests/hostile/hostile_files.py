"""Damaged, wrong or malicious files, each with the expected message."""

from __future__ import annotations

import bz2
import gzip
import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import lz4.block
import numpy as np
import zstandard
from astropy.io import fits

#: Cards of a valid bias frame, besides the structural ones.
FRAME = (
    ("IMAGETYP", "'BIAS'"),
    ("INSTRUME", "'ATR585M'"),
    ("SET-TEMP", -10.0),
    ("GAIN", 100),
    ("OFFSET", 150),
    ("DATE-LOC", "'2026-01-15T21:00:00'"),
)
PIXELS = np.arange(64, dtype=">i2").tobytes()
SHUFFLED = PIXELS[::2] + PIXELS[1::2]


@dataclass(frozen=True)
class Hostile:
    """A file and a part of its message; ``unpacking`` if only the pixels show the fault."""

    name: str
    make: Callable[[], bytes]
    message: str
    unpacking: bool = False


def header(*cards: tuple[str, object] | bytes, end: bytes = b"END") -> bytes:
    lines = [
        card if isinstance(card, bytes) else f"{card[0]:<8}= {card[1]!s:>20}".encode()
        for card in cards
    ]
    text = b"".join(line.ljust(80) for line in (*lines, end) if line)
    return text.ljust(-(-len(text) // 2880) * 2880)


def plain(**changes: object) -> bytes:
    """A bias frame of 8x8 pixels; keyword arguments replace cards, None removes one."""
    cards = dict(
        (("SIMPLE", "T"), ("BITPIX", 16), ("NAXIS", 2), ("NAXIS1", 8), ("NAXIS2", 8), *FRAME)
    )
    cards |= changes
    return header(*((key, value) for key, value in cards.items() if value is not None)) + padded(
        PIXELS
    )


def padded(data: bytes) -> bytes:
    return data.ljust(-(-len(data) // 2880) * 2880, b"\0")


def extension(**changes: object) -> bytes:
    cards = {"BITPIX": 16, "NAXIS": 2, "NAXIS1": 8, "NAXIS2": 8} | changes
    primary = header(("SIMPLE", "T"), ("BITPIX", 8), ("NAXIS", 0), *FRAME)
    return primary + header(b"XTENSION= 'IMAGE   '", *cards.items()) + padded(PIXELS)


def tiled(**changes: bytes) -> bytes:
    """A tile-compressed frame of 64x64 pixels, with some cards replaced."""
    rng = np.random.default_rng(0)
    hdu = fits.CompImageHDU(rng.integers(0, 999, (64, 64)).astype(np.uint16))
    for key, value in FRAME:
        hdu.header[key] = value.strip("'") if isinstance(value, str) else value
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(file)
    content = bytearray(file.getvalue())
    for keyword, value in changes.items():
        at = content.index(keyword.ljust(8).encode() + b"=")
        content[at + 10 : at + 80] = value.rjust(20).ljust(70)
    return bytes(content)


def tile_table(compression: str, packed: bytes) -> bytes:
    """A compressed frame of 64x64 pixels in one tile with the given bytes."""
    tile = np.empty(1, object)
    tile[0] = np.frombuffer(packed, np.uint8)
    column = fits.Column("COMPRESSED_DATA", f"1PB({len(packed)})", array=tile)
    table = fits.BinTableHDU.from_columns([column])
    cards = {"ZIMAGE": True, "ZBITPIX": 16, "ZNAXIS": 2, "ZCMPTYPE": compression}
    cards |= {f"{name}{axis}": 64 for name in ("ZNAXIS", "ZTILE") for axis in (1, 2)}
    for key, value in {**cards, **dict(FRAME)}.items():
        table.header[key] = value.strip("'") if isinstance(value, str) else value
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(file)
    return file.getvalue()


def hcompressed(height: int, width: int) -> bytes:
    """A compressed frame whose tile declares the given size."""
    sides = height.to_bytes(4, "big") + width.to_bytes(4, "big")
    return tile_table("HCOMPRESS_1", b"\xdd\x99" + sides + bytes(200))


def xisf(
    data: bytes = PIXELS,
    geometry: str = "8:8:1",
    form: str = "UInt16",
    location: str = "",
    more: str = "",
    keywords: str = "",
    before: str = "",
) -> bytes:
    """An XISF frame of 8x8 pixels."""
    cards = "".join(
        f'<FITSKeyword name="{key}" value="{value}" comment=""/>' for key, value in FRAME
    )
    location = location or f"attachment:4096:{len(data)}"
    xml = (
        f'{before}<xisf version="1.0" xmlns="http://www.pixinsight.com/xisf">'
        f'<Image geometry="{geometry}" sampleFormat="{form}" colorSpace="Gray" '
        f'location="{location}" {more}>{cards}{keywords}</Image></xisf>'
    ).encode()
    return (b"XISF0100" + len(xml).to_bytes(4, "little") + bytes(4) + xml).ljust(4096, b"\0") + data


def packed(codec: str, data: bytes) -> bytes:
    return xisf(data, more=f'compression="{codec}:128"')


#: Unpacked size of the bombs.
BOMB_BYTES = 1 << 28


def zeros(codec: Callable[[bytes], bytes]) -> bytes:
    return codec(bytes(BOMB_BYTES))


def followed_by_zeros(codec: Callable[[bytes], bytes]) -> bytes:
    """An image, and zeros in many streams: compressing them in one takes seconds."""
    return codec(plain()) + codec(bytes(BOMB_BYTES // 64)) * 64


def entities() -> str:
    """Ten entities, each ten times the one before (the billion laughs attack)."""
    layers = [f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10)]
    return f'<!DOCTYPE x [<!ENTITY e0 "ha">{"".join(layers)}]>'


LAUGH = '<FITSKeyword name="A" value="&e9;" comment=""/>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY e9 SYSTEM "file:///etc/passwd">]>'
SIZE = "does not give the image's size"
NO_END = b"".join(card.ljust(80) for card in (b"SIMPLE  = T", b"BITPIX  = 16"))

HOSTILE = (
    # Truncated
    Hostile("empty.fits", bytes, "it is empty"),
    Hostile("one_byte.fits", lambda: b"S", "is not a FITS file"),
    Hostile("text.fits", lambda: b"frame of M31\n" * 999, "is not a FITS file"),
    Hostile("cut_in_header.fits", lambda: plain()[:400], "its header has no END"),
    Hostile("cut_at_header.fits", lambda: plain()[:2880], "is truncated: 2880 bytes where 3008"),
    Hostile("cut_in_data.fits", lambda: plain()[:2977], "is truncated: 2977 bytes where 3008"),
    Hostile("cut_by_one.fits", lambda: plain()[:3007], "is truncated: 3007 bytes where 3008"),
    Hostile("empty.fits.gz", bytes, "it is empty"),
    Hostile("cut.fits.gz", lambda: gzip.compress(plain())[:-9], "ended before"),
    Hostile("half_magic.fits.gz", lambda: b"\x1f", "cannot be read"),
    Hostile("bad_sum.fits.gz", lambda: gzip.compress(plain())[:-8] + bytes(8), "CRC check failed"),
    Hostile("short.fits.gz", lambda: gzip.compress(plain()[:3000]), "is truncated: 3000 bytes"),
    Hostile("empty.fits.bz2", bytes, "cannot be read"),
    Hostile("text.fits.bz2", lambda: b"frame of M31", "cannot be read"),
    Hostile("cut.fits.bz2", lambda: bz2.compress(plain())[:-9], "cannot be read"),
    Hostile("cut.xisf", lambda: xisf()[:4200], "is truncated: 4200 bytes where 4224"),
    Hostile("cut_in_xml.xisf", lambda: xisf()[:200], "cannot be read as XISF"),
    Hostile("no_xml.xisf", lambda: b"XISF0100" + bytes(8), "cannot be read as XISF"),
    # Headers that never end
    Hostile("no_end.fits", lambda: NO_END.ljust(99 * 2880), "its header has no END"),
    Hostile(
        "endless_extensions.fits",
        lambda: (
            header(("SIMPLE", "T"), ("BITPIX", 8), ("NAXIS", 0))
            + header(b"XTENSION= 'TABLE'", ("BITPIX", 8), ("NAXIS", 0)) * 200
        ),
        "more than 100 extensions",
    ),
    Hostile("long_xml.xisf", lambda: b"XISF0100" + b"\xff" * 8, "header of 4294967295 bytes"),
    # Sizes
    Hostile("no_axes.fits", lambda: plain(NAXIS=0), "contains no image"),
    Hostile("one_axis.fits", lambda: plain(NAXIS=1, NAXIS2=None), "no two-dimensional image"),
    Hostile("cube.fits", lambda: plain(NAXIS=3, NAXIS1=4, NAXIS3=2), "series of 2 frames"),
    Hostile("fewer_axes_than_declared.fits", lambda: plain(NAXIS=3), SIZE),
    Hostile("a_billion_axes.fits", lambda: plain(NAXIS=10**9), SIZE),
    Hostile("axes_in_words.fits", lambda: plain(NAXIS="'two'"), SIZE),
    Hostile("infinite_axes.fits", lambda: plain(NAXIS="INF"), SIZE),
    Hostile("nan_wide.fits", lambda: plain(NAXIS1="NAN"), SIZE),
    Hostile("true_wide.fits", lambda: plain(NAXIS1="T"), "no two-dimensional image"),
    Hostile("no_width.fits", lambda: plain(NAXIS1=0), "no two-dimensional image"),
    Hostile("less_than_no_width.fits", lambda: plain(NAXIS1=-8), SIZE),
    Hostile("huge.fits", lambda: plain(NAXIS1=10**6, NAXIS2=10**6), "1000000 x 1000000 pixels"),
    Hostile("beyond_64_bits.fits", lambda: plain(NAXIS1="9" * 60), SIZE),
    Hostile("huge_heap.fits", lambda: extension(PCOUNT=10**19), SIZE),
    Hostile("nameless.fits", lambda: extension().replace(b"'IMAGE   '", b"          "), "nameless"),
    Hostile("numbered.fits", lambda: extension().replace(b"'IMAGE   '", b"         5"), "a 5 exte"),
    Hostile("huge.fits.fz", lambda: tiled(ZNAXIS1=b"1000000", ZNAXIS2=b"1000000"), "1000000 pixel"),
    Hostile("hollow.fits.fz", lambda: tiled(ZNAXIS1=b"40000", ZNAXIS2=b"40000"), "cannot be in 14"),
    Hostile("wide.fits.fz", lambda: tiled(ZNAXIS1=b"70"), "cannot be unpacked", True),
    Hostile("huge.fits.gz", lambda: gzip.compress(plain(NAXIS1=10**6, NAXIS2=10**6)), "1000000 p"),
    Hostile("huge.xisf", lambda: xisf(geometry="1000000:1000000:1"), "1000000 x 1000000"),
    Hostile("hollow.xisf", lambda: xisf(geometry="40000:40000:1"), "cannot be in 4224 bytes"),
    Hostile("wide.xisf", lambda: xisf(geometry="9:8:1"), "128 bytes of samples where 144", True),
    Hostile("negative.xisf", lambda: xisf(geometry="-8:-8:1"), "no two-dimensional image"),
    Hostile("one_side.xisf", lambda: xisf(geometry="8"), "cannot be read as XISF"),
    Hostile("long_number.xisf", lambda: xisf(geometry="9" * 5000 + ":8:1"), "cannot be read as"),
    # Samples
    Hostile("bits.fits", lambda: plain(BITPIX=7), "unknown sample format (BITPIX 7)"),
    Hostile(
        "many_bits.fits", lambda: plain(BITPIX=64, NAXIS1=2), "unknown sample format (BITPIX 64)"
    ),
    Hostile("words_for_bits.fits", lambda: plain(BITPIX="'many'"), SIZE),
    Hostile("complex.xisf", lambda: xisf(form="Complex32"), "format (BITPIX Complex32)"),
    Hostile("zero_in_words.fits", lambda: plain(BZERO="'x'"), "BZERO is x, which is not"),
    Hostile("zero_nan.fits", lambda: plain(BZERO="NAN"), "BZERO is nan, which is not"),
    Hostile("scale_inf.fits", lambda: plain(BSCALE="INF"), "BSCALE is inf, which is not"),
    Hostile("zero_huge.fits", lambda: plain(BZERO="1E300"), "do not fit 16-bit ADU", True),
    Hostile("zero_negative.fits", lambda: plain(BZERO=-9), "do not fit 16-bit ADU", True),
    Hostile("scale_huge.fits", lambda: plain(BSCALE=5000), "do not fit 16-bit ADU", True),
    # Packing
    Hostile("columns.fits.fz", lambda: tiled(TFIELDS=b"9" * 18), "999999999 columns"),
    Hostile("tall.fits.fz", lambda: hcompressed(4096, 64), "a tile declares", True),
    Hostile("long.fits.fz", lambda: hcompressed(64, 4096), "a tile declares", True),
    Hostile(
        "no_code.fits.fz", lambda: tile_table("HCOMPRESS_1", b"x" * 99), "a tile declares", True
    ),
    Hostile("unknown.fits.fz", lambda: tiled(ZCMPTYPE=b"'NOPE_1  '"), "cannot be unpacked", True),
    Hostile("zeroed.fits.fz", lambda: tiled()[:6000] + bytes(9000), "cannot be unpacked", True),
    Hostile("unknown.xisf", lambda: packed("rar", PIXELS), "'rar' is not supported", True),
    Hostile("no_zlib.xisf", lambda: packed("zlib", PIXELS), "cannot be unpacked", True),
    Hostile("no_lz4.xisf", lambda: packed("lz4", PIXELS), "cannot be unpacked", True),
    Hostile("no_zstd.xisf", lambda: packed("zstd", PIXELS), "cannot be unpacked", True),
    Hostile("items.xisf", lambda: packed("zlib+sh", zlib.compress(PIXELS)), "cannot be unp", True),
)

#: Files that would take much memory, time or disk space if they were unpacked; slow to generate.
BOMBS = (
    Hostile(
        "endless_header.fits.gz",
        lambda: gzip.compress(NO_END + b" " * (1 << 26)),
        "its header has no END",
    ),
    Hostile("a_million_cards.fits", lambda: NO_END + b" " * 80 * 10**6, "its header has no END"),
    Hostile("bomb.fits.bz2", lambda: followed_by_zeros(bz2.compress), "", True),
    Hostile("bomb.fits.gz", lambda: followed_by_zeros(gzip.compress), "", True),
    Hostile(
        "tile.fits.fz",
        lambda: tile_table("GZIP_1", zeros(gzip.compress)),
        "a tile unpacks to more than",
        True,
    ),
    Hostile("zlib.xisf", lambda: packed("zlib", zeros(zlib.compress)), "129 bytes", True),
    Hostile("zstd.xisf", lambda: packed("zstd", zeros(zstandard.compress)), "129 bytes", True),
    Hostile(
        "lz4.xisf",
        lambda: packed("lz4", lz4.block.compress(bytes(BOMB_BYTES), store_size=False)),
        "cannot be unpacked",
        True,
    ),
    Hostile(
        "laughs.xisf", lambda: xisf(before=entities(), keywords=LAUGH), "declares XML entities"
    ),
    Hostile(
        "passwords.xisf", lambda: xisf(before=OUTSIDE, keywords=LAUGH), "declares XML entities"
    ),
    Hostile("elsewhere.xisf", lambda: xisf(location="path(/etc/passwd)"), "not in the file itself"),
    Hostile("online.xisf", lambda: xisf(location="url(file:///etc)"), "not in the file itself"),
    Hostile("before.xisf", lambda: xisf(location="attachment:-9:128"), "its data start at -9"),
)


#: The same frames without a fault, to check that only the fault is refused.
VALID = {
    "plain.fits": plain(),
    "extension.fits": extension(),
    "zipped.fits.gz": gzip.compress(plain()),
    "zipped.fits.bz2": bz2.compress(plain()),
    "tiled.fits.fz": tiled(),
    "plain.xisf": xisf(),
    "zlib.xisf": packed("zlib", zlib.compress(PIXELS)),
    "lz4.xisf": packed("lz4", lz4.block.compress(PIXELS, store_size=False)),
    "zstd.xisf": packed("zstd", zstandard.compress(PIXELS)),
    "shuffled.xisf": xisf(zlib.compress(SHUFFLED), more='compression="zlib+sh:128:2"'),
}
