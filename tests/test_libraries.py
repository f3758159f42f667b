"""Libraries that are not installed are named before they are needed."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest

from calmasters.errors import ConfigError, shell_words
from calmasters.libraries import LIBRARIES, require_libraries

#: Names to install that differ from those to import.
_IMPORTED = {"pillow": "PIL", "pyyaml": "yaml"}
#: Snakemake runs; tzdata is needed on Windows only.
_NOT_LOOKED_FOR = {"snakemake", "tzdata"}


def test_the_libraries_are_those_of_the_project() -> None:
    project = Path(__file__).parents[1] / "pyproject.toml"
    dependencies = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]
    names = {re.match(r"[\w-]+", each)[0] for each in dependencies} - _NOT_LOOKED_FOR
    assert {_IMPORTED.get(name, name) for name in names} == {*LIBRARIES}


def test_all_libraries_of_this_environment_are_found_without_importing_them() -> None:
    require_libraries()


def test_a_missing_library_is_named_with_the_command_that_installs_it() -> None:
    with pytest.raises(ConfigError) as raised:
        require_libraries(["json", "no_such_library", "nor_this"])
    message = str(raised.value)
    assert f"{sys.prefix} has no no_such_library, nor_this; install" in message
    clone = shell_words([str(Path(__file__).parents[1])])
    assert f"{sys.executable} -m pip install --editable {clone}" in message
