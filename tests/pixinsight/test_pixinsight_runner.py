"""Finding PixInsight, starting it and ending it."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from calmasters.engines.pixinsight.runner import command, find_binary, run, safe_folder
from calmasters.engines.pixinsight.status import Status, read_status
from calmasters.errors import ConfigError, EngineError
from calmasters.settings import PixInsight


@pytest.fixture
def output(tmp_path: Path) -> Iterator[BinaryIO]:
    with (tmp_path / "output").open("wb") as file:
        yield file


@pytest.fixture
def bare_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let nothing be on the PATH, and the home directory be an empty one."""
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    for variable in ("HOME", "USERPROFILE", "ProgramFiles", "ProgramW6432"):
        monkeypatch.setenv(variable, str(tmp_path))
    return tmp_path


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


# Finding it ------------------------------------------------------------------------------


def test_the_configured_binary_is_taken(tmp_path: Path) -> None:
    binary = tmp_path / "PixInsight.sh"
    binary.touch()
    assert find_binary(PixInsight(binary=binary)) == binary


def test_a_configured_binary_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"pixinsight\.binary: there is no file '.*no\.sh'; set"):
        find_binary(PixInsight(binary=tmp_path / "no.sh"))


@pytest.mark.parametrize("place", ["PixInsight/bin/PixInsight.sh", "PixInsight/bin/PixInsight.exe"])
def test_the_usual_places_are_searched(bare_system: Path, place: str) -> None:
    binary = bare_system / place
    binary.parent.mkdir(parents=True)
    binary.touch()
    assert find_binary(PixInsight()) == binary


def test_without_pixinsight_the_message_says_how_to_set_it(bare_system: Path) -> None:
    with pytest.raises(ConfigError, match=r"not found; set pixinsight\.binary in config\.yaml"):
        find_binary(PixInsight())


# The command line ------------------------------------------------------------------------


def test_a_new_instance_runs_the_script_without_arguments_and_leaves(tmp_path: Path) -> None:
    line = command(Path("PixInsight"), Path("/tmp/x/master.js"), PixInsight())
    assert line[0] == "PixInsight"
    assert {"-n", "--automation-mode", "--force-exit", "--run=/tmp/x/master.js"} <= set(line)
    assert "--force-exit" not in command(Path("P"), Path("x.js"), PixInsight(force_exit=False))


def test_scripts_lie_where_pixinsight_does_not_split_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / "Müller, a=b"
    odd.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(odd))
    with safe_folder() as folder:
        assert str(folder).isascii()
        assert not set(str(folder)) & set(", =")
        assert folder.is_dir()
    assert not folder.exists()


def test_without_a_plain_path_the_message_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / "a,b"
    odd.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(odd))
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(EngineError, match="set the environment variable TMPDIR"), safe_folder():
        pass


# Running it ------------------------------------------------------------------------------


def test_a_program_that_ends_is_waited_for(output: BinaryIO) -> None:
    ending = run(python("print('hello')"), output, lambda: False, limit_s=30, farewell_s=0)
    assert ending == "exit code 0"
    assert Path(output.name).read_text().strip() == "hello"


def test_a_program_out_of_time_is_ended(output: BinaryIO) -> None:
    started = time.monotonic()
    code = "import time; time.sleep(60)"
    assert run(python(code), output, lambda: False, limit_s=0.5, farewell_s=0) is None
    assert time.monotonic() - started < 20


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_program_that_will_not_be_asked_is_killed(output: BinaryIO) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    started = time.monotonic()
    assert run(python(code), output, lambda: False, limit_s=1, farewell_s=0) is None
    assert time.monotonic() - started < 20


def test_a_program_that_is_done_may_say_farewell_and_is_ended_then(output: BinaryIO) -> None:
    code = "import time; time.sleep(60)"
    started = time.monotonic()
    assert run(python(code), output, lambda: True, limit_s=60, farewell_s=0.5) is None
    assert time.monotonic() - started < 20


def test_a_program_that_cannot_be_started_is_named(tmp_path: Path, output: BinaryIO) -> None:
    with pytest.raises(EngineError, match="cannot be started"):
        run([str(tmp_path / "no")], output, lambda: False, limit_s=1, farewell_s=0)


# What it reports -------------------------------------------------------------------------


def test_a_status_is_read(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    path.write_text('{"state": "failed", "error": "x", "version": "1.9.3", "console": "y"}')
    assert read_status(path) == Status("failed", error="x", version="1.9.3", console="y")


@pytest.mark.parametrize("text", [None, "", '{"state": "run', "[]", '{"other": 1}'])
def test_a_status_in_between_is_none(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "status.json"
    if text is not None:
        path.write_text(text)
    assert read_status(path) is None


def test_the_consoles_warnings_are_told_once() -> None:
    console = "x\n** Warning: weak dark\n*** Error: y\n** Warning: weak dark\n** Warning: other"
    assert Status(console=console).warnings == ("weak dark", "other")
