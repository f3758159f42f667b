"""The frames that differ from the others of their master, as settings that leave them out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Final

from calmasters.atomic_files import write_whole
from calmasters.errors import shell_words
from calmasters.quality.quality_record import QualityRecord

__all__ = ["OddFrame", "exclude_exactly", "new_entries", "odd_frames", "write_leave_out"]

#: Where more than this share of the frames of a master differ, no majority says what is right.
_MOST: Final = 0.5

#: A line of the file up to its pattern; with ``#`` it is a comment.
_ENTRY: Final = re.compile(r"[ #]*- (?=\")")


@dataclass(frozen=True, slots=True)
class OddFrame:
    """A frame to leave out.

    Attributes
    ----------
    path : str
        Relative to ``input_dir``.
    reason : str
    """

    path: str
    reason: str


def odd_frames(
    records: Iterable[QualityRecord], copies: Mapping[str, Sequence[str]], minimum_frames: int
) -> tuple[list[OddFrame], list[str]]:
    """Collect the frames that stand out, and those that must go with them.

    Parameters
    ----------
    records : iterable of QualityRecord
    copies : mapping of str to sequence of str
        Copies of a frame by its path: without it, they would take its place.
    minimum_frames : int
        Fewer frames make no master.

    Returns
    -------
    frames : list of OddFrame
    kept : list of str
        Sentences on masters whose frames are not listed: too few would be left, or most differ.
    """
    frames, kept = [], []
    for record in records:
        odd = [frame for frame in record.frames if frame.stands_out]
        count, left = len(record.frames), len(record.frames) - len(odd)
        if not odd:
            continue
        if left < minimum_frames or len(odd) > _MOST * count:
            kept.append(
                f"{record.name}: {len(odd)} of {count} frames differ, which would leave {left}; "
                "see its card in the report"
            )
            continue
        for frame in odd:
            frames.append(OddFrame(frame.path, f"{frame.stands_out} ({record.name})"))
            frames += [
                OddFrame(copy, f"is a copy of {frame.path}") for copy in copies.get(frame.path, ())
            ]
    return frames, kept


def exclude_exactly(path: str) -> str:
    """Give the pattern of ``exclude`` that matches this path and no other.

    Examples
    --------
    >>> exclude_exactly("Flats/B [1].fits")
    '/Flats/B [[]1].fits'
    """
    # Bytes that are no text cannot be in a configuration; any character matches them.
    return "/" + "".join(char if char.isprintable() else "?" for char in escape(path))


def write_leave_out(
    path: Path, frames: Sequence[OddFrame], kept: Sequence[str], exclude: Sequence[str]
) -> None:
    """Write a file for ``--configfile``; without frames to leave out, remove it.

    The file has the present ``exclude`` too, because a configuration file replaces lists. A file
    that is in use stays: the next run may be started with it again. So do lines that somebody has
    made comments.

    Parameters
    ----------
    path : Path
    frames : sequence of OddFrame
    kept : sequence of str
        As :func:`odd_frames` returns them; they become comments.
    exclude : sequence of str
        The present setting.
    """
    before = _stored(path)
    reasons = {exclude_exactly(frame.path): frame.reason for frame in frames}
    refused = [pattern for pattern, line in before.items() if line.is_comment]
    is_in_use = any(pattern.startswith("/") and pattern in exclude for pattern in before)
    if not (reasons.keys() - set(refused) or is_in_use):
        if not refused:
            path.unlink(missing_ok=True)
        return
    present = {
        pattern: before[pattern].reason if pattern in before else "in use now"
        for pattern in exclude
    }
    lines = {
        pattern: _Line(reason, is_comment=pattern in refused and pattern not in exclude)
        for pattern, reason in (present | reasons).items()
    }
    content = [*_head(path, kept), "exclude:", *(_entry(*each) for each in lines.items())]
    write_whole(path, "".join(f"{line}\n" for line in content))


def new_entries(path: Path, exclude: Sequence[str]) -> int:
    """Count the patterns of a file that are not in effect yet."""
    active = {pattern for pattern, line in _stored(path).items() if not line.is_comment}
    return len(active - set(exclude))


@dataclass(frozen=True, slots=True)
class _Line:
    """What the file says of a pattern, and whether somebody made a comment of it."""

    reason: str
    is_comment: bool = False


def _head(path: Path, kept: Sequence[str]) -> Iterator[str]:
    yield "# Frames that differ from the others of their master. Read the reasons, put # before the"
    yield "# lines of frames that are good, then run:"
    command = f"snakemake masters --configfile {shell_words([str(path)])}"
    yield f"# {_printable(command)}"
    yield from (f"# {_printable(each)}" for each in kept)


def _entry(pattern: str, line: _Line) -> str:
    # A text of JSON is one of YAML, too.
    text = f"- {json.dumps(pattern, ensure_ascii=False)}  # {_printable(line.reason)}"
    return f"# {text}" if line.is_comment else f"  {text}"


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def _stored(path: Path) -> dict[str, _Line]:
    """Read the patterns of a file, by its lines; of one that somebody edited, what is left."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return {}
    decoder, found = json.JSONDecoder(), {}
    for line in lines:
        if match := _ENTRY.match(line):
            try:
                pattern, end = decoder.raw_decode(line, match.end())
            except ValueError:
                continue
            found[str(pattern)] = _Line(line[end:].strip(" #"), is_comment="#" in match[0])
    return found
