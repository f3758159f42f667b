"""A Python that has imported Snakemake and the library already, for the tests' many runs.

A run of Snakemake spends most of its time on imports, and so does each of its jobs. A server
imports once and forks for each program, which then runs as ever: the real Snakefile, the real
scripts, in processes of their own, with the caller's folder, environment and files. Only signals
differ: they reach whoever waits for the program, not the program. So tests that interrupt runs
start a Python of their own, as all do with ``CALMASTERS_COLD_PYTHON`` set (``make test-all``).

:func:`warm_python` gives the path of a program to start in place of ``sys.executable``.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import warm_client
from warm_client import LENGTH, START_ANOTHER, STARTED

#: Set to start a Python of its own for each program.
COLD = "CALMASTERS_COLD_PYTHON"

#: Environment variables that decide what Python or a library does while it starts. The console sets
#: the other one for jobs; it is obeyed later.
_READ_AT_START = ("LANG", "LC_", "NUMBA", "PYTHON", "XDG_")
_ENCODING = "PYTHONIOENCODING"

#: What is imported only when it is needed.
_IMPORTED_LATER = (
    *("calmasters.engines.native.engine", "dpath", "jsonschema", "llvmlite.binding", "nbformat"),
    *(
        "numpy",
        "packaging.version",
        "pandas",
        "smart_open",
        "snakemake.cli",
        "xml.etree.ElementTree",
    ),
    "yte",
)


@cache
def warm_python() -> str:
    """Start the server, which ends with this process; return the program that asks it to run."""
    import atexit
    import shlex
    import subprocess
    from tempfile import TemporaryDirectory

    # On macOS, a process that has loaded system libraries should not fork.
    if sys.platform != "linux" or os.environ.get(COLD):
        return sys.executable
    folder = TemporaryDirectory(prefix="warm-python-")
    address, program = Path(folder.name, "socket"), Path(folder.name, "python")
    words = [sys.executable, "-IS", warm_client.__file__, str(address), sys.executable]
    program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
    program.chmod(0o700)
    server = subprocess.Popen(
        [sys.executable, __file__, address, program],
        # A process should not fork once NumPy has started threads.
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    atexit.register(folder.cleanup)
    atexit.register(server.communicate)  # before that
    assert server.stdout is not None
    said = server.stdout.readline()
    assert said == b"ready\n", (said + server.stdout.read()).decode()
    return str(program)


# --- the server -----------------------------------------------------------------------------------


def serve(address: str, program: str) -> None:
    """Fork for each request, until the process that started this one ends."""
    import gc
    import select

    # Before the imports, which read it: programs that are started from programs are warm, too.
    sys.executable = program
    _import_all()
    gc.collect()
    gc.freeze()
    running: set[int] = set()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        print("ready", flush=True)
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            asking, _ = listener.accept()
            running = {process for process in running if os.waitpid(process, os.WNOHANG)[0] == 0}
            with asking:
                process = os.fork()
                if process == 0:
                    listener.close()
                    _answer(asking)
                running.add(process)
    for process in running:
        os.waitpid(process, 0)


def _import_all() -> None:
    """Import what Snakemake, the Snakefile and the scripts do, at once or later."""
    import re
    from importlib import import_module

    repository = Path(__file__).parents[2]
    files = (
        repository / "Snakefile",
        *repository.glob("rules/*.smk"),
        *repository.glob("scripts/*.py"),
    )
    for file in files:
        for name in re.findall(r"^ *from ([\w.]+) import", file.read_text(encoding="utf-8"), re.M):
            import_module(name)
    for name in _IMPORTED_LATER:
        import_module(name)
    import_module("snakemake.cli").get_argument_parser()  # imports the plugins


def _answer(asking: socket.socket) -> None:
    """Run what is asked for, in this process, which was forked for it."""
    import traceback

    try:
        code = _run(asking)
        if code is not None:
            asking.sendall(bytes([code % 256]))
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def _run(asking: socket.socket) -> int | None:
    import atexit
    import tempfile
    import threading

    length, files, _, _ = socket.recv_fds(asking, LENGTH, 3)
    with asking.makefile("rb") as stream:
        request: dict[str, Any] = json.loads(stream.read(int.from_bytes(length, "big")))
    if _at_start(request["environment"]) != _at_start(os.environ):
        asking.sendall(START_ANOTHER)
        return None
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    tempfile.tempdir = None
    time.tzset()
    if wanted := os.environ.get(_ENCODING):
        encoding, _, errors = wanted.partition(":")
        sys.stdout.reconfigure(encoding=encoding, errors=errors or "strict")  # type: ignore[union-attr]
        sys.stderr.reconfigure(encoding=encoding)  # type: ignore[union-attr]
    asking.sendall(STARTED)
    code = _exit_code(request["words"])
    # What Python does at its end; but it would also wait for the timers with which Snakemake limits
    # how many jobs start in a second, though none is left.
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer) and thread.function.__module__.startswith(
            "snakemake"
        ):
            thread.cancel()
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def _at_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: text
        for name, text in environment.items()
        if name.startswith(_READ_AT_START) and name != _ENCODING
    }


def _exit_code(words: Sequence[str]) -> int:
    """Run a module or a script as Python does; return what it exits with."""
    import runpy
    import traceback

    try:
        if words[0] == "-m":
            sys.path[0] = str(Path.cwd())
            sys.argv = [*words[1:]]
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            sys.path[0] = str(Path(words[0]).resolve().parent)
            sys.argv = [*words]
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        print(error.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    serve(*sys.argv[1:])
