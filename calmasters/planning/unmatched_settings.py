"""Settings that concern no frame, such as misspelled ones: nothing else shows that they fail."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from calmasters.frame import Frame
from calmasters.headers.dialects import ALIASES
from calmasters.headers.layout_table import named_entry
from calmasters.inventory.camera_keywords import camera_of
from calmasters.inventory.exclusion import Places
from calmasters.inventory.faults import in_one_line
from calmasters.model.layout import MASTERS
from calmasters.settings import Settings

__all__ = ["unmatched_patterns", "unmatched_settings"]

#: Patterns that a sentence names.
_SHOWN: Final = 3
#: How alike a name and a misspelled one are, from 0 to 1.
_ALIKE: Final = 0.6


def unmatched_patterns(
    settings: Settings, patterns: Sequence[str], frames: Iterable[Frame]
) -> Iterator[str]:
    """Report the patterns of ``exclude`` that match no frame, in one sentence.

    Parameters
    ----------
    settings : Settings
    patterns : sequence of str
        Its patterns as :func:`~calmasters.inventory.exclusion.below_input` gives them.
    frames : iterable of Frame
        All of ``input_dir``.
    """
    frames = [*frames] if patterns else []
    reasons = {frame.excluded for frame in frames}
    both = zip(settings.exclude, patterns, strict=True)
    doubtful = {text: each for text, each in both if f"exclude: {each}" not in reasons}
    places = Places(frame.path for frame in frames if doubtful)
    # A frame has only the first of the patterns that match it.
    all_places = (places, Places(_output_below_input(settings)))
    texts = [text for text, each in doubtful.items() if not any(p.match(each) for p in all_places)]
    if texts:
        shown = [_with_nearest(text, places.nearest(text)) for text in texts[:_SHOWN]]
        more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
        is_one = len(texts) == 1
        what, them = ("matches", "it") if is_one else ("match", "them")
        yield (
            f"exclude: {', '.join(shown)}{more} {what} no frame; correct {them}, or remove "
            f"{'it if its frame is' if is_one else 'those whose frames are'} deleted"
        )


def _output_below_input(settings: Settings) -> list[str]:
    """Return where ``output_dir`` is: it is not searched, so a pattern for it is of no use."""
    output, root = (settings.output_dir / MASTERS).resolve(), settings.input_dir.resolve()
    return [output.relative_to(root).as_posix()] if output.is_relative_to(root) else []


def _with_nearest(pattern: str, nearest: str) -> str:
    return _quoted(pattern) + (f" (the nearest is {_quoted(nearest)})" if nearest else "")


def _quoted(text: str) -> str:
    # Bytes that are no text cannot be in a configuration; any character matches them.
    printable = "".join(char if char.isprintable() else "?" for char in text)
    return json.dumps(printable, ensure_ascii=False)


def unmatched_settings(
    settings: Settings, read: Iterable[Frame], completed: Iterable[Frame]
) -> Iterator[str]:
    """Report keywords and cameras of settings that no frame has.

    Parameters
    ----------
    settings : Settings
    read : iterable of Frame
        Frames and masters of libraries, as their headers are.
    completed : iterable of Frame
        The same, and kept masters, with what settings give them.
    """
    # Frames that are excluded or damaged say nothing.
    traits = {frame.traits for frame in (*read, *completed) if frame.geometry}
    keywords = {keyword for each in traits for keyword in each.keywords}
    if not keywords:
        return
    yield from _sentence("round", settings.round, "has", keywords, keywords.__contains__)
    # A session may have no flats, and so no FILTER.
    is_known = {*keywords, *ALIASES}.__contains__
    yield from _sentence("keyword_patterns", settings.keyword_patterns, "has", keywords, is_known)
    yield from _sentence("value_aliases", settings.value_aliases, "has", keywords, is_known)
    # The camera '' stands for frames without INSTRUME.
    cameras = {camera_of(each.keywords) for each in traits}
    cameras = cameras - {""} or cameras
    assumed = {name: entry for name, entry in settings.assume_keywords.items() if name}
    # A configuration may be about the cameras of several sessions.
    if not cameras <= settings.assume_keywords.keys():
        yield from _sentence("assume_keywords", assumed, "is of", cameras, cameras.__contains__)
    if not all(named_entry(settings.cameras, camera)[0] for camera in cameras):
        yield from _sentence("cameras", settings.cameras, "is of", cameras, _is_one_of(cameras))


def _is_one_of(cameras: Iterable[str]) -> Callable[[str], bool]:
    return lambda name: any(named_entry({name: {}}, camera)[0] for camera in cameras)


def _sentence(
    setting: str,
    table: Mapping[str, Any],
    verb: str,
    known: Iterable[str],
    is_known: Callable[[str], bool],
) -> Iterator[str]:
    """Report the keys of a setting that no frame has, with the setting as it was probably meant."""
    unknown = [key for key in table if not is_known(key)]
    if not unknown:
        return
    known = sorted(known)
    meant = {key: _nearest(key, [each for each in known if each not in table]) for key in unknown}
    if all(meant.values()):
        corrected = {meant.get(key, key): value for key, value in table.items()}
        remedy = f"set {in_one_line({setting: corrected})}"
    else:
        they = "frames have" if verb == "has" else "frames are of"
        remedy = f"correct or remove it; {they} {', '.join(map(_quoted, known))}"
    yield f"{setting}: no frame {verb} {' or '.join(map(_quoted, unknown))}; {remedy}"


def _nearest(key: str, known: Sequence[str]) -> str:
    """Return the name that was probably meant; empty if there is none."""
    by_card = (name for name, cards in ALIASES.items() if key in cards and name in known)
    folded = {each.casefold(): each for each in known}
    alike = difflib.get_close_matches(key.casefold(), folded, 1, _ALIKE)
    return next(by_card, "") or next(map(folded.__getitem__, alike), "")
