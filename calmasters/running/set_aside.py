"""Move masters that no job makes to ``output_dir/orphans``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from calmasters.atomic_files import when_free
from calmasters.model.layout import ORPHANS

__all__ = ["set_aside"]


def set_aside(masters: Iterable[str], output_dir: Path) -> Mapping[Path, Path]:
    """Move masters to ``output_dir/orphans``, with their records.

    Parameters
    ----------
    masters : iterable of str
        Paths relative to ``output_dir``.
    output_dir : Path

    Returns
    -------
    mapping of Path to Path
        From where each file went to where it is. No file there is overwritten.
    """
    moved: dict[Path, Path] = {}
    for path in masters:
        master = output_dir / path
        folder = output_dir / ORPHANS / PurePosixPath(path).parent
        folder.mkdir(parents=True, exist_ok=True)
        for file in (master, master.with_suffix(".json")):
            # The JSON may belong to the same master in another format.
            if file == master or (file.is_file() and not _shared(master)):
                moved[file] = _move(file, _free(folder / file.name))
    return moved


def _move(file: Path, target: Path) -> Path:
    return when_free(lambda: file.rename(target))


def _shared(master: Path) -> bool:
    """Return whether another master has the same name before the extension."""
    return any(
        other.suffix != ".json" and other.stem == master.stem for other in master.parent.iterdir()
    )


def _free(path: Path) -> Path:
    """Find a name that is not taken, by a number after it."""
    taken, number = path, 0
    while taken.exists():
        number += 1
        taken = path.with_name(f"{path.stem}.{number}{path.suffix}")
    return taken
