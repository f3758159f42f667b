"""Fail if a number of a master is outside its range."""

from pathlib import Path

import calmasters.interrupts  # noqa: F401
from calmasters.errors import exit_on_error
from calmasters.quality.judgement import require_good

with exit_on_error(Path(snakemake.log[0])):
    require_good(map(Path, snakemake.input.quality), report=Path(snakemake.input.page))
    Path(snakemake.output.verdict).write_text("all numbers are in their ranges\n", encoding="ascii")
