"""The project holds together: dependencies, imports, public names."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from calmasters.engines import ENGINES

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "calmasters"

#: Modules and packages in reading order: each imports only from itself and from those before it.
ORDER = (
    "errors",
    "progress",
    "garbage",
    "atomic_files",
    "frame",
    "config_check",
    "settings",
    "headers",
    "images",
    "model",
    "engines",
    "running",
    "inventory",
    "planning",
    "quality",
    "reporting",
    "commands",
    "synthetic",
    "workflow",
)
MODULES = sorted(PACKAGE.rglob("*.py"))

#: What an engine may know besides its own package: its job and the frames, not how it was decided.
KNOWN_TO_ENGINES = {
    "errors",
    "atomic_files",
    "frame",
    "settings",
    "headers",
    "images",
    "model",
    "engines",
}


def dotted(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> Iterator[str]:
    """Modules of ours that a module imports, anywhere in it."""
    names = {dotted(module) for module in MODULES}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & names
            yield from inner or ({str(node.module)} & names)


def room(module: str) -> str:
    """The top-level module or package of a module; empty for calmasters itself."""
    return module.partition(".")[2].partition(".")[0]


# --- imports --------------------------------------------------------------------------------------


def test_every_module_has_its_place() -> None:
    assert {room(dotted(path)) for path in MODULES} - {""} == set(ORDER)
    assert len(ORDER) <= 24


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_imports_run_in_one_direction(path: Path) -> None:
    own = room(dotted(path))
    if own:  # the package itself offers names of any module, when they are asked for
        before = {"", *ORDER[: ORDER.index(own) + 1]}
        assert {name for name in imported(path) if room(name) not in before} == set()


def test_no_module_needs_itself() -> None:
    needs = {dotted(path): set(imported(path)) for path in MODULES if path.parent != PACKAGE}
    needs |= {f"calmasters.{path.stem}": set(imported(path)) for path in PACKAGE.glob("[!_]*.py")}
    assert [*TopologicalSorter(needs).static_order()]


@pytest.mark.parametrize("path", sorted((PACKAGE / "engines").rglob("*.py")), ids=dotted)
def test_engines_know_their_job_and_not_how_it_was_decided(path: Path) -> None:
    assert {room(name) for name in imported(path)} - {""} <= KNOWN_TO_ENGINES


DRIVERS = [
    path for name in ("siril", "pixinsight") for path in (PACKAGE / "engines" / name).glob("*.py")
]
SHARED = [path for path in (PACKAGE / "engines").glob("*.py") if path.stem != "__init__"]


@pytest.mark.parametrize("path", [*SHARED, *DRIVERS], ids=dotted)
def test_no_engine_needs_the_native_one(path: Path) -> None:
    native = "calmasters.engines.native"
    assert {name for name in imported(path) if f"{name}.".startswith(f"{native}.")} == set()


def compared_texts(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Compare):
            constants = (each for each in ast.walk(node) if isinstance(each, ast.Constant))
            yield from (each.value for each in constants if isinstance(each.value, str))


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_nothing_asks_which_engine_it_is(path: Path) -> None:
    """What differs between engines is declared by them (``calmasters/engines/needs.py``)."""
    assert set(compared_texts(path)) & set(ENGINES) == set()


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "rules").glob("*.smk")), ids=lambda path: path.name
)
def test_no_rule_asks_which_engine_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.findall(rf"""["']({"|".join(ENGINES)})["']""", text) == []


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
        "calmasters.workflow",
        "calmasters.running.disk_space",
        *(f"{package}.needs" for package in ENGINES.values()),
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
