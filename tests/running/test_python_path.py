"""Python in a folder whose path Snakemake would have to quote."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest
from real_workflow import Workflow

from calmasters.errors import ConfigError
from calmasters.running.python_path import StartablePython, is_plain


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/usr/bin/python3.11", True),
        ("/home/jürgen/.venv/bin/python", True),
        (r"C:\Users\JANEDO~1\calmasters\.venv\Scripts\python.exe", True),
        (r"C:\Users\Jane Doe\.venv\Scripts\python.exe", False),
        (r"C:\Program Files (x86)\Python\python.exe", False),
        (r"C:\R&D\python.exe", False),
        (r"C:\100%\python.exe", False),
        ("/data/it's/python", False),
        ("/data/$x/python", False),
    ],
)
def test_a_path_is_plain_if_no_shell_interprets_it(path: str, expected: bool) -> None:
    assert is_plain(path) is expected


@pytest.fixture
def environment(tmp_path: Path) -> str:
    """The Python of an environment in a folder with blanks, with the packages of this one."""
    folder = tmp_path / "Jane Doe's environment"
    builder = venv.EnvBuilder(symlinks=os.name != "nt")
    builder.create(folder)
    context = builder.ensure_directories(folder)
    added = Path(sysconfig.get_path("purelib", vars={"base": str(folder)})) / "packages.pth"
    added.write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return str(context.env_exe)


def test_python_itself_is_started_if_its_path_is_plain() -> None:
    assert StartablePython("/opt/calmasters/bin/python").path == "/opt/calmasters/bin/python"


def test_the_python_of_a_folder_with_blanks_has_another_path_with_the_same_packages(
    environment: str,
) -> None:
    python = StartablePython(environment)
    assert is_plain(python.path)
    folder = Path(python.path).parents[2]
    code = "import snakemake, sys; print(sys.prefix != sys.base_prefix)"
    # As Snakemake does it.
    done = subprocess.run(
        f'{python.path} -c "{code}"', shell=True, capture_output=True, text=True, check=True
    )
    assert done.stdout == "True\n"
    python.close()
    assert os.name == "nt" or not folder.exists()
    assert Path(environment).is_file()


@pytest.mark.skipif(os.name == "nt", reason="Windows has short names instead of links")
def test_where_the_temporary_folder_has_blanks_too_the_message_says_what_to_do(
    environment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / "t m p"
    odd.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(odd))
    with pytest.raises(ConfigError, match="make the environment in another folder, such as"):
        StartablePython(environment)


def test_jobs_run_in_an_environment_in_a_folder_with_blanks(
    environment: str, add_frame: Callable[..., Path], tmp_path: Path
) -> None:
    for number in range(3):
        add_frame(f"bias/{number}.fits", "bias", {"DATE-OBS": f"2026-01-15T20:00:0{number}"})
    workflow = Workflow(tmp_path)
    _, *arguments = workflow.command("--cores", "1", "inventory")
    command = [environment, *arguments]
    done = subprocess.run(
        command, cwd=tmp_path, env=workflow.environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (workflow.output / "plan.json").is_file()
