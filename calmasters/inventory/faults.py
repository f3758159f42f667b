"""What is wrong with frames, what a person can do about it, and the settings that do it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from calmasters.frame import FrameType, Traits, Value
from calmasters.headers.geometry import FLOAT_RANGE_REMEDY, OWN_RANGE_REMEDY, SERIES_REMEDY
from calmasters.inventory.camera_keywords import (
    ESSENTIAL,
    CameraKeywords,
    camera_of,
    missing_keywords,
)
from calmasters.settings import Settings

__all__ = ["Fault", "NamedType", "assumed_values", "find_faults", "in_one_line"]

#: Remedies of headers and pixels that a setting carries out.
_SETTINGS: Final[Mapping[str, Mapping[str, Any]]] = {
    FLOAT_RANGE_REMEDY: {"float_range": "adu16"},
    OWN_RANGE_REMEDY: {"float_range": "auto"},
    SERIES_REMEDY: {"cubes": "frames"},
}
#: Values of a keyword that a remedy shows.
_SHOWN: Final = 3


class NamedType(NamedTuple):
    """The type that a path says, and the part of the path that says it: 'folder' or 'name'."""

    type: FrameType
    part: str


class Fault(NamedTuple):
    """A reason why a frame is refused.

    Attributes
    ----------
    reason, remedy : str
    settings : mapping of str to object
        What to add to ``config.yaml``; empty where no setting is the right remedy.
    """

    reason: str
    remedy: str
    settings: Mapping[str, Any]


def find_faults(
    traits: Traits, named: NamedType | None, settings: Settings, cameras: CameraKeywords
) -> Iterator[Fault]:
    """Give all faults of frames of a type that is not ignored.

    Parameters
    ----------
    traits : Traits
    named : NamedType or None
        For a frame without a type, the one that its path says.
    settings : Settings
    cameras : CameraKeywords
    """
    for problem in traits.problems:
        reason, _, remedy = problem.partition("; ")
        yield Fault(reason, remedy, _SETTINGS.get(remedy, {}))
    if traits.geometry is None:
        return
    if traits.master:
        yield Fault(
            "is a master, not a raw frame",
            "a master is no raw frame: move it to a directory named in library, or exclude it",
            {},
        )
        return
    kind = str(traits.keywords.get("TYPE", ""))
    if not kind:
        yield _no_type(named, settings)
        kind = named.type if named else ""
    elif kind not in settings.required_keywords:
        yield _unknown_type(kind, traits)
    if missing := missing_keywords(traits, kind, settings, cameras):
        yield _missing(missing, traits, settings, cameras)
    if fault := _wrong_exposure(kind, traits, settings):
        yield fault


# --- type -----------------------------------------------------------------------------------------


def _no_type(named: NamedType | None, settings: Settings) -> Fault:
    remedies = ["set IMAGETYP in the capture program"]
    if "folder" in settings.types_from:
        remedies.append("name its folder Bias, Darks or Flats")
    elif settings.path_keywords != "off":
        remedies.append("name its folder TYPE_bias, TYPE_dark or TYPE_flat")
    fix: dict[str, Any] = {}
    if named:
        fix = {"types_from": [named.part]}
        types_from = ", ".join((*settings.types_from, named.part))
        remedies.insert(0, f"take the type from its {named.part}: set types_from: [{types_from}]")
    return Fault("has no frame type", ", or ".join(remedies), fix)


def _unknown_type(kind: str, traits: Traits) -> Fault:
    reason = f"is of type '{kind}'"
    if kind == FrameType.LIGHT:
        return Fault(reason, "add the type to ignored_types to ignore such frames", {})
    ignore = f"otherwise add '{kind}' to ignored_types"
    contained = [each for each in ("bias", "dark", "flat") if each in kind]
    if len(contained) != 1:
        likely, what, others = "flat", "flats", "bias, dark"
        if not contained and traits.keywords.get("EXPOSURE") == 0:
            likely, what, others = "bias", "bias frames", "flat, dark"
        setting = in_one_line({"type_words": {likely: [kind]}})
        return Fault(reason, f"if these are {what}, set {setting}, or {others}; {ignore}", {})
    fix = {"type_words": {contained[0]: [kind]}}
    return Fault(
        reason, f"if these are {contained[0]} frames, set {in_one_line(fix)}; {ignore}", fix
    )


# --- keywords -------------------------------------------------------------------------------------


def _wrong_exposure(kind: str, traits: Traits, settings: Settings) -> Fault | None:
    """Return a fault if a dark has no exposure, or a bias is exposed for long."""
    exposure = traits.keywords.get("EXPOSURE")
    if not isinstance(exposure, int | float):
        return None
    longest = settings.bias_max_exposure_s
    if kind == FrameType.DARK and exposure <= 0:
        return Fault(
            "is a dark with an exposure of 0 s, which cannot be",
            "if the camera writes a wrong exposure, name its folder EXPOSURE_60 and set "
            "path_keywords: override; if it is a bias, name its folder TYPE_bias and set the same",
            {},
        )
    if kind == FrameType.BIAS and exposure > longest:
        return Fault(
            f"is a bias with an exposure of {exposure:g} s (bias_max_exposure_s is {longest:g})",
            "if it is a dark, name its folder TYPE_dark and set path_keywords: override; "
            "if it is a bias, raise bias_max_exposure_s",
            {},
        )
    return None


def _missing(
    missing: Sequence[str], traits: Traits, settings: Settings, cameras: CameraKeywords
) -> Fault:
    camera = camera_of(traits.keywords)
    known = {
        keyword: values
        for keyword in missing
        if keyword not in ESSENTIAL and (values := cameras.known(camera, keyword))
    }
    unwritten = [keyword for keyword in missing if cameras.is_unwritten(camera, keyword)]
    fix: dict[str, Any] = {}
    remedies = []
    if known:
        fix["assume_keywords"] = assumed_values(camera, known)
        others = f"other frames of {camera}" if camera else "other frames"
        remedies.append(
            f"if all these were taken with {_listed(known)}, as {others}, set {in_one_line(fix)}"
        )
    if unwritten:
        fix["missing_keywords"] = "by_camera"
        names = " and no ".join(unwritten)
        remedies.append(f"if the camera writes no {names}, set missing_keywords: by_camera")
    if places := _other_places(missing, settings):
        remedies.append(f"{'otherwise ' if fix else ''}name {places}")
    is_fixed = {*known, *unwritten} == {*missing} and all(len(each) == 1 for each in known.values())
    return Fault(_what_is_missing(missing, traits), "; ".join(remedies), fix if is_fixed else {})


def _what_is_missing(missing: Sequence[str], traits: Traits) -> str:
    """Write 'lacks GAIN and has EXPTIME '30 x', which is not a number'."""
    lacked = ", ".join(keyword for keyword in missing if keyword not in traits.sources)
    unusable = [traits.sources[keyword] for keyword in missing if keyword in traits.sources]
    return " and ".join([*([f"lacks {lacked}"] if lacked else []), *map("has {}".format, unusable)])


def assumed_values(
    camera: str, known: Mapping[str, Mapping[str, Value]]
) -> dict[str, dict[str, Value]]:
    """Return a value of ``assume_keywords``; ``VALUE`` where a person has to choose.

    Parameters
    ----------
    camera : str
    known : mapping of str to mapping
        For each keyword the values of other frames and masters, as written and as typed.
    """
    return {
        camera: {
            keyword: next(iter(values.values())) if len(values) == 1 else "VALUE"
            for keyword, values in known.items()
        }
    }


def _listed(known: Mapping[str, Mapping[str, Value]]) -> str:
    """Write the values of keywords: 'GAIN 100 or 200, OFFSET 150'."""
    texts = []
    for keyword, values in known.items():
        shown = sorted(values)[:_SHOWN] + ["another"] * (len(values) > _SHOWN)
        texts.append(f"{keyword} {' or '.join(shown)}")
    return ", ".join(texts)


def _other_places(missing: Sequence[str], settings: Settings) -> str:
    """Say where the values of missing keywords may be given besides the settings for cameras."""
    places = []
    # The night is made of several cards, and ap_common knows no aliases.
    cards = [keyword for keyword in missing if keyword != "DATE"]
    if cards and settings.header_reader != "ap-common":
        places.append(f"the card that has {' or '.join(cards)} in keyword_aliases")
    if settings.path_keywords != "off":
        tokens = (f"{key}_{'2026-01-15' if key == 'DATE' else 'value'}" for key in missing)
        places.append(f"their folder {'_'.join(tokens)}")
    return ", or ".join(places)


def in_one_line(settings: Mapping[str, Any]) -> str:
    """Return settings as one line of YAML, ready to paste."""
    return ", ".join(
        f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in settings.items()
    )
