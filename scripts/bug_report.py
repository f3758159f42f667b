"""Write what a bug report needs: inventory, plan, records, logs, versions and headers."""

import sys

import calmasters.interrupts  # noqa: F401
from calmasters.commands.bug_report import write_bug_report
from calmasters.errors import exit_on_error

with exit_on_error():
    path = write_bug_report(snakemake.config)
    print(f"Headers, plan, records and logs, without personal paths: {path}", file=sys.stderr)
    print("Look through it before you publish it: names of files are in it.", file=sys.stderr)
