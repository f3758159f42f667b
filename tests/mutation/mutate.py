"""Change one module in many small ways, and see whether the tests notice each.

``python tests/mutation/mutate.py calmasters/headers/nights.py`` prints the mutants that no test
kills. A process that has the library and the tests in memory is forked for each mutant, which runs
only the quick tests that reach the changed line, and ends at the first that fails.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import importlib.abc
import importlib.util
import os
import pickle
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any, TypeAlias

import pytest
from _pytest.runner import runtestprotocol
from mutants import Mutant, mutants_of, read
from script_mutants import script_mutants

REPOSITORY = Path(__file__).parents[2]
#: Mutants that do what the module does, each with the reason.
EQUIVALENT = Path(__file__).with_name("equivalent.toml")
#: The share of mutants that may be left.
MOST_LEFT = 0.1
#: Tests that take more CPU time are left out.
LONGEST_TEST_S = 1.0
#: Those of scripts start a stand-in for PixInsight.
LONGEST_SCRIPT_TEST_S = 4.0
#: A mutant that takes this many times the CPU time of its tests, and these seconds more, hangs.
TIMES, MORE_S = 4, 3
#: CPU time to import the project and to collect tests.
IMPORT_S = 30
#: The most memory that a child may take, in bytes.
MEMORY = 8 << 30
#: Imported once, by the first process.
HEAVY = ("numpy", "pandas", "astropy.io.fits", "jsonschema", "yaml", "numba")


#: Mutants with the code of their modules, or the text of their scripts.
Mutants: TypeAlias = Sequence[tuple[Mutant, CodeType | str]]
#: The project's functions by file, qualified name and line.
Functions: TypeAlias = Mapping[tuple[str, str, int], list[FunctionType]]

#: Tests that read the source of a script, and would see any change of it.
SOURCE_TESTS = {"test_the_code_of_a_script_is_that_of_the_source_files"}
#: Where the progress is written: children have no standard error.
PROGRESS = os.dup(2)


@dataclass
class Baseline:
    """What the tests do without a change.

    Attributes
    ----------
    seconds : dict of str to float
        By test, of those that pass.
    lines : dict of str to (dict of str to set of int)
        By test, the lines that it reaches, by module.
    imported : dict of str to set of int
        By module, the lines that run before the first test.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    lines: dict[str, dict[str, set[int]]] = field(default_factory=dict)
    imported: dict[str, set[int]] = field(default_factory=dict)

    def runs_at_import(self, mutant: Mutant) -> bool:
        """Return whether a change is made before a test could run."""
        return mutant.function is None or bool(
            mutant.lines & self.imported.get(mutant.module, set())
        )

    def tests_of(self, mutant: Mutant) -> list[str]:
        """Return the tests that reach a mutant, those of its module first, then the quick ones."""
        name = f"test_{Path(mutant.module).stem}.py"
        longest_s = LONGEST_SCRIPT_TEST_S if mutant.is_script else LONGEST_TEST_S
        reaching = [
            test
            for test, lines in self.lines.items()
            if self.seconds[test] <= longest_s and self._reaches(lines, mutant)
        ]
        return sorted(reaching, key=lambda test: (name not in test, self.seconds[test]))

    def limit_s(self, mutant: Mutant) -> float:
        """Return the CPU time after which a mutant hangs."""
        return TIMES * sum(self.seconds[test] for test in self.tests_of(mutant)) + MORE_S

    def _reaches(self, lines: dict[str, set[int]], mutant: Mutant) -> bool:
        # What runs at import may reach a test by other ways, such as the default of a field.
        if mutant.is_script or self.runs_at_import(mutant):
            return True
        return bool(lines.get(mutant.module, set()) & mutant.lines)


class Tracer:
    """Note the lines of some modules that are reached."""

    def __init__(self, modules: Iterable[str]) -> None:
        self._names = {str(REPOSITORY / module): module for module in modules}
        self.lines: dict[str, set[int]] = defaultdict(set)

    def start(self) -> None:
        self.lines = defaultdict(set)
        sys.settrace(self._call)

    def stop(self) -> dict[str, set[int]]:
        sys.settrace(None)
        return dict(self.lines)

    def _call(self, frame: FrameType, event: str, argument: object) -> Any:
        module = self._names.get(frame.f_code.co_filename)
        if module is None:
            return None
        lines = self.lines[module]
        lines.add(frame.f_lineno)

        def line(frame: FrameType, event: str, argument: object) -> Any:
            lines.add(frame.f_lineno)
            return line

        return line


def run_tests(items: Sequence[pytest.Item]) -> Iterator[tuple[pytest.Item, bool, float]]:
    """Run tests in this process; give each with whether it passed or was skipped, and its time.

    The time is that of the CPU, also of processes that it starts, so that a busy machine does not
    leave tests out.
    """
    for item, following in zip(items, [*items[1:], None], strict=True):
        start = _cpu_s()
        reports = runtestprotocol(item, log=False, nextitem=following)
        passed = not any(report.failed for report in reports)
        yield item, passed, _cpu_s() - start


def _cpu_s() -> float:
    return sum(os.times()[:4])


def in_child(work: Callable[[], object], limit_s: float | None = None) -> Any:
    """Do work in a forked process; return what it returns, or "died" with the reason.

    The limit is CPU time; what waits is ended after ten times as long.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.close(reader)
        _be_quiet(limit_s)
        try:
            answer = pickle.dumps(work())
        except BaseException as error:
            answer = pickle.dumps(f"died: {error!r}")
        with os.fdopen(writer, "wb") as stream:
            stream.write(answer)
        os._exit(0)
    os.close(writer)
    os.setpgid(child, child)
    try:
        return _answer(reader, 10 * limit_s if limit_s else 24 * 3600.0)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _be_quiet(limit_s: float | None) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if limit_s is not None:
        used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        resource.setrlimit(resource.RLIMIT_CPU, (int(used + limit_s) + 1,) * 2)


def _answer(reader: int, limit_s: float) -> Any:
    end = time.monotonic() + limit_s
    answer = b""
    with os.fdopen(reader, "rb", buffering=0) as stream:
        while (left := end - time.monotonic()) > 0:
            if select.select([stream], [], [], left)[0]:
                if not (part := stream.read(1 << 20)):
                    return pickle.loads(answer) if answer else "died: at its limit"
                answer += part
    return "died: it hangs"


class Warm:
    """A plugin for pytest that collects the tests once, and forks for each mutant."""

    def __init__(self, mutants: Mutants, tracer: Tracer) -> None:
        self._mutants = mutants
        self._tracer = tracer
        self.results: dict[Mutant, str] = {}
        self.baseline = Baseline()

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        imported = self._tracer.stop()
        session.items[:] = [each for each in session.items if not _is_left_out(each)]
        items = {item.nodeid: item for item in session.items}
        measured = in_child(lambda: self._measure(session.items))
        if isinstance(measured, str):
            raise RuntimeError(measured)
        self.baseline = measured
        passed = len(measured.seconds)
        os.write(
            PROGRESS, f"{passed} of {len(session.items)} tests pass without a change\n".encode()
        )
        self.baseline.imported = imported
        functions = _functions()
        gc.freeze()  # so that a child does not copy what it does not change
        for mutant, module in self._mutants:
            if not (mutant.function and self.baseline.runs_at_import(mutant)) and mutant.is_warm:
                chosen = [items[test] for test in self.baseline.tests_of(mutant)]
                work = partial(self._run, mutant, module, functions, chosen)
                limit_s = self.baseline.limit_s(mutant)
                result = in_child(work, limit_s) if chosen else ""
                # Other constants may be made of this one when modules are imported.
                if result or mutant.function or mutant.is_script:
                    self.results[mutant] = result
                    _note(mutant, result)
        return True

    @staticmethod
    def _run(
        mutant: Mutant, module: CodeType | str, functions: Functions, tests: Sequence[pytest.Item]
    ) -> str:
        if isinstance(module, str):
            set_script(mutant, module)
        elif mutant.function:
            exchange(functions, mutant, module)
        else:
            set_constants(mutant, module)
        return first_failure(tests)

    def _measure(self, items: Sequence[pytest.Item]) -> Baseline:
        baseline = Baseline()
        caches = _caches()
        self._tracer.start()
        for item, passed, seconds in run_tests(items):
            lines = self._tracer.stop()
            if passed:
                baseline.seconds[item.nodeid] = seconds
                baseline.lines[item.nodeid] = lines
            for cache in caches:  # or the next test would not reach what this one reached
                cache.cache_clear()
            self._tracer.start()
        self._tracer.stop()
        return baseline


def _is_left_out(item: pytest.Item) -> bool:
    """Return whether a test is repeated by hypothesis, or compares sources."""
    return getattr(item.obj, "is_hypothesis_test", False) or item.originalname in SOURCE_TESTS  # type: ignore[attr-defined]


def first_failure(items: Sequence[pytest.Item]) -> str:
    return next((item.nodeid for item, passed, _ in run_tests(items) if not passed), "")


def _caches() -> list[Any]:
    """Find the cached functions of the project."""
    return [
        each
        for each in gc.get_objects()
        if hasattr(type(each), "cache_clear") and each.__module__.startswith("calmasters")
    ]


def _functions() -> Functions:
    """Find all functions of the project by file, qualified name and line."""
    found = defaultdict(list)
    for each in gc.get_objects():
        if type(each) is FunctionType and each.__code__.co_filename.startswith(str(REPOSITORY)):
            found[_key(each.__code__)].append(each)
    return dict(found)


def exchange(functions: Functions, mutant: Mutant, module: CodeType) -> None:
    """Give the function that a mutant changes its changed code, wherever it was imported."""
    assert mutant.function is not None
    key = (str(REPOSITORY / mutant.module), *mutant.function)
    (code,) = (each for each in _codes(module) if _key(each) == key)
    for function in functions[key]:
        function.__code__ = code


def set_constants(mutant: Mutant, code: CodeType) -> None:
    """Give the constants of a changed module to all modules that imported them."""
    name = mutant.dotted
    module, changed = sys.modules[name], ModuleType(name)
    exec(code, changed.__dict__)
    for constant, value in vars(changed).items():
        old = vars(module).get(constant)
        if not constant.startswith("__") and not callable(value) and value is not old:
            for each in list(sys.modules.values()):
                if getattr(each, "__dict__", {}).get(constant) is old:
                    setattr(each, constant, value)


def set_script(mutant: Mutant, text: str) -> None:
    """Let the engine take its scripts from a folder in which one is changed."""
    folder = Path(tempfile.mkdtemp())
    shutil.copytree(REPOSITORY / "pixinsight", folder, dirs_exist_ok=True)
    (folder / Path(mutant.module).name).write_text(text, encoding="ascii")
    sys.modules["calmasters.engines.pixinsight.script"]._DIRECTORY = folder  # type: ignore[attr-defined]


def _codes(code: CodeType) -> Iterator[CodeType]:
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield each
            yield from _codes(each)


def _key(code: CodeType) -> tuple[str, str, int]:
    return code.co_filename, code.co_qualname, code.co_firstlineno


class Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Import one module with changed code."""

    def __init__(self, name: str, code: CodeType) -> None:
        self._name, self._code = name, code

    def find_spec(self, name: str, path: object, target: object = None) -> Any:
        if name != self._name:
            return None
        return importlib.util.spec_from_file_location(
            name,
            self._code.co_filename,
            loader=self,  # type: ignore[arg-type]
        )

    def create_module(self, spec: object) -> None:
        return None

    def exec_module(self, module: Any) -> None:
        exec(self._code, module.__dict__)


class Fresh:
    """A plugin for pytest that runs tests in a given order, up to the first that fails."""

    def __init__(self, tests: Sequence[str]) -> None:
        self._tests = tests
        self.failure = ""

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        missing = [test for test in self._tests if test not in items]
        chosen = [items[test] for test in self._tests if test in items]
        self.failure = missing[0] if missing else first_failure(chosen)
        return True


def run_fresh(mutant: Mutant, code: CodeType, tests: Sequence[str]) -> str:
    """Import the changed module and run tests; return the first that fails."""
    sys.meta_path.insert(0, Changed(mutant.dotted, code))
    plugin = Fresh(tests)
    files = dict.fromkeys(test.partition("::")[0] for test in tests)
    status = pytest.main([*OPTIONS, *files], plugins=[plugin])
    return plugin.failure or ("" if status in (0, 5) else f"pytest ended with {status!r}")


#: Of pytest: quiet, in this process, without files in the repository.
OPTIONS = ["-p", "no:xdist", "-p", "no:terminal", "--capture=no", "-p", "no:cacheprovider"]


def _note(mutant: Mutant, result: str) -> None:
    os.write(PROGRESS, b"." if result else f"\n{mutant}\n".encode())


def chosen(modules: Sequence[str], sample: int, seed: int) -> Mutants:
    """Return mutants of modules with their code: all, or a random sample of each module."""
    found: list[tuple[Mutant, CodeType | str]] = []
    for module in modules:
        if module.endswith(".js"):
            scripts = [*script_mutants((REPOSITORY / module).read_text("ascii"), module)]
            found += Random(f"{seed} {module}").sample(scripts, min(sample, len(scripts)))
            continue
        tree = read(REPOSITORY / module)
        names = [mutant for mutant, _ in mutants_of(tree, module)]
        some = set(Random(f"{seed} {module}").sample(names, min(sample, len(names))))
        for mutant, change in mutants_of(tree, module):
            if mutant in some:
                found.append((mutant, compile(change(), str(REPOSITORY / module), "exec")))
    return found


def equivalents() -> dict[tuple[str, str, str, str, int], str]:
    with EQUIVALENT.open("rb") as stream:
        rows = tomllib.load(stream).get("mutant", [])
    return {
        (row["module"], row["within"], row["was"], row["becomes"], row.get("number", 1)): row["why"]
        for row in rows
    }


def mutate(mutants: Mutants, tests: Sequence[str]) -> dict[Mutant, str]:
    """Run the tests of each mutant; return what killed it, empty where nothing did."""
    tracer = Tracer({mutant.module for mutant, _ in mutants})

    def warm() -> tuple[Baseline, dict[Mutant, str]]:
        plugin = Warm(mutants, tracer)
        tracer.start()
        pytest.main([*OPTIONS, *tests], plugins=[plugin])
        return plugin.baseline, plugin.results

    answer = in_child(warm)
    if isinstance(answer, str):
        sys.exit(f"the tests without a change: {answer}")
    baseline, results = answer
    for mutant, code in mutants:
        if mutant not in results and not isinstance(code, str):
            tests_of = baseline.tests_of(mutant)
            work = partial(run_fresh, mutant, code, tests_of)
            limit_s = baseline.limit_s(mutant) + IMPORT_S
            results[mutant] = in_child(work, limit_s) if tests_of else ""
            _note(mutant, results[mutant])
    return results


#: Quick tests of scripts for PixInsight.
SCRIPT_TESTS = ("pixinsight/test_pixinsight_functions", "pixinsight/test_pixinsight_script")
#: Quick tests of modules, where they are not, or not only, in the test module of the same name.
TESTS: dict[str, tuple[str, ...]] = {
    "headers/frame_types": ("headers/test_frame_types", "headers/test_path_tokens"),
    "headers/amplifier_parts": ("headers/test_layouts",),
    "headers/mosaic": ("headers/test_layouts",),
    "headers/values": ("headers/test_values", "headers/test_odd_values"),
    "headers/dialects": (
        "headers/test_dialects", "headers/test_keyword_reader", "headers/test_odd_values",
        "headers/test_distinctions",
    ),
    "headers/history": ("headers/test_processing",),
    "inventory/verdicts": (
        "inventory/test_verdicts", "inventory/test_duplicates", "inventory/test_series_frames",
    ),
    "inventory/camera_keywords": (
        "inventory/test_camera_keywords", "inventory/test_faults", "planning/test_missing_keywords",
    ),
    "inventory/exclusion": (
        "inventory/test_exclusion", "inventory/test_header_cache", "inventory/test_series_frames",
    ),
    "inventory/header_cache": (
        "inventory/test_header_cache", "inventory/test_series_frames", "headers/test_ap_common",
    ),
    "planning/grouping": (
        "planning/test_grouping", "planning/test_splitting", "planning/test_matching",
    ),
    "planning/checkpoint": (
        "planning/test_checkpoint",
        "planning/test_planner", "planning/test_kept_masters", "planning/test_staleness",
        "planning/test_splitting", "inventory/test_suggestions",
    ),
    "planning/planner": (
        "planning/test_planner", "planning/test_kept_masters", "planning/test_splitting",
        "planning/test_libraries", "planning/test_missing_keywords",
    ),
    "pixinsight/user": (*SCRIPT_TESTS[:1], "pixinsight/test_pixinsight_user_scripts"),
    "pixinsight/all_by_hand": (*SCRIPT_TESTS[:1], "pixinsight/test_pixinsight_user_scripts"),
    "engines/native/reference": ("engines/test_native_reference",),
    "engines/native/reference_flats": ("engines/test_native_reference",),
}  # fmt: skip


def files_of(modules: Iterable[str]) -> list[str]:
    """Return the test modules of modules: those in the table, or that with the same name."""
    files: dict[str, None] = {}
    for module in modules:
        path = Path(module).with_suffix("")
        if module.endswith(".js"):
            names = TESTS.get(path.as_posix(), SCRIPT_TESTS)
        else:
            path = path.relative_to("calmasters")
            names = TESTS.get(path.as_posix(), (f"{path.parent}/test_{path.name}",))
        files |= dict.fromkeys(f"tests/{name}.py" for name in names)
    return list(files)


def prepare() -> None:
    """Import what all processes need, but nothing of the project."""
    sys.path.insert(0, str(REPOSITORY))
    os.chdir(REPOSITORY)
    for name in HEAVY:
        importlib.import_module(name)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("modules", nargs="+")
    parser.add_argument("--tests", nargs="*", help="instead of the tests of the package")
    parser.add_argument("--sample", type=int, default=1 << 30, help="mutants per module, at random")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    tests = options.tests or files_of(options.modules)
    if missing := [test for test in tests if not (REPOSITORY / test).exists()]:
        parser.error(
            f"{', '.join(missing)} is missing: name the quick tests in TESTS, or by --tests"
        )
    prepare()
    mutants = chosen(options.modules, options.sample, options.seed)
    with tempfile.TemporaryDirectory() as directory:
        os.environ["PYTEST_DEBUG_TEMPROOT"] = os.environ["TMPDIR"] = tempfile.tempdir = directory
        results = mutate(mutants, tests)
    return int(report(results))


def report(results: Mapping[Mutant, str]) -> bool:
    """Print the mutants that are left, and a row for each module; return whether too many are."""
    same = equivalents()
    rows: dict[str, Counter[str]] = defaultdict(Counter)
    for mutant, killer in sorted(results.items(), key=lambda each: (each[0].module, each[0].line)):
        outcome = "killed" if killer else "equivalent" if mutant.key in same else "left"
        rows[mutant.module][outcome] += 1
        if outcome == "left":
            print(mutant)
    print("\n| module | mutants | killed | equivalent | left |\n|---|--:|--:|--:|--:|")
    for module, count in rows.items():
        numbers = count.total(), count["killed"], count["equivalent"], count["left"]
        print(f"| `{module}` | {' | '.join(map(str, numbers))} |")
    return any(count["left"] > MOST_LEFT * count.total() for count in rows.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
