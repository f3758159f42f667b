"""The program of PixInsight, its command line and the report of its script."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from calmasters.engines.pixinsight.find_program import find_binary
from calmasters.engines.pixinsight.runner import command, safe_folder
from calmasters.engines.pixinsight.status import Status, read_status
from calmasters.errors import ConfigError, EngineError
from calmasters.settings import PixInsight


@pytest.fixture
def bare_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set an empty PATH and an empty home directory."""
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    for variable in ("HOME", "USERPROFILE", "ProgramFiles", "ProgramW6432"):
        monkeypatch.setenv(variable, str(tmp_path))
    return tmp_path


# Finding the program ---------------------------------------------------------------------


def test_the_configured_binary_is_taken(tmp_path: Path) -> None:
    binary = tmp_path / "PixInsight.sh"
    binary.touch()
    assert find_binary(PixInsight(binary=binary)) == binary


def test_a_configured_binary_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"pixinsight\.binary: there is no file '.*no\.sh'; set"):
        find_binary(PixInsight(binary=tmp_path / "no.sh"))


@pytest.mark.parametrize("place", ["PixInsight/bin/PixInsight.sh", "PixInsight/bin/PixInsight.exe"])
def test_the_usual_places_are_searched(bare_system: Path, place: str) -> None:
    binary = bare_system / place
    binary.parent.mkdir(parents=True)
    binary.touch()
    assert find_binary(PixInsight()) == binary


def test_without_pixinsight_the_message_names_the_setting(bare_system: Path) -> None:
    with pytest.raises(ConfigError, match=r"not found; set pixinsight\.binary in config\.yaml"):
        find_binary(PixInsight())


# The command line ------------------------------------------------------------------------


def test_a_new_instance_runs_the_script_without_arguments_and_exits(tmp_path: Path) -> None:
    line = command(Path("PixInsight"), Path("/tmp/x/master.js"), PixInsight())
    assert line[0] == "PixInsight"
    assert {"-n", "--automation-mode", "--force-exit", "--run=/tmp/x/master.js"} <= set(line)
    assert "--force-exit" not in command(Path("P"), Path("x.js"), PixInsight(force_exit=False))


def test_scripts_have_a_path_that_pixinsight_does_not_split(
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


def test_the_folder_of_all_users_serves_where_the_name_of_the_user_has_a_blank(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, public = tmp_path / "Jane Doe" / "Temp", tmp_path / "Public"
    own.mkdir(parents=True)
    public.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(own))
    monkeypatch.setenv("PUBLIC", str(public))
    with safe_folder() as folder:
        assert folder.parent == public
    # One that cannot be written is passed over.
    monkeypatch.setenv("PUBLIC", str(tmp_path / "none"))
    with safe_folder() as folder:
        assert folder.parent in (Path("/tmp"), Path("/var/tmp"))


def test_without_a_plain_path_the_message_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / "a,b"
    odd.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(odd))
    monkeypatch.delenv("PUBLIC", raising=False)
    expected = pytest.raises(EngineError, match="set the environment variable TMPDIR")
    with expected, safe_folder(others=[str(tmp_path / "none")]):
        pass


# The report ------------------------------------------------------------------------------


def test_a_status_is_read(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    path.write_text('{"state": "failed", "error": "x", "version": "1.9.3", "console": "y"}')
    assert read_status(path) == Status("failed", error="x", version="1.9.3", console="y")


@pytest.mark.parametrize("text", [None, "", '{"state": "run', "[]", '{"other": 1}'])
def test_an_incomplete_status_is_none(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "status.json"
    if text is not None:
        path.write_text(text)
    assert read_status(path) is None


def test_each_warning_of_the_console_is_listed_once() -> None:
    console = "x\n** Warning: weak dark\n*** Error: y\n** Warning: weak dark\n** Warning: other"
    assert Status(console=console).warnings == ("weak dark", "other")


def test_warnings_are_found_behind_time_stamps() -> None:
    lines = ("** Warning: weak dark", "x", "** Warning: weak dark", "** Warning: a [1] b")
    console = "PixInsight Core 1.9.3\n" + "\n".join(
        f"[2026-11-02 21:04:{second:02}] {line}" for second, line in enumerate(lines)
    )
    assert Status(console=console).warnings == ("weak dark", "a [1] b")
