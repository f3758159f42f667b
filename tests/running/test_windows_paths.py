"""Paths of Windows, on any system."""

from __future__ import annotations

import os
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

import pytest
from snakemake.persistence.file import FilePersistence

from calmasters.errors import ConfigError
from calmasters.model.layout import PICTURES
from calmasters.running.windows_paths import (
    long_paths_work,
    longest_path,
    require_drive,
    require_short_paths,
)

NAME = "masterFlat_FILTER-B_INSTRUME-ATR585M_DATE-2026-01-15_SETTEMP--10.00_GAIN-100_OFFSET-150"
MASTER = f"masters/flat/{NAME}.xisf"
HOME = PureWindowsPath("C:/Users/Jane Doe/astro")


@pytest.mark.parametrize(
    "directory",
    [PureWindowsPath("C:/Users/Jürgen Müller"), PureWindowsPath("Z:/"), PurePosixPath("/data")],
)
def test_jobs_start_in_folders_of_drives(directory: PurePath) -> None:
    require_drive(directory)


@pytest.mark.parametrize("directory", ["//nas/astro/2026", "//nas/astro", "//?/C:/astro"])
def test_a_share_without_a_letter_is_refused_with_what_to_do(directory: str) -> None:
    with pytest.raises(ConfigError, match="give the share a letter") as caught:
        require_drive(PureWindowsPath(directory))
    assert f"net use Z: {PureWindowsPath(directory).drive}" in str(caught.value)


def test_a_usual_master_in_a_usual_folder_has_short_paths() -> None:
    assert len(longest_path(MASTER, PurePath("output"), HOME)) <= 259
    require_short_paths(MASTER, PureWindowsPath("output"), HOME)


@pytest.mark.parametrize(
    ("output_dir", "directory"),
    [
        (PureWindowsPath("output"), HOME / ("x" * 200)),
        (PureWindowsPath("D:/") / ("x" * 200), HOME),
        (PureWindowsPath("//nas/astro") / ("x" * 200), HOME),
    ],
)
def test_paths_that_are_too_long_are_refused_with_the_longest(
    output_dir: PurePath, directory: PurePath
) -> None:
    with pytest.raises(ConfigError, match="LongPathsEnabled") as caught:
        require_short_paths(MASTER, output_dir, directory)
    path = longest_path(MASTER, output_dir, directory)
    assert f"{MASTER}: '{path}' would have {len(path)} characters" in str(caught.value)


def test_the_notes_of_snakemake_count(tmp_path: Path) -> None:
    """They are longer than the names of the files themselves: base64."""
    output_dir, directory = PureWindowsPath("output"), PureWindowsPath("D:/night")
    path = PureWindowsPath(longest_path(MASTER, output_dir, directory))
    note = path.relative_to(directory)
    assert note.parts[:2] == (".snakemake", "incomplete")
    if os.name == "nt":
        return
    persistence = FilePersistence.__new__(FilePersistence)
    persistence._max_len = 255
    pictures = [f"output/quality/{NAME}{ending}" for ending in PICTURES]
    notes = [persistence._record_path(".snakemake/incomplete", each) for each in pictures]
    assert note.as_posix() in notes


@pytest.mark.skipif(os.name == "nt", reason="a setting of the machine")
def test_other_systems_take_long_paths() -> None:
    assert long_paths_work()
