"""Check the installed application of the engine with small masters of known frames."""

import sys
from functools import partial

import calmasters.interrupts  # noqa: F401
from calmasters.engine_check.check import check_engine
from calmasters.errors import exit_on_error

with exit_on_error():
    check_engine(snakemake.config, show=partial(print, file=sys.stderr, flush=True))
