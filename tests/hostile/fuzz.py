"""Change sound and hostile files at random, and see that the readers refuse or read them.

``python tests/hostile/fuzz.py --seconds 300`` tries as many as there is time for. Input number n of
a seed is always the same: ``--first n --count 1`` repeats one.
"""

from __future__ import annotations

import argparse
import gzip
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from random import Random

import numpy as np
from hostile_files import HOSTILE, SOUND

from calmasters.errors import FrameError
from calmasters.headers.image_header import read_header
from calmasters.headers.keywords import describe
from calmasters.images.master_file import read_image
from calmasters.images.raw_frame import RawFrame
from calmasters.settings import HeaderRules

#: Of processor time, more than any input may take; bombs of the corpus would take longer.
SECONDS = 5.0
LARGEST = 1 << 16

NUMBERS = (
    *("0", "-1", "1", "2", "3", "7", "8", "9", "16", "64", "255", "256", "65535", "65536", "-32"),
    *("2147483647", "2147483648", "4294967295", "9223372036854775807", "1E19", "1E400", "-1E-400"),
    *("NAN", "INF", "-INF", "T", "F", "'16'", "''", "'", "0x10", "1.5", "1D2", "(1,2)", "9" * 60),
)
KEYWORDS = (
    *("SIMPLE", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "NAXIS3", "PCOUNT", "GCOUNT", "TFIELDS"),
    *("BZERO", "BSCALE", "XTENSION", "ZIMAGE", "ZBITPIX", "ZNAXIS", "ZNAXIS1", "ZTILE1", "ZTILE2"),
    *("ZCMPTYPE", "ZNAME1", "ZVAL1", "TFORM1", "TTYPE1", "CONTINUE", "HIERARCH", "END", "IMAGETYP"),
    *("EXPTIME", "SET-TEMP", "DATE-OBS", "DATE-LOC", "XBINNING", "CCDSUM", "EXTEND", "COMMENT"),
)
ATTRIBUTES = (
    *("geometry", "sampleFormat", "location", "compression", "byteOrder", "colorSpace", "name"),
    *("value", "bounds", "pixelStorage"),
)
TEXTS = (
    *("8:8:1", "8:8", "0:0:0", "-8:8:1", "99999:99999:1", "8:8:3", "UInt8", "UInt16", "Float32"),
    *("Float64", "Complex64", "attachment:4096:128", "attachment:0:0", "attachment:1:999999999"),
    *("inline:base64", "zlib:128", "zlib+sh:128:2", "zlib+sh:128:0", "zlib+sh:128:-1", "lz4:128"),
    *(
        "lz4+sh:128:3",
        "zstd:128",
        "zstd+sh:128:256",
        "zlib:",
        ":",
        "",
        "big",
        "little",
        "&#0;",
        "&x;",
    ),
)

Mutation = Callable[[bytearray, Random], None]


def flip(content: bytearray, chance: Random) -> None:
    for _ in range(chance.choice((1, 1, 2, 8))):
        content[chance.randrange(len(content))] = chance.randrange(256)


def cut(content: bytearray, chance: Random) -> None:
    del content[chance.randrange(len(content)) :]


def lose(content: bytearray, chance: Random) -> None:
    start = chance.randrange(len(content))
    del content[start : start + chance.choice((1, 8, 80, 2880))]


def repeat(content: bytearray, chance: Random) -> None:
    start, length = chance.randrange(len(content)), chance.choice((1, 80, 2880))
    content[start:start] = content[start : start + length] * chance.choice((1, 2, 40))


def blank(content: bytearray, chance: Random) -> None:
    start, length = chance.randrange(len(content)), chance.choice((4, 80, 512))
    content[start : start + length] = bytes([chance.choice((0, 32, 255))]) * length


def change_card(content: bytearray, chance: Random) -> None:
    """Put a card of a structural keyword where one stands: the keyword's own, or any."""
    keyword, value = chance.choice(KEYWORDS), chance.choice(NUMBERS)
    at = content.find(keyword.ljust(8).encode() + b"=") if chance.random() < 0.7 else -1
    if at < 0:
        at = 80 * chance.randrange(1, max(2, min(len(content), 8640) // 80))
    content[at : at + 80] = f"{keyword:<8}= {value:>20}".ljust(80)[:80].encode()


def change_attribute(content: bytearray, chance: Random) -> None:
    """Give an attribute of the XML another value, of the same length in all."""
    found = content.find(f'{chance.choice(ATTRIBUTES)}="'.encode())
    if found < 0:
        return
    start = content.index(b'"', found) + 1
    end = content.find(b'"', start)
    text = chance.choice((*TEXTS, *NUMBERS)).encode()
    content[start:end] = text
    spare = len(text) - (end - start)
    if spare > 0 and content.find(b"\0" * spare, 16) > 0:
        gap = content.find(b"\0" * spare, 16)
        del content[gap : gap + spare]
    elif spare < 0:
        content[min(len(content), 4000) : 0] = bytes(-spare)


MUTATIONS: Sequence[Mutation] = (
    *(flip, cut, lose, repeat, blank),
    *(change_card, change_card, change_card, change_attribute, change_attribute),
)


def corpus() -> list[tuple[str, bytes]]:
    """Sound files often, hostile ones that are small sometimes."""
    hostile = [(each.name, each.make()) for each in HOSTILE]
    return [*SOUND.items()] * 8 + [found for found in hostile if 0 < len(found[1]) < LARGEST]


@dataclass(frozen=True)
class Input:
    name: str
    content: bytes


def mutated(files: Sequence[tuple[str, bytes]], seed: int, number: int) -> Input:
    """Make input ``number`` of a seed."""
    chance = Random(f"{seed} {number}")
    name, whole = chance.choice(files)
    zipped = name.endswith(".gz") and chance.random() < 0.8
    try:
        content = bytearray(gzip.decompress(whole) if zipped else whole)
    except (OSError, EOFError):
        content, zipped = bytearray(whole), False
    for _ in range(chance.choice((1, 1, 2, 3, 5))):
        if content:
            chance.choice(MUTATIONS)(content, chance)
    if chance.random() < 0.05:
        name = chance.choice(("x.fits", "x.fits.gz", "x.fits.fz", "x.xisf"))
    return Input(name, gzip.compress(content, 1) if zipped else bytes(content))


def require_sensible(path: Path) -> bool:
    """Read all of a file: True if it is a frame, False if it is refused; anything else raises."""
    try:
        header = read_header(path)
        found = describe(header.cards, PurePosixPath(path.name), HeaderRules())
    except FrameError:
        return False
    sound = False
    for float_range in ("unit", "adu16"):
        try:
            with RawFrame(path, float_range) as frame:
                frame.require_sound()
                samples = frame.read(0, frame.size).samples
            assert samples.min() >= 0
            assert samples.max() <= 1
            assert np.isfinite(samples).all()
            assert found.traits.geometry is not None or found.traits.problems
            sound = True
        except FrameError:
            pass
    try:
        image, _ = read_image(path)
        assert image.min() >= 0
        assert image.max() <= 1
    except FrameError:
        pass
    return sound


class TimeUp(BaseException):
    """An input took too long."""


def give_up(_: int, __: object) -> None:
    raise TimeUp(f"not done after {SECONDS:g} s")


def fuzz(
    seed: int, first: int, count: int, seconds: float, folder: Path
) -> tuple[int, int, list[str]]:
    """Try inputs until there are enough; how many were tried and read, and what went wrong."""
    files, faults, read = corpus(), [], 0
    signal.signal(signal.SIGPROF, give_up)
    end = time.monotonic() + seconds
    number = first
    while number < first + count and time.monotonic() < end:
        made = mutated(files, seed, number)
        path = folder / made.name
        path.write_bytes(made.content)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # astropy's, about odd cards
                read += require_sensible(path)
        except (Exception, TimeUp):
            faults.append(f"seed {seed}, input {number} ({made.name}):\n{traceback.format_exc()}")
        signal.setitimer(signal.ITIMER_PROF, 0)
        path.unlink()
        number += 1
    return number - first, read, faults


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=10**12)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        tried, read, faults = fuzz(
            chosen.seed, chosen.first, chosen.count, chosen.seconds, Path(folder)
        )
    print(f"seed {chosen.seed}: {tried} inputs, {read} of them frames, {len(faults)} faults")
    print("\n".join(faults[:20]))
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
