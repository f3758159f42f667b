from __future__ import annotations

import errno
import os
from math import inf
from pathlib import Path

import pytest

from calmasters.errors import (
    MESSAGES_IN_LOG,
    CalmastersError,
    ConfigError,
    EngineError,
    FrameError,
    exit_on_error,
    message_in_log,
    os_error_message,
    plain_number,
)

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


def test_a_defect_leaves_its_traceback_in_the_log_and_one_line_for_people(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    with pytest.raises(SystemExit) as ended, exit_on_error(log):
        _ = 1 / 0
    message = "ZeroDivisionError: division by zero; this is a defect, please report it with the log"
    assert ended.value.code == f"calmasters: {message}"
    assert log.read_text().startswith("Traceback")
    assert message_in_log(log, since=0.0) == message


def test_a_defect_without_a_log_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), exit_on_error():
        _ = 1 / 0


def test_a_message_that_the_run_shows_itself_is_only_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MESSAGES_IN_LOG, "1")
    log = tmp_path / "run.log"
    with pytest.raises(SystemExit) as ended, exit_on_error(log):
        raise ConfigError("one\n  two")
    assert ended.value.code == 1
    assert message_in_log(log, since=0.0) == "one\n  two"


def test_the_message_of_an_earlier_job_is_not_that_of_this_one(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    log.write_text("calmasters: disk full\n")
    assert message_in_log(log, since=log.stat().st_mtime) == "disk full"
    assert message_in_log(log, since=log.stat().st_mtime + 60) == ""
    assert message_in_log(tmp_path / "none.log", since=0.0) == ""


def test_a_block_without_an_error_writes_no_log(tmp_path: Path) -> None:
    with exit_on_error(tmp_path / "run.log"):
        pass
    assert not (tmp_path / "run.log").exists()


@pytest.mark.parametrize(
    ("number", "file", "remedy"),
    [
        (
            32,
            "a.xisf",
            "close the program that has it open (PixInsight, an image viewer, Excel), and",
        ),
        (
            5,
            "a.xisf",
            "close the program that has it open (PixInsight, an image viewer, Excel), or",
        ),
        (112, "a.xisf", "free disk space there"),
        (206, "D:/" + 260 * "x", "its path has 263 characters, and Windows takes 259 unless"),
        (3, "D:/" + 256 * "x", "check that its disk or network folder is connected"),
    ],
)
def test_errors_of_windows_have_remedies_of_their_own(number: int, file: str, remedy: str) -> None:
    codes = {5: errno.EACCES, 32: errno.EACCES, 112: errno.ENOSPC}
    error = OSError(codes.get(number, errno.ENOENT), "refused", file)
    error.winerror = number  # type: ignore[attr-defined]
    assert os_error_message(error).startswith(f"refused ('{file}'); {remedy}")


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [
        (170.2, 2, "170"),
        (-171.4, 2, "-171"),
        (0.0346, 2, "0.035"),
        (1.0, 2, "1"),
        (9.996, 3, "10"),
        (40000, 3, "40000"),
        (1e-7, 3, "0.0000001"),
        (4294967295, 6, "4294967295"),
        (0.1 + 0.2, 6, "0.3"),
        (100, 1, "100"),
        (0, 3, "0"),
        (inf, 3, "inf"),
    ],
)
def test_numbers_have_their_digits_and_no_exponent(
    value: float, digits: int, expected: str
) -> None:
    assert plain_number(value, digits) == expected


def test_a_sign_is_written_where_it_is_asked_for() -> None:
    assert [plain_number(each, 2, sign=True) for each in (170, -0.5)] == ["+170", "-0.5"]
