"""``make`` uses the environment in ``.venv`` if it is usable, and replaces it if it is not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="there is no make")

REPOSITORY = Path(__file__).parents[1]

#: What make runs to replace the environment, to install into it, and if nothing is to be done.
CLEARS, INSTALLS, NOTHING = "-m venv --clear .venv", "pip install", "Nothing to be done"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with an environment that make has completed: as far as make can see."""
    folder = tmp_path / "clone"
    folder.mkdir()
    for name in ("Makefile", "constraints.txt", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, folder)
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", folder / ".venv"], check=True, cwd=folder
    )
    (pip,) = (folder / ".venv").glob("lib/python*/site-packages")
    (pip / "pip").mkdir()
    (pip / "pip" / "__init__.py").touch()
    (folder / ".venv" / "ready").touch()
    return folder


def make(folder: Path, *arguments: str) -> str:
    """Return what make would run, or says."""
    # The environment of a make that runs these tests must not decide.
    own = {key: value for key, value in os.environ.items() if key not in ("PYTHON", "MAKEFLAGS")}
    done = subprocess.run(
        ["make", *arguments, "environment"],
        cwd=folder,
        env=own,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def write_script(path: Path, text: str) -> Path:
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_a_complete_environment_is_used(clone: Path) -> None:
    assert NOTHING in make(clone, "-n")


def test_the_python_of_the_environment_may_be_asked_for(clone: Path) -> None:
    assert NOTHING in make(clone, "-n", f"PYTHON={sys.executable}")


def test_new_dependencies_are_installed_into_the_same_environment(clone: Path) -> None:
    os.utime(clone / ".venv" / "ready", (1, 1))
    said = make(clone, "-n")
    assert INSTALLS in said
    assert CLEARS not in said


def test_an_interrupted_installation_is_continued(clone: Path) -> None:
    (clone / ".venv" / "ready").unlink()
    said = make(clone, "-n")
    assert INSTALLS in said
    assert CLEARS not in said


def lose_python(clone: Path) -> None:
    for link in (clone / ".venv" / "bin").glob("python*"):
        link.unlink()
        link.symlink_to("/no/such/python")


def lose_pip(clone: Path) -> None:
    (pip,) = clone.glob(".venv/lib/python*/site-packages/pip")
    shutil.rmtree(pip)


def change_version(clone: Path) -> None:
    """Let the Python of the environment be 3.9, as after a first attempt."""
    write_script(clone / ".venv" / "bin" / "python", "exit 1")


def leave_half(clone: Path) -> None:
    shutil.rmtree(clone / ".venv" / "bin")


def move_clone(clone: Path) -> None:
    """The scripts in bin/ have the path of their environment."""
    path = clone / ".venv" / "pyvenv.cfg"
    path.write_text(path.read_text(encoding="utf-8").replace(str(clone), "/somewhere/else"))


@pytest.mark.parametrize("broken", [lose_python, lose_pip, change_version, leave_half, move_clone])
def test_a_broken_environment_is_replaced(clone: Path, broken: Callable[[Path], None]) -> None:
    broken(clone)
    said = make(clone, "-n")
    assert CLEARS in said
    assert INSTALLS in said


def test_another_version_that_is_asked_for_replaces_the_environment(
    clone: Path, tmp_path: Path
) -> None:
    other = write_script(tmp_path / "python", "echo '[3, 99]'")
    assert f"{other} {CLEARS}" in make(clone, "-n", f"PYTHON={other}")


def test_a_python_that_is_too_old_is_refused_before_anything_is_removed(clone: Path) -> None:
    old = write_script(
        clone / "python", f'exec {sys.executable} -c "import sys; sys.version_info = (3, 9); $2"'
    )
    said = make(clone, f"PYTHON={old}")
    assert f"{old} is Python 3.9; calmasters needs 3.11 or later: make PYTHON=python3.12" in (
        " ".join(said.split())
    )
    assert (clone / ".venv" / "ready").exists()
