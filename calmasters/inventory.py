"""Directory to frames: what is there, and what each header says.

Scanning costs one ``stat`` a file; headers are read once and remembered under
``output_dir/.cache`` until the file's size or time changes.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from hashlib import sha256
from itertools import product
from operator import attrgetter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from calmasters import __version__
from calmasters.ap_reader import ap_keywords
from calmasters.cards import IMAGE_EXTENSIONS, ImageHeader, number_of, read_header
from calmasters.errors import ConfigError, FrameError
from calmasters.files import write_whole
from calmasters.frames import Frame, FrameType, Geometry, Verdict, format_value
from calmasters.headers import Description, describe
from calmasters.jobs import master_folder
from calmasters.progress import progress
from calmasters.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "COLUMNS",
    "HeaderCache",
    "ScannedFile",
    "fingerprint",
    "inventory_table",
    "scan_frames",
    "scan_library",
    "scan_masters",
]

_KEYWORD_COLUMNS: Final = (
    *("TYPE", "INSTRUME", "SET-TEMP", "GAIN", "OFFSET", "READOUTM", "DATE", "FILTER", "EXPOSURE"),
)

#: Columns of ``inventory.csv``; keywords that only the configuration names come before ``size``.
COLUMNS: Final = (
    *("path", "status", "reason", "group", *_KEYWORD_COLUMNS, "CCD-TEMP", "DATE-OBS"),
    *("width", "height", "xbinning", "ybinning", "bayerpat"),
    *("size", "mtime_ns", "sources", "warnings"),
)


@dataclass(frozen=True, slots=True)
class ScannedFile:
    """A file as the scan saw it.

    Attributes
    ----------
    path : str
        Relative to the scanned directory (or as configured, for a library), with ``/``.
    size, mtime_ns : int
    problem : str
        Why it cannot even be opened; empty for a regular file.
    ctime_ns, inode : int
        By which a rewritten file is told (:class:`calmasters.contents.Contents`).
    content : str
        Digest of what it holds; empty where files are told by their time (``fingerprint: stat``).
    """

    path: str
    size: int
    mtime_ns: int
    problem: str = ""
    ctime_ns: int = 0
    inode: int = 0
    content: str = ""

    @property
    def identity(self) -> list[str | int]:
        """What tells this file from another by the same path."""
        return [self.size, self.content or self.mtime_ns]


# --- scanning -------------------------------------------------------------------------------------


def scan_frames(settings: Settings) -> list[ScannedFile]:
    """List the raw frames below ``input_dir``, sorted by path.

    Hidden folders, ``output_dir`` and the libraries are not entered, wherever they lie.

    Raises
    ------
    ConfigError
        If ``input_dir`` is missing, empty of frames, or inside ``output_dir``.
    """
    root = settings.input_dir
    if not root.is_dir():
        raise ConfigError(
            f"input_dir: there is no directory '{root}' (from {Path.cwd()}); set input_dir in "
            "config/config.yaml or with --config input_dir=..."
        )
    output = _real(settings.output_dir)
    if Path(output) in (Path(_real(root)), *Path(_real(root)).parents):
        raise ConfigError(
            f"output_dir '{settings.output_dir}' holds input_dir '{root}', so every frame would "
            "count as output: choose an output_dir beside or below input_dir"
        )
    kept_out = {output, *(_real(path) for path in _library_directories(settings))}
    files = sorted(_walk(root, "", kept_out), key=lambda file: file.path)
    if not files:
        raise ConfigError(
            f"input_dir: no frames ({', '.join(IMAGE_EXTENSIONS)}) below '{root}'; "
            "set input_dir to the directory that holds them"
        )
    return files


def scan_library(settings: Settings) -> list[ScannedFile]:
    """List the files of all libraries, their paths as configured; ``output_dir`` is not entered.

    Raises
    ------
    ConfigError
        If a library directory does not exist.
    """
    files: dict[str, ScannedFile] = {}
    for directory in _library_directories(settings):
        if not directory.is_dir():
            raise ConfigError(
                f"library: there is no directory '{directory}' (from {Path.cwd()}); "
                "correct library.bias or library.dark, or take it out"
            )
        kept_out = {_real(settings.output_dir)}
        found = _walk(directory, f"{directory.as_posix()}/", kept_out)
        files |= {file.path: _named_well(file) for file in found}
    return [files[path] for path in sorted(files)]


def _named_well(file: ScannedFile) -> ScannedFile:
    """Keep a master from Snakemake, which sees every input, where it cannot take the name."""
    text = file.path.encode("utf-8", "replace").decode() == file.path
    if text and not set("{}<>") & set(file.path):
        return file
    problem = "has {, }, <, > or bytes that are no text in its name; rename it for Snakemake"
    return replace(file, problem=file.problem or problem)


def scan_masters(
    settings: Settings, kinds: Sequence[FrameType] = (FrameType.BIAS, FrameType.DARK)
) -> list[ScannedFile]:
    """List the masters of some kinds in ``output_dir``, their paths relative to it.

    In both layouts: masters made before the layout was changed still serve.
    """
    files: list[ScannedFile] = []
    for kind, layout in product(kinds, ("by-type", "ap-library")):
        folder = f"masters/{master_folder(kind, layout)}"
        if (settings.output_dir / folder).is_dir():
            files += _walk(settings.output_dir / folder, f"{folder}/", set())
    return sorted(files, key=lambda file: file.path)


def _library_directories(settings: Settings) -> tuple[Path, ...]:
    return (*settings.library.bias, *settings.library.dark)


def _real(path: Path | str) -> str:
    return os.path.realpath(path)


def _walk(root: Path, prefix: str, kept_out: set[str]) -> Iterator[ScannedFile]:
    """Walk a tree, following links but coming to no folder and no file twice.

    Links come last, so that what lies in the tree itself has its own path.
    """
    seen = set(kept_out)
    folders = deque([(str(root), prefix)])
    links: list[tuple[os.DirEntry[str], str]] = []
    while folders:
        folder, prefix = folders.pop()
        real = _real(folder)
        if real in seen:
            continue
        seen.add(real)
        try:
            inner, files = _entries(folder)
        except OSError as error:
            yield ScannedFile(prefix.rstrip("/"), 0, 0, f"cannot be opened: {error.strerror}")
            continue
        for entry in inner:
            add = folders.appendleft if entry.is_symlink() else folders.append
            if not entry.is_symlink() or _outside(entry, kept_out):
                add((entry.path, f"{prefix}{entry.name}/"))
        for entry in files:
            if entry.is_symlink():
                links.append((entry, prefix + entry.name))
            else:
                seen.add(f"{real}{os.sep}{entry.name}")
                yield _scanned(entry, prefix + entry.name)
    for entry, path in links:
        if (real := _real(entry.path)) not in seen:
            seen.add(real)
            yield _scanned(entry, path)


def _entries(folder: str) -> tuple[list[os.DirEntry[str]], list[os.DirEntry[str]]]:
    """List what is not hidden in a folder, by name: its folders, and its image files."""
    found = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
    found.sort(key=lambda entry: entry.name)
    folders = [entry for entry in found if _is_folder(entry)]
    named = [entry for entry in found if entry.name.lower().endswith(IMAGE_EXTENSIONS)]
    return folders, [entry for entry in named if not _is_folder(entry)]


def _outside(link: os.DirEntry[str], kept_out: set[str]) -> bool:
    return kept_out.isdisjoint(map(str, Path(_real(link.path)).parents))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _scanned(entry: os.DirEntry[str], path: str) -> ScannedFile:
    try:
        if entry.is_file():
            status = entry.stat()
            times = (status.st_mtime_ns, "", status.st_ctime_ns)
            return ScannedFile(path, status.st_size, *times, status.st_ino)
    except OSError as error:
        return ScannedFile(path, 0, 0, f"cannot be opened: {error.strerror}")
    return ScannedFile(path, 0, 0, "is not a regular file (a broken link, a pipe or a device)")


def fingerprint(*parts: object) -> str:
    """Hash what decides a plan: the scans and the settings."""
    return sha256(repr(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]


# --- reading --------------------------------------------------------------------------------------


class HeaderCache:
    """Frames read before, remembered in a file until they or the way to read them change.

    Parameters
    ----------
    settings : Settings
        Its rules for headers are part of what is remembered.
    """

    def __init__(self, settings: Settings) -> None:
        self._path = settings.output_dir / ".cache" / "headers.json"
        self._settings = settings
        self._rules = fingerprint(settings.headers, settings.float_range, __version__)
        self._before = self._load()
        self._now: dict[str, list[Any]] = {}

    def _load(self) -> dict[str, list[Any]]:
        try:
            stored = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        same = isinstance(stored, dict) and stored.get("rules") == self._rules
        return stored["frames"] if same else {}

    def read(
        self, files: Iterable[ScannedFile], root: Path, exclude: Sequence[str] = ()
    ) -> list[Frame]:
        """Describe files, reading only the headers of new and changed ones.

        Parameters
        ----------
        files : iterable of ScannedFile
        root : Path
            What their paths are relative to.
        exclude : sequence of str
            Patterns of those to leave alone.
        """
        found = (self._frame(file, root, exclude) for file in progress(files, "reading headers"))
        return [*found]

    def _frame(self, file: ScannedFile, root: Path, exclude: Sequence[str]) -> Frame:
        if pattern := _excluded(file.path, exclude):
            return _frame(file, excluded=f"exclude: {pattern}")
        key = f"{root.as_posix()}:{file.path}"
        stored = self._before.get(key)
        if stored is None or stored[:2] != file.identity:
            frame = _read_frame(file, root, self._settings)
            stored = [*file.identity, _to_json(frame)]
        self._now[key] = stored
        return _from_json(file, stored[2])

    def save(self) -> None:
        """Write what was read, whole or not at all."""
        write_whole(self._path, json.dumps({"rules": self._rules, "frames": self._now}))


def _excluded(path: str, patterns: Sequence[str]) -> str | None:
    """Find the pattern that a path, one of its folders or its name matches."""
    if not patterns:
        return None
    parts = PurePosixPath(path).parts
    places = (path, *parts, *("/".join(parts[:end]) for end in range(2, len(parts))))
    for pattern in patterns:
        if any(fnmatchcase(place, pattern.rstrip("/")) for place in places):
            return pattern
    return None


def _read_frame(file: ScannedFile, root: Path, settings: Settings) -> Frame:
    """Read one header; whatever is wrong with the file becomes a problem of the frame."""
    if file.problem:
        return _frame(file, problems=(file.problem,))
    path = root / file.path
    try:
        header = read_header(path)
        found = describe(header.cards, PurePosixPath(file.path), settings.headers)
        if settings.header_reader == "ap-common" and not found.master:
            found = replace(found, keywords=ap_keywords(path, settings.headers), sources={})
    except FrameError as error:
        return _frame(file, problems=(str(error),))
    return _frame(
        file,
        keywords=found.keywords,
        master=found.master,
        geometry=found.geometry,
        ccd_temp_c=found.ccd_temp_c,
        date_obs=found.date_obs,
        sources=found.sources,
        warnings=found.warnings,
        problems=(*found.problems, *_problems_of_data(file, path, header, found, settings)),
    )


def _frame(file: ScannedFile, **said: Any) -> Frame:
    return Frame(file.path, file.size, file.mtime_ns, content=file.content, **said)


def _problems_of_data(
    file: ScannedFile, path: Path, header: ImageHeader, found: Description, settings: Settings
) -> Iterator[str]:
    """Find what is wrong with a file behind its header."""
    if file.size < header.end_of_data:
        yield (
            f"is truncated: {file.size} bytes where {header.end_of_data} were expected; "
            "copy it again"
        )
    elif not found.problems and found.keywords.get("TYPE") in settings.required_keywords:
        yield from _float_problems(path, header, settings.float_range)


def _float_problems(path: Path, header: ImageHeader, float_range: str) -> Iterator[str]:
    """Look at the samples of a floating point FITS frame: no header tells their range."""
    if header.packing != "xisf" and str(header.cards.get("BITPIX", "")).startswith("-"):
        # Needs numpy, and such frames are rare.
        from calmasters.images import RawFrame

        try:
            with RawFrame(path, float_range) as frame:
                frame.require_sound()
        except FrameError as error:
            problem = str(error).removeprefix(f"{path}: ")
            yield f"holds {problem}" if problem.startswith("samples") else problem


_STORED: Final = (
    *("keywords", "master", "geometry", "ccd_temp_c", "date_obs"),
    *("sources", "warnings", "problems"),
)


# Not asdict and astuple: they copy deeply, a tenth of the time of a first inventory.
_GEOMETRY: Final = tuple(field.name for field in fields(Geometry))


def _to_json(frame: Frame) -> list[Any]:
    stored = [getattr(frame, name) for name in _STORED]
    stored[2] = frame.geometry and [getattr(frame.geometry, name) for name in _GEOMETRY]
    return stored


def _from_json(file: ScannedFile, stored: list[Any]) -> Frame:
    said = dict(zip(_STORED, stored, strict=True))
    geometry = said.pop("geometry")
    return _frame(
        file,
        geometry=None if geometry is None else Geometry(*geometry),
        warnings=tuple(said.pop("warnings")),
        problems=tuple(said.pop("problems")),
        **said,
    )


#: What a spreadsheet takes for the beginning of a formula.
_FORMULA: Final = ("=", "+", "-", "@")

# --- the table ------------------------------------------------------------------------------------


def inventory_table(
    frames: Iterable[Frame], verdicts: Mapping[str, Verdict], keywords: Iterable[str] = ()
) -> pd.DataFrame:
    """Make the inventory: one row a frame, sorted by path, all text, absent = empty.

    Parameters
    ----------
    frames : iterable of Frame
    verdicts : mapping of str to Verdict
        By path, one for every frame.
    keywords : iterable of str
        Further keywords to give a column, those that only the configuration names.
    """
    import pandas as pd

    rows = [_row(frame, verdicts[frame.path]) for frame in sorted(frames, key=attrgetter("path"))]
    extra = [keyword for keyword in keywords if keyword not in COLUMNS]
    at = COLUMNS.index("size")
    columns = [*COLUMNS[:at], *extra, *COLUMNS[at:]]
    cells = [[row.get(column, "") for column in columns] for row in rows]
    # As objects, since Arrow's strings cannot hold file names that are no text.
    return pd.DataFrame(cells, columns=columns, dtype="object")


def _row(frame: Frame, verdict: Verdict) -> dict[str, str]:
    geometry = {name: getattr(frame.geometry, name, "") for name in _GEOMETRY}
    temperature = frame.ccd_temp_c
    return {
        "path": _place(frame.path),
        "status": verdict.status.value,
        "reason": verdict.reason,
        "group": verdict.group,
        **{key: _cell(format_value(key, value)) for key, value in frame.keywords.items()},
        "CCD-TEMP": "" if temperature is None else format_value("CCD-TEMP", temperature),
        "DATE-OBS": frame.date_obs or "",
        **{key: str(value or "") for key, value in geometry.items()},
        "size": str(frame.size),
        "mtime_ns": str(frame.mtime_ns),
        "sources": "; ".join(f"{key}: {source}" for key, source in frame.sources.items()),
        "warnings": "; ".join(frame.warnings),
    }


def _place(path: str) -> str:
    """Write a path so that a spreadsheet takes none for a formula, and it is still a path."""
    return f"./{path}" if path.startswith(_FORMULA) else path


def _cell(text: str) -> str:
    """Keep a spreadsheet from taking the text of a header for a formula."""
    formula = text.startswith(_FORMULA) and number_of(text) is None
    return f"'{text}" if formula else text
