"""Change valid and hostile files at random, and check that the readers read or refuse them.

``python tests/hostile/fuzz.py --seconds 300`` tries inputs for 300 s. Input number n of a seed is
always the same: ``--first n --count 1`` repeats one.
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
from hostile_files import HOSTILE, VALID

from calmasters.errors import FrameError
from calmasters.headers.dialects import read_keywords
from calmasters.headers.image_header import read_header
from calmasters.images.master_file import read_image
from calmasters.images.raw_frame import RawFrame
from calmasters.settings import HeaderRules

#: Limit of CPU time per input; bombs of the corpus are left out, as they would take longer.
SECONDS = 5.0
LARGEST = 1 << 16

NUMBERS = (
    "0", "-1", "1", "2", "3", "7", "8", "9", "16", "64", "255", "256", "65535", "65536", "-32",
    "2147483647", "2147483648", "4294967295", "9223372036854775807", "1E19", "1E400", "-1E-400",
    "NAN", "INF", "-INF", "T", "F", "'16'", "''", "'", "0x10", "1.5", "1D2", "(1,2)", "9" * 60,
)  # fmt: skip
KEYWORDS = (
    "SIMPLE", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "NAXIS3", "PCOUNT", "GCOUNT", "TFIELDS",
    "BZERO", "BSCALE", "XTENSION", "ZIMAGE", "ZBITPIX", "ZNAXIS", "ZNAXIS1", "ZTILE1", "ZTILE2",
    "ZCMPTYPE", "ZNAME1", "ZVAL1", "TFORM1", "TTYPE1", "CONTINUE", "HIERARCH", "END", "IMAGETYP",
    "EXPTIME", "SET-TEMP", "DATE-OBS", "DATE-LOC", "XBINNING", "CCDSUM", "EXTEND", "COMMENT",
)  # fmt: skip
ATTRIBUTES = (
    "geometry", "sampleFormat", "location", "compression", "byteOrder", "colorSpace", "name",
    "value", "bounds", "pixelStorage",
)  # fmt: skip
TEXTS = (
    "8:8:1", "8:8", "0:0:0", "-8:8:1", "99999:99999:1", "8:8:3", "UInt8", "UInt16", "Float32",
    "Float64", "Complex64", "attachment:4096:128", "attachment:0:0", "attachment:1:999999999",
    "inline:base64", "zlib:128", "zlib+sh:128:2", "zlib+sh:128:0", "zlib+sh:128:-1", "lz4:128",
    "lz4+sh:128:3", "zstd:128", "zstd+sh:128:256", "zlib:", ":", "", "big", "little", "&#0;", "&x;",
)  # fmt: skip

Mutation = Callable[[bytearray, Random], None]


def flip(content: bytearray, random: Random) -> None:
    for _ in range(random.choice((1, 1, 2, 8))):
        content[random.randrange(len(content))] = random.randrange(256)


def truncate(content: bytearray, random: Random) -> None:
    del content[random.randrange(len(content)) :]


def delete(content: bytearray, random: Random) -> None:
    start = random.randrange(len(content))
    del content[start : start + random.choice((1, 8, 80, 2880))]


def repeat(content: bytearray, random: Random) -> None:
    start, length = random.randrange(len(content)), random.choice((1, 80, 2880))
    content[start:start] = content[start : start + length] * random.choice((1, 2, 40))


def blank(content: bytearray, random: Random) -> None:
    start, length = random.randrange(len(content)), random.choice((4, 80, 512))
    content[start : start + length] = bytes([random.choice((0, 32, 255))]) * length


def change_card(content: bytearray, random: Random) -> None:
    """Overwrite a card by one of a structural keyword: that keyword's own card, or any card."""
    keyword, value = random.choice(KEYWORDS), random.choice(NUMBERS)
    at = content.find(keyword.ljust(8).encode() + b"=") if random.random() < 0.7 else -1
    if at < 0:
        at = 80 * random.randrange(1, max(2, min(len(content), 8640) // 80))
    content[at : at + 80] = f"{keyword:<8}= {value:>20}".ljust(80)[:80].encode()


def change_attribute(content: bytearray, random: Random) -> None:
    """Change an attribute of the XML, and keep the length of the file."""
    at = content.find(f'{random.choice(ATTRIBUTES)}="'.encode())
    if at < 0:
        return
    start = content.index(b'"', at) + 1
    end = content.find(b'"', start)
    text = random.choice((*TEXTS, *NUMBERS)).encode()
    content[start:end] = text
    spare = len(text) - (end - start)
    if spare > 0 and content.find(b"\0" * spare, 16) > 0:
        gap = content.find(b"\0" * spare, 16)
        del content[gap : gap + spare]
    elif spare < 0:
        content[min(len(content), 4000) : 0] = bytes(-spare)


MUTATIONS: Sequence[Mutation] = (
    flip,
    truncate,
    delete,
    repeat,
    blank,
    change_card,
    change_card,
    change_card,
    change_attribute,
    change_attribute,
)


def corpus() -> list[tuple[str, bytes]]:
    """Valid files, eight times each, and small hostile files."""
    hostile = [(each.name, each.make()) for each in HOSTILE]
    return [*VALID.items()] * 8 + [file for file in hostile if 0 < len(file[1]) < LARGEST]


@dataclass(frozen=True)
class Input:
    name: str
    content: bytes


def mutated(files: Sequence[tuple[str, bytes]], seed: int, number: int) -> Input:
    """Return input ``number`` of a seed."""
    random = Random(f"{seed} {number}")
    name, original = random.choice(files)
    zipped = name.endswith(".gz") and random.random() < 0.8
    try:
        content = bytearray(gzip.decompress(original) if zipped else original)
    except (OSError, EOFError):
        content, zipped = bytearray(original), False
    for _ in range(random.choice((1, 1, 2, 3, 5))):
        if content:
            random.choice(MUTATIONS)(content, random)
    if random.random() < 0.05:
        name = random.choice(("x.fits", "x.fits.gz", "x.fits.fz", "x.xisf"))
    return Input(name, gzip.compress(content, 1) if zipped else bytes(content))


def read_or_refuse(path: Path) -> bool:
    """Read a complete file; True if it is a frame, False if it is refused; else raise."""
    try:
        header = read_header(path)
        traits = read_keywords(header.cards, PurePosixPath(path.name), HeaderRules()).traits
    except FrameError:
        return False
    valid = False
    for float_range in ("auto", "unit", "adu16"):
        try:
            with RawFrame(path, float_range) as frame:
                frame.require_valid_samples()
                samples = frame.read(0, frame.size).samples
            assert samples.min() >= 0
            assert samples.max() <= 1
            assert np.isfinite(samples).all()
            assert traits.geometry is not None or traits.problems
            valid = True
        except FrameError:
            pass
    try:
        image, _ = read_image(path)
        assert image.min() >= 0
        assert image.max() <= 1
    except FrameError:
        pass
    return valid


class TimeUp(BaseException):
    """An input took too long."""


def give_up(_: int, __: object) -> None:
    raise TimeUp(f"took longer than {SECONDS:g} s of CPU time")


def fuzz(
    seed: int, first: int, count: int, seconds: float, folder: Path
) -> tuple[int, int, list[str]]:
    """Try inputs; return the number of tried and of read inputs, and the faults."""
    files, faults, read = corpus(), [], 0
    signal.signal(signal.SIGPROF, give_up)
    end = time.monotonic() + seconds
    number = first
    while number < first + count and time.monotonic() < end:
        changed = mutated(files, seed, number)
        path = folder / changed.name
        path.write_bytes(changed.content)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # astropy's, about odd cards
                read += read_or_refuse(path)
        except (Exception, TimeUp):
            faults.append(
                f"seed {seed}, input {number} ({changed.name}):\n{traceback.format_exc()}"
            )
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
