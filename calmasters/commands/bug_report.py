"""What a bug report needs, in one zip; and the same plan made again from it, without the frames.

``python -m calmasters.commands.bug_report bug_report.zip FOLDER`` writes frames and masters without
pixels, records and the configuration, so that Snakemake decides in FOLDER as it did there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from typing import Any, Final
from zipfile import BadZipFile, ZipFile

import yaml

from calmasters import __version__
from calmasters.commands.frame_headers import FrameHeaders
from calmasters.commands.redaction import Redaction, write_redacted
from calmasters.errors import CalmastersError, OutputError, RecordError
from calmasters.frame import FrameType
from calmasters.inventory.scan import ScannedFile, scan_frames, scan_library, scan_masters
from calmasters.model.layout import BUG_REPORT, INVENTORY, PLAN, SUGGESTED
from calmasters.progress import progress
from calmasters.settings import Settings

__all__ = ["replay", "write_bug_report"]

_PACKAGES: Final = ("snakemake", "numpy", "pandas", "astropy", "numba")
_KINDS: Final = (FrameType.BIAS, FrameType.DARK, FrameType.FLAT)
#: The end of a log, and the newest logs, are enough.
_LOG_BYTES, _MOST_LOGS = 100_000, 200
#: Names in the zip.
_FRAMES, _CONFIG, _VERSIONS = "frames.json", "config.yaml", "versions.json"


def write_bug_report(config: Mapping[str, Any]) -> Path:
    """Write inventory, plan, records, logs, versions and all headers to one zip.

    Paths of folders, names of the user and of the machine, and where the telescope is are blanked;
    pixels are not included, but for 256 bytes a frame.

    Parameters
    ----------
    config : mapping
        The complete, checked ``config.yaml``.

    Returns
    -------
    Path
        ``bug_report.zip`` in ``output_dir``.

    Raises
    ------
    ConfigError
        If there are no frames.
    OSError
        If it cannot be written.
    """
    settings = Settings.from_config(config)
    libraries = _libraries(settings)
    moved = {
        **config,
        "input_dir": [f"frames/{_below(path, settings)}" for path in settings.input_dirs],
        "output_dir": "output",
        "library": {
            kind: [libraries[path] for path in getattr(settings.library, kind)]
            for kind in ("bias", "dark")
        },
    }
    redaction = Redaction.of(settings, settings.output_dir)
    texts = {
        _FRAMES: json.dumps(_stored_headers(settings, libraries, redaction)),
        _CONFIG: yaml.safe_dump(moved, allow_unicode=True, sort_keys=False),
        _VERSIONS: json.dumps(_versions(), indent=1),
        **dict(_output_texts(settings.output_dir)),
    }
    path = settings.output_dir / BUG_REPORT
    write_redacted(path, texts, redaction)
    return path


def _libraries(settings: Settings) -> dict[Path, str]:
    """Name the folder that each library gets."""
    directories = dict.fromkeys((*settings.library.bias, *settings.library.dark))
    return {path: f"library/{number}" for number, path in enumerate(directories, 1)}


def _below(path: Path, settings: Settings) -> str:
    return path.relative_to(settings.input_dir).as_posix()


def _stored_headers(
    settings: Settings, libraries: Mapping[Path, str], redaction: Redaction
) -> list[dict[str, Any]]:
    output_dir = settings.output_dir
    files = [
        *(
            (settings.input_dir / file.path, f"frames/{file.path}")
            for file in scan_frames(settings)
        ),
        *(_in_library(file, libraries) for file in scan_library(settings)),
        *(
            (output_dir / file.path, f"output/{file.path}")
            for file in scan_masters(settings, _KINDS)
        ),
    ]
    # Nothing in a header may move.
    return [
        replace(
            headers, parts=[(start, redaction.blanked(text)) for start, text in headers.parts]
        ).to_json()
        for path, name in progress(files, "reading headers")
        if (headers := _headers(path, name))
    ]


def _in_library(file: ScannedFile, libraries: Mapping[Path, str]) -> tuple[Path, str]:
    for directory, folder in libraries.items():
        prefix = f"{directory.as_posix()}/"
        if file.path.startswith(prefix):
            return Path(file.path), f"{folder}/{file.path.removeprefix(prefix)}"
    raise ValueError(f"{file.path} is in none of the libraries")


def _headers(path: Path, name: str) -> FrameHeaders | None:
    try:
        return FrameHeaders.read(path, name)
    except OSError as error:
        print(f"{name}: left out of the report: {error.strerror or error}", file=sys.stderr)
        return None


def _output_texts(output_dir: Path) -> Iterator[tuple[str, str]]:
    """Yield plan, inventory, suggestions, records, job files and logs."""
    names = (INVENTORY, PLAN, SUGGESTED)
    files = [output_dir / name for name in names if (output_dir / name).is_file()]
    for folder in ("masters", "jobs", "quality"):
        files += sorted((output_dir / folder).rglob("*.json"))
    for path in files:
        yield f"output/{path.relative_to(output_dir).as_posix()}", _text(path)
    logs = sorted((output_dir / "logs").rglob("*.log"), key=lambda path: path.stat().st_mtime_ns)
    for path in logs[-_MOST_LOGS:]:
        yield f"output/{path.relative_to(output_dir).as_posix()}", _text(path)[-_LOG_BYTES:]


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _versions() -> dict[str, str]:
    return {
        "calmasters": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        **{package: _version(package) for package in _PACKAGES},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def replay(bundle: Path, folder: Path) -> None:
    """Write the files of a bug report, so that the same is planned in a new folder.

    Parameters
    ----------
    bundle : Path
        The zip.
    folder : Path
        New or empty.

    Raises
    ------
    RecordError
        If the zip is no bug report.
    OutputError
        If the folder is not empty, or a path in the zip leads out of it.
    """
    if folder.exists() and any(folder.iterdir()):
        raise OutputError(f"{folder} is not empty: choose a new folder")
    try:
        with ZipFile(bundle) as archive:
            texts = {name: archive.read(name).decode("utf-8") for name in archive.namelist()}
        frames = [FrameHeaders.from_json(each) for each in json.loads(texts.pop(_FRAMES))]
        config = yaml.safe_load(texts.pop(_CONFIG))
    except (BadZipFile, KeyError, ValueError, TypeError, OSError) as error:
        raise RecordError(bundle, "a bug report", error) from error
    _require_inside([*texts, *(frame.path for frame in frames)], folder)
    for name, text in {**texts, "config/config.yaml": yaml.safe_dump(config)}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for frame in frames:
        path = folder / frame.path
        frame.restore(path)
        record = path.with_suffix(".json")
        if record.is_file():
            os.utime(record, ns=(frame.mtime_ns, frame.mtime_ns))


def _require_inside(names: Iterable[str], folder: Path) -> None:
    for name in names:
        parts = PurePosixPath(name).parts
        if name.startswith("/") or ".." in parts or "\\" in name or ":" in parts[0]:
            raise OutputError(f"'{name}' in the bug report leads out of {folder}: do not use it")


def main() -> int:
    """Run ``python -m calmasters.commands.bug_report``."""
    parser = argparse.ArgumentParser(description="Plan again what a bug report contains.")
    parser.add_argument("bundle", type=Path, help="bug_report.zip")
    parser.add_argument("folder", type=Path, help="new folder for frames without pixels")
    arguments = parser.parse_args()
    try:
        replay(arguments.bundle, arguments.folder)
    except CalmastersError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"snakemake --directory {arguments.folder} -n masters")
    return 0


if __name__ == "__main__":
    sys.exit(main())
