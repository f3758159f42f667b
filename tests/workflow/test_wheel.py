"""The wheel has the whole workflow, and its command runs it where there is no repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from email import message_from_string
from pathlib import Path

import pytest
import yaml
from real_workflow import REPOSITORY, TINY, Run, Workflow

from calmasters.synthetic.session import write_session

pytest.importorskip("hatchling")

VERSION = "1.2.3"

#: As in a hosted workflow of some repository.
HOSTED = {
    "GITHUB_SERVER_URL": "https://example.org",
    "GITHUB_REPOSITORY": "somebody/calmasters",
    "GITHUB_SHA": "0abc",
}

#: What ``pip`` writes as the program ``calmasters``.
PROGRAM = (
    "import sys; from importlib.metadata import entry_points; "
    "(command,) = entry_points(group='console_scripts', name='calmasters'); "
    "sys.exit(command.load()())"
)

Calmasters = Callable[..., Run]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the content of the wheel, built from a copy as of the tag of a release."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    build = {"LICENSE", "README.md", "calmasters", "hatch_build.py", "pyproject.toml"}
    for name in build | workflow_files():
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy
        copy(REPOSITORY / name, source / name)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=source,
        env={**os.environ, **HOSTED, "SETUPTOOLS_SCM_PRETEND_VERSION": VERSION},
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    # Compiling takes a minute, and is the same code.
    native = Path("calmasters", "engines", "native", "__pycache__")
    (folder / "site" / native).mkdir()
    for compiled in [*(REPOSITORY / native).glob("*.bin")]:
        shutil.copy(compiled, folder / "site" / native)
    return folder / "site"


def workflow_files() -> set[str]:
    listed = re.search(
        r"WORKFLOW_FILES = \((.+?)\)", (REPOSITORY / "hatch_build.py").read_text(), re.DOTALL
    )
    assert listed
    return set(re.findall('"(.+?)"', listed[1]))


@pytest.fixture
def calmasters(site: Path, tmp_path: Path) -> Calmasters:
    def run(*words: str | Path, succeeds: bool = True) -> Run:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
            check=False,
        )
        result = Run(done.returncode, done.stdout + done.stderr)
        assert (result.code == 0) == succeeds, result.output
        return result

    return run


def test_the_wheel_has_every_file_of_the_workflow(site: Path) -> None:
    packed = site / "calmasters" / "workflow_files"
    expected = {
        path.relative_to(REPOSITORY)
        for name in workflow_files()
        for path in [REPOSITORY / name, *(REPOSITORY / name).rglob("*")]
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {path.relative_to(packed) for path in packed.rglob("*") if path.is_file()} == expected
    assert {"Snakefile", "rules", "scripts"} <= workflow_files()
    assert (site / "calmasters" / "py.typed").is_file()


def test_the_metadata_name_license_authors_and_the_repository_that_builds(site: Path) -> None:
    (folder,) = site.glob("calmasters-*.dist-info")
    metadata = message_from_string((folder / "METADATA").read_text(encoding="utf-8"))
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    assert metadata["License-Expression"] == citation["license"] == "BSD-3-Clause"
    assert metadata["Author"] == citation["authors"][0]["name"]
    text = (folder / "licenses" / "LICENSE").read_text(encoding="utf-8")
    assert f"the {metadata['Author'].removeprefix('The ')}" in text
    urls = dict(url.split(", ") for url in metadata.get_all("Project-URL"))
    assert urls["Source"] == "https://example.org/somebody/calmasters"
    # Where the package is published there are no other files of the repository.
    readme = metadata.get_payload()
    targets = re.findall(r"\]\(([^)]+)\)", readme)
    pictures = re.findall(r'src="([^"]+)"', readme)
    assert f"{urls['Source']}/blob/0abc/docs/first-night.md" in targets
    assert all(target.startswith(f"{urls['Source']}/blob/0abc/") for target in targets)
    assert len(pictures) == 2
    assert all(picture.startswith(f"{urls['Source']}/raw/0abc/docs/") for picture in pictures)


def test_the_command_has_the_version_of_the_tag(calmasters: Calmasters) -> None:
    assert calmasters("--version").output == f"calmasters {VERSION}\n"


def test_the_command_makes_masters_without_a_repository(
    site: Path, calmasters: Calmasters, tmp_path: Path
) -> None:
    frames = tmp_path / "2026"  # would be a number as a setting
    write_session(frames, TINY)
    assert calmasters("init", "2026", "--output", "made here").code == 0
    settings = frames / "calmasters.yaml"
    text = settings.read_text(encoding="utf-8")
    assert "#master_format: xisf" in text
    settings.write_text(text.replace("#master_format: xisf", "master_format: fits"))

    run = calmasters("masters", "2026", "--", "--config", "minimum_frames=4", "--verbose")
    assert f"Settings: {Path('2026', 'calmasters.yaml')}" in run.output
    assert str(site / "calmasters" / "workflow_files" / "profiles") in run.output
    output = Workflow(tmp_path).output.with_name("made here")
    assert len([*output.glob("masters/*/*.fits")]) == len(run.jobs) - 1 == 4

    again = calmasters("masters", "2026", "-n", "--", "--config", "minimum_frames=5")
    assert "bias 4 refused" in again.output
    assert "Every master is current" in calmasters("why", "2026").output
