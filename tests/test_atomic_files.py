from __future__ import annotations

import errno
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from calmasters.atomic_files import replacing, sweep, temporary_folder, when_free, write_whole


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "m.xisf"
    path.write_bytes(b"old")
    with pytest.raises(TypeError), replacing(path) as file:
        file.writelines([b"half of the new", None])  # type: ignore[list-item]
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["m.xisf"]


def test_the_file_does_not_exist_before_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "m.xisf"
    with replacing(path) as file:
        file.write(b"new")
        assert not path.exists()
        assert [p.suffix for p in tmp_path.iterdir()] == [".partial"]
    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["m.xisf"]


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot flush folders")
def test_the_data_are_flushed_before_the_file_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "plan.json"
    flushed: list[tuple[bytes, bool]] = []

    def fsync(file: int) -> None:
        in_place = path.exists()
        flushed.append((b"" if in_place else os.pread(file, 100, 0), in_place))

    monkeypatch.setattr(os, "fsync", fsync)
    write_whole(path, "content")
    # First the complete temporary file, then the folder with the new name.
    assert flushed == [(b"content", False), (b"", True)]


def test_the_modification_time_can_be_set(tmp_path: Path) -> None:
    write_whole(tmp_path / "new" / "job.json", "{}", mtime_ns=0)
    assert (tmp_path / "new" / "job.json").stat().st_mtime_ns == 0


def test_leftovers_of_killed_processes_are_removed_and_nothing_else(tmp_path: Path) -> None:
    left = {
        "jobs/bias/.masterBias_GAIN-100.json.4242.partial",
        ".plan.json.1.partial",
        "masters/dark/.0123456789abcdef.xisf",
        "masters/dark/.0123456789abcdef.status.json",
        "masters/dark/.0123456789abcdef.status.json.tmp",
    }
    stays = {
        "plan.json",
        "masters/dark/a.xisf",
        ".cache/headers.json",
        "my.1.partial",
        ".b.partial",
    }
    for name in left | stays:
        write_whole(tmp_path / name, "")
    folder = tmp_path / "masters/dark/.masterDark.xisf.siril"
    write_whole(folder / "frames" / "a.fits", "")
    left.add(folder.relative_to(tmp_path).as_posix())
    assert {path.relative_to(tmp_path).as_posix() for path in sweep(tmp_path)} == left
    remaining = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    assert stays <= remaining
    assert not left & remaining


def test_temporary_folders_of_ended_processes_are_removed(tmp_path: Path) -> None:
    own = f"calmasters-{platform.node()}"
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    left, other = tmp_path / f"{own}-{ended.pid}-abc", tmp_path / "calmasters-manual"
    running, elsewhere = tmp_path / f"{own}-{os.getppid()}-abc", tmp_path / "calmasters-other-1-abc"
    for folder in (left, other, running, elsewhere):
        write_whole(folder / "master.js", "")
    with temporary_folder(str(tmp_path)) as folder:
        names = {path.name for path in tmp_path.iterdir()}
        assert names == {other.name, running.name, elsewhere.name, Path(folder).name}
    assert not Path(folder).exists()


def windows_error(number: int) -> PermissionError:
    """The error of Windows for a file that another program has open."""
    error = PermissionError(errno.EACCES, "The process cannot access the file", "a.xisf")
    error.winerror = number  # type: ignore[attr-defined]
    return error


class Busy:
    """A file that is open elsewhere for the first attempts."""

    def __init__(self, attempts: int, error: OSError) -> None:
        self.left, self.error, self.calls = attempts, error, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.left:
            raise self.error
        return "replaced"


@pytest.mark.parametrize("number", [5, 32, 33])
def test_a_file_that_another_program_has_open_is_waited_for(number: int) -> None:
    busy = Busy(2, windows_error(number))
    assert when_free(busy) == "replaced"
    assert busy.calls == 3


def test_a_file_that_stays_open_is_given_up_with_its_error() -> None:
    busy, error = Busy(10**9, windows_error(32)), windows_error(32)
    busy.error = error
    with pytest.raises(PermissionError) as caught:
        when_free(busy, patience_s=0.3)
    assert caught.value is error
    assert busy.calls > 2


@pytest.mark.parametrize(
    "error", [PermissionError(errno.EACCES, "no"), OSError(errno.ENOSPC, "no")]
)
def test_any_other_error_is_raised_at_once(error: OSError) -> None:
    busy = Busy(1, error)
    with pytest.raises(OSError, match="no"):
        when_free(busy)
    assert busy.calls == 1


def test_the_names_of_temporary_folders_are_plain_whatever_the_machine_is_called() -> None:
    with temporary_folder() as folder:
        name = Path(folder).name
    assert re.fullmatch(r"calmasters-[A-Za-z0-9.-]+-\d+-\w+", name)
