"""Complete what headers say from the configuration: ``assume_keywords`` and ``type_words``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache

from calmasters.frame import Frame, Traits, Value
from calmasters.headers.dialects import typed_value
from calmasters.headers.frame_types import canonical_type
from calmasters.inventory.camera_keywords import camera_of
from calmasters.settings import Settings

__all__ = ["with_assumed_values"]


def with_assumed_values(frames: Iterable[Frame], settings: Settings) -> list[Frame]:
    """Return frames or masters with the values that the configuration gives them.

    Parameters
    ----------
    frames : iterable of Frame
        Those that lack a keyword of ``assume_keywords`` get its value; those whose type is one of
        ``type_words`` get that type.
    settings : Settings
    """
    if not settings.assume_keywords and not settings.type_words:
        return list(frames)
    types = {
        canonical_type(word): kind for kind, words in settings.type_words.items() for word in words
    }

    @cache  # frames share traits
    def completed(traits: Traits) -> Traits:
        return _completed(traits, types, settings.assume_keywords)

    return [
        frame if (traits := completed(frame.traits)) is frame.traits else _with(frame, traits)
        for frame in frames
    ]


def _with(frame: Frame, traits: Traits) -> Frame:
    return frame._replace(traits=traits)


def _completed(
    traits: Traits, types: Mapping[str, str], assumed: Mapping[str, Mapping[str, Value]]
) -> Traits:
    if traits.geometry is None:  # excluded or unreadable
        return traits
    keywords, sources = dict(traits.keywords), dict(traits.sources)
    if kind := types.get(str(keywords.get("TYPE", ""))):
        keywords["TYPE"], sources["TYPE"] = kind, "type_words"
    for _ in range(2):  # the first values may say which camera it is
        for keyword, raw in assumed.get(camera_of(keywords), {}).items():
            value = typed_value(keyword, raw)
            if keyword not in keywords and value is not None:
                keywords[keyword], sources[keyword] = value, "assume_keywords"
    if keywords == traits.keywords:
        return traits
    return replace(traits, keywords=keywords, sources=sources)
