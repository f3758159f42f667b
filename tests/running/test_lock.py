from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from calmasters.errors import OutputError
from calmasters.running.lock import RunLock

#: Another run.
OTHER = """
import sys, time
from pathlib import Path
from calmasters.running.lock import RunLock
RunLock(Path(sys.argv[1])).take()
print("taken", flush=True)
time.sleep(60)
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another run, at work on ``tmp_path``."""
    with subprocess.Popen(
        [sys.executable, "-c", OTHER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout
        assert run.stdout.readline() == "taken\n"
        yield run
        run.kill()


def write_lock(folder: Path, **fields: object) -> Path:
    """Write the lock of a run of last night."""
    held = {"pid": 1, "command": "snakemake masters", "host": platform.node()}
    held |= {"started": "last night", "directory": "/work"}
    path = folder / ".lock"
    path.write_text(json.dumps(held | fields))
    return path


def test_a_lock_is_there_until_it_is_released(tmp_path: Path) -> None:
    lock = RunLock(tmp_path / "output")
    assert lock.take() == ""
    assert json.loads((tmp_path / "output" / ".lock").read_text())["pid"] == os.getpid()
    lock.release()
    assert not [*(tmp_path / "output").iterdir()]
    lock.release()


def test_a_run_that_lives_keeps_others_out_and_says_who_it_is(
    tmp_path: Path, other: subprocess.Popen[str]
) -> None:
    with pytest.raises(OutputError) as refused:
        RunLock(tmp_path).take()
    assert RunLock(tmp_path).is_held
    for words in (str(tmp_path), f"process {other.pid} on {platform.node()}", str(Path.cwd())):
        assert words in str(refused.value)
    assert (tmp_path / ".lock").is_file()


def test_the_lock_of_a_killed_run_is_taken_over(
    tmp_path: Path, other: subprocess.Popen[str]
) -> None:
    other.kill()
    other.wait()
    lock = RunLock(tmp_path)
    assert lock.exists
    assert not lock.is_held
    assert f"process {other.pid} on" in lock.take()
    lock.release()
    assert not lock.exists
    assert not [*tmp_path.iterdir()]


def test_a_process_that_has_the_number_of_the_dead_one_is_no_run(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        write_lock(tmp_path, pid=bystander.pid)
        assert "last night" in RunLock(tmp_path).take()
    write_lock(tmp_path, pid=os.getpid())  # a container's processes begin at 1 again
    assert "last night" in RunLock(tmp_path).take()


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"pid": 1}'])
def test_a_lock_without_words_is_nobodys(tmp_path: Path, text: str) -> None:
    (tmp_path / ".lock").write_text(text)
    assert "process 0" in RunLock(tmp_path).take()


def test_the_lock_of_another_machine_holds_while_it_is_renewed(tmp_path: Path) -> None:
    path = write_lock(tmp_path, host="elsewhere")
    with pytest.raises(OutputError, match="on elsewhere"):
        RunLock(tmp_path).take()
    long_ago = time.time() - 1000
    os.utime(path, (long_ago, long_ago))
    assert "on elsewhere" in RunLock(tmp_path).take()


def test_a_run_renews_its_lock(tmp_path: Path) -> None:
    lock = RunLock(tmp_path, renew_s=0.01)
    lock.take()
    path = tmp_path / ".lock"
    os.utime(path, (0, 0))
    deadline = time.monotonic() + 10
    while path.stat().st_mtime == 0:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    lock.release()
    assert not path.exists()


def test_a_lock_that_another_run_has_taken_over_is_left_to_it(tmp_path: Path) -> None:
    lock = RunLock(tmp_path)
    lock.take()
    path = write_lock(tmp_path, host="elsewhere")
    lock.release()
    assert path.is_file()


START_TOGETHER = """
import sys
from pathlib import Path
from calmasters.errors import OutputError
from calmasters.running.lock import RunLock
go = Path(sys.argv[1], "go")
while not go.exists():
    pass
try:
    RunLock(Path(sys.argv[1])).take()
    print("taken", flush=True)
    sys.stdin.read()  # hold it until the test ends this
except OutputError:
    print("refused", flush=True)
"""


def test_of_two_that_find_a_lock_left_behind_one_takes_it(tmp_path: Path) -> None:
    write_lock(tmp_path, pid=0)
    command = [sys.executable, "-c", START_TOGETHER, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    runs = [subprocess.Popen(command, text=True, **pipes) for _ in range(3)]
    (tmp_path / "go").touch()
    said = [run.stdout.readline() for run in runs if run.stdout]
    for run in runs:
        run.kill()
        run.communicate()
    assert sorted(said) == ["refused\n", "refused\n", "taken\n"]
