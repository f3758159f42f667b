"""The path of every file below ``output_dir``.

Paths are text, relative to ``output_dir``, with ``/``; so they are in ``plan.json``, in job files
and in the records beside masters. No other module puts such a path together or takes one apart.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Final

from calmasters.errors import ConfigError
from calmasters.frame import FrameType

__all__ = [
    "BUG_REPORT",
    "COMPARISON",
    "CONTENT_DIGESTS",
    "DEFECTS",
    "DIFFERENCE_PICTURES",
    "HEADER_CACHE",
    "INVENTORY",
    "JOBS",
    "LAYOUTS",
    "LEAVE_OUT",
    "LOCK",
    "MASTERS",
    "MEASURED",
    "METRICS",
    "ORPHANS",
    "PICTURES",
    "PIXINSIGHT_LOG",
    "PLAN",
    "PREVIOUS_MASTERS",
    "QUALITY",
    "REPORT",
    "SUGGESTED",
    "TRIGGER_FOLDER",
    "VERDICT",
    "compared_output",
    "defect_map_path",
    "difference_picture_path",
    "engine_check_path",
    "job_path",
    "job_path_of",
    "master_folder",
    "master_name",
    "master_path",
    "master_type",
    "output_dir_of",
    "picture_path",
    "quality_path",
    "record_path",
    "unplanned",
]

INVENTORY: Final = "inventory.csv"
PLAN: Final = "plan.json"
REPORT: Final = "report.html"
#: Settings that would make refused frames usable.
SUGGESTED: Final = "suggested.yaml"
#: Settings that leave out the frames which differ from the others.
LEAVE_OUT: Final = "leave_out.yaml"
MASTERS: Final = "masters"
JOBS: Final = "jobs"
QUALITY: Final = "quality"
#: All numbers of all masters, as a table.
METRICS: Final = f"{QUALITY}/metrics.csv"
VERDICT: Final = f"{QUALITY}/verdict.txt"
DEFECTS: Final = "defects"
#: What a comparison of engines found, and where masters differ.
COMPARISON: Final = "compare/compare.json"
DIFFERENCE_PICTURES: Final = "compare/pictures"
#: Headers, plan, records and logs for a bug report.
BUG_REPORT: Final = "bug_report.zip"
PIXINSIGHT_LOG: Final = "logs/pixinsight.log"
#: Where ``snakemake orphans --config prune=true`` moves masters that nothing uses.
ORPHANS: Final = "orphans"

#: The lock of the run that is at work.
LOCK: Final = ".lock"
#: Masters that are being rebuilt, as they were before.
PREVIOUS_MASTERS: Final = ".previous"
HEADER_CACHE: Final = ".cache/headers.json"
CONTENT_DIGESTS: Final = ".cache/contents.json"
#: What is kept of masters that were measured, to compare the next ones with them.
MEASURED: Final = ".cache/measured"
#: The file that makes the checkpoint stale is here, on the disk of ``plan.json``.
TRIGGER_FOLDER: Final = ".cache"

#: How masters may be laid out, as ``layout`` of the configuration names it.
LAYOUTS: Final = ("by-type", "ap-library")

#: What the name of each picture of a master ends in.
PICTURES: Final[Sequence[str]] = ("_overview.webp", "_sections.webp", "_structure.webp", ".jpg")


def master_folder(kind: FrameType, layout: str) -> str:
    """Give the folder of a type's masters below ``masters``: ``bias``, or ``MASTER BIAS``."""
    return kind.master_name.upper() if layout == "ap-library" else kind.value


#: Every folder that masters may have, and their type.
_FOLDER_TYPES: Final = {
    master_folder(kind, layout): kind for kind in FrameType for layout in LAYOUTS
}


def master_path(kind: FrameType, name: str, layout: str, master_format: str) -> str:
    """Give the file of a master.

    >>> master_path(FrameType.BIAS, "masterBias_GAIN-100", "by-type", "xisf")
    'masters/bias/masterBias_GAIN-100.xisf'
    """
    return f"{MASTERS}/{master_folder(kind, layout)}/{name}.{master_format}"


def record_path(master: str) -> str:
    """Give the record beside a master, by the master's path."""
    return f"{master.rpartition('.')[0]}.json"


def master_name(master: str) -> str:
    """Give a master's name by its path: with the folders that ``ap-library`` has in names.

    >>> master_name("masters/MASTER FLAT/ATR585M/masterFlat_FILTER_B.xisf")
    'ATR585M/masterFlat_FILTER_B'
    """
    return master.rpartition(".")[0].split("/", 2)[2]


def master_type(master: str) -> FrameType:
    """Give the type of a master, by its path."""
    return _FOLDER_TYPES[master.split("/", 2)[1]]


def job_path(kind: FrameType, name: str) -> str:
    """Give the job file of a master."""
    return f"{JOBS}/{kind.value}/{name}.json"


def job_path_of(master: str) -> str:
    """Give the job file of a master, by the master's path."""
    return job_path(master_type(master), master_name(master))


def quality_path(name: str) -> str:
    """Give the numbers measured of a master, by its name."""
    return f"{QUALITY}/{name}.json"


def picture_path(name: str, ending: str) -> str:
    """Give a picture of a master, by its name and one of :data:`PICTURES`."""
    return f"{QUALITY}/{name}{ending}"


def defect_map_path(setting: str) -> str:
    """Give the map of bad pixels of a camera setting, by its name."""
    return f"{DEFECTS}/{setting}.fits"


def compared_output(engine: str) -> str:
    """Give the folder that is the ``output_dir`` of an engine in a comparison."""
    return f"compare/{engine}"


def difference_picture_path(engine: str, name: str) -> str:
    """Give the picture of where a master differs from that of another engine, by its name."""
    return f"{DIFFERENCE_PICTURES}/{engine}/{name}.webp"


def engine_check_path(engine: str) -> str:
    """Give the zip that an engine check writes for a bug report."""
    return f"engine_check_{engine}.zip"


def unplanned(paths: Iterable[str], planned: Collection[str], output_dir: Path) -> list[str]:
    """Give the files of ``output_dir`` that are not planned.

    On most disks of Windows and macOS, names that differ in case only are one file. It is the
    planned one, whichever case its name has from an earlier run.

    Parameters
    ----------
    paths : iterable of str
        Of files that are there, relative to ``output_dir``.
    planned : collection of str
    output_dir : Path
    """
    by_folded = {path.casefold(): path for path in planned}

    def is_planned(path: str) -> bool:
        alike = by_folded.get(path.casefold())
        return alike is not None and (
            alike == path or _is_one_file(output_dir / path, output_dir / alike)
        )

    return [path for path in paths if not is_planned(path)]


def _is_one_file(first: Path, second: Path) -> bool:
    with suppress(OSError):
        return first.samefile(second)
    return False


def output_dir_of(master: Path) -> tuple[Path, str]:
    """Find the ``output_dir`` of a master's file.

    Parameters
    ----------
    master : Path
        As somebody writes it on a command line.

    Returns
    -------
    output_dir : Path
    master : str
        The master's path relative to it.

    Raises
    ------
    ConfigError
        If the file is not below ``masters/<folder of a type>`` of any directory.
    """
    path = master.absolute()
    for folder in path.parents:
        inner = PurePosixPath(path.relative_to(folder).as_posix())
        if folder.name == MASTERS and len(inner.parts) > 1 and inner.parts[0] in _FOLDER_TYPES:
            return folder.parent, f"{MASTERS}/{inner}"
    expected = f"OUTPUT_DIR/{MASTERS}/bias, dark or flat"
    raise ConfigError(f"'{master}' is not a master of this workflow: expected a file in {expected}")
