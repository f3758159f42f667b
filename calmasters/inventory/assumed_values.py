"""Change what headers say as the configuration asks.

``keyword_patterns`` and ``value_aliases`` change values, ``type_words`` gives types, and
``assume_keywords`` completes missing values.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import cache

from calmasters.frame import Frame, Traits, Value, format_value
from calmasters.headers.frame_types import canonical_type
from calmasters.headers.values import typed_value
from calmasters.inventory.camera_keywords import camera_of
from calmasters.settings import Settings

__all__ = ["with_assumed_values"]


def with_assumed_values(frames: Iterable[Frame], settings: Settings) -> list[Frame]:
    """Return frames or masters with the values that the configuration gives them.

    Parameters
    ----------
    frames : iterable of Frame
        Values are reduced to the part that ``keyword_patterns`` matches, and spelled as
        ``value_aliases`` says. Frames whose type is one of ``type_words`` get that type; those
        that lack a keyword of ``assume_keywords`` get its value.
    settings : Settings
    """
    rules = _Rules(settings)
    if rules.are_empty:
        return list(frames)
    completed = cache(rules.apply)  # frames share traits
    return [
        frame if (traits := completed(frame.traits)) is frame.traits else _with(frame, traits)
        for frame in frames
    ]


def _with(frame: Frame, traits: Traits) -> Frame:
    return frame._replace(traits=traits)


class _Rules:
    """The settings that change values, prepared for many traits."""

    def __init__(self, settings: Settings) -> None:
        self._assumed = settings.assume_keywords
        self._types = {
            canonical_type(word): kind
            for kind, words in settings.type_words.items()
            for word in words
        }
        self._patterns = {
            keyword: re.compile(pattern) for keyword, pattern in settings.keyword_patterns.items()
        }
        self._spellings = {
            keyword: {
                _folded(keyword, each): name for name in names for each in (name, *names[name])
            }
            for keyword, names in settings.value_aliases.items()
        }

    @property
    def are_empty(self) -> bool:
        """Whether they change nothing."""
        return not (self._assumed or self._types or self._patterns or self._spellings)

    def apply(self, traits: Traits) -> Traits:
        """Return the changed traits, or the same object if nothing changes."""
        if traits.geometry is None:  # excluded or unreadable
            return traits
        keywords, sources = dict(traits.keywords), dict(traits.sources)
        for keyword in self._patterns.keys() & keywords.keys():
            found = self._patterns[keyword].search(format_value(keyword, keywords[keyword]))
            if found and (part := (found[1] if found.re.groups else found[0]) or ""):
                _change(keywords, sources, keyword, part, "keyword_patterns")
        for keyword in self._spellings.keys() & keywords.keys():
            if name := self._spellings[keyword].get(_folded(keyword, keywords[keyword])):
                _change(keywords, sources, keyword, name, "value_aliases")
        if kind := self._types.get(str(keywords.get("TYPE", ""))):
            keywords["TYPE"], sources["TYPE"] = kind, "type_words"
        for _ in range(2):  # the first values may say which camera it is
            for keyword, raw in self._assumed.get(camera_of(keywords), {}).items():
                value = typed_value(keyword, raw)
                if keyword not in keywords and value is not None:
                    keywords[keyword], sources[keyword] = value, "assume_keywords"
        if keywords == traits.keywords:
            return traits
        return replace(traits, keywords=keywords, sources=sources)


def _change(
    keywords: dict[str, Value], sources: dict[str, str], keyword: str, text: str, setting: str
) -> None:
    """Set a value, and name the setting that gave it, if that is another value."""
    value = typed_value(keyword, text)
    if value is not None and value != keywords[keyword]:
        keywords[keyword], sources[keyword] = value, setting


def _folded(keyword: str, value: Value) -> str:
    """Write a value so that different spaces and letter cases are equal."""
    typed = typed_value(keyword, value)
    return format_value(keyword, value if typed is None else typed).strip().casefold()
