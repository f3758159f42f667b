from __future__ import annotations

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


def test_a_defect_keeps_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), reported(tmp_path / "run.log"):
        _ = 1 / 0
    assert not (tmp_path / "run.log").exists()


def test_what_goes_well_is_left_alone(tmp_path: Path) -> None:
    with reported(tmp_path / "run.log"):
        pass
    assert not (tmp_path / "run.log").exists()
