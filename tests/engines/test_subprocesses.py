"""Running a program and ending it with all its processes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import psutil
import pytest

from calmasters.engines.subprocesses import end_tree, run, start
from calmasters.errors import EngineError


@pytest.fixture
def output(tmp_path: Path) -> Iterator[BinaryIO]:
    with (tmp_path / "output").open("wb") as file:
        yield file


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_program_that_ends_is_waited_for(output: BinaryIO) -> None:
    ending = run(python("print('hello')"), output, lambda: False, limit_s=30, exit_grace_s=0)
    assert ending == "exit code 0"
    assert Path(output.name).read_text().strip() == "hello"


def test_a_program_is_ended_after_its_time_limit(output: BinaryIO) -> None:
    started = time.monotonic()
    code = "import time; time.sleep(60)"
    assert run(python(code), output, lambda: False, limit_s=0.5, exit_grace_s=0) is None
    assert time.monotonic() - started < 20


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_program_that_ignores_sigterm_is_killed(output: BinaryIO) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    started = time.monotonic()
    assert run(python(code), output, lambda: False, limit_s=1, exit_grace_s=0) is None
    assert time.monotonic() - started < 20


def test_a_program_that_is_done_is_ended_after_its_grace_time(output: BinaryIO) -> None:
    code = "import time; time.sleep(60)"
    started = time.monotonic()
    assert run(python(code), output, lambda: True, limit_s=60, exit_grace_s=0.5) is None
    assert time.monotonic() - started < 20


#: Starts a process that starts another one, and says their numbers.
FAMILY = """
import subprocess, sys, time
inner = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
outer = (
    "import os, subprocess, sys, time; print(os.getpid(), flush=True); "
    f"subprocess.Popen([sys.executable, '-c', {inner!r}]); time.sleep(60)"
)
subprocess.Popen([sys.executable, "-c", outer])
time.sleep(60)
"""


def test_a_tree_of_processes_is_ended_without_signals(output: BinaryIO) -> None:
    process = start(python(FAMILY), output)
    deadline = time.monotonic() + 30
    while len(numbers := Path(output.name).read_text().split()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    family = [psutil.Process(int(number)) for number in numbers]
    end_tree(process)
    assert process.wait(timeout=10) != 0
    # Those whose parent does not wait for them stay as zombies on Linux.
    gone, alive = psutil.wait_procs(family, timeout=5)
    assert len(gone) + sum(each.status() == psutil.STATUS_ZOMBIE for each in alive) == 2
    end_tree(process)  # nothing is left to end


def test_a_program_that_cannot_be_started_is_named(tmp_path: Path, output: BinaryIO) -> None:
    with pytest.raises(EngineError, match="cannot be started"):
        run([str(tmp_path / "no")], output, lambda: False, limit_s=1, exit_grace_s=0)


def test_a_program_gets_its_folder_and_variables(tmp_path: Path, output: BinaryIO) -> None:
    code = "import os; print(os.path.realpath('.'), os.environ['NAME'], 'PATH' in os.environ)"
    run(
        python(code),
        output,
        lambda: False,
        limit_s=30,
        directory=tmp_path,
        variables={"NAME": "value"},
    )
    expected = f"{os.path.realpath(tmp_path)} value True"
    assert Path(output.name).read_text().strip() == expected
