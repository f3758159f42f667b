"""Decide whether frames are used, ignored or refused, and why; copies of frames are ignored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial, reduce
from itertools import chain
from operator import attrgetter
from pathlib import Path, PurePath
from typing import Final

from calmasters.frame import Frame, Status, Traits, Value, Verdict, format_value, split_plane
from calmasters.headers.camera_raw import is_camera_raw
from calmasters.headers.frame_types import canonical_type
from calmasters.headers.path_tokens import type_from_folder, type_from_name
from calmasters.inventory.camera_keywords import UNKNOWN_CAMERAS, CameraKeywords
from calmasters.inventory.content_digests import ContentDigests
from calmasters.inventory.faults import NamedType, find_faults
from calmasters.inventory.scan import ScannedFile
from calmasters.inventory.suggestions import combined_settings
from calmasters.settings import Settings

__all__ = ["FrameChecks", "check_frame", "mark_duplicates", "usable_frames"]

#: Number of bytes of a file that are compared, where exposures differ at least by noise.
_MIDDLE: Final = 4096
#: Fewer different bytes are an image without noise, which frames may have in common.
_FEWEST_BYTES: Final = 9
_CONTRADICTION_REMEDY: Final = (
    "frames with equal pixels and times have different headers: exclude those whose header is wrong"
)
#: Extensions of packed files, after that of the plain file.
_PACKED: Final = (".fz", ".gz", ".bz2")


class FrameChecks:
    """Gives each frame a verdict of its own; frames with the same faults share one.

    Parameters
    ----------
    settings : Settings
    cameras : CameraKeywords, optional
        Which keywords each camera writes; without it every missing keyword is a fault.
    """

    def __init__(self, settings: Settings, cameras: CameraKeywords = UNKNOWN_CAMERAS) -> None:
        self._settings = settings
        self._verdict = cache(partial(_check_traits, settings=settings, cameras=cameras))

    def verdict(self, frame: Frame) -> Verdict | None:
        """Return why a frame is ignored or refused; None for a usable calibration frame."""
        if frame.excluded:
            return Verdict(Status.IGNORED, frame.excluded)
        if frame.copy_of:
            return Verdict(
                Status.IGNORED, f"is a copy of {frame.copy_of}", "copies of other frames"
            )
        named = None if "TYPE" in frame.keywords else _named_type(frame.path, self._settings)
        verdict = self._verdict(frame.traits, named)
        if verdict is None and frame.contradiction:
            return Verdict(Status.REFUSED, frame.contradiction, _CONTRADICTION_REMEDY)
        return verdict


def check_frame(
    frame: Frame, settings: Settings, cameras: CameraKeywords = UNKNOWN_CAMERAS
) -> Verdict | None:
    """Return the verdict on one frame; for many frames use :class:`FrameChecks`."""
    return FrameChecks(settings, cameras).verdict(frame)


def usable_frames(
    frames: Iterable[Frame], settings: Settings, cameras: CameraKeywords = UNKNOWN_CAMERAS
) -> dict[Traits, list[Frame]]:
    """Return the frames that :func:`check_frame` accepts, by their traits."""
    by_traits: dict[Traits, list[Frame]] = defaultdict(list)
    for frame in frames:
        if not (frame.excluded or frame.copy_of or frame.contradiction):
            by_traits[frame.traits].append(frame)
    return {
        traits: members
        for traits, members in by_traits.items()
        if _check_traits(traits, settings=settings, cameras=cameras) is None
    }


def _check_traits(
    traits: Traits,
    named: NamedType | None = None,
    *,
    settings: Settings,
    cameras: CameraKeywords,
) -> Verdict | None:
    kind = str(traits.keywords.get("TYPE", ""))
    if kind and kind in _canonical(settings.ignored_types):
        return _ignored(traits, kind, settings)
    faults = [*find_faults(traits, named, settings, cameras)]
    if not faults:
        return None
    reasons, remedies, fixes = zip(*faults, strict=True)
    return Verdict(
        Status.REFUSED,
        ". ".join("; ".join(filter(None, (reason, remedy))) for reason, remedy, _ in faults),
        ". ".join(dict.fromkeys(filter(None, remedies))) or reasons[0],
        settings=reduce(combined_settings, fixes, {}) if all(fixes) else {},
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


def _named_type(path: str, settings: Settings) -> NamedType | None:
    """Return the type that the folder or name of a frame says, if a setting would use it."""
    for part, type_from in (("folder", type_from_folder), ("name", type_from_name)):
        if part not in settings.types_from and (kind := type_from(PurePath(path))):
            return NamedType(kind, part)
    return None


# --- copies ---------------------------------------------------------------------------------------


def mark_duplicates(
    frames: Iterable[Frame],
    files: Iterable[ScannedFile],
    settings: Settings,
    contents: ContentDigests,
    cameras: CameraKeywords = UNKNOWN_CAMERAS,
) -> list[Frame]:
    """Mark calibration frames that are in the directory a second time.

    They have the bytes of another frame, are its packed twin, or have its pixels and time but other
    keywords: then one of the headers is wrong.

    A packed file (``.fz``, ``.gz``, ``.bz2``) is a twin if a file with its name has the same header
    and time; without a time, if it is also in the same folder. So is a camera raw of the same name
    with another extension. Of other frames, only those with
    equal size and header are compared, first by a few bytes from the middle. If these are equal,
    the files are read completely, once. The original is the oldest file; of files with the same
    time, the first by path. Files with a series are compared as a whole.

    Parameters
    ----------
    frames : iterable of Frame
    files : iterable of ScannedFile
        The same files, from the scan.
    settings : Settings
    contents : ContentDigests
        Digests of files.
    cameras : CameraKeywords, optional

    Returns
    -------
    list of Frame
        All frames; ``copy_of`` of a copy is the path of the original, and ``contradiction`` of a
        frame says how the header of the other one differs.
    """
    frames, root = list(frames), settings.input_dir
    usable = usable_frames(frames, settings, cameras)
    by_keywords: dict[Hashable, list[Frame]] = defaultdict(list)
    seen: set[str] = set()
    for traits, members in usable.items():
        by_keywords[frozenset(traits.keywords.items())] += _files_of(members, seen)
    twins = _packed_twins(chain(*by_keywords.values()))
    suspects = [
        same_bytes
        for same_keywords in by_keywords.values()
        for same_header in _equal_frames(
            [frame for frame in same_keywords if frame.path not in twins],
            attrgetter("date_obs", "size", "ccd_temp_c"),
        )
        for same_bytes in _equal_frames(same_header, partial(_middle_bytes, root))
    ]
    contradictions = _contradictions([*chain(*usable.values())], root)
    if not (suspects or twins or contradictions):
        return frames
    originals = twins
    by_path = {file.path: file for file in files}
    for group in suspects:
        digested = contents.add_digests((by_path[frame.path] for frame in group), root)
        originals |= _originals(digested)
    return [
        frame._replace(
            copy_of=_original_of(frame.path, originals),
            contradiction=contradictions.get(frame.path),
        )
        for frame in frames
    ]


def _contradictions(frames: Sequence[Frame], root: Path) -> dict[str, str]:
    """Say for each frame how another one with its pixels and its time has other keywords."""
    return {
        path: contradiction
        for same_time in _equal_frames(frames, attrgetter("date_obs"))
        if len({id(frame.traits) for frame in same_time}) > 1
        for path, contradiction in _contradictions_among(same_time, root)
    }


def _contradictions_among(frames: Sequence[Frame], root: Path) -> Iterator[tuple[str, str]]:
    for same in _equal_frames(frames, partial(_noise_bytes, root)):
        for frame in same:
            other = next((each for each in same if each.keywords != frame.keywords), None)
            if other:
                differences = ", ".join(_differences(frame.keywords, other.keywords))
                yield frame.path, f"has the pixels and the time of {other.path}, but {differences}"


def _differences(keywords: Mapping[str, Value], others: Mapping[str, Value]) -> Iterator[str]:
    for name in sorted(keywords.keys() | others.keys()):
        value, other = (
            format_value(name, each[name]) if name in each else "none"
            for each in (keywords, others)
        )
        if value != other:
            yield f"{name} {value} instead of {other}"


def _files_of(frames: Iterable[Frame], seen: set[str]) -> Iterator[Frame]:
    """Give frames as files: of a series one, for whichever of its frames comes first."""
    for frame in frames:
        file, plane = split_plane(frame.path)
        if not plane:
            yield frame
        elif file not in seen:
            seen.add(file)
            # Two copies may differ in which of their frames are excluded.
            yield frame._replace(path=file, date_obs=None, ccd_temp_c=None)


def _original_of(path: str, originals: Mapping[str, str]) -> str | None:
    """Return the path of the original of a frame; None if it is no copy."""
    file, plane = split_plane(path)
    original = originals.get(file)
    return f"{original}{path[len(file) :]}" if original and plane else original


def _packed_twins(frames: Iterable[Frame]) -> dict[str, str]:
    """Return the path of the original for each packed file that has a twin.

    The original is the plain file, else the first by path.
    """
    groups: dict[Hashable, list[Frame]] = defaultdict(list)
    # Grouping only the packed files first keeps this quick for many plain ones.
    frames = list(frames)
    packed = {frame.path: plain for frame in frames if (plain := _unpacked_name(frame.path))}
    if not packed:
        return {}
    names = {_file_name(path) for path in packed.values()}
    for frame in frames:
        path = packed.get(frame.path, frame.path)
        if (name := _file_name(path)) in names:
            # Without a time, frames of one name in several folders may be different frames.
            folder = "" if frame.date_obs else path.rpartition("/")[0]
            header = frozenset(frame.keywords.items())
            groups[name, folder, frame.date_obs, frame.ccd_temp_c, header].append(frame)
    twins: dict[str, str] = {}
    for alike in groups.values():
        paths = sorted((frame.path for frame in alike), key=lambda path: (path in packed, path))
        twins |= {path: paths[0] for path in paths[1:] if path in packed}
    return twins


def _file_name(path: str) -> str:
    return path.rpartition("/")[2].casefold()


def _unpacked_name(path: str) -> str:
    """Return the path of the plain twin of a packed file; empty for a plain file.

    Converters give a camera raw and the DNG made of it one name; there is no plain twin of them.
    """
    if is_camera_raw(path):
        return path.rpartition(".")[0]
    if not path.lower().endswith(_PACKED):
        return ""
    return path.rpartition(".")[0]


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


def _middle_bytes(root: Path, frame: Frame) -> bytes | None:
    return _bytes_at(root / frame.path, max(0, (frame.size - _MIDDLE) // 2))


def _noise_bytes(root: Path, frame: Frame) -> bytes | None:
    """Return bytes of the pixels of a frame; None if they are hardly different.

    They are at the same distance from the end of the file, also where the header is longer.
    """
    geometry = frame.traits.geometry
    from_end = geometry.width * geometry.height if geometry else frame.size // 2
    found = _bytes_at(root / frame.path, max(0, frame.size - from_end))
    return found if found and len({*found}) >= _FEWEST_BYTES else None


def _bytes_at(path: Path, start: int) -> bytes | None:
    try:
        with path.open("rb") as file:
            file.seek(start)
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
