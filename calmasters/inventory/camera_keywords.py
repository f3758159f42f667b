"""Which keywords each camera writes, judged by all frames and masters that are known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from calmasters.frame import Frame, Traits, Value, format_value
from calmasters.settings import Settings

__all__ = [
    "ESSENTIAL",
    "UNKNOWN_CAMERAS",
    "CameraKeywords",
    "absence_sentences",
    "camera_of",
    "lacking_keywords",
    "missing_keywords",
]

#: Keywords that differ from frame to frame: a frame without one is refused whatever its camera
#: writes. Without DATE the flats of different nights would be averaged.
ESSENTIAL: Final = frozenset({"TYPE", "EXPOSURE", "DATE"})


@dataclass(frozen=True)
class CameraKeywords:
    """The values of the required keywords, by camera; by default nothing is known.

    Attributes
    ----------
    values : mapping of str to mapping
        By camera (INSTRUME) and keyword: the values as written in names, with their typed value.
        The camera ``''`` stands for frames without INSTRUME.
    has_names : bool
        A frame, or a master in ``output_dir``, has INSTRUME.
    by_camera : bool
        A keyword without a value is absent for its camera; otherwise it is always missing.
    """

    values: Mapping[str, Mapping[str, Mapping[str, Value]]] = field(default_factory=dict)
    has_names: bool = False
    by_camera: bool = False

    @classmethod
    def of(
        cls,
        settings: Settings,
        frames: Iterable[Frame],
        library: Iterable[Frame] = (),
        made: Iterable[Frame] = (),
    ) -> CameraKeywords:
        """Collect the values that headers have.

        Parameters
        ----------
        settings : Settings
        frames : iterable of Frame
            Of any type; excluded ones say nothing, since their headers are not read.
        library : iterable of Frame
            Masters of libraries. They may be of cameras that have no frames here, so their INSTRUME
            does not make that of the frames required.
        made : iterable of Frame
            Masters in ``output_dir``.
        """
        required = {*chain(*settings.required_keywords.values())}
        values: dict[str, dict[str, dict[str, Value]]] = defaultdict(lambda: defaultdict(dict))
        own = {frame.traits for frame in chain(frames, made)}
        for traits in own | {frame.traits for frame in library}:
            of_camera = values[camera_of(traits.keywords)]
            for keyword in required & traits.keywords.keys():
                value = traits.keywords[keyword]
                of_camera[keyword][format_value(keyword, value)] = value
        has_names = any("INSTRUME" in traits.keywords for traits in own)
        if has_names:
            # Frames without INSTRUME may be of any of the cameras.
            for of_camera in [*values.values()]:
                for keyword, known in of_camera.items():
                    values[""][keyword] = {**values[""][keyword], **known}
        return cls(values, has_names, settings.missing_keywords == "by_camera")

    def known(self, camera: str, keyword: str) -> Mapping[str, Value]:
        """Return the values that frames and masters of a camera have."""
        return self.values.get(camera, {}).get(keyword, {})

    def is_unwritten(self, camera: str, keyword: str) -> bool:
        """Return whether no frame and no master of a camera has a keyword."""
        return keyword not in ESSENTIAL and not self.known(camera, keyword)

    def absent(self, lacking: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
        """Return the keywords that are absent for cameras, of those that some frames lack.

        Parameters
        ----------
        lacking : mapping of str to sequence of str
            As :func:`lacking_keywords` returns it.
        """
        absent = {
            camera: tuple(key for key in keywords if self.is_unwritten(camera, key))
            for camera, keywords in lacking.items()
            if self.by_camera and (camera or not self.has_names)  # otherwise frames are refused
        }
        return {camera: keywords for camera, keywords in absent.items() if keywords}


#: Of cameras without evidence every missing keyword is a fault.
UNKNOWN_CAMERAS: Final = CameraKeywords()


def camera_of(keywords: Mapping[str, Value]) -> str:
    """Return the name of the camera as text; empty without INSTRUME."""
    return format_value("INSTRUME", keywords.get("INSTRUME", ""))


def lacking_keywords(frames: Iterable[Frame], settings: Settings) -> dict[str, list[str]]:
    """List the required keywords that some calibration frames lack, by camera.

    Parameters
    ----------
    frames : iterable of Frame
    settings : Settings
    """
    found: dict[str, set[str]] = defaultdict(set)
    for traits in {frame.traits for frame in frames}:
        kind = str(traits.keywords.get("TYPE", ""))
        if kind in settings.required_keywords and not traits.master:
            found[camera_of(traits.keywords)].update(_lacking(traits, kind, settings))
    order = dict.fromkeys(chain(*settings.required_keywords.values()))
    return {
        camera: [keyword for keyword in order if keyword in found[camera]]
        for camera in sorted(found)
        if found[camera]
    }


def missing_keywords(
    traits: Traits, kind: str, settings: Settings, cameras: CameraKeywords
) -> list[str]:
    """List the required keywords whose lack is a fault: those not absent for the camera.

    Parameters
    ----------
    traits : Traits
    kind : str
        The type of the frame. Of any other type, the keywords are listed that bias, dark and flat
        frames need.
    settings : Settings
    cameras : CameraKeywords
    """
    camera = camera_of(traits.keywords)
    return [
        keyword
        for keyword in _lacking(traits, kind, settings)
        if not (cameras.by_camera and cameras.is_unwritten(camera, keyword))
    ]


def _lacking(traits: Traits, kind: str, settings: Settings) -> list[str]:
    lists = settings.required_keywords
    first, *others = [lists[kind]] if kind in lists else lists.values()
    return [
        keyword
        for keyword in first
        if keyword != "TYPE"
        and keyword not in traits.keywords
        and keyword not in settings.optional_keywords
        and all(keyword in other for other in others)
    ]


def absence_sentences(absent: Mapping[str, Sequence[str]]) -> list[str]:
    """Write one sentence for each camera.

    Parameters
    ----------
    absent : mapping of str to sequence of str
        As :meth:`CameraKeywords.absent` returns it.

    Examples
    --------
    >>> absence_sentences({"SBIG ST-7": ("GAIN", "OFFSET")})
    ['SBIG ST-7 writes no GAIN and no OFFSET; all its frames count as one setting']
    """
    sentences = []
    for camera, keywords in absent.items():
        *first, last = (f"no {keyword}" for keyword in keywords)
        names = f"{', '.join(first)} and {last}" if first else last
        subject = camera or "The camera"
        sentences.append(f"{subject} writes {names}; all its frames count as one setting")
    return sentences
