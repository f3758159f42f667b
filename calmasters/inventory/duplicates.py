"""Copies of frames: each frame counts once, whatever its copies are called."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Final

from calmasters.frame import Frame
from calmasters.inventory.content_digests import ContentDigests
from calmasters.inventory.scan import ScannedFile
from calmasters.inventory.verdicts import sound_frames
from calmasters.settings import Settings

__all__ = ["mark_duplicates"]

#: Bytes from the middle of a file: two exposures differ there, if only by their noise.
_MIDDLE: Final = 4096


def mark_duplicates(
    frames: Iterable[Frame],
    files: Iterable[ScannedFile],
    settings: Settings,
    contents: ContentDigests,
) -> list[Frame]:
    """Mark every calibration frame that has the same bytes as another one.

    Only frames of one size and header are compared, first by a few bytes from the middle; what is
    still equal is read as a whole, once. The oldest file is the original, then the first by path.

    Parameters
    ----------
    frames : iterable of Frame
    files : iterable of ScannedFile
        The same ones, as the scan saw them.
    settings : Settings
    contents : ContentDigests
        Digests of files that were read before.

    Returns
    -------
    list of Frame
        All of them; ``copy_of`` of a copy says of which.
    """
    frames, root = list(frames), settings.input_dir
    by_keywords: dict[Hashable, list[Frame]] = defaultdict(list)
    for traits, some in sound_frames(frames, settings).items():
        by_keywords[frozenset(traits.keywords.items())] += some
    suspects = [
        fewer
        for some in by_keywords.values()
        for few in _alike(some, attrgetter("date_obs", "size", "ccd_temp_c"))
        for fewer in _alike(few, lambda frame: _middle_bytes(root / frame.path, frame.size))
    ]
    if not suspects:
        return frames
    originals: dict[str, str] = {}
    by_path = {file.path: file for file in files}
    for alike in suspects:
        read = contents.identify((by_path[frame.path] for frame in alike), root)
        originals |= _originals(read)
    return [
        frame._replace(copy_of=originals[frame.path]) if frame.path in originals else frame
        for frame in frames
    ]


def _alike(
    frames: Sequence[Frame], key: Callable[[Frame], Hashable | None]
) -> Iterator[list[Frame]]:
    """Give the frames, two or more, for which a function gives one value; None equals nothing."""
    keys = [*map(key, frames)]
    if len(set(keys)) == len(keys):
        return
    found: dict[Hashable, list[Frame]] = defaultdict(list)
    for value, frame in zip(keys, frames, strict=True):
        if value is not None:
            found[value].append(frame)
    yield from (few for few in found.values() if len(few) > 1)


def _middle_bytes(path: Path, size: int) -> bytes | None:
    try:
        with path.open("rb") as file:
            file.seek(max(0, (size - _MIDDLE) // 2))
            return file.read(_MIDDLE)
    except OSError:
        return None


def _originals(files: Iterable[ScannedFile]) -> dict[str, str]:
    """Give the path of each copy and that of its original."""
    first: dict[str, str] = {}
    found = {}
    for file in sorted(files, key=lambda file: (file.mtime_ns, file.path)):
        if file.content and first.setdefault(file.content, file.path) != file.path:
            found[file.path] = first[file.content]
    return found
