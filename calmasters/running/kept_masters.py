"""The masters that are being made again, as they were before: kept until the new ones are there.

Snakemake removes what a job makes before the job starts. A second name, below
``output_dir/.previous``, keeps a master and the JSON beside it in reach; where the job fails or is
killed they are put back with their times, so that they still count as stale.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from calmasters.atomic_files import put_in_place

__all__ = ["copies", "keep", "put_back", "put_back_needed"]

_FOLDER: Final = ".previous"


def keep(output_dir: Path, masters: Iterable[str]) -> None:
    """Give masters that are about to be made again a second name; nothing is written for it.

    Parameters
    ----------
    output_dir : Path
    masters : iterable of str
        Relative to ``output_dir``; those that are not there are passed over.
    """
    for master in masters:
        for file in _pair(output_dir / master):
            kept = output_dir / _FOLDER / file.relative_to(output_dir)
            # One that is there already was kept before the master was begun.
            if file.is_file() and not kept.exists():
                kept.parent.mkdir(parents=True, exist_ok=True)
                _link(file, kept)


def copies(output_dir: Path, masters: Iterable[str]) -> int:
    """Tell how many bytes :func:`keep` will copy: none where files can have second names."""
    files = [file for master in masters for file in _pair(output_dir / master) if file.is_file()]
    return 0 if not files or _links(output_dir) else sum(file.stat().st_size for file in files)


def _links(folder: Path) -> bool:
    """Tell whether a file can have two names in a folder."""
    with NamedTemporaryFile(dir=folder, prefix=".") as file:
        second = Path(f"{file.name}.link")
        try:
            os.link(file.name, second)
        except OSError:
            return False
        second.unlink()
    return True


def _pair(master: Path) -> tuple[Path, Path]:
    """Name the files of a master, the JSON first: alone, it is no master."""
    return master.with_suffix(".json"), master


def _link(file: Path, kept: Path) -> None:
    try:
        os.link(file, kept)
    except OSError:
        # FAT and some network folders know no second names.
        partial = kept.with_name(f".{kept.name}.{os.getpid()}.partial")
        shutil.copy2(file, partial)
        put_in_place(partial, kept)


def put_back_needed(output_dir: Path) -> bool:
    """Tell whether a run was killed while it had masters to put back."""
    return (output_dir / _FOLDER).is_dir()


def put_back(output_dir: Path) -> list[str]:
    """Put masters back that are not there, and forget the others.

    Returns
    -------
    list of str
        Those put back, relative to ``output_dir``.
    """
    folder = output_dir / _FOLDER
    found = [*_put_back(folder, output_dir)]
    shutil.rmtree(folder, ignore_errors=True)
    return found


def _put_back(folder: Path, output_dir: Path) -> Iterator[str]:
    for kept in sorted(folder.rglob("*")):
        master = output_dir / kept.relative_to(folder)
        if kept.suffix == ".json" or kept.name.startswith(".") or not kept.is_file():
            continue
        if not master.is_file():
            for before, file in zip(_pair(kept), _pair(master), strict=True):
                if before.is_file():
                    file.parent.mkdir(parents=True, exist_ok=True)
                    put_in_place(before, file)
            yield master.relative_to(output_dir).as_posix()
