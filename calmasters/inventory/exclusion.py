"""Which frames the patterns of ``exclude`` match, and what a pattern that matches none may mean."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path, PurePath
from typing import Final

from calmasters.frame import split_plane

__all__ = ["Places", "below_input", "excluding_pattern"]

#: How alike two names are of which one is probably misspelled, from 0 to 1.
_ALIKE: Final = 0.8
_DIGITS: Final = re.compile(r"\d+")


class Places:
    """Paths, the folders above them and all names in them: what patterns are compared with.

    Parameters
    ----------
    paths : iterable of str
        Of frames, relative to ``input_dir``.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = [*paths]
        self._from_root: dict[str, None] = {}
        self._names: dict[str, None] = {}
        for path in self._paths:
            names = path.split("/")
            self._names |= dict.fromkeys(names)
            self._from_root[path] = None
            for end in range(1, len(names)):
                self._from_root["/".join(names[:end])] = None

    def match(self, pattern: str) -> bool:
        """Return whether a pattern matches a path, a folder or a name.

        A pattern with ``/`` before it counts from ``input_dir`` only.
        """
        wanted = pattern.strip("/")
        if any(fnmatchcase(place, wanted) for place in self._from_root):
            return True
        if not pattern.startswith("/") and any(fnmatchcase(name, wanted) for name in self._names):
            return True
        # In a pattern, brackets are a choice of characters, so a plane is compared by its number.
        file, plane = split_plane(pattern)
        planes = map(split_plane, self._paths) if plane else ()
        return any(number == plane and Places([path]).match(file) for path, number in planes)

    def nearest(self, pattern: str) -> str:
        """Return a pattern that matches, and that was probably meant; empty if there is none."""
        wanted = pattern.replace("\\", "/").strip("/")
        variants = (wanted, escape(wanted), wanted.lower(), f"{wanted}.*", f"{wanted}.*".lower())
        if found := next(filter(self.match, variants), ""):
            return found
        places = [*self._from_root, *self._names]
        folded = wanted.casefold()
        if found := next((each for each in places if each.casefold() == folded), ""):
            return escape(found)
        name = wanted.rpartition("/")[2]
        alike = [path for path in self._paths if path.rpartition("/")[2] == name]
        if len(alike) == 1:
            return f"/{escape(alike[0])}"
        # Of numbered frames, another number is another frame.
        digits = _DIGITS.findall(wanted)
        places = [each for each in places if _DIGITS.findall(each) == digits]
        return next(map(escape, difflib.get_close_matches(wanted, places, 1, _ALIKE)), "")


def excluding_pattern(path: str, patterns: Sequence[str]) -> str | None:
    """Return the first pattern that matches a path, one of its folders or its name."""
    return next(filter(Places([path]).match, patterns), None)


def below_input(patterns: Sequence[str], paths: Iterable[str], input_dir: Path) -> tuple[str, ...]:
    """Write patterns that begin with ``./`` or with ``input_dir`` as they count from there.

    Parameters
    ----------
    patterns : sequence of str
        One that matches a path as it is stays so.
    paths : iterable of str
        Of all files, relative to ``input_dir``.
    input_dir : Path
    """
    others = {pattern: [*_from_input(pattern, input_dir)] for pattern in patterns}
    places = Places(paths if any(others.values()) else ())

    def is_used(pattern: str) -> bool:
        # Planes are not listed.
        return places.match(pattern) or places.match(split_plane(pattern)[0])

    return tuple(
        next(filter(is_used, (pattern, *others[pattern])), pattern) if others[pattern] else pattern
        for pattern in patterns
    )


def _from_input(pattern: str, input_dir: Path) -> Iterator[str]:
    folders: list[PurePath] = [input_dir, Path.cwd() / input_dir, input_dir.resolve()]
    # Path() is the beginning of any path.
    folders = [folder for folder in folders if folder.parts]
    if pattern.startswith(("./", f".{os.sep}")):
        folders.append(PurePath())
    path = PurePath(pattern)
    for folder in folders:
        if path != folder and path.is_relative_to(folder):
            yield f"/{path.relative_to(folder).as_posix()}"
