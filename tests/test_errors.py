from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from calmasters.errors import CalmastersError, ConfigError, EngineError, FrameError, exit_on_error

KINDS = (ConfigError, FrameError, EngineError)


@pytest.mark.parametrize("kind", KINDS)
def test_our_errors_end_the_process_with_their_message_alone(
    kind: type[CalmastersError], tmp_path: Path
) -> None:
    log = tmp_path / "run.log"
    log.write_text("started\n")
    with pytest.raises(SystemExit) as caught, exit_on_error(log):
        raise kind("a/b\udcff.fits is truncated")
    # Python prints a text as exit code to standard error, and exits with 1.
    assert caught.value.code == "calmasters: a/b\udcff.fits is truncated"
    assert log.read_text() == "started\ncalmasters: a/b\\udcff.fits is truncated\n"


def test_the_log_is_optional() -> None:
    with pytest.raises(SystemExit, match="calmasters: no frames"), exit_on_error():
        raise ConfigError("no frames")


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (errno.ENOSPC, "free disk space there"),
        (errno.EDQUOT, "the quota is used up"),
        (errno.EROFS, "make it writable"),
        (errno.EACCES, "change its permissions"),
        (errno.ENOENT, "check that its disk or network folder is connected"),
        (errno.EIO, "check that its disk or network folder is connected"),
    ],
)
def test_errors_of_the_operating_system_name_the_file_and_a_remedy(
    code: int, remedy: str, tmp_path: Path
) -> None:
    log = tmp_path / "run.log"
    with pytest.raises(SystemExit) as caught, exit_on_error(log):
        raise OSError(code, os.strerror(code), "a/b.fits")
    message = str(caught.value.code)
    assert message.startswith(f"calmasters: {os.strerror(code)} ('a/b.fits'); ")
    assert remedy in message
    # The traceback helps to find a defect.
    assert log.read_text().startswith("Traceback")
    assert log.read_text().endswith(f"{message}\n")


def test_the_message_is_printed_even_if_the_log_cannot_be_written(tmp_path: Path) -> None:
    with (
        pytest.raises(SystemExit, match="no frames"),
        exit_on_error(tmp_path / "missing" / "run.log"),
    ):
        raise ConfigError("no frames")


def test_a_defect_keeps_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), exit_on_error(tmp_path / "run.log"):
        _ = 1 / 0
    assert not (tmp_path / "run.log").exists()


def test_a_block_without_an_error_writes_no_log(tmp_path: Path) -> None:
    with exit_on_error(tmp_path / "run.log"):
        pass
    assert not (tmp_path / "run.log").exists()
