from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from calmasters.errors import CalmastersError, ConfigError, EngineError, FrameError, reported

KINDS = (ConfigError, FrameError, EngineError)


@pytest.mark.parametrize("kind", KINDS)
def test_our_errors_end_the_process_with_their_message_alone(
    kind: type[CalmastersError], tmp_path: Path
) -> None:
    log = tmp_path / "run.log"
    log.write_text("started\n")
    with pytest.raises(SystemExit) as caught, reported(log):
        raise kind("a/b\udcff.fits is truncated")
    # A text as exit code is printed to standard error, and the code is 1.
    assert caught.value.code == "calmasters: a/b\udcff.fits is truncated"
    assert log.read_text() == "started\ncalmasters: a/b\\udcff.fits is truncated\n"


def test_without_a_log_the_message_is_enough() -> None:
    with pytest.raises(SystemExit, match="calmasters: no frames"), reported():
        raise ConfigError("no frames")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (errno.ENOSPC, "make room there"),
        (errno.EDQUOT, "the quota is used up"),
        (errno.EROFS, "make it writable"),
        (errno.EACCES, "give yourself the permission"),
        (errno.ENOENT, "is the disk or the network folder that holds it connected?"),
        (errno.EIO, "is the disk or the network folder that holds it connected?"),
    ],
)
def test_what_the_system_refuses_is_said_with_the_file_and_a_remedy(
    code: int, says: str, tmp_path: Path
) -> None:
    log = tmp_path / "run.log"
    with pytest.raises(SystemExit) as caught, reported(log):
        raise OSError(code, os.strerror(code), "a/b.fits")
    message = str(caught.value.code)
    assert message.startswith(f"calmasters: {os.strerror(code)} ('a/b.fits'); ")
    assert says in message
    # Where it was, for those who look for a defect.
    assert log.read_text().startswith("Traceback")
    assert log.read_text().endswith(f"{message}\n")


def test_a_message_comes_through_where_no_log_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no frames"), reported(tmp_path / "gone" / "run.log"):
        raise ConfigError("no frames")


def test_a_defect_keeps_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), reported(tmp_path / "run.log"):
        _ = 1 / 0
    assert not (tmp_path / "run.log").exists()


def test_what_goes_well_is_left_alone(tmp_path: Path) -> None:
    with reported(tmp_path / "run.log"):
        pass
    assert not (tmp_path / "run.log").exists()
