from __future__ import annotations

import os
import subprocess
import sys

#: Prints to stdout what was taken, then to stderr after it was given back.
PROGRAM = """
import subprocess, sys
from calmasters.console.job_output import JobOutput

taken = []
output = JobOutput(taken.append)
subprocess.run([sys.executable, "-c", "import sys; print('from a job', file=sys.stderr)"])
print("from this process", file=sys.stderr, flush=True)
output.close()
print("after the end", file=sys.stderr, flush=True)
print(taken)
"""


#: A job of Python where the system's encoding is not UTF-8.
LATIN = """
import os, subprocess, sys
from calmasters.console.job_output import JobOutput

taken = []
output = JobOutput(taken.append)
code = "import sys; print('-10', chr(176) + 'C', file=sys.stderr)"
subprocess.run([sys.executable, "-c", code])
output.close()
print(ascii(taken))
"""


def test_jobs_write_utf8_whatever_the_encoding_of_the_system() -> None:
    # Both switch off what Python itself does about it on Linux.
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    environment = {**os.environ, **plain}
    environment.pop("PYTHONIOENCODING", None)
    done = subprocess.run(
        [sys.executable, "-c", LATIN], capture_output=True, text=True, env=environment
    )
    assert done.stdout == "['-10 \\xb0C']\n", done.stderr


def test_lines_of_this_process_and_of_jobs_are_taken_until_the_end() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.stdout == "['from a job', 'from this process']\n"
    assert done.stderr == "after the end\n"
