"""Make the masters by several engines, and compare them."""

import sys
from functools import partial
from pathlib import Path

import calmasters.interrupts  # noqa: F401
from calmasters.comparison.runs import compare_engines
from calmasters.errors import exit_on_error

with exit_on_error():
    compare_engines(
        snakemake.config,
        snakefile=Path(snakemake.params.snakefile),
        cores=snakemake.threads,
        show=partial(print, file=sys.stderr, flush=True),
    )
