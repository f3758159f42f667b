from __future__ import annotations

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


def test_lines_of_this_process_and_of_jobs_are_taken_until_the_end() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.stdout == "['from a job', 'from this process']\n"
    assert done.stderr == "after the end\n"
