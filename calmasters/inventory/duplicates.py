"""Find copies of frames, so that each frame is used once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Final

from calmasters.frame import Frame
from calmasters.inventory.content_digests import ContentDigests
from calmasters.inventory.scan import ScannedFile
from calmasters.inventory.verdicts import usable_frames
from calmasters.settings import Settings

__all__ = ["mark_duplicates"]

#: Number of bytes compared in the middle of a file, where exposures differ at least by noise.
_MIDDLE: Final = 4096


def mark_duplicates(
    frames: Iterable[Frame],
    files: Iterable[ScannedFile],
    settings: Settings,
    contents: ContentDigests,
) -> list[Frame]:
    """Mark every calibration frame that has the same bytes as another one.

    Only frames with equal size and header are compared, first by a few bytes from the middle. If
    these are equal, the files are read completely, once. The original is the oldest file; of files
    with the same time, the first by path.

    Parameters
    ----------
    frames : iterable of Frame
    files : iterable of ScannedFile
        The same files, from the scan.
    settings : Settings
    contents : ContentDigests
        Digests of files.

    Returns
    -------
    list of Frame
        All frames; ``copy_of`` of a copy is the path of the original.
    """
    frames, root = list(frames), settings.input_dir
    by_keywords: dict[Hashable, list[Frame]] = defaultdict(list)
    for traits, members in usable_frames(frames, settings).items():
        by_keywords[frozenset(traits.keywords.items())] += members
    suspects = [
        same_bytes
        for same_keywords in by_keywords.values()
        for same_header in _equal_frames(
            same_keywords, attrgetter("date_obs", "size", "ccd_temp_c")
        )
        for same_bytes in _equal_frames(
            same_header, lambda frame: _middle_bytes(root / frame.path, frame.size)
        )
    ]
    if not suspects:
        return frames
    originals: dict[str, str] = {}
    by_path = {file.path: file for file in files}
    for group in suspects:
        digested = contents.add_digests((by_path[frame.path] for frame in group), root)
        originals |= _originals(digested)
    return [
        frame._replace(copy_of=originals[frame.path]) if frame.path in originals else frame
        for frame in frames
    ]


def _equal_frames(
    frames: Sequence[Frame], key: Callable[[Frame], Hashable | None]
) -> Iterator[list[Frame]]:
    """Yield groups of two or more frames with equal keys; None equals nothing."""
    keys = [*map(key, frames)]
    if len(set(keys)) == len(keys):
        return
    groups: dict[Hashable, list[Frame]] = defaultdict(list)
    for value, frame in zip(keys, frames, strict=True):
        if value is not None:
            groups[value].append(frame)
    yield from (group for group in groups.values() if len(group) > 1)


def _middle_bytes(path: Path, size: int) -> bytes | None:
    try:
        with path.open("rb") as file:
            file.seek(max(0, (size - _MIDDLE) // 2))
            return file.read(_MIDDLE)
    except OSError:
        return None


def _originals(files: Iterable[ScannedFile]) -> dict[str, str]:
    """Return the path of the original for the path of each copy."""
    first: dict[str, str] = {}
    originals = {}
    for file in sorted(files, key=lambda file: (file.mtime_ns, file.path)):
        if file.content and first.setdefault(file.content, file.path) != file.path:
            originals[file.path] = first[file.content]
    return originals
