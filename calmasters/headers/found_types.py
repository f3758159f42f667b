"""Find the type of a frame: by its cards, a token of its path, its folder or its file name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import PurePath
from typing import Final

from calmasters.frame import FrameType, OtherType, Value
from calmasters.headers.fits_cards import Cards
from calmasters.headers.frame_types import canonical_type, flat_kind, frame_type, is_master_type
from calmasters.headers.path_tokens import type_of_file, typed_folder
from calmasters.headers.processing import is_stack
from calmasters.headers.values import UNKNOWN_TEXTS

__all__ = [
    "CALIBRATION_TYPES",
    "TYPE_CARDS",
    "TYPE_SOURCES",
    "FoundTypes",
    "flat_kind_in",
    "is_stack_by_cards",
    "type_in",
    "type_places",
]

#: The source of a type that is not in the header.
TYPE_SOURCES: Final = {"path": "path", "folder": "folder name", "name": "file name"}
_FRAME_TYPES: Final = frozenset(FrameType)
CALIBRATION_TYPES: Final = _FRAME_TYPES - {FrameType.LIGHT}

#: Cards that may say the type, in order of preference.
TYPE_CARDS: Final = (
    "TYPE", "IMAGETYP", "FRAMETYP", "FRAME", "OBSTYPE", "OBSTYP", "OBS_TYPE", "IMTYPE",
    "IMAGETYPE", "IMGTYPE", "CALFRAME", "ESO DPR TYPE", "ESO DPR CATG",
)  # fmt: skip
#: Cards that contain nothing but a type, so that an unknown text is an unknown type.
_ONLY_TYPE_CARDS: Final = (
    "TYPE", "IMAGETYP", "FRAMETYP", "IMAGETYPE", "IMGTYPE", "OBSTYPE", "OBSTYP", "OBS_TYPE",
    "IMTYPE", "ESO DPR TYPE",
)  # fmt: skip


def type_in(cards: Cards, names: Iterable[str]) -> tuple[Value | None, str]:
    """Return the first known type of the cards, else the first text of a card for types."""
    texts = {name: text for name in names if isinstance(text := cards.get(name), str)}
    for name, text in texts.items():
        if known := frame_type(text):
            return known.value, name
    for name in _ONLY_TYPE_CARDS:
        if texts.get(name, "").strip().casefold() not in UNKNOWN_TEXTS:
            return canonical_type(texts[name]), name
    known = frame_type(str(cards.get("OBJECT", "")))
    return (known.value, "OBJECT") if known in CALIBRATION_TYPES else (None, "")


def flat_kind_in(cards: Cards, folder: str) -> str:
    """Return what kind of flat the header says, or else the folder: dome, sky, panel, internal."""
    texts = [text for name in TYPE_CARDS if isinstance(text := cards.get(name), str)]
    target = f"{cards.get('OBJECT', '')} flat"  # 'Dome', 'sky flat'; not the name of an object
    if frame_type(target) == FrameType.FLAT:
        texts.append(target)
    return next(filter(None, map(flat_kind, (*texts, folder))), "")


class FoundTypes:
    """The types that header, path, folder and file name give.

    Parameters
    ----------
    header, token : Value or None
        Of the header, and of a ``TYPE_value`` token.
    path : PurePath
        Relative to the scanned directory.
    """

    def __init__(self, header: Value | None, token: Value | None, path: PurePath) -> None:
        self.folder, in_folder = typed_folder(path) or ("", None)
        name = type_of_file(path.name)
        types = {"header": header, "path": token, "folder": in_folder, "name": name}
        self.types = {place: str(kind) for place, kind in types.items() if kind}

    def place(self, order: Iterable[str]) -> str:
        """Return the first place that gives a type; empty if none does."""
        return next((place for place in order if place in self.types), "")

    def other_than(self, place: str, types_from: Sequence[str]) -> OtherType | None:
        """Return a type of folder or file name that contradicts the one that counts.

        None if the user preferred the place that counts to the header.
        """
        preferred = takewhile(lambda other: other != "header", types_from)
        kind = self.types.get(place)
        if kind not in _FRAME_TYPES or place in ("path", *preferred):
            return None
        for other in ("folder", "name"):
            if self.types.get(other, kind) != kind:
                return OtherType(other, self.types[other], self.folder if other == "folder" else "")
        return None


def type_places(types_from: Sequence[str], override: bool, master: bool) -> list[str]:
    """Return where a type is searched, in order: ``types_from``, and ``TYPE_value`` tokens.

    A token is more explicit than other words of a path, so it comes before them.
    """
    order = ["header", *types_from] if master else [*types_from]
    in_path = (number for number, place in enumerate(order) if place != "header")
    at = 0 if override else next(in_path, len(order))
    return [*order[:at], "path", *order[at:]]


def is_stack_by_cards(cards: Cards) -> bool:
    """Return whether cards say that the file is a stack of frames, by its type or otherwise."""
    types = (str(cards[name]) for name in TYPE_CARDS if name in cards)
    return any(map(is_master_type, types)) or is_stack(cards)
