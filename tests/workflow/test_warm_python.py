"""A program in a Python that is forked for it does what it does in one that is started for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from warm_client import KILLED
from warm_python import COLD, warm_python

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks"),
    pytest.mark.skipif(COLD in os.environ, reason="each program gets a Python of its own"),
]

PROGRAMS = {
    "ends": "print('out'); import sys; print('err', file=sys.stderr)",
    "place and words": (
        "import os, sys, __main__; "
        "print(os.getcwd(), sys.argv, sys.path[0], __name__, __main__.__file__)"
    ),
    "reads": "print(input())",
    "exits": "import sys; print('no new line', end=''); sys.exit(3)",
    "exits with words": "import sys; sys.exit('why')",
    "fails": "1 / 0",
    "at exit": "import atexit; atexit.register(print, 'last'); raise SystemExit",
    "thread": "import threading; threading.Timer(0.1, print, ['later']).start()",
    "letters": "print('ä'); print('\\udcff')",
    "zone": "import time; print(time.tzname)",
    "folder for temporary files": "import tempfile; print(tempfile.gettempdir())",
    "optimized": "import sys; print(sys.flags.optimize)",
    "starts another": (
        "import subprocess, sys; "
        "print(subprocess.run([sys.executable, '-c', 'print(5); exit(4)']).returncode)"
    ),
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_a_program_says_and_returns_the_same(program: str, tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(program, encoding="utf-8")
    environment = {
        **os.environ,
        **{"PYTHONIOENCODING": "latin-1:backslashreplace", "TZ": "Asia/Tokyo"},
        "TMPDIR": str(tmp_path),
    }
    if program == PROGRAMS["optimized"]:
        environment["PYTHONOPTIMIZE"] = "2"
    warm, cold = (
        subprocess.run(
            [python, script, "a", "b c"],
            cwd=tmp_path,
            env=environment,
            input=b"a line\n",
            capture_output=True,
        )
        for python in (warm_python(), sys.executable)
    )
    assert (warm.returncode, warm.stdout) == (cold.returncode, cold.stdout)
    # Tracebacks differ in who called the program.
    assert warm.stderr.splitlines()[-1:] == cold.stderr.splitlines()[-1:]


def test_a_program_that_is_killed_does_not_succeed(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", encoding="utf-8")
    assert subprocess.run([warm_python(), script]).returncode == KILLED


def test_libraries_are_there_already(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text("import sys; print('snakemake.workflow' in sys.modules)", encoding="utf-8")
    done = subprocess.run([warm_python(), script], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
