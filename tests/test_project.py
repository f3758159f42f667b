"""Rules of the project: import order, public names, dependencies."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Set
from functools import cache
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from calmasters.engines import ENGINES

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "calmasters"

#: Top-level modules and packages: each imports only from itself and from those before it.
ORDER = (
    "interrupts",
    "errors",
    "progress",
    "libraries",
    "atomic_files",
    "frame_layout",
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
    "comparison",
    "reporting",
    "commands",
    "synthetic",
    "engine_check",
    "workflow",
    "console",
)
MODULES = sorted(PACKAGE.rglob("*.py"))

#: What engines may import: jobs and frames, but not planning.
ALLOWED_IN_ENGINES = {
    "errors",
    "progress",
    "atomic_files",
    "frame_layout",
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


@cache
def imported(path: Path) -> frozenset[str]:
    """Modules of the package that a module imports, anywhere in it."""
    return frozenset(_imported(path, {dotted(module) for module in MODULES}))


def _imported(path: Path, names: Set[str]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & names
            yield from inner or ({str(node.module)} & names)


def top_level(module: str) -> str:
    """The top-level module or package of a module; empty for calmasters itself."""
    return module.partition(".")[2].partition(".")[0].removeprefix("__main__")


# --- imports --------------------------------------------------------------------------------------


def test_every_module_is_in_the_import_order() -> None:
    assert {top_level(dotted(path)) for path in MODULES} - {""} == set(ORDER)
    assert len(ORDER) <= 24


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_imports_follow_the_import_order(path: Path) -> None:
    own = top_level(dotted(path))
    if own:  # the package itself imports public names lazily from any module
        before = {"", *ORDER[: ORDER.index(own) + 1]}
        assert {name for name in imported(path) if top_level(name) not in before} == set()


def test_no_import_is_circular() -> None:
    needs = {dotted(path): imported(path) for path in MODULES if path.parent != PACKAGE}
    needs |= {f"calmasters.{path.stem}": imported(path) for path in PACKAGE.glob("[!_]*.py")}
    assert [*TopologicalSorter(needs).static_order()]


def package_imports(packages: set[str]) -> dict[str, set[str]]:
    """For each of the given packages, the others that it imports."""
    imports: dict[str, set[str]] = {name: set() for name in packages}
    for path in MODULES:
        own = top_level(dotted(path))
        if own in packages:
            imports[own] |= {top_level(name) for name in imported(path)} & packages - {own}
    return imports


def all_imports(needs: dict[str, set[str]], start: str) -> set[str]:
    """The packages that a package imports directly or indirectly."""
    return {name for next_ in needs[start] for name in {next_, *all_imports(needs, next_)}}


def test_the_architecture_diagram_matches_the_imports() -> None:
    page = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawn = {(end, start) for start, end in re.findall(r"^ +(\w+) --> (\w+)$", page, re.MULTILINE)}
    needs = package_imports({name for arrow in drawn for name in arrow})
    direct = {
        (start, end)
        for start, ends in needs.items()
        for end in ends
        if not any(end in all_imports(needs, other) for other in ends)
    }
    assert drawn == direct
    assert all(f"`{name}`" in page for name in ORDER)


@pytest.mark.parametrize("path", sorted((PACKAGE / "engines").rglob("*.py")), ids=dotted)
def test_engines_do_not_import_planning(path: Path) -> None:
    assert {top_level(name) for name in imported(path)} - {""} <= ALLOWED_IN_ENGINES


DRIVERS = [
    path for name in ("siril", "pixinsight") for path in (PACKAGE / "engines" / name).glob("*.py")
]
SHARED = [path for path in (PACKAGE / "engines").glob("*.py") if path.stem != "__init__"]


@pytest.mark.parametrize("path", [*SHARED, *DRIVERS], ids=dotted)
def test_no_other_engine_imports_the_native_one(path: Path) -> None:
    native = "calmasters.engines.native"
    assert {name for name in imported(path) if f"{name}.".startswith(f"{native}.")} == set()


def compared_texts(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Compare):
            constants = (each for each in ast.walk(node) if isinstance(each, ast.Constant))
            yield from (each.value for each in constants if isinstance(each.value, str))


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_no_module_compares_names_of_engines(path: Path) -> None:
    """Engines declare how they differ (``calmasters/engines/needs.py``)."""
    assert set(compared_texts(path)) & set(ENGINES) == set()


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "rules").glob("*.smk")), ids=lambda path: path.name
)
def test_no_rule_compares_names_of_engines(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.findall(rf"""["']({"|".join(ENGINES)})["']""", text) == []


HEAVY = (
    "numpy", "pandas", "astropy", "numba", "xisf", "jsonschema", "yaml",
    "jinja2", "PIL",
)  # fmt: skip


@pytest.mark.parametrize(
    "module",
    [
        "calmasters",
        "calmasters.model.job",
        "calmasters.running.job_resources",
        "calmasters.planning.plan_file",
        "calmasters.workflow.workflow",
        "calmasters.running.disk_space",
        *(f"{package}.needs" for package in ENGINES.values()),
        "calmasters.planning.planner",
        "calmasters.quality.camera",
    ],
)
def test_modules_of_every_run_import_no_heavy_package(module: str) -> None:
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
def test_public_names_exist_and_are_unique(path: Path) -> None:
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
    # Snakemake silently replaces the first handler by a second one.
    files = [REPOSITORY / "Snakefile", *(REPOSITORY / "rules").glob("*.smk")]
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    assert len(re.findall(rf"^{handler}:", text, re.MULTILINE)) <= 1


# --- language -------------------------------------------------------------------------------------

#: Quaint for readers whose first language is not English; plain words say the same.
QUAINT = re.compile(
    r"\b(anew|foretold|foretells?|tells? of|hangs? on|mend(s|ed)?|told"
    r"|what (it|they) holds?|so many)\b",
    re.IGNORECASE,
)
WRITTEN = [
    path
    for pattern in ("*.md", "Snakefile", "Makefile", "config/*", "docs/**/*.md", "rules/*")
    for path in REPOSITORY.glob(pattern)
] + [
    path
    for folder in ("calmasters", "scripts", "tests", "benchmarks", "pixinsight", "profiles")
    for ending in ("py", "js", "j2", "md", "yaml")
    for path in (REPOSITORY / folder).rglob(f"*.{ending}")
    if path != Path(__file__) and "made" not in path.parts
]


def test_pages_and_code_are_written_in_plain_words() -> None:
    quaint = [
        f"{path.relative_to(REPOSITORY)}: {line.strip()}"
        for path in WRITTEN
        for line in path.read_text(encoding="utf-8").splitlines()
        if QUAINT.search(line.replace("_", " "))
    ]
    assert quaint == []


# --- dependencies ---------------------------------------------------------------------------------


def name_of(requirement: str) -> str:
    name = re.split(r"[<>=!~\[ ]", requirement)[0].lower()
    # Snakemake without its plotting extras has another name on bioconda.
    return {"snakemake-minimal": "snakemake"}.get(name, name)


def bounds_of(requirement: str) -> str:
    return re.sub(r"^[A-Za-z0-9_.-]+", "", requirement).replace(" ", "")


def test_the_conda_environment_has_the_dependencies_of_the_package() -> None:
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
    # What only some systems need, for lack of wheels, conda builds for them.
    everywhere = [entry for entry in project["dependencies"] if ";" not in entry]
    required = {name_of(entry): bounds_of(entry) for entry in everywhere}
    assert set(listed) == set(required)
    differing = {name for name in listed if listed[name] not in ("", required[name])}
    assert differing == set()
    assert "--editable ." in by_pip


#: Files that Snakemake reads: the Snakefile, rules, scripts, profiles.
READ_BY_SNAKEMAKE = [
    REPOSITORY / "Snakefile",
    *REPOSITORY.glob("rules/*.smk"),
    *REPOSITORY.glob("scripts/*.py"),
    *REPOSITORY.glob("profiles/*/*.yaml"),
]


@pytest.mark.parametrize("path", READ_BY_SNAKEMAKE, ids=lambda path: path.name)
def test_files_that_snakemake_reads_are_ascii_and_need_no_shell(path: Path) -> None:
    """Windows has another encoding than UTF-8, and another shell than bash."""
    text = path.read_text(encoding="ascii")
    assert re.findall(r"^ +(?:shell|run|wrapper|notebook):", text, re.MULTILINE) == []
