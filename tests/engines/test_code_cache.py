"""Compiled code is made by one process, and kept where that is possible."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from calmasters.engines.native.code_cache import (
    cache_folders,
    cached,
    cached_by_numba,
    cached_or_built,
)

CODE = {"kernel": ("symbol", b"machine code")}
NAME = "kernels.bin"

#: A process that takes some time to compile, and leaves a file of its own when it does.
PROGRAM = """
import os, sys, time
from pathlib import Path
from calmasters.engines.native.code_cache import cached_or_built

folder, seconds = Path(sys.argv[1]), float(sys.argv[2])

def build():
    (folder / f"compiling.{os.getpid()}").touch()
    end = time.monotonic() + seconds
    while time.monotonic() < end and not (folder / "finish").exists():
        time.sleep(0.01)
    return {"kernel": ("symbol", b"machine code")}

print(*cached_or_built("kernels.bin", [folder], build))
"""


def start(folder: Path, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, str(folder), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def compilers(folder: Path) -> list[Path]:
    return [*folder.glob("compiling.*")]


def wait_for_compiler(folder: Path) -> None:
    deadline = time.monotonic() + 60
    while not compilers(folder):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def unused() -> dict[str, tuple[str, bytes]]:
    raise AssertionError("compiled again")


def test_of_processes_that_start_together_one_compiles_and_the_others_say_that_they_wait(
    tmp_path: Path,
) -> None:
    first = start(tmp_path, 60)
    wait_for_compiler(tmp_path)
    others = [start(tmp_path, 60) for _ in range(2)]
    for other in others:
        assert other.stderr
        assert (
            other.stderr.readline() == "another job compiles the native engine: waiting for it…\n"
        )
    (tmp_path / "finish").touch()
    said = [process.communicate(timeout=60) for process in (first, *others)]
    assert [output for output, _ in said] == ["kernel\n"] * 3
    assert [errors for _, errors in said[1:]] == ["", ""]
    (compiler,) = compilers(tmp_path)
    assert re.search(
        r"once on this machine: kernels\.bin…\ncompiled kernels\.bin in \d+ s\n", said[0][1]
    )
    left = {path.name for path in tmp_path.iterdir()} - {NAME, compiler.name, "finish"}
    assert left == ({f"{NAME}.lock"} if os.name == "nt" else set())


def test_a_compiler_that_was_killed_blocks_nobody(tmp_path: Path) -> None:
    killed = start(tmp_path, 600)
    wait_for_compiler(tmp_path)
    waiting = start(tmp_path, 0)
    assert waiting.stderr
    assert "waiting" in waiting.stderr.readline()
    killed.kill()
    killed.communicate()
    output, _ = waiting.communicate(timeout=60)
    assert output == "kernel\n"
    assert cached(NAME, [tmp_path]) == CODE


def test_a_compiler_that_fails_blocks_nobody(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="compiled again"):
        cached_or_built(NAME, [tmp_path], unused)
    assert cached_or_built(NAME, [tmp_path], lambda: CODE) == CODE


def test_code_is_kept_in_the_first_folder_that_is_writable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    folders = [tmp_path / "file" / "folder", tmp_path / "new" / "folder"]
    assert cached_or_built(NAME, folders, lambda: CODE) == CODE
    assert cached(NAME, folders) == CODE
    assert cached_or_built(NAME, folders, unused) == CODE
    assert "writable" not in capsys.readouterr().err


def test_without_a_writable_folder_each_process_compiles_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert cached_or_built(NAME, [tmp_path / "file" / "folder"], lambda: CODE) == CODE
    assert "so each job compiles: set " in (said := capsys.readouterr().err)
    assert "to a folder that is writable" in said


def numbas_folder(folder: Path | None) -> list[Path | None]:
    """What numba does in its folder."""
    if folder:
        folder.mkdir(exist_ok=True)
    return [folder]


def test_numba_compiles_once_in_a_folder_that_is_marked_as_complete(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(folder: Path | None) -> None:
        numbas_folder(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_by_numba("numba-1", [tmp_path], interrupted)
    capsys.readouterr()
    said = []
    for _ in range(2):
        assert cached_by_numba("numba-1", [tmp_path], numbas_folder) == [tmp_path / "numba-1"]
        said.append(capsys.readouterr().err)
    assert said[0].startswith(
        "compiling the native engine, once on this machine: numba…\ncompiled numba in "
    )
    assert said[1] == ""


def test_numba_compiles_without_a_folder_where_none_is_writable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    folders = [tmp_path / "file" / "folder"]
    assert cached_by_numba("numba-1", folders, numbas_folder) == [None]
    assert "so each job compiles" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"damaged", None], ids=["empty", "damaged", "missing"])
def test_a_damaged_file_is_compiled_again(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / NAME).write_bytes(content)
    assert cached(NAME, [tmp_path]) is None
    assert cached_or_built(NAME, [tmp_path], lambda: CODE) == CODE
    assert cached(NAME, [tmp_path]) == CODE


@pytest.mark.skipif(os.name == "nt", reason="users of POSIX")
def test_the_folder_for_temporary_files_is_used_only_if_it_is_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = tmp_path / f"calmasters-{os.getuid()}"
    assert [*cache_folders()][-1] == folder
    folder.chmod(0o777)
    assert folder not in cache_folders()
    folder.rmdir()
    folder.symlink_to(tmp_path)
    assert folder not in cache_folders()
