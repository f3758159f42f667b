"""Decide whether frames are used, ignored or refused, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache

from calmasters.frame import Frame, Status, Traits, Verdict
from calmasters.headers.frame_types import canonical_type
from calmasters.settings import Settings

__all__ = ["check_frame", "missing_keywords", "usable_frames"]


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
        return Verdict(Status.IGNORED, f"type {kind}")
    faults = [*_faults(traits, kind, settings)]
    if not faults:
        return None
    reasons, remedies = zip(*faults, strict=True)
    return Verdict(
        Status.REFUSED,
        ". ".join("; ".join(filter(None, fault)) for fault in faults),
        ". ".join(dict.fromkeys(filter(None, remedies))) or reasons[0],
    )


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
            "or TYPE_flat, or set folder_types: true for folders named Bias, Darks, Flats",
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
