"""Each profile must be complete, since naming one replaces the default."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]
PROFILES = sorted(path.parent.name for path in REPOSITORY.glob("profiles/*/config.yaml"))
#: Keys that every profile must have.
REQUIRED_KEYS = ("rerun-triggers", "ignore-incomplete", "max-checksum-file-size")


def profile(name: str) -> dict[str, Any]:
    path = REPOSITORY / "profiles" / name / "config.yaml"
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


@pytest.mark.parametrize("name", PROFILES)
def test_each_profile_repeats_the_required_keys(name):
    default = profile("default")
    required = {key: default[key] for key in REQUIRED_KEYS}
    assert required.items() <= profile(name).items()
    assert default["resources"].keys() <= profile(name)["resources"].keys()


def test_the_slurm_plugin_has_the_pinned_version_of_the_extra():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (pinned,) = project["optional-dependencies"]["slurm"]
    assert re.fullmatch(r"snakemake-executor-plugin-slurm==[\d.]+", pinned)
    assert pinned in (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    conda = (REPOSITORY / "environment.yml").read_text(encoding="utf-8")
    assert f"# - {pinned}\n" in conda
    assert profile("slurm")["executor"] == "slurm"
