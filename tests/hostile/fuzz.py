"""Change valid and hostile files at random, and check that the readers read or refuse them.

``python tests/hostile/fuzz.py --seconds 300`` tries inputs for 300 s. Input number n of a seed is
always the same: ``--first n --count 1`` repeats one. An input that shows a fault is kept with
``--keep tests/hostile/findings``; the tests try all that are there.
"""

from __future__ import annotations

import argparse
import gzip
import json
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from readers import Reader, all_readers

#: Limit of CPU time per input; bombs of the corpus are left out, as they would take longer.
SECONDS = 5.0

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

#: Names of members that other files have.
WORDS = ("version", "digest", "frames", "path", "size", "name", "recipe", "dark", "a", "")

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


def change_member(content: bytearray, random: Random) -> None:
    """Replace, remove or repeat one value of a JSON text, at any depth."""
    try:
        stored = json.loads(content)
    except ValueError:
        return
    places = [*_places(stored)]
    if not places:
        return
    inside, key = random.choice(places)
    way = random.random()
    if way < 0.2:
        del inside[key]
    elif way < 0.3 and isinstance(inside, list):
        inside.insert(key, inside[key])
    elif way < 0.4 and isinstance(inside, dict):
        inside[random.choice(WORDS)] = inside.pop(key)
    else:
        other, at = random.choice(places)
        values = (None, True, -1, 1e400, 10**30, "", "x", [], {}, [None], {"a": 1})
        inside[key] = deepcopy(random.choice((*values, other[at] if at in _keys(other) else 0)))
    content[:] = json.dumps(stored).encode()


def _keys(inside: Any) -> Sequence[Any]:
    return [*inside] if isinstance(inside, dict) else range(len(inside))


def _places(stored: Any) -> Any:
    if isinstance(stored, dict | list):
        for key in _keys(stored):
            yield stored, key
            yield from _places(stored[key])


#: Changes of any file, and of files of one kind.
ANY: Sequence[Mutation] = (flip, truncate, delete, repeat, blank)
MUTATIONS: dict[str, Sequence[Mutation]] = {
    "image": (*ANY, *[change_card] * 3, *[change_attribute] * 2),
    "json": (*ANY, *[change_member] * 10),
    "text": ANY,
}


@dataclass(frozen=True)
class Input:
    reader: Reader
    name: str
    content: bytes


def mutated(readers: Sequence[Reader], seed: int, number: int) -> Input:
    """Return input ``number`` of a seed."""
    random = Random(f"{seed} {number}")
    (reader,) = random.choices(readers, [each.share for each in readers])
    name, original = random.choice(reader.files)
    zipped = name.endswith(".gz") and random.random() < 0.8
    try:
        content = bytearray(gzip.decompress(original) if zipped else original)
    except (OSError, EOFError):
        content, zipped = bytearray(original), False
    for _ in range(random.choice((1, 1, 2, 3, 5))):
        if content:
            random.choice(MUTATIONS[reader.kind])(content, random)
    if reader.kind == "image" and random.random() < 0.05:
        name = random.choice(("x.fits", "x.fits.gz", "x.fits.fz", "x.xisf"))
    return Input(reader, name, gzip.compress(content, 1) if zipped else bytes(content))


class TimeUp(BaseException):
    """An input took too long."""


def give_up(_: int, __: object) -> None:
    raise TimeUp(f"took longer than {SECONDS:g} s of CPU time")


@dataclass
class Tried:
    """Numbers of inputs by reader, and what was wrong."""

    inputs: Counter[str]
    read: Counter[str]
    faults: list[str]

    def __str__(self) -> str:
        rows = [f"{name:<24}{count:>9}{self.read[name]:>9}" for name, count in self.inputs.items()]
        total = f"{'total':<24}{self.inputs.total():>9}{self.read.total():>9}"
        head = f"{'reader':<24}{'inputs':>9}{'read':>9}"
        return "\n".join((head, *sorted(rows), total, f"{len(self.faults)} faults"))


def try_file(reader: Reader, path: Path) -> bool:
    """Let a reader read a file in limited time; True if it is used, False if it is refused."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # astropy's, about odd cards
            return reader.read(path)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def fuzz(
    seed: int,
    first: int,
    count: int,
    seconds: float,
    folder: Path,
    readers: Sequence[Reader],
    keep: Path | None = None,
) -> Tried:
    """Try inputs; ``keep`` is the folder for those that show a fault."""
    tried = Tried(Counter(), Counter(), [])
    signal.signal(signal.SIGPROF, give_up)
    end = time.monotonic() + seconds
    for number in range(first, first + count):
        if time.monotonic() > end:
            break
        if (number - first) % 50_000 == 49_999:
            print(tried, flush=True)
        changed = mutated(readers, seed, number)
        reader = changed.reader
        path = folder / changed.name
        path.write_bytes(changed.content)
        tried.inputs[reader.name] += 1
        try:
            tried.read[reader.name] += try_file(reader, path)
        except (Exception, TimeUp):
            where = f"seed {seed}, input {number} ({reader.name}, {changed.name})"
            tried.faults.append(f"{where}:\n{traceback.format_exc()}")
            if keep:
                print(tried.faults[-1], flush=True)
                kept = keep / reader.name / f"{seed}-{number}-{changed.name}"
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_bytes(changed.content)
        path.unlink(missing_ok=True)
    return tried


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=10**12)
    parser.add_argument("--readers", nargs="*", help="names; without it all")
    parser.add_argument("--keep", type=Path, help="folder for inputs that show a fault")
    chosen = parser.parse_args(arguments)
    readers = [each for each in all_readers() if not chosen.readers or each.name in chosen.readers]
    with tempfile.TemporaryDirectory() as folder:
        numbers = (chosen.seed, chosen.first, chosen.count, chosen.seconds)
        tried = fuzz(*numbers, Path(folder), readers, chosen.keep)
    print(f"seed {chosen.seed}")
    print(tried)
    print("\n".join(tried.faults[:20]))
    return bool(tried.faults)


if __name__ == "__main__":
    sys.exit(main())
