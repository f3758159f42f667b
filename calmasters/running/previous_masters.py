"""The masters that are being rebuilt, as they were before: saved until the new ones are there.

Snakemake removes what a job makes before the job starts. A master and its record get a second
name below ``output_dir/.previous``. Where the job fails or is killed, they are restored with their
times.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from time import time_ns

from calmasters.atomic_files import put_in_place, remove, write_whole
from calmasters.errors import RecordError
from calmasters.model.job import MasterJob, read_made_of
from calmasters.model.layout import PREVIOUS_MASTERS, job_path_of

__all__ = ["bytes_to_copy", "restore", "restore_needed", "save"]


def save(output_dir: Path, masters: Iterable[str]) -> None:
    """Give masters that are about to be rebuilt a second name; nothing is written for it.

    Parameters
    ----------
    output_dir : Path
    masters : iterable of str
        Relative to ``output_dir``; those that are not there are passed over.
    """
    for master in masters:
        for file in _with_record(output_dir / master):
            saved = output_dir / PREVIOUS_MASTERS / file.relative_to(output_dir)
            # One that is there already was saved before the rebuild began.
            if file.is_file() and not saved.exists():
                saved.parent.mkdir(parents=True, exist_ok=True)
                _link(file, saved)


def bytes_to_copy(output_dir: Path, masters: Iterable[str]) -> int:
    """Count the bytes that :func:`save` will copy: none where a file can have two names."""
    both = (file for master in masters for file in _with_record(output_dir / master))
    files = [file for file in both if file.is_file()]
    return 0 if not files or _has_links(output_dir) else sum(file.stat().st_size for file in files)


def _has_links(folder: Path) -> bool:
    """Return whether a file can have two names in a folder."""
    first, second = (folder / f".{name}.{os.getpid()}.partial" for name in ("file", "link"))
    first.touch()
    try:
        os.link(first, second)
    except OSError:
        return False
    finally:
        for file in (first, second):
            remove(file)
    return True


def _with_record(master: Path) -> tuple[Path, Path]:
    """Give the files of a master, the record first: alone, it is no master."""
    return master.with_suffix(".json"), master


def _link(file: Path, saved: Path) -> None:
    try:
        os.link(file, saved)
    except OSError:
        # FAT and some network folders allow one name only.
        partial = saved.with_name(f".{saved.name}.{os.getpid()}.partial")
        shutil.copy2(file, partial)
        put_in_place(partial, saved)


def restore_needed(output_dir: Path) -> bool:
    """Return whether a run was killed that had masters to restore."""
    return (output_dir / PREVIOUS_MASTERS).is_dir()


def restore(output_dir: Path) -> list[str]:
    """Restore masters that were not rebuilt, and forget the others.

    Returns
    -------
    list of str
        Those restored, relative to ``output_dir``.
    """
    folder = output_dir / PREVIOUS_MASTERS
    restored = [*_restore(folder, output_dir)]
    shutil.rmtree(folder, ignore_errors=True)
    return restored


def _restore(folder: Path, output_dir: Path) -> Iterator[str]:
    for saved in sorted(folder.rglob("*")):
        master = output_dir / saved.relative_to(folder)
        if saved.suffix == ".json" or saved.name.startswith(".") or not saved.is_file():
            continue
        if not master.is_file():
            path = master.relative_to(output_dir).as_posix()
            _renew_job_file(output_dir / job_path_of(path), saved.with_suffix(".json"))
            for before, file in zip(_with_record(saved), _with_record(master), strict=True):
                if before.is_file():
                    file.parent.mkdir(parents=True, exist_ok=True)
                    put_in_place(before, file)
            yield path


def _renew_job_file(path: Path, record: Path) -> None:
    """Write a job file again, with other bytes, before the master that it did not make is back.

    Snakemake has recorded the checksum of the file that the failed rebuild began with. It would
    take the old master for made from that file, however much newer the file is.
    """
    with suppress(OSError, RecordError):  # the checkpoint writes it again
        job, made = MasterJob.read(path), read_made_of(record)
        if made is None or not made.serves(job.made_of):
            write_whole(path, job.to_json(time_ns()))
