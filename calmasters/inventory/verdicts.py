"""Decide whether frames are used, ignored or refused, and why; copies of frames are ignored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Final

from calmasters.frame import Frame, Status, Traits, Verdict
from calmasters.headers.frame_types import canonical_type
from calmasters.inventory.content_digests import ContentDigests
from calmasters.inventory.scan import ScannedFile
from calmasters.settings import Settings

__all__ = ["check_frame", "mark_duplicates", "missing_keywords", "usable_frames"]

#: Number of bytes compared in the middle of a file, where exposures differ at least by noise.
_MIDDLE: Final = 4096


def check_frame(frame: Frame, settings: Settings) -> Verdict | None:
    """Return why a frame is ignored or refused; None for a usable calibration frame."""
    if frame.excluded:
        return Verdict(Status.IGNORED, frame.excluded)
    if frame.copy_of:
        return Verdict(Status.IGNORED, f"is a copy of {frame.copy_of}", "copies of other frames")
    return _check_traits(frame.traits, settings)


def usable_frames(frames: Iterable[Frame], settings: Settings) -> dict[Traits, list[Frame]]:
    """Return the frames that :func:`check_frame` accepts, by their traits."""
    by_traits: dict[Traits, list[Frame]] = defaultdict(list)
    for frame in frames:
        if not (frame.excluded or frame.copy_of):
            by_traits[frame.traits].append(frame)
    return {
        traits: members
        for traits, members in by_traits.items()
        if _check_traits(traits, settings) is None
    }


def _check_traits(traits: Traits, settings: Settings) -> Verdict | None:
    kind = str(traits.keywords.get("TYPE", ""))
    if kind and kind in _canonical(settings.ignored_types):
        return _ignored(traits, kind, settings)
    faults = [*_faults(traits, kind, settings)]
    if not faults:
        return None
    reasons, remedies = zip(*faults, strict=True)
    return Verdict(
        Status.REFUSED,
        ". ".join("; ".join(filter(None, fault)) for fault in faults),
        ". ".join(dict.fromkeys(filter(None, remedies))) or reasons[0],
    )


def _ignored(traits: Traits, kind: str, settings: Settings) -> Verdict:
    """Say that a type is ignored, and whether its folder or file name gives another type."""
    other = traits.other_type
    if other is None:
        return Verdict(Status.IGNORED, f"type {kind}")
    where = "folders" if other.place == "folder" else "file names"
    types_from = other.types_from(settings.types_from)
    remedy = (
        f"type {kind}, but their {where} say {other.type}; if that is right, "
        f"set types_from: [{', '.join(types_from)}]"
    )
    reason = f"type {kind}, but {other}"
    return Verdict(Status.IGNORED, reason, remedy, settings={"types_from": types_from})


@cache
def _canonical(types: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(canonical_type, types))


def _faults(traits: Traits, kind: str, settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the faults of frames, each with its remedy."""
    for problem in traits.problems:
        fault, _, remedy = problem.partition("; ")
        yield fault, remedy
    if traits.geometry is None:
        return
    if traits.master:
        yield (
            "is a master, not a raw frame",
            "move it to a directory named in library, or exclude it",
        )
    elif not kind:
        yield (
            "has no frame type",
            "set IMAGETYP in the capture program, or name its folder TYPE_bias, TYPE_dark "
            "or TYPE_flat, or Bias, Darks or Flats",
        )
    elif kind not in settings.required_keywords:
        yield f"is of type '{kind}'", "add the type to ignored_types to ignore such frames"
    elif missing := missing_keywords(traits, kind, settings):
        names = ", ".join(missing)
        yield (
            f"lacks {names}",
            f"add {names} to optional_keywords where your camera writes none, or name the card "
            f"that has it in keyword_aliases, or the folder {missing[0]}_value",
        )


def missing_keywords(traits: Traits, kind: str, settings: Settings) -> list[str]:
    """List the required keywords of a calibration type that are missing in the traits."""
    return [
        keyword
        for keyword in settings.required_keywords[kind]
        if keyword not in traits.keywords and keyword not in settings.optional_keywords
    ]


# --- copies ---------------------------------------------------------------------------------------


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
