"""The project holds together: dependencies, imports, public names."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "calmasters"

#: The modules in reading order: each imports only from those before it.
ORDER = (
    "errors",
    "garbage",
    "progress",
    "atomic_files",
    "running.lock",
    "running.kept_masters",
    "running.run",
    "frame",
    "headers.fits_cards",
    "settings",
    "headers.frame_types",
    "headers.nights",
    "headers.path_tokens",
    "headers.keywords",
    "headers.ap_common",
    "images.unpack",
    "images.raw_frame",
    "model.job",
    "running.job_resources",
    "inventory.scan",
    "inventory.content_digests",
    "inventory.header_cache",
    "inventory.table",
    "inventory.unused_frames",
    "planning.grouping",
    "inventory.duplicates",
    "planning.naming",
    "model.master_record",
    "planning.near_misses",
    "planning.matching",
    "planning.stale_reasons",
    "running.disk_space",
    "planning.plan_file",
    "planning.planner",
    "commands.orphans",
    "commands.summary",
    "quality",
    "reporting",
    "commands.draw_plan",
    "commands.watch",
    "engines",
    "commands.explain_pixel",
    "synthetic.session",
)
#: Those that are packages.
PACKAGES = ("engines", "quality", "reporting")
MODULES = sorted(PACKAGE.rglob("*.py"))


def dotted(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> Iterator[str]:
    """Modules of ours that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield str(node.module)
            if node.module and node.module.startswith("calmasters"):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def place(module: str) -> int:
    """Where a module stands in the reading order; -1 for the package itself and for others."""
    name = module.removeprefix("calmasters.")
    if name.split(".")[0] in PACKAGES:
        name = name.split(".")[0]
    return ORDER.index(name) if name in ORDER else -1


# --- imports --------------------------------------------------------------------------------------


def test_every_module_has_its_place() -> None:
    names = {dotted(path).removeprefix("calmasters.") for path in MODULES}
    packages = {name for name in names if (PACKAGE / name.replace(".", "/")).is_dir()}
    found = {name for name in names - packages if name.split(".")[0] not in PACKAGES}
    assert found - {"calmasters", "synthetic.__main__"} == set(ORDER) - set(PACKAGES)


@pytest.mark.parametrize(
    "path",
    [PACKAGE / f"{name.replace('.', '/')}.py" for name in ORDER if name not in PACKAGES],
    ids=dotted,
)
def test_imports_run_in_one_direction(path: Path) -> None:
    later = {name for name in imported(path) if place(name) >= place(dotted(path))}
    assert later == set()


@pytest.mark.parametrize(
    "path",
    [path for name in PACKAGES if name != "engines" for path in (PACKAGE / name).glob("*.py")],
    ids=dotted,
)
def test_packages_import_from_themselves_and_what_comes_before(path: Path) -> None:
    own = place(dotted(path))
    assert {name for name in imported(path) if place(name) > own} == set()


@pytest.mark.parametrize("path", sorted((PACKAGE / "engines").rglob("*.py")), ids=dotted)
def test_engines_know_their_job_and_not_how_it_was_decided(path: Path) -> None:
    known = {"errors", "frame", "headers", "settings", "images", "model", "engines", "atomic_files"}
    ours = {name for name in imported(path) if place(name) >= 0}
    assert {name for name in ours if name.split(".")[1] not in known} == set()


HEAVY = (
    *("numpy", "pandas", "astropy", "numba", "xisf", "jsonschema", "yaml"),
    *("matplotlib", "jinja2", "PIL"),
)


@pytest.mark.parametrize(
    "module",
    [
        "calmasters",
        "calmasters.model.job",
        "calmasters.running.job_resources",
        "calmasters.planning.plan_file",
        "calmasters.planning.planner",
        "calmasters.quality.camera",
    ],
)
def test_what_every_run_imports_is_light(module: str) -> None:
    program = f"import sys, {module}; print(*sorted(set(sys.modules) & set({HEAVY!r})))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


# --- public names ---------------------------------------------------------------------------------


def exported(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if target and ast.unparse(target) == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return names
    return None


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_public_names_exist_and_are_in_order(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    names = exported(tree)
    if path.stem != "__main__":
        assert names is not None
        module = import_module(dotted(path))
        assert all(hasattr(module, name) for name in names)
        assert len(names) == len(set(names))


# --- the workflow ---------------------------------------------------------------------------------


@pytest.mark.parametrize("handler", ["onstart", "onsuccess", "onerror"])
def test_snakemake_has_one_handler_of_each_kind(handler: str) -> None:
    # A second one would silently take the place of the first.
    files = [REPOSITORY / "Snakefile", *(REPOSITORY / "rules").glob("*.smk")]
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    assert len(re.findall(rf"^{handler}:", text, re.MULTILINE)) <= 1


# --- dependencies ---------------------------------------------------------------------------------


def name_of(requirement: str) -> str:
    name = re.split(r"[<>=!~\[ ]", requirement)[0].lower()
    # Snakemake without its plotting extras has another name on bioconda.
    return {"snakemake-minimal": "snakemake"}.get(name, name)


def bounds_of(requirement: str) -> str:
    return re.sub(r"^[A-Za-z0-9_.-]+", "", requirement).replace(" ", "")


def test_the_conda_environment_names_the_dependencies_of_the_package() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    conda = yaml.safe_load((REPOSITORY / "environment.yml").read_text(encoding="utf-8"))
    (by_pip,) = (entry["pip"] for entry in conda["dependencies"] if isinstance(entry, dict))
    by_conda = [entry for entry in conda["dependencies"] if isinstance(entry, str)]
    listed = {
        name_of(entry): bounds_of(entry)
        for entry in [*by_conda, *by_pip]
        if entry not in ("pip", "--editable .")
    }
    assert listed.pop("python") == project["requires-python"]
    required = {name_of(entry): bounds_of(entry) for entry in project["dependencies"]}
    assert set(listed) == set(required)
    differing = {name for name in listed if listed[name] not in ("", required[name])}
    assert differing == set()
    assert "--editable ." in by_pip
