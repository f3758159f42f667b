"""Fail if a number of a master is outside its range."""

from pathlib import Path

import calmasters.interrupts  # noqa: F401
from calmasters.errors import exit_on_error
from calmasters.quality.judgement import require_good
from calmasters.quality.own_history import judged
from calmasters.settings import Settings

with exit_on_error(Path(snakemake.log[0])):
    settings = Settings.from_config(snakemake.config)
    records = judged(settings, [Path(file) for file in snakemake.input.quality])
    require_good(records, report=Path(snakemake.input.page))
    Path(snakemake.output.verdict).write_text("all numbers are in their ranges\n", encoding="ascii")
